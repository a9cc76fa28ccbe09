"""What the journal costs: microseconds a record, and its share of a search whose fits take 50 ms.

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
from skhalving.journal import Journal

RECORD = {
    "params": "{'svc__C': 0.021544346900318832, 'svc__gamma': 0.004641588833612777}",
    "fold": 0,
    "amount": 149,
    "outcome": {
        "fit_error": None,
        "test_scores": 0.9033,
        "n_test_samples": 270,
        "fit_time": 0.0123,
        "score_time": 0.0045,
    },
}
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


def main(rounds=5):
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        times = sorted(seconds_a_record(folder))
        median, most = times[len(times) // 2], times[int(0.99 * len(times))]
        print(f"one record, written and synced: {1e6 * median:.0f} us (99 %: {1e6 * most:.0f} us)")
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
