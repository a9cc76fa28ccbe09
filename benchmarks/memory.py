"""Memory of the whole process tree while a search runs on two worker processes.

    python benchmarks/memory.py [MILLIONS_OF_ROWS [COLUMNS]]

Proportional set size (a page shared by n processes counts 1/n for each), sampled every 50 ms, at
its peak: of all processes, with and without what they had before there was an X; of the parent; and
of the larger worker. X has 20 columns, of float64 (so 6.25 million rows are 1 GB) or float32, in
memory or a memory map of a file. "1 %" is a search whose every rung has at most that share of the
rows; "all" ends at full resource, where each worker has a copy of the training rows of its fold, as
with any search of scikit-learn.
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


def write(path, shape, dtype):
    rng = np.random.default_rng(0)
    X = np.memmap(path, dtype=dtype, mode="w+", shape=shape)
    for start in range(0, shape[0], 100_000):
        X[start : start + 100_000] = rng.normal(size=X[start : start + 100_000].shape)
    X.flush()


def main(millions=6.25, columns=20):
    n_rows = int(millions * 1e6)
    shape = n_rows, int(columns)
    y = np.arange(n_rows) % 2
    search(np.random.default_rng(0).normal(size=(2000, shape[1])), y[:2000], 2000)  # workers start
    idle = sum(map(pss, tree(os.getpid())))
    print(f"{n_rows:,} rows; before X, {idle / 1e9:.2f} GB in all\n")
    head = f"{'X':<20}{'GB':>6}{'rows':>6}{'s':>7}{'peak / X':>10}{'less idle':>11}"
    print(f"{head}{'parent / X':>12}{'worker / X':>12}")
    for dtype in (np.float32, np.float64):
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            write(file.name, shape, dtype)
            for where in ("memory map", "memory"):
                X = np.memmap(file.name, dtype=dtype, mode="r", shape=shape)
                if where == "memory":
                    X = np.array(X)
                for name, rows in (("1 %", n_rows // 100), ("all", n_rows)):
                    start = time.perf_counter()
                    with Peak() as peak:
                        search(X, y, rows)
                    seconds, size = time.perf_counter() - start, X.nbytes
                    what = f"{np.dtype(dtype).name}, {where}"
                    print(f"{what:<20}{size / 1e9:>6.2f}{name:>6}{seconds:>7.1f}", end="")
                    print(f"{peak.tree / size:>10.2f}{(peak.tree - idle) / size:>11.2f}", end="")
                    print(f"{peak.parent / size:>12.2f}{peak.worker / size:>12.2f}", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
