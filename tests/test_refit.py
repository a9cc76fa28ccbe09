"""The refit, and searches with several metrics."""

import numpy as np
import pytest
from helpers import (
    LADDER,
    SEARCHES,
    SPACE,
    N,
    Remember,
    X,
    assert_same_results,
    hyperband,
    trees,
    without_times,
    y,
)
from numpy.testing import assert_array_equal
from sklearn.metrics import accuracy_score, f1_score

from skhalving import SuccessiveHalvingSearchCV


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
    assert_same_results(by_callable.all_cv_results_, by_name.all_cv_results_)
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
    assert not any("train" in name for name in plain.all_cv_results_)
    assert_same_results(
        search.all_cv_results_, plain.all_cv_results_, without_times(plain.all_cv_results_)
    )
    for name in names:
        for k in range(3):
            test, train = (
                search.all_cv_results_[f"split{k}_{s}_{name}"] for s in ("test", "train")
            )
            assert_array_equal(np.isnan(test), np.isnan(train))
        train = search.all_cv_results_[f"mean_train_{name}"]
        assert train.mean() > search.all_cv_results_[f"mean_test_{name}"].mean()
        assert f"rank_train_{name}" not in search.all_cv_results_
