"""Who watches a race: they are told what happens, and never asked.

They are the journal's recorder, the reporter for ``verbose`` and ``on_result``, the cleaner of the
store, scikit-learn's callbacks, and who ends a search whose first level has failed. A watcher that
raises ends the search, as any exception outside a fit does.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from skhalving.fingerprint import stable
from skhalving.journal import Journal, Record
from skhalving.loop import Watcher, Work
from skhalving.pace import Pace
from skhalving.race import Move, Trial
from skhalving.sklearn_private import Callbacks
from skhalving.space import first_like
from skhalving.task import Outcome, Task


class SklearnCallbacks(Callbacks, Watcher):
    """scikit-learn's callbacks, told as all watchers are."""


class Reporter(Watcher):
    """Makes a dict of each evaluation, of each level and of the end, prints a line of it if
    ``verbose`` asks for that, and hands it to the user's ``on_result``.

    The dicts are described in the documentation of ``HyperbandSearchCV``.

    Parameters
    ----------
    work : Work

    pace : Pace

    verbose : int
        Above 0: a line for each level. Above 1: also one for each evaluation.

    on_result : callable or None
        Called last, so that what it raises keeps nobody else from being told.
    """

    def __init__(
        self,
        work: Work,
        pace: Pace,
        verbose: int,
        on_result: Callable[[dict[str, Any]], object] | None,
    ) -> None:
        self._work, self._pace, self._on_result = work, pace, on_result
        self._printed = ("level", "evaluation")[: max(0, verbose)]
        self._evaluated: Counter[int] = Counter()  # by level
        self._n_fitted = self._n_shared = 0  # transformers

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        self._evaluated[trial.level] += 1
        self._n_fitted += outcome.n_fitted
        self._n_shared += outcome.n_shared
        params = self._work.candidates[trial.candidate]
        self._report(
            "evaluation",
            **trial._asdict(),
            params=dict(params) if isinstance(params, dict) else params,
            rung=self._work.race.schedule.iter(trial.bracket, trial.level),
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
        highest = max(trial.level for trial in self._work.race.scores)
        self._report("end", **{**self._at(highest), "left": 0.0})

    def _at(self, level: int) -> dict[str, Any]:
        """What is known at the end of a level."""
        race = self._work.race
        scores = [score for trial, score in race.scores.items() if trial.level == level]
        best = max(scores, key=lambda score: (score == score, score), default=float("nan"))
        return {
            "level": level,
            **race.schedule.levels[level]._asdict(),
            "n_candidates": len(scores),
            "n_evaluations": self._evaluated[level],
            "best": self._work.sign * best,
            "elapsed": self._pace.elapsed(),
            "left": self._pace.seconds_above(race.schedule, level, self._evaluated),
            "transformers_fitted": self._n_fitted,
            "transformers_shared": self._n_shared,
        }

    def _report(self, event: str, **what: Any) -> None:
        if event in self._printed:
            line = _level_line if event == "level" else _evaluation_line
            print(line(self._work.unit, len(self._work.race.schedule.levels), what))
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


def time_over(max_time: Any, work: Work) -> str:
    """The warning that time ran out: how many trials were not run, and where the best stands."""
    schedule, n_run = work.race.schedule, len(work.race.scores)
    n_planned = sum(schedule.candidates_at(level) for level in range(len(schedule.levels)))
    top = max(trial.level for trial in work.race.scores)
    amount, n_folds = schedule.levels[top]
    return (
        f"max_time={max_time} was reached: {n_planned - n_run} of {n_planned} trials were not run; "
        f"the best is of level {top + 1} of {len(schedule.levels)}, with {work.unit}={amount} and "
        f"{n_folds} fold{'s'[: n_folds > 1]}"
    )


class Cleaner(Watcher):
    """Removes from the store what no coming evaluation can use."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._racing = Counter(work.first_like)  # candidates, by the first that equals them

    def told(self, trial: Trial, move: Move) -> None:
        for candidate in move.out:
            first = self._work.first_like[candidate]
            self._racing[first] -= 1
            if not self._racing[first]:
                self._work.store.drop(first)

    def ended(self, level: int) -> None:
        levels = self._work.race.schedule.levels
        amount = levels[level].n_resources
        if all(above.n_resources > amount for above in levels[level + 1 :]):
            self._work.store.level_over(amount)


class Recorder(Watcher):
    """Writes the plan to a journal, and outcomes as they arrive.

    At first it lets the work know what the journal knows of its candidates, which are told apart by
    their texts: their numbers change when a search is extended.

    Raises
    ------
    ValueError
        If different candidates read the same.
    """

    def __init__(self, journal: Journal, work: Work) -> None:
        self._journal, self._work = journal, work
        texts = [stable(work.candidates[first]) for first in work.first_like]
        if len(set(texts)) < len(set(first_like(work.candidates))):
            raise ValueError(
                "a journal cannot tell some of the candidates apart, since their parameters read "
                "the same; give them a repr that differs, or pass journal=None"
            )
        # Equal configurations of a plain function are evaluated one by one, and are numbered.
        met, self._texts = Counter[str](), list[str]()
        for i, (text, first) in enumerate(zip(texts, work.first_like, strict=True)):
            met[text] += first == i
            self._texts.append(f"{text} {met[text]}" if met[text] > 1 else text)
        journal.plan(
            {
                "levels": [list(level) for level in work.race.schedule.levels],
                "brackets": [[rung.n_candidates for rung in b.rungs] for b in work.race.schedule],
                "folds": list(work.order),
                "candidates": self._texts,
            }
        )
        number = dict(zip(self._texts, work.first_like, strict=True))
        work.known.update(
            {
                Task(number[record.text], record.fold, record.amount): record.outcome
                for record in journal.known()
                if record.text in number
            }
        )

    def arrived(self, trial: Trial, task: Task, outcome: Outcome) -> None:
        candidate = self._work.candidates[task.candidate]
        self._journal.write(
            Record(
                text=self._texts[task.candidate],
                params=candidate if isinstance(candidate, dict) else {"configuration": candidate},
                amount=task.amount,
                fold=task.fold,
                score=self._work.score([outcome]),
                outcome=outcome,
            )
        )


class FirstLevel(Watcher):
    """Ends a search in which all evaluations of the lowest level failed, since larger amounts would
    fail as well."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def ended(self, level: int) -> None:
        if level == 0:
            outcomes = self._work.outcomes(t for t in self._work.race.scores if t.level == 0)
            if outcomes and all(outcome.error for outcome in outcomes):
                self._work.complain(outcomes)
