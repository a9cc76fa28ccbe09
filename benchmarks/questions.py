"""The questions put to the replay, a table each; every row has the worst task beside the mean.

Intervals are of the mean over tasks, when tasks are drawn again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks import rules
from benchmarks.measure import geometric_mean, interval, markdown
from benchmarks.replay import Table, draw, folds_in_turn, mean_of_last_two, regret_of
from benchmarks.rules import METHODS, Method
from benchmarks.tasks import KEPT, data_of
from skhalving import schedule as plans

Groups = Mapping[str, Sequence[Table]]
BUDGETS = (2.5, 5.0, 10.0, 20.0, 40.0)
SMALL_GRIDS, GRIDS = (10, 50, 150), (10, 50, 150, 500, 2000)
SIZES = (1, 2, 3, 5, 9, 15, 27, 40, 54, 80, 110, 150)


@dataclass(frozen=True)
class Figures:
    """One method on one table, an entry for each seed."""

    table: Table
    chosen: np.ndarray  # the answers
    cost: np.ndarray  # in configurations that random search could have paid for

    @property
    def speedup(self) -> float:
        """What random search needs to rank as high, over what it could have paid for."""
        return self.table.as_random(self.log_rank) / self.cost.mean()

    @property
    def log_rank(self) -> float:
        return float(np.log(self.table.rank[self.chosen]).mean())

    @property
    def cheaper(self) -> float:
        """Than fitting every configuration of the table in full."""
        return len(self.table) / self.cost.mean()

    @property
    def deviations(self) -> float:
        """How far below the best, in standard deviations of the best's scores over the folds."""
        spread = self.table.S[self.table.best, -1].std(ddof=1)
        loss = self.table.quality[self.table.best] - self.table.quality[self.chosen]
        return float(loss.mean() / spread)

    @property
    def regret(self) -> float:
        return float(self.table.regret[self.chosen].mean())

    @property
    def held_regret(self) -> float:
        return float(regret_of(self.table.held)[self.chosen].mean())

    @property
    def below_own(self) -> float:
        """How often the answer is worse, on held-out rows, than the estimator as it is."""
        return float((self.table.held[self.chosen] < self.table.own_held).mean())


@cache
def figures(method: Method, table: Table, n: int | None, n_seeds: int) -> Figures:
    """Replay a method on random candidates of a table."""
    found = [method(table, draw(table, seed), n) for seed in range(n_seeds)]
    return Figures(
        table,
        np.array([one.chosen for one in found]),
        np.array([one.cost for one in found]) / table.full_cost,
    )


def open_to_choice(tables: Sequence[Table]) -> list[Table]:
    """Those with which defaults may be chosen."""
    return [table for table in tables if data_of(table.name) not in KEPT]


def kept(tables: Sequence[Table]) -> list[Table]:
    """Those that only confirm."""
    return [table for table in tables if data_of(table.name) in KEPT]


def worst(
    values: Sequence[float], tables: Sequence[Table], form: str = ".2f", of: Any = np.argmin
) -> str:
    """The least value, or the largest if ``of`` is argmax, and its task."""
    i = int(of(values))
    return f"{values[i]:{form}} ({tables[i].name})"


def by_group(
    head: tuple[str, str],
    of: Mapping[str, Any],
    groups: Groups,
    cells: Callable[..., Sequence[str]],
) -> str:
    """A row for each of ``of``, with two cells for each group of tables."""
    rows = [
        [name, *(cell for tables in groups.values() for cell in cells(one, tables))]
        for name, one in of.items()
    ]
    return markdown([head[0], *(cell for group in groups for cell in (group, head[1]))], rows)


# -- 1. a whole grid -------------------------------------------------------------------------------


def whole_grid(tables: Sequence[Table], n_seeds: int) -> str:
    """All configurations of a table enter, in any order."""
    rows = []
    for name, method in METHODS.items():
        found = [figures(method, table, len(table), n_seeds) for table in tables]
        cheaper, lost = [f.cheaper for f in found], [f.deviations for f in found]
        rows.append(
            [
                name,
                f"{geometric_mean(cheaper):.1f}",
                interval(cheaper),
                worst(cheaper, tables, ".1f"),
                f"{np.exp(np.mean([f.log_rank for f in found])):.2f}",
                f"{np.mean(lost):.2f}",
                interval(lost, np.mean),
                worst(lost, tables, of=np.argmax),
            ]
        )
    head = ["search", "times cheaper", "95 %", "worst task", "rank", "loss, sd", "95 %", "worst"]
    return markdown(head, rows)


# -- 2. equal quality ------------------------------------------------------------------------------


def speedups(method: Method, tables: Sequence[Table], n: int | None, n_seeds: int) -> list[float]:
    return [figures(method, table, n, n_seeds).speedup for table in tables]


