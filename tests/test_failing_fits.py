"""Fits and scorers that fail: what it costs, and what is said."""

import gc
import traceback
import warnings

import joblib
import numpy as np
import pytest
from helpers import (
    LADDER,
    SEARCHES,
    SPACE,
    Remember,
    SlowToFail,
    X,
    hyperband,
    plan_in,
    plan_of,
    y,
)
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning


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
    failed = np.isin(search.all_cv_results_["param_a"], [15, 16])
    assert_array_equal(np.isnan(search.all_cv_results_["mean_test_score"]), failed)
    n_failed = failed.sum()  # each failed on the one fold of its first rung, or on all three
    folds = search.all_cv_results_["n_folds"][failed].sum()
    message = str(warned[0].message)
    assert f"{folds} fits failed out of a total of {search.schedule_.n_fits}" in message
    assert "RuntimeError: bad a=15" in message
    assert n_failed >= 2
    assert search.best_params_ == {"a": 14}
    failed_at_top = np.isin(search.cv_results_["param_a"], [15, 16])
    ranks = search.cv_results_["rank_test_score"]
    assert ranks[~failed_at_top].max(initial=0) < ranks[failed_at_top].min(initial=99)


@pytest.mark.parametrize("error_score", [0, -1.5])
def test_numeric_error_score(error_score):
    """A number stands for the score of a fit that failed; no score is NaN."""
    search = hyperband(Remember(bad=(15, 16)), error_score=error_score)
    with pytest.warns(FitFailedWarning, match="fits failed"):
        search.fit(X, y)
    failed = np.isin(search.all_cv_results_["param_a"], [15, 16])
    assert set(search.all_cv_results_["mean_test_score"][failed]) == {error_score}
    assert search.best_params_ == {"a": 14}


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_whole_rung_may_fail():
    """When all fits of a rung fail, its first candidates go on, and the search ends as if nothing
    had happened."""
    plan = hyperband().fit(X, y).all_cv_results_
    second = plan["param_a"][(plan["bracket"] == 1) & (plan["iter"] == 0)]
    failing = hyperband(Remember(bad=tuple(second)))
    with pytest.warns(FitFailedWarning, match="bad a="):
        failing.fit(X, y)
    results = failing.all_cv_results_
    here = results["bracket"] == 1
    first = here & (results["iter"] == 0)
    assert np.isnan(results["mean_test_score"][here]).all()
    assert plan_in(results) == plan_of(failing.schedule_)
    survivors = results["candidate"][here & (results["iter"] == 1)]
    assert_array_equal(survivors, np.sort(results["candidate"][first])[: len(survivors)])
    assert np.isfinite(failing.best_score_)


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("search", SEARCHES)
def test_a_whole_first_level_fails(search, n_jobs):
    """Nothing is to be hoped for from the levels above: the error comes at once, with the
    tracebacks."""
    hopeless = search(Remember(least=50), SPACE, n_jobs=n_jobs, **LADDER)
    n_first = hopeless.plan(X, y).brackets[0].rungs[0].n_candidates
    with (
        joblib.parallel_config(backend="threading"),
        pytest.raises(ValueError, match=rf"(?s)All the {n_first} fits failed.*only 26 rows"),
    ):
        hopeless.fit(X, y)
    assert len(hopeless.all_cv_results_["params"]) >= n_first


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
    failed = np.isin(search.all_cv_results_["param_a"], [15, 16])
    for metric in "ab":
        assert_array_equal(np.isnan(search.all_cv_results_[f"mean_test_{metric}"]), failed)
    assert search.best_params_ == {"a": 14}


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_metrics_of_a_callable_after_a_rung_that_failed():
    """The metrics may stay unknown for almost a whole rung; the rest of the race is run by the one
    of ``refit``."""

    def both(estimator, X, y):
        return {"b": -estimator.a, "a": estimator.a}

    plan = hyperband().fit(X, y).all_cv_results_
    first = plan["param_a"][plan["level"] == 0]
    search = hyperband(Remember(bad=tuple(first[:-1])), scoring=both, refit="a")
    with pytest.warns(FitFailedWarning):
        search.fit(X, y)
    results = search.cv_results_
    assert results["param_a"][search.best_index_] == max(results["param_a"])


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
    lost = search.all_cv_results_["param_a"] == 16
    assert_array_equal(np.isnan(search.all_cv_results_["mean_test_score"]), lost)


@pytest.mark.filterwarnings("ignore:Scoring failed:UserWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("error_score", [np.nan, -1.0])
def test_a_callable_of_several_metrics_that_fails(error_score):
    """It costs every metric, also where the first candidate of all is the one that fails, or where
    only some of the folds fail."""
    plan = hyperband().fit(X, y).all_cv_results_
    first, calls = plan["param_a"][0], []

    def picky(estimator, X, y):
        calls.append(estimator.a)
        if estimator.a == first or (estimator.a == 99 and calls.count(99) < 3):
            raise RuntimeError("picky")
        return {"b": -float(estimator.a), "a": float(estimator.a)}

    search = hyperband(
        scoring=picky, refit="a", error_score=error_score, starting_points=[{"a": 99}]
    ).fit(X, y)
    every = search.all_cv_results_
    assert "mean_test_score" not in every
    for metric, sign in {"a": 1, "b": -1}.items():
        of_99 = [sign * 99, error_score, error_score]
        expected = {**{a: sign * a for a in range(17)}, first: error_score, 99: np.mean(of_99)}
        means = [expected[a] for a in every["param_a"]]
        np.testing.assert_allclose(every[f"mean_test_{metric}"], means)
    best = 99 if error_score == -1 else max(every["param_a"][every["param_a"] < 99])
    assert search.best_params_ == {"a": best}


class NeverDone(Remember):
    """Has not converged, however many steps it may take."""

    def __init__(self, a=0, max_iter=9):
        super().__init__(a)
        self.max_iter = max_iter

    def fit(self, X, y):
        warnings.warn(f"{self.max_iter} steps", ConvergenceWarning, stacklevel=1)
        return super().fit(X, y)


@pytest.mark.parametrize("resource", ["max_iter", "n_samples"])
def test_training_that_is_cut_short_says_nothing(resource):
    """On the rungs that give fewer iterations than the last, that a fit has not converged is no
    news. Everywhere else the estimator's warning is heard."""
    search = hyperband(NeverDone(), resource=resource, min_resources="auto", refit=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y)
    plan = search.schedule_
    heard = [i for i, level in enumerate(plan.levels) if level.n_resources == 9]
    if resource == "n_samples":
        heard = range(len(plan.levels))
    assert 0 < len(caught) == sum(plan.fits_at(level) for level in heard)
    assert {str(warning.message) for warning in caught} == {"9 steps"}
