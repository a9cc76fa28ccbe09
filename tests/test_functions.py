"""The plain functions: the same race and loop as the estimators, for any objective."""

import inspect
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import randint, uniform
from sklearn.exceptions import FitFailedWarning
from strategies import ladders

import skhalving.functions
import skhalving.search
from skhalving import (
    Bracket,
    Level,
    Rung,
    Schedule,
    hyperband,
    hyperband_schedule,
    successive_halving,
)
from skhalving.journal import Journal, read

pytestmark = pytest.mark.filterwarnings("error")


def square(configuration, resource):
    return (configuration["x"] - 2) ** 2 + 1 / resource


SPACE = {"x": uniform(0, 4)}


def without_seconds(result):
    return {k: v.tolist() for k, v in result.history.items() if k != "seconds"}


@settings(deadline=None, max_examples=50)
@given(ladders(), st.integers(1, 60), st.integers(0, 1000))
def test_history_is_the_schedule_played_out(bounds, n, seed):
    """Row by row, the history has the plan's rungs, and promotes the best of each rung."""
    most, least, factor = bounds
    result = hyperband(
        lambda x, resource: (x * 7919 + resource) % 101,
        lambda rng: int(rng.randint(10**6)),
        max_resources=most,
        min_resources=least,
        factor=factor,
        n_candidates=n,
        random_state=seed,
    )
    plan = hyperband_schedule(most, min_resources=least, factor=factor, n_candidates=n)
    assert result.schedule == plan
    h = result.history
    for b, bracket in enumerate(plan):
        standing = None
        for i, rung in enumerate(bracket.rungs):
            rows = np.flatnonzero((h["bracket"] == b) & (h["iter"] == i))
            assert len(rows) == rung.n_candidates
            assert (h["n_resources"][rows] == rung.n_resources).all()
            assert standing is None or set(h["candidate"][rows]) == standing
            if i + 1 < len(bracket.rungs):
                best = np.lexsort((h["candidate"][rows], h["score"][rows]))
                standing = set(h["candidate"][rows][best[: bracket.rungs[i + 1].n_candidates]])
    top = h["n_resources"] == most
    assert result.best_score == h["score"][top].min()
    assert len({len(column) for column in h.values()}) == 1


@pytest.mark.parametrize(("stateful", "units"), [(True, 1581), (False, 1902)])
def test_units_of_hyperband_at_81(stateful, units):
    """With a state the objective trains only what a configuration had not had yet."""
    trained = []

    def objective(x, resource, state=0):
        trained.append(resource - (state or 0))
        return (x, resource) if stateful else x

    hyperband(
        objective,
        lambda rng: rng.uniform(),
        max_resources=81,
        stateful=stateful,
        random_state=0,
    )
    assert sum(trained) == units


def test_sixteen_configurations_end_at_exactly_27():
    """Resources grow from rung to rung, and the last rung has the maximum."""
    seen = []
    result = successive_halving(
        lambda x, resource: seen.append(resource) or abs(x - 5), range(16), max_resources=27
    )
    assert seen == sorted(seen)
    assert seen[-1] == 27
    assert result.best_configuration == 5
    assert result.best_resource == 27


def test_maximize():
    """The largest score wins, and is reported with its own sign."""
    result = successive_halving(lambda x, resource: x, range(9), max_resources=9, maximize=True)
    assert (result.best_configuration, result.best_score) == (8, 8.0)


def grow(configuration, resource, state):
    """Trains a large array in place, which a read-only memory map would not allow."""
    state = np.zeros(300_000) if state is None else state
    state += configuration
    return float(state[0]) * 1.0, state


@pytest.mark.parametrize(
    ("backend", "n_jobs"), [("loky", 2), ("threading", 3), ("multiprocessing", 3)]
)
def test_the_same_for_every_backend_and_number_of_jobs(backend, n_jobs):
    """Scores, promotions and states do not depend on where the objective ran."""

    def runs(n_jobs):
        yield hyperband(square, SPACE, max_resources=27, random_state=3, n_jobs=n_jobs)
        yield successive_halving(grow, [3, 1, 2], max_resources=3, stateful=True, n_jobs=n_jobs)

    expected = [without_seconds(result) for result in runs(1)]
    with joblib.parallel_config(backend=backend):
        assert [without_seconds(result) for result in runs(n_jobs)] == expected


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_states_hold_what_the_script_defines(n_jobs):
    """A state may be of a local class and hold functions."""

    class Kept:
        def __init__(self, configuration):
            self.add = lambda amount: configuration + amount

    def objective(configuration, resource, state):
        assert (state is None) == (resource == 1)
        state = Kept(configuration) if state is None else state
        return state.add(resource), state

    result = successive_halving(objective, range(9), max_resources=9, stateful=True, n_jobs=n_jobs)
    assert (result.best_configuration, result.best_score) == (0, 9)


