"""dask and ray, with real processes: the same results, dead workers survived."""

import contextlib
import os
import sys
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, successive_halving
from skhalving.engines import Call, Dask, Died, Ray, engine

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("default")]
X, y = load_digits(return_X_y=True)
X, y = X[:600], y[:600]


@pytest.fixture(scope="module")
def dask_client():
    distributed = pytest.importorskip("distributed", reason="dask is an extra")
    import dask

    with (
        # One more try: with dask's three a task may kill a worker that is just starting, which
        # dask then gives up.
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def revive(client):
    """Have two workers: dask gives a worker up that is killed while it starts."""
    try:
        client.wait_for_workers(2, timeout=20)
    except TimeoutError:
        client.cluster.scale(len(client.cluster.worker_spec) + 1)
        client.wait_for_workers(2, timeout=60)


@pytest.fixture(scope="module")
def ray_backend():
    ray = pytest.importorskip("ray", reason="ray is an extra")
    from ray.util.joblib import register_ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # this file, for the workers
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    yield
    ray.shutdown()


@pytest.fixture(params=["dask", "ray"])
def backend(request):
    if request.param == "dask":
        revive(request.getfixturevalue("dask_client"))
    else:
        request.getfixturevalue("ray_backend")
    with joblib.parallel_config(backend=request.param, n_jobs=2):
        yield request.param


def columns(search):
    skipped = ("time", "continued")
    names = [name for name in search.all_cv_results_ if not any(word in name for word in skipped)]
    return {name: [str(value) for value in search.all_cv_results_[name]] for name in names}


@contextlib.contextmanager
def elsewhere_only(monkeypatch):
    """Nothing is evaluated in this process."""

    def fail(*args, **kwargs):
        raise AssertionError("evaluated in this process")

    with monkeypatch.context() as patch:
        patch.setattr("skhalving.evaluate._fit_and_score", fail)
        yield


SEARCHES = {
    "rows": lambda: HyperbandSearchCV(
        SVC(), {"C": list(np.logspace(-2, 2, 20))}, cv=3, random_state=0
    ),
    "a pipeline": lambda: HyperbandSearchCV(
        make_pipeline(PCA(2, random_state=0), SVC()),
        {"svc__C": list(np.logspace(-2, 2, 20))},
        cv=3,
        random_state=0,
    ),
    "epochs": lambda: SuccessiveHalvingSearchCV(
        SGDClassifier(random_state=0),
        {"alpha": list(np.logspace(-5, 0, 27))},
        resource="max_iter",
        max_resources=18,
        continue_training=True,
        cv=3,
        random_state=0,
        refit=False,
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_the_same_as_alone(backend, name, monkeypatch):
    """Same table as ``n_jobs=1``, models handed on through the shared folder included."""
    alone = SEARCHES[name]()
    with joblib.parallel_config(backend="loky"):
        alone.set_params(n_jobs=1).fit(X, y)
    with elsewhere_only(monkeypatch):
        elsewhere = SEARCHES[name]().fit(X, y)
    assert columns(elsewhere) == columns(alone)
    if name == "epochs":
        assert elsewhere.all_cv_results_["continued"].any()


def test_plain_functions(backend):
    """The functions too."""
    result = successive_halving(lambda x, resource: (x - 5) ** 2, range(9), max_resources=9)
    assert result.best_configuration == 5


def test_a_search_within_a_parallel_loop(backend):
    """Inside the workers of the same engine a search runs too, and gives what it gives alone."""
    search = SuccessiveHalvingSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}, cv=2, random_state=0)
    outside = cross_val_score(search, X, y, cv=2, n_jobs=2)
    with joblib.parallel_config(backend="loky"):
        np.testing.assert_array_equal(outside, cross_val_score(search, X, y, cv=2))


class Counted:
    """Counts how often it is sent away, and arrives as a text."""

    sent = 0

    def __reduce__(self):
        Counted.sent += 1
        return str, ("here",)


def shout(shared, *args):
    return [*(value.upper() for value in shared), *args]


def leave(shared):
    os._exit(1)


def own_pid(shared):
    return os.getpid()


def fail(shared):
    raise ZeroDivisionError(*shared)


def wait_for(shared, path):
    limit = time.monotonic() + 120
    while not os.path.exists(path):
        assert time.monotonic() < limit
        time.sleep(0.01)
    return path


def ready(function, *args, shared=("shared",)):
    """What prepares a call that is known beforehand."""
    return lambda: Call(function, list(shared), args)


def all_of(made):
    """Everything in flight, by its first task."""
    received = {}
    while made.n_flying:
        received.update({tasks[0]: result for tasks, result in made.receive()})
    return received


@pytest.fixture
def made(backend):
    with engine("") as made:
        assert type(made) is {"dask": Dask, "ray": Ray}[backend]
        yield made


def test_batches_come_back_with_their_results(made):
    """Every batch once, with its own result; what is shared travels once, not with every batch."""
    before, shared = Counted.sent, made.share(Counted())
    for task in range(10):
        made.send([task], ready(shout, task, shared=[shared]))
    assert made.n_flying == 10
    assert all_of(made) == {task: ["HERE", task] for task in range(10)}
    assert Counted.sent <= before + 2
    assert list(made.alone([1], ready(shout, 1))) == [([1], ["SHARED", 1])]


def test_several_shared_values(made):
    """The values of handles arrive in their order."""
    made.send([1], ready(shout, 3, shared=[made.share("a"), made.share("b")]))
    assert list(made.receive()) == [([1], ["A", "B", 3])]


def test_an_exception_of_a_call(made):
    """It is raised where results are received."""
    made.send([1], ready(fail))
    with pytest.raises(ZeroDivisionError, match="shared"):
        list(made.receive())


def test_the_first_to_end_comes_first(made, tmp_path):
    """A short batch does not wait for a long one that was sent before it."""
    assert made.n_workers == 2
    end = tmp_path / "end"
    made.send(["long"], ready(wait_for, str(end)))
    made.send(["short"], ready(shout))
    assert list(made.receive()) == [(["short"], ["SHARED"])]
    end.touch()
    assert list(made.receive()) == [(["long"], str(end))]


def test_a_batch_that_ends_its_worker(made, backend, tmp_path):
    """It comes back with the number of workers that it has ended; on ray its neighbour goes on."""
    end = tmp_path / "end"
    if backend == "ray":
        made.send(["neighbour"], ready(wait_for, str(end)))
    made.send(["deadly"], ready(leave))
    kills = 1 if backend == "ray" else 2  # dask tries again, as often as the cluster says
    assert list(made.receive()) == [(["deadly"], Died(kills))]
    end.touch()
    assert set(all_of(made).values()) <= {str(end)}
    assert list(made.alone(["deadly"], ready(leave))) == [(["deadly"], Died(kills))]
    assert list(made.alone(["innocent"], ready(shout))) == [(["innocent"], ["SHARED"])]


def test_ray_stops_what_is_running(ray_backend, tmp_path):
    """Leaving with an exception ends what is in flight, so that its place is free again."""

    def interrupted():
        with engine("") as made:
            for task in range(2):
                made.send([task], ready(wait_for, str(tmp_path / "never")))
            raise KeyError

    with joblib.parallel_config(backend="ray", n_jobs=2):
        with pytest.raises(KeyError):
            interrupted()
        with engine("") as made:
            made.send([1], ready(shout))
            assert list(made.receive()) == [([1], ["SHARED"])]


def test_one_job_on_ray(ray_backend):
    """A single worker is this process, as joblib has it."""
    with joblib.parallel_config(backend="ray", n_jobs=1), engine("") as made:
        made.send([1], ready(own_pid))
        assert list(made.receive()) == [([1], os.getpid())]


def test_dask_makes_again_what_was_shared():
    """What is shared is not lost with the workers that have it."""
    distributed = pytest.importorskip("distributed", reason="dask is an extra")
    with (
        distributed.LocalCluster(n_workers=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
        engine("") as made,
    ):
        shared = made.share(Counted())
        made.send([1], ready(shout, shared=[shared]))
        assert list(made.receive()) == [([1], ["HERE"])]
        client.restart_workers(list(client.ncores()))
        made.send([2], ready(shout, shared=[shared]))
        assert list(made.receive()) == [([2], ["HERE"])]


def test_no_dask_worker_is_left(monkeypatch):
    """An error in joblib's words, and no waiting for ever."""
    distributed = pytest.importorskip("distributed", reason="dask is an extra")
    monkeypatch.setattr(Dask, "patience", 0.5)
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask", wait_for_workers_timeout=1),
        engine("") as made,
    ):
        client.retire_workers(list(client.ncores()))
        made.send([1], ready(shout))
        with pytest.raises(TimeoutError, match="no worker"):
            list(made.receive())


class Deadly(DummyClassifier):
    def __init__(self, quality=0.5, deadly=None):
        super().__init__()
        self.quality = quality
        self.deadly = deadly

    def fit(self, X, y):
        if self.deadly == "always" or (self.deadly and not os.path.exists(self.deadly)):
            if self.deadly != "always":
                with open(self.deadly, "w"):
                    pass
            os._exit(1)
        return super().fit(X, y)

    def score(self, X, y):
        return self.quality


def test_a_worker_dies_once(backend, tmp_path):
    """The evaluation runs again; nothing is missing."""
    space = [{"quality": [0.1, 0.2, 0.3]}, {"deadly": [str(tmp_path / "mark")]}]
    search = SuccessiveHalvingSearchCV(
        Deadly(), space, folds="all", min_resources=600, cv=2, refit=False
    )
    search.fit(X, y)
    assert search.all_cv_results_["mean_test_score"].tolist() == [0.1, 0.2, 0.3, 0.5]


def test_what_always_kills_its_worker(backend):
    """joblib alone would wait for ever or fail whole; here that candidate fails, no other."""
    space = [{"quality": [0.1, 0.2, 0.3]}, {"deadly": ["always"]}]
    search = SuccessiveHalvingSearchCV(
        Deadly(),
        space,
        folds="all",
        min_resources=600,
        cv=[(np.arange(300), np.arange(300, 600))],
        refit=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y)
    assert any("killed its worker" in str(warning.message) for warning in caught)
    np.testing.assert_array_equal(
        search.all_cv_results_["mean_test_score"], [0.1, 0.2, 0.3, np.nan]
    )
