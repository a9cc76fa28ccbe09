"""Races on joblib's backends: as many evaluations as workers, and none waits for a wave."""

import threading
import time
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator

from skhalving import SuccessiveHalvingSearchCV, functions, hyperband, successive_halving

KINDS = ["sequential", "threading", "loky", "multiprocessing"]


def test_no_rung_waits_for_another_bracket():
    """A candidate of one bracket is promoted, and runs, while a fit of another bracket that began
    before goes on: with waves that fit would never end."""
    climbed = threading.Event()

    def objective(configuration, resource):
        number = configuration["number"]
        if number == blocker:
            assert climbed.wait(60)
        elif number in first_bracket and resource == 9:
            climbed.set()
        return number

    def numbers(rng):
        numbers.last += 1
        return {"number": numbers.last}

    # Brackets of 9, 5 and 3 candidates: the blocker stands in the last, which starts at the top.
    first_bracket, blocker = range(1, 10), 15
    numbers.last = 0
    with joblib.parallel_config(backend="threading"):
        result = hyperband(objective, numbers, max_resources=9, n_jobs=2)
    assert len(result.history["score"]) == 9 + 3 + 1 + 5 + 1 + 3


def running(n_jobs):
    """An objective that notes how many of it run at a time; the first of each worker wait for one
    another."""
    lock, counts, together = threading.Lock(), {"now": 0, "most": 0}, threading.Barrier(n_jobs)

    def objective(configuration, resource):
        with lock:
            counts["now"] += 1
            counts["most"] = max(counts["most"], counts["now"])
        if resource == 1 and configuration < n_jobs:
            together.wait(60)
        time.sleep(0.01)
        with lock:
            counts["now"] -= 1
        return configuration

    return objective, counts


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_as_many_as_there_are_workers(n_jobs):
    """Never more than ``n_jobs`` evaluations at a time, and as many when there is enough to do."""
    objective, counts = running(n_jobs)
    with joblib.parallel_config(backend="threading"):
        successive_halving(objective, range(27), max_resources=27, n_jobs=n_jobs)
    assert counts["most"] == n_jobs


def test_the_longest_first(monkeypatch):
    """What cost the most on the last rung is the first to run on the next."""
    began, now = [], [0]
    monkeypatch.setattr(functions, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def objective(configuration, resource):
        began.append((resource, configuration))
        now[0] += configuration
        return configuration

    successive_halving(objective, range(9), max_resources=9, maximize=True)
    assert [c for resource, c in began if resource == 3] == [8, 7, 6]


class Settings(BaseEstimator):
    """Its score is what the worker's settings are."""

    def __init__(self, a=0):
        self.a = a

    def fit(self, X, y=None):
        with warnings.catch_warnings(record=True) as caught:
            warnings.warn("not to be seen", DeprecationWarning, stacklevel=1)
        self.caught_ = len(caught)
        return self

    def score(self, X, y=None):
        return 10 * sklearn.get_config()["assume_finite"] + self.caught_


@pytest.mark.parametrize("backend", KINDS)
def test_settings_go_along(backend):
    """scikit-learn's configuration and the filters of warnings are those of the caller."""
    search = SuccessiveHalvingSearchCV(Settings(), {"a": [1, 2, 3]}, n_jobs=2, refit=False, cv=2)
    with (
        joblib.parallel_config(backend=backend),
        sklearn.config_context(assume_finite=True),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)
        search.set_params(min_resources=20).fit(np.zeros((20, 1)))
    assert set(search.cv_results_["mean_test_score"]) == {10.0}


def test_short_tasks_go_in_batches():
    """A hundred that take no time begin on the workers in far fewer batches: those of a batch run
    one after another on one thread, without this one having a say in between."""
    began, told = [], []

    def objective(configuration, resource):
        began.append(len(told))
        return configuration

    def tell(event):
        told.append(event["event"])

    with joblib.parallel_config(backend="threading"):
        successive_halving(objective, range(100), max_resources=1, n_jobs=2, on_result=tell)
    assert len(began) == 100
    assert len(set(began)) < 30
