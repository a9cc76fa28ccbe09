"""The engines of one machine: batches come back as they end, and say when their process died.

dask and ray are in ``test_clusters.py``.
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import joblib
import numpy as np
import pytest
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from skhalving.engines import Call, Died, Here, Loky, Threads, Wave, engine

KINDS = {"sequential": Here, "threading": Threads, "loky": Loky, "multiprocessing": Wave}


def double(shared, *values):
    return [(shared[0], 2 * value) for value in values]


def leave(shared):
    os._exit(1)


def fail(shared):
    raise ZeroDivisionError(*shared)


def wait_for(shared, path, running=None):
    """Say by a file that this runs, and end when there is a file at ``path``."""
    if running:
        pathlib.Path(running).touch()
    limit = time.monotonic() + 120
    while not os.path.exists(path):
        assert time.monotonic() < limit, path
        time.sleep(0.01)
    return path


def ready(function, *args, shared=None):
    """What prepares a call that is known beforehand."""
    return lambda: Call(function, [shared], args)


def alone(made, prepare):
    """What a batch that runs alone comes back with, if it starts."""
    return [result for _, result in made.alone(["suspect"], prepare)]


def all_of(made):
    """Everything in flight, by its first task."""
    received = {}
    while made.n_flying:
        for tasks, result in made.receive():
            assert tasks[0] not in received
            received[tasks[0]] = result
    return received


@pytest.fixture
def folder(tmp_path):
    """Of the search: what its processes share is in it."""
    path = tmp_path / "of the search"
    path.mkdir()
    return str(path)


@pytest.fixture(params=KINDS)
def made(request, folder):
    with joblib.parallel_config(backend=request.param), engine(folder, n_jobs=2) as made:
        yield made


@pytest.fixture
def loky(folder):
    with joblib.parallel_config(backend="loky"), engine(folder, n_jobs=2) as made:
        yield made


@pytest.mark.parametrize("backend", KINDS)
def test_which_engine(backend):
    """Each joblib backend has its engine; a single worker is this process."""
    with joblib.parallel_config(backend=backend):
        with engine("", n_jobs=2) as made:
            assert type(made) is KINDS[backend]
        with engine("", n_jobs=1) as made:
            assert type(made) is Here


def test_batches_come_back_with_their_results(made):
    """Every batch once, each with its own result, whatever the order; then nothing is in flight."""
    left, received = [[1], [2, 3], [4], [5, 6, 7]], {}
    shared = made.share("shared")
    while left or made.n_flying:
        while left and made.n_free > 0:
            tasks = left.pop()
            made.send(tasks, ready(double, *tasks, shared=shared))
        for tasks, results in made.receive():
            received.update(zip(tasks, results, strict=True))
    assert received == {task: ("shared", 2 * task) for task in range(1, 8)}
    assert made.n_flying == 0
    assert list(made.receive()) == []


def test_alone_gives_the_result(made):
    """A batch on its own has the result that it has among others."""
    assert list(made.alone([1], ready(double, 1))) == [([1], [(None, 2)])]
    assert made.n_flying == 0


@pytest.mark.parametrize("backend", ["sequential", "multiprocessing"])
def test_a_wave_is_prepared_as_it_starts(backend):
    """No batch of a wave is prepared before it can start: how much time is left may change."""
    prepared = []

    def prepare():
        prepared.append(len(prepared))
        return Call(double, [None], (prepared[-1],))

    with joblib.parallel_config(backend=backend), engine("", n_jobs=2) as made:
        for task in range(3):
            made.send([task], partial(prepare))
        assert prepared == []
        assert all_of(made) == {task: [(None, 2 * task)] for task in range(3)}


def test_an_exception_of_a_call(made):
    """It is raised where results are received."""
    made.send([1], ready(fail, shared="shared"))
    with pytest.raises(ZeroDivisionError, match="shared"):
        list(made.receive())


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_the_first_to_end_comes_first(backend, tmp_path):
    """A short batch does not wait for a long one that was sent before it."""
    end = str(tmp_path / "end")
    with joblib.parallel_config(backend=backend), engine("", n_jobs=2) as made:
        made.send(["long"], ready(wait_for, end))
        made.send(["short"], ready(double, 1))
        assert made.n_free == 0
        assert list(made.receive()) == [(["short"], [(None, 2)])]
        pathlib.Path(end).touch()
        assert list(made.receive()) == [(["long"], end)]


def test_a_broken_pool(loky, tmp_path):
    """All that was in flight comes back, blamed on nobody; the next batch gets a new pool."""
    runs, never = str(tmp_path / "runs"), str(tmp_path / "never")
    loky.send(["innocent"], ready(wait_for, never, runs))
    wait_for(None, runs)
    loky.send(["deadly"], ready(leave))
    assert all_of(loky) == {"innocent": Died(0), "deadly": Died(0)}
    loky.send(["again"], ready(double, 2))
    assert all_of(loky) == {"again": [(None, 4)]}


def test_alone_the_culprit_is_known(loky):
    """A batch that runs alone and ends its process has ended one, every time."""
    assert alone(loky, ready(leave)) == [Died(1)]
    assert alone(loky, ready(leave)) == [Died(1)]
    assert alone(loky, ready(double, 1)) == [[(None, 2)]]


def test_the_pool_is_not_harmed_by_what_runs_alone(loky, tmp_path):
    """A batch of another search, in another thread, goes on while a suspect ends its process."""
    end, runs = str(tmp_path / "end"), str(tmp_path / "runs")
    loky.send(["other"], ready(wait_for, end, runs))
    wait_for(None, runs)
    with engine("", n_jobs=2) as made:
        assert alone(made, ready(leave)) == [Died(1)]
    pathlib.Path(end).touch()
    assert all_of(loky) == {"other": end}


def test_what_runs_alone_is_not_harmed_by_the_pool(loky, tmp_path):
    """A suspect goes on while a batch of another thread's search breaks the pool they share."""
    end, runs = str(tmp_path / "end"), str(tmp_path / "runs")

    def other():
        with joblib.parallel_config(backend="loky"), engine("", n_jobs=2) as made:
            wait_for(None, runs)
            made.send(["deadly"], ready(leave))
            assert all_of(made) == {"deadly": Died(0)}
        pathlib.Path(end).touch()

    with ThreadPoolExecutor(1) as threads:
        broken = threads.submit(other)
        assert alone(loky, ready(wait_for, end, runs)) == [end]
        broken.result()


