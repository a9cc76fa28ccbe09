"""Run searches for real at equal processor time, and write down what came out.

    OMP_NUM_THREADS=1 python -m benchmarks.live --seconds 600

Every method gets as much as ten configurations cost on all folds on this machine today
(``Problem.seconds``), whatever it was when the tables were made. Those that
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
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from joblib import Memory
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from benchmarks import questions, rules
from benchmarks.replay import Table, read_tables
from benchmarks.tasks import SEED, TASKS, Task
from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

RECORD = Path(__file__).parent / "live.jsonl"
BUDGET = 10  # configurations on all folds
N_SEEDS = 5
N_TIMED = 5  # configurations that tell how fast the machine is today
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
    slowness: float  # how much longer evaluations take now than when the table was made

    @property
    def seconds(self) -> float:
        return BUDGET * self.table.full_cost * self.slowness

    @property
    def common(self) -> dict[str, Any]:
        """The arguments that all searches of scikit-learn's kind share."""
        return {"cv": self.splits, "refit": False, "scoring": self.task.scoring} | {
            "random_state": self.seed
        }

    def scores(self, params: Params, folds: Any = slice(None)) -> np.ndarray:
        """On some folds, by default on all."""
        estimator = clone(self.task.estimator).set_params(**params)
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
    search = RandomizedSearchCV(p.task.estimator, p.task.space, n_iter=BUDGET, **p.common)
    return search.fit(p.X, p.y).best_params_


def halving(
    search: type, name: str, change: Callable[[Any], Any] = clone, **options: Any
) -> Method:
    """A search of scikit-learn's kind that has a resource, and takes a number of candidates.

    ``change`` is made to the task's estimator before the search.
    """

    def method(p: Problem) -> Params:
        n, resource = p.candidates(name), p.task.resource
        all_options = {**p.common, "resource": resource, "n_candidates": n, **options}
        found = search(change(p.task.estimator), p.task.space, **all_options).fit(p.X, p.y)
        return {name: value for name, value in found.best_params_.items() if name != resource}

    return method


def stock_halving(p: Problem) -> Params:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    most = p.task.estimator.get_params().get(p.task.resource, "auto")
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
    search = OptunaSearchCV(p.task.estimator, optuna_space(p.task.space), **options)
    return search.fit(p.X, p.y).best_params_


# -- Gaussian processes on growing data ------------------------------------------------------------


def bayes_halving(p: Problem) -> Params:
    """On a grid of 25 quantiles of each distribution."""
    from bayes_halving_search_cv import BayesHalvingSearchCV

    grid = {name: values(d) for name, d in p.task.space.items()}
    # It splits parts of the data itself.
    options = {**p.common, "cv": p.task.cv(), "n_iter": BUDGET}
    return BayesHalvingSearchCV(p.task.estimator, grid, **options).fit(p.X, p.y).best_params_


def values(d: Any, n: int = 25) -> list[Any]:
    """A list as it is, a distribution at equal quantiles."""
    if isinstance(d, list):
        return d
    points = d.ppf((np.arange(n) + 0.5) / n).tolist()
    return sorted({int(point) for point in points}) if d.dist.name == "randint" else points


# -- the default search, with one thing switched ---------------------------------------------------


def last_step(estimator: Any) -> Any:
    """Of a pipeline; any other estimator is its own."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def sharing_nothing(pipeline: Pipeline) -> Pipeline:
    """A memory given by the user is left to do its work, and this one does nothing."""
    return clone(pipeline).set_params(memory=Memory(None))


def stopping_early(estimator: Any) -> Any:
    """After 10 iterations in a row that were no better, the default of scikit-learn."""
    changed = clone(estimator)
    last_step(changed).set_params(early_stopping=True)
    return changed


def is_pipeline(task: Task) -> bool:
    return isinstance(task.estimator, Pipeline)


def is_histogram_boosting(task: Task) -> bool:
    """Of the tasks' estimators, these alone can be stopped on a validation set."""
    boosters = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    return isinstance(last_step(task.estimator), boosters)


UNSHARED, STOPPED = "nothing shared", 'early stopping on the fold, `eval_set="fold"`'
# As the default search, of as many candidates, on the tasks where the switch changes something.
SWITCHES = {UNSHARED: is_pipeline, STOPPED: is_histogram_boosting}

# -- running ---------------------------------------------------------------------------------------

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
    UNSHARED: halving(HyperbandSearchCV, rules.HEDGED, sharing_nothing),
    STOPPED: halving(HyperbandSearchCV, rules.HEDGED, stopping_early, eval_set="fold"),
}


def methods_for(task: Task) -> list[str]:
    """All peers, and what can be switched on this task."""
    return [name for name in METHODS if name not in SWITCHES or SWITCHES[name](task)]


def random_state(task: Task, seed: int) -> int:
    """Other draws on every task: several share a space, and would share the luck of a seed."""
    return crc32(f"{task.name}, {seed}".encode())


def posed(table: Table, seed: int) -> Problem:
    """A task as it is posed today: the first configurations of its table tell how fast that is."""
    task = TASKS[table.name]
    X, _, y, _ = task.load()
    problem = Problem(task, X, y, task.splits(X, y), random_state(task, seed), table, 1.0)
    start = time.process_time()
    for params in ParameterSampler(task.space, N_TIMED, random_state=SEED):
        problem.scores(params)
    then = table.cost[:N_TIMED, -1].sum()
    return replace(problem, slowness=(time.process_time() - start) / then)


def run_one(problem: Problem, method: str) -> dict[str, Any]:
    """What a method finds, and what that costs; or why it does not run."""
    # Replayed now, and not while the clock runs.
    problem.candidates(method if method in rules.METHODS else rules.HEDGED)
    start = time.process_time()
    try:
        params = METHODS[method](problem)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".split("\n")
        return {"error": " ".join(filter(None, said))[:300]}
    cpu = time.process_time() - start
    task = problem.task
    _, X_held, _, y_held = task.load()
    model = clone(task.estimator).set_params(**params).fit(problem.X, problem.y)
    return {
        "cpu": cpu,
        "full_evaluations": BUDGET * cpu / problem.seconds,
        "quality": float(problem.scores(params).mean()),
        "held": float(task.scorer()(model, X_held, y_held)),
        "params": {name: repr(value) for name, value in params.items()},
    }


def recorded() -> list[dict[str, Any]]:
    """The lines so far."""
    text = RECORD.read_text() if RECORD.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def run_what_fits(tables: list[Table], seconds: float) -> None:
    """So many CPU seconds of runs: the cheapest task first, all methods on it, all seeds."""
    start = time.process_time()
    done = {(line["task"], line["method"], line["seed"]) for line in recorded()}
    for table, seed in product(sorted(tables, key=lambda t: t.full_cost), range(N_SEEDS)):
        names = methods_for(TASKS[table.name])
        names = [name for name in names if (table.name, name, seed) not in done]
        if names and time.process_time() - start < seconds:
            problem = posed(table, seed)
            for name in names:
                line = {"task": table.name, "method": name, "seed": seed, **machine()}
                line.update(run_one(problem, name))
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
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_what_fits(read_tables(), parser.parse_args().seconds)


if __name__ == "__main__":
    main()
