"""Kinds of data: kernels, sparse matrices, frames, strings and lists stay what they are."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from helpers import (
    DEPTHS,
    LADDER,
    SEARCHES,
    N,
    Pairwise,
    Remember,
    RememberTransformer,
    X,
    assert_same_results,
    hyperband,
    plan_in,
    plan_of,
    rows,
    sizes,
    trees,
    y,
)
from numpy.testing import assert_array_equal
from scipy.stats import loguniform
from sklearn.base import is_classifier
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import linear_kernel
from sklearn.model_selection import (
    KFold,
)
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

# A space of few points need not fill the ladder.
pytestmark = pytest.mark.filterwarnings("ignore:n_candidates=")


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
    assert_array_equal(
        direct.all_cv_results_["mean_test_score"], ahead.all_cv_results_["mean_test_score"]
    )
    assert_array_equal(direct.predict(Z), ahead.predict(linear_kernel(Z)))


@pytest.mark.parametrize("sparse", [sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array])
def test_sparse_X_gives_what_dense_X_gives(sparse):
    """Sparse input changes no score and no choice."""
    dense = trees().fit(X, y)
    thin = trees().fit(sparse(X), y)
    assert_same_results(thin.all_cv_results_, dense.all_cv_results_)
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
    assert_same_results(search.all_cv_results_, array.all_cv_results_)
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
    assert_same_results(search.all_cv_results_, numbers.all_cv_results_)
    assert set(search.classes_) == {"no", "yes"}
    assert set(search.predict(X)) <= {"no", "yes"}


def test_lists_are_data():
    """X as a list of lists gives what the array gives."""
    assert_same_results(
        trees().fit(X.tolist(), y.tolist()).all_cv_results_, trees().fit(X, y).all_cv_results_
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
    assert plan_of(plan) == plan_in(unsupervised.fit(X).all_cv_results_)
    best = unsupervised.cv_results_["rank_test_score"] == 1
    assert best[unsupervised.best_index_]


def test_no_y_means_none():
    """``y=None`` reaches the estimator as nothing at all."""
    hyperband(cv=KFold(3)).fit(X)
    assert len(Remember.fits) > 10
    assert all(fit["y"] is None for fit in Remember.fits)
