"""Searches around and inside other estimators; clones, pickles and pictures of them."""

import pickle

import joblib
import pytest
from helpers import (
    SEARCHES,
    X,
    assert_same_results,
    hyperband,
    trees,
    y,
)
from numpy.testing import assert_array_equal
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted

from skhalving import HyperbandSearchCV

# A space of few points need not fill the ladder.
pytestmark = pytest.mark.filterwarnings("ignore:n_candidates=")


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
    kinds = {type(step) for step in search.all_cv_results_["param_model"].compressed()}
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
    assert_same_results(copy.fit(X, y).all_cv_results_, original.all_cv_results_)


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
    assert_same_results(again.all_cv_results_, trees(search).fit(X, y).all_cv_results_)
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
