"""What surrounds a search: routing, kinds of data, nesting, failure, refit, reproducibility."""

import gc
import pickle
import re
import time
import traceback
import warnings
from collections import Counter

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_array_equal
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone, is_classifier
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.metrics.pairwise import linear_kernel
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

N = 120
rng = np.random.RandomState(0)
# The first column says which row it is.
X = np.column_stack([np.arange(N), rng.normal(size=(N, 3))])
y = (X[:, 1] + rng.normal(scale=0.5, size=N) > 0).astype(int)
WEIGHT = np.arange(N) + 0.5
LADDER = {"min_resources": 40, "cv": 3, "random_state": 0}  # (40, 1), (120, 1), (120, 3)
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


@pytest.fixture(autouse=True)
def forget():
    for memory in (Remember.fits, Remember.scored, RememberTransformer.kinds):
        memory.clear()


@pytest.fixture
def routing():
    """Metadata routing on."""
    with sklearn.config_context(enable_metadata_routing=True):
        yield


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


# -- metadata ---------------------------------------------------------------------------------


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("routed", [False, True])
def test_fit_parameters_are_cut_with_the_rows(search, routed):
    """Whatever has one entry a row stays beside its row on every rung; the rest is handed on."""
    with sklearn.config_context(enable_metadata_routing=routed):
        estimator = Remember()
        if routed:
            estimator.set_fit_request(sample_weight=True, colour=True, constant=True)
            estimator.set_score_request(sample_weight=True)
        colour = [f"colour {i}" for i in range(N)]
        search(estimator, SPACE, **LADDER).fit(
            X, y, sample_weight=WEIGHT, colour=colour, constant="blue"
        )
    assert set(sizes(Remember.fits)) == {26, 80, 120}
    for fit in Remember.fits:
        here = rows(fit["X"])
        assert_array_equal(fit["weight"], WEIGHT[here])
        assert list(fit["colour"]) == [colour[i] for i in here]
        assert_array_equal(fit["y"], y[here])
        assert fit["constant"] == "blue"


@pytest.mark.parametrize("routed", [False, True])
def test_scorers_receive_sample_weight_as_in_gridsearchcv(routed):
    """A scorer gets ``sample_weight`` when GridSearchCV's of this scikit-learn does, cut with the
    test rows on every rung."""
    with sklearn.config_context(enable_metadata_routing=routed):
        estimator = Remember()
        if routed:
            estimator.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        GridSearchCV(estimator, {"a": [1]}, cv=3).fit(X, y, sample_weight=WEIGHT)
        weighted = [call["weight"] is not None for call in Remember.scored]
        assert len(set(weighted)) == 1
        Remember.scored.clear()
        hyperband(estimator).fit(X, y, sample_weight=WEIGHT)
    for call in Remember.scored:
        assert (call["weight"] is not None) == weighted[0]
        if weighted[0]:
            assert_array_equal(call["weight"], WEIGHT[rows(call["X"])])
        assert_array_equal(call["y"], y[rows(call["X"])])


def test_weights_change_scores_as_in_gridsearchcv(routing):
    """With routing, a weighted metric gives GridSearchCV's scores."""
    estimator = DecisionTreeClassifier(random_state=0).set_fit_request(sample_weight=True)
    scoring = {
        "plain": make_scorer(accuracy_score).set_score_request(sample_weight=False),
        "weighted": make_scorer(accuracy_score).set_score_request(sample_weight=True),
    }
    options = {"scoring": scoring, "refit": "weighted", "cv": 3}
    grid = GridSearchCV(estimator, DEPTHS, **options).fit(X, y, sample_weight=WEIGHT)
    ours = SuccessiveHalvingSearchCV(estimator, DEPTHS, **ONE_RUNG, **options)
    ours.fit(X, y, sample_weight=WEIGHT)
    assert_same_results(ours.cv_results_, grid.cv_results_, without_times(grid.cv_results_))
    plain, weighted = (ours.cv_results_[f"mean_test_{name}"] for name in scoring)
    assert (plain != weighted).any()


def test_unrequested_metadata_is_refused(routing):
    """With routing, metadata that nobody asked for is an error, and nothing is fitted."""
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        hyperband().fit(X, y, sample_weight=WEIGHT)
    assert Remember.fits == []


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("search", SEARCHES)
def test_groups_are_never_split(search, routed):
    """With GroupKFold no group is on both sides of any fit, on any rung, and ``plan`` takes groups
    as ``fit`` does."""
    groups = np.arange(N) // 8
    with sklearn.config_context(enable_metadata_routing=routed):
        grouped = search(Remember(), SPACE, **{**LADDER, "cv": GroupKFold(3)})
        plan = grouped.plan(X, y, groups=groups)
        grouped.fit(X, y, groups=groups)
    assert plan_of(plan) == plan_in(grouped.cv_results_)
    tried = Remember.fits[:-1]
    assert len(tried) == len(Remember.scored) == grouped.schedule_.n_fits
    for fit, call in zip(tried, Remember.scored, strict=True):
        assert not set(groups[rows(fit["X"])]) & set(groups[rows(call["X"])])


def test_none_as_fit_parameter():
    """``sample_weight=None`` is what it is without."""
    hyperband().fit(X, y, sample_weight=None)
    assert all(fit["weight"] is None for fit in Remember.fits)


