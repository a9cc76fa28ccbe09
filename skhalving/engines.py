"""Engines: batches are sent to workers one by one, and come back as they end.

joblib's public interface runs a whole list of calls, and feeding it a generator that waits for
results deadlocks, since joblib pulls the generator under its lock. A race chooses its next
evaluation when one returns. So an engine sends a batch to each worker by the layer below that
interface: the ``submit`` of joblib's backends for threads and processes (loky), dask's client,
ray's remote functions. On every other backend (multiprocessing, spark) all batches that are ready
are one public call, a *wave*. The engine follows from the joblib backend that the user has chosen;
another distributed engine is one more subclass and one line in ``_ENGINES``.

When the process that has a batch ends, the batch comes back with ``Died``. The caller decides what
follows, and may send the batch again, ``alone``.

This module knows nothing of what is evaluated. Every private name of joblib is in it, with the
reason for its use. Checked on joblib 1.5.0 to 1.6.0.
"""

import os
import pickle
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

# The errors of loky that say that a process died, and that somebody else shut the pool down; loky
# exports only their base classes, which other errors have as well.
from joblib.externals.loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

# BatchedCalls: what joblib gives its backends to run; it sets the backend for calls within calls.
from joblib.parallel import BatchedCalls, Parallel, delayed, parallel_config

from skhalving.store import cloudpickle

# A process of loky that has grown by 300 MB ends itself, since loky takes that for a leak.
_KEPT_VALUES = 10
_KEPT_BYTES = 10_000_000


class Call(NamedTuple):
    """A worker runs ``function(shared, *args)``.

    ``shared`` lists handles from ``Engine.share``; the worker has their values in a list.
    """

    function: Callable[..., Any]
    shared: list[Any]
    args: tuple[Any, ...]

    @property
    def delayed(self) -> Any:
        """As joblib takes a call."""
        return delayed(self.function)(self.shared, *self.args)


class Died(NamedTuple):
    """In place of a batch's result: the process that had the batch ended.

    ``kills`` is the number of processes that the batch itself is known to have ended; 0 when a
    pool of several broke, where nobody knows which batch did it.
    """

    kills: int


Prepare = Callable[[], Call]


class Engine(ABC):
    """Batches may be sent while ``n_free`` is above 0, and are received as they end."""

    batch_seconds = 0.0  # how long a batch should be; 0 for single tasks
    folder: str  # for files that the processes of this machine share

    def __init__(self, parallel: Parallel) -> None:
        self._parallel = parallel
        # _backend: the backend that follows from `parallel_config` and n_jobs.
        self._backend = parallel._backend
        # _effective_n_jobs: the number of workers that n_jobs=-1 or None means on this backend.
        self.n_workers: int = parallel._effective_n_jobs()
        # The tasks of each batch that was sent and not yet received. The key is the batch's future,
        # or its ``prepare`` where there is none.
        self._flying: dict[Any, list[Any]] = {}

    @property
    def n_flying(self) -> int:
        """Batches that were sent and not yet received."""
        return len(self._flying)

    @property
    def n_free(self) -> float:
        """Batches that may be sent now."""
        return self.n_workers - self.n_flying

    def share(self, value: Any) -> Any:
        """A handle for a value that many calls have in common.

        The value travels once where the engine has a place for it (loky up to 10 MB, dask, ray).
        Elsewhere it goes along with every batch, and joblib takes care of large arrays.
        """
        return value

    @abstractmethod
    def send(self, tasks: list[Any], prepare: Prepare) -> None:
        """Start a batch: the call that ``prepare`` returns when the batch is about to start.

        Each batch has a ``prepare`` of its own.
        """

    @abstractmethod
    def receive(self) -> Iterator[tuple[list[Any], Any]]:
        """The tasks of a batch that has ended, with its result or Died; several batches where they
        end together.

        Waits for a batch if any is in flight. An exception of a call is raised here.
        """

    def alone(self, tasks: list[Any], prepare: Prepare) -> Iterator[tuple[list[Any], Any]]:
        """Send and receive a batch that may have ended a process, while no other is in flight."""
        self.send(tasks, prepare)
        return self.receive()

    def abort(self) -> None:
        """Stop the batches that are running, where the engine can."""
        self._flying.clear()


class Here(Engine):
    """This process. A batch waits until ``receive`` runs it; batches run one at a time."""

    def send(self, tasks: list[Any], prepare: Prepare) -> None:
        self._flying[prepare] = tasks

    def receive(self) -> Iterator[tuple[list[Any], Any]]:
        waiting, self._flying = self._flying, {}
        results = self._parallel(prepare().delayed for prepare in waiting)
        yield from zip(waiting.values(), results, strict=True)


class Wave(Here):
    """All batches that are ready, in one call of joblib's public interface."""

    n_free = inf


