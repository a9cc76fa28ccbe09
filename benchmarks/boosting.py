"""Searches for boosting: from scratch, continued, stopped early on the fold; and those of others.

``python -m benchmarks.boosting`` prints, for four tasks, the processor seconds of each way and the
score of its answer on rows that no search saw. With ``--flattery``, it prints what
stopping on the fold adds to a score; with ``--refits``, which number of trees is better for the
refit. One thread. All but Optuna's ways draw their configurations from one space with one seed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import lightgbm as lgb
import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV
from sklearn.utils import shuffle

from benchmarks.live import optuna_space
from benchmarks.measure import markdown, timed
from benchmarks.tasks import Task, diamonds, digits, flights, votes
from skhalving import HyperbandSearchCV

TREES, PATIENCE, N_CANDIDATES = 243, 10, 12
SPACE = {
    "learning_rate": loguniform(0.02, 0.5),
    "num_leaves": randint(4, 64),
    "min_child_samples": randint(1, 200),
    "reg_lambda": loguniform(1e-6, 1e3),
}
QUIET = {"verbose": -1, "num_threads": 1, "seed": 0}
COMMON: dict[str, Any] = {"n_estimators": TREES, "random_state": 0, "n_jobs": 1, "verbose": -1}


CLASSES = {"objective": "multiclass", "num_class": 10, "metric": "multi_logloss"}
BINARY = {"objective": "binary", "metric": "binary_logloss"}
REGRESSION = {"objective": "regression", "metric": "rmse"}


class Problem:
    """A task with its rows: numbers alone, so that every way can take them."""

    def __init__(self, data: Any, kind: type, lightgbm: dict[str, Any], n_rows: int | None = None):
        scoring = "neg_root_mean_squared_error" if lightgbm is REGRESSION else "neg_log_loss"
        self.name, self.options, self.model = data.__name__, {**lightgbm, **QUIET}, kind(**COMMON)
        task = Task(self.name, data, self.model, SPACE, n_rows=n_rows, scoring=scoring)
        X, unseen, self.y, self.y_unseen = task.load()
        self.X, self.unseen = (numbers(part, like=X) for part in (X, unseen))
        self.splits, self.scorer = task.splits(self.X, self.y), task.scorer()
        self.common = {"scoring": scoring, "cv": self.splits, "random_state": 0}

    def score(self, model: Any) -> float:
        """On rows that no search saw."""
        return self.scorer(model, self.unseen, self.y_unseen)

    def candidates(self, n: int = N_CANDIDATES) -> list[dict[str, Any]]:
        return list(ParameterSampler(SPACE, n, random_state=0))

    def fitted(self, params: dict[str, Any]) -> Any:
        return clone(self.model).set_params(**params).fit(self.X, self.y)

    def found(self, search: Any) -> Any:
        return search.fit(self.X, self.y).best_estimator_


def problems() -> Iterator[Problem]:
    """One at a time."""
    yield Problem(flights, LGBMRegressor, REGRESSION, n_rows=80_000)
    yield Problem(diamonds, LGBMRegressor, REGRESSION)
    yield Problem(votes, LGBMClassifier, BINARY)
    yield Problem(digits, LGBMClassifier, CLASSES)


def numbers(frame: Any, like: Any) -> np.ndarray:
    """Categories by their numbers."""
    if not hasattr(frame, "columns"):
        return frame.astype(np.float32)
    columns = []
    for name, column in frame.items():
        if column.dtype.kind not in "fiub":
            known = sorted(like[name].dropna().astype(str).unique())
            column = column.astype(str).map({value: i for i, value in enumerate(known)})
        columns.append(np.asarray(column, dtype=np.float32))
    return np.column_stack(columns)


# -- the ways --------------------------------------------------------------------------------------


def fixed(p: Problem) -> Any:
    return p.found(RandomizedSearchCV(p.model, SPACE, n_iter=N_CANDIDATES, **p.common))


def ours(p: Problem, early: int | None = None, **options: Any) -> Any:
    estimator = clone(p.model).set_params(early_stopping_rounds=early)
    options |= {"resource": "n_estimators", "n_candidates": N_CANDIDATES, **p.common}
    return p.found(HyperbandSearchCV(estimator, SPACE, **options))


def of_lightgbm(p: Problem) -> dict[str, Any]:
    """What its own functions take; folds stop together, at the best mean."""
    return {
        "train_set": lgb.Dataset(p.X, p.y, params={"verbose": -1}),
        "num_boost_round": TREES,
        "folds": p.splits,
        "callbacks": [lgb.early_stopping(PATIENCE, verbose=False)],
    }


def lightgbm_cv(p: Problem) -> Any:
    found = []
    for params in p.candidates():
        losses = lgb.cv({**p.options, **params}, **of_lightgbm(p))
        mean = next(values for name, values in losses.items() if name.endswith("-mean"))
        found.append((mean[-1], len(found), {**params, "n_estimators": len(mean)}))
    return p.fitted(min(found)[2])


def optuna_search(p: Problem) -> Any:
    from optuna_integration import OptunaSearchCV

    space = optuna_space(SPACE)
    return p.found(OptunaSearchCV(p.model, space, n_trials=N_CANDIDATES, **p.common))


def optuna_tuner(p: Problem) -> Any:
    """A space of its own, one parameter after the other; 68 trials, so it is stopped by the clock
    after what `fixed` takes on an idle machine."""
    from optuna_integration import lightgbm as tuned

    tuner = tuned.LightGBMTunerCV(
        p.options,
        **of_lightgbm(p),
        time_budget=30,
        show_progress_bar=False,
        optuna_seed=0,
        return_cvbooster=True,
    )
    tuner.run()
    params = {name: v for name, v in tuner.best_params.items() if name not in p.options}
    return p.fitted({**params, "n_estimators": tuner.get_best_booster().best_iteration})


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


def costs_and_scores(p: Problem) -> Iterator[list[str]]:
    for name, way in WAYS.items():
        seconds, model = timed(way, p)
        yield [p.name, name, f"{seconds:.0f}", f"{p.score(model):.4f}"]


# -- what stopping on the fold adds, and how many trees the refit should have ---------------------


def stopped(p: Problem, params: dict[str, Any], part: float) -> np.ndarray:
    """For each fold: its score, that on unseen rows, and the trees; `part` 0 is the fold."""
    found = []
    for train, test in p.splits:
        train = shuffle(train, random_state=0)
        n = int(part * len(train))
        watched = train[:n] if n else test
        model = clone(p.model).set_params(early_stopping_rounds=PATIENCE, **params)
        model.fit(p.X[train[n:]], p.y[train[n:]], eval_X=p.X[watched], eval_y=p.y[watched])
        score = p.scorer(model, p.X[test], p.y[test])
        found.append((score, p.score(model), model.best_iteration_))
    return np.array(found)


def flattery(p: Problem) -> Iterator[list[str]]:
    """Relative to the loss, so that tasks can be compared."""
    gaps = []
    for params in p.candidates(8):
        fold, part = (stopped(p, params, share) for share in (0, 0.2))
        gaps.append([(way[:, 0] - way[:, 1]).mean() / -fold[:, 1].mean() for way in (fold, part)])
    by_fold, by_part = np.transpose(gaps)
    adds = by_fold - by_part
    error = adds.std(ddof=1) / np.sqrt(len(adds))
    cells = (f"{figure.mean():+.2%}" for figure in (by_fold, by_part, adds))
    yield [p.name, str(len(p.y)), *cells, f"{error:.2%}"]


def refits(p: Problem) -> Iterator[list[str]]:
    """The unseen loss with K/(K-1) times the mean number of trees, at most as many as a fit may
    have, against that with the mean number; of 8 configurations, those that this changes."""
    more, changes = len(p.splits) / (len(p.splits) - 1), []
    for params in p.candidates(8):
        n = stopped(p, params, 0)[:, 2].mean()
        few, many = round(n), min(TREES, round(more * n))
        if few < many:
            losses = [-p.score(p.fitted({**params, "n_estimators": k})) for k in (few, many)]
            changes.append(losses[1] / losses[0] - 1)
    cells = (f"{of(changes):+.2%}" for of in (np.median, min, max))
    better = sum(change < 0 for change in changes)
    yield [p.name, *cells, f"{better} of {len(changes)}"]


GAPS = ["fold less unseen", "fraction less unseen", "fold adds", "its error"]
QUESTIONS = {
    "": (costs_and_scores, ["task", "way", "processor seconds", "score on unseen rows"]),
    "--flattery": (flattery, ["task", "rows", *GAPS]),
    "--refits": (refits, ["task", "loss, median", "least", "most", "better in"]),
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    rows_of, head = QUESTIONS["".join(sys.argv[1:])]
    print(markdown(head, [row for p in problems() for row in rows_of(p)]))