# -- kinds of data ----------------------------------------------------------------------------


def test_precomputed_kernel_is_cut_both_ways():
    """On every rung a kernel keeps the same rows as columns in ``fit``; scoring has the test rows
    against the columns of that fit."""
    kernel = 1000.0 * np.arange(N)[:, None] + np.arange(N)
    hyperband(Pairwise()).fit(kernel, y)
    assert set(sizes(Remember.fits)) == {26, 80, 120}
    for fit in Remember.fits:
        of_rows, of_columns = fit["X"] // 1000, fit["X"] % 1000
        assert fit["X"].shape == (len(fit["y"]),) * 2
        assert_array_equal(of_rows, of_columns.T)
        assert_array_equal(fit["y"], y[of_rows[:, 0].astype(int)])
    for fit, call in zip(Remember.fits[:-1], Remember.scored, strict=True):
        assert_array_equal(call["X"][0] % 1000, fit["X"][0] % 1000)
        assert not set(call["X"][:, 0] // 1000) & set(fit["X"][:, 0] // 1000)


@pytest.mark.parametrize("wrap", [lambda svc: svc, lambda svc: Pipeline([("svc", svc)])])
def test_precomputed_kernel_gives_the_scores_of_the_kernel(wrap):
    """SVC on a linear kernel computed beforehand is SVC with a linear kernel, on every rung."""
    Z = X[:, 1:]
    prefix = "" if isinstance(wrap(SVC()), SVC) else "svc__"
    space = {f"{prefix}C": list(np.logspace(-3, 3, 17))}
    direct = hyperband(wrap(SVC(kernel="linear")), space).fit(Z, y)
    ahead = hyperband(wrap(SVC(kernel="precomputed")), space).fit(linear_kernel(Z), y)
    assert_array_equal(direct.cv_results_["mean_test_score"], ahead.cv_results_["mean_test_score"])
    assert_array_equal(direct.predict(Z), ahead.predict(linear_kernel(Z)))


@pytest.mark.parametrize("sparse", [sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array])
def test_sparse_X_gives_what_dense_X_gives(sparse):
    """Sparse input changes no score and no choice."""
    dense = trees().fit(X, y)
    thin = trees().fit(sparse(X), y)
    assert_same_results(thin.cv_results_, dense.cv_results_)
    assert_array_equal(thin.predict(sparse(X)), dense.predict(X))


FRAMES = {
    "pandas": lambda: (pd.DataFrame(X, columns=list("wxyz")), pd.Series(y, index=range(7, N + 7))),
    "polars": lambda: (pl.DataFrame(X, schema=list("wxyz")), pl.Series(y)),
}


@pytest.mark.parametrize("library", FRAMES)
def test_frames_stay_frames(library):
    """An estimator gets frames of the library that it was given, with the rows and columns of the
    array, and the search knows the names."""
    frame, target = FRAMES[library]()
    hyperband().fit(X, y)
    arrays = Remember.fits.copy()
    Remember.fits.clear()
    hyperband().fit(frame, target)
    for ours, array in zip(Remember.fits, arrays, strict=True):
        assert type(ours["X"]) is type(frame)
        assert list(ours["X"].columns) == list("wxyz")
        assert_array_equal(np.asarray(ours["X"]), array["X"])
        assert_array_equal(np.asarray(ours["y"]), array["y"])


@pytest.mark.parametrize("library", FRAMES)
def test_feature_names(library):
    """``feature_names_in_`` and ``n_features_in_`` are those that the estimator itself takes from
    the frame; a frame gives the results of an array."""
    frame, target = FRAMES[library]()
    search = trees().fit(frame, target)
    tree = DecisionTreeClassifier().fit(frame, target)
    for name in ("feature_names_in_", "n_features_in_"):
        assert_array_equal(getattr(search, name, None), getattr(tree, name, None))
    if library == "pandas":  # polars 2 has no names for scikit-learn 1.6
        assert list(search.feature_names_in_) == list("wxyz")
    array = trees().fit(X, y)
    assert not hasattr(array, "feature_names_in_")
    assert_same_results(search.cv_results_, array.cv_results_)
    assert_array_equal(search.predict(frame), array.predict(X))


@pytest.mark.parametrize("library", FRAMES)
def test_set_output(library):
    """A pipeline set to give frames does so in every fit of the search and in its ``transform``."""
    frame, target = FRAMES[library]()
    pipeline = make_pipeline(StandardScaler(), RememberTransformer())
    pipeline.set_output(transform=library)
    search = hyperband(
        pipeline, {"remembertransformer__a": [1, 2, 3]}, scoring=lambda est, X, y: est[-1].a
    ).fit(frame, target)
    assert set(RememberTransformer.kinds) == {type(frame)}
    out, alone = search.transform(frame), pipeline.fit(frame).transform(frame)
    assert type(out) is type(frame)
    assert list(out.columns) == list(alone.columns)
    assert_array_equal(np.asarray(out), np.asarray(alone))


def test_mixed_types_in_a_frame():
    """Columns of different types keep them through the cuts."""
    frame = pd.DataFrame({"row": np.arange(N), "kind": pd.Categorical(["a", "b"] * (N // 2))})
    hyperband().fit(frame, y)
    assert {tuple(map(str, fit["X"].dtypes)) for fit in Remember.fits} == {("int64", "category")}


LABELS = {
    "strings": np.array(["no", "yes"])[y],
    "objects": np.array(["no", "yes"], dtype=object)[y],
    "a list": [["no", "yes"][i] for i in y],
    "pandas": pd.Series(np.array(["no", "yes"])[y]),
    "pandas categories": pd.Series(np.array(["no", "yes"])[y]).astype("category"),
    "polars": pl.Series(np.array(["no", "yes"])[y].tolist()),
}


@pytest.mark.parametrize("kind", LABELS)
def test_string_labels(kind):
    """Classes may be strings in any container: the scores are those of 0 and 1."""
    search = trees().fit(X, LABELS[kind])
    numbers = trees().fit(X, y)
    assert_same_results(search.cv_results_, numbers.cv_results_)
    assert set(search.classes_) == {"no", "yes"}
    assert set(search.predict(X)) <= {"no", "yes"}


def test_lists_are_data():
    """X as a list of lists gives what the array gives."""
    assert_same_results(
        trees().fit(X.tolist(), y.tolist()).cv_results_, trees().fit(X, y).cv_results_
    )


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (KNeighborsClassifier(), np.column_stack([y, 1 - y])),
        (DecisionTreeClassifier(), np.column_stack([y, np.arange(N) % 3])),
        (DecisionTreeRegressor(), X[:, 1:3]),
        (DecisionTreeRegressor(), pd.DataFrame(X[:, 1:3])),
    ],
    ids=["multilabel", "multiclass", "regression", "regression, a frame"],
)
def test_multi_output(estimator, target):
    """Targets of several columns are cut with X, and predicted with all columns."""
    scoring = None if not is_classifier(estimator) else lambda est, X, y: -len(est.get_params())
    space = {"n_neighbors": [1, 2, 3]} if hasattr(estimator, "n_neighbors") else DEPTHS
    search = hyperband(estimator, space, scoring=scoring, cv=KFold(3)).fit(X, target)
    assert search.predict(X).shape == (N, 2)
    hyperband(cv=KFold(3)).fit(X, target)
    for fit in Remember.fits:
        assert_array_equal(np.asarray(fit["y"]), np.asarray(target)[rows(fit["X"])])


@pytest.mark.parametrize(
    ("estimator", "space"),
    [
        (KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3, 4]}),
        (KernelDensity(), {"bandwidth": loguniform(0.1, 10)}),
        (PCA(), {"n_components": [1, 2]}),
    ],
    ids=["KMeans", "KernelDensity", "PCA"],
)
@pytest.mark.parametrize("search", SEARCHES)
def test_unsupervised(search, estimator, space):
    """Without y the estimator's own score decides, on rows cut at random."""
    unsupervised = search(estimator, space, **LADDER)
    plan = unsupervised.plan(X)
    assert plan_of(plan) == plan_in(unsupervised.fit(X).cv_results_)
    best = unsupervised.cv_results_["rank_test_score"] == 1
    assert best[unsupervised.best_index_]


def test_no_y_means_none():
    """``y=None`` reaches the estimator as nothing at all."""
    hyperband(cv=KFold(3)).fit(X)
    assert len(Remember.fits) > 10
    assert all(fit["y"] is None for fit in Remember.fits)


# -- nesting ----------------------------------------------------------------------------------


def test_around_a_pipeline():
    """Steps and their parameters are searched together; also whole steps."""
    pipeline = Pipeline([("scale", StandardScaler()), ("model", DecisionTreeClassifier())])
    space = [
        {"scale": [StandardScaler(), "passthrough"], "model__max_depth": [1, 2, 3, 4]},
        {"model": [LogisticRegression()], "model__C": loguniform(1e-3, 1e3)},
    ]
    search = hyperband(pipeline, space).fit(X, y)
    assert search.score(X, y) > 0.7
    with pytest.raises(NotFittedError):
        check_is_fitted(space[1]["model"][0])
    kinds = {type(step) for step in search.cv_results_["param_model"].compressed()}
    assert kinds == {LogisticRegression}


def test_inside_a_pipeline():
    """A search is a step like any other."""
    pipeline = make_pipeline(StandardScaler(), trees()).fit(X, y)
    assert pipeline.score(X, y) > 0.7
    assert_array_equal(pipeline.classes_, [0, 1])


def test_inside_cross_val_score():
    """Nested cross-validation: the scores of fits by hand."""
    outer = StratifiedKFold(3)
    by_hand = [
        trees().fit(X[train], y[train]).score(X[test], y[test]) for train, test in outer.split(X, y)
    ]
    assert cross_val_score(trees(), X, y, cv=outer).tolist() == by_hand


@pytest.mark.parametrize("outer", [GridSearchCV, HyperbandSearchCV])
def test_inside_another_search(outer):
    """A search can be searched: by its own parameters and those of its estimator."""
    space = {"factor": [2, 3], "estimator__criterion": ["gini", "entropy"]}
    search = outer(trees(n_candidates=4), space, cv=2).fit(X, y)
    assert set(search.best_params_) == set(space)
    assert search.best_estimator_.factor == search.best_params_["factor"]
    assert search.score(X, y) > 0.7


def test_methods_of_the_best_estimator():
    """What the best estimator has, the search has, and nothing else."""
    search = trees()
    with pytest.raises(NotFittedError):
        search.predict(X)
    search.fit(X, y)
    best = search.best_estimator_
    assert_array_equal(search.predict_proba(X), best.predict_proba(X))
    assert_array_equal(search.predict_log_proba(X), best.predict_log_proba(X))
    assert search.score(X, y) == best.score(X, y)
    assert not hasattr(search, "transform")
    assert not hasattr(search, "decision_function")


@pytest.mark.parametrize("search", SEARCHES)
def test_clone_and_parameters(search):
    """``clone`` copies every parameter and nothing fitted; ``get_params`` gives what was passed."""
    options = {
        "resource": "max_depth",
        "min_resources": 2,
        "max_resources": 8,
        "factor": 2,
        "n_candidates": 3,
        "folds": "all",
        "scoring": "accuracy",
        "n_jobs": 1,
        "refit": "accuracy",
        "cv": 2,
        "verbose": 0,
        "pre_dispatch": 2,
        "random_state": 3,
        "error_score": 0.0,
        "return_train_score": True,
        "param_grid": {"min_samples_leaf": [1, 2, 3]},
    }
    original = search(DecisionTreeClassifier(max_depth=9, random_state=0), **options).fit(X, y)
    copy = clone(original)
    params = copy.get_params(deep=False)
    assert {name: params[name] for name in options} == options
    assert {"estimator", "param_distributions", *options} <= set(params)
    assert copy.get_params()["estimator__max_depth"] == 9
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    assert_same_results(copy.fit(X, y).cv_results_, original.cv_results_)


def test_set_params():
    """Parameters of the search and of its estimator can be set later, and hold in the next fit."""
    search = trees(error_score="raise").set_params(factor=2, estimator__criterion="entropy")
    search.fit(X, y)
    assert search.n_resources_ == [60, 120, 120]
    assert search.best_estimator_.criterion == "entropy"


def test_fit_changes_no_parameter():
    """``fit`` leaves the parameters, the estimator and the data as they were."""
    search = trees()
    before, data = repr(search.get_params()), X.copy()
    search.fit(X, y)
    assert repr(search.get_params()) == before
    assert_array_equal(X, data)
    with pytest.raises(NotFittedError):
        check_is_fitted(search.estimator)


@pytest.mark.parametrize("dump", [pickle, joblib], ids=["pickle", "joblib"])
@pytest.mark.parametrize("search", SEARCHES)
def test_pickle(tmp_path, search, dump):
    """A search survives a file before and after ``fit``."""

    def through_a_file(thing):
        with open(tmp_path / "file", "wb") as file:
            dump.dump(thing, file)
        with open(tmp_path / "file", "rb") as file:
            return dump.load(file)

    fitted = through_a_file(trees(search)).fit(X, y)
    again = through_a_file(fitted)
    assert_same_results(again.cv_results_, trees(search).fit(X, y).cv_results_)
    assert_array_equal(again.predict(X), fitted.predict(X))
    assert str(again.schedule_) == str(fitted.schedule_)


@pytest.mark.parametrize("search", SEARCHES)
def test_html_repr(search):
    """Notebooks show the search before and after ``fit``, with its estimator."""
    shown = trees(search)
    for _ in range(2):
        html = shown._repr_html_()
        assert search.__name__ in html
        assert "DecisionTreeClassifier" in html
        shown.fit(X, y)


# -- failure ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_error_score_raise(n_jobs):
    """``error_score="raise"`` raises the estimator's own error, and shows where it came from."""
    search = hyperband(Remember(bad=(5,)), error_score="raise", n_jobs=n_jobs)
    with pytest.raises(RuntimeError, match="bad a=5") as error:
        search.fit(X, y)
    assert 'raise RuntimeError(f"bad a={self.a}")' in "".join(
        traceback.format_exception(error.value)
    )


def test_an_error_on_a_worker_is_all_that_is_said():
    """When an error ends the search the fits in flight are given up without a word: no warning
    about cancelled tasks comes on top of it."""
    search = hyperband(SlowToFail(), error_score="raise", n_jobs=2)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with (
            joblib.parallel_backend("threading"),
            pytest.raises(RuntimeError, match="at last"),
        ):
            search.fit(X, y)
        gc.collect()
    assert [str(w.message) for w in warned] == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_some_fits_fail(n_jobs):
    """A failed fit is NaN, one warning counts them with a traceback, and the best is among the
    rest."""
    search = hyperband(Remember(bad=(15, 16)), n_jobs=n_jobs)
    with pytest.warns() as warned:
        search.fit(X, y)
    assert [w.category for w in warned] == [FitFailedWarning, UserWarning]
    failed = np.isin(search.cv_results_["param_a"], [15, 16])
    assert_array_equal(np.isnan(search.cv_results_["mean_test_score"]), failed)
    n_failed = failed.sum()  # each failed on the one fold of its first rung, or on all three
    folds = search.cv_results_["n_folds"][failed].sum()
    message = str(warned[0].message)
    assert f"{folds} fits failed out of a total of {search.schedule_.n_fits}" in message
    assert "RuntimeError: bad a=15" in message
    assert n_failed >= 2
    assert search.best_params_ == {"a": 14}
    worst = search.cv_results_["rank_test_score"].max()
    assert_array_equal(search.cv_results_["rank_test_score"] == worst, failed)


@pytest.mark.parametrize("error_score", [0, -1.5])
def test_numeric_error_score(error_score):
    """A number stands for the score of a fit that failed; no score is NaN."""
    search = hyperband(Remember(bad=(15, 16)), error_score=error_score)
    with pytest.warns(FitFailedWarning, match="fits failed"):
        search.fit(X, y)
    failed = np.isin(search.cv_results_["param_a"], [15, 16])
    assert set(search.cv_results_["mean_test_score"][failed]) == {error_score}
    assert search.best_params_ == {"a": 14}


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("search", SEARCHES)
def test_a_whole_rung_may_fail(search):
    """When all fits of a rung fail, its first candidates go on, and the search ends as if nothing
    had happened."""
    failing = search(Remember(least=50), SPACE, **LADDER)
    with pytest.warns(FitFailedWarning, match="only 26 rows"):
        failing.fit(X, y)
    results = failing.cv_results_
    first = (results["n_resources"] == 40) & (results["bracket"] == 0)
    assert np.isnan(results["mean_test_score"][first]).all()
    assert plan_in(results) == plan_of(failing.schedule_)
    survivors = results["candidate"][(results["iter"] == 1) & (results["bracket"] == 0)]
    assert_array_equal(survivors, np.sort(results["candidate"][first])[: len(survivors)])
    assert results["n_resources"][failing.best_index_] == 120
    assert results["n_folds"][failing.best_index_] == 3
    assert np.isfinite(failing.best_score_)


@pytest.mark.parametrize("error_score", [np.nan, 0.0])
@pytest.mark.parametrize("search", SEARCHES)
def test_every_fit_fails(search, error_score):
    """When nothing works the search is an error that shows why."""
    hopeless = search(Remember(least=10**6), SPACE, error_score=error_score, **LADDER)
    with pytest.raises(
        ValueError, match=r"(?s)All the \d+ fits failed.*RuntimeError: only 26 rows"
    ):
        hopeless.fit(X, y)


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_failures_with_several_metrics():
    """A fit that fails is NaN in every metric, also where the metrics come from a callable."""

    def both(estimator, X, y):
        return {"a": estimator.a, "b": -estimator.a}

    search = hyperband(Remember(bad=(15, 16)), scoring=both, refit="a")
    with pytest.warns(FitFailedWarning):
        search.fit(X, y)
    failed = np.isin(search.cv_results_["param_a"], [15, 16])
    for metric in "ab":
        assert_array_equal(np.isnan(search.cv_results_[f"mean_test_{metric}"]), failed)
    assert search.best_params_ == {"a": 14}


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_metrics_of_a_callable_after_a_rung_that_failed():
    """The metrics may stay unknown for a whole rung; the rest of the race is run by the one of
    ``refit``."""

    def both(estimator, X, y):
        return {"b": -estimator.a, "a": estimator.a}

    search = hyperband(Remember(least=50), scoring=both, refit="a")
    with pytest.warns(FitFailedWarning):
        search.fit(X, y)
    results = search.cv_results_
    top = results["n_folds"] == 3
    assert results["param_a"][search.best_index_] == max(results["param_a"][top])


@pytest.mark.filterwarnings("ignore:Scoring failed:UserWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_scorer_that_fails_costs_its_candidate():
    """A scorer's error is that candidate's NaN, as in GridSearchCV."""

    def picky(estimator, X, y):
        if estimator.a == 16:
            raise RuntimeError("picky")
        return estimator.a

    search = hyperband(scoring=picky).fit(X, y)
    assert search.best_params_ == {"a": 15}
    lost = search.cv_results_["param_a"] == 16
    assert_array_equal(np.isnan(search.cv_results_["mean_test_score"]), lost)


# -- refit and several metrics ----------------------------------------------------------------


def test_refit_false():
    """Without a refit there is a best row but no best estimator, and no fit is one too many."""
    search = hyperband(refit=False).fit(X, y)
    assert search.best_params_ == {"a": 16}
    assert search.best_score_ == 0.16
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "refit_time_")
    assert len(Remember.fits) == search.schedule_.n_fits
    with pytest.raises(AttributeError, match="'HyperbandSearchCV' has no attribute 'predict'"):
        search.predict(X)


def test_refit_is_on_all_rows():
    """The refit is one fit more, the last, of the best parameters on all rows."""
    search = hyperband().fit(X, y)
    assert len(Remember.fits) == search.schedule_.n_fits + 1
    assert len(Remember.fits[-1]["X"]) == N
    assert search.best_estimator_.a == 16
    assert search.refit_time_ >= 0


@pytest.mark.parametrize(("refit", "best"), [("up", 16), ("down", 0)])
@pytest.mark.parametrize("search", SEARCHES)
def test_refit_names_the_metric_of_the_race(search, refit, best):
    """With several metrics the race is run by the one of ``refit``, from the first rung."""
    scoring = {"up": lambda est, X, y: est.a, "down": lambda est, X, y: -est.a}
    many = search(Remember(), SPACE, scoring=scoring, refit=refit, **LADDER).fit(X, y)
    assert many.multimetric_
    assert many.best_params_ == {"a": best}
    assert many.best_score_ == many.cv_results_[f"mean_test_{refit}"][many.best_index_]
    assert set(many.scorer_) == set(scoring)
    assert many.cv_results_[f"rank_test_{refit}"][many.best_index_] == 1


@pytest.mark.parametrize("refit", [False, lambda results: 0])
def test_the_first_metric_runs_the_race(refit):
    """Where ``refit`` names no metric the first does."""
    scoring = {"down": lambda est, X, y: -est.a, "up": lambda est, X, y: est.a}
    search = SuccessiveHalvingSearchCV(Remember(), SPACE, scoring=scoring, refit=refit, **LADDER)
    results = search.fit(X, y).cv_results_
    assert results["param_a"][results["n_folds"] == 3].tolist() == [0]
    if refit is False:
        assert not hasattr(search, "best_index_")


@pytest.mark.parametrize("search", SEARCHES)
def test_refit_callable_sees_full_resource_rows_alone(search):
    """``refit=callable`` chooses among the rows of the highest level, and ``best_index_`` is the
    place of its choice in ``cv_results_``."""
    seen = []

    def worst(results):
        seen.append(results)
        return int(np.argmin(results["mean_test_score"]))

    chosen = search(Remember(), SPACE, refit=worst, **{**LADDER, "factor": 2}).fit(X, y)
    (shown,), results = seen, chosen.cv_results_
    assert set(shown) == set(results)
    assert set(shown["n_resources"]) == {120}
    assert set(shown["n_folds"]) == {3}
    top = np.flatnonzero((results["n_resources"] == 120) & (results["n_folds"] == 3))
    assert len(shown["params"]) == len(top) > 1
    assert chosen.best_index_ == top[np.argmin(results["mean_test_score"][top])]
    assert chosen.best_params_ == results["params"][chosen.best_index_]
    assert chosen.best_estimator_.a == chosen.best_params_["a"]
    assert not hasattr(chosen, "best_score_")


@pytest.mark.parametrize(("answer", "error"), [("3", TypeError), (999, IndexError)])
def test_refit_callable_that_answers_nonsense(answer, error):
    """An index that is none is refused as in GridSearchCV."""
    with pytest.raises(error, match="best_index_"):
        hyperband(refit=lambda results: answer).fit(X, y)


def test_callable_that_returns_a_dict():
    """A callable may return several scores; each has its columns, as in GridSearchCV."""

    def both(estimator, X, y):
        return {
            "accuracy": accuracy_score(y, estimator.predict(X)),
            "f1": f1_score(y, estimator.predict(X)),
        }

    by_callable = trees(scoring=both, refit="f1").fit(X, y)
    by_name = trees(scoring=["accuracy", "f1"], refit="f1").fit(X, y)
    assert_same_results(by_callable.cv_results_, by_name.cv_results_)
    assert by_callable.best_index_ == by_name.best_index_
    assert by_callable.multimetric_
    assert by_callable.scorer_ is both


@pytest.mark.parametrize("scoring", [None, ["accuracy", "f1"]])
def test_return_train_score(scoring):
    """Train scores come beside the test scores, with as many folds, and change nothing else."""
    refit = "f1" if scoring else True
    names = scoring or ["score"]
    search = trees(scoring=scoring, refit=refit, return_train_score=True).fit(X, y)
    plain = trees(scoring=scoring, refit=refit).fit(X, y)
    assert not any("train" in name for name in plain.cv_results_)
    assert_same_results(search.cv_results_, plain.cv_results_, without_times(plain.cv_results_))
    for name in names:
        for k in range(3):
            test, train = (search.cv_results_[f"split{k}_{s}_{name}"] for s in ("test", "train"))
            assert_array_equal(np.isnan(test), np.isnan(train))
        train = search.cv_results_[f"mean_train_{name}"]
        assert train.mean() > search.cv_results_[f"mean_test_{name}"].mean()
        assert f"rank_train_{name}" not in search.cv_results_


# -- one plan, one answer ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    """A search on one process, with a space that needs the seed."""
    return seeded().fit(X, y)


def seeded(**options):
    space = {"max_depth": randint(1, 9), "min_impurity_decrease": uniform(0, 0.1)}
    return HyperbandSearchCV(
        DecisionTreeClassifier(random_state=0), space, **{**LADDER, "random_state": 7, **options}
    )


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
@pytest.mark.parametrize("backend", ["loky", "threading", "sequential", "multiprocessing"])
def test_same_results_for_every_n_jobs(reference, backend, n_jobs):
    """The same seed gives the same ``cv_results_`` and the same best, whoever does the work."""
    with joblib.parallel_backend(backend):
        search = seeded(n_jobs=n_jobs).fit(X, y)
    assert_same_results(search.cv_results_, reference.cv_results_)
    assert search.best_index_ == reference.best_index_


def test_same_seed_same_results(reference):
    """A fit is a function of its arguments: the same again, also by the same object; a RandomState
    stands for the seed that it yields."""
    search = seeded()
    for _ in range(2):
        assert_same_results(search.fit(X, y).cv_results_, reference.cv_results_)
    one, other = (seeded(random_state=np.random.RandomState(3)).fit(X, y) for _ in range(2))
    assert_same_results(one.cv_results_, other.cv_results_)
    assert one.cv_results_["params"] != reference.cv_results_["params"]


def test_the_global_random_state_is_left_alone():
    """With an int seed nothing is drawn from numpy's global state."""
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    seeded().fit(X, y)
    assert_array_equal(np.random.get_state()[1], before)


def test_a_shuffling_cv_needs_no_seed():
    """A cv that shuffles anew at every call is asked once: all candidates of a level have the same
    folds, and low rungs are cut from the first of them."""
    search = hyperband(cv=KFold(3, shuffle=True), refit=False).fit(X, y)
    trained = {tuple(rows(fit["X"])) for fit in Remember.fits}
    assert Counter(map(len, trained)) == {26: 1, 80: 3}
    scored = [tuple(rows(call["X"])) for call in Remember.scored]
    assert Counter(map(len, set(scored))) == {40: 3}
    assert sorted(i for fold in set(scored) for i in fold) == list(range(N))
    low = next(set(fold) for fold in trained if len(fold) == 26)
    assert sum(low <= set(fold) for fold in trained) == 2  # itself and one whole fold
    assert len(Remember.fits) == search.schedule_.n_fits


def test_an_iterable_of_splits():
    """``cv`` may be an iterable of splits, a generator included."""
    splits = list(StratifiedKFold(3).split(X, y))
    listed = trees(cv=splits).fit(X, y)
    once = trees(cv=(split for split in splits)).fit(X, y)
    assert_same_results(listed.cv_results_, trees().fit(X, y).cv_results_)
    assert_same_results(listed.cv_results_, once.cv_results_)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("n_candidates", ["auto", 1, 2, 5, 17])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"folds": "all"},
        {"factor": 2, "min_resources": 9},
        {"cv": 5, "min_resources": "auto"},
        {"cv": ShuffleSplit(1), "max_resources": 60},
        {"resource": "least", "min_resources": 2, "factor": 4},
        {"param_distributions": {"a": randint(0, 99), "bad": [(), (100,)]}},
    ],
    ids=str,
)
def test_the_plan_is_what_happens(search, n_candidates, options):
    """The plan printed before ``fit`` is the multiset of (bracket, iter, n_resources, n_folds) in
    ``cv_results_`` after, and ``schedule_``."""
    options = {"param_distributions": SPACE, **LADDER, **options, "n_candidates": n_candidates}
    planned = search(Remember(least=40 if "resource" in options else 0), **options)
    before = planned.plan(X, y)
    planned.fit(X, y)
    assert plan_of(before) == plan_in(planned.cv_results_) == plan_of(planned.schedule_)
    assert str(before) == str(planned.schedule_)
    if n_candidates != "auto":
        assert before.n_candidates == n_candidates


