"""Files that the evaluations of one search leave for one another, on one machine.

A search has one folder, which only its user can read. A fitted model waits there for the next level
of its candidate: a file named by candidate, fold and amount. It never travels through the script's
process, where 100 MB cost three times a file's time (``benchmarks/continuation.py``), nor is it an
argument of a task, which would arrive as a read-only memory map.

What candidates share is a file named by amount and content. Its arrays are not read but mapped, for
all processes together and copy-on-write: a process that writes into an array gets its own copy of
those pages, and the file stays as it was.

A file is written under a temporary name and then renamed, so it is whole or not there. The folder
is removed when the search ends, also by an exception; that of a killed process is removed by the
next search on the same machine. The engine for loky has its files in it as well. Models may be kept
in another folder instead, where they outlive a process that is killed. This module knows nothing of
estimators: a model or a shared value is any object that can be pickled.
"""

import io
import mmap
import os
import pickle
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from skhalving.task import Task

try:
    import cloudpickle
except ImportError:  # joblib before 1.6 carries its own
    from joblib.externals import cloudpickle

_PREFIX = "skhalving-"
_ALIGNMENT = 64  # bytes; what NumPy and BLAS like best

# No shared value is written once the search has taken this part of the free disk.
_SHARE_OF_DISK = 1 / 4

# For each folder: classes and functions that its files refer to, by id, where the process that made
# the folder also reads and writes it.
_OF_THIS_PROCESS: dict[str, dict[int, Any]] = {}


class Store:
    """What evaluations leave for one another, in the folder of a search.

    Parameters
    ----------
    folder : str
        Made by :func:`temporary_folder`. A worker that cannot see it keeps nothing, and says so.

    lasting : str or None, default=None
        What the paths of models begin with, if other processes are to go on with them.
    """

    def __init__(self, folder: str, lasting: str | None = None) -> None:
        self.folder, self._lasting = folder, lasting is not None
        self._models = lasting or os.path.join(folder, "model-")
        self._maker = os.getpid()
        free = shutil.disk_usage(folder).free if self.is_here() else 0
        self._least_free = (1 - _SHARE_OF_DISK) * free

    def is_here(self) -> bool:
        """Whether this machine sees the folder, or that of models."""
        return os.path.isdir(os.path.dirname(self._models))

    # -- models, each for the next level of its candidate -----------------------------------------

    def keep(self, task: Task, model: Any) -> str | None:
        """Keep the model that a task has trained. Returns the reason if that cannot be done, else
        None."""
        if not self.is_here():
            return f"{socket.gethostname()} does not see the folder {os.path.dirname(self._models)}"
        try:
            self._write(os.path.join(self._folder(task), str(task.amount)), model)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    def take(self, task: Task) -> tuple[int, Any]:
        """The model of this candidate and fold that was trained with the largest amount below that
        of the task.

        Models of lower amounts are still there. So a model that cannot be read costs no more than
        the training of a level, and neither does a process that was killed after it had kept a
        model and before it had returned the score.

        Returns
        -------
        amount : int
            What the model was trained with; 0 if there is none.

        model : estimator or None
        """
        paths = Path(self._folder(task)).glob("*")
        files = {int(path.name): path for path in paths if path.name.isdigit()}  # the whole ones
        for amount in sorted((a for a in files if a < task.amount), reverse=True):
            with suppress(Exception):
                # In memory, since on Windows a file that is mapped cannot be replaced.
                return amount, _load(bytearray(files[amount].read_bytes()))
        return 0, None

    def drop(self, candidate: int) -> None:
        """Remove all models of a candidate that is out of the race."""
        shutil.rmtree(f"{self._models}{candidate}", ignore_errors=True)

    def _folder(self, task: Task) -> str:
        return os.path.join(f"{self._models}{task.candidate}", str(task.fold))

    # -- values that candidates share -------------------------------------------------------------

    def share(self, amount: int | None, name: str, value: Any) -> None:
        """Write a value for all evaluations of an amount (None: of any), while there is room.

        Raises
        ------
        OSError
            If the disk is full, or the folder cannot be written to.
        Exception
            If the value cannot be pickled.
        """
        if shutil.disk_usage(self.folder).free > self._least_free:
            self._write(self._shared(amount, name), value)

    def shared(self, amount: int | None, name: str) -> Any:
        """A value that was shared, as an object of its own; None if there is none."""
        with suppress(Exception), open(self._shared(amount, name), "rb") as file:
            return _load(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        return None

    def unshare(self, amount: int | None, name: str) -> None:
        """Remove one shared value."""
        with suppress(OSError):
            os.remove(self._shared(amount, name))

    def level_over(self, amount: int) -> None:
        """Remove what the evaluations of an amount have shared, when none of them is left."""
        shutil.rmtree(self._shared(amount), ignore_errors=True)

    def _shared(self, amount: int | None, *name: str) -> str:
        return os.path.join(self.folder, "shared", str(amount), *name)

    # -- a file: arrays, then a pickle of all else, then where that begins -------------------------

    def _write(self, path: str, value: Any) -> None:
        arrays: list[pickle.PickleBuffer] = []
        rest = io.BytesIO()
        here = self.folder if os.getpid() == self._maker else None
        _Pickler(here, self._lasting, rest, protocol=5, buffer_callback=arrays.append).dump(value)
        folder, name = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f"{name}.", dir=folder)
        try:
            with open(handle, "wb") as file:
                spans = []
                for array in arrays:
                    file.write(bytes(-file.tell() % _ALIGNMENT))
                    start = file.tell()
                    file.write(array.raw())
                    spans.append((start, file.tell()))
                end = file.tell()
                pickle.dump((spans, rest.getvalue()), file)
                file.write(end.to_bytes(8))
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # there is none of this name, unless something failed
                os.remove(temporary)


