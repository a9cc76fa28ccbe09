"""Memory of the whole process tree while a search runs on two worker processes.

    python -m benchmarks.memory [MILLIONS_OF_ROWS [COLUMNS]]

Proportional set size (a page shared by n processes counts 1/n for each), sampled every 50 ms. It
prints the peaks: of all processes, with and without what they had before X was made; of the parent;
and of the larger worker. X has 20 columns, of float64 (so 6.25 million rows are 1 GB) or float32,
in memory or a memory map of a file. "1 %" is a search whose every rung has at most that share of
the rows; "all" ends at full resource, where each worker has a copy of the training rows of its
fold, as with any search of scikit-learn.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier

from benchmarks.measure import markdown, peaks, timed
from skhalving import SuccessiveHalvingSearchCV


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    try:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                yield from tree(int(child))
    except OSError:
        return


def pss(pid: int) -> int:
    """Bytes; 0 for a process that has just gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def sizes() -> tuple[int, int, int]:
    """Bytes of the tree, of the parent in it, and of the largest worker."""
    parent, *workers = map(pss, tree(os.getpid()))
    return parent + sum(workers), parent, max(workers, default=0)


def search(X: np.ndarray, y: np.ndarray, max_resources: int) -> None:
    SuccessiveHalvingSearchCV(
        SGDClassifier(max_iter=1, tol=None, random_state=0),
        {"alpha": list(np.logspace(-6, 0, 9))},
        max_resources=max_resources,
        min_resources=max_resources // 3,
        schedule="published",
        cv=3,
        n_jobs=2,
        refit=False,
        random_state=0,
    ).fit(X, y)


def arrays(shape: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """X by its name: a memory map of a file, and in memory."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            X = np.memmap(file.name, dtype=dtype, mode="w+", shape=shape)
            for start in range(0, len(X), 100_000):
                X[start : start + 100_000] = rng.normal(size=X[start : start + 100_000].shape)
            X.flush()
            X = np.memmap(file.name, dtype=dtype, mode="r", shape=shape)
            yield f"{X.dtype.name}, memory map", X
            X = np.array(X)  # the map goes, since its pages would count as well
            yield f"{X.dtype.name}, in memory", X


def main(millions: float = 6.25, columns: float = 20) -> None:
    n_rows, n_columns = int(millions * 1e6), int(columns)
    y, rows = np.arange(n_rows) % 2, []
    search(np.random.default_rng(0).normal(size=(2000, n_columns)), y[:2000], 2000)  # workers start
    idle, *_ = sizes()
    for name, X in arrays((n_rows, n_columns)):
        for share, most in (("1 %", n_rows // 100), ("all", n_rows)):
            with peaks(sizes, every=0.05) as peak:
                seconds, _ = timed(search, X, y, most, clock=time.perf_counter)
            of_all, parent, worker = peak
            of_X = (f"{size / X.nbytes:.2f}" for size in (of_all, of_all - idle, parent, worker))
            rows.append([name, f"{X.nbytes / 1e9:.2f}", share, f"{seconds:.0f}", *of_X])
    head = ["X", "GB", "share", "seconds", "all processes", "less idle", "parent", "larger worker"]
    print(markdown(head, rows))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
