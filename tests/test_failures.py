"""Workers that die, fits that hang, interrupts and deadlines: what is lost, and what is said."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from datetime import timedelta
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import FitFailedWarning

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, successive_halving

X = np.random.RandomState(0).normal(size=(90, 3))
y = np.arange(90) % 2
ONE_RUNG = {"folds": "all", "min_resources": 90, "refit": False}
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


class Rough(ClassifierMixin, BaseEstimator):
    """Sleeps, kills its process or hangs in compiled code, as its parameters say."""

    def __init__(self, quality=0.5, act="fit", seconds=0.0):
        self.quality = quality
        self.act = act
        self.seconds = seconds

    def fit(self, X, y):
        if self.act == "exit":
            os._exit(1)
        if self.act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.act == "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        time.sleep(self.seconds)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def score(self, X, y):
        return self.quality


@posix
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_poison_costs_its_own_candidates_only(tmp_path):
    """16 tasks, 2 killers: 14 right, 2 failed with their parameters in the warning."""
    space = [{"quality": list(np.linspace(0, 1, 14))}, {"act": ["exit", "kill"]}]
    search = SuccessiveHalvingSearchCV(
        Rough(), space, cv=[(np.arange(60), np.arange(60, 90))], n_jobs=2, **ONE_RUNG
    )
    with pytest.warns(FitFailedWarning, match=r"(?s)2 fits failed out of a total of 16.*'act'"):
        search.fit(X, y)
    scores = search.all_cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores[:14], np.linspace(0, 1, 14))
    assert np.isnan(scores[14:]).all()


@posix
def test_poison_with_error_score_raise():
    """Then it ends the search, and the error says which candidate it was."""
    search = SuccessiveHalvingSearchCV(
        Rough(), {"act": ["fit", "exit"]}, cv=2, n_jobs=2, error_score="raise", **ONE_RUNG
    )
    with pytest.raises(RuntimeError, match=r"killed its worker twice, with parameters .*exit"):
        search.fit(X, y)


@posix
@pytest.mark.slow
def test_workers_killed_at_random():
    """500 evaluations while workers are shot: all are there, only the poisoned one failed."""
    stop, random, shot = threading.Event(), np.random.RandomState(0), []

    def shoot():
        # Time enough for a pool to start again, which takes seconds on a busy machine.
        while len(shot) < 3 and not stop.wait(8):
            workers = loky_workers()
            if workers:
                shot.append(workers[random.randint(len(workers))])
                os.kill(shot[-1], signal.SIGKILL)

    space = [{"quality": list(np.linspace(0, 1, 99)), "seconds": [0.1]}, {"act": ["exit"]}]
    search = SuccessiveHalvingSearchCV(Rough(), space, cv=5, n_jobs=2, **ONE_RUNG)
    thread = threading.Thread(target=shoot)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(X, y)
    finally:
        stop.set()
        thread.join()
    scores = search.all_cv_results_["mean_test_score"]
    assert len(shot) >= 1
    np.testing.assert_allclose(scores[:99], np.linspace(0, 1, 99))
    assert np.isnan(scores[99])


def loky_workers():
    """Process ids of this process's workers."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [p for p in pids if b"popen_loky" in Path(f"/proc/{p}/cmdline").read_bytes()]


@posix
def test_a_plain_objective_that_kills_its_worker():
    """The functions run the same loop: the configuration fails, the search goes on."""

    def objective(x, resource):
        if x == 3:
            os._exit(1)
        return x

    with pytest.warns(FitFailedWarning, match="killed its worker twice"):
        result = successive_halving(objective, range(6), max_resources=1, n_jobs=2)
    assert result.best_configuration == 0
    assert np.isnan(result.history["score"][3])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_leaves_what_is_known(tmp_path, n_jobs):
    """KeyboardInterrupt from this process: ``cv_results_`` so far, the journal all of it."""
    from skhalving.work import Work

    path, record, recorded = tmp_path / "journal", Work.record, []

    def interrupting(self, task, result):
        record(self, task, result)
        recorded.append(task)
        if len(recorded) == 12:
            raise KeyboardInterrupt

    search = HyperbandSearchCV(
        Rough(),
        {"quality": list(np.linspace(0, 1, 30))},
        cv=3,
        n_jobs=n_jobs,
        journal=path,
        random_state=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "record", interrupting)
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
    assert len(search.all_cv_results_["params"]) == 11  # the twelfth was not yet told
    assert len(path.read_text().splitlines()) == 1 + 12
    search.fit(X, y)
    assert len(path.read_text().splitlines()) == 1 + search.schedule_.n_fits


def test_an_interrupted_second_fit_leaves_nothing_of_the_first():
    """``best_*`` of one fit beside ``cv_results_`` of another would mislead."""

    def stop(model, X, y):
        raise KeyboardInterrupt

    search = SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1, 0.2]}, cv=2).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        search.set_params(scoring=stop).fit(X, y)
    assert not any(hasattr(search, name) for name in ("best_params_", "best_index_", "cv_results_"))


