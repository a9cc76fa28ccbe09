"""Ten searches give what they gave when ``unchanged.json`` was stored: rows, order and scores.

The estimator's scores depend on nothing but its parameters and the rows that it was given, so they
are the same on every version of scikit-learn. ``python tests/test_unchanged.py`` stores them anew,
which is right only where a change of results is meant.
"""

import json
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy.stats import randint, uniform
from sklearn.base import BaseEstimator, ClassifierMixin

import skhalving
from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, hyperband, register_continuation

STORED = Path(__file__).with_name("unchanged.json")
N = 243
X = np.arange(N, dtype=float).reshape(-1, 1)
y = np.arange(N) % 3
SPACE = {"a": uniform(), "b": randint(0, 1000)}
PUBLISHED = {"schedule": "published"}
GRID = {"a": [0.1, 0.2, 0.3, 0.4, 0.4], "b": list(range(12))}


class Mixed(ClassifierMixin, BaseEstimator):
    """Scores by arithmetic on its parameters, the rows of its fit and the steps that it took."""

    def __init__(self, a=0.5, b=1, steps=81):
        self.a = a
        self.b = b
        self.steps = steps

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.rows_ = int((np.asarray(X)[:, 0] * 7919).sum())
        self.trained_ = self.steps
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def score(self, X, y=None):
        mixed = (self.rows_ * 31 + len(X) * 17 + self.b * 101 + self.trained_ * 7) % 1009
        return self.a + mixed / 1009


def grow(model, done, amount, X, y):
    type(model).fit(model, X, y)
    assert getattr(model, "done_", 0) == done
    model.done_ = model.trained_ = amount


def three_metrics(model, X, y):
    score = model.score(X, y)
    return {"plain": score, "negative": -score, "b": model.b}


def search(cls=HyperbandSearchCV, space=SPACE, **options):
    return cls(Mixed(), space, **{"random_state": 7, "cv": 3, **PUBLISHED, **options}).fit(X, y)


def resumed(folder):
    """With the half of its journal that a kill would have left."""
    path = Path(folder) / "journal"
    search(journal=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    return search(journal=path)


def threads(folder):
    with joblib.parallel_config(backend="threading"):
        return search(n_jobs=4)


def dask(folder):
    distributed = pytest.importorskip("distributed", reason="no dask")
    with (
        distributed.Client(processes=False, n_workers=1, dashboard_address=None),
        joblib.parallel_config(backend="dask"),
    ):
        return search()


def continued(folder):
    register_continuation(Mixed, "steps", grow)
    return search(resource="steps", folds="all", n_jobs=2)


def objective(configuration, resource):
    return (configuration["a"] * 31 + configuration["b"] * 17 + resource * 7) % 101


def plain(folder):
    return hyperband(objective, SPACE, max_resources=81, random_state=3)


SEARCHES = {
    "rows": lambda folder: search(),
    "iterations": lambda folder: search(resource="steps", continue_training=False),
    "grow": lambda folder: search(SuccessiveHalvingSearchCV, cv=5, n_candidates=50),
    "all": lambda folder: search(folds="all", space=GRID),
    "multi-metric": lambda folder: search(scoring=three_metrics, refit="negative"),
    "continued": continued,
    "journal": resumed,
    "dask": dask,
    "threads": threads,
    "functions": plain,
}


def table(found):
    """Rows of a search: who was where, and each fold's score."""
    if isinstance(found, skhalving.functions.Result):
        names = ("bracket", "iter", "candidate", "n_resources", "score")
        return [list(row) for row in zip(*(found.history[n].tolist() for n in names), strict=True)]
    results = found.all_cv_results_
    names = ["bracket", "iter", "candidate", "n_resources", "n_folds"]
    names += sorted(name for name in results if name.startswith(("split", "mean_test")))
    rows = zip(*(results[name].tolist() for name in names), strict=True)
    return [[None if v != v else v for v in row] for row in rows]


@pytest.mark.parametrize("name", SEARCHES)
def test_the_same_as_before(name, tmp_path):
    """Every row of the search is as stored."""
    rows, stored = table(SEARCHES[name](tmp_path)), json.loads(STORED.read_text())[name]
    assert len(rows) == len(stored)
    for row, before in zip(rows, stored, strict=True):
        assert row == pytest.approx(before, abs=1e-12)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        stored = {name: table(run(folder)) for name, run in SEARCHES.items()}
    print(Counter(map(len, stored.values())))
    STORED.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in stored.items()) + "\n}\n"
    )
