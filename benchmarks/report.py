"""The page ``docs/benchmarks.md``: what was run, where, and what came out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live import N_SEEDS, machine, recorded
from benchmarks.methods import METHODS, N_CONFIGURATIONS
from benchmarks.replay import (
    Figures,
    Table,
    geometric_mean,
    halving,
    hyperband,
    interval,
    markdown,
    read_tables,
    report,
    speedup_of,
)
from benchmarks.replay import figures as replayed
from benchmarks.tasks import FIVE_FOLDS, TASKS, Task

DOCS = Path(__file__).parents[1] / "docs"
RANDOM = "RandomizedSearchCV"
Runs = dict[str, dict[str, list[dict[str, Any]]]]  # task, method, seeds

INTRODUCTION = """\
# Benchmarks

Written by a command, from runs on one machine; nothing on this page was typed in:

    pip install ".[bench]"
    python -m benchmarks.tabulate TASK --configurations N --seconds S    # once; tables are stored
    python -m benchmarks --budget CPU_SECONDS --seeds {seeds}    # live runs add up in live.jsonl

All methods get the same three folds of the same rows, one core, and no refit. *Cost* is CPU
seconds of the process tree. *Quality* is the score of the configuration returned, at full resource
on all folds; *held out* its score, fitted on all rows of the search, on a quarter that no search
saw. The *speed-up* is how many configurations random search needs, on average, to find something
that ranks as high, over how many it could have tried for the same cost. Random search itself is
at 1, and **a number below 1 means: use random search**. Ranks are among the random configurations
of the task's table, all of which were fitted in full; an answer better than all of them counts as
the best, so the speed-up of a method that goes beyond is a lower bound.
"""

LIVE = """\
Up to {n_seeds} seeds of every method on every task, as far as the budget went. Not all methods were
run on all tasks: so beside each of them stands `RandomizedSearchCV` on the same tasks. With the
same seed it and ours draw the same configurations. So few seeds are rough: see how far from 1
random search itself is, which would be at 1 with many. A method that did not come to an end on a
task is missing from its mean, which favours it; see below. The replay has hundreds of seeds.
"""


def runs_by_task(lines: Sequence[dict[str, Any]]) -> Runs:
    """The runs that came to an end."""
    runs: Runs = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if "error" not in line:
            runs[line["task"]][line["method"]].append(line)
    return runs


def live_figures(runs: Runs, tables: Sequence[Table]) -> dict[str, dict[str, Figures]]:
    """Method, task: figures. A task counts when random search was run on it."""
    found: dict[str, dict[str, Figures]] = defaultdict(dict)
    for table in tables:
        of_task = runs.get(table.name, {})
        if RANDOM not in of_task:
            continue
        unit = np.mean([line["cpu"] for line in of_task[RANDOM]]) / N_CONFIGURATIONS
        for method, lines in of_task.items():
            quality = np.array([line["quality"] for line in lines])
            ranks = [table.rank_of(q) for q in quality]
            cost = np.array([line["cpu"] for line in lines]) / unit
            found[method][table.name] = Figures(
                table, np.log(ranks), cost, table.quality.max() - quality
            )
    return {method: found[method] for method in METHODS if method in found}


def summary(found: dict[str, dict[str, Figures]]) -> str:
    """A row for each method."""
    rows = []
    for method, of_task in found.items():
        speedups = {task: f.speedup for task, f in of_task.items()}
        worst = min(speedups, key=lambda task: speedups[task])
        low, high = interval(len(of_task), speedup_of(list(of_task.values())))
        rows.append(
            [
                method,
                str(len(speedups)),
                str(sum(len(f.cost) for f in of_task.values())),
                f"{geometric_mean(speedups.values()):.2f}",
                f"{low:.2f} to {high:.2f}" if len(speedups) > 1 else "one task",
                f"{geometric_mean(found[RANDOM][task].speedup for task in speedups):.2f}",
                f"{speedups[worst]:.2f} ({worst})",
                f"{sum(s < 1 for s in speedups.values())} of {len(speedups)}",
            ]
        )
    head = ["method", "tasks", "runs", "speed-up", "95 %", "random there", "worst task", "below 1"]
    return markdown(head, rows)


def details(table: Table, runs: Runs, found: dict[str, dict[str, Figures]]) -> str:
    """A row for each method on one task."""
    rows = []
    for method in found:
        if table.name not in found[method]:
            continue
        lines = runs[table.name][method]
        figures = found[method][table.name]
        rows.append(
            [
                method,
                str(len(lines)),
                f"{np.mean([line['cpu'] for line in lines]):.1f}",
                f"{np.mean([line['quality'] for line in lines]):.4f}",
                f"{np.mean([line['test'] for line in lines]):.4f}",
                f"{figures.speedup:.2f}",
            ]
        )
    return markdown(["method", "seeds", "CPU s", "quality", "held out", "speed-up"], rows)


# What replay should agree on with the live runs.
REPLAYED = {
    "HyperbandSearchCV": hyperband(),
    "HyperbandSearchCV, folds='all'": hyperband(folds="all"),
    "HyperbandSearchCV, from scratch": hyperband(),
    "SuccessiveHalvingSearchCV": halving(),
    "SuccessiveHalvingSearchCV, folds='all'": halving(folds="all"),
}


def agreement(found: dict[str, dict[str, Figures]], n_seeds: int) -> str:
    """Means of the live runs beside where 95 % of the means of as many replays lie."""
    rows = []
    for method in found.keys() & REPLAYED.keys():
        for task, live in found[method].items():
            again = replayed(REPLAYED[method](live.table), live.table, n_seeds)
            n = len(live.cost)
            rows.append([task, method, str(n)])
            for ours, means in (
                (live.cost.mean(), of_means(again.cost, n)),
                (np.exp(live.log_rank.mean()), np.exp(of_means(again.log_rank, n))),
            ):
                low, high = np.quantile(means, [0.025, 0.975])
                rows[-1] += [f"{ours:.1f}", f"{low:.1f} to {high:.1f}"]
    head = ["task", "method", "seeds", "cost", "replayed, 95 %", "rank", "replayed, 95 %"]
    return markdown(head, sorted(rows))


def of_means(values: np.ndarray, n: int) -> np.ndarray:
    """The means of many draws of ``n``."""
    rng = np.random.default_rng(0)
    return rng.choice(values, (1000, n)).mean(axis=1)


def errors(lines: Sequence[dict[str, Any]]) -> str:
    """Who did not come to an end, where, and what it said."""
    said: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in lines:
        if "error" in line:
            said[line["method"], line["error"]].append(line["task"])
    rows = [[m, f"`{e.replace('`', '')}`", ", ".join(tasks)] for (m, e), tasks in said.items()]
    return markdown(["method", "what it says", "tasks"], rows) if rows else "None."


def task_table(tables: Sequence[Table]) -> str:
    """What is searched."""
    rows = []
    for table in tables:
        task = TASKS[table.name]
        rows.append(
            [
                task.name,
                type(task.estimator()).__name__ + steps(task.estimator()),
                n_rows(task),
                "classes" if task.is_classification else "numbers",
                task.resource,
                str(len(task.space)),
                str(len(table)),
                f"{table.full_cost:.2f}",
            ]
        )
    head = ["task", "estimator", "rows", "target", "resource", "parameters", "tabulated", "CPU s"]
    return markdown(head, rows)


def n_rows(task: Task) -> str:
    try:
        return f"{sum(len(y) for y in task.load()[2:]):,}"
    except ImportError as error:
        return f"needs {error.name}"


def steps(estimator: Any) -> str:
    names = [type(step).__name__ for _, step in getattr(estimator, "steps", [])]
    return f" ({', '.join(names)})" if names else ""


# Ours are circles and squares in two colours, the others triangles and the like.
MARKS = {
    "RandomizedSearchCV": ("X", "black"),
    "HyperbandSearchCV": ("o", "tab:red"),
    "SuccessiveHalvingSearchCV": ("o", "tab:blue"),
    "HyperbandSearchCV, folds='all'": ("s", "tab:red"),
    "SuccessiveHalvingSearchCV, folds='all'": ("s", "tab:blue"),
    "HyperbandSearchCV, from scratch": ("p", "tab:pink"),
    "HalvingRandomSearchCV(27)": ("v", "tab:olive"),
    "Optuna TPE": ("^", "tab:green"),
    "Optuna TPE, HyperbandPruner": ("^", "tab:cyan"),
    "dask-ml HyperbandSearchCV": ("<", "tab:gray"),
    "BayesSearchCV": ("D", "tab:purple"),
    "GridSearchCV": ("P", "tab:brown"),
    "HalvingRandomSearchCV": ("v", "tab:orange"),
}


def draw(tables: Sequence[Table], runs: Runs, path: Path) -> None:
    """Quality against cost, all methods, one panel a task."""
    import matplotlib.pyplot as plt

    tables = [table for table in tables if RANDOM in runs.get(table.name, {})]
    if not tables:
        return
    n_columns = min(3, len(tables))
    n_rows = -(-len(tables) // n_columns)
    size = (max(9.0, 4.0 * n_columns), 3.2 * n_rows + 1.2)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained"
    )
    for axis, table in zip(axes.flat, tables, strict=False):
        draw_panel(axis, table, runs[table.name])
    for axis in list(axes.flat)[len(tables) :]:
        axis.axis("off")
    named = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=3, fontsize="small"
    )
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_panel(axis: Any, table: Table, of_task: dict[str, list[dict[str, Any]]]) -> None:
    """Random search as a band, every method as a point; up and left is better."""
    from matplotlib.ticker import NullFormatter

    unit = np.mean([line["cpu"] for line in of_task[RANDOM]]) / N_CONFIGURATIONS
    best = max(
        table.quality.max(), *(line["quality"] for lines in of_task.values() for line in lines)
    )
    gaps = best - table.quality
    least = gaps[gaps > 0].min() / 2
    rng = np.random.default_rng(0)
    reached = np.minimum.accumulate([rng.permutation(gaps) for _ in range(300)], axis=1)
    low, middle, high = np.maximum(least, np.quantile(reached, [0.1, 0.5, 0.9], axis=0))
    cost = unit * np.arange(1, len(table) + 1)
    axis.fill_between(cost, low, high, color="0.88", lw=0, label="random search, 80 %")
    axis.plot(cost, middle, color="0.5", lw=1, label="random search, median")
    for method in METHODS:
        if method in of_task:
            marker, color = MARKS[method]
            axis.plot(
                np.mean([line["cpu"] for line in of_task[method]]),
                max(least, np.mean([best - line["quality"] for line in of_task[method]])),
                marker=marker,
                ls="",
                ms=8,
                color=color,
                markeredgecolor="white",
                label=method,
            )
    axis.set(xscale="log", yscale="log", title=table.name)
    axis.set(xlabel="CPU seconds", ylabel="CV score below the best known")
    axis.xaxis.set_minor_formatter(NullFormatter())  # they overlap where a decade is wide
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.invert_yaxis()


def page(tables: list[Table], five: list[Table], n_seeds: int) -> str:
    """All of it; ``five`` are the tables with five folds."""
    lines = recorded()
    runs = runs_by_task(lines)
    found = live_figures(runs, tables)
    parts = [INTRODUCTION.format(seeds=n_seeds).rstrip()]
    parts += ["## Tasks", task_table(tables)]
    parts.append(
        "`CPU s` is what one configuration costs, all folds, at full resource; `tabulated` how "
        "many were. Of the 336,776 flights of 2013 those that landed are taken, as the others have "
        "no delay."
    )
    if found:
        parts += [
            "## Live runs",
            LIVE.format(n_seeds=N_SEEDS).rstrip(),
            summary(found),
            "![Quality against cost](benchmarks.png)",
            "### Who did not come to an end",
            errors(lines),
            "### Does replay tell the truth?",
            "The same schedules looked up in the tables: costs (in configurations of random "
            "search) and ranks of the live runs beside those of as many replays.",
            agreement(found, n_seeds),
        ]
        for table in tables:
            if table.name in runs and RANDOM in runs[table.name]:
                parts += [f"### {table.name}", details(table, runs, found)]
    parts += [
        "## Replay",
        f"The schedules, races and folds of the package on the tables, {n_seeds} seeds a task: "
        "`python -m benchmarks.replay`. `cost` is in configurations of random search, `rank` the "
        "geometric mean of the answers' ranks.",
        report(tables, five, n_seeds),
        "## Where and when",
        markdown(["what", "value"], [[k, str(v)] for k, v in machine().items()]),
    ]
    return "\n\n".join(parts) + "\n"


def write(tables: list[Table], n_seeds: int) -> None:
    """``docs/benchmarks.md`` and its picture."""
    draw(tables, runs_by_task(recorded()), DOCS / "benchmarks.png")
    (DOCS / "benchmarks.md").write_text(page(tables, read_tables(FIVE_FOLDS), n_seeds))
