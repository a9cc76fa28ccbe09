"""What going on with training saves, and what keeping the models between rungs costs.

    OMP_NUM_THREADS=1 python -m benchmarks.continuation

Each search runs with ``continue_training=True`` and ``False`` in turn. ``False`` is
``fit(max_iter=amount)`` for SGD and MLP, which could stop early; it is told not to, so both train
as many epochs. "Same chain" compares with what ``True`` does where it finds no model: ``amount``
times ``partial_fit``. "Seconds" are the ``fit_time`` of all evaluations, so they include keeping
models; ratios are medians over pairs of runs. The ratio of processor time is of whole searches and
suffers less from neighbours.
"""

import os
import pickle
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import joblib
import numpy as np
import scipy.sparse as sp
from catboost import CatBoostClassifier
from joblib.externals.loky import get_reusable_executor
from lightgbm import LGBMClassifier
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from benchmarks.measure import Parts, in_pairs, markdown, median_ms, spread, timed
from skhalving import SuccessiveHalvingSearchCV
from skhalving.schedule import Schedule
from skhalving.store import Store
from skhalving.task import Task

MOST, N_CANDIDATES, REPEATS = 81, 27, 3

digits, digit = load_digits(return_X_y=True)
odd = digit % 2


def hashed(X: np.ndarray, n_columns: int) -> Any:
    """One column for each value of each pixel, spread as a text would be by hashing."""
    rows, pixels = np.nonzero(X)
    columns = (17 * pixels + X[rows, pixels].astype(int)) * 2654435761 % n_columns
    return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(X), n_columns))


# -- going on ---------------------------------------------------------------------------------


class Case(NamedTuple):
    """A search: what is rationed, and 27 values of another parameter."""

    name: str
    estimator: Any
    resource: str
    searched: str
    values: Any
    X: Any = digits
    y: Any = odd
    same_chain: bool = False


LEAVES, ALPHAS = range(1, 28), np.logspace(-6, 0, N_CANDIDATES)
TREES = ("n_estimators", "min_samples_leaf", LEAVES)
EPOCHS = ("max_iter", "alpha", ALPHAS)

forest, extra_trees = RandomForestClassifier(random_state=0), ExtraTreesClassifier(random_state=0)
boosting = GradientBoostingClassifier(random_state=0)
hist_boosting = HistGradientBoostingClassifier(random_state=0)
sgd = SGDClassifier(tol=None, random_state=0)
mlp = MLPClassifier(tol=0, n_iter_no_change=1_000_000, random_state=0)
xgboost, lightgbm = XGBClassifier(n_jobs=1), LGBMClassifier(n_jobs=1, verbose=-1)
catboost = CatBoostClassifier(
    iterations=MOST, thread_count=1, verbose=0, allow_writing_files=False, random_state=0
)
selected_forest = Pipeline(
    [("select", SelectFromModel(ExtraTreesClassifier(20, random_state=0))), ("forest", forest)]
)
neighbours = BaggingClassifier(KNeighborsClassifier(algorithm="brute"), random_state=0)

NEIGHBOURS = (neighbours, "n_estimators", "max_samples", np.linspace(0.5, 1, N_CANDIDATES))
many_digits, wide_digits = np.tile(digits, (5, 1)), hashed(digits, 2**16)

CASES = [
    Case("random forest", forest, *TREES),
    Case("extra trees", extra_trees, *TREES),
    Case("gradient boosting", boosting, *TREES),
    Case("hist gradient boosting", hist_boosting, "max_iter", "min_samples_leaf", LEAVES),
    Case("SGD", sgd, *EPOCHS),
    Case("MLP", mlp, *EPOCHS),
    Case("XGBoost", xgboost, "n_estimators", "max_depth", range(2, 29)),
    Case("LightGBM", lightgbm, "n_estimators", "min_child_samples", range(2, 29)),
    Case("CatBoost", catboost, "iterations", "learning_rate", np.linspace(0.05, 0.5, N_CANDIDATES)),
    Case("forest after a selection", selected_forest, *(f"forest__{n}" for n in TREES[:2]), LEAVES),
    Case("SGD, same chain", sgd, *EPOCHS, same_chain=True),
    Case("MLP, same chain", mlp, *EPOCHS, same_chain=True),
    Case("SGD, 10 classes, 5 times the rows", sgd, *EPOCHS, many_digits, np.tile(digit, 5)),
    Case("bagged neighbours", *NEIGHBOURS),
    Case("SGD, 10 classes, 65536 columns", sgd, *EPOCHS, wide_digits, digit),
]


