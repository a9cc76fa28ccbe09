"""How busy a search keeps its workers: the time it takes over the least that it could take.

    python -m benchmarks.parallel [ROUNDS]

The race without joblib, in simulated time, up to 1,024 workers. With ``ROUNDS`` also Hyperband of
69 evaluations whose fits sleep, so that 16 workers need no 16 cores.

No order can beat the bound. It is the time of all work shared out evenly, or, if that is longer,
the time of the longest bracket when it has all workers to itself; there a rung takes as long as its
longest evaluation, or its even share if that is longer. ``multiprocessing`` is one of the backends
that get waves.
"""

import heapq
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from benchmarks.measure import markdown, spread, timed
from skhalving import HyperbandSearchCV
from skhalving.race import Race, Trial
from skhalving.schedule import Schedule, hedged, ladder, published

SECONDS = 5.0  # fits sleep so long that no search can take less
Rungs = dict[Any, list[float]]  # seconds of all evaluations of a rung, or of several together


def constant(n: int) -> np.ndarray:
    """How long each of n candidates takes for a unit of resource."""
    return np.ones(n)


def log_normal(n: int) -> np.ndarray:
    """One in six takes more than e times the median."""
    return np.random.RandomState(0).lognormal(size=n)


def score(number: int) -> float:
    """Of a candidate; it has nothing to do with how long it takes."""
    return number * 0.618 % 1


# -- simulated -------------------------------------------------------------------------------------


def times_of(schedule: Schedule, trial: Trial, seconds: np.ndarray) -> list[float]:
    """Of all evaluations of a trial."""
    level = schedule.levels[trial.level]
    return [seconds[trial.candidate] * level.n_resources] * level.n_folds


def rungs_of(schedule: Schedule, seconds: np.ndarray, key: Callable[[Trial], Any]) -> Rungs:
    """The times of all evaluations, those with an equal ``key(trial)`` together."""
    race, rungs = Race(schedule), defaultdict(list)
    while trial := race.ask():
        rungs[key(trial)] += times_of(schedule, trial, seconds)
        race.tell(trial, score(trial.candidate))
    return rungs


def bracket_and_level(trial: Trial) -> tuple[int, int]:
    return trial.bracket, trial.level


def bound(rungs: Rungs, n_workers: int) -> float:
    """The least that all can take: ``rungs[bracket, ...]`` are the times of a rung."""
    alone: dict[int, float] = defaultdict(float)
    for (bracket, _), rung in rungs.items():
        alone[bracket] += max(*rung, sum(rung) / n_workers, 0)
    return max(sum(map(sum, rungs.values())) / n_workers, *alone.values())


def simulated_bound(schedule: Schedule, seconds: np.ndarray, n_workers: int) -> float:
    return bound(rungs_of(schedule, seconds, bracket_and_level), n_workers)


def one_after_another(rungs: Rungs, n_workers: int) -> float:
    """The makespan if all of a rung ends before the next begins; the longest evaluations first."""
    total = 0.0
    for times in rungs.values():
        ends = [0.0] * n_workers
        for each in sorted(times, reverse=True):
            heapq.heapreplace(ends, ends[0] + each)
        total += max(ends)
    return total


def one_by_one(schedule: Schedule, seconds: np.ndarray, n_workers: int) -> float:
    """Brackets one after another, rung after rung."""
    return one_after_another(rungs_of(schedule, seconds, bracket_and_level), n_workers)


def by_levels(schedule: Schedule, seconds: np.ndarray, n_workers: int) -> float:
    """As waves: all of a level, over brackets, before any of the next."""
    return one_after_another(rungs_of(schedule, seconds, lambda trial: trial.level), n_workers)


