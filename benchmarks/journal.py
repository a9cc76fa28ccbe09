"""What the journal costs: microseconds a record, and its share of a search whose fits take 50 ms.

python -m benchmarks.journal
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier

from benchmarks.measure import in_pairs, spread, timed
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
    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number = number

    def fit(self, X: Any, y: Any) -> Any:
        time.sleep(0.05)
        return super().fit(X, y)


def seconds_a_record(folder: Path, n: int = 2000) -> list[float]:
    journal = Journal(folder / "records")
    journal.begin(0, {})
    times = [timed(journal.write, RECORD, clock=time.perf_counter)[0] for _ in range(n)]
    journal.close()
    return times


def search(folder: str | None) -> float:
    """Seconds of 80 fits."""
    search = SuccessiveHalvingSearchCV(
        Sleeping(),
        {"number": list(range(40))},
        folds="all",
        min_resources=90,
        cv=2,
        refit=False,
        random_state=0,
        journal=folder and Path(tempfile.mkdtemp(dir=folder)) / "journal",
    )
    return timed(search.fit, X, y, clock=time.perf_counter)[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        median, most = 1e6 * np.quantile(seconds_a_record(Path(folder)), [0.5, 0.99])
        print(f"one record, written and synced: {median:.0f} us (99 %: {most:.0f} us)")
        pairs = in_pairs(5, lambda journal: search(folder if journal else None))
        ratios = [with_ / without for with_, without in pairs]
        print(f"80 fits of 50 ms, with a journal over without: {spread(ratios)}")