def run(case: Case, going_on: bool) -> dict[str, float]:
    """Seconds, of which spent on models; megabytes at the peak."""
    search = SuccessiveHalvingSearchCV(
        case.estimator,
        {case.searched: list(case.values)},
        resource=case.resource,
        min_resources=3,
        max_resources=MOST,
        n_candidates=N_CANDIDATES,
        schedule="published",
        folds="all",
        cv=StratifiedShuffleSplit(n_splits=1, test_size=0.25, random_state=0),
        refit=False,
        continue_training=going_on or case.same_chain,
        random_state=0,
    )
    parts, lost = Parts(time.perf_counter), not going_on and case.same_chain
    forget_peak()
    with (
        parts.of(Store, "keep", "models"),
        parts.of(Store, "take", "models"),
        patch.object(Store, "take", lambda *_: (0, None)) if lost else nullcontext(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # MLP says that it has not converged
        wall, (processor, _) = timed(timed, search.fit, case.X, case.y, clock=time.perf_counter)
    assert search.all_cv_results_["continued"].any() == going_on
    models = parts.seconds["models"]
    return {
        "fit": search.all_cv_results_["mean_fit_time"].sum() - lost * models,
        "wall": wall,
        "processor": processor,
        "models": models,
        "peak": peak(),
        "ideal": units_continued(search.schedule_),
    }


def units_continued(schedule: Schedule) -> float:
    """The units that are trained if all models go on, over those from scratch."""
    rungs = schedule.brackets[0].rungs
    done = [0, *(rung.n_resources for rung in rungs)]
    new = sum(r.n_candidates * (r.n_resources - d) for r, d in zip(rungs, done, strict=False))
    return new / sum(rung.n_candidates * rung.n_resources for rung in rungs)


def forget_peak() -> None:
    """So that ``peak`` is that of what follows (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The most memory that the process has held, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def going_on_row(case: Case) -> list[str]:
    pairs = in_pairs(REPEATS, partial(run, case))
    figures = [
        {name: np.array([r[name] for r in of]) for name in of[0]} for of in zip(*pairs, strict=True)
    ]
    ratios = {name: figures[0][name] / figures[1][name] for name in ("fit", "processor")}
    on, scratch = ({name: np.median(v) for name, v in of.items()} for of in figures)
    return [
        case.name,
        *(f"{of['fit']:.2f} ({of['wall']:.2f})" for of in (on, scratch)),
        spread(ratios["fit"]),
        f"{np.median(ratios['processor']):.2f}",
        f"{on['ideal']:.2f}",
        f"{on['models']:.2f}",
        f"{on['peak']:.0f}, {scratch['peak']:.0f}",
    ]


# -- keeping a model --------------------------------------------------------------------------


def models_of(megabytes: int) -> Iterator[tuple[str, Any]]:
    """A forest, thousands of objects, and a linear model, one array."""
    noise = np.random.RandomState(0).randint(0, 10, len(digit))
    forest = RandomForestClassifier(4, random_state=0).fit(digits, noise)
    copies = round(1e6 * megabytes / len(pickle.dumps(forest, protocol=5)))
    forest.estimators_ = [deepcopy(tree) for tree in forest.estimators_ * copies]
    yield "forest", forest
    linear = SGDClassifier(random_state=0).fit(digits, odd)
    linear.coef_ = np.random.RandomState(0).normal(size=(10, megabytes * 12_500))
    yield "one array", linear


def returned(path: str, model_too: bool) -> Any:
    """On a worker: read a model, and hand it back or not."""
    model = joblib.load(path)
    return model if model_too else None


def keeping_row(kind: str, model: Any) -> list[str]:
    executor = get_reusable_executor(max_workers=1)

    def through_pipe(path: str, model_too: bool) -> None:
        executor.submit(returned, path, model_too).result()

    with tempfile.TemporaryDirectory() as folder:
        store, path = Store(folder), os.path.join(folder, "joblib")
        figures = [
            median_ms(store.keep, Task(0, 0, 1), model),
            median_ms(store.take, Task(0, 0, 2)),
            median_ms(joblib.dump, model, path),
            median_ms(joblib.load, path),
        ]
        through_pipe(path, False)
        with_model, without = (median_ms(through_pipe, path, too) for too in (True, False))
        size = os.path.getsize(path) / 1e6
    return [f"{kind}, {size:.0f} MB", *(f"{ms:.1f}" for ms in (*figures, with_model - without))]


def main() -> None:
    head = ["estimator", "going on: s (wall)", "scratch: s (wall)", "ratio (range)"]
    head += ["processor", "ideal", "on models: s", "peak MB: both"]
    print(markdown(head, [going_on_row(case) for case in CASES]), flush=True)
    head = ["model", "keep: ms", "take: ms", "joblib.dump: ms", "joblib.load: ms", "pipe: ms"]
    rows = [keeping_row(*of) for megabytes in (1, 10, 32, 100) for of in models_of(megabytes)]
    print("\n" + markdown(head, rows))


if __name__ == "__main__":
    main()
