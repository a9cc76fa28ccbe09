"""Who watches a race: they are told what happens, and never asked.

The loop tells ``Watchers``, which passes everything on and adds when a level begins and ends. A
watcher that raises ends the search, as any exception outside a fit does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import copy
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
        """A task that was run for a trial came back with its outcome."""

    def told(self, trial: Trial, move: Move) -> None:
        """The race knows a trial's score, and some candidates may have moved by it."""

    def ended(self, level: int) -> None:
        """The last trial of a level was told, or time is over."""

    def closed(self) -> None:
        """The race is over: every trial was told, or time is over."""


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
        """End the levels that time has left unfinished, and the race."""
        for level, untold in self._untold.items():
            if untold:
                self._end(level)
        for watcher in self._watchers:
            watcher.closed()

    def _end(self, level: int) -> None:
        for watcher in self._watchers:
            watcher.ended(level)


class SklearnCallbacks(Callbacks, Watcher):
    """scikit-learn's callbacks, told as all watchers are."""


class Levels(Watcher):
    """Knows of every level how many were evaluated there, the best score, and the time to come."""

    def __init__(self, race: Race, pace: Pace, sign: int = 1) -> None:
        self._race, self._pace, self._sign = race, pace, sign
        self._evaluated: Counter[int] = Counter()
        self._n_fitted = self._n_shared = 0  # transformers

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        self._evaluated[trial.level] += 1
        self._n_fitted += outcome.n_fitted
        self._n_shared += outcome.n_shared

    def at(self, level: int) -> dict[str, Any]:
        """What is known at the end of a level."""
        scores = [score for trial, score in self._race.scores.items() if trial.level == level]
        best = max(scores, key=lambda score: (score == score, score), default=float("nan"))
        return {
            "level": level,
            **self._race.schedule.levels[level]._asdict(),
            "n_candidates": len(scores),
            "n_evaluations": self._evaluated[level],
            "best": self._sign * best,
            "elapsed": self._pace.elapsed(),
            "left": self._pace.seconds_above(self._race.schedule, level, self._evaluated),
            "transformers_fitted": self._n_fitted,
            "transformers_shared": self._n_shared,
        }


class Log(Levels):
    """Prints a line for each level: candidates, amount, folds, evaluations, best score, seconds so
    far and to come."""

    def __init__(self, race: Race, pace: Pace, unit: str, sign: int = 1) -> None:
        super().__init__(race, pace, sign)
        self._unit = unit

    def ended(self, level: int) -> None:
        at, n_levels = self.at(level), len(self._race.schedule.levels)
        fitted, shared = at["transformers_fitted"], at["transformers_shared"]
        print(
            f"level {level + 1} of {n_levels}: {at['n_candidates']} candidates, "
            f"{self._unit}={at['n_resources']}, {at['n_folds']} fold{'s'[: at['n_folds'] > 1]}, "
            f"{at['n_evaluations']} evaluations; best {at['best']:.4g}; "
            f"{at['elapsed']:.1f} s elapsed"
            + ("" if level + 1 == n_levels else f", about {at['left']:.1f} s left")
            + (f"; transformers: {fitted} fits instead of {fitted + shared}" if shared else "")
        )


class OnResult(Levels):
    """Calls the user's ``on_result`` for every evaluation, level and race.

    Its dicts are described in the documentation of ``HyperbandSearchCV``.
    """

    def __init__(
        self,
        call: Callable[[dict[str, Any]], object],
        params: Sequence[Any],
        race: Race,
        pace: Pace,
        sign: int = 1,
    ) -> None:
        super().__init__(race, pace, sign)
        self._call, self._params = call, params

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        super().arrived(trial, task, outcome)
        self._call(
            {
                "event": "evaluation",
                **trial._asdict(),
                "params": copy(self._params[trial.candidate]),
                "rung": self._race.schedule.iter(trial.bracket, trial.level),
                "n_resources": task.amount,
                "fold": task.fold,
                "scores": dict(outcome.scores),
                "seconds": outcome.seconds,
                "error": outcome.error,
                "continued": outcome.continued,
            }
        )

    def ended(self, level: int) -> None:
        self._call({"event": "level", **self.at(level)})

    def closed(self) -> None:
        highest = max(trial.level for trial in self._race.scores)
        self._call({"event": "end", **self.at(highest), "left": 0.0})


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
        train = outcome.train_scores or {}
        scores = ", ".join(
            f"{name}=(train={train[name]:.4g}, test={score:.4g})"
            if name in train
            else f"{name}={score:.4g}"
            for name, score in outcome.scores.items()
        )
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
        For each candidate, the first candidate with equal parameters (itself, if there is none
        before): they share tasks and models.

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
        For each candidate, the first candidate with equal parameters (itself, if there is none
        before): they share tasks and models.
    """

    def __init__(self, store: Store, levels: Sequence[Level], first_like: Sequence[int]) -> None:
        self._store, self._levels, self._first_like = store, levels, first_like
        self._racing = Counter(first_like)

    def told(self, trial: Trial, move: Move) -> None:
        for candidate in move.out:
            first = self._first_like[candidate]
            self._racing[first] -= 1
            if not self._racing[first]:
                self._store.drop(first)

    def ended(self, level: int) -> None:
        amount = self._levels[level].n_resources
        if all(above.n_resources > amount for above in self._levels[level + 1 :]):
            self._store.level_over(amount)