class Submitted(Engine):
    """A batch for each worker. Each batch is a future, which calls back from any thread when it
    ends."""

    batch_seconds = 0.2  # as joblib's own: a batch costs half a millisecond, and more on dask

    def __init__(self, parallel: Parallel) -> None:
        super().__init__(parallel)
        self._ended: SimpleQueue[Any] = SimpleQueue()

    def send(self, tasks: list[Any], prepare: Prepare) -> None:
        future = self._start(prepare())
        self._flying[future] = tasks
        future.add_done_callback(self._ended.put)

    def receive(self) -> Iterator[tuple[list[Any], Any]]:
        if self._flying:
            future = self._next()
            yield self._flying.pop(future), self._result(future)

    def _next(self) -> Any:
        """Wait for a future that has ended."""
        return self._ended.get()

    @abstractmethod
    def _start(self, call: Call) -> Any:
        """A future for a call."""

    @abstractmethod
    def _result(self, future: Any) -> Any:
        """The result or Died, from a future that has ended."""


class Threads(Submitted):
    """Threads of this process."""

    def _start(self, call: Call) -> Any:
        future: Future[Any] = Future()
        self._backend.submit(self._batch(call), callback=future.set_result)
        return future

    def _batch(self, call: Call, pickling: Callable[[], None] | None = None) -> BatchedCalls:
        return BatchedCalls([call.delayed], self._backend.get_nested_backend(), pickling)

    def _result(self, future: Any) -> Any:
        return self._backend.retrieve_result_callback(future.result())[0]

    def abort(self) -> None:
        self._backend.abort_everything(ensure_ready=False)


class Loky(Threads):
    """Processes of this machine, in the pool that all joblib calls of this process share.

    When one process dies, or another thread's search shuts the pool down, all that is in flight
    comes back as Died, and the next batch starts a pool.
    """

    tries = 10  # starts of a process, since a process may also be killed while it starts

    def share(self, value: Any) -> Any:
        # A small value is a file, since joblib would write and read it anew with every batch.
        path = Path(self.folder, f"kept-{id(value)}")
        with suppress(Exception), open(path, "wb") as file:  # joblib will say what is wrong
            _Pickler(file).dump(value)
            if file.tell() <= _KEPT_BYTES:
                return _Kept(path)
        path.unlink(missing_ok=True)
        return value

    def _start(self, call: Call) -> Any:
        batch = self._batch(call, self._use_own_folder)
        while True:
            with suppress(BrokenProcessPool, ShutdownExecutorError):
                return self._backend.submit(batch)
            self.abort()
            # _initialize_backend: a pool as joblib starts it, with the options of this one.
            self._parallel._initialize_backend()

    def _use_own_folder(self) -> None:
        """Arrays that loky's workers share are files in a folder of this Parallel's own."""
        # _id, _temp_folder_manager: joblib itself does this whenever a batch is pickled.
        folders = self._backend._workers._temp_folder_manager
        folders.set_current_context(self._parallel._id)

    def _result(self, future: Any) -> Any:
        try:
            return future.result()[0]
        except (BrokenProcessPool, ShutdownExecutorError):
            return Died(kills=0)

    def alone(self, tasks: list[Any], prepare: Prepare) -> Iterator[tuple[list[Any], Any]]:
        """In a process of its own, so that nobody else's batch can break it."""
        executor = self._process()
        try:
            (result,) = executor.submit(self._batch(prepare())).result()
        except TerminatedWorkerError:
            result = Died(kills=1)
        finally:
            executor.shutdown(kill_workers=True)
        yield tasks, result

    def _process(self) -> ProcessPoolExecutor:
        """A new process, started before it gets a batch: if it dies while it starts, no batch is to
        blame."""
        # _prepare_worker_env: as many threads for linear algebra as in the pool, since the last
        # digits of a score may depend on them.
        env = self._backend._prepare_worker_env(n_jobs=self.n_workers)
        for _ in range(self.tries):
            executor = ProcessPoolExecutor(max_workers=1, env=env)
            error = executor.submit(os.getpid).exception()
            if error is None:
                return executor
            executor.shutdown(kill_workers=True)
        raise error


class _Kept(NamedTuple):
    """A value of a batch for loky: a process reads it from a file once, and keeps it."""

    path: Path

    def __reduce__(self) -> Any:
        return _read, (self.path,)


