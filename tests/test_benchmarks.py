"""Replay must be the search itself, only without the fitting."""

import importlib
import json
import pkgutil
import subprocess
import sys
import time
from dataclasses import replace
from inspect import signature
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV
from skhalving import schedule as plans

# The benchmarks are not installed. Their folder comes last on the path, so that the package under
# test stays the installed one.
sys.path.append(str(Path(__file__).parents[1]))

import benchmarks
from benchmarks import live, measure, questions, report, rules, tabulate
from benchmarks.questions import figures
from benchmarks.replay import (
    TABLES,
    Table,
    draw,
    early_stopping,
    folds_in_turn,
    mean_of_last_two,
    read_tables,
    replay,
)
from benchmarks.tasks import ASIDE, DATA, KEPT, SEED, TASKS, data_of

LEVELS = np.array([1, 3, 9, 27])


def random_table(n=60, n_folds=3, seed=0, **facts):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 1, 1)) + 0.5 * rng.normal(size=(n, len(LEVELS), n_folds))
    seconds = np.broadcast_to(LEVELS[:, None], scores.shape) * rng.uniform(1, 2, (n, 1, 1))
    parts = (scores, seconds, 0.1 * seconds, np.zeros_like(seconds))
    return Table("random", *parts, scores[:, -1].mean(axis=1), LEVELS, n_samples=27, **facts)


class LookUp(BaseEstimator):
    """A configuration of a table, whose rows say which fold is the test fold."""

    def __init__(self, table=None, row=0, amount=27):
        self.table = table
        self.row = row
        self.amount = amount

    def fit(self, X, y=None):
        return self

    def score(self, X, y=None):
        fold = int(X[0, 0])
        return self.table.S[self.row, self.table.column(self.amount), fold]


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(benchmarks.__path__)])
def test_every_benchmark_is_still_one(name):
    """What it takes from the package and from the other benchmarks is there."""
    try:
        importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] in ("benchmarks", "skhalving"):
            raise
        pytest.skip(f"no {error.name}")


@pytest.mark.parametrize("kind", ["hedged", "published"])
@pytest.mark.parametrize("search", [HyperbandSearchCV, SuccessiveHalvingSearchCV])
def test_replay_returns_and_pays_what_the_estimator_does(search, kind):
    """On the same candidates: the same schedule, the same answer, the same evaluations."""
    table = random_table()
    X = np.repeat(np.arange(3.0), 4)[:, None]
    splits = [(np.flatnonzero(X[:, 0] != k), np.flatnonzero(X[:, 0] == k)) for k in range(3)]
    rule = search._rules[kind]
    for seed in range(2):
        found = search(
            LookUp(table),
            {"row": list(range(len(table)))},
            resource="amount",
            n_candidates=50,
            schedule=kind,
            cv=splits,
            refit=False,
            random_state=seed,
        ).fit(X)
        results = found.all_cv_results_
        candidates = np.zeros(50, dtype=int)
        candidates[results["candidate"]] = [params["row"] for params in results["params"]]
        schedule = rules.of_rule(rule)(table, 50)
        assert str(schedule) == str(found.schedule_)
        replayed = replay(schedule, table, candidates)
        assert replayed.chosen == found.best_params_["row"]
        fits = {
            (params["row"], fold, params["amount"])
            for i, params in enumerate(results["params"])
            for fold in range(3)
            if np.isfinite(results[f"split{fold}_test_score"][i])
        }
        paid = sum(table.cost[row, table.column(amount), fold] for row, fold, amount in fits)
        assert replayed.cost == pytest.approx(paid)


def test_random_search_is_as_fast_as_random_search():
    """By construction its speed-up is 1, whatever its size."""
    table = random_table(200)
    for n in (5, 20, 60):
        assert figures(rules.by(rules.of_all), table, n, 300).speedup == pytest.approx(1, abs=0.15)


def test_a_perfect_first_rung_is_worth_what_it_saves():
    """27 configurations for the price of four, if a third of the cost tells all."""
    quality = np.random.default_rng(0).normal(size=(100, 1, 1)) + np.zeros((1, len(LEVELS), 3))
    seconds = np.zeros_like(quality) + LEVELS[:, None]
    costs, held = (seconds, 0 * seconds, 0 * seconds), quality[:, 0, 0]
    table = Table("perfect", quality, *costs, held, LEVELS, n_samples=27)
    found = figures(rules.METHODS[rules.STOCK], table, 27, 100)
    assert found.cost == pytest.approx(4.0)  # 27/27 + 9/9 + 3/3 + 1
    assert found.speedup == pytest.approx(27 / 4, rel=0.15)