def test_any_object_is_a_configuration():
    """Also one that cannot be compared or hashed, and a dictionary from a space."""
    arrays = [np.full(3, float(i)) for i in range(3)]
    result = successive_halving(lambda a, resource: a.sum(), arrays, max_resources=3)
    assert result.best_configuration is arrays[0]
    grid = hyperband(square, {"x": [1, 2, 3]}, max_resources=9)
    assert sorted(c["x"] for c in grid.configurations) == [1, 2, 3]


def test_a_failure_costs_one_configuration():
    """Raising and NaN count as worst, with one warning; the search goes on."""

    def objective(x, resource):
        if x == 0:
            raise ZeroDivisionError("no good")
        return float("nan") if x == 1 else x

    with pytest.warns(FitFailedWarning, match=r"(?s)2 of .* evaluations failed.*no good"):
        result = successive_halving(objective, range(9), max_resources=9)
    assert result.best_configuration == 2


def test_all_failing_raises():
    """There is nothing to choose from; the error has the traceback, and comes as soon as the whole
    lowest level has failed."""
    with pytest.raises(ValueError, match=r"(?s)3 of 3 evaluations failed.*by zero"):
        successive_halving(lambda x, resource: x / 0, range(3), max_resources=3)
    with pytest.raises(ValueError, match="it returned NaN"):
        successive_halving(lambda x, resource: np.nan, range(3), max_resources=3)


def test_all_failing_raises_at_the_lowest_level_that_is_used():
    """Also where a schedule of the user's own leaves out the lowest levels of its ladder."""
    levels, calls = hyperband_schedule(9).levels, []

    def objective(x, resource):
        calls.append((x, resource))
        raise OSError("no disk")

    with pytest.raises(ValueError, match=r"(?s)3 of 3 evaluations failed.*no disk"):
        successive_halving(
            objective,
            range(3),
            max_resources=9,
            schedule=Schedule(levels, [Bracket.on(levels, 3, 2)]),
        )
    assert calls == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("value", ["0.5", None, [1.0], 1j])
def test_what_is_not_a_number_is_named(value):
    """A string, a list, nothing, a complex number: an error that shows it."""
    with pytest.raises(TypeError, match=r"the objective returned .* must return a number"):
        successive_halving(lambda x, resource: value, range(3), max_resources=3)


@pytest.mark.parametrize("value", [True, np.float32(0.5), np.array(0.5), 3])
def test_what_is_a_number(value):
    """Booleans, NumPy's scalars and arrays of no dimension are."""
    assert successive_halving(lambda x, r: value, [0], max_resources=1).best_score == float(value)


def test_an_interrupt_keeps_what_is_known():
    """The exception's ``partial`` is a Result of what was told before it."""
    calls = []

    def objective(x, resource):
        calls.append(x)
        if len(calls) == 37:  # the third rung begins, whoever is its first
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt) as stop:
        successive_halving(objective, range(27), max_resources=27)
    assert len(stop.value.partial.history["score"]) == 36
    assert stop.value.partial.best_configuration == 0
    assert stop.value.partial.best_resource == 3

    def at_once(x, resource):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stop:
        successive_halving(at_once, range(3), max_resources=3)
    assert stop.value.partial is None


def test_an_interrupt_with_workers():
    """It comes to this thread while workers run, and propagates with what had arrived."""
    told = []

    def stop(event):
        told.append(event["event"])
        if told.count("evaluation") == 5:
            raise KeyboardInterrupt

    with joblib.parallel_config(backend="threading"), pytest.raises(KeyboardInterrupt) as stopped:
        successive_halving(
            lambda x, resource: x, range(27), max_resources=27, n_jobs=2, on_result=stop
        )
    assert 4 <= len(stopped.value.partial.history["score"]) <= 5


