"""Boosting by trees: from scratch, continued, stopped early on the fold; and what others do.

``python -m benchmarks.boosting [task ...]`` prints, for four tasks, the processor seconds of each
way and the score of its answer on rows that no search saw. With ``--flattery`` last, it prints what
stopping on the fold adds to a score; with ``--refits``, which number of trees is better for the
refit. One thread. All but Optuna's ways draw their configurations from one space with one seed.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV
from sklearn.utils import shuffle

from benchmarks.tasks import Task, diamonds, digits, flights, votes
from skhalving import HyperbandSearchCV

TREES, PATIENCE, N_CANDIDATES = 243, 10, 12
SPACE = {
    "learning_rate": loguniform(0.02, 0.5),
    "num_leaves": randint(4, 64),
    "min_child_samples": randint(1, 200),
    "reg_lambda": loguniform(1e-6, 1e3),
}
COMMON: dict[str, Any] = {"n_estimators": TREES, "random_state": 0, "n_jobs": 1, "verbose": -1}


def regressor() -> LGBMRegressor:
    return LGBMRegressor(**COMMON)


def classifier() -> LGBMClassifier:
    return LGBMClassifier(**COMMON)


TASKS = [
    Task("flights", flights, regressor, SPACE, "n_estimators", n_rows=80_000),
    Task("diamonds", diamonds, regressor, SPACE, "n_estimators"),
    Task("votes", votes, classifier, SPACE, "n_estimators"),
    Task("digits", digits, classifier, SPACE, "n_estimators"),
]


class Problem(NamedTuple):
    """A task with its rows: numbers alone, so that every way can take them."""

    task: Task
    X: np.ndarray
    unseen: np.ndarray
    y: np.ndarray
    y_unseen: np.ndarray
    splits: list[tuple[np.ndarray, np.ndarray]]

    @property
    def scoring(self) -> str:
        return "neg_log_loss" if self.task.is_classification else "neg_root_mean_squared_error"

    def score(self, model: Any) -> float:
        """On rows that no search saw."""
        return get_scorer(self.scoring)(model, self.unseen, self.y_unseen)

    def candidates(self, n: int = N_CANDIDATES) -> list[dict[str, Any]]:
        return list(ParameterSampler(self.task.space, n, random_state=0))

    def fitted(self, params: dict[str, Any]) -> Any:
        return self.task.estimator().set_params(**params).fit(self.X, self.y)


def problem(task: Task) -> Problem:
    X, unseen, y, y_unseen = task.load()
    if hasattr(X, "columns"):
        both = [numbers(part, like=X) for part in (X, unseen)]
    else:
        both = [X.astype(np.float32), unseen.astype(np.float32)]
    return Problem(task, *both, y, y_unseen, task.splits(both[0], y))


def numbers(frame: Any, like: Any) -> np.ndarray:
    """Categories by their numbers."""
    columns = {}
    for name in frame:
        column = frame[name]
        if column.dtype.kind not in "fiub":
            known = sorted(like[name].dropna().astype(str).unique())
            column = column.astype(str).map({value: i for i, value in enumerate(known)})
        columns[name] = np.asarray(column, dtype=np.float32)
    return np.column_stack(list(columns.values()))


# -- the ways --------------------------------------------------------------------------------------


def fixed(p: Problem) -> Any:
    search = RandomizedSearchCV(
        p.task.estimator(), SPACE, n_iter=N_CANDIDATES, scoring=p.scoring, cv=p.splits,
        random_state=0,
    )  # fmt: skip
    return search.fit(p.X, p.y).best_estimator_


def ours(p: Problem, early: int | None = None, **options: Any) -> Any:
    estimator = p.task.estimator().set_params(early_stopping_rounds=early)
    search = HyperbandSearchCV(
        estimator, SPACE, resource="n_estimators", n_candidates=N_CANDIDATES,
        scoring=p.scoring, cv=p.splits, random_state=0, **options,
    )  # fmt: skip
    return search.fit(p.X, p.y).best_estimator_


def lightgbm_cv(p: Problem) -> Any:
    """Its folds stop together, at the best mean."""
    kind: dict[str, Any] = {"objective": "regression", "metric": "rmse"}
    if p.task.is_classification:
        n_classes = len(np.unique(p.y))
        kind = {"objective": "binary", "metric": "binary_logloss"}
        if n_classes > 2:
            kind = {"objective": "multiclass", "num_class": n_classes, "metric": "multi_logloss"}
    found = []
    for params in p.candidates():
        losses = lgb.cv(
            {**kind, **params, "verbose": -1, "num_threads": 1, "seed": 0},
            lgb.Dataset(p.X, p.y, params={"verbose": -1}),
            num_boost_round=TREES,
            folds=p.splits,
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        mean = next(values for name, values in losses.items() if name.endswith("-mean"))
        found.append((mean[-1], len(found), {**params, "n_estimators": len(mean)}))
    return p.fitted(min(found)[2])


def optuna_search(p: Problem) -> Any:
    import optuna
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna_integration import OptunaSearchCV

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {
        "learning_rate": FloatDistribution(0.02, 0.5, log=True),
        "num_leaves": IntDistribution(4, 63),
        "min_child_samples": IntDistribution(1, 199),
        "reg_lambda": FloatDistribution(1e-6, 1e3, log=True),
    }
    search = OptunaSearchCV(
        p.task.estimator(), space, n_trials=N_CANDIDATES, scoring=p.scoring, cv=p.splits,
        random_state=0,
    )  # fmt: skip
    return search.fit(p.X, p.y).best_estimator_


def optuna_tuner(p: Problem) -> Any:
    """A space of its own, one parameter after the other; 68 trials, so it is stopped by the clock
    after what `fixed` takes on an idle machine."""
    import optuna
    from optuna_integration import lightgbm as tuned

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kind: dict[str, Any] = {"objective": "regression", "metric": "rmse"}
    if p.task.is_classification:
        n_classes = len(np.unique(p.y))
        kind = {"objective": "binary", "metric": "binary_logloss"}
        if n_classes > 2:
            kind = {"objective": "multiclass", "num_class": n_classes, "metric": "multi_logloss"}
    tuner = tuned.LightGBMTunerCV(
        {**kind, "verbose": -1, "num_threads": 1, "seed": 0},
        lgb.Dataset(p.X, p.y, params={"verbose": -1}),
        num_boost_round=TREES,
        folds=p.splits,
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        time_budget=30,
        show_progress_bar=False,
        optuna_seed=0,
        return_cvbooster=True,
    )
    tuner.run()
    params = {k: v for k, v in tuner.best_params.items() if k not in {*kind, "verbose", "seed"}}
    n_trees = tuner.get_best_booster().best_iteration
    return p.fitted({**params, "n_estimators": n_trees})


WAYS: dict[str, Callable[[Problem], Any]] = {
    "`RandomizedSearchCV`, 243 trees": fixed,
    "ours, from scratch": lambda p: ours(p, continue_training=False),
    "ours, continued": ours,
    'ours, `eval_set="fold"`': lambda p: ours(p, early=PATIENCE, eval_set="fold"),
    "ours, `eval_set=0.2`": lambda p: ours(p, early=PATIENCE, eval_set=0.2),
    "`lightgbm.cv`, stopped early, in a loop": lightgbm_cv,
    "`OptunaSearchCV`, 243 trees": optuna_search,
    "Optuna's `LightGBMTunerCV`": optuna_tuner,
}


def run(tasks: list[Task]) -> None:
    print("| task | way | processor seconds | score on unseen rows |\n|---|---|---|---|")
    for p in map(problem, tasks):
        for name, way in WAYS.items():
            start = time.process_time()
            model = way(p)
            seconds = time.process_time() - start
            print(f"| {p.task.name} | {name} | {seconds:.0f} | {p.score(model):.4f} |", flush=True)


# -- what stopping on the fold adds, and how many trees the refit should have ---------------------


def stopped(p: Problem, params: dict[str, Any], part: float) -> Iterator[tuple[float, float, int]]:
    """For each fold: its score, that on unseen rows, and the trees; `part` 0 is the fold."""
    scorer = get_scorer(p.scoring)
    for train, test in p.splits:
        train = shuffle(train, random_state=0)
        n = int(part * len(train))
        watched = train[:n] if n else test
        model = clone(p.task.estimator()).set_params(early_stopping_rounds=PATIENCE, **params)
        model.fit(p.X[train[n:]], p.y[train[n:]], eval_X=p.X[watched], eval_y=p.y[watched])
        yield scorer(model, p.X[test], p.y[test]), p.score(model), model.best_iteration_


def flattery(tasks: list[Task]) -> None:
    """Relative to the loss, so that tasks can be compared."""
    print("| task | rows | fold less unseen | fraction less unseen | fold adds | its error |")
    print("|---|---|---|---|---|---|")
    for p in map(problem, tasks):
        by_fold, by_part = [], []
        for params in p.candidates(8):
            fold, part = (np.array(list(stopped(p, params, share))) for share in (0, 0.2))
            loss = -fold[:, 1].mean()
            by_fold.append((fold[:, 0] - fold[:, 1]).mean() / loss)
            by_part.append((part[:, 0] - part[:, 1]).mean() / loss)
        adds = np.array(by_fold) - by_part
        error = adds.std(ddof=1) / np.sqrt(len(adds))
        print(
            f"| {p.task.name} | {len(p.y)} | {np.mean(by_fold):+.2%} | {np.mean(by_part):+.2%} "
            f"| {adds.mean():+.2%} | {error:.2%} |",
            flush=True,
        )


def refits(tasks: list[Task]) -> None:
    """The unseen loss with K/(K-1) times the mean number of trees, at most as many as a fit may
    have, against that with the mean number; of 8 configurations, those that this changes."""
    print("| task | loss, median | least | most | better in |\n|---|---|---|---|---|")
    for p in map(problem, tasks):
        more = len(p.splits) / (len(p.splits) - 1)
        changes = []
        for params in p.candidates(8):
            n = np.mean([n_trees for _, _, n_trees in stopped(p, params, 0)])
            few, many = round(n), min(TREES, round(more * n))
            if few < many:
                losses = [-p.score(p.fitted({**params, "n_estimators": k})) for k in (few, many)]
                changes.append(losses[1] / losses[0] - 1)
        better = sum(change < 0 for change in changes)
        print(
            f"| {p.task.name} | {np.median(changes):+.2%} | {min(changes):+.2%} "
            f"| {max(changes):+.2%} | {better} of {len(changes)} |",
            flush=True,
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    named = [task for task in TASKS if task.name in sys.argv] or TASKS
    {"--flattery": flattery, "--refits": refits}.get(sys.argv[-1], run)(named)
