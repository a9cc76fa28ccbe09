"""The only loop: ask the race for a trial, skip known tasks, send the others to workers, tell.

A search and the plain functions each hand it a ``Work``; the loop knows nothing of either. A trial
has a task for each fold. ``Work.known`` maps tasks to outcomes. So a fold on which a candidate was
scored at the same amount is never run again, and neither is a task of which the journal has the
outcome.

As many batches are in flight as there are workers, and the next batch is chosen when one returns;
no bracket waits for another. When a worker dies, each task that it may have been running runs again
alone. A task that ends two processes in that way has failed.
"""

from __future__ import annotations

import os
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from math import inf
from traceback import format_exc
from typing import Any

from sklearn import config_context, get_config

from skhalving.engines import Call, Died, Engine, engine
from skhalving.pace import Pace
from skhalving.race import Move, Race, Trial
from skhalving.schedule import Schedule
from skhalving.store import Store
from skhalving.task import Outcome, Task


@dataclass(kw_only=True)
class Work(ABC):
    """The candidates of a race, and what is known of them. The searches and the plain functions
    have a subclass each, which says how to evaluate a task and what scores mean.

    Attributes
    ----------
    race : Race
        Told the score of each trial as soon as all of its tasks are known.

    candidates : sequence
        For each candidate its parameters, or the configuration of a plain function.

    first_like : sequence of int
        For each candidate, the first candidate that equals it, in any bracket: they share tasks.

    order : sequence of int
        Folds in the order in which levels use them.

    store : Store
        What evaluations leave for one another.

    known : dict of Task to Outcome
        These tasks are not run; every outcome is put in it as it arrives.

    unit : str
        What the resource is called.

    sign : int
        -1 if the race's scores are the user's with the sign changed, since smaller is better; else
        1.
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
        """The tasks of a trial, one for each fold; trials may have some in common."""
        rung, candidate = self.race.rung(trial), self.first_like[trial.candidate]
        return [Task(candidate, fold, rung.n_resources) for fold in self.order[: rung.n_folds]]

    def outcomes(self, trials: Iterable[Trial]) -> list[Outcome]:
        """The outcomes of some trials, level by level. An outcome that a candidate kept from the
        level below counts once."""
        found = {
            (trial.candidate, task.fold, task.amount): self.known[task]
            for trial in sorted(trials)
            for task in self.tasks(trial)
        }
        return list(found.values())

    @abstractmethod
    def call(self, task: Task) -> partial[Outcome]:
        """The call that evaluates a task on a worker. Asked twice for a task, it is the same call.

        Tasks that share data have the same ``func``, hashed by identity, so that the data travel
        once where the engine allows it.
        """

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


def run(work: Work, watchers: Iterable[Watcher], pace: Pace, **parallel: Any) -> bool:
    """Run a race: True if to its end, False if time ran out.

    Parameters
    ----------
    work : Work
        What is raced.

    watchers : iterable of Watcher
        Told what happens.

    pace : Pace
        Told the seconds that evaluations take; asked for the size of a batch and the time left.

    **parallel
        Arguments of ``joblib.Parallel``. One engine serves the whole race; a new one would write X
        and y to shared memory again.
    """
    with engine(work.store.folder, **parallel) as workers:
        watching = Watchers(work.race.schedule, watchers)
        share = cache(workers.share)
        loop = _Loop(work, watching, pace, share, _Settings())
        while True:
            while workers.n_free > 0 and (tasks := loop.take(workers)):
                workers.send(tasks, partial(loop.call, tasks))
            if workers.n_flying:
                ended = workers.receive()
            elif tasks := loop.suspect():
                ended = workers.alone(tasks, partial(loop.call, tasks))
            else:
                watching.close()
                return not (loop.is_over or loop.suspects)
            for tasks, answer in ended:
                loop.receive(tasks, answer)


@dataclass
class _Loop:
    """The tasks of a race that are not known yet, in the order in which the race hands out their
    trials, and the trials that wait for them.

    Attributes
    ----------
    share : callable
        Gives the engine's handle for a value that many calls have in common.

    settings : _Settings
        The settings of the script's thread, which workers take over.

    waiting : dict of Task to list of Trial
        The trials that need the outcome of a task that is not known yet, in the order in which they
        were asked for. Watchers are told that the task ran for the first of these trials.

    left : deque of Task
        Tasks that are not yet sent.

    suspects : Counter of Task
        Tasks that were in flight when a worker died, and that run again alone; for each the number
        of processes that it is known to have ended.

    is_over : bool
        Whether time ran out.
    """

    work: Work
    watchers: Watchers
    pace: Pace
    share: Callable[[Any], Any]
    settings: _Settings
    waiting: dict[Task, list[Trial]] = field(default_factory=dict)
    left: deque[Task] = field(default_factory=deque)
    suspects: Counter[Task] = field(default_factory=Counter)
    is_over: bool = False

    def take(self, workers: Engine) -> list[Task]:
        """A batch to send; empty if the tasks that are left must wait, or time is over."""
        if self.suspects or self.is_over or not self._fill():
            return []
        first = self.left[0]
        n_folds = len(self.work.tasks(self.waiting[first][0]))
        n_tasks = len(self.left) + self.work.race.n_ready * n_folds
        self.pace.n_workers = workers.n_workers
        size = self.pace.batch_size(first.amount, n_tasks, workers.batch_seconds)
        batch = [self.left.popleft()]
        while len(batch) < size and self._fill() and self.left[0].amount == first.amount:
            batch.append(self.left.popleft())
        return batch

    def suspect(self) -> list[Task]:
        """One suspect, which is to run alone; empty if there is none that may still start."""
        return [task for task in self.suspects if self._time_left(task) > 0][:1]

    def _fill(self) -> bool:
        """Ask the race for trials until there is a task to send; False if there is none."""
        while not self.left and (trial := self.work.race.ask()) is not None:
            tasks = self.work.tasks(trial)
            self._take_over(tasks)
            missing = [task for task in tasks if task not in self.work.known]
            new = [task for task in missing if task not in self.waiting]
            self.left += new
            for task in missing:
                self.waiting.setdefault(task, []).append(trial)
            self.watchers.asked(trial, new)
            if not missing:
                self._tell(trial)
        return bool(self.left)

    def _take_over(self, tasks: Sequence[Task]) -> None:
        """A task that stopped early with a lower amount would give the same again: take over its
        outcome."""
        for task in tasks:
            for level in self.work.race.schedule.levels:
                lower = self.work.known.get(task._replace(amount=level.n_resources))
                if level.n_resources < task.amount and lower is not None and lower.stopped:
                    self.work.known.setdefault(task, lower)

    def call(self, tasks: Sequence[Task]) -> Call:
        """The call of a batch that starts now; it evaluates nothing if no time is left."""
        calls = [self.work.call(task) for task in tasks]
        shared = [self.share(call.func) for call in calls]
        args = [call.args for call in calls]
        return Call(_evaluate_batch, shared, (self.settings, self._time_left(tasks[0]), args))

    def _time_left(self, task: Task) -> float:
        """The seconds in which a task may start. Tasks of the first trial always may, so that there
        is a result."""
        if not self.work.race.scores and next(iter(self.waiting.values()))[0] in self.waiting[task]:
            return inf
        return self.pace.time_left()

    def receive(self, tasks: Sequence[Task], answer: Any) -> None:
        """Take the outcomes of a batch, or the death of its worker."""
        if isinstance(answer, Died):
            self._lost(tasks, answer)
            return
        # Fewer outcomes than tasks: time was over before the end of the batch.
        self.is_over |= len(answer) < len(tasks)
        for task, outcome in zip(tasks, answer, strict=False):
            if isinstance(outcome, Exception):
                raise outcome
            self._arrived(task, outcome)

    def _arrived(self, task: Task, outcome: Outcome) -> None:
        """Note an outcome, and tell the race of the trials that now have all of theirs."""
        self.suspects.pop(task, None)
        trials = self.waiting.pop(task)
        self.pace.arrived(task, outcome)
        self.watchers.arrived(trials[0], task, outcome)
        self.work.known[task] = outcome
        for trial in trials:
            if all(other in self.work.known for other in self.work.tasks(trial)):
                self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        outcomes = [self.work.known[task] for task in self.work.tasks(trial)]
        cost = sum(outcome.seconds for outcome in outcomes)
        move = self.work.race.tell(trial, self.work.score(outcomes), cost)
        self.watchers.told(trial, move)

    def _lost(self, tasks: Sequence[Task], died: Died) -> None:
        for task in tasks:
            self.suspects[task] += died.kills if len(tasks) == 1 else 0
            if self.work.is_late(task):
                self._arrived(task, self.work.lost(task, "it ran over fit_timeout"))
            elif self.suspects[task] >= 2:
                self._arrived(task, self.work.lost(task, "it killed its worker twice"))


@dataclass(frozen=True)
class _Settings:
    """The process that makes this object, and its settings; the filters of warnings are copied."""

    parent: int = field(default_factory=os.getpid)
    config: dict[str, Any] = field(default_factory=get_config)
    filters: list[Any] = field(default_factory=lambda: list(warnings.filters))


def _evaluate_batch(
    evaluates: Sequence[Callable[..., Outcome]],
    settings: _Settings,
    seconds: float,
    args: Sequence[tuple[Any, ...]],
) -> list[Outcome | Exception]:
    """Run on a worker: the outcomes of those evaluations of a batch that start within ``seconds``.

    An exception is returned; if it were raised, the other outcomes would be lost.
    """
    end = time.monotonic() + seconds
    outcomes: list[Outcome | Exception] = []
    in_worker = os.getpid() != settings.parent
    for evaluate, of_task in zip(evaluates, args, strict=True):
        if time.monotonic() > end:
            break
        filters = warnings.catch_warnings() if in_worker else nullcontext()
        # Set anew for each evaluation, so that none sees what another one of its batch has set.
        with config_context(**settings.config), filters:
            if in_worker:
                warnings.filters = settings.filters[:]
            try:
                outcomes.append(evaluate(*of_task))
            except Exception as error:
                if in_worker:
                    # The traceback does not survive the way between processes; a note does.
                    error.add_note(f"On a worker:\n{format_exc()}")
                outcomes.append(error)
    return outcomes
