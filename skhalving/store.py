"""Files that the evaluations of one search leave for one another, on one machine.

A search has one folder, which only its user can read. A fitted model waits there for the next level
of its candidate: a file named by candidate, fold and amount. It never travels through the script's
process, where 100 MB cost three times a file's time (``benchmarks/continuation.py``), nor is it an
argument of a task, which would arrive as a read-only memory map.

What candidates share is a file named by amount and content. Its arrays are not read but mapped, for
all processes together and copy-on-write: who writes into an array gets pages of his own, and the
file stays as it was. Whether a file pays is noted beside it, so that all workers know.

A file is written under a temporary name and then renamed, so it is whole or not there. The folder
goes with the search, whatever ends it; those of processes that were killed go with the next search.
This room knows nothing of what the files mean.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import IO, Any

import numpy as np

from skhalving.task import Task

try:
    import cloudpickle
except ImportError:  # joblib before 1.6 carries its own
    from joblib.externals import cloudpickle

_PREFIX = "skhalving-"
_ALIGNMENT = 64  # bytes; what NumPy and BLAS like best

# For each folder: classes and functions that models refer to, by id, where the process that made
# the folder also reads and writes it.
_OF_THIS_PROCESS: dict[str, dict[int, Any]] = {}


class Store:
    """What evaluations leave for one another, in the folder of a search.

    Parameters
    ----------
    folder : str
        Made by :func:`temporary_folder`. A worker that cannot see it keeps nothing, and says so.

    share_of_disk : float, default=0.25
        Shared values take at most this part of what they and the free disk have together.
    """

    def __init__(self, folder: str, share_of_disk: float = 0.25) -> None:
        self.folder = folder
        self._share_of_disk = share_of_disk
        self._maker = os.getpid()
        self._held: dict[Task, Any] = {}  # models that cannot be pickled

    # -- models, each for the next level of its candidate -----------------------------------------

    def _models(self, candidate: int, fold: int) -> str:
        return os.path.join(self.folder, "models", str(candidate), str(fold))

    def keep(self, task: Task, model: Any) -> str | None:
        """Keep the model that a task has trained; the reason if that cannot be done."""
        if not self.is_here():
            return f"{socket.gethostname()} does not see the folder {self.folder}"
        try:
            folder = self._models(task.candidate, task.fold)
            os.makedirs(folder, exist_ok=True)
            write(
                os.path.join(folder, str(task.amount)),
                lambda file: self._pickler(file).dump(model),
            )
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
            # A file that is still being written has a dot in its name.
            amounts = [int(name) for name in os.listdir(folder) if "." not in name]
            amount = max(amount for amount in amounts if amount < task.amount)
            with open(os.path.join(folder, str(amount)), "rb") as file:
                return amount, self._unpickler(file).load()
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

    # -- values that candidates share, and notes about them ---------------------------------------

    def _shared(self, amount: int | None, *name: str) -> str:
        return os.path.join(self.folder, "shared", str(amount), *name)

    def share(self, amount: int | None, name: str, value: Any) -> bool:
        """Write a value for all evaluations of an amount (None: of any); False if it is too big.

        Raises
        ------
        OSError
            If the disk is full, or the folder cannot be written to.
        Exception
            If the value cannot be pickled.
        """
        buffers: list[pickle.PickleBuffer] = []
        body = io.BytesIO()
        self._pickler(body, buffers.append).dump(value)
        parts = [body.getbuffer(), *(buffer.raw() for buffer in buffers)]
        used = _bytes_in(os.path.join(self.folder, "shared"))
        most = self._share_of_disk * (used + shutil.disk_usage(self.folder).free)
        if used + sum(part.nbytes for part in parts) > most:
            return False
        os.makedirs(self._shared(amount), exist_ok=True)
        write(self._shared(amount, name), lambda file: _write_parts(file, parts))
        return True

    def shared(self, amount: int | None, name: str) -> Any:
        """A value that was shared, as an object of its own; None if there is none."""
        with suppress(Exception), open(self._shared(amount, name), "rb") as file:
            body, *buffers = _map_parts(file)
            return self._unpickler(io.BytesIO(body), buffers).load()
        return None

    def unshare(self, amount: int | None, name: str) -> None:
        """Remove one shared value."""
        with suppress(OSError):
            os.remove(self._shared(amount, name))

    def level_over(self, amount: int) -> None:
        """Remove what was shared by the evaluations of an amount, of which none will come."""
        shutil.rmtree(self._shared(amount), ignore_errors=True)

    def note(self, subject: str, text: str) -> None:
        """Leave one line about a subject for all workers."""
        with suppress(OSError):
            os.makedirs(os.path.join(self.folder, "notes"), exist_ok=True)
            with open(os.path.join(self.folder, "notes", subject), "a") as file:
                file.write(f"{text}\n")

    def notes(self, subject: str) -> set[str]:
        """All lines about a subject."""
        with suppress(OSError), open(os.path.join(self.folder, "notes", subject)) as file:
            return set(file.read().splitlines())
        return set()

    # -- how values are written and read ----------------------------------------------------------

    def is_here(self) -> bool:
        """Whether this machine sees the folder."""
        return os.path.isdir(self.folder)

    def _pickler(self, file: IO[bytes], on_buffer: Callable[..., Any] | None = None) -> Any:
        if os.getpid() != self._maker:
            return _Pickler(file, protocol=5, buffer_callback=on_buffer)
        own = _OF_THIS_PROCESS.setdefault(self.folder, {})
        return _ByReference(own, file, protocol=5, buffer_callback=on_buffer)

    def _unpickler(self, file: IO[bytes], buffers: Iterable[Any] = ()) -> Any:
        return _FromReference(_OF_THIS_PROCESS.get(self.folder, {}), file, buffers=buffers)


class _Pickler(cloudpickle.Pickler):
    """Keeps the layout of an array with gaps: on another layout sums differ in the last digit."""

    def reducer_override(self, value: Any) -> Any:
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


def _with_gaps(base: np.ndarray, shape: Any, dtype: Any, strides: Any, offset: int) -> np.ndarray:
    return np.ndarray(shape, dtype, base, offset, strides)


class _ByReference(_Pickler):
    """Leaves classes and functions in this process instead of copying them.

    cloudpickle would write a class of the script itself by value, and on reading replace the
    methods of the living class by copies with globals of their own.
    """

    def __init__(self, own: dict[int, Any], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own = own

    def persistent_id(self, value: Any) -> int | None:
        if not isinstance(value, (type, FunctionType)):
            return None
        self._own[id(value)] = value
        return id(value)


class _FromReference(pickle.Unpickler):
    def __init__(self, own: dict[int, Any], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own = own

    def persistent_load(self, key: int) -> Any:
        return self._own[key]


def _write_parts(file: IO[bytes], parts: list[memoryview]) -> None:
    """The lengths, then each part where an array may begin."""
    lengths = np.array([len(parts), *(part.nbytes for part in parts)], dtype=np.int64)
    file.write(lengths.tobytes())
    for part in parts:
        file.write(bytes(-file.tell() % _ALIGNMENT))
        file.write(part)


def _map_parts(file: IO[bytes]) -> Iterator[memoryview]:
    whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    n_parts = int(whole[:8].cast("q")[0])
    end = 8 * (n_parts + 1)
    for length in whole[8:end].cast("q"):
        start = end + -end % _ALIGNMENT
        end = start + length
        yield whole[start:end]


def write(path: str, dump: Callable[[IO[bytes]], None]) -> None:
    """Let ``dump(file)`` write a file that is whole or not there."""
    folder, name = os.path.split(path)
    handle, temporary = tempfile.mkstemp(prefix=f"{name}.", dir=folder)
    try:
        with open(handle, "wb") as file:
            dump(file)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise


def _bytes_in(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # another worker has just renamed or removed it
                total += os.path.getsize(os.path.join(parent, name))
    return total


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
