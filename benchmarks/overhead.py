"""What a search costs beside its fits: against bare joblib, and against GridSearchCV.

    python benchmarks/overhead.py

Candidates that cost nothing (a DummyClassifier), five folds, one rung. Calls of Python functions in
one process are the same on every machine. Seconds are not: each round runs all three in turn, so
that ratios hold on a noisy one, and the table has medians and their range.
"""

import statistics
import sys
import time
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


def bare(grid, n_jobs):
    """The tasks alone, as GridSearchCV makes them."""
    splits = list(StratifiedKFold(5).split(X, y))
    scorer = check_scoring(ESTIMATOR)
    Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(
            clone(ESTIMATOR),
            X,
            y,
            scorer=scorer,
            train=train,
            test=test,
            verbose=0,
            parameters={"constant": value},
            fit_params=None,
            score_params=None,
            return_times=True,
        )
        for value in grid["constant"]
        for train, test in splits
    )


def ours(grid, n_jobs):
    search = SuccessiveHalvingSearchCV(
        ESTIMATOR, grid, folds="all", min_resources=len(X), n_jobs=n_jobs, refit=False
    )
    search.fit(X, y)


def stock(grid, n_jobs):
    GridSearchCV(ESTIMATOR, grid, n_jobs=n_jobs, refit=False).fit(X, y)


def calls(function, n_candidates):
    """Python functions that are called while the candidates are evaluated, in one process."""
    grid, n = {"constant": list(range(n_candidates))}, 0

    def count(frame, event, argument):
        nonlocal n
        n += event == "call"

    function(grid, 1)  # what is done only once in a process
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function(grid, 1)
    finally:
        sys.setprofile(before)
    return n


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def compare(n_candidates, n_jobs, rounds, functions=(bare, ours, stock)):
    """Seconds of each function, a row a round."""
    grid = {"constant": list(range(n_candidates))}
    ours({"constant": list(range(8))}, n_jobs)  # the workers start
    return [[seconds(function, grid, n_jobs) for function in functions] for _ in range(rounds)]


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main(rounds=5):
    warnings.simplefilter("ignore")
    for n_candidates in (50, 200, 800):
        each = [
            calls(function, n_candidates) / n_candidates / 5 for function in (bare, ours, stock)
        ]
        print(f"{5 * n_candidates:>11} evaluations: {each[0]:.0f} calls each if bare,", end=" ")
        print(f"{each[1]:.0f} ours, {each[2]:.0f} GridSearchCV")
    head = f"{'evaluations':>11} {'n_jobs':>6} {'bare s':>8} {'ours s':>8} {'GridSearchCV s':>15}"
    print(head + f"{'ours / bare':>24}{'ours / GridSearchCV':>24}")
    for n_candidates in (200, 1000, 4000):
        for n_jobs in (1, 2):
            # GridSearchCV's time grows with the square on two processes: minutes for the last row.
            functions = (bare, ours, stock) if n_candidates < 4000 else (bare, ours)
            table = compare(n_candidates, n_jobs, rounds, functions)
            medians = "".join(f"{statistics.median(c):>9.2f}" for c in zip(*table, strict=True))
            ratios = [
                spread([row[1] / row[i] for row in table]) for i in (0, 2)[: len(functions) - 1]
            ]
            print(f"{5 * n_candidates:>11} {n_jobs:>6}{medians:<33}", end="")
            print("".join(f"{ratio:>24}" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
