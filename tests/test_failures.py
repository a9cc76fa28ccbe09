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
from skhalving.journal import Journal
from skhalving.pace import Pace
from skhalving.task import Outcome, Task

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
        if self.act != "score":
            time.sleep(self.seconds)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def score(self, X, y):
        if self.act == "score":
            time.sleep(self.seconds)
        return self.quality


@posix
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_poison_costs_its_own_candidates_only(tmp_path):
    """9 tasks, a killer: 8 right, one failed with its parameters in the warning."""
    space = [{"quality": list(np.linspace(0, 1, 8))}, {"act": ["kill"]}]
    search = SuccessiveHalvingSearchCV(
        Rough(), space, cv=[(np.arange(60), np.arange(60, 90))], n_jobs=2, **ONE_RUNG
    )
    with pytest.warns(FitFailedWarning, match=r"(?s)1 fits failed out of a total of 9.*'act'"):
        search.fit(X, y)
    scores = search.all_cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores[:8], np.linspace(0, 1, 8))
    assert np.isnan(scores[8])


@posix
def test_poison_with_error_score_raise():
    """Then it ends the search, and the error says which candidate it was."""
    search = SuccessiveHalvingSearchCV(
        Rough(),
        {"act": ["fit", "exit"]},
        cv=[(np.arange(60), np.arange(60, 90))],
        n_jobs=2,
        error_score="raise",
        **ONE_RUNG,
    )
    with pytest.raises(RuntimeError, match=r"killed its worker twice, with parameters .*exit"):
        search.fit(X, y)


@posix
@pytest.mark.slow
def test_workers_killed_from_outside(tmp_path):
    """A worker is shot while a search runs, and one candidate ends its own: every other candidate
    has its score, since nobody is failed for the death of a worker that it did not end."""
    path = tmp_path / "journal"
    ended = threading.Event()

    def n_recorded():
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def shoot():
        while n_recorded() < 4 or not (workers := loky_workers()):
            if ended.wait(0.05):
                return
        os.kill(workers[0], signal.SIGKILL)

    # So long that a batch is one task: a suspect runs in a process of its own, which takes time.
    space = [{"quality": list(np.linspace(0, 1, 9)), "seconds": [0.3]}, {"act": ["exit"]}]
    search = SuccessiveHalvingSearchCV(
        Rough(), space, cv=[(np.arange(60), np.arange(60, 90))], n_jobs=2, journal=path, **ONE_RUNG
    )
    thread = threading.Thread(target=shoot)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(X, y)
    finally:
        ended.set()
        thread.join()
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(scores[:9], np.linspace(0, 1, 9))
    assert np.isnan(scores[9])


