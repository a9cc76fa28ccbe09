"""Memory of the whole process tree while a search runs on two worker processes.

    python benchmarks/memory.py [GIGABYTES]

Proportional set size (a page shared by n processes counts 1/n for each), sampled every 50 ms, at
its peak and over the size of X; beside it, of that, what belongs to the parent. X is float64, in
memory or a memory map of a file. "1 % of the rows" is a search whose every rung has at most that
many; "all rows" ends at full resource, where each worker holds the training rows of its fold, as
with any search of scikit-learn.
"""

import os
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier

from skhalving import SuccessiveHalvingSearchCV

COLUMNS = 20


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

    tree = parent = 0

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


def search(X, y, max_resources):
    SuccessiveHalvingSearchCV(
        SGDClassifier(max_iter=1, tol=None, random_state=0),
        {"alpha": list(np.logspace(-6, 0, 9))},
        max_resources=max_resources,
        min_resources=max_resources // 9,
        cv=3,
        n_jobs=2,
        refit=False,
        random_state=0,
    ).fit(X, y)


def main(gigabytes=1.0):
    n_rows = int(gigabytes * 1e9) // (8 * COLUMNS)
    rng = np.random.default_rng(0)
    y = np.arange(n_rows) % 2
    search(rng.normal(size=(2000, COLUMNS)), y[:2000], 2000)  # the workers start
    print(f"X: {n_rows} rows x {COLUMNS} float64, {gigabytes} GB\n")
    print(f"{'X':<12}{'search':<18}{'idle / X':>10}{'peak / X':>10}{'parent / X':>12}")
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        for where in ("memory map", "memory"):
            if where == "memory map":
                X = np.memmap(file.name, dtype=np.float64, mode="w+", shape=(n_rows, COLUMNS))
                for start in range(0, n_rows, 100_000):
                    part = X[start : start + 100_000]
                    part[:] = rng.normal(size=part.shape)
                X.flush()
                X = np.memmap(file.name, dtype=np.float64, mode="r", shape=(n_rows, COLUMNS))
            else:
                X = np.array(X)
            for name, rows in (("1 % of the rows", n_rows // 100), ("all rows", n_rows)):
                idle = sum(map(pss, tree(os.getpid())))
                with Peak() as peak:
                    search(X, y, rows)
                size = gigabytes * 1e9
                ratios = f"{idle / size:>10.2f}{peak.tree / size:>10.2f}{peak.parent / size:>12.2f}"
                print(f"{where:<12}{name:<18}{ratios}", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
