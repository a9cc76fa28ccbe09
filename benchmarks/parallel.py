"""How busy a search keeps its workers: the time it takes over the least that it could take.

    python benchmarks/parallel.py [ROUNDS]

The race without joblib, in simulated time, up to 1,024 workers. With ``ROUNDS`` also Hyperband of
69 evaluations whose fits sleep, so that 16 workers need no 16 cores.

No order can beat the bound. It is the time of all work shared out evenly, or, if that is longer,
the time of the longest bracket when it has all workers to itself; there a rung takes as long as its
longest evaluation, or its even share if that is longer. ``multiprocessing`` is one of the backends
that get waves.
"""

import contextlib
import heapq
import sys
import time
import warnings
from collections import defaultdict

import joblib
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skhalving import HyperbandSearchCV
from skhalving.race import Race
from skhalving.schedule import hedged, ladder, published

SECONDS = 5.0  # fits sleep so long that no search can take less


def constant(n):
    """How long each of n candidates takes for a unit of resource."""
    return np.ones(n)


def log_normal(n):
    """One in six takes more than e times the median."""
    return np.random.RandomState(0).lognormal(size=n)


def score(number):
    """Of a candidate; it has nothing to do with how long it takes."""
    return number * 0.618 % 1


# -- simulated -------------------------------------------------------------------------------------


def simulate(schedule, seconds, n_workers):
    """The makespan of a race: exactly ``n_workers`` evaluations run, chosen one by one."""
    race, clock, free = Race(schedule), 0.0, n_workers
    ready, running, missing, costs = [], [], {}, {}
    while True:
        while free and (ready or (trial := race.ask())):
            if not ready:
                times = times_of(schedule, [trial], seconds)
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


def times_of(schedule, trials, seconds):
    """Of all evaluations of some trials."""
    levels = [schedule.levels[trial.level] for trial in trials]
    return [
        seconds[trial.candidate] * level.n_resources
        for trial, level in zip(trials, levels, strict=True)
        for _ in range(level.n_folds)
    ]


def rungs_of(schedule, seconds, key):
    """The times of all evaluations, those with an equal ``key(trial)`` together."""
    race, trials = Race(schedule), defaultdict(list)
    while trial := race.ask():
        trials[key(trial)].append(trial)
        race.tell(trial, score(trial.candidate))
    return {name: times_of(schedule, of, seconds) for name, of in trials.items()}


def longest_first(times, n_workers):
    """The makespan of independent tasks."""
    ends = [0.0] * n_workers
    for each in sorted(times, reverse=True):
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def by_levels(schedule, seconds, n_workers):
    """As waves: all of a level, over brackets, before any of the next."""
    waves = rungs_of(schedule, seconds, lambda trial: trial.level)
    return sum(longest_first(wave, n_workers) for wave in waves.values())


def one_by_one(schedule, seconds, n_workers):
    """Brackets one after another, rung after rung."""
    rungs = rungs_of(schedule, seconds, lambda trial: (trial.bracket, trial.level))
    return sum(longest_first(rung, n_workers) for rung in rungs.values())


def simulated_bound(schedule, seconds, n_workers):
    rungs = rungs_of(schedule, seconds, lambda trial: (trial.bracket, trial.level))
    return bound(rungs, n_workers)


def bound(rungs, n_workers):
    """The least that all can take: ``rungs[bracket, ...]`` are the times of a rung."""
    alone = defaultdict(float)
    for (bracket, _), rung in rungs.items():
        alone[bracket] += max(*rung, sum(rung) / n_workers, 0)
    return max(sum(map(sum, rungs.values())) / n_workers, *alone.values())


def simulated():
    """The race alone, which any machine repeats."""
    print("R=81, 5 folds on every rung; makespan / bound")
    print(f"{'brackets':>12}{'workers':>8}{'times':>12}{'in turn':>9}{'waves':>8}{'ours':>8}")
    levels = ladder(81, 1, 3, [5])
    for rule in (published, hedged):
        schedule = rule(levels, 3)
        for n_workers in (4, 16, 64, 256, 1024):
            for times in (constant, log_normal):
                seconds = times(schedule.n_candidates)
                least = simulated_bound(schedule, seconds, n_workers)
                ways = (one_by_one, by_levels, simulate)
                ratios = [way(schedule, seconds, n_workers) / least for way in ways]
                print(f"{rule.__name__:>12}{n_workers:>8}{times.__name__:>12}", end="")
                print("{:>9.2f}{:>8.2f}{:>8.2f}".format(*ratios), flush=True)


# -- real workers ----------------------------------------------------------------------------------


class Sleeper(ClassifierMixin, BaseEstimator):
    """Sleeps as it is told to for each of its ``epochs``."""

    def __init__(self, epochs=27, number=0, seconds=0.0):
        self.epochs = epochs
        self.number = number
        self.seconds = seconds

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        time.sleep(self.seconds * self.epochs)
        return self

    def score(self, X, y):
        return score(self.number)


def sleep(times, n_jobs):
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
    start = time.perf_counter()
    search.fit(np.zeros((30, 1)), np.arange(30) % 2)
    seconds = time.perf_counter() - start
    names, rungs = ("bracket", "iter", "n_resources", "params"), defaultdict(list)
    for bracket, i, amount, params in zip(*map(search.all_cv_results_.get, names), strict=True):
        rungs[bracket, i].append(params["seconds"] * amount)
    return seconds / bound(rungs, n_jobs)


@contextlib.contextmanager
def backend_of(name, n_workers):
    """joblib's backend, its workers started."""
    with contextlib.ExitStack() as stack:
        if name == "dask":
            from distributed import Client

            stack.enter_context(
                Client(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
            )
        stack.enter_context(joblib.parallel_config(backend=name))
        for _ in range(2):
            joblib.Parallel(n_jobs=n_workers)(joblib.delayed(wake)() for _ in range(n_workers))
        yield


def wake():
    """A worker's first task imports scikit-learn, which is not what is measured."""
    import skhalving.search  # noqa: F401

    time.sleep(1)


def slept(rounds):
    print(f"{'backend':<16}{'workers':>8}{'times':>12}{'makespan / bound':>26}")
    for n_workers in (4, 16):
        for name in ("loky", "threading", "dask", "multiprocessing"):
            with backend_of(name, n_workers):
                for times in (constant, log_normal):
                    ratios = [sleep(times, n_workers) for _ in range(rounds)]
                    shown = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                    print(f"{name:<16}{n_workers:>8}{times.__name__:>12}{shown:>26}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    simulated()
    if sys.argv[1:]:
        slept(int(sys.argv[1]))
