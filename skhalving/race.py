"""The race: who runs next, and who is promoted. Pure ask and tell.

A *trial* is one candidate on one level of its bracket. The race hands out trials, is told their
scores, and promotes the best of a rung when the rung is whole, whatever else is running: what is
promoted never depends on the order in which scores arrive::

    race = Race(schedule)
    while trial := race.ask():
        race.tell(trial, score(trial))
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from math import isnan
from typing import NamedTuple

from skhalving.schedule import Rung, Schedule


class Trial(NamedTuple):
    """A candidate on a level; trials sort level by level, then by bracket."""

    level: int
    bracket: int
    candidate: int


def promote(scores: Mapping[int, float], n: int) -> list[int]:
    """The ``n`` best candidates: NaN after every number, ties to the earlier candidate."""

    def worst_last(candidate: int) -> tuple[bool, float, int]:
        score = scores[candidate]
        return (True, 0.0, candidate) if isnan(score) else (False, -score, candidate)

    return sorted(sorted(scores, key=worst_last)[:n])


class Race:
    """All brackets of a search.

    Candidates are numbered from 0 in the order of the brackets. ``scores`` holds every trial that
    has been told, in the order of telling.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.scores: dict[Trial, float] = {}
        # A heap: the longest way to go is first, and of equals what cost the most on the last rung.
        self._ready: list[tuple[int, float, Trial]] = []
        self._costs: dict[int, float] = {}
        self._field: dict[int, list[int]] = {}
        self._told: dict[int, dict[int, float]] = {}
        n_levels, first = len(schedule.levels), 0
        for b, bracket in enumerate(schedule):
            n = bracket.rungs[0].n_candidates
            self._enter(n_levels - len(bracket.rungs), b, list(range(first, first + n)))
            first += n

    def _enter(self, level: int, bracket: int, candidates: list[int]) -> None:
        self._field[bracket], self._told[bracket] = candidates, {}
        for candidate in candidates:
            trial = Trial(level, bracket, candidate)
            heappush(self._ready, (level, -self._costs.get(candidate, 0.0), trial))

    @property
    def n_ready(self) -> int:
        """How many trials can be asked for."""
        return len(self._ready)

    @property
    def next(self) -> Trial | None:
        """The trial that would be asked for now."""
        return self._ready[0][-1] if self._ready else None

    @property
    def field(self) -> set[int]:
        """The candidates that have not been cut."""
        return {candidate for candidates in self._field.values() for candidate in candidates}

    def rung(self, trial: Trial) -> Rung:
        """The rung on which a trial stands."""
        return self.schedule.rung(trial.bracket, trial.level)

    def ask(self) -> Trial | None:
        """Take the trial that should run next, or None if what is left must wait."""
        return heappop(self._ready)[-1] if self._ready else None

    def tell(self, trial: Trial, score: float, cost: float = 0.0) -> bool:
        """Record a score (higher is better), and what it cost; True if its rung is whole by that.

        A whole rung promotes its best: they are ready now.
        """
        level, bracket, candidate = trial
        told = self._told[bracket]
        told[candidate] = self.scores[trial] = score
        self._costs[candidate] = cost
        is_whole = len(told) == len(self._field[bracket])
        if is_whole and level + 1 < len(self.schedule.levels):
            n = self.schedule.rung(bracket, level + 1).n_candidates
            self._enter(level + 1, bracket, promote(told, n))
        return is_whole
