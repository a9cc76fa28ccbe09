"""Batches of calls on joblib's workers: sent one by one, taken back as they end.

joblib's public interface runs a whole list of calls, and feeding it a generator that waits for
results deadlocks, since joblib pulls it under its lock. A race chooses its next evaluation when one
returns. So batches, one for each worker, go to the ``submit`` of loky's and threads' own backend,
or of dask's client; on other backends (ray, spark, multiprocessing) all that is ready is one public
call, a *wave*.

Whatever joblib calls private is in this file, with its reason. Checked on joblib 1.6.0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from typing import Any

# BatchedCalls: what backends are given to run; it sets the backend for calls within calls.
from joblib.parallel import BatchedCalls, Parallel, parallel_config

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class WorkerDied(Exception):
    """In place of results: the worker process that had them ended. ``certain``: they ended it."""

    def __init__(self, certain: bool) -> None:
        super().__init__(certain)
        self.certain = certain


class Workers:
    """Batches are sent while ``n_free`` is above 0, and received as they end."""

    n_workers = 1
    n_flying = 0  # batches sent and not yet received
    batch_seconds = 0.0  # how long a batch should be; 0 for single tasks

    def __init__(self, parallel: Parallel) -> None:
        self._parallel = parallel

    @property
    def n_free(self) -> float:
        """Batches that may be sent now."""
        return self.n_workers - self.n_flying

    def share(self, value: Any) -> Any:
        """What stands for a value among the arguments of calls.

        It travels once where the backend has a place for it (dask, ray); elsewhere with every
        batch, where joblib takes care of large arrays.
        """
        return value

    def send(self, tasks: list[Any], calls: list[Call]) -> None:
        """Start a batch: a call for each task. All calls have a shared value first."""
        raise NotImplementedError

    def receive(self, linger: float = 0.0) -> Iterator[tuple[list[Any], Any]]:
        """Tasks, and their results or WorkerDied, of all batches that have ended.

        Waits for one, and then, while more arrive, up to ``linger`` seconds for the next.
        """
        raise NotImplementedError

    def abort(self) -> None:
        """Stop what is running, as far as that can be done."""

    def close(self) -> None:
        """The end."""


class Here(Workers):
    """One batch at a time, in this process."""

    def __init__(self, parallel: Parallel) -> None:
        super().__init__(parallel)
        self._tasks: list[Any] = []
        self._calls: list[Call] = []

    def send(self, tasks: list[Any], calls: list[Call]) -> None:
        self._tasks += tasks
        self._calls += calls
        self.n_flying = 1

    def receive(self, linger: float = 0.0) -> Iterator[tuple[list[Any], Any]]:
        tasks, calls, self._tasks, self._calls = self._tasks, self._calls, [], []
        self.n_flying = 0
        yield tasks, self._run(calls)

    def _run(self, calls: list[Call]) -> list[Any]:
        return [function(*args, **kwargs) for function, args, kwargs in calls]


class Wave(Here):
    """All that is ready in one call of joblib's public interface."""

    n_free = inf

    def _run(self, calls: list[Call]) -> list[Any]:
        return self._parallel(calls)


class Ray(Wave):
    """A wave whose calls find what they share in ray's store, instead of carrying it."""

    def share(self, value: Any) -> Any:
        import ray

        return ray.put(value)

    def _run(self, calls: list[Call]) -> list[Any]:
        return super()._run([(_call_with, (function, *args), {}) for function, args, _ in calls])


def _call_with(function: Callable[..., Any], reference: Any, *arguments: Any) -> Any:
    import ray

    return function(ray.get(reference), *arguments)


