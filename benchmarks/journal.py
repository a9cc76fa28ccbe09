"""What the journal costs: microseconds a record, written and read, and its share of a search whose
fits take 50 ms.

python benchmarks/journal.py
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.dummy import DummyClassifier

from skhalving import SuccessiveHalvingSearchCV
from skhalving.fingerprint import stable
from skhalving.journal import Journal, Record, read
from skhalving.task import Outcome

PARAMS = {"svc__C": 0.021544346900318832, "svc__gamma": 0.004641588833612777}
RECORD = Record(
    candidate=0,
    bracket=0,
    level=0,
    amount=149,
    fold=0,
    params=PARAMS,
    text=stable(PARAMS),
    outcome=Outcome({"score": 0.9033}, fit_time=0.0123, score_time=0.0045),
)
X, y = np.zeros((90, 2)), np.arange(90) % 2


class Sleeping(DummyClassifier):
    def __init__(self, number=0):
        super().__init__()
        self.number = number

    def fit(self, X, y):
        time.sleep(0.05)
        return super().fit(X, y)


def seconds_a_record(folder, n=2000):
    journal = Journal(Path(folder) / "records")
    journal.begin(0, {})
    times = []
    for _ in range(n):
        start = time.perf_counter()
        journal.write(RECORD)
        times.append(time.perf_counter() - start)
    journal.close()
    start = time.perf_counter()
    assert sum(1 for _ in read(journal.path)[1]) == n
    return times, (time.perf_counter() - start) / n


def search(journal):
    start = time.perf_counter()
    SuccessiveHalvingSearchCV(
        Sleeping(),
        {"number": list(range(40))},
        folds="all",
        min_resources=90,
        cv=2,
        refit=False,
        random_state=0,
        journal=journal,
    ).fit(X, y)
    return time.perf_counter() - start


def main(rounds=5):
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        times, reading = seconds_a_record(folder)
        times.sort()
        median, most = times[len(times) // 2], times[int(0.99 * len(times))]
        print(f"one record, written and synced: {1e6 * median:.0f} us (99 %: {1e6 * most:.0f} us)")
        print(f"one record, read: {1e6 * reading:.0f} us")
        ratios = []
        for i in range(rounds):
            without, with_journal = search(None), search(Path(folder) / f"{i}")
            ratios.append(with_journal / without)
        print(
            f"80 fits of 50 ms: {100 * (statistics.median(ratios) - 1):+.1f} % with a journal "
            f"({100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f} %)"
        )


if __name__ == "__main__":
    main()
