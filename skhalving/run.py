"""The only loop: ask the race for a trial, skip what is known, send the rest to workers, tell.

The estimators and the plain functions hand it a ``Job``; it knows nothing of either. A trial is one
or more tasks, one for each fold. The result of a task is kept under (candidate, fold, amount), so a
fold that a candidate was scored on at the same amount is never run again, nor is what a journal
knows.

As many tasks are in flight as there are workers, and the next is chosen when one returns; no rung
waits for another bracket's. Tasks that take no time go in batches.

When a worker dies, what was in flight runs again one at a time, so that the culprit is known: a
task that kills its worker twice, running alone, has failed.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import nullcontext
from math import inf
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn import config_context, get_config

from skhalving.race import Race, Trial
from skhalving.workers import Call, WorkerDied, Workers, workers


class Task(NamedTuple):
    """One evaluation, and the name that its result is known by."""

    candidate: int
    fold: int
    amount: int


class Job:
    """What is raced: its evaluations, and what becomes of their results.

    ``job.evaluate_for(task)(task, *job.arguments(task, level))`` runs on a worker and returns a
    result, never None; all else is called in this process.
    """

    def evaluate_for(self, task: Task) -> Any:
        """What is called on a worker; one object for all tasks that share what is in it."""
        raise NotImplementedError

    def tasks_of(self, trial: Trial) -> list[Task]:
        """The evaluations of a trial; trials may share them."""
        raise NotImplementedError

    def arguments(self, task: Task, level: int) -> tuple[Any, ...]:
        """What goes along with a task, asked once."""
        raise NotImplementedError

    def score(self, results: list[Any]) -> float:
        """From a trial's results, one a fold, to the number that it races with."""
        raise NotImplementedError

    def seconds(self, result: Any) -> float:
        """What a result cost."""
        raise NotImplementedError

    def record(self, task: Task, result: Any) -> None:
        """Called with every result as it arrives."""

    def cut(self) -> None:
        """Called when a rung is whole: some candidates have left the race."""

    def level_begins(self, level: int) -> None:
        """Called before the first evaluation of a level."""

    def level_ends(self, level: int, evaluated: Mapping[int, int]) -> None:
        """Called after the last one, with the number of evaluations of every level so far."""

    def not_after(self) -> float:
        """The time (``time.time()``) after which nothing starts, as known by now."""
        return inf

    def is_late(self, task: Task) -> bool:
        """Whether the task ended its worker itself, because it took too long."""
        return False

    def failed(self, task: Task, reason: str) -> Any:
        """The result of a task that took its worker down."""
        raise RuntimeError(f"{task}: {reason}")


# A call costs about that much on the way, however short it is.
_LEAST_SECONDS = 1e-3

# Results of fits that end together arrive within so many seconds of one another, and that share of
# the next fit's time may be spent on waiting for them.
_LINGER, _LINGER_SHARE = 0.02, 0.03


def run(race: Race, job: Job, known: dict[Task, Any], **parallel: Any) -> bool:
    """Run a race; True if to its end, False if time ran out.

    Parameters
    ----------
    race : Race
        Told every score that it can be.

    job : Job
        What is raced.

    known : dict of Task to result
        What is in it is not run; every result is put in it as it arrives.

    **parallel
        Arguments of ``joblib.Parallel``. One pool serves the whole race: a fresh one would write
        the data out again.
    """
    queue = _Queue(race, job, known)
    with workers(**parallel) as pool:
        while True:
            while pool.n_free > 0 and (tasks := queue.take(pool)):
                pool.send(tasks, [queue.call(task, pool) for task in tasks])
            if not pool.n_flying:
                return queue.close()
            for tasks, results in pool.receive(queue.linger()):
                if isinstance(results, WorkerDied):
                    queue.lost(tasks, results)
                else:
                    for task, result in zip(tasks, results, strict=True):
                        queue.arrived(task, result)


