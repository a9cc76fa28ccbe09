"""The limit of one piece of work: where it strikes, and what it leaves behind."""

import faulthandler
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest

from skhalving import timeout
from skhalving.timeout import TimeLimit

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
LONG = 3600.0


@pytest.fixture
def limit(tmp_path):
    """Limits of this process, which never ends itself."""
    return lambda seconds: TimeLimit(seconds, str(tmp_path), os.getpid())


@pytest.fixture(autouse=True)
def alarms():
    """Every test leaves the process as it found it."""
    handler = signal.getsignal(signal.SIGALRM)
    yield
    left, now = signal.setitimer(signal.ITIMER_REAL, 0), signal.signal(signal.SIGALRM, handler)
    assert now is handler
    assert left == (0.0, 0.0)


@pytest.fixture
def rung(alarms):
    """The times at which an alarm of the user's own rang."""
    times = []
    before = signal.signal(signal.SIGALRM, lambda *_: times.append(time.monotonic()))
    yield times
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def wait_until(happened):
    """At most as long as a test may hang at all."""
    end = time.monotonic() + 60
    while not happened() and time.monotonic() < end:
        time.sleep(0.001)
    assert happened()


def ring():
    """The alarm, now."""
    signal.raise_signal(signal.SIGALRM)


@pytest.fixture
def pass_time(monkeypatch):
    """A clock for the limits that can be put forward."""
    gone = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(gone))
    monkeypatch.setattr(timeout, "time", clock)
    return gone.append


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module of this name and text that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(name, text):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    return made


def test_an_import_is_not_broken_off(limit, module):
    """The alarm rings when the import is over, and the module is whole: half a module, or one that
    is taken for missing, would fail all that the process evaluates later."""
    name = module(
        "rings_amid_import", "import signal; signal.raise_signal(signal.SIGALRM); WHOLE = True"
    )
    with pytest.raises(TimeoutError):  # noqa: PT012, SIM117
        with limit(LONG).around(("a",)):
            importlib.import_module(name)
            time.sleep(60)
    assert sys.modules[name].WHOLE


def test_work_within_an_import_is_stopped(module):
    """A script that is imported may search: its limits ring as elsewhere."""
    name = module(
        "searches_amid_import",
        """
        import os, signal
        from skhalving.timeout import TimeLimit
        with TimeLimit(3600.0, os.curdir, os.getpid()).around(("a",)):
            signal.raise_signal(signal.SIGALRM)
        """,
    )
    with pytest.raises(TimeoutError):
        importlib.import_module(name)


def test_work_that_runs_over_is_stopped(limit):
    """With the limit in the message, and nothing of the alarm left."""
    with pytest.raises(TimeoutError, match=r"it ran over fit_timeout=0.01 s"):  # noqa: SIM117
        with limit(0.01).around(("a",)):
            time.sleep(60)


def test_work_in_time_is_left_alone(limit):
    """Its own errors pass."""
    with limit(LONG).around(("a",)):
        pass
    with pytest.raises(KeyError), limit(LONG).around(("a",)):
        raise KeyError


def swallow(errors):
    try:
        time.sleep(60)
    except Exception as error:
        errors.append(error)
    time.sleep(60)


def test_an_error_that_was_swallowed_comes_again(limit):
    """Something in the work may catch everything, once."""
    swallowed = []
    with pytest.raises(TimeoutError), limit(0.01).around(("a",)):
        swallow(swallowed)
    assert len(swallowed) <= 1  # none if the alarm was there before the work began


def test_it_strikes_inside_the_work_and_nowhere_else(limit):
    """500 pieces of work that end about when the alarm rings: each ends or raises."""
    ended = over = 0
    soon = limit(0.001)
    for number in range(500):
        try:
            with soon.around(("a",)):
                end = time.monotonic() + 0.001 + (number % 40 - 30) * 5e-6
                while time.monotonic() < end:
                    pass
            ended += 1
        except TimeoutError:
            over += 1
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert ended + over == 500


def test_an_alarm_at_an_edge_is_ignored(limit):
    """Rung by force at every step of setting and taking back, where an error would undo nothing."""
    rang = set()

    def ring_at_edges(frame, event, _):
        handler = signal.getsignal(signal.SIGALRM)
        at_edge = frame.f_code.co_name in ("__enter__", "__exit__")
        if at_edge and frame.f_code.co_filename == timeout.__file__ and callable(handler):
            # As the interpreter does it: the handler gets the frame that was interrupted.
            handler(signal.SIGALRM, frame)
            rang.add((frame.f_code.co_name, event))

    alarm = limit(LONG).around(("a",))
    sys.setprofile(ring_at_edges)
    try:
        with alarm:
            pass
    finally:
        sys.setprofile(None)
    assert {("__enter__", "return"), ("__exit__", "call")} <= rang


