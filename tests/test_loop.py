"""Races on joblib's backends: as many evaluations as workers, and none waits for a wave."""

import threading
import time
import warnings
from collections import Counter
from contextlib import nullcontext

import joblib
import numpy as np
import pytest
import sklearn
from helpers import ONE_RUNG, Remember, X, y
from sklearn.base import BaseEstimator

from skhalving import SuccessiveHalvingSearchCV, hyperband, successive_halving
from skhalving.engines import Died
from skhalving.pace import Pace

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


@pytest.fixture
def take(monkeypatch):
    """Call it to have so many seconds pass, by every clock."""
    passed = [0.0]
    for name in ("time", "perf_counter", "monotonic"):
        right = getattr(time, name)
        monkeypatch.setattr(time, name, lambda right=right: right() + sum(passed))
    return passed.append


def test_the_longest_first(take):
    """What cost the most on the last rung is the first to run on the next."""
    began = []

    def objective(configuration, resource):
        began.append((resource, configuration))
        take(100 * configuration)
        return configuration

    successive_halving(objective, range(9), max_resources=9, maximize=True)
    assert [c for resource, c in began if resource == 3] == [8, 7, 6]


def test_scoring_is_part_of_what_an_evaluation_costs(take):
    """The longest first, whether it is the fit or the scorer that takes long."""

    def scorer(estimator, X, y):
        take(100 * estimator.a)
        return estimator.a

    split = [(np.arange(60), np.arange(60, 120))]
    options = {"schedule": "published", "min_resources": 30, "cv": split, "refit": False}
    search = SuccessiveHalvingSearchCV(Remember(), {"a": list(range(9))}, scoring=scorer, **options)
    events = []
    search.set_params(on_result=events.append).fit(X, y)
    ran = [event for event in events if event["event"] == "evaluation"]
    assert [event["params"]["a"] for event in ran if event["level"] == 1] == [8, 7, 6]
    assert (search.cv_results_["mean_score_time"] >= 600).all()
    assert (search.cv_results_["mean_fit_time"] < 600).all()


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


def test_settings_are_for_one_evaluation():
    """What an evaluation sets is undone when it ends, so that it is the same for the next, whoever
    shares its batch."""

    def objective(configuration, resource):
        score = 1000 * sklearn.get_config()["assume_finite"] + len(warnings.filters)
        sklearn.set_config(assume_finite=True)
        warnings.simplefilter("ignore", EncodingWarning)
        return score

    with joblib.parallel_config(backend="loky"):
        result = successive_halving(objective, range(30), max_resources=1, n_jobs=2)
    assert len(set(result.history["score"])) == 1


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


class Death(BaseException):
    """The process of a batch ends."""


class Pool:
    """An engine whose workers are acted in this process: when the process of one batch ends, the
    others that are in flight are lost with it. Notes which batches ran alone."""

    batch_seconds = 1.0
    n_workers = 3

    def __init__(self, kills):
        self.kills, self.flying, self.ran_alone = kills, [], []

    @property
    def n_flying(self):
        return len(self.flying)

    @property
    def n_free(self):
        return self.n_workers - self.n_flying

    def share(self, value):
        return value

    def send(self, tasks, prepare):
        self.flying.append((tasks, prepare()))

    def receive(self):
        flying, self.flying = self.flying, []
        answers = [self.answer(call, self.kills) for _, call in flying]
        broken = [answer for answer in answers if isinstance(answer, Died)]
        for (tasks, _), answer in zip(flying, answers, strict=True):
            yield tasks, broken[0] if broken else answer

    def alone(self, tasks, prepare):
        self.ran_alone.append([task.candidate for task in tasks])
        yield tasks, self.answer(prepare(), 1)

    def answer(self, call, kills):
        try:
            return call.function(call.shared, *call.args)
        except Death:
            return Died(kills)


@pytest.fixture
def pool(monkeypatch):
    """A pool in place of joblib's, with batches of two."""
    pool = Pool(0)
    monkeypatch.setattr("skhalving.loop.engine", lambda folder, **options: nullcontext(pool))
    monkeypatch.setattr(Pace, "batch_size", lambda *args: 2)
    return pool


