"""dask and ray through joblib, with real processes: the same results, dead workers survived."""

import contextlib
import os
import warnings

import joblib
import joblib.pool
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, successive_halving
from skhalving.workers import Dask, Ray, workers

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


@pytest.fixture(scope="module")
def ray_backend():
    ray = pytest.importorskip("ray", reason="ray is an extra")
    from ray.util.joblib import register_ray

    bases = joblib.pool.PicklingPool.__bases__
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    yield
    ray.shutdown()
    joblib.pool.PicklingPool.__bases__ = bases  # ray replaces them for the whole process


@pytest.fixture(params=["dask", "ray"])
def backend(request):
    request.getfixturevalue("dask_client" if request.param == "dask" else "ray_backend")
    with joblib.parallel_config(backend=request.param, n_jobs=2):
        yield request.param


def columns(search):
    skipped = ("time", "continued")
    names = [name for name in search.cv_results_ if not any(word in name for word in skipped)]
    return {name: [str(value) for value in search.cv_results_[name]] for name in names}


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
        assert elsewhere.cv_results_["continued"].any()


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


def test_ray_gets_what_is_shared_once_a_search(ray_backend):
    """X is put in its store, from which all tasks of all waves take it."""
    before, shared = Counted.sent, Counted()
    with joblib.parallel_config(backend="ray"), workers(n_jobs=2) as pool:
        assert type(pool) is Ray
        reference = pool.share(shared)
        for wave in range(2):
            pool.send([wave, 10 + wave], [(str.upper, (reference,), {})] * 2)
            assert list(pool.receive()) == [([wave, 10 + wave], ["HERE", "HERE"])]
    assert Counted.sent <= before + 2


def test_dask_gets_what_is_shared_once(dask_client):
    """X does not travel with every task, nor is it lost with the worker that has it."""
    before, shared = Counted.sent, Counted()
    with joblib.parallel_config(backend="dask"), workers() as pool:
        assert type(pool) is Dask
        reference = pool.share(shared)
        for task in range(10):
            pool.send([task], [(str.upper, (reference,), {})])
        received = []
        while pool.n_flying:
            received += pool.receive()
        assert sorted(received) == [([task], ["HERE"]) for task in range(10)]
        assert Counted.sent <= before + 2  # whatever the number of tasks
        dask_client.restart_workers(list(dask_client.ncores()))
        pool.send([10], [(str.upper, (reference,), {})])
        assert list(pool.receive()) == [([10], ["HERE"])]
    assert Counted.sent <= before + 4  # dask's scheduler is in this process, and sends it on


def test_no_dask_worker_is_left(monkeypatch):
    """An error in joblib's words, and no waiting for ever."""
    distributed = pytest.importorskip("distributed", reason="dask is an extra")
    monkeypatch.setattr(Dask, "patience", 0.5)
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask", wait_for_workers_timeout=1),
        workers() as pool,
    ):
        client.retire_workers(list(client.ncores()))
        pool.send([1], [(str.upper, ("shared",), {})])
        with pytest.raises(TimeoutError, match="no worker"):
            list(pool.receive())


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


def test_a_dask_worker_dies_once(dask_client, tmp_path):
    """dask runs it again by itself; nothing is missing."""
    space = [{"quality": [0.1, 0.2, 0.3]}, {"deadly": [str(tmp_path / "mark")]}]
    search = SuccessiveHalvingSearchCV(
        Deadly(), space, folds="all", min_resources=600, cv=2, refit=False
    )
    with joblib.parallel_config(backend="dask"):
        search.fit(X, y)
    assert search.cv_results_["mean_test_score"].tolist() == [0.1, 0.2, 0.3, 0.5]


def test_what_always_kills_its_dask_worker(dask_client):
    """joblib alone would wait for ever; here that candidate fails and the search ends."""
    dask_client.wait_for_workers(2)  # with one, joblib would run all in this process
    space = [{"quality": [0.1, 0.2, 0.3]}, {"deadly": ["always"]}]
    search = SuccessiveHalvingSearchCV(
        Deadly(),
        space,
        folds="all",
        min_resources=600,
        cv=[(np.arange(300), np.arange(300, 600))],
        refit=False,
    )
    with joblib.parallel_config(backend="dask"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y)
    assert any("killed its worker twice" in str(warning.message) for warning in caught)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], [0.1, 0.2, 0.3, np.nan])