def test_plan_leaves_no_trace():
    """Asking for the plan does not make a search look fitted, nor move its random state."""
    state = np.random.RandomState(0)
    search = seeded(random_state=state)
    search.plan(X, y)
    assert state.randint(2**31 - 1) == np.random.RandomState(0).randint(2**31 - 1)
    with pytest.raises(NotFittedError):
        check_is_fitted(search)
    with pytest.raises(NotFittedError):
        search.predict(X)


def test_the_attributes_agree():
    """``n_resources_``, ``min_resources_``, ``max_resources_``, ``n_candidates_`` and ``schedule_``
    tell one story, that of ``cv_results_``."""
    search = hyperband().fit(X, y)
    results = search.cv_results_
    assert search.n_resources_ == [amount for amount, _ in LEVELS]
    assert (search.min_resources_, search.max_resources_) == (40, 120)
    levels = list(zip(results["n_resources"].tolist(), results["n_folds"].tolist(), strict=True))
    assert levels == sorted(levels)
    assert [Counter(levels)[level] for level in LEVELS] == search.n_candidates_
    assert search.n_splits_ == 3
    assert len(results["params"]) == sum(search.n_candidates_)


def test_kept_folds_are_not_fitted_again():
    """As many fits as the schedule says, and a fold kept from the rung below has the same score."""
    search = trees(refit=False).fit(X, y)
    results = search.cv_results_
    one, three = ((results["n_resources"] == 120) & (results["n_folds"] == n) for n in (1, 3))
    scores = {
        n: dict(zip(results["candidate"][at], results["split0_test_score"][at], strict=True))
        for n, at in ((1, one), (3, three))
    }
    both = set(scores[1]) & set(scores[3])
    assert len(both) > 1
    assert all(scores[1][candidate] == scores[3][candidate] for candidate in both)
    assert np.isnan(results["split1_test_score"][one]).all()
    assert np.isfinite(results["split1_test_score"][three]).all()


