"""Estimators that remember, and what several test files share."""

import time
from collections import Counter

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.tree import DecisionTreeClassifier

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

N = 120
rng = np.random.RandomState(0)
# The first column says which row it is.
X = np.column_stack([np.arange(N), rng.normal(size=(N, 3))])
y = (X[:, 1] + rng.normal(scale=0.5, size=N) > 0).astype(int)
WEIGHT = np.arange(N) + 0.5
LADDER = {
    "min_resources": 40,
    "cv": 3,
    "random_state": 0,
    "schedule": "published",
}  # (40, 1), (120, 1), (120, 3)
SPACE = {"a": list(range(17))}  # what Hyperband asks for on three levels
DEPTHS = {"max_depth": [1, 2, 3, 4, 5], "min_samples_leaf": [1, 2, 5, 10]}
LEVELS = [(40, 1), (120, 1), (120, 3)]
SEARCHES = [HyperbandSearchCV, SuccessiveHalvingSearchCV]
ONE_RUNG = {"folds": "all", "factor": 10**9}


class Remember(ClassifierMixin, BaseEstimator):
    """Keeps all that it is given, fit by fit, and scores ``a``; fails for ``a`` in ``bad``, or with
    fewer rows than ``least``."""

    fits: list = []  # noqa: RUF012
    scored: list = []  # noqa: RUF012

    def __init__(self, a=0, bad=(), least=0):
        self.a = a
        self.bad = bad
        self.least = least

    def fit(self, X, y=None, sample_weight=None, colour=None, constant=None):
        if self.a in self.bad:
            raise RuntimeError(f"bad a={self.a}")
        if len(X) < self.least:
            raise RuntimeError(f"only {len(X)} rows")
        self.classes_ = np.unique(y) if y is not None else None
        self.fits.append(
            {"X": X, "y": y, "weight": sample_weight, "colour": colour, "constant": constant}
        )
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y=None, sample_weight=None):
        self.scored.append({"X": X, "y": y, "weight": sample_weight})
        return self.a / 100


class SlowToFail(Remember):
    """Fails so late that others are on their way."""

    def fit(self, X, y):
        time.sleep(0.05)
        raise RuntimeError("at last")


class Pairwise(Remember):
    """Says that X is a kernel."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True
        return tags


class RememberTransformer(TransformerMixin, BaseEstimator):
    """Passes X on and keeps its kind."""

    kinds: list = []  # noqa: RUF012

    def __init__(self, a=0):
        self.a = a

    def fit(self, X, y=None):
        self.kinds.append(type(X))
        self.is_fitted_ = True
        return self

    def transform(self, X):
        return X

    def get_feature_names_out(self, names=None):
        return names


def hyperband(estimator=None, space=SPACE, **options):
    return HyperbandSearchCV(
        Remember() if estimator is None else estimator, space, **{**LADDER, **options}
    )


def trees(search=HyperbandSearchCV, **options):
    """A search over real trees."""
    return search(DecisionTreeClassifier(random_state=0), DEPTHS, **{**LADDER, **options})


def rows(X):
    """Which rows of all the data these are."""
    return np.asarray(X)[:, 0].astype(int)


def sizes(fits):
    return Counter(len(fit["y"]) for fit in fits)


def without_times(results):
    return {name: column for name, column in results.items() if "_time" not in name}


def assert_same_results(one, other, columns=None):
    """Two ``cv_results_`` agree bit for bit, times aside."""
    one, other = without_times(one), without_times(other)
    if columns is None:
        assert list(one) == list(other)
    for name in columns or one:
        if name == "params":
            assert one[name] == other[name]
        else:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)
            assert_array_equal(np.ma.getmaskarray(one[name]), np.ma.getmaskarray(other[name]))


def plan_of(schedule):
    """(bracket, iter, n_resources, n_folds) of every row that a schedule promises."""
    return Counter(
        {
            (b, i, rung.n_resources, rung.n_folds): rung.n_candidates
            for b, bracket in enumerate(schedule)
            for i, rung in enumerate(bracket.rungs)
        }
    )


def plan_in(results):
    names = ("bracket", "iter", "n_resources", "n_folds")
    return Counter(zip(*(results[name].tolist() for name in names), strict=True))
