"""Subsamples: nested, stratified, sorted, deterministic, within the fold, whole at the top."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.stats import loguniform
from sklearn.base import BaseEstimator
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.neighbors import KNeighborsClassifier

from skhalving import SuccessiveHalvingSearchCV
from skhalving.evaluate import Evaluate
from skhalving.resource import LEAST_TEST_ROWS, Parameter, Rows, stratified_order
from skhalving.schedule import Level
from skhalving.store import Store
from skhalving.task import Task


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 2**31), st.integers(1, 100)
)
def test_every_prefix_is_stratified(counts, seed, percent):
    """A prefix holds each class within one row of its share, after one row of each, small first."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.RandomState(seed)
    rng.shuffle(labels)
    order = stratified_order(labels, rng)
    assert sorted(order) == list(range(len(labels)))
    first = labels[order[: len(counts)]]
    assert sorted(first) == list(range(len(counts)))
    sizes = [np.sum(labels == c) for c in first]
    assert sizes == sorted(sizes)
    m = max(len(counts), percent * len(labels) // 100)
    got = np.bincount(labels[order[:m]], minlength=len(counts))
    share = np.array(counts) * m / len(labels)
    # One row is placed first whatever its share, which the other classes may have to give up.
    assert (got >= np.minimum(share - len(counts), counts)).all()
    assert (got <= share + len(counts)).all()


SHAPES = {
    "stratified": (StratifiedKFold(3), True),
    "repeated": (RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0), True),
    "time": (TimeSeriesSplit(3), False),
    "groups": (GroupKFold(3), True),
    "leave-one-group-out": (LeaveOneGroupOut(), True),
    "predefined": (PredefinedSplit(np.arange(300) % 3), True),
}


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_rows_are_nested_sorted_and_inside_their_fold(shape, seed):
    """For every kind of cv: subsets within subsets within the fold, in row order, the same twice;
    at the full amount the very arrays that cv made."""
    cv, stratify = SHAPES[shape]
    y = np.random.RandomState(seed).permutation(np.arange(300) % 4 // 3)
    groups = np.arange(300) % 5 if "group" in shape else None
    splits = list(cv.split(np.zeros((300, 1)), y, groups=groups))
    levels = [Level(10, len(splits)), Level(33, len(splits)), Level(100, len(splits))]
    resource = Rows(300, y if stratify else None, newest_first=shape == "time")
    levels_and_top = [*levels, Level(300, len(splits))]
    rows, again = (
        resource.cuts(splits, levels_and_top, range(len(splits)), seed) for _ in range(2)
    )
    for k, (train, test) in enumerate(splits):
        assert rows.cut(k, 300)[0] is train
        assert rows.cut(k, 300)[1] is test
        outer = set(train)
        for level in levels[::-1]:
            cut_train, cut_test = rows.cut(k, level.n_resources)
            assert np.array_equal(cut_train, again.cut(k, level.n_resources)[0])
            assert np.array_equal(cut_train, np.unique(cut_train))
            assert set(cut_train) <= outer
            assert np.array_equal(cut_test, np.sort(test))  # fewer than 1,000 rows: all of them
            assert set(y[cut_train]) == set(y[train]) or not stratify
            assert len(cut_train) >= level.n_resources * len(train) // 300
            if shape == "time":
                assert np.array_equal(cut_train, np.sort(train)[-len(cut_train) :])
            outer = set(cut_train)


def test_test_folds_are_cut_but_never_below_a_thousand_rows():
    """30,000 rows, 3 folds: 10,000 test rows become 3,333, then 1,000 and no fewer."""
    y = np.arange(30_000) % 2
    splits = list(StratifiedKFold(3).split(np.zeros((30_000, 1)), y))
    levels = [Level(100, 3), Level(10_000, 3), Level(30_000, 3)]
    rows = Rows(30_000, y).cuts(splits, levels, range(3))
    assert [len(rows.cut(0, level.n_resources)[1]) for level in levels] == [
        LEAST_TEST_ROWS,
        3_333,
        10_000,
    ]
    assert set(rows.cut(0, 100)[1]) <= set(rows.cut(0, 10_000)[1]) <= set(splits[0][1])


def test_a_parameter_cuts_nothing():
    """The fold is cv's own, and the amount is the parameter's value."""
    splits = [(np.arange(5), np.arange(5, 8))]
    resource = Parameter("n_neighbors", KNeighborsClassifier())
    cuts = resource.cuts(splits, [Level(7, 1)], [0])
    assert cuts.cut(0, 7) is splits[0]
    assert cuts.part(0, 7) is None
    assert resource.params(7) == {"n_neighbors": 7}


@pytest.mark.parametrize("seed", range(4))
def test_two_percent_positives_never_lose_a_class(seed):
    """No NaN score on any rung, whatever the seed (drawn blindly, 43 in 100 first rungs would)."""
    X, y = make_classification(1500, weights=[0.98], flip_y=0, random_state=seed)
    search = SuccessiveHalvingSearchCV(
        LogisticRegression(),
        {"C": loguniform(1e-3, 1e3)},
        min_resources=50,
        folds="all",
        cv=3,
        scoring="roc_auc",
        random_state=seed,
    ).fit(X, y)
    assert search.min_resources_ == 55  # of which one in fifty is a positive
    assert np.isfinite(search.all_cv_results_["mean_test_score"]).all()


# -- data that are cut beforehand ------------------------------------------------------------


class Remembers(BaseEstimator):
    """What it was fitted and scored on."""

    def __init__(self, pairwise=False):
        self.pairwise = pairwise

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.pairwise
        return tags

    def fit(self, X, y, sample_weight=None, text=""):
        self.fitted_ = X, y, sample_weight, text
        return self

    def score(self, X, y, sample_weight=None):
        self.scored_ = X, y, sample_weight
        return 0.0


class Looks:
    """A scorer that keeps the estimators that it gets."""

    seen: list = []  # noqa: RUF012

    def __call__(self, estimator, X, y, **params):
        self.seen.append(estimator)
        return estimator.score(X, y, **params)


N_ROWS = 2000
NUMBERS = np.random.RandomState(0).normal(size=(N_ROWS, 3))
KINDS = {
    "array": NUMBERS,
    "sparse": csr_matrix(NUMBERS),
    "texts": [f"text {i}" for i in range(N_ROWS)],
    "objects": np.array([[f"text {i}", i] for i in range(N_ROWS)], dtype=object),
    "kernel": NUMBERS @ NUMBERS.T,
}


def evaluation(X, seed=0, y=None):
    """Ten folds, three levels; the lowest has few rows."""
    y = np.random.RandomState(seed).randint(3, size=N_ROWS) if y is None else y
    splits = list(StratifiedKFold(10).split(np.zeros(N_ROWS), y))
    levels = [Level(100, 1), Level(700, 1), Level(N_ROWS, 10)]
    weight = np.arange(N_ROWS) / N_ROWS
    return Evaluate(
        estimator=Remembers(pairwise=X is KINDS["kernel"]),
        X=X,
        y=y,
        resource=(rows := Rows(N_ROWS, y)),
        cuts=rows.cuts(splits, levels, range(10), seed),
        options={
            "scorer": Looks(),
            "fit_params": {"sample_weight": weight, "text": "n_samples"},
            "score_params": {"sample_weight": weight},
            "error_score": np.nan,
            "return_times": True,
        },
        store=Store(""),
        families={},
        insist=False,
        top=N_ROWS,
        limit=None,
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), fold=st.integers(0, 9))
def test_a_part_gives_the_rows_of_the_whole(kind, seed, fold):
    """Whatever X is: the same rows, targets, weights and other parameters, in the same order."""
    whole = evaluation(KINDS[kind], seed)
    fold = 0 if fold % 2 else fold
    for amount in (100, 700, N_ROWS):
        part, task = whole.part(fold, amount), Task(0, fold, amount)
        assert (part is whole) == (fold > 0 or amount > 100)
        seen = []
        for one in (whole, part):
            assert one(task, {}, {}).error is None
            seen.append(Looks.seen.pop())
        a, b = seen
        for left, right in zip(a.fitted_ + a.scored_, b.fitted_ + b.scored_, strict=True):
            left, right = (v.toarray() if hasattr(v, "toarray") else v for v in (left, right))
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_as_large_as_its_rows(kind):
    """A low rung sends its own rows to a worker: 290 of 2,000, of a kernel also columns."""
    whole = evaluation(KINDS[kind])
    part = whole.part(0, 100)
    rows, columns = 0.15, 0.15 if kind == "kernel" else 1.0
    sizes = [len(pickle.dumps((e.X, e.y))) for e in (part, whole)]
    assert sizes[0] < 1.3 * rows * columns * sizes[1]


def test_labels_do_not_travel():
    """The resource goes to the workers with every evaluation; of the labels, however long they are,
    it holds at most a byte for each row."""
    labels = np.array(["a class with a long name", "another"])[np.arange(N_ROWS) % 2]
    assert len(pickle.dumps(Rows(N_ROWS, labels))) < N_ROWS + 1000


def test_folds_count_together():
    """What all folds of a level need decides: a part each would be more than the whole."""
    y = np.arange(N_ROWS) % 2
    splits = list(StratifiedKFold(10).split(np.zeros(N_ROWS), y))
    few, many = (
        Rows(N_ROWS, y).cuts(splits, [Level(100, n), Level(N_ROWS, 10)], range(10)) for n in (1, 10)
    )
    assert len(few.part(0, 100)[0]) == 300 - 10  # 90 of 1,800 to train on, and a test fold
    assert many.part(0, 100) is None
