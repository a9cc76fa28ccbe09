"""Batches of calls on joblib's workers: sent one by one, taken back as they end.

joblib's public interface runs a whole list of calls, and feeding it a generator that waits for
results deadlocks, since joblib pulls it under its lock. A race chooses its next evaluation when one
returns. So on loky, on threads and on dask, batches go to the backend's own ``submit``, one for
each worker; on other backends (ray, spark, multiprocessing) all that is ready is one public call,
a *wave*.

Whatever joblib calls private is in this file, with its reason. Checked on joblib 1.6.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from math import inf
from queue import Empty, SimpleQueue
from typing import Any

# BatchedCalls: what backends are given to run; it sets the backend for calls within calls.
from joblib.parallel import BatchedCalls, Parallel

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class WorkerDied(Exception):
    """In place of results: the worker process that had them ended. ``certain``: they ended it."""

    def __init__(self, certain: bool) -> None:
        super().__init__(certain)
        self.certain = certain


class Here:
    """One batch at a time, in this process."""

    n_workers = 1
    batch_seconds = 0.0  # how long a batch should be; 0 for single tasks

    def __init__(self, parallel: Parallel, shared: Any) -> None:
        self._parallel = parallel
        self._tasks: list[Any] = []
        self._calls: list[Call] = []

    @property
    def n_flying(self) -> int:
        """Batches sent and not yet received."""
        return bool(self._tasks)

    @property
    def n_free(self) -> float:
        """Batches that may be sent now."""
        return self.n_workers - self.n_flying

    def send(self, tasks: list[Any], calls: list[Call]) -> None:
        """Start a batch: a call for each task."""
        self._tasks += tasks
        self._calls += calls

    def receive(self) -> tuple[list[Any], Any]:
        """Tasks, and their results or WorkerDied; waits for them."""
        tasks, calls, self._tasks, self._calls = self._tasks, self._calls, [], []
        return tasks, self._run(calls)

    def _run(self, calls: list[Call]) -> list[Any]:
        return [function(*args, **kwargs) for function, args, kwargs in calls]

    def abort(self) -> None:
        """Stop what is running, as far as that can be done."""

    def close(self) -> None:
        """The end."""


class Wave(Here):
    """All that is ready in one call of joblib's public interface."""

    n_free = inf

    def _run(self, calls: list[Call]) -> list[Any]:
        return self._parallel(calls)


class Ray(Wave):
    """A wave whose calls find what they share in ray's store, instead of carrying it."""

    def __init__(self, parallel: Parallel, shared: Any) -> None:
        import ray

        super().__init__(parallel, shared)
        self._reference = ray.put(shared)

    def _run(self, calls: list[Call]) -> list[Any]:
        return super()._run(
            [
                (_call_with, (self._reference, function, *args[1:]), {})
                for function, args, _ in calls
            ]
        )