def equal_quality(groups: Groups, n_seeds: int) -> str:
    """The speed-up over random search."""

    def cells(method: Method, tables: Sequence[Table]) -> tuple[str, str]:
        found = speedups(method, tables, None, n_seeds)
        return f"{geometric_mean(found):.2f} ({interval(found)})", worst(found, tables)

    return by_group(("search", "worst task"), METHODS, groups, cells)


# -- 3. equal cost ---------------------------------------------------------------------------------


def curve(method: Method, table: Table, n_seeds: int) -> list[tuple[float, float, float]]:
    """Cost, regret and held-out regret with more and more candidates."""
    found = [figures(method, table, n, n_seeds) for n in SIZES if n <= len(table)]
    return [(f.cost.mean(), f.regret, f.held_regret) for f in found]


def at_cost(points: Sequence[tuple[float, float, float]], budget: float) -> tuple[float, float]:
    """Both regrets at a cost between those of two numbers of candidates; NaN below the least."""
    cost, *regrets = np.array(sorted(points)).T
    if budget < cost[0]:
        return np.nan, np.nan
    first, second = (float(np.interp(np.log(budget), np.log(cost), of)) for of in regrets)
    return first, second


def regrets_at(
    method: Method, tables: Sequence[Table], budgets: Sequence[float], n_seeds: int
) -> np.ndarray:
    """Tables x budgets x 2: what ``at_cost`` says of each."""
    curves = [curve(method, table, n_seeds) for table in tables]
    return np.array([[at_cost(points, budget) for budget in budgets] for points in curves])


def equal_cost(tables: Sequence[Table], n_seeds: int) -> tuple[str, str]:
    """Regret at so many full evaluations; the same on held-out rows, and overtuning."""
    rows = []
    for name, method in METHODS.items():
        seen, held = np.moveaxis(regrets_at(method, tables, BUDGETS, n_seeds), -1, 0)
        below = [figures(method, table, None, n_seeds).below_own for table in tables]
        error = 1.96 * np.std(below, ddof=1) / np.sqrt(len(below))
        often = [f"{np.mean(below):.0%} ± {error:.0%}", worst(below, tables, ".0%", np.argmax)]
        rows.append(([name, *map(cell, seen.T)], [name, *map(cell, held.T), *often]))
    head = ["search", *(f"{budget:g}" for budget in BUDGETS)]
    seen_rows, held_rows = zip(*rows, strict=True)
    return markdown(head, seen_rows), markdown([*head, "below its own", "worst task"], held_rows)


def cell(values: np.ndarray) -> str:
    """Mean and worst; a dash where a search cannot cost so little on every task."""
    if np.isnan(values).any():
        return "-"
    return f"{values.mean():.3f} ({values.max():.2f})"


# -- what hedged should be -------------------------------------------------------------------------


def worth(values: Sequence[float]) -> float:
    """The worst task counts as much as the mean."""
    return float(np.sqrt(geometric_mean(values) * min(values)))


def family(groups: Groups, n_seeds: int) -> str:
    """Every member on every group of tables."""
    members = {
        name + " (as it is)" * (name == rules.AS_IMPLEMENTED): method
        for name, method in rules.FAMILY.items()
    }

    def cells(method: Method, tables: Sequence[Table]) -> tuple[str, str]:
        found = speedups(method, tables, None, n_seeds)
        return f"{geometric_mean(found):.2f}, {min(found):.2f}", f"{worth(found):.2f}"

    return by_group(("candidates", "worth"), members, groups, cells)


def leave_one_out(tables: Sequence[Table], n_seeds: int) -> dict[str, str]:
    """The member that the other data sets choose, for each data set."""
    of = {
        name: np.array(speedups(method, tables, None, n_seeds))
        for name, method in rules.FAMILY.items()
    }
    data = np.array([data_of(table.name) for table in tables])
    return {
        str(out): max(of, key=lambda name: worth(of[name][data != out])) for out in np.unique(data)
    }


def as_chosen(tables: Sequence[Table], n_seeds: int) -> str:
    """What the others choose, how often, and what that is worth where it was not chosen."""
    chosen = leave_one_out(tables, n_seeds)
    members = [rules.FAMILY[chosen[data_of(table.name)]] for table in tables]
    new = [
        figures(method, table, None, n_seeds).speedup
        for method, table in zip(members, tables, strict=True)
    ]
    old = speedups(rules.FAMILY[rules.AS_IMPLEMENTED], tables, None, n_seeds)
    counts = Counter(chosen.values()).most_common()
    return (
        f"Leaving one of {len(chosen)} data sets out, the others choose "
        + ", ".join(f"{member} ({n} times)" for member, n in counts)
        + f". On what was left out these are at {geometric_mean(new):.2f}, at worst "
        f"{min(new):.2f}; the schedule as it is at {geometric_mean(old):.2f}, at worst "
        f"{min(old):.2f}."
    )


