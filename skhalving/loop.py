"""The only loop: ask the race for a trial, skip what is known, send the rest to workers, tell.

A search and the plain functions hand it their ``Work``; it knows nothing of either. A trial has a
task for each fold. ``Work.known`` maps tasks to outcomes. So a fold on which a candidate was scored
at the same amount is never run again, and neither is a task of which the journal has the outcome.

As many batches are in flight as there are workers, and the next is chosen when one returns; no rung
waits for another bracket's. When a worker dies, each task that it may have been running runs again
alone. A task that ends two processes in that way has failed.
"""

from __future__ import annotations

import os
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from math import inf
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn import config_context, get_config

from skhalving.engines import Call, Died, Engine, engine
from skhalving.pace import Pace
from skhalving.progress import Watcher, Watchers
from skhalving.race import Race, Trial
from skhalving.store import Store
from skhalving.task import Outcome, Task


class Evaluation(NamedTuple):
    """``evaluate(task, *args)`` runs on a worker and returns an outcome.

    Tasks that share data have the same ``evaluate`` object, so that the data travel once where the
    engine allows it.
    """

    evaluate: Callable[..., Outcome]
    args: tuple[Any, ...]


@dataclass(kw_only=True)
class Work(ABC):
    """The candidates of a race, and what is known of them. Each face of the package has a subclass
    that says how to evaluate a task and what scores mean.

    Attributes
    ----------
    race : Race
        Told every score that it can be.

    candidates : sequence
        Parameters, or the configurations of a plain function.

    first_like : sequence of int
        For each candidate, the first that equals it, in any bracket: they share tasks.

    order : sequence of int
        Folds in the order in which levels use them.

    store : Store
        What evaluations leave for one another.

    known : dict of Task to Outcome
        These tasks are not run; every outcome is put in it as it arrives.

    unit : str
        What the resource is called.

    sign : int
        -1 if the user is told a score with the other sign than it races with.
    """

    race: Race
    candidates: Sequence[Any]
    first_like: Sequence[int]
    order: Sequence[int]
    store: Store
    known: dict[Task, Outcome] = field(default_factory=dict)
    unit: str = "resource"
    sign: int = 1

    def tasks(self, trial: Trial) -> list[Task]:
        """The evaluations of a trial; trials may have some in common."""
        rung, candidate = self.race.rung(trial), self.first_like[trial.candidate]
        return [Task(candidate, fold, rung.n_resources) for fold in self.order[: rung.n_folds]]

    def outcomes(self, trials: Iterable[Trial]) -> list[Outcome]:
        """What trials came to, level by level. A fold that a candidate kept from the level below
        counts once."""
        found = {
            (trial.candidate, task.fold, task.amount): self.known[task]
            for trial in sorted(trials)
            for task in self.tasks(trial)
        }
        return list(found.values())

    @abstractmethod
    def evaluation(self, task: Task) -> Evaluation:
        """How to evaluate a task; the same whenever it is asked for."""

    @abstractmethod
    def score(self, outcomes: Sequence[Outcome]) -> float:
        """The number that a trial races with, from the outcomes of its tasks."""

    @abstractmethod
    def lost(self, task: Task, why: str) -> Outcome:
        """The outcome of a task that ended its worker."""

    @abstractmethod
    def complain(self, outcomes: Sequence[Outcome]) -> None:
        """Raise if all evaluations failed, warn if some did."""

    def is_late(self, task: Task) -> bool:
        """Whether the task ended its worker itself, because it took too long."""
        return False


def run(work: Work, watchers: Iterable[Watcher], pace: Pace, **parallel: Any) -> bool:
    """Run a race: True if to its end, False if time ran out.

    Parameters
    ----------
    work : Work
        What is raced.

    watchers : iterable of Watcher
        Told what happens.

    pace : Pace
        Told what evaluations take, and asked what follows from it.

    **parallel
        Arguments of ``joblib.Parallel``. One engine serves the whole race; a new one would write X
        and y to shared memory again.
    """
    race = work.race
    loop = _Loop(race, work, work.known, Watchers(race.schedule, watchers), pace)
    with engine(**parallel) as workers:
        while True:
            while workers.n_free > 0 and (tasks := loop.take(workers)):
                workers.send(tasks, partial(loop.call, tasks, workers))
            if workers.n_flying:
                for tasks, answer in workers.receive():
                    loop.receive(tasks, answer)
            elif loop.suspects and not loop.is_over:
                tasks = loop.suspects[:1]
                loop.receive(tasks, workers.alone(tasks, partial(loop.call, tasks, workers)))
            else:
                loop.watchers.close()
                return not loop.is_over


