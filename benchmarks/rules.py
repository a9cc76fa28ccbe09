"""The searches that replay compares: each takes a table and a number of candidates.

A *method* is ``method(table, candidates, n) -> Found``, with ``n`` of the candidates (None: as many
as it takes by default), so that the same method can be asked at many costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from benchmarks.replay import Found, Table, early_stopping, levels_of, replay
from skhalving import schedule as plans
from skhalving.schedule import Bracket, Level, Schedule

FACTOR = 3
Method = Callable[[Table, np.ndarray, int | None], Found]
Plan = Callable[[Table, int | None], Schedule]


def ladder(table: Table, n_levels: int = plans.AUTO_LEVELS) -> list[Level]:
    """So many levels, as far down as the table knows them; folds grow last."""
    steps = plans.fold_steps(table.n_folds, FACTOR)
    most = len(table.levels) - 1 + len(steps)
    return levels_of(table, min(n_levels, most), steps)


def by(plan: Plan, **options: object) -> Method:
    """Races the candidates through a schedule."""

    def method(table: Table, candidates: np.ndarray, n: int | None) -> Found:
        schedule = plan(table, n)
        if schedule.n_candidates > len(table):
            schedule = plan(table, len(table))
        return replay(schedule, table, candidates[: schedule.n_candidates], **options)

    return method


def of_rule(rule: plans.Rule) -> Plan:
    """A rule of the package, on the ladder that a search has: the hedged one goes down to some
    10,000 rows where there are many."""
    goes_deep = rule in (plans.hedged, plans.hedged_bracket)

    def plan(table: Table, n: int | None) -> Schedule:
        top, steps = int(table.levels[-1]), plans.fold_steps(table.n_folds, FACTOR)
        deep = goes_deep and table.by_rows
        bottom = plans.auto_min_resources(top, 1, FACTOR, len(steps), deep)
        return rule(ladder(table, plans.n_steps(top, bottom, FACTOR) + len(steps)), FACTOR, n)

    return plan


def of_all(table: Table, n: int | None) -> Schedule:
    """Every candidate on all folds at full resource: random search, or a grid."""
    level = Level(int(table.levels[-1]), table.n_folds)
    return Schedule([level], [Bracket.on([level], n or 27)])


def stock_halving(table: Table, n: int | None) -> Schedule:
    """scikit-learn's halving with ``min_resources="exhaust"``: all folds on every rung."""
    n = n or 27
    s = min(plans.n_steps(n, 1, FACTOR), len(table.levels) - 1)
    levels = levels_of(table, s + 1, [table.n_folds])
    counts = [-(-n // FACTOR**i) for i in range(s + 1)]
    return Schedule(levels, [Bracket.on(levels, *counts)])


def two_stage(table: Table, n: int | None) -> Schedule:
    """Everyone on a constant low level, then the three best in full (Egele et al., 2024)."""
    n = n or 27
    low = levels_of(table, len(table.levels), [table.n_folds])[0]
    levels = [low, Level(int(table.levels[-1]), table.n_folds)]
    return Schedule(levels, [Bracket.on(levels, n, min(n, 3))])


def stopping(forgiving: bool) -> Method:
    return lambda table, candidates, n: early_stopping(table, candidates[: n or 27], forgiving)


HEDGED, SINGLE = "HyperbandSearchCV()", "SuccessiveHalvingSearchCV()"
PUBLISHED, PUBLISHED_BRACKET = (f'{name[:-1]}schedule="published")' for name in (HEDGED, SINGLE))
RANDOM, STOCK = "RandomizedSearchCV", "HalvingRandomSearchCV"

OURS: dict[str, Method] = {
    HEDGED: by(of_rule(plans.hedged)),
    SINGLE: by(of_rule(plans.hedged_bracket)),
    PUBLISHED: by(of_rule(plans.published)),
    PUBLISHED_BRACKET: by(of_rule(plans.published_bracket)),
}
METHODS: dict[str, Method] = {
    **OURS,
    RANDOM: by(of_all),
    STOCK: by(stock_halving),
    "constant low level, then full": by(two_stage),
    "early-stopping CV, forgiving": stopping(True),
    "early-stopping CV, aggressive": stopping(False),
}


# -- the family from which the integers of hedged are chosen ---------------------------------------


class Member(NamedTuple):
    """One candidate in ``share`` is kept at cuts below full resource, one in three at the others.

    ``finalists`` is how many there are at least; of two ``brackets`` the second is as large as the
    first if ``equal``, else two thirds of it.
    """

    share: int
    finalists: int
    brackets: int
    equal: bool

    def __str__(self) -> str:
        schedule = self.on([Level(1, 1), Level(3, 1), Level(9, 1), Level(9, 5)], None)
        return " / ".join(
            ",".join(str(rung.n_candidates) for rung in bracket.rungs) for bracket in schedule
        )

    def on(self, levels: Sequence[Level], n: int | None) -> Schedule:
        """Of 27 candidates in the first bracket, or of ``n`` in all."""
        first, second = 27, 27 if self.equal else 18
        if n is not None:
            first = -(-n // 2) if self.equal else -(-3 * n // 5)
            second = n - first
        sizes = [first, second] if self.brackets == 2 else [27 if n is None else n]
        counts = [self.counts(levels[i:], size) for i, size in enumerate(sizes)]
        return Schedule(levels, [Bracket.on(levels, *of) for of in counts])

    def counts(self, levels: Sequence[Level], n: int) -> list[int]:
        """Candidates on each level, rounded up."""
        found, top = [n], levels[-1].n_resources
        for level in levels[1:]:
            share = self.share if level.n_resources < top else FACTOR
            found.append(max(min(n, self.finalists), -(-found[-1] // share)))
        return found

    def plan(self, table: Table, n: int | None) -> Schedule:
        return self.on(ladder(table), n)


MEMBERS = [
    Member(*chosen)
    for chosen in product((2, FACTOR), (1, 2, 3), (1, 2), (True, False))
    if chosen[2] == 2 or chosen[3]
]
FAMILY = list({str(member): member for member in MEMBERS}.values())  # some come to the same
AS_IMPLEMENTED = Member(share=2, finalists=2, brackets=2, equal=True)


# -- changes that replay can judge -----------------------------------------------------------------


def short_on_few_rows(table: Table, n: int | None) -> Schedule:
    """Three levels instead of four where rows are rationed and there are fewer than 2,000."""
    few = table.by_rows and table.n_samples < 2_000
    return plans.hedged(ladder(table, 3 if few else 4), FACTOR, 54 if n is None else n)


def on_levels(n_levels: int) -> Plan:
    """Hedged on so many levels, however many rows there are."""
    return lambda table, n: plans.hedged(ladder(table, n_levels), FACTOR, n)


def some_finalists(first: int, second: int) -> Plan:
    """Hedged, with so many finalists in its two brackets, however many candidates there are."""

    def plan(table: Table, n: int | None) -> Schedule:
        schedule = plans.hedged(ladder(table), FACTOR, n)
        brackets = []
        for bracket, most in zip(schedule, (first, second), strict=False):
            counts = [rung.n_candidates for rung in bracket.rungs]
            counts[-1] = min(counts[-1], most)
            brackets.append(Bracket.on(schedule.levels, *counts))
        return Schedule(schedule.levels, brackets)

    return plan