def _load(memory: bytearray | mmap.mmap) -> Any:
    """The value of a file; its arrays are parts of the memory."""
    view = memoryview(memory)
    spans, rest = pickle.loads(view[int.from_bytes(view[-8:]) :])
    return pickle.loads(rest, buffers=[view[start:end] for start, end in spans])


class _Pickler(cloudpickle.Pickler):
    """Keeps what a copy would lose.

    An array with gaps keeps its layout: on another layout sums differ in the last digit. Where the
    folder of this process is given, classes and functions are written as references to those of
    this process. Cloudpickle would write a class of the script itself by value, and on reading
    replace the methods of the living class by copies with globals of their own. Only other
    processes, if the file is lasting, get copies.
    """

    def __init__(self, here: str | None, lasting: bool, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._here, self._lasting = here, lasting

    def reducer_override(self, value: Any) -> Any:
        if self._here and isinstance(value, (type, FunctionType)) and value is not _of_this_process:
            _OF_THIS_PROCESS.setdefault(self._here, {})[id(value)] = value
            return _of_this_process, (
                self._here,
                id(value),
                cloudpickle.dumps(value) if self._lasting else b"",
            )
        base = value.base if type(value) is np.ndarray else None
        if (
            type(base) is np.ndarray
            and base.flags.forc
            and not (value.flags.forc or base.dtype.hasobject)
            and base.nbytes <= 2 * value.nbytes
        ):
            offset = value.ctypes.data - base.ctypes.data
            layout = value.shape, value.dtype, value.strides, offset
            return _with_gaps, (base.ravel(order="K"), *layout)
        return super().reducer_override(value)


def _of_this_process(folder: str, key: int, copy: bytes) -> Any:
    living = _OF_THIS_PROCESS.get(folder, {})
    return living[key] if key in living else pickle.loads(copy)


def _with_gaps(base: np.ndarray, shape: Any, dtype: Any, strides: Any, offset: int) -> np.ndarray:
    return np.ndarray(shape, dtype, base, offset, strides)


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
        if name.startswith(here) and pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    if os.name == "nt":  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:  # somebody else's process may not be asked, but is there
        return not isinstance(error, ProcessLookupError)
    return True
