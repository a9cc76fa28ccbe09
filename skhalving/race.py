"""The race: who runs next, and who is promoted. Pure ask and tell.

A *trial* is one candidate on one level of its bracket. The race hands out trials, is told their
scores, and promotes the best of a rung when the rung is whole, whatever else is running: what is
promoted never depends on the order in which scores arrive::

    race = Race(schedule)
    while wave := race.wave():
        for trial in wave:
            race.tell(trial, score(trial))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        self._ready: list[Trial] = []
        self._standing: dict[tuple[int, int], dict[int, float]] = {}
        n_levels, first = len(schedule.levels), 0
        for b, bracket in enumerate(schedule):
            n = bracket.rungs[0].n_candidates
            self._enter(n_levels - len(bracket.rungs), b, range(first, first + n))
            first += n

    def _enter(self, level: int, bracket: int, candidates: Iterable[int]) -> None:
        self._standing[level, bracket] = {}
        self._ready += (Trial(level, bracket, candidate) for candidate in candidates)

    def rung(self, trial: Trial) -> Rung:
        """The rung on which a trial stands."""
        return self.schedule.rung(trial.bracket, trial.level)

    def wave(self) -> list[Trial]:
        """Take every trial at the lowest level that has any, across brackets; empty at the end."""
        lowest = min((trial.level for trial in self._ready), default=None)
        wave = sorted(trial for trial in self._ready if trial.level == lowest)
        self._ready = [trial for trial in self._ready if trial.level != lowest]
        return wave

    def ask(self) -> Trial | None:
        """Take the one trial with the longest way to go, or None if what is left must wait."""
        trial = min(self._ready, default=None)
        if trial is not None:
            self._ready.remove(trial)
        return trial

    def tell(self, trial: Trial, score: float) -> None:
        """Record a score (higher is better); promote if that made its rung whole."""
        level, bracket, candidate = trial
        standing = self._standing[level, bracket]
        standing[candidate] = self.scores[trial] = score
        is_last = level + 1 == len(self.schedule.levels)
        if not is_last and len(standing) == self.rung(trial).n_candidates:
            n = self.schedule.rung(bracket, level + 1).n_candidates
            self._enter(level + 1, bracket, promote(standing, n))