class _Queue:
    """Tasks in the order in which the race hands out their trials, each once, and who awaits them.

    A trial is told when all its tasks are known.
    """

    def __init__(self, race: Race, job: Job, known: dict[Task, Any]) -> None:
        self._race, self._job, self._known = race, job, known
        self._left: deque[Task] = deque()
        self._awaited: dict[Task, list[Trial]] = {}
        self._arguments: dict[Task, tuple[Any, ...]] = {}
        self._shared: dict[int, tuple[Any, Any]] = {}
        self._missing: dict[Trial, int] = {}
        self._untold: dict[int, int] = {}  # trials of the levels that have begun
        self._evaluated: Counter[int] = Counter()
        self._n_parts = 1  # tasks of a trial
        self._spent: dict[int, list[float]] = {}
        self._suspects: list[Task] = []
        self._kills: Counter[Task] = Counter()
        self._exempt: list[Task] | None = None
        self._late = False

    def take(self, pool: Workers) -> list[Task]:
        """A batch to send; empty if what is left must wait, or time is over."""
        if self._late:
            return []
        if self._suspects:
            return [] if pool.n_flying else self._suspects[:1]
        if not self._fill():
            return []
        if time.time() > self._not_after(self._left[0]):
            self._late = True
            return []
        size, batch = self._batch_size(pool), [self._left.popleft()]
        while len(batch) < size and self._fill() and self._left[0].amount == batch[0].amount:
            batch.append(self._left.popleft())
        return batch

    def _fill(self) -> bool:
        """Whether there is a task to run; asks the race until there is, or it has none."""
        while not self._left and (trial := self._race.ask()) is not None:
            if trial.level not in self._untold:
                self._untold[trial.level] = self._race.schedule.candidates_at(trial.level)
                self._job.level_begins(trial.level)
            tasks = self._job.tasks_of(trial)
            self._n_parts = len(tasks)
            missing = [task for task in tasks if task not in self._known]
            if self._exempt is None:
                # Whatever the time limit, one candidate is evaluated.
                self._exempt = [] if self._known else missing
            self._left += (task for task in missing if task not in self._awaited)
            for task in missing:
                self._awaited.setdefault(task, []).append(trial)
            self._missing[trial] = len(missing)
            if not missing:
                self._tell(trial)
        return bool(self._left)

    def _batch_size(self, pool: Workers) -> int:
        """As many as fill ``batch_seconds``, by what such tasks took; towards the end of what is
        ready half a worker's share, so that none is left alone with the last batch."""
        seconds = self._seconds(self._left[0].amount)
        if seconds is None:
            return 1
        most = pool.batch_seconds / max(_LEAST_SECONDS, seconds)
        n_tasks = len(self._left) + self._race.n_ready * self._n_parts
        return max(1, int(min(most, max(n_tasks / (2 * pool.n_workers), most / 10))))

    def _seconds(self, amount: int) -> float | None:
        """Of a task, by what such tasks took, or smaller ones; None as long as nothing is known."""
        below = max((a for a in self._spent if a <= amount), default=None)
        if below is None:
            return None
        n, seconds = self._spent[below]
        return seconds / n * amount / below

    def linger(self) -> float:
        """How long to wait, before the next choice, for what ends along with the last.

        Results that end together arrive one by one, and a choice between two of them would send a
        worker into a long fit just before a lower rung is whole.
        """
        upcoming = self._awaited[self._left[0]][0] if self._left else self._race.next
        if upcoming is None or all(t[0].level >= upcoming.level for t in self._awaited.values()):
            return 0.0
        seconds = self._seconds(self._race.rung(upcoming).n_resources) or 0.0
        return min(_LINGER, _LINGER_SHARE * seconds)

    def call(self, task: Task, pool: Workers) -> Call:
        """What a worker does for a task."""
        evaluate = self._job.evaluate_for(task)
        if id(evaluate) not in self._shared:
            self._shared[id(evaluate)] = evaluate, pool.share(_Shared(evaluate))
        if task not in self._arguments:
            self._arguments[task] = self._job.arguments(task, self._awaited[task][0].level)
        shared = self._shared[id(evaluate)][1]
        return _attempt, (shared, self._not_after(task), task, *self._arguments[task]), {}

    def _not_after(self, task: Task) -> float:
        return inf if self._exempt and task in self._exempt else self._job.not_after()

    def arrived(self, task: Task, result: Any) -> None:
        """Record a result, and tell of the trials that have all of theirs."""
        if result is None:
            self._late = True  # it waited for too long
            return
        if isinstance(result, Exception):
            raise result
        self._job.record(task, result)
        self._known[task] = result
        spent = self._spent.setdefault(task.amount, [0, 0.0])
        spent[0] += 1
        spent[1] += self._job.seconds(result)
        if task in self._suspects:
            self._suspects.remove(task)
        del self._arguments[task]
        trials = self._awaited.pop(task)
        self._evaluated[trials[0].level] += 1
        for trial in trials:
            self._missing[trial] -= 1
            if not self._missing[trial]:
                self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        results = [self._known[task] for task in self._job.tasks_of(trial)]
        cost = sum(map(self._job.seconds, results))
        if self._race.tell(trial, self._job.score(results), cost):
            self._job.cut()
        self._untold[trial.level] -= 1
        if not self._untold[trial.level]:
            self._job.level_ends(trial.level, self._evaluated)

    def lost(self, tasks: list[Task], died: WorkerDied) -> None:
        """Tasks that were in flight when a worker died: again, alone, but for a known culprit."""
        for task in tasks:
            self._kills[task] += task in self._suspects
            late = self._job.is_late(task)
            if late or self._kills[task] == 2 or (died.certain and len(tasks) == 1):
                reason = "it ran over fit_timeout" if late else "it killed its worker twice"
                self.arrived(task, self._job.failed(task, reason))
            elif task not in self._suspects:
                self._suspects.append(task)

    def close(self) -> bool:
        """End the levels that time left unfinished; whether it left none."""
        for level, untold in self._untold.items():
            if untold:
                self._job.level_ends(level, self._evaluated)
        return not self._late


