"""The race: who runs next, and who is promoted. Pure ask and tell.

A *trial* is one candidate on one level of its bracket. The race hands out trials, is told their
scores, and promotes the best of a rung when the rung is whole, whatever else is running: what is
promoted never depends on the order in which scores arrive::

    race = Race(schedule)
    while trial := race.ask():
        race.tell(trial, score(trial))
"""

from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from math import isnan
from typing import NamedTuple

from skhalving.schedule import Rung, Schedule


class Trial(NamedTuple):
    """A candidate on a level; trials sort level by level, then by bracket."""

    level: int
    bracket: int
    candidate: int


class Move(NamedTuple):
    """What a score has decided: the candidates that are promoted now, and those that never will
    be."""

    on: list[int]
    out: list[int]


def promote(scores: Mapping[int, float], n: int) -> list[int]:
    """The ``n`` best candidates, in rising order. NaN is worse than every number; of equal scores
    the earlier candidate's is better."""

    def worst_last(candidate: int) -> tuple[bool, float, int]:
        score = scores[candidate]
        return (True, 0.0, candidate) if isnan(score) else (False, -score, candidate)

    return sorted(sorted(scores, key=worst_last)[:n])


class Race:
    """All brackets of a search.

    Candidates are numbered from 0 in the order of the brackets. ``scores`` holds every trial that
    has been told, in the order of telling. The trials of the bracket ``first``, if there is one,
    are asked for before all others.
    """

    def __init__(self, schedule: Schedule, first: int | None = None) -> None:
        self.schedule, self._first = schedule, first
        self.scores: dict[Trial, float] = {}
        # A heap. The first trial is the one on the lowest level; of several there, the one whose
        # candidate took the most seconds on its last rung.
        self._ready: list[tuple[int, float, Trial]] = []
        self._costs: dict[int, float] = {}
        self._told: dict[tuple[int, int], dict[int, float]] = {}  # by level and bracket
        numbers = count()
        for b, bracket in enumerate(schedule):
            lowest = len(schedule.levels) - len(bracket.rungs)
            for _ in range(bracket.rungs[0].n_candidates):
                self._enter(Trial(lowest, b, next(numbers)))

    def _enter(self, trial: Trial) -> None:
        urgency = -1 if trial.bracket == self._first else trial.level
        heappush(self._ready, (urgency, -self._costs.get(trial.candidate, 0.0), trial))

    @property
    def n_ready(self) -> int:
        """How many trials can be asked for."""
        return len(self._ready)

    def rung(self, trial: Trial) -> Rung:
        """The rung on which a trial stands."""
        return self.schedule.rung(trial.bracket, trial.level)

    def ask(self) -> Trial | None:
        """Take the trial that should run next; None if no trial is ready until others have
        scores."""
        return heappop(self._ready)[-1] if self._ready else None

    def tell(self, trial: Trial, score: float, cost: float = 0.0) -> Move:
        """Record the score of a trial (higher is better) and its cost in seconds.

        If the rung is whole now, its best candidates are promoted: their next trials can be asked
        for.
        """
        level, bracket, candidate = trial
        told = self._told.setdefault((level, bracket), {})
        told[candidate] = self.scores[trial] = score
        self._costs[candidate] = cost
        if len(told) < self.rung(trial).n_candidates:
            return Move([], [])
        on = []
        if level + 1 < len(self.schedule.levels):
            on = promote(told, self.schedule.rung(bracket, level + 1).n_candidates)
        for promoted in on:
            self._enter(Trial(level + 1, bracket, promoted))
        return Move(on, sorted(told.keys() - set(on)))
