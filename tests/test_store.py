"""Files that evaluations leave for one another: whole, private, and gone with the search."""

import os
import pickle
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skhalving.store import Store, temporary_folder
from skhalving.task import Task


@pytest.fixture
def store():
    with temporary_folder() as folder:
        yield Store(folder)


def bytes_of(store):
    files = [os.path.join(parent, n) for parent, _, names in os.walk(store.folder) for n in names]
    return {path: Path(path).read_bytes() for path in files}


class Model:
    """Of this module, so that a copy of its class would be another."""

    def __init__(self, weight):
        self.weight = weight


# -- models ----------------------------------------------------------------------------------------


def test_a_model_waits_for_a_higher_amount(store):
    """``take`` gives the model of this candidate and fold from the highest amount below, which may
    be one that was kept before the last; ``drop`` removes them all."""
    for task in (Task(0, 0, 3), Task(0, 1, 27), Task(1, 0, 27)):
        assert store.keep(task, Model(task)) is None
    assert store.take(Task(0, 0, 3)) == (0, None)
    assert store.take(Task(0, 0, 9))[0] == 3
    store.keep(Task(0, 0, 9), Model(Task(0, 0, 9)))
    assert store.take(Task(0, 0, 9))[0] == 3
    amount, model = store.take(Task(0, 0, 81))
    assert (amount, model.weight) == (9, Task(0, 0, 9))
    assert type(model) is Model
    store.drop(0)
    assert store.take(Task(0, 0, 81)) == store.take(Task(0, 1, 81)) == (0, None)
    assert store.take(Task(1, 0, 81))[0] == 27


def test_a_model_that_cannot_be_read_costs_a_level(store):
    """The one below it is taken; what a killed process had not written whole is none."""
    for amount in (1, 3, 27):
        store.keep(Task(0, 0, amount), amount)
    (last,) = (path for path in bytes_of(store) if os.path.basename(path) == "27")
    Path(f"{last}.part").touch()
    assert store.take(Task(0, 0, 81)) == (27, 27)
    os.truncate(last, 7)
    assert store.take(Task(0, 0, 81)) == (3, 3)


def test_lasting_models_are_read_by_other_processes(tmp_path):
    """Where they are said to be, with copies of the classes that their process had; that process
    itself finds its own classes."""

    class Local(Model):
        pass

    with temporary_folder() as folder:
        store = Store(folder, f"{tmp_path / 'mine'}-")
        store.keep(Task(0, 0, 3), Local(5))
        assert type(store.take(Task(0, 0, 9))[1]) is Local
    with temporary_folder() as folder:
        again = Store(folder, f"{tmp_path / 'mine'}-")
        amount, model = again.take(Task(0, 0, 9))
        assert (amount, type(model).__name__, model.weight) == (3, "Local", 5)
        assert Store(folder, f"{tmp_path / 'other'}-").take(Task(0, 0, 9)) == (0, None)
        again.drop(0)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_does_not_see_the_folder_says_so(store):
    """Nothing is kept, nothing is found, and the reason names the folder."""
    shutil.rmtree(store.folder)
    assert store.folder in store.keep(Task(0, 0, 3), Model(1))
    assert store.take(Task(0, 0, 9)) == (0, None)
    assert not store.is_here()
    assert store.shared(None, "a") is None


def test_what_cannot_be_pickled_leaves_nothing(store):
    """The error is raised, and no part of a file is left."""
    with pytest.raises(TypeError, match="lock"):
        store.share(3, "a", [np.zeros(9), threading.Lock()])
    assert not bytes_of(store)


# -- shared values ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["f8", "f4", "i1", "?", "U3", "M8[s]"]),
    shape=arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
    order=st.permutations([0, 1, 2]),
    step=st.integers(1, 2),
)
def test_arrays_come_back_as_they_were(dtype, shape, order, step):
    """Values, type and layout, gaps between rows included: sums depend on it in the last digit."""
    size = int(np.prod(shape))
    array = np.arange(size).astype("i8").astype(dtype).reshape(shape)
    array = array.transpose([axis for axis in order if axis < len(shape)])[..., ::step]
    with temporary_folder() as folder:
        store = Store(folder)
        store.share(None, "a", (array, array[:1]))
        found, part = store.shared(None, "a")
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(part, array[:1])
    assert found.dtype == array.dtype
    assert found.flags.forc == array.flags.forc
    assert found.flags.writeable
    matters = np.array(array.shape) > 1
    if array.size and not array.flags.forc:
        np.testing.assert_array_equal(
            np.array(found.strides)[matters], np.array(array.strides)[matters]
        )