def test_continuing_pays_only_for_what_is_new():
    """The answer is the same and the bill is smaller; what every fit costs is paid again."""
    table = random_table()
    schedule = rules.of_rule(plans.hedged)(table, 54)
    afresh = replay(schedule, table, np.arange(54))
    continued = replay(schedule, replace(table, continues=True), np.arange(54))
    assert continued.chosen == afresh.chosen
    assert continued.cost < afresh.cost
    fixed = replace(table, CF=np.full(table.CF.shape, 5.0))
    costs = {
        replay(schedule, replace(fixed, continues=on), np.arange(54)).cost for on in (True, False)
    }
    assert max(costs) == pytest.approx(min(costs))


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.npz")), ids=lambda path: path.stem)
def test_tables_continue_where_a_search_does(path):
    """What the tables say of going on is what ``continue_training="auto"`` does: with trees, not
    with epochs by ``partial_fit``."""
    task, trees = TASKS[path.stem], ("n_estimators", "boost__max_iter")
    boosting = isinstance(task.estimator, HistGradientBoostingRegressor)
    by_trees = task.resource in trees or (boosting and task.resource == "max_iter")
    assert tabulate.continues(task) == Table.read(path).continues == by_trees


def test_a_failed_configuration_is_never_the_answer():
    """NaN loses against every number, in a race and in early stopping."""
    table = random_table(40)
    table.S[:30] = np.nan
    order = np.arange(40)
    assert replay(rules.of_rule(plans.published)(table, 40), table, order).chosen >= 30
    assert early_stopping(table, order, forgiving=True).chosen >= 30


def test_early_stopping_pays_at_most_for_all_folds():
    """The aggressive rule pays no more than the forgiving one, and the answer ended all folds."""
    table = random_table(40)
    full = table.cost[:, -1].sum()
    forgiving, aggressive = (early_stopping(table, np.arange(40), f) for f in (True, False))
    assert aggressive.cost <= forgiving.cost <= full


def test_folds_in_turn_cost_the_same_number_of_evaluations():
    """Candidates of other folds pay for as many of them."""
    table = random_table()
    flat = replace(table, CF=np.ones_like(table.CF), CS=0 * table.CS)
    schedule = rules.of_rule(plans.hedged)(flat, 54)
    shared = replay(schedule, flat, np.arange(54))
    turned = replay(schedule, flat, np.arange(54), folds_of=folds_in_turn)
    assert turned.cost == shared.cost == schedule.n_fits
    assert sorted(folds_in_turn(7, 5)) == [0, 1, 2, 3, 4]
    assert mean_of_last_two([9.0, 1.0, 2.0]) == 1.5


def test_an_answer_is_ranked_among_those_that_entered():
    """The best of them has rank 1 and loses nothing, wherever it stands among all; the worst of n
    has rank n, and loses what it is below the best."""
    table, n = random_table(), 10
    entered = [draw(table, seed)[:n] for seed in range(5)]
    best, least = (
        np.array([rows[pick(table.quality[rows])] for rows in entered])
        for pick in (np.argmax, np.argmin)
    )
    spread = table.S[table.best, -1].std(ddof=1)
    lost = (table.quality[best] - table.quality[least]).mean() / spread
    for chosen, rank, loss in ((best, 1, 0.0), (least, n, lost)):
        found = questions.Figures(table, chosen, np.ones(5))
        assert questions.among_those_that_entered(found, n) == pytest.approx((np.log(rank), loss))


def test_the_family_has_the_schedule_that_runs():
    """The member that is marked as implemented is the package's hedged rule, by default."""
    table = random_table()
    ours = rules.of_rule(plans.hedged)(table, None)
    assert str(rules.counted(rules.AS_IMPLEMENTED)(table, None)) == str(ours)
    assert {rules.AS_IMPLEMENTED, rules.THREE_FINALISTS} <= set(rules.FAMILY)