class _Shared:
    """What all calls have in common: how to evaluate, and the settings of this thread."""

    def __init__(self, evaluate: Any) -> None:
        self.evaluate = evaluate
        self.parent = os.getpid()
        self.config = get_config()
        self.filters = list(warnings.filters)


def _attempt(shared: _Shared, not_after: float, task: Task, *arguments: Any) -> Any:
    """On a worker. Errors come back as values: one raised would cost the other results."""
    if time.time() > not_after:
        return None
    in_worker = os.getpid() != shared.parent
    with config_context(**shared.config), warnings.catch_warnings() if in_worker else nullcontext():
        if in_worker:
            warnings.filters = shared.filters
        try:
            return shared.evaluate(task, *arguments)
        except Exception as error:
            if in_worker:
                # The traceback does not survive the way between processes; a note does.
                error.add_note(f"On a worker:\n{format_exc()}")
            return error


class Log:
    """One line a level: what ran, the best of it, the time so far and about how long is left.

    The time left is what the evaluations cost so far, for each unit of resource, times the units of
    the evaluations to come.
    """

    def __init__(self, race: Race, unit: str, sign: int = 1) -> None:
        self._race, self._unit, self._sign = race, unit, sign
        self._start = time.perf_counter()

    def line(self, level: int, evaluated: Mapping[int, int]) -> str:
        """For a level whose trials have been told."""
        plan = self._race.schedule
        here, is_last = plan.levels[level], level + 1 == len(plan.levels)
        elapsed = time.perf_counter() - self._start
        done = sum(n * plan.levels[i].n_resources for i, n in evaluated.items())
        left = elapsed * self._units_left(level, evaluated) / max(1, done)
        scores = [score for trial, score in self._race.scores.items() if trial.level == level]
        best = max(scores, key=lambda s: (s == s, s), default=float("nan"))
        return (
            f"level {level + 1} of {len(plan.levels)}: {len(scores)} candidates, "
            f"{self._unit}={here.n_resources}, {here.n_folds} fold{'s'[: here.n_folds > 1]}, "
            f"{evaluated.get(level, 0)} evaluations; best {self._sign * best:.4g}; "
            f"{elapsed:.1f} s elapsed" + ("" if is_last else f", about {left:.1f} s left")
        )

    def _units_left(self, level: int, evaluated: Mapping[int, int]) -> int:
        plan = self._race.schedule
        return sum(
            max(0, plan.fits_at(i) - evaluated.get(i, 0)) * plan.levels[i].n_resources
            for i in range(level + 1, len(plan.levels))
        )
