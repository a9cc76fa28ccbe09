"""One rung on all rows and folds gives GridSearchCV's results; scikit-learn's checks pass."""

import re

import numpy as np
import pytest
from helpers import (
    ONE_RUNG,
    SEARCHES,
    SPACE,
    Remember,
    X,
    assert_same_results,
    without_times,
    y,
)
from numpy.testing import assert_array_equal
from scipy.stats import randint, uniform
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

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
    "with a metric called score among others": {
        "scoring": {"score": "accuracy", "loss": "neg_log_loss"},
        "refit": "loss",
    },
    "with a metric called score alone": {"scoring": {"score": "accuracy"}, "refit": "score"},
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
    HyperbandSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1.0]}, cv=2, random_state=0
    ),
    SuccessiveHalvingSearchCV(
        GradientBoostingRegressor(n_estimators=9, learning_rate=0.5, random_state=0),
        {"max_depth": [2, 3]},
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