@posix
@pytest.mark.filterwarnings("ignore")  # for all threads at once: filters are not a thread's own
def test_what_another_search_does_costs_nobody():
    """Two threads search on loky: the one has a candidate that ends its process, the other none.
    Every healthy candidate of both has its score."""
    found = {}

    def search(name, acts):
        space = [{"quality": list(np.linspace(0, 1, 8)), "seconds": [0.2]}]
        space += [{"act": [act]} for act in acts]
        found[name] = SuccessiveHalvingSearchCV(
            Rough(), space, cv=[(np.arange(60), np.arange(60, 90))], n_jobs=2, **ONE_RUNG
        ).fit(X, y)

    threads = [
        threading.Thread(target=search, args=("deadly", ["exit"])),
        threading.Thread(target=search, args=("healthy", [])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, n_failed in (("deadly", 1), ("healthy", 0)):
        scores = found[name].cv_results_["mean_test_score"]
        np.testing.assert_allclose(scores[:8], np.linspace(0, 1, 8))
        assert np.isnan(scores[8:]).sum() == n_failed


def wait_until(happened, seconds):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    assert happened()


def loky_workers():
    """Process ids of this process's workers."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [p for p in pids if b"popen_loky" in Path(f"/proc/{p}/cmdline").read_bytes()]


@posix
def test_a_plain_objective_that_kills_its_worker():
    """The functions run the same loop: the configuration fails, the search goes on."""

    def objective(x, resource):
        if x == 1:
            os._exit(1)
        return x

    with pytest.warns(FitFailedWarning, match="killed its worker twice"):
        result = successive_halving(objective, range(4), max_resources=1, n_jobs=2)
    assert result.best_configuration == 0
    np.testing.assert_array_equal(result.history["score"], [0, np.nan, 2, 3])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_leaves_what_is_known(tmp_path, n_jobs):
    """KeyboardInterrupt from this process: ``all_cv_results_`` so far, the journal all of it."""
    path, write, written = tmp_path / "journal", Journal.write, []

    def interrupting(self, record):
        write(self, record)
        written.append(record)
        if len(written) == 12:
            raise KeyboardInterrupt

    search = HyperbandSearchCV(
        Rough(),
        {"quality": list(np.linspace(0, 1, 30))},
        cv=3,
        n_jobs=n_jobs,
        journal=path,
        random_state=0,
    )
    with joblib.parallel_config(backend="threading"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "write", interrupting)
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
    assert len(search.all_cv_results_["params"]) == 11  # the twelfth was not yet told
    assert len(path.read_text().splitlines()) == 2 + 12  # a header, a plan
    search.set_params(n_jobs=1).fit(X, y)
    assert len(path.read_text().splitlines()) == 2 + search.schedule_.n_fits
    assert search.n_fits_ == search.schedule_.n_fits - 12


def test_an_interrupted_second_fit_leaves_nothing_of_the_first():
    """``best_*`` of one fit beside ``cv_results_`` of another would mislead."""

    def stop(model, X, y):
        raise KeyboardInterrupt

    search = SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1, 0.2]}, cv=2).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        search.set_params(scoring=stop).fit(X, y)
    assert not any(hasattr(search, name) for name in ("best_params_", "best_index_", "cv_results_"))


@posix
def test_ctrl_c_waits_for_nobody_and_leaves_no_worker(tmp_path):
    """A real SIGINT to a search amid fits of ten minutes: it ends long before them, its workers
    too, and its results are kept."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys, time
            import numpy as np
            from sklearn.dummy import DummyClassifier
            from skhalving import SuccessiveHalvingSearchCV

            signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs this may ignore it

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
                Slow(), {"seconds": [0.3, 0.31, 0.32, 600.0, 601.0]}, cv=2, n_jobs=2, folds="all",
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
    command = [sys.executable, str(script), str(pids)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "go\n"
        while len(os.listdir(pids)) < 2:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "3\n"
        process.wait(240)
    workers = [int(name) for name in os.listdir(pids)]
    assert len(workers) == 2
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), 240)


@pytest.mark.parametrize("limit", [1.0, timedelta(seconds=1)])
def test_max_time(limit):
    """Nothing starts after the limit; the best is of the highest level with results, which the
    warning names."""
    search = HyperbandSearchCV(
        Rough(seconds=0.2),
        {"quality": list(np.linspace(0, 1, 60))},
        cv=3,
        max_time=limit,
        random_state=0,
    )
    with pytest.warns(UserWarning, match=r"max_time=.* was reached: (\d+) of (\d+) trials") as said:
        search.fit(X, y)
    results = search.all_cv_results_
    assert 0 < search.n_fits_ <= 5  # each takes a fifth of the limit
    n_planned = sum(search.n_candidates_)
    n_left = n_planned - len(results["params"])
    amount = results["n_resources"].max()
    assert f"{n_left} of {n_planned} trials were not run" in str(said[0].message)
    assert f"n_samples={amount} and 1 fold" in str(said[0].message)
    assert search.cv_results_["rank_test_score"][search.best_index_] == 1
    assert search.best_estimator_.quality == search.best_params_["quality"]


@pytest.mark.parametrize("hours", [-2, 2])
def test_clocks_that_are_wrong_end_nothing(monkeypatch, hours):
    """A worker whose clock is hours off, or a clock that is set while a search runs, changes
    nothing: seconds are counted, and times of day are not compared."""
    right, calls = time.time, []

    def objective(x, resource):
        calls.append(x)
        monkeypatch.setattr(time, "time", lambda: right() + 3600 * hours * len(calls))
        return x

    result = successive_halving(objective, range(9), max_resources=9, max_time=600)
    assert len(calls) == result.schedule.n_fits


def test_max_time_leaves_room_for_the_refit():
    """The time that the refit is expected to take is kept back: that of the slowest fit of the
    largest amount so far, in proportion."""
    pace = Pace(10.0, refit_amount=900.0)
    pace.arrived(Task(0, 0, 30), Outcome({"score": 1.0}, fit_time=0.2, score_time=5.0))
    assert pace.time_left() <= 4.0  # 10, less 0.2 s for 30 rows of 900
    pace.arrived(Task(0, 0, 90), Outcome({"score": 1.0}, fit_time=0.3, score_time=5.0))
    assert 4.0 < pace.time_left() <= 7.0  # the largest amount tells most


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


def test_what_is_known_counts_as_the_first_candidate(tmp_path):
    """A search that is resumed without time to go on ends the candidate that was begun, if none is
    whole; and runs nothing if one is."""
    search = SuccessiveHalvingSearchCV(
        Rough(), {"quality": [0.1, 0.2]}, cv=3, journal=tmp_path / "journal", **ONE_RUNG
    )

    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.set_params(on_result=stop).fit(X, y)
    search.set_params(on_result=None, max_time=1e-6)
    for n_fits in (2, 0):
        with pytest.warns(UserWarning, match="max_time=1e-06 was reached: 1 of 2 trials"):
            search.fit(X, y)
        assert search.n_fits_ == n_fits


LIMITED = """
import warnings
import numpy as np
from sklearn.tree import DecisionTreeClassifier
from skhalving import SuccessiveHalvingSearchCV

warnings.simplefilter("ignore")
X, y = np.random.RandomState(0).normal(size=(90, 3)), np.arange(90) % 2
search = SuccessiveHalvingSearchCV(
    DecisionTreeClassifier(), {"max_depth": list(range(1, 51))}, cv=2, fit_timeout=0.0007,
    folds="all", min_resources=90, refit=False,
)
for n_jobs in (1, 1, 1, 2, 2):
    try:
        search.set_params(n_jobs=n_jobs).fit(X, y)
    except ValueError as error:  # on a slow machine no fit is in time
        if "All the 100 fits failed" not in str(error):
            raise
    else:
        scores = search.cv_results_["mean_test_score"]
        assert np.all(np.isnan(scores) | (scores > 0.2)), scores
"""


@posix
def test_a_limit_ends_no_search():
    """Wherever the limit strikes (rows are cut, parameters are set, a fit, a score), its evaluation
    has failed, and the search goes on: every row is a score or NaN. In a process of its own, as
    coverage runs code of its own between any two lines."""
    command = [sys.executable, "-c", LIMITED]
    subprocess.run(command, check=True, timeout=240, stderr=subprocess.DEVNULL)


@posix
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_ran_over_its_limit_is_tried_again(tmp_path, n_jobs):
    """What runs over fails, in a fit or in a scorer, and the others do not; a search that is
    resumed without its limit runs that again, and nothing else."""
    space = [{"quality": [0.1, 0.2, 0.3]}, {"act": ["fit", "score"], "seconds": [6.0]}]
    options = {"cv": [(np.arange(60), np.arange(60, 90))], "journal": tmp_path / "journal"}
    search = SuccessiveHalvingSearchCV(Rough(), space, n_jobs=n_jobs, **options, **ONE_RUNG)
    with pytest.warns(Warning, match=r"TimeoutError: it ran over fit_timeout=3\.0 s"):
        search.set_params(fit_timeout=3).fit(X, y)
    assert search.n_fits_ == 5
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], [0.1, 0.2, 0.3, np.nan, np.nan]
    )
    search.set_params(fit_timeout=None).fit(X, y)
    assert search.n_fits_ == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    search.fit(X, y)
    assert search.n_fits_ == 0


