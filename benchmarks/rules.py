"""The searches that replay compares: each takes a table and a number of candidates.

A *method* is ``method(table, candidates, n) -> Found``, with ``n`` of the candidates (None: as many
as it takes by default), so that the same method can be asked at many costs. A *plan* makes the
schedule of so many candidates on a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.replay import Found, Table, early_stopping, replay
from skhalving import schedule as plans
from skhalving.schedule import Bracket, Level, Schedule

FACTOR, FEW_ROWS = 3, 2_000
Method = Callable[[Table, np.ndarray, int | None], Found]
Plan = Callable[[Table, int | None], Schedule]


def levels_of(
    table: Table, n_levels: int = plans.AUTO_LEVELS, folds: Sequence[int] | None = None
) -> Sequence[Level]:
    """So many levels, as far down as the table knows them; by default folds grow last."""
    folds = folds or plans.fold_steps(table.n_folds, FACTOR)
    depth, top = min(n_levels, len(table.levels) - 1 + len(folds)), int(table.levels[-1])
    return plans.ladder(top, top // FACTOR ** (depth - len(folds)), FACTOR, folds)


def by(plan: Plan, **options: object) -> Method:
    """Races the candidates through a schedule."""

    def method(table: Table, candidates: np.ndarray, n: int | None) -> Found:
        schedule = plan(table, n)
        if schedule.n_candidates > len(table):
            schedule = plan(table, len(table))
        return replay(schedule, table, candidates[: schedule.n_candidates], **options)

    return method


def of_rule(rule: plans.Rule, n_levels: int = plans.AUTO_LEVELS) -> Plan:
    """A rule of the package, on the ladder that a search has by default, or on more levels. (No
    table has more than ``MANY_ROWS`` rows, for which a search adds levels by itself.)"""
    return lambda table, n: rule(levels_of(table, n_levels), FACTOR, n)


def of_all(table: Table, n: int | None) -> Schedule:
    """Every candidate on all folds at full resource: random search, or a grid."""
    levels = levels_of(table, 1, [table.n_folds])
    return Schedule(levels, [Bracket.on(levels, n or 27)])


def stock_halving(table: Table, n: int | None) -> Schedule:
    """scikit-learn's halving with ``min_resources="exhaust"``: all folds on every rung."""
    n = n or 27
    levels = levels_of(table, 1 + plans.n_steps(n, 1, FACTOR), [table.n_folds])
    return Schedule(levels, [Bracket.on(levels, *(-(-n // FACTOR**i) for i in range(len(levels))))])


def two_stage(table: Table, n: int | None) -> Schedule:
    """Everyone on a constant low level, then the three best in full (Egele et al., 2024)."""
    n = n or 27
    low, *_, top = levels_of(table, len(table.levels), [table.n_folds])
    return Schedule([low, top], [Bracket.on([low, top], n, min(n, 3))])


def stopping(forgiving: bool) -> Method:
    return lambda table, candidates, n: early_stopping(table, candidates[: n or 27], forgiving)


HEDGED, SINGLE = "HyperbandSearchCV()", "SuccessiveHalvingSearchCV()"
PUBLISHED, PUBLISHED_BRACKET = (f'{name[:-1]}schedule="published")' for name in (HEDGED, SINGLE))
RANDOM, STOCK = "RandomizedSearchCV", "HalvingRandomSearchCV"

METHODS: dict[str, Method] = {
    HEDGED: by(of_rule(plans.hedged)),
    SINGLE: by(of_rule(plans.hedged_bracket)),
    PUBLISHED: by(of_rule(plans.published)),
    PUBLISHED_BRACKET: by(of_rule(plans.published_bracket)),
    RANDOM: by(of_all),
    STOCK: by(stock_halving),
    "constant low level, then full": by(two_stage),
    "early-stopping CV, forgiving": stopping(True),
    "early-stopping CV, aggressive": stopping(False),
}


# -- the family from which the integers of hedged are chosen ---------------------------------------


def counted(brackets: str) -> Plan:
    """Brackets by the candidates on their levels, the last of which are at the top."""

    def plan(table: Table, n: int | None) -> Schedule:
        levels = levels_of(table)
        counts = [[int(n) for n in bracket.split(",")] for bracket in brackets.split(" / ")]
        return Schedule(levels, [Bracket.on(levels, *of) for of in counts])

    return plan


# At cuts below the full amount a half or a third is kept, at other cuts a third, and at least one,
# two or three candidates. There is one bracket; or a second, as large or two thirds as large.
AS_IMPLEMENTED = "27,14,5,2 / 27,9,3"
THREE_FINALISTS = "27,14,5,3 / 27,9,3"
FAMILY = {
    brackets: by(counted(brackets))
    for brackets in (
        "27,14,5,2",
        AS_IMPLEMENTED,
        "27,14,5,2 / 18,6,2",
        "27,14,5,3",
        THREE_FINALISTS,
        "27,14,5,3 / 18,6,3",
        "27,9,3,1",
        "27,9,3,1 / 27,9,3",
        "27,9,3,1 / 18,6,2",
        "27,9,3,2",
        "27,9,3,2 / 27,9,3",
        "27,9,3,2 / 18,6,2",
        "27,9,3,3",
        "27,9,3,3 / 27,9,3",
        "27,9,3,3 / 18,6,3",
    )
}


# -- changes that replay can judge -----------------------------------------------------------------


def short_on_few_rows(table: Table, n: int | None) -> Schedule:
    """Three levels instead of four where rows are rationed and there are few of them."""
    few = table.by_rows and table.n_samples < FEW_ROWS
    return plans.hedged(levels_of(table, 3 if few else 4), FACTOR, 54 if n is None else n)


def some_finalists(*finalists: int) -> Plan:
    """Hedged, with at most so many finalists in its brackets, however many candidates enter."""

    def plan(table: Table, n: int | None) -> Schedule:
        schedule = plans.hedged(levels_of(table), FACTOR, n)
        brackets = []
        for bracket, most in zip(schedule, finalists, strict=False):
            *counts, last = (rung.n_candidates for rung in bracket.rungs)
            brackets.append(Bracket.on(schedule.levels, *counts, min(last, most)))
        return Schedule(schedule.levels, brackets)

    return plan