def test_an_inner_limit_leaves_the_outer_one_on(limit):
    """An inner search with a limit of its own does not switch off that of its evaluation."""

    def work():
        with limit(2 * LONG).around(("inner",)):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONG
        ring()

    with (
        pytest.raises(TimeoutError, match=r"fit_timeout=3600\.0 s"),
        limit(LONG).around(("outer",)),
    ):
        work()


def test_an_outer_limit_that_passed_meanwhile_strikes_right_after(limit, pass_time):
    """Inside the inner one nothing rings that is not its own."""
    reached = []

    def work():
        with limit(3 * LONG).around(("inner",)):
            pass_time(2 * LONG)
            reached.append("inner")
        time.sleep(60)

    with (
        pytest.raises(TimeoutError, match=r"fit_timeout=3600\.0 s"),
        limit(LONG).around(("outer",)),
    ):
        work()
    assert reached == ["inner"]


def test_an_inner_limit_strikes_the_inner_work(limit):
    """And the outer work goes on."""
    with limit(LONG).around(("outer",)):
        with pytest.raises(TimeoutError, match=r"fit_timeout=7200\.0 s"):  # noqa: SIM117
            with limit(2 * LONG).around(("inner",)):
                ring()
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONG


def test_the_users_alarm_is_put_back_with_the_time_that_is_left(limit, rung, pass_time):
    """Less what passed meanwhile; the interval of a repeated one too."""
    handler = signal.getsignal(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, LONG, 7.0)
    with limit(LONG).around(("a",)):
        pass_time(LONG / 2)
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 0 < left <= LONG / 2
    assert interval == 7.0
    assert signal.getsignal(signal.SIGALRM) is handler
    assert not rung


def test_a_users_alarm_that_passed_meanwhile_rings_right_after(limit, rung, pass_time):
    """Once, after the work and not within."""
    signal.setitimer(signal.ITIMER_REAL, LONG)
    with limit(2 * LONG).around(("a",)):
        pass_time(1.5 * LONG)
        within = list(rung)
    assert not within
    wait_until(lambda: rung)
    assert len(rung) == 1


def test_another_thread_is_an_error(limit):
    """An alarm cannot stop it."""
    errors = []

    def run():
        with pytest.raises(
            RuntimeError, match=r"fit_timeout=1 needs .* use loky, or n_jobs=1"
        ) as e:
            limit(1).around(("a",))
        errors.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors


def test_a_system_without_alarms_is_an_error(limit, monkeypatch):
    """Said when the limit is made, before anything runs."""
    monkeypatch.delattr(signal, "setitimer")
    with pytest.raises(ValueError, match=r"fit_timeout=1 needs a system with alarm signals"):
        limit(1)


@pytest.fixture
def ends(monkeypatch):
    """What faulthandler was told: a traceback's file and when, and None for "no longer"."""
    told = []

    def later(timeout, file, **options):
        assert options == {"exit": True}
        told.append((os.path.basename(file.name), timeout))

    monkeypatch.setattr(faulthandler, "dump_traceback_later", later)
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: told.append(None))
    return told


def test_no_hard_limit_in_the_parent(limit, ends):
    """A timer of faulthandler there, such as pytest's, is somebody else's."""
    with limit(LONG).around(("a",)):
        pass
    assert not ends


def test_a_search_within_a_worker_leaves_its_hard_limit_on(tmp_path, ends):
    """The inner search was started by the worker itself, which it therefore never ends."""
    outer, inner = (TimeLimit(LONG, str(tmp_path), parent) for parent in (-1, os.getpid()))
    with outer.around(("outer",)), inner.around(("inner",)):
        pass
    assert ends == [("outer", 1.5 * LONG + 1), None]


def test_a_worker_that_does_not_hear_ends_itself(tmp_path):
    """And leaves its traceback under the task's name."""
    script = f"""
        import os, signal, time
        from skhalving.timeout import TimeLimit

        def deaf():
            time.sleep(100)

        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        with TimeLimit(3600, {str(tmp_path)!r}, os.getppid()).around((0, 0, 8)):
            pass
        with TimeLimit(0.01, {str(tmp_path)!r}, os.getppid()).around((1, 2, 9)):
            deaf()
        """
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, timeout=90
    )
    assert child.returncode == 1
    told = TimeLimit(0.01, str(tmp_path), os.getpid())
    assert told.was_hard((1, 2, 9))
    assert not told.was_hard((0, 0, 8))
    assert not told.was_hard((0, 0, 7))
    assert "in deaf" in (tmp_path / "1-2-9").read_text()
