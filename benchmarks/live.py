"""Run searches for real at equal processor time, and write down what came out.

    OMP_NUM_THREADS=1 python -m benchmarks.live --seconds 600

Every method gets as much as ten configurations cost on all folds (``Problem.seconds``). Those that
propose one configuration after another are stopped then; those that are told a number of candidates
get as many as cost so much in a replay of the task's table. (``BayesHalvingSearchCV`` is told ten
evaluations, which it counts in its own way.)

A run is a line of ``live.jsonl``: CPU seconds of the process, the score of the answer at full
resource over all folds, and its score on the rows held out; or the error, also of a package that is
missing. What is in the file is not run again, so the figures grow with every call.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import RandomizedSearchCV, cross_val_score
from threadpoolctl import threadpool_limits

from benchmarks import questions, rules
from benchmarks.replay import Table, read_tables
from benchmarks.tasks import TASKS, Task
from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

RECORD = Path(__file__).parent / "live.jsonl"
BUDGET = 10  # configurations on all folds
N_SEEDS = 5
PEERS = ("optuna", "optuna-integration", "bayeshalvingsearchcv")
PACKAGES = ("scikit-learn", "numpy", "scipy", *PEERS)
Params = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What a method is given: a task, its data and folds, a seed, and CPU seconds to spend."""

    task: Task
    X: Any
    y: np.ndarray
    splits: list[tuple[np.ndarray, np.ndarray]]
    seed: int
    table: Table

    @property
    def seconds(self) -> float:
        return BUDGET * self.table.full_cost

    @property
    def common(self) -> dict[str, Any]:
        """The arguments that all searches of scikit-learn's kind share."""
        return {"cv": self.splits, "refit": False, "scoring": self.task.scoring} | {
            "random_state": self.seed
        }

    def scores(self, params: Params, folds: Any = slice(None)) -> np.ndarray:
        """On some folds, by default on all."""
        estimator = clone(self.task.estimator()).set_params(**params)
        cv, scoring = self.splits[folds], self.task.scoring
        return cross_val_score(estimator, self.X, self.y, cv=cv, scoring=scoring)

    def candidates(self, method: str) -> int:
        """How many cost as much as the budget, in replay; at most all of the table's."""
        of = rules.METHODS[method]
        sizes = [n for n in questions.SIZES if 3 <= n <= len(self.table)]
        costs = [questions.figures(of, self.table, n, 20).cost.mean() for n in sizes]
        return round(float(np.interp(np.log(BUDGET), np.log(costs), sizes)))


Method = Callable[[Problem], Params]


def random_search(p: Problem) -> Params:
    search = RandomizedSearchCV(p.task.estimator(), p.task.space, n_iter=BUDGET, **p.common)
    return search.fit(p.X, p.y).best_params_


def halving(search: type, name: str, **options: Any) -> Method:
    """A search of scikit-learn's kind that has a resource, and takes a number of candidates."""

    def method(p: Problem) -> Params:
        n, resource = p.candidates(name), p.task.resource
        all_options = {**p.common, "resource": resource, "n_candidates": n, **options}
        found = search(p.task.estimator(), p.task.space, **all_options).fit(p.X, p.y)
        return {name: value for name, value in found.best_params_.items() if name != resource}

    return method


def stock_halving(p: Problem) -> Params:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    most = p.task.estimator().get_params().get(p.task.resource, "auto")
    options = {"min_resources": "exhaust", "max_resources": most}
    return halving(HalvingRandomSearchCV, rules.STOCK, **options)(p)


# -- Optuna ----------------------------------------------------------------------------------------


def distribution_of(d: Any) -> Any:
    """What Optuna has for a list or a distribution of scipy."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(d, list):
        return CategoricalDistribution(d)
    low, high = d.support()
    if d.dist.name == "randint":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(float(low), float(high), log=d.dist.name == "loguniform")


def optuna_space(space: dict[str, Any]) -> dict[str, Any]:
    """The whole of it; from now on Optuna tells errors alone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return {name: distribution_of(d) for name, d in space.items()}


def tpe(p: Problem, prune: bool = False) -> Params:
    """Scores fold by fold; pruned, if at all, by a Wilcoxon test over the folds."""
    import optuna

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=p.seed),
        pruner=optuna.pruners.WilcoxonPruner() if prune else optuna.pruners.NopPruner(),
    )
    space, start = optuna_space(p.task.space), time.process_time()
    while time.process_time() - start < p.seconds:
        trial, scores = study.ask(space), []
        for k in range(len(p.splits)):
            scores.append(float(p.scores(trial.params, slice(k, k + 1))[0]))
            trial.report(scores[-1], k)
            if prune and trial.should_prune():
                break
        study.tell(trial, float(np.mean(scores)))
    return study.best_params


