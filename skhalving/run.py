"""The only loop: ask the race for a wave, skip what is known, run the rest with joblib, tell.

The estimators and the plain functions hand it a ``Job``; it knows nothing of either. A trial is one
or more tasks, one for each fold. The result of a task is kept under (candidate, fold, amount), so a
fold that a candidate was scored on at the same amount is never run again, nor is what a journal
knows.

When a worker dies, everything in flight is lost to joblib. What had arrived is kept, and what
was lost runs again one at a time, so that the culprit is known: a task that kills its worker twice,
running alone, has failed.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from math import inf
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn.utils.parallel import Parallel, delayed

from skhalving.joblib_private import is_dead_worker, report_dead_workers
from skhalving.race import Race, Trial


class Task(NamedTuple):
    """One evaluation, and the name that its result is known by."""

    candidate: int
    fold: int
    amount: int


class Job:
    """What is raced: its evaluations, and what becomes of their results.

    ``evaluate(task, *job.arguments(task))`` runs on a worker and returns a result, never None; all
    else is called in this process.
    """

    evaluate: Any

    def tasks_of(self, trial: Trial) -> list[Task]:
        """The evaluations of a trial; trials may share them."""
        raise NotImplementedError

    def arguments(self, task: Task) -> tuple[Any, ...]:
        """Asked for every task of a wave before the wave starts."""
        raise NotImplementedError

    def score(self, results: list[Any]) -> float:
        """From a trial's results, one a fold, to the number that it races with."""
        raise NotImplementedError

    def record(self, task: Task, result: Any) -> None:
        """Called with every result as it arrives."""

    def level(self, trials: list[Trial], tasks: list[Task]) -> Any:
        """A context around each wave and the tasks of it that are not known."""
        return nullcontext()

    def not_after(self) -> float:
        """The time (``time.time()``) after which nothing starts, as known by now."""
        return inf

    def is_late(self, task: Task) -> bool:
        """Whether the task ended its worker itself, because it took too long."""
        return False

    def failed(self, task: Task, reason: str) -> Any:
        """The result of a task that took its worker down."""
        raise RuntimeError(f"{task}: {reason}")


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
    with _parallel(**parallel) as pool:
        report_dead_workers(pool)
        while wave := race.wave():
            parts = {trial: job.tasks_of(trial) for trial in wave}
            trials_of: dict[Task, list[Trial]] = defaultdict(list)
            for trial, tasks in parts.items():
                for task in tasks:
                    trials_of[task].append(trial)
            todo = [task for task in trials_of if task not in known]
            with job.level(wave, todo):
                _tell(race, job, known, parts, wave)
                # Whatever the time limit, one candidate is evaluated.
                exempt = () if known else parts[wave[0]]
                for task, result in _results(pool, job, todo, exempt):
                    if isinstance(result, Exception):
                        raise result
                    job.record(task, result)
                    known[task] = result
                    _tell(race, job, known, parts, trials_of[task])
            if any(task not in known for task in todo):
                return False
    return True


def _tell(
    race: Race,
    job: Job,
    known: dict[Task, Any],
    parts: dict[Trial, list[Task]],
    trials: Iterable[Trial],
) -> None:
    """Tell the race of those trials all of whose tasks are known."""
    for trial in trials:
        if all(task in known for task in parts[trial]):
            race.tell(trial, job.score([known[task] for task in parts[trial]]))


