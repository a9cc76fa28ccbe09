"""Memory of the whole process tree while a search runs on two worker processes.

    python benchmarks/memory.py [MILLIONS_OF_ROWS [COLUMNS]]

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
import threading
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier

from skhalving import SuccessiveHalvingSearchCV


def tree(pid):
    """A process and all below it."""
    yield pid
    try:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                yield from tree(int(child))
    except OSError:
        return


def pss(pid):
    """Bytes; 0 for a process that has just gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Peak:
    """The most that the tree, and the parent in it, had while this was entered."""

    tree = parent = worker = 0

    def __enter__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.05):
            sizes = [pss(pid) for pid in tree(os.getpid())]
            self.tree, self.parent = max(self.tree, sum(sizes)), max(self.parent, sizes[0])
            self.worker = max(self.worker, *sizes[1:], 0)


def search(X, y, max_resources):
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


def arrays(shape):
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
            yield f"{X.dtype.name}, in memory", np.array(X)


def main(millions=6.25, columns=20):
    n_rows, n_columns = int(millions * 1e6), int(columns)
    y = np.arange(n_rows) % 2
    search(np.random.default_rng(0).normal(size=(2000, n_columns)), y[:2000], 2000)  # workers start
    idle = sum(map(pss, tree(os.getpid())))
    head = ["X", "GB", "share", "seconds", "all processes", "less idle", "parent", "larger worker"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, X in arrays((n_rows, n_columns)):
        for share, rows in (("1 %", n_rows // 100), ("all", n_rows)):
            start = time.perf_counter()
            with Peak() as peak:
                search(X, y, rows)
            seconds = time.perf_counter() - start
            sizes = (peak.tree, peak.tree - idle, peak.parent, peak.worker)
            cells = " | ".join(f"{size / X.nbytes:.2f}" for size in sizes)
            print(f"| {name} | {X.nbytes / 1e9:.2f} | {share} | {seconds:.0f} | {cells} |")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