# -- GridSearchCV's equal ---------------------------------------------------------------------


SMALL = {"max_depth": [1, 2, 3], "min_samples_leaf": [5, 1]}
MIXED = [
    {"max_depth": [1, 3, None], "criterion": ["gini", "entropy"]},
    {"min_samples_leaf": np.array([1, 2, 4]), "max_features": ["sqrt", 1, 0.5]},
]
AS_GRID = {
    "plain": {},
    "with mixed spaces": {"param_grid": MIXED},
    "with train scores": {"return_train_score": True},
    "with a name": {"scoring": "roc_auc", "cv": 5},
    "with several metrics": {
        "scoring": ["accuracy", "roc_auc"],
        "refit": "roc_auc",
        "return_train_score": True,
    },
    "with a callable for refit": {
        "refit": lambda results: int(results["rank_test_score"].max()) - 1
    },
    "without refit": {"refit": False},
    "with several metrics, without refit": {"scoring": ["accuracy", "f1"], "refit": False},
    "with one split": {"cv": ShuffleSplit(1, random_state=0)},
    "with two workers": {"n_jobs": 2},
    "with a repeated point": {"param_grid": {"max_depth": [1, 2, 1, 3]}},
    "with no parameter": {"param_grid": {}},
}


@pytest.mark.parametrize("case", AS_GRID)
def test_one_rung_equals_gridsearchcv(case):
    """One bracket of one rung is GridSearchCV: every column that it has, bit for bit, times aside,
    the best, and every public attribute."""
    options = {"param_grid": SMALL, "cv": 3, **AS_GRID[case]}
    tree = DecisionTreeClassifier(random_state=0)
    grid = GridSearchCV(tree, **options).fit(X, y)
    ours = SuccessiveHalvingSearchCV(tree, **ONE_RUNG, **options).fit(X, y)
    assert_same_results(ours.cv_results_, grid.cv_results_, without_times(grid.cv_results_))
    assert set(grid.cv_results_) <= set(ours.cv_results_)
    public = {name for name in vars(grid) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(vars(ours))
    for name in public & {
        "best_index_",
        "best_score_",
        "best_params_",
        "n_splits_",
        "multimetric_",
    }:
        assert getattr(ours, name) == getattr(grid, name)
    if "best_estimator_" in public:
        assert_array_equal(ours.predict_proba(X), grid.predict_proba(X))
        assert type(ours.scorer_) is type(grid.scorer_)


@pytest.mark.parametrize("error_score", [np.nan, 0])
def test_one_rung_equals_gridsearchcv_when_fits_fail(error_score):
    """Failed fits give GridSearchCV's rows and warnings, word for word."""

    def searched(search):
        Remember.fits.clear()
        with pytest.warns() as warned:
            search.fit(X, y)
        # A traceback names the line of `_fit_and_score`, which has one for each kind of search.
        return [re.sub(r"line \d+, in _fit", "in _fit", str(w.message)) for w in warned], search

    options = {"param_grid": SPACE, "cv": 3, "error_score": error_score}
    said, grid = searched(GridSearchCV(Remember(bad=(3, 16)), **options))
    ours_said, ours = searched(
        SuccessiveHalvingSearchCV(Remember(bad=(3, 16)), **ONE_RUNG, **options)
    )
    assert_same_results(ours.cv_results_, grid.cv_results_, without_times(grid.cv_results_))
    assert ours_said == said
    assert ours.best_params_ == grid.best_params_


def test_one_rung_equals_randomizedsearchcv():
    """With the same int seed one rung draws what RandomizedSearchCV draws."""
    space = {"max_depth": randint(1, 9), "min_impurity_decrease": uniform(0, 0.1)}
    tree = DecisionTreeClassifier(random_state=0)
    theirs = RandomizedSearchCV(tree, space, n_iter=9, cv=3, random_state=5).fit(X, y)
    ours = SuccessiveHalvingSearchCV(tree, space, n_candidates=9, cv=3, random_state=5, **ONE_RUNG)
    ours.fit(X, y)
    assert_same_results(ours.cv_results_, theirs.cv_results_, without_times(theirs.cv_results_))


def test_code_for_gridsearchcv_runs():
    """Only the class name changes: positional or by keyword, the same best of an easy grid."""
    grid = {"max_depth": [1, 2, 3], "criterion": ["gini", "entropy"]}
    for search in SEARCHES:
        by_keyword = search(estimator=DecisionTreeClassifier(), param_grid=grid, cv=3).fit(X, y)
        by_position = search(DecisionTreeClassifier(), grid, cv=3).fit(X, y)
        for fitted in (by_keyword, by_position):
            assert {"mean_test_score", "rank_test_score", "params"} <= set(fitted.cv_results_)
            assert fitted.best_params_ in fitted.cv_results_["params"]
            assert fitted.score(X, y) > 0.6


# -- scikit-learn's checks --------------------------------------------------------------------


# None of these accepts NaN or several targets: a search does not pass those tags on (nor does
# GridSearchCV), so the checks would expect the opposite of what the estimator does.
CHECKED = [
    SuccessiveHalvingSearchCV(SVR(), {"C": [0.1, 1.0]}, cv=2, random_state=0),
    HyperbandSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1.0]}, cv=2, random_state=0
    ),
    SuccessiveHalvingSearchCV(
        GradientBoostingClassifier(n_estimators=4, random_state=0),
        {"max_depth": [1, 2]},
        resource="n_estimators",
        cv=2,
        random_state=0,
    ),
]
CHECKS = parametrize_with_checks(CHECKED, expected_failed_checks=lambda search: {})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    CHECKS.args[0],
    # A list, since pytest warns about the generator of scikit-learn 1.6; without the check that
    # needs an environment variable to be set before scipy is imported.
    [case for case in CHECKS.args[1] if "check_array_api_input" not in str(case)],
    **CHECKS.kwargs,
)
def test_scikit_learns_checks(estimator, check):
    """scikit-learn's checks of estimators hold for a search, as for its own."""
    check(estimator)
