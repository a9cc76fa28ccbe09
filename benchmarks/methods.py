"""Who searches: every method gets a task, its data, its folds and a seed, and returns parameters.

Each is called as its documentation says, one process, without a refit. Where a method asks how many
configurations to try it is told 27, the size of ``SuccessiveHalvingSearchCV``'s default bracket;
the grid has as many points as fit under 64, the values of a distribution at equal quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from benchmarks.tasks import Task
from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

N_CONFIGURATIONS = 27
LARGEST_GRID = 64
Params = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What a method is given."""

    task: Task
    X: Any
    y: np.ndarray
    splits: list[tuple[np.ndarray, np.ndarray]]
    seed: int

    def score(self, params: Params) -> float:
        """The mean score over all folds."""
        return float(np.mean([self._score_fold(params, fold) for fold in self.splits]))

    def _score_fold(self, params: Params, fold: tuple[np.ndarray, np.ndarray]) -> float:
        train, test = fold
        take = self.X.iloc.__getitem__ if hasattr(self.X, "iloc") else self.X.__getitem__
        estimator = clone(self.task.estimator()).set_params(**params)
        estimator.fit(take(train), self.y[train])
        return check_scoring(estimator)(estimator, take(test), self.y[test])


Method = Callable[[Problem], Params]


# -- scikit-learn ----------------------------------------------------------------------------------


def values(distribution: Any, n: int) -> list[Any]:
    """At most ``n`` points of a distribution or list, evenly spread."""
    if hasattr(distribution, "ppf"):
        points = distribution.ppf((np.arange(n) + 0.5) / n)
        whole = distribution.dist.name == "randint"
        return sorted({int(p) if whole else float(p) for p in points})
    every = len(distribution) / min(n, len(distribution))
    return [distribution[int(i * every)] for i in range(min(n, len(distribution)))]


def grid(space: dict[str, Any]) -> dict[str, list[Any]]:
    """The finest grid of at most ``LARGEST_GRID`` points, as many values for every parameter."""
    grids = [{name: values(d, n) for name, d in space.items()} for n in range(2, LARGEST_GRID + 1)]
    return max(
        (g for g in grids if prod(map(len, g.values())) <= LARGEST_GRID),
        key=lambda g: prod(map(len, g.values())),
        default=grids[0],
    )


def grid_search(p: Problem) -> Params:
    search = GridSearchCV(p.task.estimator(), grid(p.task.space), cv=p.splits, refit=False)
    return search.fit(p.X, p.y).best_params_


def random_search(p: Problem) -> Params:
    search = RandomizedSearchCV(
        p.task.estimator(),
        p.task.space,
        n_iter=N_CONFIGURATIONS,
        cv=p.splits,
        refit=False,
        random_state=p.seed,
    )
    return search.fit(p.X, p.y).best_params_


def sklearn_halving(p: Problem, **options: Any) -> Params:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    if p.task.resource != "n_samples":
        options["max_resources"] = p.task.estimator().get_params()[p.task.resource]
    search = HalvingRandomSearchCV(
        p.task.estimator(),
        p.task.space,
        resource=p.task.resource,
        cv=p.splits,
        refit=False,
        random_state=p.seed,
        **options,
    )
    params = dict(search.fit(p.X, p.y).best_params_)
    params.pop(p.task.resource, None)
    return params


def sklearn_halving_of_27(p: Problem) -> Params:
    return sklearn_halving(p, n_candidates=N_CONFIGURATIONS, min_resources="exhaust")


# -- ours ------------------------------------------------------------------------------------------


def ours(search: type, **options: Any) -> Method:
    def method(p: Problem) -> Params:
        found = search(
            p.task.estimator(),
            p.task.space,
            resource=p.task.resource,
            cv=p.splits,
            refit=False,
            random_state=p.seed,
            **options,
        ).fit(p.X, p.y)
        return {k: v for k, v in found.best_params_.items() if k != p.task.resource}

    return method


# -- Optuna, scikit-optimize, dask-ml --------------------------------------------------------------


def suggest(trial: Any, space: dict[str, Any]) -> Params:
    """One configuration of a scipy space, asked of an Optuna trial."""
    params: Params = {}
    for name, d in space.items():
        if isinstance(d, list):
            params[name] = d[trial.suggest_categorical(name, list(range(len(d))))]
        elif d.dist.name == "randint":
            params[name] = trial.suggest_int(name, *whole_bounds(d))
        else:
            low, high = d.support()
            log = d.dist.name == "loguniform"
            params[name] = trial.suggest_float(name, float(low), float(high), log=log)
    return params


