"""What a search costs beside its fits: against bare joblib, and against GridSearchCV.

    python benchmarks/overhead.py

Candidates that cost nothing (a DummyClassifier), five folds, one rung. It counts the Python
functions that are called for each evaluation, in one process: this number, unlike the seconds, is
the same on every machine.
"""

import sys
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils.parallel import Parallel, delayed

from skhalving import SuccessiveHalvingSearchCV
from skhalving.sklearn_private import _fit_and_score

X = np.random.RandomState(0).normal(size=(200, 5))
y = np.arange(200) % 2
ESTIMATOR = DummyClassifier()


def bare(grid):
    """The tasks alone, as GridSearchCV makes them."""
    options = {"verbose": 0, "fit_params": None, "score_params": None, "return_times": True}
    splits, scorer = list(StratifiedKFold(5).split(X, y)), check_scoring(ESTIMATOR)
    Parallel(n_jobs=1)(
        delayed(_fit_and_score)(
            clone(ESTIMATOR),
            X,
            y,
            scorer=scorer,
            train=train,
            test=test,
            parameters={"constant": value},
            **options,
        )
        for value in grid["constant"]
        for train, test in splits
    )


def ours(grid):
    SuccessiveHalvingSearchCV(
        ESTIMATOR, grid, folds="all", min_resources=len(X), n_jobs=1, refit=False
    ).fit(X, y)


def stock(grid):
    GridSearchCV(ESTIMATOR, grid, n_jobs=1, refit=False).fit(X, y)


def calls(function, n_candidates):
    """Python functions that are called while the candidates are evaluated."""
    grid, n = {"constant": list(range(n_candidates))}, 0

    def count(frame, event, argument):
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


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print("| evaluations | bare | ours | `GridSearchCV` |\n|---|---|---|---|")
    for n in (50, 200):
        each = (f"{calls(function, n) / n / 5:,.0f}" for function in (bare, ours, stock))
        print(f"| {5 * n:,} | {' | '.join(each)} |")