def test_the_family_keeps_what_its_members_say():
    """Each member keeps a half or a third at each cut, or its finalists, and its second bracket
    enters a level higher."""
    table = random_table()
    for name in rules.FAMILY:
        schedule = rules.counted(name)(table, None)
        for s, bracket in enumerate(schedule):
            assert len(bracket.rungs) == 4 - s
            counts = [rung.n_candidates for rung in bracket.rungs]
            finalists = counts[-1]
            for share in (2, 3):
                kept = [counts[0]]
                for level in range(s + 1, 4):
                    cut = share if level == 1 else 3
                    kept.append(max(finalists, -(-kept[-1] // cut)))
                if kept == counts:
                    break
            else:
                raise AssertionError(name)


def test_regret_at_a_cost_lies_between_its_neighbours():
    """Interpolated, NaN where nothing is as cheap, the last where everything is cheaper."""
    points = [(1.0, 0.8, 0.9), (10.0, 0.2, 0.4), (20.0, 0.1, 0.3)]
    assert 0.2 < questions.at_cost(points, 5)[0] < 0.8
    assert questions.at_cost(points, 40) == (0.1, 0.3)
    assert np.isnan(questions.at_cost(points, 0.5)[0])


@pytest.mark.parametrize("path", sorted(TABLES.glob("**/*.npz")), ids=lambda path: path.stem)
def test_stored_tables_are_read_and_small(path):
    """Every level of a search is known on every fold."""
    table = Table.read(path)
    assert path.stat().st_size < 500_000
    assert len(table) >= 49
    assert np.isfinite(table.cost).all()
    schedule = rules.of_rule(plans.published)(table, 49)
    assert {level.n_resources for level in schedule.levels} <= set(table.levels.tolist())
    assert len(table) == len(table.held)
    if table.n_folds == 5:
        assert table.name in TASKS | ASIDE
        assert np.isfinite(table.own_held)


def test_a_third_of_the_data_sets_is_kept():
    """Drawn once and for all; every other task may be used to choose."""
    assert KEPT == ["abalone", "ames", "churn", "expenses", "magic", "movies"]
    assert len(DATA) == 3 * len(KEPT)
    tables = [replace(random_table(), name=name) for name in TASKS]
    choice, confirm = questions.open_to_choice(tables), questions.kept(tables)
    assert len(choice) + len(confirm) == len(tables)
    assert not {data_of(t.name) for t in choice} & {data_of(t.name) for t in confirm}


def test_the_choice_is_made_without_what_is_left_out(monkeypatch):
    """A data set on which one member alone is good does not choose that member for itself."""
    monkeypatch.setattr(
        questions,
        "speedups",
        lambda method, tables, n, seeds: [
            (100.0 if t.name == "odd_one" else 1.0) if method is odd else 2.0 for t in tables
        ],
    )
    first, *_, last = rules.FAMILY
    odd = rules.FAMILY[last]
    tables = [replace(random_table(), name=name) for name in ("a_x", "b_x", "odd_one")]
    chosen = questions.leave_one_out(tables, 1)
    assert chosen == {"a": last, "b": last, "odd": first}


@pytest.fixture
def small_task():
    return replace(TASKS["digits_svc"], n_rows=600)


def test_a_new_table_is_one_that_replay_knows(small_task, tmp_path):
    """Its first configuration is the estimator as it is, and no candidate of a replay."""
    arrays = tabulate.tabulate(small_task, 3, 60)
    np.savez_compressed(tmp_path / "digits_svc.npz", **arrays)
    (table,) = read_tables(tmp_path)
    assert len(table) == len(table.held) == 3
    assert arrays["params"][0] == "{}"
    assert table.levels[-1] == table.n_samples == 450
    assert table.by_rows
    assert table.own_held > 0.9
    assert rules.of_rule(plans.hedged)(table, 3).n_candidates == 3


def test_tasks_do_not_share_the_luck_of_a_seed():
    """Same space and same seed, yet other draws; and none of them those of the tables."""
    states = {live.random_state(task, seed) for task in TASKS.values() for seed in range(5)}
    assert len(states) == 5 * len(TASKS)
    assert SEED not in states


@pytest.fixture
def digits_table():
    return next(table for table in read_tables() if table.name == "digits_svc")


@pytest.fixture
def problem(small_task, digits_table, monkeypatch):
    """Four candidates on 450 rows of digits."""
    monkeypatch.setitem(TASKS, small_task.name, small_task)
    monkeypatch.setattr(live.Problem, "candidates", lambda problem, method: 4)
    return live.posed(digits_table, seed=0)


@pytest.mark.parametrize("method", [rules.RANDOM, rules.SINGLE])
def test_a_live_run_writes_down_what_it_cost_and_found(problem, method):
    """Costs, scores and parameters of the space."""
    line = live.run_one(problem, method)
    assert line["cpu"] > 0
    assert line["full_evaluations"] == pytest.approx(10 * line["cpu"] / problem.seconds)
    assert 0.1 < line["quality"] <= 1
    assert 0.1 < line["held"] <= 1
    assert set(line["params"]) == set(problem.task.space)


def test_a_slow_machine_gets_a_larger_budget(small_task, digits_table, monkeypatch):
    """Where the first configurations of a table take three times as long as they once did, every
    method has three times the seconds of ten evaluations."""
    clock = [0.0]
    seconds = iter(3 * digits_table.cost[:, -1].sum(axis=1))
    monkeypatch.setitem(TASKS, small_task.name, small_task)
    monkeypatch.setattr(live.time, "process_time", lambda: clock[0])
    monkeypatch.setattr(
        live.Problem,
        "scores",
        lambda problem, params: clock.append(clock.pop() + next(seconds)),
    )
    problem = live.posed(digits_table, seed=0)
    assert problem.slowness == pytest.approx(3)
    assert problem.seconds == pytest.approx(3 * 10 * digits_table.full_cost)


def test_switches_are_run_only_where_they_change_something():
    """Pipelines can share, and boosting by histograms can stop; other tasks have peers alone."""

    def tasks_with(switch):
        return {name for name, task in TASKS.items() if switch in live.methods_for(task)}

    boosting = {"abalone", "diamonds", "expenses", "flights"}
    assert tasks_with(live.STOPPED) == {f"{name}_boosting" for name in boosting}
    shared = tasks_with(live.UNSHARED)
    assert {"reviews_text", "ames_kernel", "digits_svc", "diamonds_boosting"} <= shared
    assert not shared & {"pima_forest", "magic_tree", "flights_boosting", "digits_epochs"}
    for task in TASKS.values():
        assert set(live.METHODS) - set(live.methods_for(task)) <= set(live.SWITCHES)


class Slow(StandardScaler):
    """Dear enough to be shared; counts its fits in this process."""

    fits = 0

    def fit(self, X, y=None):
        Slow.fits += 1
        time.sleep(0.05)
        return super().fit(X, y)


def test_nothing_shared_finds_the_same_with_more_fits(problem):
    """At the same seed, the answer is that of the default search."""
    task = replace(problem.task, estimator=Pipeline([("scale", Slow()), ("svc", SVC())]))
    problem, fits = replace(problem, task=task), []
    for method in (rules.HEDGED, live.UNSHARED):
        Slow.fits = 0
        fits.append((live.METHODS[method](problem), Slow.fits))
    (shared, few), (unshared, many) = fits
    assert shared == unshared
    assert few < many


@pytest.mark.skipif(
    "X_val" not in signature(HistGradientBoostingClassifier.fit).parameters,
    reason="X_val is of scikit-learn 1.7",
)
def test_early_stopping_finds_parameters_of_the_space(problem):
    """It is switched on for the search alone, in the last step of a pipeline as well."""
    boosting = HistGradientBoostingClassifier(max_iter=9, early_stopping=False, random_state=0)
    for estimator, name in (
        (boosting, "learning_rate"),
        (Pipeline([("boost", boosting)]), "boost__learning_rate"),
    ):
        assert live.last_step(live.stopping_early(estimator)).early_stopping is True
        assert live.last_step(estimator).early_stopping is False
        space = {name: [0.1, 0.3, 0.5, 0.7]}
        task = replace(problem.task, estimator=estimator, space=space)
        assert set(live.METHODS[live.STOPPED](replace(problem, task=task))) == set(space)


def test_a_run_is_recorded_once_with_its_error(digits_table, tmp_path, monkeypatch):
    """A method that cannot run is written down, all methods before the next seed."""

    def missing(problem):
        raise ImportError("no such package")

    monkeypatch.setattr(live, "RECORD", tmp_path / "live.jsonl")
    monkeypatch.setattr(live, "METHODS", {"one": missing, "other": missing})
    monkeypatch.setattr(live, "N_SEEDS", 2)
    for _ in range(2):
        live.run_what_fits([digits_table], seconds=60)
    lines = [(line["seed"], line["method"], line["error"]) for line in live.recorded()]
    error = "ImportError: no such package"
    assert lines == [(s, m, error) for s in range(2) for m in ("one", "other")]


def live_lines(method, tables, cpu, quality):
    """Every seed of a method on some tables, each of which takes half as long again as the last."""
    return [
        {
            "task": table.name,
            "method": method,
            "seed": seed,
            "cpu": cpu * 1.5**i * (1 + seed),
            "full_evaluations": 10.0,
            "quality": quality,
            "held": quality,
        }
        for i, table in enumerate(tables)
        for seed in range(live.N_SEEDS)
    ]


def cells_of(text, name):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name}")]
    return line.strip("| ").split(" | ")[1:]


def test_what_is_added_is_told_where_it_was_switched(digits_table):
    """Seconds without over seconds with at the same seed, and both regrets, on the tasks where both
    ran with all seeds; the table of methods has every task of each, switched or not."""
    tables = [replace(digits_table, name=name) for name in ("one", "two", "three")]
    best, median = digits_table.quality.max(), np.median(digits_table.quality)
    lines = [
        *live_lines(rules.HEDGED, tables, 2.0, best),
        *live_lines(live.UNSHARED, tables[:2], 6.0, median),
        *live_lines(live.STOPPED, tables[2:], 4.0, median)[::-1],
    ]
    text = report.added_table(tables, report.runs_of(lines))
    shared, stopped = (cells_of(text, name) for name in report.ADDED)
    assert shared == ["2", "3.00", "3.00 to 3.00", "3.00 (one)", "1.000", "0.000"]
    slower = 2 * 1.5**2 / 4  # lines start anew on each list of tables
    assert stopped[:2] == ["1", f"{slower:.2f}"]
    assert stopped[4:] == ["0.000", "1.000"]
    assert len(report.added_table(tables, report.runs_of(lines[:-1])).splitlines()) == 3
    text = report.live_table(tables, report.runs_of(lines))
    assert cells_of(text, rules.HEDGED)[0] == "3"
    some = report.runs_of([*lines, *live_lines(rules.RANDOM, tables[:2], 1.0, best)])
    assert cells_of(report.live_table(tables, some), rules.RANDOM)[0] == "2"
    assert cells_of(report.live_table(tables, some), rules.HEDGED) == cells_of(text, rules.HEDGED)
    assert len(text.splitlines()) == 3
    failed = [{"method": "one", "task": "two", "seed": seed, "error": "Oh: no"} for seed in (0, 1)]
    assert report.live_table(tables, report.runs_of([*lines, *failed])) == text
    assert report.errors([*lines, *failed]) == " `one` failed in 2 runs, as with `Oh: no`."


def test_the_page_names_every_table_and_every_method(digits_table, tmp_path, monkeypatch):
    """It is written whole, with its pictures, and fits 200 lines with everything that is live."""
    pytest.importorskip("matplotlib", reason="an extra; another step of CI has it")
    monkeypatch.setattr(live, "RECORD", tmp_path / "live.jsonl")
    monkeypatch.setattr(report, "DOCS", tmp_path)
    monkeypatch.setattr(questions, "SIZES", (3, 9))
    tables = [
        replace(digits_table, name=name) for name in ("pima_forest", "digits_svc", "ames_kernel")
    ]
    lines = [line for name in live.METHODS for line in live_lines(name, tables, 1.0, 0.9)]
    live.RECORD.write_text("\n".join(map(json.dumps, lines)))
    report.write(tables, [random_table(60)], [], n_seeds=2)
    text = (tmp_path / "benchmarks.md").read_text()
    assert all(f"| {name} |" in text for name in rules.METHODS)
    assert all(f"| {table.name} |" in text.replace(" *", "") for table in tables)
    n_more_tasks = len(TASKS) - len(tables)
    assert len(text.splitlines()) + n_more_tasks <= 200
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_parts_of_a_program_are_counted_once():
    """What a part calls counts for the part called: together they are the whole."""
    clock = [0.0]

    class Worker:
        def outer(self):
            clock[0] += 2
            self.inner()

        def inner(self):
            clock[0] += 4

    parts = measure.Parts(lambda: clock[0])
    with parts.of(Worker, "outer", "outer"), parts.of(Worker, "inner", "inner"):
        Worker().outer()
    Worker().outer()  # no longer counted
    assert parts.seconds == {"outer": 2, "inner": 4, "outside": -6}


def test_pairs_take_turns():
    """Both ways run as often, and each is first in every other pair."""
    ways = []
    assert measure.in_pairs(3, lambda way: ways.append(way) or way) == [(True, False)] * 3
    assert ways == [True, False, False, True, True, False]


def test_processor_time_has_that_of_children_and_no_sleep():
    """A child's seconds count while it lives, on Linux."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        if not Path("/proc").exists():
            pytest.skip("needs Linux's /proc")
        before, own = measure.processor_seconds(), time.process_time()
        while time.process_time() - own < 0.05 or measure.processor_seconds() - before < 0.3:
            assert child.poll() is None
        used = time.process_time() - own
        assert measure.processor_seconds() - before > used
    finally:
        child.kill()
        child.wait()


def test_a_peak_outlives_what_made_it():
    """The most that was seen of each size, also when it has shrunk since."""
    sizes, seen = iter([(1, 2), (5, 1), (3, 3)]), Event()

    def look():
        try:
            return next(sizes)
        except StopIteration:
            seen.set()
            return (0, 0)

    with measure.peaks(look, every=0.001) as most:
        assert seen.wait(60)
    assert most == [5, 3]