def test_an_error_in_another_thread(loky, tmp_path):
    """A search that ends by an exception shuts the shared pool down. A neighbour gets its batches
    back, blamed on nobody, and sends them again."""
    runs, never = str(tmp_path / "runs"), str(tmp_path / "never")

    def other():
        with joblib.parallel_config(backend="loky"), engine("", n_jobs=2) as made:
            made.send(["its own"], ready(double, 1))
            list(made.receive())
            wait_for(None, runs)
            raise KeyError("a scorer")

    with ThreadPoolExecutor(1) as threads:
        failed = threads.submit(other)
        loky.send(["neighbour"], ready(wait_for, never, runs))
        assert all_of(loky) == {"neighbour": Died(0)}
        with pytest.raises(KeyError):
            failed.result()
    loky.send(["neighbour"], ready(double, 1))
    assert all_of(loky) == {"neighbour": [(None, 2)]}


def test_a_process_that_ends_while_starting(loky, monkeypatch):
    """It is started again, and counts against nobody; after some tries the error is raised."""
    left = [2]

    class Shot(ProcessPoolExecutor):
        def submit(self, function, *args):
            if function is os.getpid and left[0]:
                left[0] -= 1
                return super().submit(os._exit, 1)
            return super().submit(function, *args)

    monkeypatch.setattr("skhalving.engines.ProcessPoolExecutor", Shot)
    assert alone(loky, ready(double, 1)) == [[(None, 2)]]
    assert left == [0]
    left[0] = 5
    monkeypatch.setattr(Loky, "tries", 2)
    with pytest.raises(BrokenProcessPool):
        alone(loky, ready(double, 1))