VALUES = {
    "C order": np.arange(12.0).reshape(3, 4),
    "F order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "columns with gaps": np.arange(24.0).reshape(3, 8)[:, :5],
    "objects": np.array(["a", None, 3], dtype=object),
    "csr": sp.csr_matrix(np.eye(4)),
    "csc array": sp.csc_array(np.eye(4)),
    "pandas": pd.DataFrame({"a": [1.0, 2], "b": ["x", "y"], "c": pd.Categorical(["u", "v"])}),
    "polars": pl.DataFrame({"a": [1.0, 2], "b": ["x", "y"]}),
    "list": ["some", "words"],
}


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_of_rows_comes_back(store, name):
    """As another object, equal and of the same class."""
    value = VALUES[name]
    store.share(9, "a", value)
    found = store.shared(9, "a")
    assert type(found) is type(value)
    assert found is not value
    assert pickle.dumps(found) == pickle.dumps(value) or name in ("pandas", "polars")
    if name in ("pandas", "polars"):
        assert found.equals(value)


def test_who_writes_into_a_value_has_it_for_himself(store):
    """Pages are copied on writing: neither the file nor another reader sees it."""
    store.share(9, "a", (np.zeros(10_000), sp.csr_matrix(np.eye(50))))
    before = bytes_of(store)
    first, second = store.shared(9, "a"), store.shared(9, "a")
    first[0][:] = 1
    first[1].data[:] = 2
    first[1].indices[:] = 0
    assert bytes_of(store) == before
    assert not second[0].any()
    np.testing.assert_array_equal(second[1].toarray(), np.eye(50))
    store.level_over(9)
    assert store.shared(9, "a") is None
    assert not second[0].any()


def test_a_level_that_is_over_leaves_nothing_of_its_own(store):
    """Other amounts stay."""
    for amount in (3, 9, None):
        store.share(amount, "a", [amount])
    store.level_over(3)
    assert [store.shared(amount, "a") for amount in (3, 9, None)] == [None, [9], [None]]
    store.unshare(9, "a")
    store.unshare(9, "a")
    assert store.shared(9, "a") is None


def test_shared_values_take_a_part_of_the_disk(store, monkeypatch):
    """Once a quarter of what was free is gone nothing is written, until there is room again."""
    usage = shutil.disk_usage(store.folder)
    for free, written in ((0.8, True), (0.7, False), (0.8, True)):
        now = usage._replace(free=int(free * usage.free))
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, now=now: now)
        store.share(9, "a", [free])
        assert (store.shared(9, "a") == [free]) == written
        store.level_over(9)


def test_writers_of_the_same_value_do_not_meet(store):
    """Many threads write and read one name: each finds a whole value, and no other file is left."""

    def work(i):
        store.share(9, "a", np.full(50_000, i))
        return np.unique(store.shared(9, "a"))

    with ThreadPoolExecutor(8) as pool:
        assert all(len(values) == 1 for values in pool.map(work, range(40)))
    assert len(bytes_of(store)) == 1


def test_a_file_that_was_cut_is_no_value(store):
    """As if it were not there."""
    store.share(9, "a", np.zeros(10_000))
    (path,) = bytes_of(store)
    for size in (0, 7, 100):
        os.truncate(path, size)
        assert store.shared(9, "a") is None


def test_the_folder_goes_with_the_search():
    """Also when something is still mapped."""
    with temporary_folder() as folder:
        store = Store(folder)
        store.share(9, "a", np.zeros(1000))
        found = store.shared(9, "a")
        assert os.stat(folder).st_mode & 0o77 == 0
    assert not os.path.exists(folder)
    assert not found.any()


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be looked for there")
def test_folders_of_killed_processes_go_with_the_next_search(tmp_path, monkeypatch):
    """The next folder sweeps those of processes of this machine that are gone, and no others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = socket.gethostname()
    for name in (f"{here}-{gone.pid}-x", f"{here}-{os.getpid()}-x", f"elsewhere-{gone.pid}-x", "x"):
        (tmp_path / f"skhalving-{name}" / "models").mkdir(parents=True)
    with temporary_folder() as folder:
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        left = {path.name for path in tmp_path.iterdir()} - {os.path.basename(folder)}
    assert left == {
        f"skhalving-{here}-{os.getpid()}-x",
        f"skhalving-elsewhere-{gone.pid}-x",
        "skhalving-x",
    }


def test_a_class_of_the_script_stays_the_one_that_it_is(tmp_path):
    """Models go on between levels in the script's own process: the class of the script keeps its
    methods, and what these append to a list of the script is in that list."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import numpy as np
            from sklearn.ensemble import RandomForestClassifier
            from skhalving import SuccessiveHalvingSearchCV

            scored = []

            class Forest(RandomForestClassifier):
                def score(self, X, y):
                    scored.append(len(self.estimators_))
                    return super().score(X, y)

            score = Forest.score
            X, y = np.random.RandomState(0).normal(size=(90, 3)), np.arange(90) % 2
            search = SuccessiveHalvingSearchCV(
                Forest(random_state=0), {"max_depth": list(range(1, 10))}, cv=2,
                resource="n_estimators", max_resources=9, min_resources=1,
            ).fit(X, y)
            assert search.all_cv_results_["continued"].any()
            assert Forest.score is score
            assert len(scored) == search.n_fits_, (len(scored), search.n_fits_)
            search.score(X, y)
            assert len(scored) == search.n_fits_ + 1
            """
        )
    )
    subprocess.run([sys.executable, script], check=True, timeout=120)