class Submitted(Workers):
    """A batch for each worker, on a joblib backend whose ``submit`` calls back (loky, threads)."""

    batch_seconds = 0.2  # as joblib's own: a batch costs half a millisecond, and more on dask

    def __init__(self, parallel: Parallel) -> None:
        super().__init__(parallel)
        self._backend = parallel._backend
        self._backend.start_call()
        self._count_workers()
        self._arrived: SimpleQueue[tuple[list[Any], Any]] = SimpleQueue()

    def _count_workers(self) -> None:
        # _effective_n_jobs: what n_jobs=-1 or None means here.
        self.n_workers = self._parallel._effective_n_jobs()

    def send(self, tasks: list[Any], calls: list[Call]) -> None:
        nested = self._backend.get_nested_backend()
        self._submit(tasks, BatchedCalls(calls, nested, self._use_own_folder))
        self.n_flying += 1

    def _submit(self, tasks: list[Any], batch: BatchedCalls) -> Any:
        # Called back on another thread, which must do no more than pass it on.
        return self._backend.submit(batch, callback=lambda out: self._arrived.put((tasks, out)))

    def _use_own_folder(self) -> None:
        """Arrays that loky's workers share are files in a folder of this Parallel's own."""

    def receive(self, linger: float = 0.0) -> Iterator[tuple[list[Any], Any]]:
        arrived: Any = self._next()
        while arrived:
            tasks, out = arrived
            self.n_flying -= 1
            yield tasks, self._receive(out)
            arrived = self._next_within(linger)

    def _next(self) -> tuple[list[Any], Any]:
        return self._arrived.get()

    def _next_within(self, seconds: float) -> tuple[list[Any], Any] | None:
        try:
            return self._arrived.get(timeout=seconds)
        except Empty:
            return None

    def _receive(self, out: Any) -> Any:
        return self._backend.retrieve_result_callback(out)

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

    def _submit(self, tasks: list[Any], batch: BatchedCalls) -> Any:
        try:
            return super()._submit(tasks, batch)
        except BrokenProcessPool:
            # The workers are gone, and what was in flight comes back with that error. Start others.
            self._backend.abort_everything(ensure_ready=True)
            return super()._submit(tasks, batch)

    def _receive(self, out: Any) -> Any:
        try:
            return super()._receive(out)
        except BrokenProcessPool:
            return WorkerDied(certain=False)


class Dask(Submitted):
    """A cluster. A task that kills its worker is tried on others; then its future says so."""

    patience = 30.0  # seconds between looks whether there are workers at all

    def __init__(self, parallel: Parallel) -> None:
        super().__init__(parallel)
        self._flying: set[Any] = set()

    def share(self, value: Any) -> Any:
        # The future of a task, not of a scatter: dask makes the value again when the workers that
        # had it are gone.
        return self._start(_same, value)

    def send(self, tasks: list[Any], calls: list[Call]) -> None:
        # Not by the backend, which looks for results every 10 ms and not at all at dead workers.
        batch = [(function, args[1:], kwargs) for function, args, kwargs in calls]
        future = self._start(partial(_batch, batch), *[args[0] for _, args, _ in calls])
        self._flying.add(future)
        future.add_done_callback(lambda future: self._arrived.put((tasks, future)))
        self.n_flying += 1

    def _start(self, function: Callable[..., Any], *arguments: Any) -> Any:
        import dask

        options = {"pure": False, **self._backend.submit_kwargs}
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            return self._backend.client.submit(function, *arguments, **options)

    def _next(self) -> tuple[list[Any], Any]:
        while not (arrived := self._next_within(self.patience)):
            # A TimeoutError, if no worker is left and none comes for `wait_for_workers_timeout`.
            self._count_workers()
        return arrived

    def receive(self, linger: float = 0.0) -> Iterator[tuple[list[Any], Any]]:
        yield from super().receive(linger)
        if time.monotonic() > self._counted + 1:  # workers come and go; asking takes 10 ms
            self._count_workers()

    def _count_workers(self) -> None:
        super()._count_workers()
        self._counted = time.monotonic()

    def _receive(self, out: Any) -> Any:
        from distributed.scheduler import KilledWorker

        self._flying.discard(out)
        try:
            return out.result()
        except KilledWorker:
            return WorkerDied(certain=True)

    def abort(self) -> None:
        self._flying.clear()  # dask drops what nobody waits for


def _same(value: Any) -> Any:
    return value


def _batch(calls: list[Call], *shared: Any) -> list[Any]:
    """Calls that lack their first arguments, which dask puts in the place of futures."""
    with parallel_config(backend="dask"):
        return [
            function(value, *args, **kwargs)
            for value, (function, args, kwargs) in zip(shared, calls, strict=True)
        ]


# By name: dask's class is made only when it is asked for.
_BACKENDS: dict[str, type[Workers]] = {
    "SequentialBackend": Here,
    "ThreadingBackend": Submitted,
    "LokyBackend": Loky,
    "DaskDistributedBackend": Dask,
    "RayBackend": Ray,
}


@contextmanager
def workers(**options: Any) -> Iterator[Workers]:
    """Those of the joblib backend in use; ``options`` of ``joblib.Parallel``."""
    with ExitStack() as stack:
        parallel = stack.enter_context(Parallel(**options))
        # _backend: as `parallel_config` and n_jobs have it.
        backend = parallel._backend
        # retrieval_context: within a dask worker, its place is free for others while this waits.
        stack.enter_context(backend.retrieval_context())
        pool = _BACKENDS.get(type(backend).__name__, Wave)(parallel)
        try:
            yield pool
        except BaseException:
            pool.abort()
            raise
        finally:
            pool.close()
