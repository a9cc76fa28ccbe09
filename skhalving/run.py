"""The only loop: ask the race for a wave, skip what is known, run the rest with joblib, tell.

The estimators and the plain functions hand it their ``evaluate``; it knows nothing of either. A
trial is one or more tasks, one for each fold; the result of a task is kept under (candidate, fold,
amount), so a fold that a candidate was scored on at the same amount is never run again.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn.utils.parallel import Parallel, delayed

from skhalving.race import Race, Trial


class Task(NamedTuple):
    """One evaluation, and the name that its result is known by."""

    candidate: int
    fold: int
    amount: int


def run(
    race: Race,
    tasks_of: Callable[[Trial], list[Task]],
    evaluate: Callable[..., Any],
    arguments: Callable[[Task], tuple[Any, ...]],
    score: Callable[[list[Any]], float],
    known: dict[Task, Any],
    *,
    record: Callable[[Task, Any], None],
    parallel: dict[str, Any],
    level: Callable[[list[Trial], list[Task]], AbstractContextManager[Any]],
) -> None:
    """Run a race to its end.

    Parameters
    ----------
    race : Race
        Fresh; told every score on return.

    tasks_of : callable
        The evaluations that a trial consists of; trials may share them.

    evaluate : callable
        ``evaluate(task, *arguments(task))`` runs on a worker and returns a result.

    arguments : callable
        Called in this process, for every task of a wave before the wave starts.

    score : callable
        From a trial's results, one a fold, to the number that it races with.

    known : dict of Task to result
        What is in it is not run; every result is put in it as it arrives.

    record : callable
        ``record(task, result)`` is called in this process with every result as it arrives.

    parallel : dict
        Arguments of ``joblib.Parallel``.

    level : callable
        ``level(trials, tasks)`` is entered around each wave.
    """
    with _parallel(**parallel) as pool:
        while wave := race.wave():
            waiting = {trial: tasks_of(trial) for trial in wave}
            trials_of: dict[Task, list[Trial]] = defaultdict(list)
            for trial, tasks in waiting.items():
                for task in tasks:
                    trials_of[task].append(trial)
            todo = [task for task in trials_of if task not in known]

            def tell_if_whole(trials: Iterable[Trial], waiting: Any = waiting) -> None:
                for trial in trials:
                    if all(task in known for task in waiting[trial]):
                        race.tell(trial, score([known[task] for task in waiting[trial]]))

            with level(wave, todo):
                tell_if_whole(wave)
                calls = [
                    delayed(_attempt)(os.getpid(), evaluate, task, *arguments(task))
                    for task in todo
                ]
                with _closing_quietly(pool(calls)) as results:
                    for task, result in results:
                        if isinstance(result, Exception):
                            raise result
                        record(task, result)
                        known[task] = result
                        tell_if_whole(trials_of[task])


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


def _attempt(
    parent: int, evaluate: Callable[..., Any], task: Task, *arguments: Any
) -> tuple[Task, Any]:
    """Errors come back as values: one raised through joblib would cost the other results."""
    try:
        return task, evaluate(task, *arguments)
    except Exception as error:
        if os.getpid() != parent:
            # The traceback does not survive the way between processes; a note does.
            error.add_note(f"On a worker:\n{format_exc()}")
        return task, error


def _parallel(**options: Any) -> Parallel:
    """Results as they arrive where joblib's backend can do that, else as a list (ray, spark)."""
    try:
        return Parallel(return_as="generator_unordered", **options)
    except ValueError as error:
        if "return_as" not in str(error):
            raise
        return Parallel(**options)


class Log:
    """One line a level: what ran, the best so far, the time it took and about how long is left.

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
        best = max((race.scores[trial] for trial in trials), key=lambda s: (s == s, s))
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
