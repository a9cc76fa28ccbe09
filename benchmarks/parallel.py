"""How busy a search keeps its workers: the time it takes over the least that it could take.

    python benchmarks/parallel.py [ROUNDS]

The race without joblib, in simulated time, up to 1,024 workers. With ``ROUNDS`` also Hyperband of
69 evaluations whose fits sleep, so that 16 workers need no 16 cores.

No schedule can beat the bound: all work shared out evenly, or, if that is longer, the bracket that
takes longest when it has all workers to itself, where a rung takes as long as its longest
evaluation and its even share. ``multiprocessing`` is one of the backends that get waves.
"""

import contextlib
import heapq
import statistics
import sys
import time
import warnings

import joblib
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skhalving import HyperbandSearchCV
from skhalving.race import Race
from skhalving.schedule import hedged, ladder, published

R = 27
BOUND = 5.0  # seconds: fits sleep so long that no search can take less
X, y = np.zeros((30, 1)), np.arange(30) % 2
SPLIT = [(np.arange(20), np.arange(20, 30))]


def constant(n):
    """How long each of n candidates takes for a unit of resource."""
    return np.ones(n)


def log_normal(n):
    """One in six takes more than e times the median."""
    return np.random.RandomState(0).lognormal(size=n)


class Sleeper(ClassifierMixin, BaseEstimator):
    """Sleeps as it is told to for each of its ``epochs``; its score has nothing to do with that."""

    def __init__(self, epochs=R, number=0, seconds=0.0, scale=1.0):
        self.epochs = epochs
        self.scale = scale
        self.number = number
        self.seconds = seconds

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        time.sleep(self.seconds * self.epochs * self.scale)
        return self

    def score(self, X, y):
        return self.number * 0.618 % 1


def bound(work, n_workers):
    """Of the trials' times, ``work[bracket][rung]``: the least that all can take."""
    everything = sum(sum(rung) for bracket in work for rung in bracket)
    alone = [sum(max(*r, sum(r) / n_workers, 0) for r in bracket) for bracket in work]
    return max(everything / n_workers, *alone)


def sleep(times, n_jobs, least=BOUND):
    """Seconds of a search over the least that they could be."""
    schedule = published(ladder(R, 1, 3), 3)
    n = schedule.n_candidates
    units = times(n)
    space = [{"number": [i], "seconds": [unit]} for i, unit in enumerate(units.tolist())]
    search = HyperbandSearchCV(
        Sleeper(scale=least / simulated_bound(schedule, units, n_jobs)),
        space,
        resource="epochs",
        min_resources=1,
        schedule="published",
        folds="all",
        cv=SPLIT,
        refit=False,
        n_jobs=n_jobs,
        random_state=0,
    )
    start = time.perf_counter()
    search.fit(X, y)
    seconds = time.perf_counter() - start
    return seconds / bound(work_of(search), n_jobs)


def work_of(search):
    """What each rung's fits had to sleep."""
    results, scale = search.all_cv_results_, search.estimator.scale
    work = {}
    for bracket, i, amount, params in zip(
        *(results[name] for name in ("bracket", "iter", "n_resources", "params")), strict=True
    ):
        work.setdefault(bracket, {}).setdefault(i, []).append(params["seconds"] * amount * scale)
    return [list(rungs.values()) for rungs in work.values()]


@contextlib.contextmanager
def backend_of(name, n_workers):
    with contextlib.ExitStack() as stack:
        if name == "dask":
            from distributed import Client, LocalCluster

            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=0,
                silence_logs=50,
            )
            stack.enter_context(stack.enter_context(cluster) and Client(cluster))
        stack.enter_context(joblib.parallel_config(backend=name))
        for _ in range(2):
            joblib.Parallel(n_jobs=n_workers)(joblib.delayed(wake)() for _ in range(n_workers))
        yield


def wake():
    """A worker's first task imports scikit-learn, which is not what is measured."""
    import skhalving.search  # noqa: F401

    time.sleep(1)


# -- simulated -------------------------------------------------------------------------------------


def simulate(schedule, seconds, n_workers):
    """The makespan of a race: exactly ``n_workers`` evaluations run, chosen one by one."""
    race, clock, free = Race(schedule), 0.0, n_workers
    ready, running, missing, costs = [], [], {}, {}
    while True:
        while free and (ready or (trial := race.ask())):
            if not ready:
                level = schedule.levels[trial.level]
                each = seconds[trial.candidate] * level.n_resources
                costs[trial], missing[trial] = each * level.n_folds, level.n_folds
                ready = [(trial, each)] * level.n_folds
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
                race.tell(trial, trial.candidate * 0.618 % 1, costs[trial])


def by_levels(schedule, seconds, n_workers):
    """As waves: all of a level, over brackets, before any of the next."""
    race, waves = Race(schedule), {}
    while trial := race.ask():
        waves.setdefault(trial.level, []).append(trial)
        race.tell(trial, trial.candidate * 0.618 % 1)
    return sum(list_schedule(times_of(schedule, w, seconds), n_workers) for w in waves.values())


def one_by_one(schedule, seconds, n_workers):
    """Brackets one after another, rung after rung."""
    race, rungs = Race(schedule), {}
    while trial := race.ask():
        rungs.setdefault(trial[:2], []).append(trial)
        race.tell(trial, trial.candidate * 0.618 % 1)
    return sum(list_schedule(times_of(schedule, r, seconds), n_workers) for r in rungs.values())


def times_of(schedule, trials, seconds):
    levels = [schedule.levels[trial.level] for trial in trials]
    each = [
        seconds[t.candidate] * level.n_resources for t, level in zip(trials, levels, strict=True)
    ]
    return [time for time, level in zip(each, levels, strict=True) for _ in range(level.n_folds)]


def list_schedule(times, n_workers):
    """The makespan of independent tasks, longest first."""
    ends = [0.0] * n_workers
    for each in sorted(times, reverse=True):
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def simulated_bound(schedule, seconds, n_workers):
    race, rungs = Race(schedule), [{} for _ in schedule]
    while trial := race.ask():
        times = times_of(schedule, [trial], seconds)
        rungs[trial.bracket].setdefault(trial.level, []).extend(times)
        race.tell(trial, trial.candidate * 0.618 % 1)
    return bound([list(bracket.values()) for bracket in rungs], n_workers)


def slept(rounds):
    """Real searches on real workers."""
    print(f"{'backend':<16}{'workers':>8}{'times':>12}{'makespan / bound':>26}")
    for n_workers in (4, 16):
        for name in ("loky", "threading", "dask", "multiprocessing"):
            with backend_of(name, n_workers):
                for times in (constant, log_normal):
                    ratios = [sleep(times, n_workers) for _ in range(rounds)]
                    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                    shown = f"{statistics.median(ratios):>8.2f} ({spread})"
                    print(f"{name:<16}{n_workers:>8}{times.__name__:>12}{shown:>26}", flush=True)


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
                turns, waves, ours = (
                    run(schedule, seconds, n_workers) / least
                    for run in (one_by_one, by_levels, simulate)
                )
                print(f"{rule.__name__:>12}{n_workers:>8}{times.__name__:>12}", end="")
                print(f"{turns:>9.2f}{waves:>8.2f}{ours:>8.2f}", flush=True)


def main(rounds=0):
    warnings.simplefilter("ignore")
    simulated()
    if rounds:
        slept(rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
