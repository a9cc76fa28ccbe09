"""Files that the evaluations of one search leave for one another, on one machine.

A search has one folder, which only its user can read. A fitted model waits there for the next level
of its candidate: a file named by candidate, fold and amount. It never travels through the script's
process, where 100 MB cost three times a file's time (``benchmarks/continuation.py``), nor is it an
argument of a task, which would arrive as a read-only memory map.

A file is written under a temporary name and then renamed, so it is whole or not there. The folder
goes with the search, whatever ends it; those of processes that were killed go with the next search.
This room knows nothing of what the files mean.
"""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import Any

from skhalving.task import Task

try:
    import cloudpickle
except ImportError:  # joblib before 1.6 carries its own
    from joblib.externals import cloudpickle

_PREFIX = "skhalving-"

# By folder: the classes and functions that the models of this very process are made of.
_OF_THIS_PROCESS: dict[str, dict[int, Any]] = {}


class Store:
    """Models on their way from level to level, in the folder of a search.

    Parameters
    ----------
    folder : str
        Made by :func:`temporary_folder`. A worker that cannot see it keeps nothing, and says so.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._maker = os.getpid()
        self._held: dict[Task, Any] = {}  # models that cannot be pickled

    def _models(self, candidate: int, fold: int) -> str:
        return os.path.join(self.folder, "models", str(candidate), str(fold))

    def keep(self, task: Task, model: Any) -> str | None:
        """Keep the model that a task has trained; the reason if that cannot be done."""
        if not self.is_here():
            return self._absent()
        try:
            folder = self._models(task.candidate, task.fold)
            os.makedirs(folder, exist_ok=True)
            write(os.path.join(folder, str(task.amount)), lambda file: self._dump(model, file))
        except Exception as error:
            if os.getpid() != self._maker:
                return f"{type(error).__name__}: {error}"
            self._held[task] = model  # it need not leave this process
        return None

    def take(self, task: Task) -> tuple[int, Any]:
        """The model of this candidate and fold that came furthest below the task's amount.

        Returns
        -------
        amount : int
            What the model was trained with; 0 if there is none.

        model : estimator or None
        """
        held = [other for other in self._held if other[:2] == task[:2] and other < task]
        if held:
            return max(held).amount, self._held[max(held)]
        folder = self._models(task.candidate, task.fold)
        with suppress(Exception):  # no folder, or a file that cannot be read
            amount = max(a for a in map(int, _whole(folder)) if a < task.amount)
            with open(os.path.join(folder, str(amount)), "rb") as file:
                return amount, self._load(file)
        return 0, None

    def remove(self, task: Task) -> None:
        """Remove the model of a task that another has gone on from."""
        self._held.pop(task, None)
        with suppress(OSError):
            os.remove(os.path.join(self._models(task.candidate, task.fold), str(task.amount)))

    def drop(self, candidates: Iterable[int]) -> None:
        """Remove all models of candidates that are out of the race."""
        for candidate in candidates:
            for task in [task for task in self._held if task.candidate == candidate]:
                del self._held[task]
            shutil.rmtree(os.path.join(self.folder, "models", str(candidate)), ignore_errors=True)

    def is_here(self) -> bool:
        """Whether this machine sees the folder."""
        return os.path.isdir(self.folder)

    def _absent(self) -> str:
        return f"{socket.gethostname()} does not see the folder {self.folder}"

    def _dump(self, model: Any, file: Any) -> None:
        if os.getpid() == self._maker:
            _ByReference(file, _OF_THIS_PROCESS.setdefault(self.folder, {})).dump(model)
        else:
            cloudpickle.dump(model, file, protocol=5)

    def _load(self, file: Any) -> Any:
        return _FromReference(file, _OF_THIS_PROCESS.get(self.folder, {})).load()


class _ByReference(cloudpickle.Pickler):
    """Leaves classes and functions in this process instead of copying them.

    cloudpickle would write a class of the script itself by value, and on reading replace the
    methods of the living class by copies with globals of their own.
    """

    def __init__(self, file: Any, own: dict[int, Any]) -> None:
        super().__init__(file, protocol=5)
        self._own = own

    def persistent_id(self, value: Any) -> int | None:
        if not isinstance(value, (type, FunctionType)):
            return None
        self._own[id(value)] = value
        return id(value)


class _FromReference(pickle.Unpickler):
    def __init__(self, file: Any, own: dict[int, Any]) -> None:
        super().__init__(file)
        self._own = own

    def persistent_load(self, key: int) -> Any:
        return self._own[key]


def write(path: str, dump: Any) -> None:
    """Let ``dump(file)`` write a file that is whole or not there."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            dump(file)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise


def _whole(folder: str) -> list[str]:
    """The files of a folder that have been written to their end."""
    return [name for name in os.listdir(folder) if "." not in name]


@contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder of this process alone, removed in the end; those of dead processes are removed."""
    here = f"{_PREFIX}{socket.gethostname()}-"
    _sweep(here)
    with tempfile.TemporaryDirectory(
        prefix=f"{here}{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        try:
            yield folder
        finally:
            _OF_THIS_PROCESS.pop(folder, None)


def _sweep(here: str) -> None:
    """Remove the folders that killed processes of this machine have left."""
    root = tempfile.gettempdir()
    for name in os.listdir(root):
        pid = name[len(here) :].partition("-")[0]
        if name.startswith(here) and pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