def test_the_table_is_short_enough_to_read(capsys):
    """The repr names the best and shows the plan; ``verbose`` prints a line a level."""
    result = hyperband(square, SPACE, max_resources=9, random_state=0, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(result.schedule.levels)
    assert lines[0].startswith("level 1 of 3: 9 candidates, resource=1, ")
    assert "left" in lines[0]
    assert f"{result.best_score:.6g}" in repr(result)
    assert str(result.schedule) in repr(result)
    assert "np.float64" not in repr(result)
    assert len(repr(result).splitlines()) < 20


def test_history_is_a_table():
    """pandas takes it as it is."""
    history = hyperband(square, SPACE, max_resources=9, random_state=0).history
    frame = pd.DataFrame(history)
    assert list(frame) == ["bracket", "iter", "candidate", "n_resources", "score", "seconds"]
    assert (frame.seconds >= 0).all()


def test_history_of_a_schedule_with_folds():
    """A function has no folds, so a level that adds some costs no call; it has its rows all the
    same."""
    levels, calls = [Level(3, 1), Level(3, 3), Level(9, 1)], []
    schedule = Schedule(levels, [Bracket((Rung(5, 3, 1), Rung(3, 3, 3), Rung(1, 9, 1)))])

    def objective(x, resource):
        calls.append(x)
        return x

    result = successive_halving(objective, range(5), max_resources=9, schedule=schedule)
    assert len(calls) == 6
    assert {name: len(column) for name, column in result.history.items()} == dict.fromkeys(
        result.history, 9
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_resources": 3, "min_resources": 5}, "max_resources=3 is below min_resources=5"),
        ({"max_resources": 3, "factor": 1}, "factor=1 must be"),
        ({"max_resources": 3, "n_candidates": 0}, "n_candidates=0 must be"),
        ({"max_resources": 3, "space": []}, "is empty"),
    ],
)
def test_bad_arguments(arguments, message):
    """Each says the value, the limit and what to do."""
    with pytest.raises(ValueError, match=message):
        hyperband(square, **{"space": SPACE, **arguments})


def test_no_configurations():
    """An empty list is an error, not an empty result."""
    with pytest.raises(ValueError, match=r"configurations is empty; give at least one"):
        successive_halving(square, [], max_resources=3)


def test_a_space_that_runs_out():
    """A finite distribution gives each of its points once, with a warning."""
    with pytest.warns(UserWarning, match="n_candidates=9 is more than the 3 configurations"):
        result = hyperband(square, {"x": randint(1, 4)}, max_resources=3, n_candidates=9)
    assert sorted(c["x"] for c in result.configurations) == [1, 2, 3]


def test_there_is_one_loop():
    """The functions and the estimators share the race and the loop: one ``.ask()`` in the code."""
    assert skhalving.functions.conduct is skhalving.search.conduct
    assert skhalving.functions.Race is skhalving.search.Race
    for module in (skhalving.functions, skhalving.search):
        assert "Parallel(" not in inspect.getsource(module)
        assert ".ask(" not in inspect.getsource(module)