@dataclass
class _Loop:
    """Tasks in the order in which the race hands out their trials, each once, and who awaits them.

    Attributes
    ----------
    waiting : dict of Task to list of Trial
        The trials that need the outcome of a task that is not known yet. Watchers are told that it
        ran for the first of them.

    left : deque of Task
        Not yet sent.

    spared : list of Task
        Tasks of the first trial; they run even if ``max_time`` is over, so that there is a result.
        None until a trial was asked for.

    suspects : list of Task
        Each was in flight when a worker died, and runs again alone.

    strikes : Counter of Task
        How many processes a task is known to have ended.

    is_over : bool
        Whether time ran out.
    """

    race: Race
    work: Work
    known: dict[Task, Outcome]
    watchers: Watchers
    pace: Pace
    waiting: dict[Task, list[Trial]] = field(default_factory=dict)
    left: deque[Task] = field(default_factory=deque)
    spared: list[Task] | None = None
    suspects: list[Task] = field(default_factory=list)
    strikes: Counter[Task] = field(default_factory=Counter)
    shared: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    is_over: bool = False

    def take(self, workers: Engine) -> list[Task]:
        """A batch to send; empty if what is left must wait, or time is over."""
        if self.suspects or self.is_over or not self._fill():
            return []
        first = self.left[0]
        if self._time_left([first]) <= 0:
            self.is_over = True
            return []
        n_tasks = len(self.left) + self.race.n_ready * len(self.work.tasks(self.waiting[first][0]))
        self.pace.n_workers = workers.n_workers
        size = self.pace.batch_size(first.amount, n_tasks, workers.batch_seconds)
        batch = [self.left.popleft()]
        while len(batch) < size and self._fill() and self.left[0].amount == first.amount:
            batch.append(self.left.popleft())
        return batch

    def _fill(self) -> bool:
        """Whether there is a task to run; asks the race until there is, or it has none."""
        while not self.left and (trial := self.race.ask()) is not None:
            tasks = self.work.tasks(trial)
            self.known.update(self._stopped(tasks))
            missing = [task for task in tasks if task not in self.known]
            if self.spared is None:
                self.spared = [] if self.known else missing
            new = [task for task in missing if task not in self.waiting]
            self.left += new
            for task in missing:
                self.waiting.setdefault(task, []).append(trial)
            self.watchers.asked(trial, new)
            if not missing:
                self._tell(trial)
        return bool(self.left)

    def _stopped(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Outcome]]:
        """What is known of tasks since with a lower amount they stopped early."""
        amounts = {level.n_resources for level in self.race.schedule.levels}
        for task in tasks:
            for amount in sorted(a for a in amounts if a < task.amount):
                outcome = self.known.get(task._replace(amount=amount))
                if outcome is not None and outcome.stopped and task not in self.known:
                    yield task, outcome

    def _time_left(self, tasks: Sequence[Task]) -> float:
        return inf if self.spared and tasks[0] in self.spared else self.pace.time_left()

    def call(self, tasks: Sequence[Task], workers: Engine) -> Call | None:
        """What a worker does for a batch that starts now; None if time is over."""
        seconds = self._time_left(tasks)
        if seconds <= 0:
            self.is_over = True
            return None
        shared, args = [], []
        for task in tasks:
            evaluate, of_task = self.work.evaluation(task)
            if id(evaluate) not in self.shared:
                self.shared[id(evaluate)] = evaluate, workers.share(_Shared.here(evaluate))
            shared.append(self.shared[id(evaluate)][1])
            args.append((task, *of_task))
        return Call(_evaluate_batch, shared, (seconds, args))

    def receive(self, tasks: Sequence[Task], answer: Any) -> None:
        """Take the outcomes of a batch, or the death of its worker."""
        if isinstance(answer, Died):
            self._lost(tasks, answer)
            return
        # Fewer outcomes than tasks: time was over in the middle of the batch.
        self.is_over |= len(answer) < len(tasks)
        for task, outcome in zip(tasks, answer, strict=False):
            if isinstance(outcome, Exception):
                raise outcome
            self._arrived(task, outcome)

    def _arrived(self, task: Task, outcome: Outcome) -> None:
        """Note an outcome, and tell of the trials that have all of theirs."""
        if task in self.suspects:
            self.suspects.remove(task)
        trials = self.waiting.pop(task)
        self.pace.arrived(task, outcome)
        self.watchers.arrived(trials[0], task, outcome)
        self.known[task] = outcome
        for trial in trials:
            if all(other in self.known for other in self.work.tasks(trial)):
                self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        outcomes = [self.known[task] for task in self.work.tasks(trial)]
        cost = sum(outcome.seconds for outcome in outcomes)
        move = self.race.tell(trial, self.work.score(outcomes), cost)
        self.watchers.told(trial, move)

    def _lost(self, tasks: Sequence[Task], died: Died) -> None:
        for task in tasks:
            self.strikes[task] += died.kills if len(tasks) == 1 else 0
            if self.work.is_late(task):
                self._arrived(task, self.work.lost(task, "it ran over fit_timeout"))
            elif self.strikes[task] >= 2:
                self._arrived(task, self.work.lost(task, "it killed its worker twice"))
            elif task not in self.suspects:
                self.suspects.append(task)


@dataclass(frozen=True)
class _Shared:
    """What a worker needs for many evaluations: the function, and the settings of the script's
    thread."""

    evaluate: Callable[..., Outcome]
    parent: int
    config: dict[str, Any]
    filters: list[Any]

    @classmethod
    def here(cls, evaluate: Callable[..., Outcome]) -> _Shared:
        return cls(evaluate, os.getpid(), get_config(), list(warnings.filters))


def _evaluate_batch(
    shared: Sequence[_Shared], seconds: float, args: Sequence[tuple[Any, ...]]
) -> list[Outcome | Exception]:
    """On a worker: the outcomes of a batch, as far as it gets in so many seconds."""
    end = time.monotonic() + seconds
    outcomes: list[Outcome | Exception] = []
    for one, of_task in zip(shared, args, strict=True):
        if time.monotonic() > end:
            break
        outcomes.append(_evaluate(one, of_task))
    return outcomes


def _evaluate(shared: _Shared, args: tuple[Any, ...]) -> Outcome | Exception:
    """One evaluation of a batch. An exception is returned; if it were raised, the other outcomes of
    the batch would be lost."""
    in_worker = os.getpid() != shared.parent
    with config_context(**shared.config), warnings.catch_warnings() if in_worker else nullcontext():
        if in_worker:
            warnings.filters = shared.filters
        try:
            return shared.evaluate(*args)
        except Exception as error:
            if in_worker:
                # The traceback does not survive the way between processes; a note does.
                error.add_note(f"On a worker:\n{format_exc()}")
            return error
