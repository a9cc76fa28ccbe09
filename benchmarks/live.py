"""Run the methods for real, a task, a method and a seed at a time, and write down what came out.

Every run is a line of ``live.jsonl``: CPU seconds of the process tree, the score of the answer at
full resource over all folds, and its score on the rows held out; or the error, also of a package
that is missing. A run that is in the file is not run again, so the figures grow with every budget.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zlib import crc32

from sklearn.base import clone
from sklearn.metrics import check_scoring
from threadpoolctl import threadpool_limits

from benchmarks.methods import METHODS, N_CONFIGURATIONS, Problem, applies
from benchmarks.replay import Table
from benchmarks.tasks import TASKS, Task

RECORD = Path(__file__).parent / "live.jsonl"
N_SEEDS = 5
# What a method may cost, in times what random search costs.
LIMIT = 4.0
STOPPED = "stopped after"
ONCE = ("GridSearchCV",)  # has no seed
PACKAGES = ("scikit-learn", "numpy", "scipy", "optuna", "scikit-optimize", "lightgbm", "dask-ml")


class OutOfTime(BaseException):
    """Not an Exception: those are caught and scored as failed fits."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the main thread when so much CPU time has passed."""

    def stop(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def cpu_seconds() -> float:
    """Of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Its name where Linux tells, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> dict[str, Any]:
    """Where and when."""
    return {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        **{package: installed(package) for package in PACKAGES},
    }


def random_state(task: Task, seed: int) -> int:
    """Other draws on every task: several share a space, and would share the luck of a seed."""
    return crc32(f"{task.name}, {seed}".encode())


def run_one(task: Task, method: str, seed: int, limit: float) -> dict[str, Any]:
    """One line of the record."""
    state = random_state(task, seed)
    line: dict[str, Any] = {"task": task.name, "method": method, "seed": seed}
    line |= {"random_state": state, **machine()}
    try:
        X, X_test, y, y_test = task.load()
        problem = Problem(task, X, y, task.splits(X, y), state)
        start, wall = cpu_seconds(), time.perf_counter()
        with time_limit(limit):
            params = METHODS[method](problem)
    except OutOfTime:
        return {**line, "error": f"{STOPPED} {limit:.0f} CPU seconds"}
    except Exception as error:
        return {**line, "error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    line |= {"cpu": cpu_seconds() - start, "wall": time.perf_counter() - wall}
    model = clone(task.estimator()).set_params(**params).fit(X, y)
    return {
        **line,
        "quality": problem.score(params),
        "test": float(check_scoring(model)(model, X_test, y_test)),
        "params": {name: repr(value) for name, value in params.items()},
    }


def recorded() -> list[dict[str, Any]]:
    """The lines so far."""
    if not RECORD.exists():
        return []
    return [json.loads(line) for line in RECORD.read_text().splitlines()]


def run_what_fits(tables: list[Table], budget: float) -> None:
    """So many CPU seconds of runs: every method on every task, then again with another seed.

    Cheap tasks come first, and a run is left out when its like did not fit into what is left.
    """
    start = cpu_seconds()
    done = {(line["task"], line["method"], line["seed"]) for line in recorded()}
    failed = {(line["task"], line["method"]) for line in recorded() if "error" in line}
    todo = [
        (table, method, seed)
        for seed in range(N_SEEDS)
        for method in METHODS
        for table in sorted(tables, key=lambda table: table.full_cost)
        if applies(method, TASKS[table.name]) and (seed == 0 or method not in ONCE)
    ]
    for i, (table, method, seed) in enumerate(todo):
        limit = LIMIT * N_CONFIGURATIONS * table.full_cost
        left = budget - (cpu_seconds() - start)
        run = (table.name, method)
        if (*run, seed) in done or run in failed or left < limit / LIMIT:
            continue
        progress(i / len(todo), f"{table.name}, {method}, seed {seed}", left)
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = run_one(TASKS[table.name], method, seed, min(limit, left))
        if left < limit and line.get("error", "").startswith(STOPPED):
            continue  # the budget's fault, not the method's
        if "error" in line:
            failed.add(run)
        with RECORD.open("a") as file:
            print(json.dumps(line), file=file)
    progress(1.0, "done", 0.0)
    print(file=sys.stderr)


def progress(share: float, what: str, left: float) -> None:
    """A bar that is drawn over itself."""
    bar = "#" * round(20 * share)
    print(f"\r[{bar:<20}] {left:5.0f} s left  {what:<60}", end="", file=sys.stderr, flush=True)
