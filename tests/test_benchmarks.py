"""Replay must be the search itself, only without the fitting."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import ParameterGrid

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV
from skhalving import schedule as plans
from skhalving.continuation import family_of

# They are not installed; last, so that the package under test stays the one that is.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import live, methods, replay, report, tabulate
from benchmarks.replay import TABLES, Table, halving, hyperband, random_search
from benchmarks.tasks import FIVE_FOLDS, SEED, TASKS

LEVELS = np.array([1, 3, 9, 27])


def random_table(n=60, n_folds=3, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 1, 1)) + 0.5 * rng.normal(size=(n, len(LEVELS), n_folds))
    seconds = np.broadcast_to(LEVELS[:, None], scores.shape) * rng.uniform(1, 2, (n, 1, 1))
    return Table("random", scores, seconds, 0.1 * seconds, np.zeros_like(seconds), LEVELS)


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
        return self.table.S[self.row, self.table.levels.tolist().index(self.amount), fold]


@pytest.mark.parametrize("folds", ["grow", "all"])
@pytest.mark.parametrize(
    ("search", "rule"), [(HyperbandSearchCV, hyperband), (SuccessiveHalvingSearchCV, halving)]
)
def test_replay_returns_and_pays_what_the_estimator_does(search, rule, folds):
    table = random_table()
    X = np.repeat(np.arange(3.0), 4)[:, None]
    splits = [(np.flatnonzero(X[:, 0] != k), np.flatnonzero(X[:, 0] == k)) for k in range(3)]
    for seed in range(5):
        found = search(
            LookUp(table),
            {"row": list(range(len(table)))},
            resource="amount",
            n_candidates=50,
            folds=folds,
            cv=splits,
            refit=False,
            random_state=seed,
        ).fit(X)
        results = found.all_cv_results_
        candidates = np.zeros(50, dtype=int)
        candidates[results["candidate"]] = [params["row"] for params in results["params"]]
        schedule = rule(50, folds=folds)(table)
        assert str(schedule) == str(found.schedule_)
        outcome = replay.replay(schedule, table, candidates)
        assert outcome.chosen == found.best_params_["row"]
        fits = {
            (params["row"], fold, params["amount"])
            for i, params in enumerate(results["params"])
            for fold in range(3)
            if np.isfinite(results[f"split{fold}_test_score"][i])
        }
        paid = sum(
            table.cost[row, LEVELS.tolist().index(amount), fold] for row, fold, amount in fits
        )
        assert outcome.cost == pytest.approx(paid)


def test_random_search_is_as_fast_as_random_search():
    table = random_table(200)
    for n in (5, 20, 60):
        figures = replay.figures(random_search(n)(table), table, 300)
        assert figures.speedup == pytest.approx(1, abs=0.15)


def test_a_perfect_first_rung_is_worth_what_it_saves():
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(100, 1, 1)) + np.zeros((1, len(LEVELS), 3))
    seconds = np.zeros_like(quality) + LEVELS[:, None]
    table = Table("perfect", quality, seconds, 0 * seconds, 0 * seconds, LEVELS)
    schedule = halving(27, folds="all")(table)
    figures = replay.figures(schedule, table, 100)
    assert figures.cost == pytest.approx(4.0)  # 27/27 + 9/9 + 3/3 + 1
    assert figures.speedup == pytest.approx(27 / 4, rel=0.15)


def test_continuing_pays_only_for_what_is_new():
    table = random_table()
    schedule = halving(27)(table)
    afresh = replay.replay(schedule, table, np.arange(27))
    continued = replay.replay(schedule, replace(table, continues=True), np.arange(27))
    assert continued.chosen == afresh.chosen
    assert continued.cost < afresh.cost


def test_continuing_pays_again_what_every_fit_costs():
    """Only training is saved; binning or encoding is done again on every rung."""
    table = random_table()
    table = replace(table, CF=np.full(table.CF.shape, 5.0))
    schedule = halving(27)(table)
    afresh = replay.replay(schedule, table, np.arange(27))
    continued = replay.replay(schedule, replace(table, continues=True), np.arange(27))
    assert continued.cost == pytest.approx(afresh.cost)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_tasks_continue_where_a_search_does(task):
    """What the tables say of going on is what ``continue_training="auto"`` does."""
    if task.name == "diamonds_lightgbm":
        pytest.importorskip("lightgbm", reason="an extra; another step of CI has it")
    family = family_of(task.estimator(), task.resource)
    assert task.continues == (family is not None and family.auto)


def test_a_failed_configuration_is_never_the_answer():
    table = random_table(40)
    table.S[:30] = np.nan
    outcome = replay.replay(hyperband()(table), table, np.arange(49) % 40)
    assert outcome.chosen >= 30


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.npz")), ids=lambda path: path.stem)
def test_stored_tables_are_read_and_small(path):
    table = Table.read(path)
    assert path.stat().st_size < 200_000
    assert len(table) >= 49
    assert np.isfinite(table.cost[:, -1]).all()
    assert table.knows(hyperband()(table))


def test_tables_of_the_two_kinds_of_folds_are_told_apart():
    table = random_table()
    table.CF[:, 0, 1:] = np.nan
    assert table.knows(halving()(table))
    assert not table.knows(plans.published(replay.climbed(table, folds="all"), 3))


def test_report_names_every_table_and_every_rule():
    text = replay.report([random_table(60)], [], n_seeds=2)
    for question, rules in replay.QUESTIONS.items():
        assert question in text
        if "factor" not in question:
            assert all(rule in text for rule in rules)


def test_five_folds_stand_beside_the_three_of_the_same_task():
    five = [replace(random_table(60, n_folds=5), name="random_5")]
    text = "\n".join(replay.five_folds(five, [random_table(60)], n_seeds=2))
    for row in ("five folds", "three folds", "| random_5 |", "| random |"):
        assert row in text
    assert all(name.removesuffix("_5") in TASKS for name in FIVE_FOLDS)


def test_a_change_of_nothing_changes_nothing(monkeypatch):
    """The same rule before and after is at a ratio of 1, without any interval."""
    monkeypatch.setattr(replay, "CHANGES", {"nothing": (halving(), halving())})
    tables = [replace(random_table(60, seed=seed), name=str(seed)) for seed in range(3)]
    assert "| 1.00 | 1.00 to 1.00 | 0 of 3 |" in replay.changes(tables, n_seeds=20)


def test_tasks_do_not_share_the_luck_of_a_seed():
    """Same space and same seed, yet other draws; and none of them those of the tables."""
    states = {live.random_state(task, seed) for task in TASKS.values() for seed in range(5)}
    assert len(states) == 5 * len(TASKS)
    assert SEED not in states


def test_every_task_has_a_run_before_any_has_a_second(tmp_path, monkeypatch):
    """Seeds, then methods, then tasks by their price; nothing once the budget is spent."""
    ran = []

    def run(task, method, seed, limit):
        ran.append((seed, method, task.name))
        return {"task": task.name, "method": method, "seed": seed}

    monkeypatch.setattr(live, "RECORD", tmp_path / "live.jsonl")
    monkeypatch.setattr(live, "run_one", run)
    few = ("SuccessiveHalvingSearchCV", "GridSearchCV")
    monkeypatch.setattr(live, "METHODS", {name: methods.METHODS[name] for name in few})
    tables = replay.read_tables(["votes_logistic", "digits_rows"])
    live.run_what_fits(tables, budget=0)
    assert ran == []
    live.run_what_fits(tables, budget=1e6)
    tasks = ["digits_rows", "votes_logistic"]
    first = [(0, method, task) for method in few for task in tasks]
    assert ran[:4] == first
    assert ran[4:] == [(seed, few[0], task) for seed in range(1, 5) for task in tasks]


def test_a_table_of_a_task_needs_no_package_to_be_named():
    assert len(TASKS) >= 8
    assert {task.resource == "n_samples" for task in TASKS.values()} == {True, False}


@pytest.fixture
def small_task():
    return replace(TASKS["digits_rows"], n_rows=240)


def test_a_new_table_is_one_that_replay_knows(small_task, tmp_path):
    small = replace(small_task, n_rows=600)
    arrays = tabulate.tabulate(small, 3, 60)
    np.savez_compressed(tmp_path / "digits_rows.npz", **arrays)
    table = Table.read(tmp_path / "digits_rows.npz")
    assert len(table) == 3
    assert table.levels[-1] == arrays["n_samples"] == 450
    assert table.knows(halving(3, folds="all")(table))
    assert table.knows(halving(3, factor=2)(table))


@pytest.mark.parametrize("method", ["RandomizedSearchCV", "SuccessiveHalvingSearchCV"])
def test_a_live_run_writes_down_what_it_cost_and_found(small_task, method):
    line = live.run_one(small_task, method, seed=0, limit=60)
    assert line["cpu"] > 0
    assert 0.1 < line["quality"] <= 1
    assert 0.1 < line["test"] <= 1
    assert set(line["params"]) == set(small_task.space)


def test_a_method_that_cannot_run_is_written_down_with_its_error(small_task, monkeypatch):
    def missing(problem):
        raise ImportError("no such package")

    monkeypatch.setitem(live.METHODS, "missing", missing)
    assert live.run_one(small_task, "missing", 0, 60)["error"] == "ImportError: no such package"


def test_a_method_out_of_time_is_stopped(small_task, monkeypatch):
    def endless(problem):
        while True:
            sum(range(1000))

    monkeypatch.setitem(live.METHODS, "endless", endless)
    assert live.run_one(small_task, "endless", 0, 0.2)["error"].startswith("stopped after")


def test_grids_stay_small_and_keep_lists():
    for task in TASKS.values():
        points = ParameterGrid(methods.grid(task.space))
        assert 1 < len(points) <= methods.LARGEST_GRID


def test_a_run_is_recorded_once_and_shown(tmp_path, monkeypatch, small_task):
    monkeypatch.setitem(TASKS, small_task.name, small_task)
    monkeypatch.setattr(live, "RECORD", tmp_path / "live.jsonl")
    monkeypatch.setattr(report, "DOCS", tmp_path)
    monkeypatch.setattr(live, "N_SEEDS", 1)
    few = ("RandomizedSearchCV", "SuccessiveHalvingSearchCV")
    monkeypatch.setattr(live, "METHODS", {name: methods.METHODS[name] for name in few})
    tables = replay.read_tables(["digits_rows"])
    for _ in range(2):
        live.run_what_fits(tables, budget=60)
    assert [line["method"] for line in live.recorded()] == list(few)
    report.write(tables, n_seeds=2)
    text = (tmp_path / "benchmarks.md").read_text()
    assert all(f"| {name} |" in text for name in few)
    assert (tmp_path / "benchmarks.png").stat().st_size > 1000