def whole_bounds(d: Any) -> tuple[int, int]:
    low, high = d.support()
    return int(low), int(high)


def study(p: Problem, **options: Any) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=p.seed)
    return optuna.create_study(direction="maximize", sampler=sampler, **options)


def tpe(p: Problem) -> Params:
    asked: list[Params] = []

    def objective(trial: Any) -> float:
        asked.append(suggest(trial, p.task.space))
        return p.score(asked[-1])

    found = study(p)
    found.optimize(objective, n_trials=N_CONFIGURATIONS)
    return asked[found.best_trial.number]


def tpe_hyperband(p: Problem) -> Params:
    """TPE with the HyperbandPruner; a trial is fitted afresh on each amount it is allowed."""
    import optuna

    top = p.task.estimator().get_params()[p.task.resource]
    asked: list[Params] = []

    def objective(trial: Any) -> float:
        asked.append(suggest(trial, p.task.space))
        for amount in (top // 9, top // 3, top):
            score = p.score({**asked[-1], p.task.resource: amount})
            trial.report(score, amount)
            if amount < top and trial.should_prune():
                raise optuna.TrialPruned
        return score

    pruner = optuna.pruners.HyperbandPruner(top // 9, top, reduction_factor=3)
    found = study(p, pruner=pruner)
    found.optimize(objective, n_trials=N_CONFIGURATIONS)
    return asked[found.best_trial.number]


def bayes_search(p: Problem) -> Params:
    from skopt import BayesSearchCV
    from skopt.space import Categorical, Integer, Real

    def dimension(d: Any) -> Any:
        if isinstance(d, list):
            return Categorical(d)
        if d.dist.name == "randint":
            return Integer(*whole_bounds(d))
        prior = "log-uniform" if d.dist.name == "loguniform" else "uniform"
        return Real(*map(float, d.support()), prior=prior)

    search = BayesSearchCV(
        p.task.estimator(),
        {name: dimension(d) for name, d in p.task.space.items()},
        n_iter=N_CONFIGURATIONS,
        cv=p.splits,
        refit=False,
        random_state=p.seed,
    )
    return search.fit(p.X, p.y).best_params_


def dask_hyperband(p: Problem) -> Params:
    from dask.distributed import Client
    from dask_ml.model_selection import HyperbandSearchCV as DaskHyperband

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        search = DaskHyperband(p.task.estimator(), p.task.space, max_iter=27, random_state=p.seed)
        return search.fit(p.X, p.y, classes=np.unique(p.y)).best_params_


# In the order in which they run: the expensive ones last, for the sake of small budgets.
METHODS: dict[str, Method] = {
    "RandomizedSearchCV": random_search,
    "HyperbandSearchCV": ours(HyperbandSearchCV),
    "SuccessiveHalvingSearchCV": ours(SuccessiveHalvingSearchCV),
    "HyperbandSearchCV, folds='all'": ours(HyperbandSearchCV, folds="all"),
    "SuccessiveHalvingSearchCV, folds='all'": ours(SuccessiveHalvingSearchCV, folds="all"),
    "HyperbandSearchCV, from scratch": ours(HyperbandSearchCV, continue_training=False),
    "HalvingRandomSearchCV(27)": sklearn_halving_of_27,
    "Optuna TPE": tpe,
    "Optuna TPE, HyperbandPruner": tpe_hyperband,
    "dask-ml HyperbandSearchCV": dask_hyperband,
    "BayesSearchCV": bayes_search,
    "GridSearchCV": grid_search,
    "HalvingRandomSearchCV": sklearn_halving,
}

# What has nothing to say when the resource is rows, or when "auto" is from scratch anyway.
ITERATIONS_ONLY = {"Optuna TPE, HyperbandPruner", "dask-ml HyperbandSearchCV"}
CONTINUING_ONLY = {"HyperbandSearchCV, from scratch"}


def applies(method: str, task: Task) -> bool:
    """Whether a method is for a task at all."""
    if method in CONTINUING_ONLY:
        return task.continues
    return task.resource != "n_samples" or method not in ITERATIONS_ONLY