def ones(rng, d=8):
    """Half of the dimensions are bits, half are probabilities."""
    return np.concatenate([rng.randint(0, 2, d // 2), rng.uniform(size=d - d // 2)])


def minus_ones(seed):
    """Minus the bits that are set, and for each probability the mean of ``budget`` coin flips: a
    larger budget is a less noisy answer. The flips of a configuration are its own, whoever asks."""

    def objective(x, budget):
        half = len(x) // 2
        entropy = [seed, int(budget), *np.frombuffer(x.tobytes(), dtype=np.uint32)]
        flips = np.random.default_rng(entropy).binomial(int(budget), x[half:]) / budget
        return -(x[:half].sum() + flips.sum())

    return objective


def test_counting_ones_at_equal_budget():
    """On the problem of Falkner, Klein, Hutter (2018), BOHB, Section 5.1, Hyperband and successive
    halving both beat random search of as many units."""
    bounds = {"max_resources": 729, "min_resources": 9, "factor": 3}
    found = {"hyperband": [], "successive halving": [], "random search": []}
    for seed in range(12):
        objective = minus_ones(seed)
        first, second, third = (np.random.RandomState([seed, i]) for i in range(3))
        search = hyperband(objective, ones, random_state=first, **bounds)
        found["hyperband"].append(search.best_configuration)
        units = sum(r.n_candidates * r.n_resources for b in search.schedule for r in b.rungs)
        # A bracket of 81 pays 81 * 9 units on each of its five rungs.
        candidates = [ones(second) for _ in range(units // (5 * 9))]
        search = successive_halving(objective, candidates, **bounds)
        found["successive halving"].append(search.best_configuration)
        tried = [ones(third) for _ in range(units // 729)]
        found["random search"].append(min(tried, key=lambda x, f=objective: f(x, 729)))
    regrets = {name: 1 - np.mean(of) for name, of in found.items()}
    assert max(regrets["hyperband"], regrets["successive halving"]) < regrets["random search"]


# -- journals, limits, schedules ---------------------------------------------------------------


def quadratic(configuration, resource):
    return (configuration["x"] - 2) ** 2 + 1 / resource


@pytest.mark.parametrize("random_state", [3, None])
def test_a_journal_answers_what_was_done(tmp_path, random_state, monkeypatch):
    """Run again, nothing is called; cut in half, only what is missing is, with the same result."""
    path, options = tmp_path / "journal", {"max_resources": 27, "random_state": random_state}
    written = Journal.write
    n_written = []
    monkeypatch.setattr(Journal, "write", lambda *a: (n_written.append(1), written(*a)))
    first = hyperband(quadratic, SPACE, journal=path, **options)
    assert len(n_written) == first.schedule.n_fits
    again = hyperband(quadratic, SPACE, journal=path, **options)
    assert len(n_written) == first.schedule.n_fits
    assert without_seconds(again) == without_seconds(first)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    half = hyperband(quadratic, SPACE, journal=path, **options)
    assert without_seconds(half) == without_seconds(first)
    assert path.read_bytes().count(b"\n") == len(lines)


def test_a_journal_takes_numbers_of_numpy(tmp_path, monkeypatch):
    """Whatever is given as one, it is the same search as with Python's."""
    levels = hyperband_schedule(9).levels
    mine = Schedule(np.array(levels), [Bracket.on(levels, *np.array([9, 3, 1]))])
    plain = {"max_resources": 9, "min_resources": 1, "factor": 3, "maximize": True}
    path = tmp_path / "journal"
    first = successive_halving(
        lambda x, resource: x / resource, np.arange(9), journal=path, schedule=mine,
        **{name: np.array(value)[()] for name, value in plain.items()},
    )  # fmt: skip
    monkeypatch.setattr(Journal, "write", None)  # nothing runs again
    again = successive_halving(lambda x, resource: x / resource, range(9), journal=path, **plain)
    assert without_seconds(again) == without_seconds(first)


def test_equal_configurations_in_a_journal(tmp_path, monkeypatch):
    """Each is evaluated by itself, as without a journal, and found again."""
    odd = [lambda: 0]  # can be neither hashed nor pickled
    configurations = [{"x": 2}, {"x": np.int64(2)}, {"x": 1}, {"x": 2}, 2, odd, 2, {"x": 1}, odd]
    SEEN.clear()
    options = {"max_resources": 9, "journal": tmp_path / "journal"}
    first = successive_halving(another_each_time, configurations, **options)
    assert len(SEEN) == first.schedule.n_fits
    monkeypatch.setattr(Journal, "write", None)  # nothing runs again
    again = successive_halving(another_each_time, configurations, **options)
    assert without_seconds(again) == without_seconds(first)


def another_each_time(configuration, resource):
    SEEN.append(resource)
    return len(SEEN) % 5


def test_names_of_any_kind_in_a_journal(tmp_path):
    """JSON has names that are strings alone."""
    configurations = [{(1, 2): x, np.int64(3): x, None: x} for x in range(9)]
    path = tmp_path / "journal"
    successive_halving(lambda c, resource: c[1, 2], configurations, max_resources=9, journal=path)
    _, records = read(path)
    assert [*records][3].params == {"(1, 2)": 3, "3": 3, "None": 3}


def test_a_journal_of_another_objective_is_refused(tmp_path):
    """It names what differs, and leaves the file as it was."""
    path = tmp_path / "journal"
    successive_halving(lambda x, resource: x, range(9), max_resources=9, journal=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"(?s)another search.*objective"):
        successive_halving(lambda x, resource: x + 1, range(9), max_resources=9, journal=path)
    assert path.read_bytes() == before


def test_a_resumed_rung_has_no_state(tmp_path):
    """States are not in a journal: what is promoted after a resumption starts with None, is given
    the whole amount, and is warned of."""
    interrupted(tmp_path)
    assert SEEN[9] == (3, 1)
    with pytest.warns(UserWarning, match="started from scratch, since their states were not found"):
        result = stateful(tmp_path)
    assert [state for amount, state in SEEN[11:] if amount == 3] == [None, None]
    assert result.best_configuration == 0


SEEN = []


def counting(x, resource, state):
    """Its state is the resource; the eleventh call ends the script."""
    SEEN.append((resource, state))
    if len(SEEN) == 11:
        raise KeyboardInterrupt
    return x, resource


def stateful(folder, objective=counting, configurations=range(9), **options):
    options = {"max_resources": 9, "stateful": True, "journal": folder / "journal", **options}
    return successive_halving(objective, configurations, **options)


def interrupted(folder, **options):
    """All of the first rung has run, and one of the three of the second."""
    SEEN.clear()
    with pytest.raises(KeyboardInterrupt):
        stateful(folder, **options)


# -- states in a folder ------------------------------------------------------------------------


def test_states_in_a_folder_are_gone_on_with(tmp_path):
    """A resumed search starts nobody from scratch above the lowest level. The folder is the user's
    alone, has the states of those who may need them, and is empty when the search has ended."""
    states = tmp_path / "states"
    interrupted(tmp_path, states=states)
    assert stat.S_IMODE(os.stat(states).st_mode) == 0o700 or os.name == "nt"
    assert len(os.listdir(states)) == 3
    result = stateful(tmp_path, states=str(states))
    assert SEEN[11:] == [(3, 1), (3, 1), (9, 3)]
    assert os.listdir(states) == []
    assert without_seconds(result) == without_seconds(stateful(tmp_path, journal=None))


def test_a_state_whose_score_was_not_written(tmp_path, monkeypatch):
    """The evaluation runs again from the state of the rung before."""
    written, write = [], Journal.write

    def interrupt(journal, record):
        written.append(record)
        if len(written) == 11:
            raise KeyboardInterrupt
        write(journal, record)

    SEEN[:] = [None] * 99  # no interrupt by the objective
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stateful(tmp_path, states=tmp_path / "states")
    stateful(tmp_path, states=tmp_path / "states")
    assert SEEN[99 + 9 :] == [(3, 1)] * 4 + [(9, 3)]


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 7)])
def test_states_that_are_lost(tmp_path, damage):
    """Who has none starts from scratch, as a warning says, with the same result."""
    states = tmp_path / "states"
    interrupted(tmp_path, states=states)
    for path in states.rglob("*"):
        if path.is_file():
            damage(path)
    with pytest.warns(UserWarning, match=r"states were not found: .* a folder given as states="):
        result = stateful(tmp_path, states=states)
    assert [state for amount, state in SEEN[11:] if amount == 3] == [None, None]
    assert without_seconds(result) == without_seconds(stateful(tmp_path, journal=None))


def test_a_folder_of_states_that_goes_away(tmp_path):
    """The search does without it, with the same result, and says which one it was."""
    states = tmp_path / "states"

    def removing(x, resource, state):
        shutil.rmtree(states, ignore_errors=True)
        return x, resource

    gone = r"be kept.* does not see the folder \S*states; some"
    with pytest.warns(UserWarning, match=gone) as told:
        result = stateful(tmp_path, removing, states=states)
    assert len(told) == 1
    assert without_seconds(result) == without_seconds(stateful(tmp_path, removing, journal=None))


def other(x, resource, state):
    SEEN.append((resource, state))
    return -x, "other"


@pytest.mark.parametrize(
    "options", [{"objective": other}, {"configurations": [*range(8), 0.5]}, {"maximize": True}]
)
def test_states_of_another_search_are_left_alone(tmp_path, options):
    """In the same folder, they are neither taken nor removed."""
    states, mine = tmp_path / "states", tmp_path / "mine"
    mine.mkdir()
    interrupted(tmp_path, states=states)
    before = sorted(os.listdir(states))
    stateful(mine, **options)
    lines = (mine / "journal").read_bytes().splitlines(keepends=True)
    (mine / "journal").write_bytes(b"".join(lines[:11]))  # to the end of the first rung
    SEEN[:] = [None] * 99
    with pytest.warns(UserWarning, match="started from scratch"):
        stateful(mine, states=states, **options)
    assert [state for _, state in SEEN[99:102]] == [None] * 3
    assert sorted(os.listdir(states)) == before


def test_states_outlast_a_deadline(tmp_path):
    """What time has left is gone on with."""
    states = tmp_path / "states"
    SEEN[:] = [None] * 99
    with pytest.warns(UserWarning, match="max_time=1e-09 was reached"):
        stateful(tmp_path, states=states, max_time=1e-9)
    assert len(os.listdir(states)) == 1
    stateful(tmp_path, states=states)
    assert [state for amount, state in SEEN[99:] if amount > 1] == [1, 1, 1, 3]
    assert os.listdir(states) == []


@pytest.mark.parametrize("options", [{"journal": None}, {"stateful": False}])
def test_states_are_for_a_stateful_search_with_a_journal(tmp_path, options):
    """Without one there is nothing to go on with, and nothing is made."""
    with pytest.raises(ValueError, match=r"states='here' .* pass stateful=True and a journal as"):
        stateful(tmp_path, states="here", **options)
    assert os.listdir(tmp_path) == []


SCRIPT = """
import os, sys, time
from skhalving import successive_halving

journal, states, log, n_jobs = sys.argv[1:]
half = 0.5

class Net:
    def __init__(self, weight):
        self.weight, self.done = weight, 0

    def step(self):
        self.weight, self.done = self.weight * half, self.done + 1

step = Net.step

def train(x, amount, net):
    net = Net(float(x)) if net is None else net
    with open(log, "a") as file:
        print(amount, net.done, file=file)
    if amount == 9 and x != 18 and os.path.exists("block"):
        time.sleep(600)
    while net.done < amount:
        net.step()
    return net.weight, net

result = successive_halving(
    train, range(27), max_resources=27, maximize=True, stateful=True, n_jobs=int(n_jobs),
    journal=journal, states=states,
)
assert Net.step is step
print(result, result.history["score"].tolist(), result.history["candidate"].tolist())
"""


def script(folder, n_jobs):
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "script.py", "journal", "states", "log", str(n_jobs)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """What the script prints."""
    with script(tmp_path_factory.mktemp("alone"), 1) as process:
        return process.communicate(timeout=240)[0]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("n_jobs", [(1, 1), (1, 2), (2, 1)])
def test_killed_and_gone_on_with(tmp_path, n_jobs, left_alone):
    """A script that is killed on its third rung and run again, with as many workers or not, prints
    what it prints when it is left alone, and starts nobody from scratch above the first."""
    journal, end = tmp_path / "journal", time.monotonic() + 240
    (tmp_path / "block").touch()
    with script(tmp_path, n_jobs[0]) as process:
        try:
            # A header, a plan, 27 and 9 evaluations; one of the third rung may follow.
            while not journal.exists() or journal.read_bytes().count(b"\n") < 38:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    (tmp_path / "block").unlink()
    with script(tmp_path, n_jobs[1]) as process:
        assert process.communicate(timeout=240)[0] == left_alone != ""
    log = [tuple(map(int, line.split())) for line in (tmp_path / "log").read_text().splitlines()]
    assert {amount for amount, done in log if not done} == {1}
    assert {(amount, done) for amount, done in log if done} == {(3, 1), (9, 3), (27, 9)}
    assert os.listdir(tmp_path / "states") == []


def test_max_time_of_a_function():
    """Nothing starts after it; at least one configuration is evaluated; a warning says the rest."""
    calls = []

    def objective(x, resource):
        calls.append(x)
        return x

    with pytest.warns(UserWarning, match=r"max_time=1e-09 was reached: 12 of 13 trials"):
        result = successive_halving(objective, range(9), max_resources=9, max_time=1e-9)
    assert (result.best_configuration, result.best_resource) == (0, 1)
    assert calls == [0]
    with pytest.raises(ValueError, match="max_time=0 must be above"):
        successive_halving(objective, range(9), max_resources=9, max_time=0)


def test_schedules_of_functions():
    """A rule by name, or brackets of one's own; another name is an error that lists them."""
    hedged = hyperband(quadratic, SPACE, max_resources=27, schedule="hedged", random_state=0)
    assert hedged.schedule == hyperband_schedule(27, schedule="hedged")
    levels = hedged.schedule.levels
    mine = Schedule(levels, [Bracket.on(levels, 6, 4, 2, 2)])
    assert hyperband(quadratic, SPACE, max_resources=27, schedule=mine).schedule == mine
    assert successive_halving(lambda x, r: x, range(6), max_resources=27, schedule=mine)
    with pytest.raises(ValueError, match="schedule has 6 candidates, and there are 5;"):
        successive_halving(lambda x, r: x, range(5), max_resources=27, schedule=mine)
    with pytest.raises(ValueError, match=r"schedule='x' is unknown; give one of \['hedged'"):
        hyperband(quadratic, SPACE, max_resources=27, schedule="x")
