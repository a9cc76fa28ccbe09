"""Store what many random configurations score and cost, once, so that ``replay`` can ask for it.

    OMP_NUM_THREADS=1 python -m benchmarks.tabulate ames_kernel pima_forest --configurations 150

A table is an ``npz``. ``S`` are scores and ``CF``, ``CS``, ``CO`` CPU seconds of fitting, of
scoring and of all else, each an array of configurations x levels x folds. The first configuration
is the estimator as it is, with nothing set. ``held`` is a configuration's score on rows that no
search sees, fitted on all others; ``params`` its parameters, as text; ``levels`` the amounts of
resource (from R/27 to R); ``n_samples`` the rows of X; ``continues``, whether a search goes on
training between levels. Folds stand in the order in which a search uses them.

Every number comes from the functions that a search runs on its workers.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterSampler
from threadpoolctl import threadpool_limits

from benchmarks.replay import TABLES
from benchmarks.tasks import ASIDE, SEED, TASKS, Task
from skhalving.evaluate import Evaluate
from skhalving.families import find
from skhalving.pipelines import owner
from skhalving.resource import resource_of
from skhalving.schedule import Level, ladder
from skhalving.store import Store
from skhalving.task import Task as Evaluation

TIMES = {"return_times": True, "error_score": np.nan}
FACTOR = 3
DEPTH = 4  # levels, the highest included


def evaluation(task: Task, X: Any, y: np.ndarray) -> tuple[Evaluate, list[int], list[int]]:
    """What a search would run on this task, the folds in order, and the amounts to run it with."""
    splits, estimator = task.splits(X, y), task.estimator
    # The order of folds in a search: larger training sets first.
    folds = sorted(range(len(splits)), key=lambda k: (-len(splits[k][0]), k))
    labels = np.asarray(y) if task.is_classification else None
    resource = resource_of(task.resource, estimator, len(y), labels, newest_first=False)
    top = resource.most("auto")
    amounts = [level.n_resources for level in ladder(top, resource.least(1), FACTOR)][-DEPTH:]
    levels = [Level(amount, len(splits)) for amount in amounts]
    evaluate = Evaluate(
        estimator,
        X,
        y,
        resource,
        resource.cuts(splits, levels, folds, SEED),
        options={"scorer": task.scorer(), "fit_params": {}, "score_params": {}, **TIMES},
        store=Store(""),
        families={},  # every number is from scratch
        insist=False,
        top=top,
        limit=None,
    )
    return evaluate, folds, amounts


def measure(evaluate: Evaluate, one: Evaluation, params: dict[str, Any]) -> np.ndarray:
    """Score, and CPU seconds of fitting, of scoring and of the rest.

    The clock of a worker is the wall's; CPU time is dealt out in its proportions, so that what
    else the machine does is not counted.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = evaluate(one, params, {})
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rest = max(0.0, wall - outcome.seconds)
    shares = np.array([outcome.fit_time, outcome.score_time, rest])
    return np.array([outcome.scores.get("score", np.nan), *(cpu * shares / shares.sum())])


def tabulate(task: Task, n_configurations: int, seconds: float) -> dict[str, np.ndarray]:
    """The arrays of a table; stops drawing configurations when so much CPU time is spent."""
    X, X_held, y, y_held = task.load()
    evaluate, folds, amounts = evaluation(task, X, y)
    drawn = ParameterSampler(task.space, n_configurations, random_state=SEED)
    cells, held, texts, start = [], [], [], time.process_time()
    for n, params in enumerate([{}, *drawn]):
        cell = [
            [measure(evaluate, Evaluation(n, fold, amount), params) for fold in folds]
            for amount in amounts
        ]
        cells.append(np.moveaxis(np.array(cell), -1, 0))
        held.append(score_held_out(task, params, X, y, X_held, y_held))
        texts.append(repr(params))
        elapsed = time.process_time() - start
        print(f"\r{task.name}: {n} configurations, {elapsed:.0f} s", end="", flush=True)
        if elapsed > seconds:
            break
    print()
    scores, *costs = np.stack(cells, axis=1)
    return {
        "S": scores.astype(np.float32),
        **dict(zip(("CF", "CS", "CO"), map(two_digits, costs), strict=True)),
        "held": np.array(held, np.float32),
        "params": np.array(texts),
        "levels": np.array(amounts),
        "n_samples": np.array(len(y)),
        "continues": np.array(continues(task)),
    }


def continues(task: Task) -> bool:
    """Whether ``continue_training="auto"`` goes on with a model from level to level."""
    _, model = owner(task.estimator, task.resource)
    family = find(model, task.resource.rpartition("__")[2])
    return family is not None and family.exact(model)


def two_digits(seconds: np.ndarray) -> np.ndarray:
    """Costs vary by more than that, and a table of 2,000 configurations should stay small."""
    unit = 10.0 ** np.floor(np.log10(np.maximum(seconds, 1e-9)) - 1)
    return (np.round(seconds / unit) * unit).astype(np.float32)


def score_held_out(task: Task, params: dict[str, Any], X: Any, y: Any, *held: Any) -> float:
    """What a refitted answer is worth on rows that no search saw; NaN if it cannot be fitted."""
    try:
        return float(task.scorer()(clone(task.estimator).set_params(**params).fit(X, y), *held))
    except ValueError:
        return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, usage="%(prog)s [TASK...] [options]")
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="TASK")
    parser.add_argument("--configurations", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=240.0, help="of CPU, per task")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of convergence, a few thousand times
    for name in arguments.tasks:
        with threadpool_limits(1):
            task, folder = (TASKS | ASIDE)[name], TABLES / ("aside" if name in ASIDE else "")
            table = tabulate(task, arguments.configurations, arguments.seconds)
        np.savez_compressed(folder / f"{name}.npz", **table)


if __name__ == "__main__":
    main()
