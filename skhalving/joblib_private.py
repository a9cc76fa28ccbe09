"""Every private joblib name in use, with its reason. Checked on joblib 1.6.0."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any


def is_dead_worker(error: BaseException) -> bool:
    """Whether joblib raised it because a worker process died (loky, dask)."""
    return isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker"


def report_dead_workers(parallel: Any) -> None:
    """Make a dask task that always kills its worker an error that names it.

    dask tries it on four workers, gives up and says so on the future; but joblib's dask backend
    calls back for results only, and joblib would wait for ever. Other backends call back for errors
    too. Tasks go one by one, so that the error is of one task.
    """
    backend = parallel._backend
    if type(backend).__name__ != "DaskDistributedBackend":
        return
    parallel.batch_size = 1
    submit, n_workers = backend.submit, len(backend.client.ncores())

    def watched(batch: Any, callback: Callable[[Any], None]) -> Future[Any]:
        def report(future: Future[Any]) -> None:
            error: Any = future.exception()
            if error is not None:
                ((_, arguments, _),) = batch.items
                error.arguments = arguments
                # joblib runs tasks in this process while it sees one worker: wait for the others.
                error.recover = lambda: backend.client.wait_for_workers(n_workers, timeout=60)
                callback(error)

        future = submit(batch, callback)
        future.add_done_callback(report)
        return future

    backend.submit = watched