class Unreadable:
    """Cannot be read on a worker."""

    def __reduce__(self):
        return int, ("not a number",)


def test_what_no_worker_can_read(loky):
    """An error that says so, once the batch runs alone: no process died."""
    with pytest.raises(BrokenProcessPool, match="un-serialize"):
        alone(loky, ready(double, shared=Unreadable()))


class Counted:
    """Notes in a file each time that a process reads it."""

    def __init__(self, path, load=None):
        self.path, self.load = path, load

    def __setstate__(self, state):
        self.__dict__ = state
        with open(self.path, "a") as file:
            print(os.getpid(), file=file)


def pid_and_sum(shared):
    (counted,) = shared
    return os.getpid(), 0 if counted.load is None else float(np.sum(counted.load))


def pid_and_writeable(shared):
    (counted,) = shared
    return os.getpid(), counted.load.flags.writeable


def test_a_process_reads_a_shared_value_once(loky, tmp_path):
    """However many batches it has; a small array can be written to, as in the script's process."""
    handle, pids = loky.share(Counted(tmp_path / "reads", load=np.ones(1000))), set()
    for i in range(12):
        loky.send([i], ready(pid_and_writeable, shared=handle))
        for _, (pid, is_writeable) in loky.receive():
            pids.add(str(pid))
            assert is_writeable
    assert sorted((tmp_path / "reads").read_text().split()) == sorted(pids)


def test_many_values_are_shared(loky, tmp_path):
    """More than a process keeps: each batch has its own."""
    values = [Counted(tmp_path / str(i), load=np.full(3, i)) for i in range(30)]
    handles = [loky.share(value) for value in values]
    for _ in range(2):
        for i, handle in enumerate(handles):
            loky.send([i], ready(pid_and_sum, shared=handle))
            for (task,), (_, total) in loky.receive():
                assert total == 3 * task


@pytest.mark.parametrize("kind", ["array", "map", "columns of a map", "strings"])
def test_what_is_large_is_left_to_joblib(loky, folder, tmp_path, kind):
    """A large array is not copied into a file of ours, however it is stored; nor is a large text
    left there."""
    n, path = 2_000_000, tmp_path / "numbers"
    np.ones(n).tofile(path)
    load = {
        "array": lambda: np.ones(n),
        "map": lambda: np.memmap(path, dtype=float, mode="r"),
        "columns of a map": lambda: np.memmap(path, dtype=float, mode="r").reshape(-1, 4)[:, :3],
        "strings": lambda: np.array([letter * n for letter in "abcdef"], dtype=object),
    }[kind]()
    value = Counted(tmp_path / "reads", load=load)
    tracemalloc.start()
    try:
        assert loky.share(value) is value
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert os.listdir(folder) == []
    if kind != "strings":
        assert peak < load.nbytes / 10
        loky.send([0], ready(pid_and_sum, shared=value))
        ((_, total),) = all_of(loky).values()
        assert total == load.size


def test_a_process_that_came_later_reads_what_is_shared(loky, tmp_path):
    """A value outlives the processes that have read it."""
    value = Counted(tmp_path / "reads")
    handle = loky.share(value)
    loky.send(["poison"], ready(leave))
    assert all_of(loky) == {"poison": Died(0)}
    loky.send([1], ready(pid_and_sum, shared=handle))
    ((pid, _),) = all_of(loky).values()
    ((alone_pid, _),) = alone(loky, ready(pid_and_sum, shared=handle))
    assert (tmp_path / "reads").read_text().split() == [str(pid), str(alone_pid)]


