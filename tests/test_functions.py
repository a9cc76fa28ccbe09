"""The plain functions: the same race and loop as the estimators, for any objective."""

import inspect

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
from skhalving.journal import Journal

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
    SEEN.clear()

    def search():
        return successive_halving(
            interrupted, range(9), max_resources=9, stateful=True, journal=tmp_path / "journal"
        )

    with pytest.raises(KeyboardInterrupt):
        search()
    assert SEEN[9] == (3, 1)
    with pytest.warns(UserWarning, match="from scratch, since a journal holds no states"):
        result = search()
    assert [state for amount, state in SEEN[11:] if amount == 3] == [None, None]
    assert result.best_configuration == 0


SEEN = []


def interrupted(x, resource, state):
    """Its state is the resource; the eleventh call ends the script."""
    SEEN.append((resource, state))
    if len(SEEN) == 11:
        raise KeyboardInterrupt
    return x, resource


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
