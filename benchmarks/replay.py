"""Run the real schedule and race over tabulated scores: hundreds of seeds in seconds.

    python -m benchmarks.replay
    python -m benchmarks.replay digits_svc flights_rows --seeds 1000

What a rule of the schedule would have cost and found is looked up in the tables of ``tabulate``
instead of fitted. The speed-up is how many configurations random search needs to find something as
good, all folds at full resource, over how many it could have paid for. "As good" compares the rank
of the answer among all configurations of the table, in the mean of its logarithm over seeds, so
random search itself is at 1 exactly, whatever its size, and a search that always finds the best of
its n candidates for the price of c is at n / c.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import comb
from scipy.stats import rankdata, spearmanr

from benchmarks.tasks import FIVE_FOLDS, TASKS
from skhalving import schedule as plans
from skhalving.race import Race
from skhalving.schedule import Level, Schedule

TABLES = Path(__file__).parent / "tables"
ROLLS = 10
N_BOOTSTRAPS = 500


@dataclass(frozen=True, eq=False)
class Table:
    """What N random configurations score and cost on L amounts of resource and K folds.

    Attributes
    ----------
    name : str
        Of the task.

    S : ndarray of shape (N, L, K)
        Scores, higher is better; NaN where a fit failed or was not tabulated.

    CF, CS, CO : ndarray of shape (N, L, K)
        Seconds of fitting, of scoring and of all else.

    levels : ndarray of shape (L,)
        Amounts of resource, rising.

    continues : bool, default=False
        Whether training goes on between rungs: a fold whose candidate was on a lower rung then does
        not pay for what was trained there. It pays again what a fit costs that trains nearly
        nothing (binning, encoding), which is the fit on the least amount.
    """

    name: str
    S: np.ndarray
    CF: np.ndarray
    CS: np.ndarray
    CO: np.ndarray
    levels: np.ndarray
    continues: bool = False

    @classmethod
    def read(cls, path: Path) -> Table:
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in ("S", "CF", "CS", "levels")}
            found["CO"] = arrays["CO"] if "CO" in arrays else np.zeros_like(found["CF"])
        task = (TASKS | FIVE_FOLDS).get(path.stem)
        return cls(path.stem, **found, continues=task is not None and task.continues)

    def __len__(self) -> int:
        return len(self.S)

    @property
    def n_folds(self) -> int:
        return self.S.shape[2]

    @cached_property
    def cost(self) -> np.ndarray:
        """Seconds of an evaluation."""
        return self.CF + self.CS + self.CO

    @cached_property
    def means(self) -> np.ndarray:
        """``means[:, l, k]`` is the mean score over the first k + 1 folds."""
        return np.cumsum(self.S, axis=2) / np.arange(1, self.n_folds + 1)

    @cached_property
    def quality(self) -> np.ndarray:
        """What an answer is worth: the score at full resource over all folds."""
        return np.nan_to_num(self.means[:, -1, -1], nan=-np.inf)

    @cached_property
    def rank(self) -> np.ndarray:
        """Of each configuration by quality, 1 the best; ties share the mean."""
        return rankdata(-self.quality)

    @cached_property
    def full_cost(self) -> float:
        """What random search pays for a configuration."""
        return float(self.cost[:, -1].sum(axis=1).mean())

    @cached_property
    def random_log_rank(self) -> np.ndarray:
        """The mean logarithm of the rank that random search has after 1 to N configurations.

        Over all orders: the j-th best (from 1) is the best of n of N in C(N - j, n - 1) of the
        C(N, n) draws.
        """
        N, ranks = len(self), np.sort(self.rank)
        j, n = np.arange(1, N + 1), np.arange(1, N + 1)[:, None]
        return comb(N - j, n - 1) / comb(N, n) @ np.log(ranks)

    def as_random(self, log_rank: float) -> float:
        """How many configurations random search needs to be, on average, as good as this."""
        sizes = np.log(np.arange(1, len(self) + 1))
        return float(np.exp(np.interp(-log_rank, -self.random_log_rank, sizes)))

    def rank_of(self, quality: float) -> float:
        """The rank that an answer from elsewhere has among the configurations."""
        better, equal = np.sum(self.quality > quality), np.sum(self.quality == quality)
        return max(1.0, better + (equal + 1) / 2)

    def first(self, n: int) -> Table:
        """The first ``n`` configurations, which are the same in all tables of a task."""
        arrays = {name: getattr(self, name)[:n] for name in ("S", "CF", "CS", "CO")}
        return replace(self, **arrays)

    def column(self, level: Level) -> int:
        """Where a level stands among ``levels``, which need not be whole numbers."""
        column = int(np.argmin(np.abs(np.log(self.levels / level.n_resources))))
        near = 0.8 < self.levels[column] / level.n_resources < 1.25
        if not near or np.isnan(self.cost[:, column, : level.n_folds]).all(axis=0).any():
            raise LookupError(f"{self.name} has no {level}, only {self.levels}")
        return column

    def knows(self, schedule: Schedule) -> bool:
        """Whether it has every level and enough configurations for a schedule."""
        try:
            for level in schedule.levels:
                self.column(level)
        except LookupError:
            return False
        return len(self) >= schedule.n_candidates


def draw(table: Table, seed: int) -> np.ndarray:
    """All configurations in a random order.

    Ten seeds share an order and start at ten places of it: so every configuration is as often
    among the first, and means over seeds vary less.
    """
    order = np.random.default_rng(seed // ROLLS).permutation(len(table))
    return np.roll(order, seed % ROLLS * len(table) // ROLLS)


class Outcome(NamedTuple):
    """The configuration that a search returns, what it paid, and everyone's race."""

    chosen: int
    cost: float
    race: Race