def simulate(schedule: Schedule, seconds: np.ndarray, n_workers: int) -> float:
    """The makespan of a race: exactly ``n_workers`` evaluations run, chosen one by one."""
    race, clock, free = Race(schedule), 0.0, n_workers
    ready: list[tuple[Trial, float]] = []
    running: list[tuple[float, Trial]] = []
    missing, costs = {}, {}
    while True:
        while free and (ready or (trial := race.ask())):
            if not ready:
                times = times_of(schedule, trial, seconds)
                costs[trial], missing[trial] = sum(times), len(times)
                ready = [(trial, each) for each in times]
            trial, each = ready.pop()
            free -= 1
            heapq.heappush(running, (clock + each, trial))
        if not running:
            return clock
        clock = running[0][0]
        while running and running[0][0] == clock:  # as `run` waits for what ends together
            _, trial = heapq.heappop(running)
            free += 1
            missing[trial] -= 1
            if not missing[trial]:
                race.tell(trial, score(trial.candidate), costs[trial])


def simulated() -> Iterable[Sequence[str]]:
    """The race alone, which any machine repeats: R=81, 5 folds on every rung."""
    for rule in (published, hedged):
        schedule = rule(ladder(81, 1, 3, [5]), 3)
        for n_workers in (4, 16, 64, 256, 1024):
            for times in (constant, log_normal):
                race = (schedule, times(schedule.n_candidates), n_workers)
                ways = (one_by_one, by_levels, simulate)
                ratios = (f"{way(*race) / simulated_bound(*race):.2f}" for way in ways)
                yield rule.__name__, str(n_workers), times.__name__, *ratios


# -- real workers ----------------------------------------------------------------------------------


class Sleeper(ClassifierMixin, BaseEstimator):
    """Sleeps as it is told to for each of its ``epochs``."""

    def __init__(self, epochs: int = 27, number: int = 0, seconds: float = 0.0) -> None:
        self.epochs = epochs
        self.number = number
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        time.sleep(self.seconds * self.epochs)
        return self

    def score(self, X: Any, y: Any) -> float:
        return score(self.number)


def sleep(times: Callable[[int], np.ndarray], n_jobs: int) -> float:
    """Seconds of a search over the least that they could be."""
    schedule = published(ladder(27, 1, 3), 3)
    units = times(schedule.n_candidates)
    units = units * SECONDS / simulated_bound(schedule, units, n_jobs)
    search = HyperbandSearchCV(
        Sleeper(),
        [{"number": [i], "seconds": [unit]} for i, unit in enumerate(units.tolist())],
        resource="epochs",
        min_resources=1,
        schedule="published",
        folds="all",
        cv=[(np.arange(20), np.arange(20, 30))],
        refit=False,
        n_jobs=n_jobs,
        random_state=0,
    )
    X, y = np.zeros((30, 1)), np.arange(30) % 2
    seconds, _ = timed(search.fit, X, y, clock=time.perf_counter)
    names, rungs = ("bracket", "iter", "n_resources", "params"), defaultdict(list)
    for bracket, i, amount, params in zip(*map(search.all_cv_results_.get, names), strict=True):
        rungs[bracket, i].append(params["seconds"] * amount)
    return seconds / bound(rungs, n_jobs)


def wake() -> None:
    """A worker's first task imports scikit-learn, which is not what is measured."""
    import skhalving.search  # noqa: F401

    time.sleep(1)


def slept(rounds: int) -> Iterable[Sequence[str]]:
    for n_workers in (4, 16):
        for name in ("loky", "threading", "dask", "multiprocessing"):
            with ExitStack() as stack:
                if name == "dask":
                    from distributed import Client

                    options = {"threads_per_worker": 1, "dashboard_address": None}
                    stack.enter_context(Client(n_workers=n_workers, **options))
                stack.enter_context(joblib.parallel_config(backend=name))
                for _ in range(2):
                    joblib.Parallel(n_workers)(joblib.delayed(wake)() for _ in range(n_workers))
                for times in (constant, log_normal):
                    ratios = [sleep(times, n_workers) for _ in range(rounds)]
                    yield name, str(n_workers), times.__name__, spread(ratios)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    head = ["schedule", "workers", "times", "in turn", "waves", "ours"]
    print(markdown(head, simulated()))
    if sys.argv[1:]:
        print(markdown(["backend", *head[1:3], "makespan / bound"], slept(int(sys.argv[1]))))
