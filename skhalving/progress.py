"""Who watches a race: they are told what happens, and never asked.

The loop tells ``Watchers``, which passes everything on and adds when a level begins and ends. A
watcher that raises ends the search, as any exception outside a fit does.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from skhalving.pace import Pace
from skhalving.race import Move, Race, Trial
from skhalving.schedule import Level, Schedule
from skhalving.sklearn_private import Callbacks
from skhalving.store import Store
from skhalving.task import Outcome, Task


class Watcher:
    """The methods that a watcher may have. Here they do nothing; a subclass defines those that it
    needs."""

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

    def _tell(self, what: str, *args: Any) -> None:
        for watcher in self._watchers:
            getattr(watcher, what)(*args)

    def asked(self, trial: Trial, tasks: Sequence[Task]) -> None:
        if trial.level not in self._untold:
            self._untold[trial.level] = self._schedule.candidates_at(trial.level)
            self._tell("began", trial.level)
        self._tell("asked", trial, tasks)

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        self._tell("arrived", trial, task, outcome)

    def told(self, trial: Trial, move: Move) -> None:
        self._tell("told", trial, move)
        self._untold[trial.level] -= 1
        if not self._untold[trial.level]:
            self._tell("ended", trial.level)

    def close(self) -> None:
        """End the levels that time has left unfinished, and the race."""
        for level in [level for level, untold in self._untold.items() if untold]:
            self._tell("ended", level)
        self._tell("closed")


class SklearnCallbacks(Callbacks, Watcher):
    """scikit-learn's callbacks, told as all watchers are."""


class Reporter(Watcher):
    """Makes a dict of each evaluation, of each level and of the end, prints a line of it if
    ``verbose`` asks for that, and hands it to the user's ``on_result``.

    The dicts are described in the documentation of ``HyperbandSearchCV``.

    Parameters
    ----------
    race : Race

    pace : Pace

    params : sequence
        Of each candidate.

    unit : str
        What the resource is called.

    verbose : int
        Above 0: a line for each level. Above 1: also one for each evaluation.

    on_result : callable or None
        Called last, so that what it raises keeps nobody else from being told.

    sign : {1, -1}, default=1
        What the race's scores were multiplied by.
    """

    def __init__(
        self,
        race: Race,
        pace: Pace,
        params: Sequence[Any],
        unit: str,
        verbose: int,
        on_result: Callable[[dict[str, Any]], object] | None,
        sign: int = 1,
    ) -> None:
        self._race, self._pace, self._params, self._sign = race, pace, params, sign
        self._unit, self._on_result = unit, on_result
        self._printed = ("level", "evaluation")[: max(0, verbose)]
        self._evaluated: Counter[int] = Counter()  # by level
        self._n_fitted = self._n_shared = 0  # transformers

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        self._evaluated[trial.level] += 1
        self._n_fitted += outcome.n_fitted
        self._n_shared += outcome.n_shared
        params = self._params[trial.candidate]
        self._report(
            "evaluation",
            **trial._asdict(),
            params=dict(params) if isinstance(params, dict) else params,
            rung=self._race.schedule.iter(trial.bracket, trial.level),
            n_resources=task.amount,
            fold=task.fold,
            scores=dict(outcome.scores),
            train_scores=dict(outcome.train_scores or {}),
            seconds=outcome.seconds,
            error=outcome.error,
            continued=outcome.continued,
        )

    def ended(self, level: int) -> None:
        self._report("level", **self._at(level))

    def closed(self) -> None:
        highest = max(trial.level for trial in self._race.scores)
        self._report("end", **{**self._at(highest), "left": 0.0})

    def _at(self, level: int) -> dict[str, Any]:
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

    def _report(self, event: str, **what: Any) -> None:
        if event in self._printed:
            line = _level_line if event == "level" else _evaluation_line
            print(line(self._unit, len(self._race.schedule.levels), what))
        if self._on_result is not None:
            self._on_result({"event": event, **what})


def _level_line(unit: str, n_levels: int, told: Mapping[str, Any]) -> str:
    """Candidates, amount, folds, evaluations, best score, seconds so far and to come."""
    is_last = told["level"] + 1 == n_levels
    fitted, shared = told["transformers_fitted"], told["transformers_shared"]
    return (
        f"level {told['level'] + 1} of {n_levels}: {told['n_candidates']} candidates, "
        f"{unit}={told['n_resources']}, {told['n_folds']} fold{'s'[: told['n_folds'] > 1]}, "
        f"{told['n_evaluations']} evaluations; best {told['best']:.4g}; "
        f"{told['elapsed']:.1f} s elapsed"
        + ("" if is_last else f", about {told['left']:.1f} s left")
        + (f"; transformers: {fitted} fits instead of {fitted + shared}" if shared else "")
    )


def _evaluation_line(unit: str, n_levels: int, told: Mapping[str, Any]) -> str:
    """Bracket, level, amount, fold, parameters, scores, seconds."""
    params = told["params"]
    if isinstance(params, dict):
        params = ", ".join(f"{name}={value}" for name, value in params.items())
    train = told["train_scores"]
    scores = ", ".join(
        f"{name}=(train={train[name]:.4g}, test={score:.4g})"
        if name in train
        else f"{name}={score:.4g}"
        for name, score in told["scores"].items()
    )
    return (
        f"bracket {told['bracket']}, level {told['level'] + 1} of {n_levels}, "
        f"{unit}={told['n_resources']}, fold {told['fold']}: {params}; {scores or 'failed'}; "
        f"{told['seconds']:.2f} s"
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