def test_time_enough_says_nothing(recwarn):
    """A limit that is not reached changes nothing."""
    SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1, 0.2]}, cv=2, max_time=60).fit(X, y)
    assert not recwarn.list


@posix
def test_fit_timeout_with_error_score_raise():
    """A fit that runs over ends the search, as any error of a fit does then."""
    search = SuccessiveHalvingSearchCV(
        Rough(seconds=60.0), {"quality": [0.1]}, cv=2, fit_timeout=0.1, error_score="raise"
    )
    with pytest.raises(TimeoutError, match=r"it ran over fit_timeout=0\.1 s"):
        search.fit(X, y)


@posix
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_fit_that_does_not_hear_the_alarm():
    """The worker ends itself, the search goes on without that candidate, and says so."""
    search = SuccessiveHalvingSearchCV(
        Rough(),
        [{"quality": [0.1, 0.2, 0.3]}, {"act": ["deaf"], "seconds": [60.0]}],
        cv=[(np.arange(60), np.arange(60, 90))],
        n_jobs=2,
        fit_timeout=3,
        **ONE_RUNG,
    )
    with pytest.warns(Warning, match="it ran over fit_timeout, with parameters"):
        search.fit(X, y)  # a fit that was waited for would take a minute, and have a score
    np.testing.assert_array_equal(
        search.all_cv_results_["mean_test_score"], [0.1, 0.2, 0.3, np.nan]
    )


@posix
def test_fit_timeout_leaves_the_process_as_it_was():
    """No alarm is left ringing, and the handler is the one from before."""
    before = signal.getsignal(signal.SIGALRM)
    SuccessiveHalvingSearchCV(Rough(), {"quality": [0.1]}, cv=2, fit_timeout=60).fit(X, y)
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