def replay(schedule: Schedule, table: Table, candidates: np.ndarray) -> Outcome:
    """Race ``candidates``, rows of a table, through a schedule."""
    race = Race(schedule)
    levels = schedule.levels
    columns = [table.column(level) for level in levels]
    # What training cost so far, by candidate and fold, then by level.
    trained: dict[tuple[int, int], dict[int, float]] = {}
    cost = 0.0
    while trial := race.ask():
        row, column = candidates[trial.candidate], columns[trial.level]
        n_folds = levels[trial.level].n_folds
        for fold in range(n_folds):
            before = trained.setdefault((trial.candidate, fold), {})
            if column not in before:
                saved = max(before.values(), default=0.0) if table.continues else 0.0
                cost += table.cost[row, column, fold] - saved
                before[column] = max(0.0, table.CF[row, column, fold] - table.CF[row, 0, 0])
        race.tell(trial, table.means[row, column, n_folds - 1])
    finalists = [candidates[t.candidate] for t in race.scores if t.level == len(levels) - 1]
    return Outcome(int(max(finalists, key=table.quality.__getitem__)), cost, race)


# -- the rules of the schedule that are compared ---------------------------------------------------

Rule = Callable[[Table], Schedule]


def climbed(
    table: Table, factor: int = 3, folds: str = "grow", n_levels: int | None = None
) -> tuple[Level, ...]:
    """The ladder of a search on this table; ``n_levels`` in all, None for ``"auto"``."""
    top, least = round(table.levels[-1]), int(np.ceil(table.levels[0]))
    steps = plans.fold_steps(table.n_folds, factor) if folds == "grow" else [table.n_folds]
    bottom = (
        plans.auto_min_resources(top, least, factor, len(steps))
        if n_levels is None
        else top // factor ** (n_levels - len(steps))
    )
    return plans.ladder(top, bottom, factor, steps)


def random_search(n: int) -> Rule:
    """A bracket of one rung at the top."""
    return lambda table: plans.published(climbed(table)[-1:], 3, n)


def hyperband(
    n: int | None = None, factor: int = 3, brackets: slice = slice(None), **options
) -> Rule:
    """Hyperband on a ladder of its own, or some of its brackets."""

    def rule(table: Table) -> Schedule:
        whole = plans.published(climbed(table, factor, **options), factor, n)
        return Schedule(whole.levels, whole.brackets[brackets])

    return rule


