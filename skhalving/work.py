"""The evaluations of one ``fit`` of a search, and what becomes of them.

Between the race and the estimators: which tasks a trial has, what goes along with a task, what a
result means for the journal, the models kept between rungs, the log, callbacks and time limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from skhalving import space as spaces
from skhalving.evaluate import Evaluate
from skhalving.journal import Journal, stable
from skhalving.race import Race, Trial
from skhalving.results import Row
from skhalving.run import Job, Log, Task
from skhalving.sklearn_private import Callbacks, _MultimetricScorer


class Work(Job):
    """One ``fit``: the evaluations of a search, and what becomes of them."""

    deadline = inf
    evaluate: Evaluate

    def __init__(
        self,
        search: Any,
        race: Race,
        evaluate: Evaluate,
        candidates: list[dict[str, Any]],
        folds: list[int],
        callbacks: Callbacks,
        journal: Journal | None,
    ) -> None:
        self.search, self.race, self.evaluate = search, race, evaluate
        self.parts: dict[tuple[int, int], Evaluate] = {}
        self.candidates, self.folds = candidates, folds
        self.callbacks, self.journal = callbacks, journal
        self.log = Log(race, search.resource)
        # An equal configuration, also of another bracket, shares the evaluations of the first.
        self.first_like = spaces.first_like(candidates)
        self.saved: dict[tuple[int, int], int] = {}
        self.faults: set[str] = set()
        self.slowest: dict[int, float] = {}
        self.known = {} if journal is None else self._read(journal)

    def _read(self, journal: Journal) -> dict[Task, Any]:
        """What the journal knows of these candidates; configurations are told apart by text."""
        self.texts = [stable(params) for params in self.candidates]
        if len(set(self.texts)) < len(set(self.first_like)):
            raise ValueError(
                "a journal cannot tell some of the candidates apart, since their parameters read "
                "the same; give them a repr that differs, or pass journal=None"
            )
        number = dict(zip(self.texts, self.first_like, strict=True))
        return {
            Task(number[entry["params"]], entry["fold"], entry["amount"]): entry["outcome"]
            for entry in journal.entries()
            if entry["params"] in number
        }

    def tasks_of(self, trial: Trial) -> list[Task]:
        rung, candidate = self.race.rung(trial), self.first_like[trial.candidate]
        return [Task(candidate, fold, rung.n_resources) for fold in self.folds[: rung.n_folds]]

    def evaluate_for(self, task: Task) -> Evaluate:
        key = task.fold, task.amount
        if key not in self.parts:
            self.parts[key] = self.evaluate.part(*key)
        return self.parts[key]

    def arguments(self, task: Task, level: int) -> tuple[Any, ...]:
        saved = self.saved.get((task.candidate, task.fold), 0)
        done = saved if saved < task.amount else 0
        progress = {
            "split_progress": (task.fold, self.search.n_splits_),
            "candidate_progress": (task.candidate, len(self.candidates)),
            **self.callbacks.leaf(level),
        }
        return self.candidates[task.candidate], done, progress

    def score(self, results: list[dict[str, Any]]) -> float:
        return self.search._steer(results)

    def record(self, task: Task, result: dict[str, Any]) -> None:
        self._keep_newest(task, result.pop("saved", False))
        if fault := result.pop("fault", None):
            self.faults.add(fault)
        slowest = max(result["fit_time"], self.slowest.get(task.amount, 0.0))
        self.slowest[task.amount] = slowest
        if self.journal is not None:
            _, fold, amount = task
            params = self.texts[task.candidate]
            entry = {"params": params, "fold": fold, "amount": amount, "outcome": result}
            self.journal.write(entry)

    def _keep_newest(self, task: Task, saved: bool) -> None:
        """Of a candidate's models of a fold, the one that has come furthest."""
        key, models = (task.candidate, task.fold), self.evaluate.models
        before = self.saved.get(key, 0)
        if models is not None and before < task.amount:
            if before:
                models.drop(task._replace(amount=before))
            self.saved[key] = task.amount if saved else 0

    def seconds(self, result: dict[str, Any]) -> float:
        return result["fit_time"] + result["score_time"]

    def cut(self) -> None:
        if self.evaluate.models is not None:
            left = self.race.field
            self.evaluate.models.keep({self.first_like[candidate] for candidate in left})

    def level_begins(self, level: int) -> None:
        self.callbacks.level_begins(level)

    def level_ends(self, level: int, evaluated: Mapping[int, int]) -> None:
        self.callbacks.level_ends(level)
        if self.search.verbose > 0:
            print(self.log.line(level, evaluated))

    def not_after(self) -> float:
        """The deadline, less the refit: the slowest fit of the largest amount so far, scaled up."""
        if not self.search.refit or not self.slowest or self.deadline == inf:
            return self.deadline
        amount = max(self.slowest)
        train, test = self.evaluate.resource.cut(self.folds[0], self.search.max_resources_)
        share = amount / self.search.max_resources_ * len(train) / (len(train) + len(test))
        return self.deadline - self.slowest[amount] / share

    def is_late(self, task: Task) -> bool:
        limit = self.evaluate.limit
        return limit is not None and limit.was_hard(task)

    def failed(self, task: Task, reason: str) -> dict[str, Any]:
        search, scorer = self.search, self.evaluate.options["scorer"]
        message = f"{reason}, with parameters {self.candidates[task.candidate]}"
        if search.error_score == "raise":
            raise RuntimeError(message)
        scores = search.error_score
        if isinstance(scorer, _MultimetricScorer):
            scores = dict.fromkeys(scorer._scorers, search.error_score)
        result = {"fit_error": message, "test_scores": scores, "fit_time": 0.0, "score_time": 0.0}
        return {**result, "train_scores": scores} if search.return_train_score else result

    def rows(self) -> list[Row]:
        """The trials told so far, level by level."""
        rows = []
        for trial in sorted(self.race.scores):
            amount = self.race.rung(trial).n_resources
            of_resource = self.evaluate.resource.params(amount)
            rows.append(
                Row(
                    candidate=trial.candidate,
                    bracket=trial.bracket,
                    iter=self.race.schedule.iter(trial.bracket, trial.level),
                    level=trial.level,
                    n_resources=amount,
                    params={**self.candidates[trial.candidate], **of_resource},
                    outcomes={task.fold: self.known[task] for task in self.tasks_of(trial)},
                )
            )
        return rows
