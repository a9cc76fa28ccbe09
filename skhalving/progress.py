"""Who watches a race: they are told what happens, and never asked.

The loop tells ``Watchers``, which passes everything on and adds when a level begins and ends. A
watcher that raises ends the search, as any exception outside a fit does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from skhalving.fingerprint import stable
from skhalving.journal import Journal, Record
from skhalving.pace import Pace
from skhalving.race import Move, Race, Trial
from skhalving.schedule import Level, Schedule
from skhalving.sklearn_private import Callbacks
from skhalving.store import Store
from skhalving.task import Outcome, Task


class Watcher:
    """Does nothing; others take what they need."""

    def began(self, level: int) -> None:
        """The first trial of a level was asked for."""

    def asked(self, trial: Trial, tasks: Sequence[Task]) -> None:
        """A trial was asked for; these of its tasks will run for it."""

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        """A task that ran for a trial has an outcome."""

    def told(self, trial: Trial, move: Move) -> None:
        """The race knows a trial's score, and some candidates may have moved by it."""

    def ended(self, level: int) -> None:
        """The last trial of a level was told, or time is over."""


class Watchers:
    """All who watch one race."""

    def __init__(self, schedule: Schedule, watchers: Iterable[Watcher]) -> None:
        self._schedule, self._watchers = schedule, list(watchers)
        self._untold: dict[int, int] = {}  # by level that has begun: trials without a score

    def asked(self, trial: Trial, tasks: Sequence[Task]) -> None:
        level = trial.level
        if level not in self._untold:
            self._untold[level] = self._schedule.candidates_at(level)
            for watcher in self._watchers:
                watcher.began(level)
        for watcher in self._watchers:
            watcher.asked(trial, tasks)

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        for watcher in self._watchers:
            watcher.arrived(trial, task, outcome)

    def told(self, trial: Trial, move: Move) -> None:
        for watcher in self._watchers:
            watcher.told(trial, move)
        self._untold[trial.level] -= 1
        if not self._untold[trial.level]:
            self._end(trial.level)

    def close(self) -> None:
        """End the levels that time has left unfinished."""
        for level, untold in self._untold.items():
            if untold:
                self._end(level)

    def _end(self, level: int) -> None:
        for watcher in self._watchers:
            watcher.ended(level)


class SklearnCallbacks(Callbacks, Watcher):
    """scikit-learn's callbacks, told as all watchers are."""


class Log(Watcher):
    """Prints a line a level: how many, with how much, the best, the time so far and to come."""

    def __init__(self, race: Race, pace: Pace, unit: str, sign: int = 1) -> None:
        self._race, self._pace, self._unit, self._sign = race, pace, unit, sign
        self._evaluated: Counter[int] = Counter()
        self._n_fitted = self._n_shared = 0  # transformers

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        self._evaluated[trial.level] += 1
        self._n_fitted += outcome.n_fitted
        self._n_shared += outcome.n_shared

    def ended(self, level: int) -> None:
        plan = self._race.schedule
        here, is_last = plan.levels[level], level + 1 == len(plan.levels)
        scores = [score for trial, score in self._race.scores.items() if trial.level == level]
        best = max(scores, key=lambda score: (score == score, score), default=float("nan"))
        n_all = self._n_fitted + self._n_shared
        left = self._pace.seconds_above(plan, level, self._evaluated)
        print(
            f"level {level + 1} of {len(plan.levels)}: {len(scores)} candidates, "
            f"{self._unit}={here.n_resources}, {here.n_folds} fold{'s'[: here.n_folds > 1]}, "
            f"{self._evaluated[level]} evaluations; best {self._sign * best:.4g}; "
            f"{self._pace.elapsed():.1f} s elapsed"
            + ("" if is_last else f", about {left:.1f} s left")
            + (
                f"; transformers: {self._n_fitted} fits instead of {n_all}"
                if self._n_shared
                else ""
            )
        )


def time_over(max_time: Any, race: Race, unit: str) -> str:
    """What to say when time ran out: what was left, and where the best stands."""
    levels = race.schedule.levels
    n_planned = sum(race.schedule.candidates_at(level) for level in range(len(levels)))
    top = max(trial.level for trial in race.scores)
    amount, n_folds = levels[top]
    return (
        f"max_time={max_time} was reached: {n_planned - len(race.scores)} of {n_planned} trials "
        f"were not run; the best is of level {top + 1} of {len(levels)}, with {unit}={amount} and "
        f"{n_folds} fold{'s'[: n_folds > 1]}"
    )


class EachLog(Watcher):
    """Prints a line an evaluation."""

    def __init__(self, unit: str, params: Sequence[dict[str, Any]]) -> None:
        self._unit, self._params = unit, params

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        params = ", ".join(
            f"{name}={value}" for name, value in self._params[task.candidate].items()
        )
        scores = ", ".join(f"{name} {score:.4g}" for name, score in outcome.scores.items())
        print(
            f"bracket {trial.bracket}, level {trial.level + 1}, {self._unit}={task.amount}, "
            f"fold {task.fold}: {params}; {scores or 'failed'}; {outcome.seconds:.2f} s"
        )


class Recorder(Watcher):
    """Writes outcomes to a journal as they arrive.

    Parameters
    ----------
    journal : Journal
        Begun.

    candidates : sequence
        Parameters, or the configurations of a plain function.

    first_like : sequence of int
        For each candidate, the equal one whose tasks it shares.

    Attributes
    ----------
    known : dict of Task to Outcome
        What the journal knew of these candidates, which it tells apart by text.

    Raises
    ------
    ValueError
        If different candidates read the same.
    """

    def __init__(
        self, journal: Journal, candidates: Sequence[Any], first_like: Sequence[int]
    ) -> None:
        self._journal, self._candidates = journal, candidates
        self._texts = [stable(candidate) for candidate in candidates]
        if len(set(self._texts)) < len(set(first_like)):
            raise ValueError(
                "a journal cannot tell some of the candidates apart, since their parameters read "
                "the same; give them a repr that differs, or pass journal=None"
            )
        number = dict(zip(self._texts, first_like, strict=True))
        self.known = {
            Task(number[record.text], record.fold, record.amount): record.outcome
            for record in journal.known()
            if record.text in number
        }

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        candidate = self._candidates[task.candidate]
        self._journal.write(
            Record(
                text=self._texts[task.candidate],
                params=candidate if isinstance(candidate, dict) else {"configuration": candidate},
                fold=task.fold,
                amount=task.amount,
                candidate=trial.candidate,
                bracket=trial.bracket,
                level=trial.level,
                outcome=outcome,
            )
        )


class Cleaner(Watcher):
    """Removes from the store what no coming evaluation can use.

    Parameters
    ----------
    store : Store

    levels : sequence of Level
        The ladder.

    first_like : sequence of int
        For each candidate, the equal one whose tasks it shares.
    """

    def __init__(self, store: Store, levels: Sequence[Level], first_like: Sequence[int]) -> None:
        self._store, self._levels, self._first_like = store, levels, first_like
        self._racing = Counter(first_like)

    def told(self, trial: Trial, move: Move) -> None:
        for candidate in move.out:
            first = self._first_like[candidate]
            self._racing[first] -= 1
            if not self._racing[first]:
                self._store.drop([first])

    def ended(self, level: int) -> None:
        amount = self._levels[level].n_resources
        if all(above.n_resources > amount for above in self._levels[level + 1 :]):
            self._store.level_over(amount)