def halving(n: int | None = None, factor: int = 3, times: int = 1, **options) -> Rule:
    """One bracket, or several of the same kind."""

    def rule(table: Table) -> Schedule:
        one = plans.published_bracket(climbed(table, factor, **options), factor, n)
        return Schedule(one.levels, one.brackets * times)

    return rule


def hedged(n: int | None = None, rule: plans.Rule = plans.hedged, **options) -> Rule:
    """Two brackets with gentler cuts, or with ``plans.hedged_bracket`` the first of them."""
    return lambda table: rule(climbed(table, **options), 3, n)


DEFAULTS = "The control, and the defaults"
QUESTIONS: dict[str, dict[str, Rule]] = {
    DEFAULTS: {
        "random search of 9": random_search(9),
        "random search of 27": random_search(27),
        "HyperbandSearchCV()": hyperband(),
        "HyperbandSearchCV(folds='all')": hyperband(folds="all"),
        "SuccessiveHalvingSearchCV()": halving(),
        "SuccessiveHalvingSearchCV(folds='all')": halving(folds="all"),
        "HyperbandSearchCV(schedule='hedged')": hedged(),
        "SuccessiveHalvingSearchCV(schedule='hedged')": hedged(rule=plans.hedged_bracket),
    },
    "How many levels? (`min_resources`; folds last, factor 3)": {
        "Hyperband, 2 levels": hyperband(n_levels=2),
        "Hyperband, 3 levels": hyperband(n_levels=3),
        "Hyperband, 4 levels": hyperband(n_levels=4),
        "27 candidates, 2 levels": halving(27, n_levels=2),
        "27 candidates, 3 levels": halving(27, n_levels=3),
        "27 candidates, 4 levels": halving(27, n_levels=4),
    },
    "How hard to cut? (`factor`; folds last, 27 candidates)": {
        "factor 2, 3 levels": halving(27, factor=2, n_levels=3),
        "factor 3, 3 levels": halving(27, factor=3, n_levels=3),
        "factor 4, 3 levels": halving(27, factor=4, n_levels=3),
        "factor 2, 4 levels": halving(27, factor=2, n_levels=4),
        "factor 3, 4 levels": halving(27, factor=3, n_levels=4),
        "factor 4, 4 levels": halving(27, factor=4, n_levels=4),
    },
    "How many candidates? (`n_candidates`; folds last, factor 3, one bracket)": {
        "9, 3 levels": halving(9, n_levels=3),
        "18, 3 levels": halving(18, n_levels=3),
        "27, 3 levels": halving(27, n_levels=3),
        "54, 3 levels": halving(54, n_levels=3),
        "18, 4 levels": halving(18, n_levels=4),
        "27, 4 levels": halving(27, n_levels=4),
        "54, 4 levels": halving(54, n_levels=4),
    },
    "Which brackets? (folds last, factor 3)": {
        "all four": hyperband(),
        "the two most exploratory of four": hyperband(brackets=slice(2)),
        "the most exploratory of four": hyperband(brackets=slice(1)),
        "all three of three levels": hyperband(n_levels=3),
        "one of 27, 3 levels": halving(27, n_levels=3),
        "two of 27, 3 levels": halving(27, n_levels=3, times=2),
        "one of 27, 4 levels": halving(27),
        "two of 27, 4 levels": halving(27, times=2),
        "hedged: 27 on 4 levels, 27 on 3": hedged(),
    },
}

