"""``docs/benchmarks.md`` and its pictures: every number on them comes from here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from benchmarks import questions, rules
from benchmarks.live import BUDGET, METHODS, N_SEEDS, STOPPED, SWITCHES, UNSHARED, machine, recorded
from benchmarks.measure import geometric_mean, interval, markdown
from benchmarks.questions import HEDGED, figures, kept, open_to_choice
from benchmarks.replay import Table
from benchmarks.tasks import KEPT, TASKS, Task

DOCS = Path(__file__).parents[1] / "docs"
PAGE = Path(__file__).parent / "page.md"

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # of a method, by task


def quote(tables: Sequence[Table], n_seeds: int) -> str:
    """The line that a stranger can quote."""
    found = [figures(HEDGED, table, len(table), n_seeds) for table in tables]
    cheaper, loss = geometric_mean(f.cheaper for f in found), np.mean([f.deviations for f in found])
    rank = np.exp(np.mean([f.log_rank for f in found]))
    ours, random = (
        questions.regrets_at(method, tables, [BUDGET], n_seeds)[..., 0].mean()
        for method in (HEDGED, rules.METHODS[rules.RANDOM])
    )
    return (
        f"**On {len(tables)} tasks with five folds and {span(tables)} configurations each, "
        f"`HyperbandSearchCV()` costs 1/{cheaper:.1f} of `GridSearchCV`, and its answer has rank "
        f"{rank:.1f} on average and a score {loss:.2f} standard deviations (over the folds of the "
        f"best one) below the best; for the price of {BUDGET} full evaluations its regret is "
        f"{ours:.3f}, and that of `RandomizedSearchCV` {random:.3f}.**"
    )


def where_not(tables: Sequence[Table], n_seeds: int) -> str:
    """Where the default search is no better than random search."""
    found = questions.speedups(HEDGED, tables, None, n_seeds)
    below = [f"{t.name} ({value:.2f})" for t, value in zip(tables, found, strict=True) if value < 1]
    return "`HyperbandSearchCV()` loses on " + (", ".join(below) or "none of them") + "."


def span(tables: Sequence[Table]) -> str:
    """How many configurations the tables have."""
    sizes = sorted({len(table) for table in tables})
    return f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0])


def describe(task: Task, table: Table) -> list[str]:
    estimator = task.estimator
    name = type(getattr(estimator, "steps", [(0, estimator)])[-1][1]).__name__
    scoring = task.scoring or ("accuracy" if task.is_classification else "R²")
    return [
        task.name + " *" * (task.name.partition("_")[0] in KEPT),
        name,
        f"{table.n_samples:,}",
        task.resource.rpartition("__")[2],
        scoring,
        str(len(table)),
        f"{table.full_cost:.2f}",
        *questions.what_levels_are_worth(table),
    ]


def tasks_table(tables: Sequence[Table]) -> str:
    head = ["task", "estimator", "rows", "resource", "score", "tabulated", "CPU s"]
    head += ["R/27", "R/9", "R/3", "R"]
    return markdown(head, [describe(TASKS[table.name], table) for table in tables])


def runs_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, Runs]:
    """What each method found on each task, one run for each seed in order."""
    runs: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for line in sorted(lines, key=itemgetter("seed")):
        if "error" not in line:
            runs.setdefault(line["method"], {}).setdefault(line["task"], []).append(line)
    return runs


def with_all_seeds(tables: Sequence[Table], of: Iterable[Runs]) -> list[Table]:
    """The tasks on which all of some methods ran with every seed."""
    return [t for t in tables if all(len(runs.get(t.name, [])) == N_SEEDS for runs in of)]


def live_table(tables: Sequence[Table], runs: Mapping[str, Runs]) -> str:
    """A row for each method, on the tasks where it ran with every seed."""
    rows = []
    for name in METHODS:
        named = with_all_seeds(tables, [runs.get(name, {})])
        if named and name not in SWITCHES:
            rows.append(live_row(name, named, runs[name]))
    head = ["search", "tasks", "cost", "regret", "worst task", "held out", "below own parameters"]
    return markdown(head, rows)


def errors(lines: Sequence[Mapping[str, Any]]) -> str:
    """How many runs of which method failed, and why the first of them did."""
    failed: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        if "error" in line:
            failed[line["method"]].append(line)
    return "".join(
        f" `{method}` failed in {len(of)} runs, as with `{of[0]['error'][:80]}`."
        for method, of in failed.items()
    )


def means(
    tables: Sequence[Table], runs: Runs, of: Callable[[Table, Mapping[str, Any]], float]
) -> list[float]:
    """For each task, the mean over its seeds."""
    return [float(np.mean([of(table, run) for run in runs[table.name]])) for table in tables]


def live_regrets(tables: Sequence[Table], runs: Runs) -> list[float]:
    return means(tables, runs, lambda table, run: live_regret(table.quality, run["quality"]))


def live_row(method: str, tables: Sequence[Table], runs: Runs) -> list[str]:
    """The row of a method, over all tasks and seeds."""
    regret = live_regrets(tables, runs)
    held = means(tables, runs, lambda table, run: live_regret(table.held, run["held"]))
    below = means(tables, runs, lambda table, run: run["held"] < table.own_held)
    cost = means(tables, runs, lambda table, run: run["full_evaluations"])
    return [
        method,
        str(len(tables)),
        f"{np.mean(cost):.1f}",
        f"{np.mean(regret):.3f} ({interval(regret, np.mean)})",
        questions.worst(regret, tables, of=np.argmax),
        f"{np.mean(held):.3f}",
        f"{np.mean(below):.0%}",
    ]


def live_regret(known: np.ndarray, value: float) -> float:
    """The regret of a value that need not be in the table."""
    return float((known.max() - value) / (known.max() - np.median(known)))


# What is added to a search: the runs without it, and those with it.
ADDED = {
    "sharing the steps of a pipeline": (UNSHARED, rules.HEDGED),
    "early stopping on the fold": (rules.HEDGED, STOPPED),
}


def added_table(tables: Sequence[Table], runs: Mapping[str, Runs]) -> str:
    """What sharing and early stopping add, on the tasks where they can be switched."""
    rows = []
    for name, (without, added) in ADDED.items():
        both = runs.get(without, {}), runs.get(added, {})
        if named := with_all_seeds(tables, both):
            rows.append([name, *added_cells(named, *both)])
    head = ["added", "tasks", "times cheaper", "95 %", "worst task", "regret without", "with"]
    return markdown(head, rows)


def seconds(runs: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([run["cpu"] for run in runs])


def added_cells(tables: Sequence[Table], without: Runs, added: Runs) -> list[str]:
    """How many times cheaper it is, in processor time: on each task the median over seeds."""
    cheaper = [float(np.median(seconds(without[t.name]) / seconds(added[t.name]))) for t in tables]
    return [
        str(len(tables)),
        f"{geometric_mean(cheaper):.2f}",
        interval(cheaper),
        questions.worst(cheaper, tables),
        *(f"{np.mean(live_regrets(tables, runs)):.3f}" for runs in (without, added)),
    ]


def page(
    tables: Sequence[Table], older: Sequence[Table], aside: Sequence[Table], n_seeds: int
) -> str:
    """``page.md`` with its figures."""
    choice, confirm = open_to_choice(tables), kept(tables)
    large = [table for table in aside if len(table) >= max(questions.GRIDS)]
    groups = {
        f"{len(choice)} tasks": choice,
        f"{len(confirm)} that confirm": confirm,
        f"{len(older)} older, 3 folds": older,
    }
    groups = {name: of for name, of in groups.items() if of}
    lines = recorded()
    runs = runs_of(lines)
    regret, held = questions.equal_cost(tables, n_seeds)
    return Template(PAGE.read_text()).substitute(
        quote=quote(tables, n_seeds),
        n_seeds=n_seeds,
        span=span(tables),
        n_open=len(choice),
        n_kept=len(confirm),
        kept=", ".join(KEPT),
        n_older=len(older),
        whole_grid=questions.whole_grid(tables, n_seeds),
        equal_quality=questions.equal_quality(groups, n_seeds),
        where_not=where_not([*tables, *older], n_seeds),
        regret=regret,
        held=held,
        budget=BUDGET,
        live_seeds=N_SEEDS,
        live=live_table(tables, runs),
        errors=errors(lines),
        added=added_table(tables, runs),
        family=questions.family(groups, n_seeds),
        as_chosen=questions.as_chosen(choice, n_seeds),
        changes=questions.changes(groups, n_seeds),
        many_rows=questions.many_rows([*tables, *older, *aside], n_seeds),
        large=", ".join(table.name for table in large),
        many_points=questions.many_points(tables, large, n_seeds),
        tasks=tasks_table(tables),
        machine=", ".join(f"{what} {value}" for what, value in machine().items()),
    )


# -- pictures --------------------------------------------------------------------------------------

SHOWN = {
    rules.HEDGED: "C0",
    rules.SINGLE: "C2",
    rules.PUBLISHED: "C1",
    rules.STOCK: "C4",
    rules.RANDOM: "0.4",
}


def draw_costs(tables: Sequence[Table], n_seeds: int, ax: Any) -> None:
    """Regret against cost."""
    budgets = np.geomspace(2.5, 40, 40)
    for name, colour in SHOWN.items():
        regrets = questions.regrets_at(rules.METHODS[name], tables, budgets, n_seeds)
        ax.plot(budgets, regrets[..., 0].mean(axis=0), color=colour, label=name)
    ax.set(xscale="log", yscale="log", xlabel="cost, in full evaluations")
    ax.set_ylabel("regret (median configuration: 1)")
    label(ax.xaxis, [2.5, 5, 10, 20, 40])
    label(ax.yaxis, [0.05, 0.1, 0.2, 0.5, 1, 2])


def draw_speedups(tables: Sequence[Table], n_seeds: int, ax: Any) -> None:
    """A row for each task, the best for the default search on top."""
    order = np.argsort(questions.speedups(HEDGED, tables, None, n_seeds))
    for name, colour in SHOWN.items():
        values = np.array(questions.speedups(rules.METHODS[name], tables, None, n_seeds))
        ax.plot(values[order], range(len(order)), "o", color=colour, label=name, alpha=0.8)
    ax.axvline(1, color="0.4", lw=1)
    ax.set(xscale="log", xlabel="speed-up over random search, at equal quality")
    label(ax.xaxis, [0.06, 0.12, 0.25, 0.5, 1, 2, 4, 8, 16])
    ax.set_yticks(range(len(order)), [tables[i].name for i in order])
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    ax.figure.set_figheight(0.28 * len(tables) + 1.6)


def draw_grid(tables: Sequence[Table], n_seeds: int, ax: Any) -> None:
    """A point for each task: how many times cheaper a whole grid is, and what is lost."""
    for name, colour in SHOWN.items():
        found = [figures(rules.METHODS[name], t, len(t), n_seeds) for t in tables]
        lost = [max(f.deviations, 0.01) for f in found]
        ax.plot([f.cheaper for f in found], lost, "o", color=colour, label=name, alpha=0.8)
    ax.set(xscale="log", yscale="log", xlabel="times cheaper than all configurations in full")
    ax.set_ylabel("loss, in standard deviations\n(0.01: that or less)")
    label(ax.xaxis, [1, 2, 4, 8, 16])
    label(ax.yaxis, [0.01, 0.03, 0.1, 0.3, 1])


def label(axis: Any, ticks: Sequence[float]) -> None:
    """Plain numbers on a logarithmic axis."""
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_tick_params(which="minor", length=0)
    axis.set_minor_formatter(lambda *_: "")


PICTURES = {
    "benchmarks.png": draw_costs,
    "benchmarks_speedup.png": draw_speedups,
    "benchmarks_grid.png": draw_grid,
}


def write(
    tables: Sequence[Table], older: Sequence[Table], aside: Sequence[Table], n_seeds: int
) -> None:
    """The page and its three pictures."""
    from matplotlib.figure import Figure

    for name, draw in PICTURES.items():
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        draw(tables, n_seeds, figure.subplots())
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8)
        figure.savefig(DOCS / name, dpi=150)
    (DOCS / "benchmarks.md").write_text(page(tables, older, aside, n_seeds))
