"""What a search costs beside its fits: against bare joblib, and against GridSearchCV.

    python -m benchmarks.overhead

Candidates that cost nothing (a DummyClassifier), five folds, one rung. It counts the Python
functions that are called for each evaluation, in one process: this number, unlike the seconds, is
the same on every machine.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils.parallel import Parallel, delayed

from benchmarks.measure import markdown
from skhalving import SuccessiveHalvingSearchCV
from skhalving.sklearn_private import _fit_and_score

Grid = dict[str, list[int]]
X = np.random.RandomState(0).normal(size=(200, 5))
y = np.arange(200) % 2
ESTIMATOR = DummyClassifier()
OPTIONS = {"verbose": 0, "fit_params": None, "score_params": None, "return_times": True}


def bare(grid: Grid) -> None:
    """The tasks alone, as GridSearchCV makes them."""
    splits, options = list(StratifiedKFold(5).split(X, y)), {"scorer": check_scoring(ESTIMATOR)}
    Parallel(n_jobs=1)(
        delayed(_fit_and_score)(
            clone(ESTIMATOR),
            X,
            y,
            train=train,
            test=test,
            parameters={"constant": value},
            **options,
            **OPTIONS,
        )
        for value in grid["constant"]
        for train, test in splits
    )


def ours(grid: Grid) -> None:
    options: dict[str, Any] = {"folds": "all", "min_resources": len(X), "n_jobs": 1}
    SuccessiveHalvingSearchCV(ESTIMATOR, grid, refit=False, **options).fit(X, y)


def stock(grid: Grid) -> None:
    GridSearchCV(ESTIMATOR, grid, n_jobs=1, refit=False).fit(X, y)


def calls(function: Callable[[Grid], None], n_candidates: int) -> int:
    """Python functions that are called while the candidates are evaluated."""
    grid, n = {"constant": list(range(n_candidates))}, 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal n
        n += event == "call"

    function(grid)  # what is done only once in a process
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function(grid)
    finally:
        sys.setprofile(before)
    return n


def row(n: int) -> list[str]:
    each = (f"{calls(function, n) / n / 5:,.0f}" for function in (bare, ours, stock))
    return [f"{5 * n:,}", *each]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(markdown(["evaluations", "bare", "ours", "`GridSearchCV`"], map(row, (50, 200))))