HYPERBAND, HALVING = "HyperbandSearchCV()", "SuccessiveHalvingSearchCV()"
# What a default would be instead: from one rule to another.
CHANGES: dict[str, tuple[Rule, Rule]] = {
    f"{HYPERBAND}: all folds": (hyperband(), hyperband(folds="all")),
    f"{HYPERBAND}: 3 levels": (hyperband(), hyperband(n_levels=3)),
    f"{HYPERBAND}: without its last bracket": (hyperband(), hyperband(brackets=slice(3))),
    f"{HYPERBAND}: only its two most exploratory brackets": (
        hyperband(),
        hyperband(brackets=slice(2)),
    ),
    f"{HYPERBAND}: one bracket of 54 on 3 levels": (hyperband(), halving(54, n_levels=3)),
    f"{HYPERBAND}: hedged, 27 on 4 levels, 27 on 3": (hyperband(), hedged()),
    f"{HALVING}: all folds": (halving(), halving(folds="all")),
    f"{HALVING}: 3 levels, 27 candidates": (halving(), halving(27, n_levels=3)),
    f"{HALVING}: 3 levels, 9 candidates": (halving(), halving(n_levels=3)),
    f"{HALVING}: factor 2, 27 candidates": (halving(), halving(27, factor=2)),
    f"{HALVING}: factor 4, 27 candidates": (halving(), halving(27, factor=4)),
    f"{HALVING}: 54 candidates": (halving(), halving(54)),
}