HEDGED = METHODS[rules.HEDGED]
CHANGES: dict[str, Method] = {
    "at least three finalists": rules.FAMILY[rules.THREE_FINALISTS],
    "candidates climb on folds in turn": rules.by(
        rules.of_rule(plans.hedged), folds_of=folds_in_turn
    ),
    "finalists by the mean of two levels": rules.by(
        rules.of_rule(plans.hedged), judge_finalists=mean_of_last_two
    ),
    "three levels below 2,000 rows": rules.by(rules.short_on_few_rows),
    "a level more, R/27": rules.by(rules.of_rule(plans.hedged, 5)),
}


def changes(groups: Groups, n_seeds: int) -> str:
    """Ratios of speed-ups to the default, where a change changes anything."""

    def cells(method: Method, tables: Sequence[Table]) -> tuple[str, str]:
        new, old = (np.array(speedups(m, tables, None, n_seeds)) for m in (method, HEDGED))
        changed = (new / old)[new != old]
        if not len(changed):
            return "", ""
        mean = f"{geometric_mean(changed):.2f} ({interval(changed)}; {len(changed)} tasks)"
        return mean, f"{changed.min():.2f}"

    return by_group(("change", "least"), CHANGES, groups, cells)


def many_rows(tables: Sequence[Table], n_seeds: int) -> str:
    """With and without a level more, where there are more than 100,000 rows: too few for the search
    to add levels by itself, so that tables of this size can be made."""
    methods, found = (HEDGED, CHANGES["a level more, R/27"]), []
    for table in tables:
        if table.by_rows and table.n_samples > 100_000:
            four, five = (figures(method, table, None, n_seeds).speedup for method in methods)
            found.append(f"{four:.2f} and {five:.2f} ({table.name}, {table.n_samples:,} rows)")
    return (
        f"Above {plans.MANY_ROWS:,} rows the search adds levels. What one more does above 100,000 "
        f"rows, speed-ups without and with R/27: {', '.join(found) or 'no table has so many'}."
    )


FINALISTS: dict[str, Method] = {
    "in proportion (as it is)": HEDGED,
    "at most 3 and 5": rules.by(rules.some_finalists(3, 5)),
    "at most 2 and 3": rules.by(rules.some_finalists(2, 3)),
    "one bracket, in proportion": METHODS[rules.SINGLE],
}


def many_points(tables: Sequence[Table], large: Sequence[Table], n_seeds: int) -> str:
    """Finalists of the two brackets, of 10 to 150 candidates, and of 10 to 2,000 of large tables:
    times cheaper, the rank among the candidates, and the loss in standard deviations."""
    columns = [(tables, n) for n in SMALL_GRIDS] + [(large, n) for n in GRIDS if large]
    rows = []
    for name, method in FINALISTS.items():
        row = [name]
        for of, n in columns:
            found = [figures(method, t, n, n_seeds) for t in of if len(t) >= n]
            cheaper = geometric_mean(n / f.cost.mean() for f in found)
            rank, lost = np.mean([among_those_that_entered(f, n) for f in found], axis=0)
            row.append(f"{cheaper:.1f}, {np.exp(rank):.2f}, {lost:.2f}")
        rows.append(row)
    return markdown(["finalists", *(f"{n:,}" for _, n in columns)], rows)


def among_those_that_entered(found: Figures, n: int) -> tuple[float, float]:
    """The logarithm of the answer's rank among the very candidates that entered, and how far it is
    below the best of them, in standard deviations of the best one's folds; means over seeds."""
    table, spread = found.table, found.table.S[found.table.best, -1].std(ddof=1)
    ranks, losses = [], []
    for seed, chosen in enumerate(found.chosen):
        better = table.quality[draw(table, seed)[:n]] - table.quality[chosen]
        ranks.append(np.log(1 + (better > 0).sum()))
        losses.append(better.max() / spread)
    return float(np.mean(ranks)), float(np.mean(losses))


# -- why -------------------------------------------------------------------------------------------


def what_levels_are_worth(table: Table) -> list[str]:
    """For each amount on one fold: how it ranks, for what it costs of one fold in full."""
    top, cells = table.cost[:, -1, 0].mean(), []
    for column in range(len(table.levels)):
        known = np.isfinite(table.S[:, column, 0]) & np.isfinite(table.quality)
        ranks = spearmanr(table.S[known, column, 0], table.quality[known]).statistic
        cells.append(f"{ranks:.2f} for {table.cost[:, column, 0].mean() / top:.2f}")
    return cells