def optuna_search(p: Problem) -> Params:
    from optuna_integration import OptunaSearchCV

    start = time.process_time()

    def stop(study: Any, trial: Any) -> None:
        if time.process_time() - start >= p.seconds:
            study.stop()

    options = {"n_trials": 100 * BUDGET, "callbacks": [stop], **p.common}
    search = OptunaSearchCV(p.task.estimator(), optuna_space(p.task.space), **options)
    return search.fit(p.X, p.y).best_params_


# -- Gaussian processes on growing data ------------------------------------------------------------


def bayes_halving(p: Problem) -> Params:
    """On a grid of 25 quantiles of each distribution."""
    from bayes_halving_search_cv import BayesHalvingSearchCV

    grid = {name: values(d) for name, d in p.task.space.items()}
    # It splits parts of the data itself.
    options = {**p.common, "cv": p.task.cv(), "n_iter": BUDGET}
    return BayesHalvingSearchCV(p.task.estimator(), grid, **options).fit(p.X, p.y).best_params_


def values(d: Any, n: int = 25) -> list[Any]:
    """A list as it is, a distribution at equal quantiles."""
    if isinstance(d, list):
        return d
    points = d.ppf((np.arange(n) + 0.5) / n).tolist()
    return sorted({int(point) for point in points}) if d.dist.name == "randint" else points


METHODS: dict[str, Method] = {
    rules.RANDOM: random_search,
    rules.HEDGED: halving(HyperbandSearchCV, rules.HEDGED),
    rules.SINGLE: halving(SuccessiveHalvingSearchCV, rules.SINGLE),
    rules.PUBLISHED: halving(HyperbandSearchCV, rules.PUBLISHED, schedule="published"),
    rules.STOCK: stock_halving,
    "Optuna TPE": tpe,
    "Optuna TPE, WilcoxonPruner": partial(tpe, prune=True),
    "OptunaSearchCV": optuna_search,
    "BayesHalvingSearchCV": bayes_halving,
}


# -- running ---------------------------------------------------------------------------------------


def random_state(task: Task, seed: int) -> int:
    """Other draws on every task: several share a space, and would share the luck of a seed."""
    return crc32(f"{task.name}, {seed}".encode())


def run_one(table: Table, method: str, seed: int) -> dict[str, Any]:
    """One line of the record."""
    task = TASKS[table.name]
    X, X_held, y, y_held = task.load()
    problem = Problem(task, X, y, task.splits(X, y), random_state(task, seed), table)
    line: dict[str, Any] = {"task": task.name, "method": method, "seed": seed, **machine()}
    if method in rules.METHODS:
        problem.candidates(method)  # replayed now, and not while the clock runs
    start = time.process_time()
    try:
        params = METHODS[method](problem)
    except Exception as error:
        return {**line, "error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    line["cpu"] = time.process_time() - start
    model = clone(task.estimator()).set_params(**params).fit(X, y)
    return {
        **line,
        "quality": float(problem.scores(params).mean()),
        "held": float(task.scorer()(model, X_held, y_held)),
        "params": {name: repr(value) for name, value in params.items()},
    }


def recorded() -> list[dict[str, Any]]:
    """The lines so far."""
    if not RECORD.exists():
        return []
    return [json.loads(line) for line in RECORD.read_text().splitlines()]


def run_what_fits(tables: list[Table], seconds: float) -> None:
    """So many CPU seconds of runs: the cheapest task first, all methods on it, all seeds."""
    start = time.process_time()
    done = {(line["task"], line["method"], line["seed"]) for line in recorded()}
    for table in sorted(tables, key=lambda table: table.full_cost):
        for seed in range(N_SEEDS):
            for method in METHODS:
                if (table.name, method, seed) in done:
                    continue
                if time.process_time() - start > seconds:
                    return
                with threadpool_limits(1), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    line = run_one(table, method, seed)
                with RECORD.open("a") as file:
                    print(json.dumps(line), file=file)


def machine() -> dict[str, Any]:
    """Where and when."""
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        **{package: installed(package) for package in PACKAGES},
    }


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="CPU seconds to spend")
    run_what_fits(read_tables(), parser.parse_args().seconds)


if __name__ == "__main__":
    main()