def test_what_cannot_be_pickled_is_left_to_joblib(loky, folder):
    """The engine hands the value on, so that joblib says what is wrong with it."""
    value = threading.Lock()
    assert loky.share(value) is value
    assert os.listdir(folder) == []


def test_an_error_stops_what_is_running(tmp_path):
    """Leaving with an exception does not wait for what is in flight on other processes."""
    runs, never = str(tmp_path / "runs"), str(tmp_path / "never")

    def interrupted():
        with joblib.parallel_config(backend="loky"), engine("", n_jobs=2) as made:
            made.send(["long"], ready(pid_of, never, runs))
            wait_for(None, runs)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert not is_alive(int(pathlib.Path(runs).read_text()))


def pid_of(shared, path, running):
    """Write down the number of the process, and wait."""
    pathlib.Path(running + ".new").write_text(str(os.getpid()))
    os.rename(running + ".new", running)
    return wait_for(shared, path)


def is_alive(pid):
    """Whether a process runs; one that has ended and whose parent has not looked does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


SCRIPT = """
import pathlib, sys, tempfile
import joblib
from skhalving.engines import engine
from test_engines import pid_of, ready

backend, alone, folder = sys.argv[1:]
tempfile.tempdir = folder
with (
    tempfile.TemporaryDirectory(prefix="skhalving-"),
    joblib.parallel_config(backend=backend),
    engine("", n_jobs=2) as made,
):
    call = ready(pid_of, folder + "/never", folder + "/runs")
    if alone == "alone":
        list(made.alone([1], call))
    made.send([1], call)
    list(made.receive())
"""


@pytest.mark.parametrize(
    ("backend", "alone"),
    [("loky", ""), ("loky", "alone"), ("threading", "")],
)
def test_sigterm(backend, alone, tmp_path):
    """SIGTERM to the script ends its workers and removes its files, as Ctrl-C does."""
    command = [sys.executable, "-c", SCRIPT, backend, alone, str(tmp_path)]
    paths = [str(pathlib.Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as script:
        try:
            wait_for(None, str(tmp_path / "runs"))
            worker = int((tmp_path / "runs").read_text())
            assert is_alive(worker)
            script.send_signal(signal.SIGTERM)
            assert script.wait(240) == 128 + signal.SIGTERM, script.stderr.read()
        finally:
            script.kill()
    wait_until(lambda: not is_alive(worker))
    assert [path.name for path in tmp_path.glob("skhalving-*")] == []


def wait_until(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_sigterm_is_given_back():
    """A handler of the user's stays in force within, and the default action afterwards."""
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with engine("", n_jobs=1):
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        with engine("", n_jobs=1):
            pass
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with engine("", n_jobs=1):
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, mine)


def test_sigterm_keeps_its_action_where_pools_are_forked():
    """When a call fails, multiprocessing forks processes that it ends by SIGTERM at once; one that
    handled it would forget it, and be waited for without end."""
    with joblib.parallel_config(backend="multiprocessing"), engine("", n_jobs=2) as made:
        assert isinstance(made, Wave)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_thread_leaves_signals_alone():
    """Only the main thread may set a handler."""

    def within():
        with engine("", n_jobs=1):
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(within).result() == signal.SIG_DFL


FORK = """
import os, signal, time
from skhalving.engines import engine

with engine("", n_jobs=1):
    is_there, is_here = os.pipe()
    if not (pid := os.fork()):
        try:
            os.write(is_here, b"!")  # Python forgets signals that come amid a fork
            for _ in range(600):
                time.sleep(0.1)
        finally:
            os._exit(0)
    os.read(is_there, 1)
    os.kill(pid, signal.SIGTERM)
    print(os.WTERMSIG(os.waitpid(pid, 0)[1]))
"""


def test_sigterm_in_a_fork():
    """A fork that a call has made ends at once, and cleans up nothing of its parent's."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FORK]
    assert int(subprocess.check_output(command, env=environment, timeout=120)) == signal.SIGTERM