class Deadly:
    """An objective that ends its process as often as ``left`` says of a configuration."""

    def __init__(self, **left):
        self.left, self.began = Counter({int(name[1:]): n for name, n in left.items()}), []

    def __call__(self, x, resource):
        self.began.append(x)
        if self.left[x]:
            self.left[x] -= 1
            raise Death
        return x


def test_equal_candidates_in_flight_run_once(pool):
    """A candidate that equals one that is on its way waits for that one's scores; the evaluation
    counts as the first one's."""
    told, grid = [], [{"a": [1, 2]}, {"a": [2, 1]}]
    search = SuccessiveHalvingSearchCV(Remember(), grid, cv=2, refit=False, **ONE_RUNG)
    search.set_params(on_result=told.append).fit(X, y)
    ran = [event["candidate"] for event in told if event["event"] == "evaluation"]
    assert ran == [0, 0, 1, 1]
    assert search.cv_results_["mean_test_score"].tolist() == [0.01, 0.02, 0.02, 0.01]


@pytest.mark.parametrize("kills", [0, 1, 4])
def test_what_was_in_flight_runs_again_alone(pool, kills):
    """When a process ends, every task that was in flight runs again, one at a time, before anything
    else does. None has failed, however many processes its batch has ended: who did it is not known
    of several."""
    pool.kills, objective = kills, Deadly(_1=1)
    result = successive_halving(objective, range(8), max_resources=1, maximize=True)
    assert result.best_configuration == 7
    assert sorted(result.history["score"]) == list(range(8))
    assert sorted(pool.ran_alone) == [[0], [1], [2], [3], [4], [5]]
    assert objective.began[-2:] == [6, 7]
    assert Counter(objective.began)[6] == Counter(objective.began)[7] == 1


def test_one_process_may_be_chance(pool):
    """What has ended a process alone gets one more; what ends two has failed, and nothing else."""
    objective = Deadly(_1=2, _2=3)
    with pytest.warns(match="1 of 8 evaluations failed; .*\n.*killed its worker twice"):
        result = successive_halving(objective, range(8), max_resources=1)
    scores = result.history["score"]
    assert np.isnan(scores).tolist() == [x == 2 for x in range(8)]
    assert objective.began.count(2) == 3


def test_an_error_costs_no_other_task_of_its_batch(pool):
    """What ended before, in the same batch too, is known when the error ends the search."""
    told = []

    def objective(x, resource):
        return "no number" if x == 3 else x

    with pytest.raises(TypeError, match="no number"):
        successive_halving(objective, range(6), max_resources=1, on_result=told.append)
    assert [event["candidate"] for event in told] == [0, 1, 2]


def test_time_ends_amid_a_batch(pool, take):
    """A worker starts no evaluation after the time that its batch was given; that time was over is
    not forgotten when a batch that had more of it comes back later."""
    began = []

    def objective(x, resource):
        began.append(x)
        if x == 2:
            take(1000)
        return x

    with pytest.warns(match="max_time=600 was reached: 1 of 6 trials"):
        result = successive_halving(objective, range(6), max_resources=1, max_time=600)
    assert began == result.history["candidate"].tolist() == [0, 1, 2, 4, 5]


def test_time_ends_before_a_suspect_has_run_again(pool, take):
    """Nothing starts after that, neither a suspect nor a batch; what is known stands."""
    began = []

    def objective(x, resource):
        began.append(x)
        if x == 8:
            take(1000)
            raise Death
        return x

    with pytest.warns(match="max_time=600 was reached: 6 of 12 trials"):
        result = successive_halving(objective, range(12), max_resources=1, max_time=600)
    assert began == [*range(9), 10, 11]
    assert result.history["candidate"].tolist() == list(range(6))


def test_the_first_trial_runs_again_even_after_the_time(pool, monkeypatch):
    """The first trial has a score even if its worker died when time was over, so that there is a
    result; what was in flight with it does not start again."""

    def last_first():
        tasks, call = pool.flying.pop()
        yield tasks, pool.answer(call, 0)

    monkeypatch.setattr(pool, "receive", last_first)
    objective = Deadly(_0=1)
    with pytest.warns(match="max_time=1e-09 was reached: 5 of 6 trials"):
        result = successive_halving(objective, range(6), max_resources=1, max_time=1e-9)
    assert objective.began == [0, 0]
    assert result.history["candidate"].tolist() == [0]