def _results(
    pool: Parallel, job: Job, todo: Iterable[Task], exempt: Iterable[Task]
) -> Iterator[tuple[Task, Any]]:
    """(task, result) as they arrive; without those that time did not allow."""
    # scikit-learn's callback contexts among the arguments must exist before anything is dispatched.
    arguments = {task: job.arguments(task) for task in todo}
    left = list(arguments)
    suspects: list[Task] = []
    kills: Counter[Task] = Counter()
    while left or suspects:
        batch = suspects[:1] or left
        started: list[Task] = []
        arrived: set[Task] = set()
        try:
            with _closing_quietly(pool(_calls(job, batch, arguments, exempt, started))) as results:
                for task, result in results:
                    arrived.add(task)
                    if result is not None:
                        yield task, result
            done = set(batch)
        except Exception as error:
            if not is_dead_worker(error):
                raise
            done, lost = set(arrived), [task for task in started if task not in arrived]
            guilty = [task for task in lost if task in getattr(error, "arguments", ())]
            if guilty:  # dask names the task, after trying it on several workers
                error.recover()  # type: ignore[attr-defined]
            guilty += [task for task in lost if job.is_late(task)]
            if not guilty:
                suspects += [task for task in lost if task not in suspects]
                kills.update(lost if len(batch) == 1 else ())
                guilty = [task for task in lost if kills[task] == 2]
            for task in guilty:
                late = job.is_late(task)
                reason = "it ran over fit_timeout" if late else "it killed its worker twice"
                yield task, job.failed(task, reason)
                done.add(task)
        suspects = [task for task in suspects if task not in done]
        left = [task for task in left if task not in done and task not in suspects]


def _calls(
    job: Job,
    tasks: Iterable[Task],
    arguments: dict[Task, tuple[Any, ...]],
    exempt: Iterable[Task],
    started: list[Task],
) -> Iterator[Any]:
    """joblib's tasks, noting which it has taken; none after the time limit."""
    for task in tasks:
        not_after = inf if task in exempt else job.not_after()
        if time.time() > not_after:
            return
        started.append(task)
        yield delayed(_attempt)(os.getpid(), not_after, job.evaluate, task, *arguments[task])


def _attempt(
    parent: int, not_after: float, evaluate: Callable[..., Any], task: Task, *arguments: Any
) -> tuple[Task, Any]:
    """On a worker. Errors come back as values: one raised would cost the other results."""
    if time.time() > not_after:  # it waited in the queue for too long
        return task, None
    try:
        return task, evaluate(task, *arguments)
    except Exception as error:
        if os.getpid() != parent:
            # The traceback does not survive the way between processes; a note does.
            error.add_note(f"On a worker:\n{format_exc()}")
        return task, error


@contextmanager
def _closing_quietly(results: Any) -> Iterator[Any]:
    """After an error joblib warns of every task that it stops; the error says enough."""
    try:
        yield results
    finally:
        if hasattr(results, "close"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.close()


def _parallel(**options: Any) -> Parallel:
    """Results as they arrive where joblib's backend can do that, else as a list (ray, spark)."""
    try:
        return Parallel(return_as="generator_unordered", **options)
    except ValueError as error:
        if "return_as" not in str(error):
            raise
        return Parallel(**options)


class Log:
    """One line a level: what ran, the best of it, the time so far and about how long is left.

    The time left is what the evaluations cost so far, for each unit of resource, times the units of
    the evaluations to come.
    """

    def __init__(self, race: Race, unit: str, sign: int = 1) -> None:
        self._race, self._unit, self._sign = race, unit, sign
        self._start = time.perf_counter()
        self._units_done = 0

    def level(self, trials: list[Trial], tasks: list[Task]) -> str:
        """The line, after the level's trials have been told."""
        race, n_levels = self._race, len(self._race.schedule.levels)
        rung = race.rung(trials[0])
        self._units_done += len(tasks) * rung.n_resources
        elapsed = time.perf_counter() - self._start
        left = elapsed * self._units_left(trials[0].level) / max(1, self._units_done)
        scores = [race.scores[trial] for trial in trials if trial in race.scores]
        best = max(scores, key=lambda s: (s == s, s), default=float("nan"))
        return (
            f"level {trials[0].level + 1} of {n_levels}: {len(trials)} candidates, "
            f"{self._unit}={rung.n_resources}, {rung.n_folds} fold{'s'[: rung.n_folds > 1]}, "
            f"{len(tasks)} evaluations; best {self._sign * best:.4g}; {elapsed:.1f} s elapsed"
            + (f", about {left:.1f} s left" if trials[0].level + 1 < n_levels else "")
        )

    def _units_left(self, level: int) -> int:
        plan = self._race.schedule
        above = range(level + 1, len(plan.levels))
        return sum(plan.fits_at(i) * plan.levels[i].n_resources for i in above)