def _call_with(reference: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    import ray

    return function(ray.get(reference), *arguments)


class Submitted:
    """A batch for each worker, on a joblib backend whose ``submit`` calls back (loky, threads)."""

    batch_seconds = 0.2  # as joblib's own: a batch costs half a millisecond, and more on dask

    def __init__(self, parallel: Parallel, shared: Any) -> None:
        # _effective_n_jobs: what n_jobs=-1 or None means here.
        self.n_workers = parallel._effective_n_jobs()
        self._parallel, self._backend = parallel, parallel._backend
        self._backend.start_call()
        self._numbers = count()
        self._flying: dict[int, list[Any]] = {}
        self._arrived: SimpleQueue[tuple[int, Callable[[], Any]]] = SimpleQueue()

    @property
    def n_flying(self) -> int:
        return len(self._flying)

    @property
    def n_free(self) -> int:
        return self.n_workers - self.n_flying

    def send(self, tasks: list[Any], calls: list[Call]) -> None:
        nested = self._backend.get_nested_backend()
        number = next(self._numbers)
        self._flying[number] = tasks
        self._submit(number, BatchedCalls(calls, nested, self._use_own_folder))

    def _submit(self, number: int, batch: BatchedCalls) -> Any:
        """Called back on another thread, which must do no more than pass it on."""

        def arrived(out: Any) -> None:
            self._arrived.put((number, lambda: self._backend.retrieve_result_callback(out)))

        return self._backend.submit(batch, callback=arrived)

    def _use_own_folder(self) -> None:
        """Arrays that loky's workers share are files in a folder of this Parallel's own."""

    def receive(self) -> tuple[list[Any], Any]:
        number, results = self._next()
        return self._flying.pop(number), self._receive(results)

    def _next(self) -> tuple[int, Callable[[], Any]]:
        return self._arrived.get()

    def _receive(self, results: Callable[[], Any]) -> Any:
        return results()

    def abort(self) -> None:
        self._backend.abort_everything(ensure_ready=False)

    def close(self) -> None:
        self._backend.stop_call()


class Loky(Submitted):
    """Processes of this machine. When one dies, all in flight is lost."""

    def _use_own_folder(self) -> None:
        # _id, _temp_folder_manager: joblib itself does this whenever a batch is pickled.
        folders = self._backend._workers._temp_folder_manager
        folders.set_current_context(self._parallel._id)

    def _submit(self, number: int, batch: BatchedCalls) -> Any:
        try:
            return super()._submit(number, batch)
        except BrokenProcessPool:
            # The workers are gone, and what was in flight comes back with that error. Start others.
            self._backend.abort_everything(ensure_ready=True)
            return super()._submit(number, batch)

    def _receive(self, results: Callable[[], Any]) -> Any:
        try:
            return results()
        except BrokenProcessPool:
            return WorkerDied(certain=False)


class Dask(Submitted):
    """A cluster. A task that kills its worker is tried on others; then its future says so."""

    patience = 30.0  # seconds between looks whether there are workers at all

    def __init__(self, parallel: Parallel, shared: Any) -> None:
        super().__init__(parallel, shared)
        # data_futures: an argument in there travels as its future. It is that of a task, not of a
        # scatter: dask makes the value again when the workers that had it are gone.
        self._shared = shared
        self._backend.data_futures[id(shared)] = self._future_of(shared)

    def _future_of(self, value: Any) -> Any:
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            return self._backend.client.submit(_same, value, pure=False)

    @property
    def n_free(self) -> int:
        self.n_workers = self._parallel._effective_n_jobs()  # workers come and go
        return super().n_free

    def _submit(self, number: int, batch: BatchedCalls) -> Any:
        def failed(future: Any) -> None:
            if future.exception() is not None:
                self._arrived.put((number, future.result))

        # The backend itself calls back for results alone.
        super()._submit(number, batch).add_done_callback(failed)

    def _next(self) -> tuple[int, Callable[[], Any]]:
        while True:
            with suppress(Empty):
                return self._arrived.get(timeout=self.patience)
            # A TimeoutError, if no worker is left and none comes for `wait_for_workers_timeout`.
            self._parallel._effective_n_jobs()

    def _receive(self, results: Callable[[], Any]) -> Any:
        from distributed.scheduler import KilledWorker

        try:
            return results()
        except KilledWorker:
            return WorkerDied(certain=True)

    def close(self) -> None:
        del self._backend.data_futures[id(self._shared)]
        super().close()


def _same(value: Any) -> Any:
    return value


# By name: dask's class is made only when it is asked for.
_BACKENDS: dict[str, type[Here] | type[Submitted]] = {
    "SequentialBackend": Here,
    "ThreadingBackend": Submitted,
    "LokyBackend": Loky,
    "DaskDistributedBackend": Dask,
    "RayBackend": Ray,
}


@contextmanager
def workers(shared: Any, **options: Any) -> Iterator[Here | Submitted]:
    """Those of the joblib backend in use; ``options`` of ``joblib.Parallel``.

    ``shared`` is the first argument of every call. It travels once where the backend has a place
    for it (dask, ray), else with every batch, where joblib takes care of large arrays.
    """
    with ExitStack() as stack:
        parallel = stack.enter_context(Parallel(**options))
        # _backend: as `parallel_config` and n_jobs have it.
        backend = parallel._backend
        # retrieval_context: within a dask worker, its place is free for others while this waits.
        stack.enter_context(backend.retrieval_context())
        pool = _BACKENDS.get(type(backend).__name__, Wave)(parallel, shared)
        try:
            yield pool
        except BaseException:
            pool.abort()
            raise
        finally:
            pool.close()