# -- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """One rule on one table, an entry for each seed.

    Attributes
    ----------
    table : Table
        What was replayed.

    log_rank : ndarray
        Of the answers.

    cost : ndarray
        In configurations that random search could have paid for.

    loss : ndarray
        How far the score of the answers is below the best of the table.
    """

    table: Table
    log_rank: np.ndarray
    cost: np.ndarray
    loss: np.ndarray

    @property
    def speedup(self) -> float:
        return self.table.as_random(self.log_rank.mean()) / self.cost.mean()

    def of(self, seeds: np.ndarray) -> Figures:
        """Some of the seeds, maybe more than once."""
        return Figures(self.table, self.log_rank[seeds], self.cost[seeds], self.loss[seeds])

    def again(self, rng: np.random.Generator) -> Figures:
        """As many seeds, drawn again."""
        return self.of(rng.integers(len(self.cost), size=len(self.cost)))


@cache
def figures(schedule: Schedule, table: Table, n_seeds: int) -> Figures:
    """Replay a schedule on random candidates of a table."""
    best = table.quality.max()
    rows = []
    for seed in range(n_seeds):
        order = draw(table, seed)[: schedule.n_candidates]
        chosen, cost, _ = replay(schedule, table, order)
        loss = best - table.quality[chosen]
        rows.append((np.log(table.rank[chosen]), cost / table.full_cost, loss))
    return Figures(table, *np.array(rows).T)


def geometric_mean(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(np.fromiter(values, float)))))


Draw = Callable[[int, np.random.Generator], float]


def interval(n_tasks: int, draw: Draw) -> tuple[float, float]:
    """95 % of the geometric means over tasks, drawn again; ``draw`` draws a task's seeds again."""
    rng = np.random.default_rng(0)
    draws = [
        geometric_mean(draw(i, rng) for i in rng.integers(n_tasks, size=n_tasks))
        for _ in range(N_BOOTSTRAPS)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def speedup_of(found: Sequence[Figures]) -> Draw:
    """Of each task."""
    return lambda i, rng: found[i].again(rng).speedup


def row_of(name: str, found: Mapping[str, Figures]) -> list[str]:
    """A rule over all tables, as cells."""
    speedups = {task: f.speedup for task, f in found.items()}
    worst = min(speedups, key=lambda task: speedups[task])
    low, high = interval(len(found), speedup_of(list(found.values())))
    return [
        name,
        f"{geometric_mean(speedups.values()):.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{speedups[worst]:.2f} ({worst})",
        f"{sum(s < 1 for s in speedups.values())} of {len(speedups)}",
        f"{np.mean([f.cost.mean() for f in found.values()]):.1f}",
        f"{np.exp(np.mean([f.log_rank.mean() for f in found.values()])):.1f}",
    ]


HEAD = ["rule", "speed-up", "95 %", "worst task", "below 1", "cost", "rank"]


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table of cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def compare(
    rules: Mapping[str, Rule], tables: list[Table], n_seeds: int
) -> dict[str, dict[str, Figures]]:
    """Figures of every rule on every table that knows enough for all of them."""
    able = [t for t in tables if all(t.knows(rule(t)) for rule in rules.values())]
    return {
        name: {table.name: figures(rule(table), table, n_seeds) for table in able}
        for name, rule in rules.items()
    }


def losses(rules: Mapping[str, Rule], tables: list[Table], n_seeds: int) -> str:
    """How far the mean score of the answers is below the best of the table."""
    found = compare(rules, tables, n_seeds)
    rows = [
        [t.name, f"{np.median(t.quality):.4f}", f"{t.quality.max():.4f}"]
        + [f"{of[t.name].loss.mean():.4f}" for of in found.values()]
        for t in tables
        if all(t.name in of for of in found.values())
    ]
    return markdown(["task", "median", "best", *found], rows)


def by_task(found: Mapping[str, Mapping[str, Figures]]) -> str:
    """Speed-ups, a row for each task."""
    tasks = next(iter(found.values()))
    rows = [[t, *(f"{of[t].speedup:.2f}" for of in found.values())] for t in tasks]
    return markdown(["task", *found], rows)


def ratio_of(old: Sequence[Figures], new: Sequence[Figures]) -> Draw:
    """Of each task's speed-ups, on the same seeds."""

    def draw(i: int, rng: np.random.Generator) -> float:
        seeds = rng.integers(len(old[i].cost), size=len(old[i].cost))
        return new[i].of(seeds).speedup / old[i].of(seeds).speedup

    return draw


def changes(tables: list[Table], n_seeds: int) -> str:
    """What another default would do, task by task beside the present one."""
    rows = []
    for name, (old, new) in CHANGES.items():
        found = compare({"old": old, "new": new}, tables, n_seeds)
        before, after = list(found["old"].values()), list(found["new"].values())
        if not before:
            continue
        ratios = [b.speedup / a.speedup for a, b in zip(before, after, strict=True)]
        low, high = interval(len(before), ratio_of(before, after))
        rows.append(
            [
                name,
                f"{geometric_mean(f.speedup for f in before):.2f}",
                f"{geometric_mean(f.speedup for f in after):.2f}",
                f"{geometric_mean(ratios):.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{sum(r > 1 for r in ratios)} of {len(ratios)}",
                f"{min(f.speedup for f in before):.2f}",
                f"{min(f.speedup for f in after):.2f}",
            ]
        )
    head = [
        "change",
        "before",
        "after",
        "ratio",
        "95 %",
        "better on",
        "worst before",
        "worst after",
    ]
    return markdown(head, rows)


def five_folds(five: list[Table], tables: list[Table], n_seeds: int) -> list[str]:
    """The defaults where there are five folds, beside the same configurations with three."""
    named = {f"{table.name}_5": table for table in tables}
    pairs = [(t, named[t.name].first(len(t))) for t in five if t.name in named]
    if not pairs:
        return []
    rules = QUESTIONS[DEFAULTS]
    found = {
        "five": compare(rules, [t for t, _ in pairs], n_seeds),
        "three": compare(rules, [t for _, t in pairs], n_seeds),
    }
    rows = [
        [f"{name}, {k} folds", *row_of(name, of[name])[1:]]
        for name in rules
        for k, of in found.items()
    ]
    return [
        f"### Five folds, the default of `cv`, on {len(pairs)} tasks",
        "Beside them the same configurations with three folds.",
        markdown(HEAD, rows),
        "Speed-ups by task:",
        by_task(found["five"]),
        by_task(found["three"]),
        "What another default would do, with five folds:",
        changes([t for t, _ in pairs], n_seeds),
    ]


# -- why -------------------------------------------------------------------------------------------


def explain_levels(table: Table) -> list[list[str]]:
    """For each amount on one fold: does it rank like the top, is it as cheap as it should be?"""
    top = table.cost[:, -1, 0].mean()
    rows = []
    for column, amount in enumerate(table.levels):
        known = np.isfinite(table.S[:, column, 0]) & np.isfinite(table.quality)
        share = amount / table.levels[-1]
        cost = np.nanmean(table.cost[:, column, 0])
        rows.append(
            [
                table.name,
                f"1/{1 / share:.3g}",
                f"{spearmanr(table.S[known, column, 0], table.quality[known]).statistic:.2f}",
                f"1/{top / cost:.3g}",
                f"{cost / top / share:.1f}",
                f"{np.nanmean(table.CS[:, column, 0]) / cost:.0%}",
                f"{np.nanmean(table.CO[:, column, 0]) / cost:.0%}",
            ]
        )
    return rows


LEVELS_HEAD = [
    "task",
    "resource",
    "rank correlation with the top",
    "cost",
    "times the ideal",
    "scoring",
    "overhead",
]


def explain_cuts(rule: Rule, table: Table, n_seeds: int) -> dict[Level | None, float]:
    """Where the best of the candidates drawn was cut; None: it was not."""
    schedule = rule(table)
    cuts = dict.fromkeys([*schedule.levels[:-1], None], 0.0)
    for seed in range(n_seeds):
        order = draw(table, seed)[: schedule.n_candidates]
        race = replay(schedule, table, order).race
        best = int(np.argmax(table.quality[order]))
        last = max(trial.level for trial in race.scores if trial.candidate == best)
        cuts[schedule.levels[last] if last + 1 < len(schedule.levels) else None] += 1 / n_seeds
    return cuts


def read_tables(names: Iterable[str]) -> list[Table]:
    """The tables with these names that there are."""
    paths = [TABLES / f"{name}.npz" for name in names]
    return [Table.read(path) for path in paths if path.exists()]


def report(tables: list[Table], five: list[Table], n_seeds: int) -> str:
    """All that replay has to say, in Markdown; ``five`` are tables with five folds."""
    parts = []
    for question, rules in QUESTIONS.items():
        found = compare(rules, tables, n_seeds)
        parts.append(f"### {question}")
        if any(found.values()):
            rows = [row_of(name, of) for name, of in found.items()]
            parts += [markdown(HEAD, rows), "Speed-ups by task:", by_task(found)]
        else:
            parts.append("No table has these levels.")
    parts += ["### What another default would do", changes(tables, n_seeds)]
    parts += five_folds(five, tables, n_seeds)
    parts += [
        "### What is given up: mean score below the best of the table",
        losses(QUESTIONS[DEFAULTS], tables, n_seeds),
    ]
    parts += continuing(tables, n_seeds)
    parts += [
        "### Why: what each level is worth",
        markdown(LEVELS_HEAD, [row for table in [*tables, *five] for row in explain_levels(table)]),
        "### Why: where the best of the candidates was cut, by `SuccessiveHalvingSearchCV()`",
        cuts_table(halving(), [*tables, *five], n_seeds),
    ]
    return "\n\n".join(parts)


def continuing(tables: list[Table], n_seeds: int) -> list[str]:
    """The tables of trees, with training that goes on between rungs and from scratch."""
    on = [table for table in tables if table.continues]
    if not on:
        return []
    off = [replace(table, continues=False) for table in on]
    found = {}
    for name, rule in QUESTIONS[DEFAULTS].items():
        if "random" not in name:
            found[name] = compare({name: rule}, on, n_seeds)[name]
            found[f"{name}, from scratch"] = compare({name: rule}, off, n_seeds)[name]
    rows = [row_of(name, of) for name, of in found.items()]
    return ["### What does continuing save? (trees and boosting)", markdown(HEAD, rows)]


def cuts_table(rule: Rule, tables: list[Table], n_seeds: int) -> str:
    """A row for each task; levels are counted from the lowest."""
    rows = []
    for table in tables:
        cuts = explain_cuts(rule, table, n_seeds)
        rows.append([table.name, *(f"{share:.0%}" for share in cuts.values())])
    width = max(map(len, rows)) - 2
    head = [f"level {i + 1}" for i in range(width)]
    return markdown(["task", *head, "found"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, usage="%(prog)s [TABLE...] [--seeds N]")
    parser.add_argument("tables", nargs="*", default=list(TASKS), metavar="TABLE")
    parser.add_argument("--seeds", type=int, default=300)
    arguments = parser.parse_args()
    print(report(read_tables(arguments.tables), read_tables(FIVE_FOLDS), arguments.seeds))


if __name__ == "__main__":
    main()
