"""What the journal costs: microseconds a record, and its share of a search whose fits take 50 ms.

python benchmarks/journal.py
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.dummy import DummyClassifier

from skhalving import SuccessiveHalvingSearchCV
from skhalving.fingerprint import stable
from skhalving.journal import Journal, Record
from skhalving.task import Outcome

PARAMS = {"svc__C": 0.021544346900318832, "svc__gamma": 0.004641588833612777}
RECORD = Record(
    text=stable(PARAMS),
    params=PARAMS,
    amount=149,
    fold=0,
    score=0.9033,
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
    journal, times = Journal(Path(folder) / "records"), []
    journal.begin(0, {})
    for _ in range(n):
        start = time.perf_counter()
        journal.write(RECORD)
        times.append(time.perf_counter() - start)
    journal.close()
    return times


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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        median, most = 1e6 * np.quantile(seconds_a_record(folder), [0.5, 0.99])
        print(f"one record, written and synced: {median:.0f} us (99 %: {most:.0f} us)")
        ratios = [search(Path(folder) / f"{i}") / search(None) for i in range(5)]
        print(f"80 fits of 50 ms, with a journal over without: {np.median(ratios):.3f}", end=" ")
        print(f"({min(ratios):.3f} to {max(ratios):.3f})")