@lru_cache(_KEPT_VALUES)
def _read(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


class _Pickler(cloudpickle.Pickler):
    """Fails at a large array before it copies the array: joblib puts that into shared memory, or
    leaves it in the file of which it is a map."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.nbytes > _KEPT_BYTES:
            raise ValueError(f"{value.nbytes=} is above {_KEPT_BYTES}")
        return super().reducer_override(value)


class Dask(Submitted):
    """A cluster. A batch that kills its worker is tried on others, until dask gives it up.

    dask itself drops tasks whose results nobody waits for, so ``abort`` stops nothing.
    """

    patience = 30.0  # seconds to wait for a batch before looking whether any worker is left
    _next_count = 0.0  # when to look again how many there are

    def share(self, value: Any) -> Any:
        # The value is the result of a dask task and is not scattered: if the workers that hold it
        # are gone, dask runs the task again, but cannot scatter again.
        return self._submit(_same, value)

    def _start(self, call: Call) -> Any:
        # joblib's dask backend is not used: it looks for results every 10 ms, and never notices
        # that workers died. The arguments are in a partial, since dask searches plain arguments for
        # futures.
        batch = partial(_batch, ("dask", None), call.function, call.args)
        return self._submit(batch, *call.shared)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        import dask

        options = {"pure": False, **self._backend.submit_kwargs}
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            return self._backend.client.submit(function, *arguments, **options)

    def _next(self) -> Any:
        while True:
            if time.monotonic() > self._next_count:  # workers come and go; asking takes 10 ms
                # A TimeoutError, if none is left and none comes for `wait_for_workers_timeout`.
                self.n_workers = self._parallel._effective_n_jobs()
                self._next_count = time.monotonic() + 1
            with suppress(Empty):
                return self._ended.get(timeout=self.patience)

    def _result(self, future: Any) -> Any:
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            return Died(kills=error.allowed_failures + 1)


class Ray(Submitted):
    """A cluster. Each batch is a task of ray's own, since joblib's actors die with their pool."""

    def __init__(self, parallel: Parallel) -> None:
        import ray

        if not ray.is_initialized():
            ray.init()
        super().__init__(parallel)
        self._ray = ray
        # ray_remote_args: as given to `parallel_config`.
        options = {"max_retries": 0, **(self._backend.ray_remote_args or {})}
        self._task = ray.remote(**options)(_batch)

    def share(self, value: Any) -> Any:
        return self._ray.put(value)

    def _start(self, call: Call) -> Any:
        nested = self._backend.get_nested_backend()
        return self._task.remote(nested, call.function, call.args, *call.shared).future()

    def _result(self, future: Any) -> Any:
        deaths = self._ray.exceptions
        try:
            return future.result()
        except (deaths.WorkerCrashedError, deaths.OutOfMemoryError, deaths.NodeDiedError):
            return Died(kills=1)

    def abort(self) -> None:
        for future in self._flying:
            self._ray.cancel(future.object_ref, force=True)


def _same(value: Any) -> Any:  # a lambda would make dask pickle the value once more, and in vain
    return value


def _batch(
    nested: tuple[Any, int | None],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    *shared: Any,
) -> Any:
    """Run on a worker of a cluster, which has put the value of each handle into ``shared``.
    ``nested`` is the backend for calls within this one, and its ``n_jobs``."""
    backend, n_jobs = nested
    with parallel_config(backend=backend, n_jobs=n_jobs):
        return function(list(shared), *args)


# By name: joblib makes dask's class only when it is asked for. All others go in waves.
_ENGINES: dict[str, type[Engine]] = {
    "SequentialBackend": Here,
    "ThreadingBackend": Threads,
    "LokyBackend": Loky,
    "DaskDistributedBackend": Dask,
    "RayBackend": Ray,
}


@contextmanager
def engine(folder: str, **options: Any) -> Iterator[Engine]:
    """The engine for the joblib backend in use; ``options`` of ``joblib.Parallel``.

    The folder belongs to the search. On leaving with an exception, SIGTERM included, running
    batches are stopped.
    """
    parallel = Parallel(**options)
    kind = _ENGINES.get(type(parallel._backend).__name__, Wave)
    # Entering a Parallel starts its workers; those of ray would take the place of ray's own tasks.
    workers = nullcontext() if kind is Ray else parallel
    # A pool of multiprocessing forks others when a call fails, and ends them by SIGTERM. Python
    # forgets a signal that it handles itself when it arrives amid a fork: the pool would wait for
    # ever. So there SIGTERM keeps its action.
    handler = nullcontext() if kind is Wave else _sigterm_unwinds()
    # retrieval_context: within a dask worker, its place is free for others while this waits.
    with parallel._backend.retrieval_context(), workers, handler:
        made = kind(parallel)
        if made.n_workers == 1 and kind is not Dask:  # others may join a single worker of dask
            made = Here(parallel)
        made.folder = folder
        try:
            yield made
        except BaseException:
            made.abort()
            raise


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """SIGTERM raises SystemExit here, as Ctrl-C does KeyboardInterrupt.

    The default action of SIGTERM would leave processes and files behind. A handler that the user
    has set stays.
    """
    process = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        if os.getpid() != process:  # a fork of it has nothing to clean up
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(128 + number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