@posix
def test_ctrl_c_is_quick_and_leaves_no_worker(tmp_path):
    """A real SIGINT to a real search: gone within two seconds, workers too, results kept."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            import numpy as np
            from sklearn.dummy import DummyClassifier
            from skhalving import SuccessiveHalvingSearchCV

            class Slow(DummyClassifier):
                def __init__(self, seconds=0.0):
                    super().__init__()
                    self.seconds = seconds

                def fit(self, X, y):
                    if self.seconds > 1:
                        open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
                    time.sleep(self.seconds)
                    return super().fit(X, y)

            X, y = np.zeros((90, 2)), np.arange(90) % 2
            search = SuccessiveHalvingSearchCV(
                Slow(), {"seconds": [0.3, 0.31, 0.32, 60.0, 61.0]}, cv=2, n_jobs=2, folds="all",
                min_resources=90,
            )
            print("go", flush=True)
            try:
                search.fit(X, y)
            except KeyboardInterrupt:
                print(len(search.all_cv_results_["params"]), flush=True)
            """
        )
    )
    pids = tmp_path / "pids"
    pids.mkdir()
    # Popen as a shell does it: SIGINT must not be ignored.
    command = [sys.executable, str(script), str(pids)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "go\n"
        while len(os.listdir(pids)) < 2:
            time.sleep(0.1)
        time.sleep(0.5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "3\n"
        assert time.monotonic() - start < 2
        process.wait(10)
    time.sleep(0.5)
    workers = [int(name) for name in os.listdir(pids)]
    assert len(workers) == 2
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


@pytest.mark.parametrize("limit", [0.6, timedelta(seconds=0.6)])
def test_max_time(limit):
    """Nothing starts after the deadline; the best is of the highest level with results."""
    search = HyperbandSearchCV(
        Rough(seconds=0.05),
        {"quality": list(np.linspace(0, 1, 60))},
        cv=3,
        max_time=limit,
        random_state=0,
    )
    start = time.monotonic()
    with pytest.warns(UserWarning, match=r"max_time=.* was reached: \d+ of \d+ evaluations were"):
        search.fit(X, y)
    assert time.monotonic() - start < 1.0
    results = search.all_cv_results_
    assert 3 < len(results["params"]) < search.schedule_.n_fits
    assert results["rank_test_score"][search.best_index_] == 1
    assert results["n_resources"][search.best_index_] == results["n_resources"].max()
    assert search.best_estimator_.quality == search.best_params_["quality"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_candidate_is_always_evaluated(n_jobs):
    """However short the time: all folds of the first, and a refit."""
    search = HyperbandSearchCV(
        Rough(seconds=0.1), {"quality": [0.1, 0.2]}, cv=3, max_time=1e-6, n_jobs=n_jobs
    )
    with pytest.warns(UserWarning, match="max_time"):
        search.fit(X, y)
    assert len(search.all_cv_results_["params"]) == 1
    assert search.predict(X).shape == (90,)


def test_time_enough_says_nothing(recwarn):
    """A limit that is not reached changes nothing."""
    SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1, 0.2]}, cv=2, max_time=60).fit(X, y)
    assert not recwarn.list


@posix
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_fit_timeout(n_jobs):
    """A fit that runs over fails, soon after its limit; the others do not."""
    space = {"seconds": [0.0, 0.01, 30.0, 0.02]}
    search = SuccessiveHalvingSearchCV(
        Rough(), space, cv=2, n_jobs=n_jobs, fit_timeout=0.5, **ONE_RUNG
    )
    with pytest.warns(Warning, match="TimeoutError: it ran over fit_timeout=0.5 s"):
        search.fit(X, y)
    np.testing.assert_array_equal(
        np.isnan(search.all_cv_results_["mean_test_score"]), [False, False, True, False]
    )
    assert search.all_cv_results_["mean_fit_time"][2] < 2


@posix
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_fit_that_does_not_hear_the_alarm():
    """The worker ends itself, the search goes on without that candidate, and says so."""
    search = SuccessiveHalvingSearchCV(
        Rough(),
        [{"quality": [0.1, 0.2, 0.3]}, {"act": ["deaf"], "seconds": [60.0]}],
        cv=[(np.arange(60), np.arange(60, 90))],
        n_jobs=2,
        fit_timeout=0.5,
        **ONE_RUNG,
    )
    start = time.monotonic()
    with pytest.warns(Warning, match="it ran over fit_timeout, with parameters"):
        search.fit(X, y)
    assert time.monotonic() - start < 30
    np.testing.assert_array_equal(
        search.all_cv_results_["mean_test_score"], [0.1, 0.2, 0.3, np.nan]
    )


@posix
def test_fit_timeout_leaves_the_process_as_it_was():
    """No alarm is left ringing, and the handler is the one from before."""
    before = signal.getsignal(signal.SIGALRM)
    SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1]}, cv=2, fit_timeout=0.3).fit(X, y)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_fit_timeout_on_threads_is_an_error():
    """An alarm cannot stop a thread; that is said before anything is fitted."""
    search = SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1]}, n_jobs=2, fit_timeout=1)
    error = pytest.raises(RuntimeError, match=r"fit_timeout=1.0 needs .* use loky, or n_jobs=1")
    with joblib.parallel_config(backend="threading"), error:
        search.fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_time": 0}, "max_time=0 must be above 0 seconds"),
        ({"max_time": timedelta(seconds=-1)}, "must be above 0 seconds"),
        ({"fit_timeout": 0}, "'fit_timeout' parameter .* must be"),
        ({"max_time": "1h"}, "'max_time' parameter .* must be"),
    ],
)
def test_bad_limits(options, message):
    """The value and what would do."""
    with pytest.raises(ValueError, match=message):
        SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1]}, **options).fit(X, y)
