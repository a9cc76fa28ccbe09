"""Store what many random configurations score and cost, once, so that ``replay`` can ask for it.

    python -m benchmarks.tabulate mnist_svc flights_rows --configurations 100 --seconds 240

A table is an ``npz`` of arrays, configurations x levels x folds: ``S`` scores, ``CF``, ``CS`` and
``CO`` CPU seconds of fitting, of scoring and of all else; ``levels``, the amounts of resource, and
``n_samples``, the rows of X. Folds stand in the order in which a search uses them. Amounts that no
ladder of factor 3 has are known for the first fold alone, and NaN on the others.

Every number comes from the functions that a search runs on its workers.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterSampler
from threadpoolctl import threadpool_limits

from benchmarks.tasks import FIVE_FOLDS, SEED, TASKS, Task
from skhalving.evaluate import Evaluate
from skhalving.resource import Parameter, Rows, auto_max_parameter
from skhalving.run import Task as Evaluation
from skhalving.schedule import Level, ladder

TABLES = Path(__file__).parent / "tables"
FACTORS = (2, 3, 4)
ALL_FOLDS = 3  # the factor whose amounts are tabulated on all folds
DEPTH = 4


def amounts(top: int, least: int, factor: int) -> list[int]:
    """The amounts of a ladder, no more than ``DEPTH`` of them."""
    return [level.n_resources for level in ladder(top, least, factor)][-DEPTH:]


def evaluation(task: Task, X: Any, y: np.ndarray) -> tuple[Evaluate, list[int], list[Level]]:
    """What a search would run on this task, the folds in order, and every level to run it on."""
    splits, estimator = task.splits(X, y), task.estimator()
    # The order of folds in a search: larger training sets first.
    folds = sorted(range(len(splits)), key=lambda k: (-len(splits[k][0]), k))
    labels = np.asarray(y) if task.is_classification else None
    if task.resource == "n_samples":
        top = len(y)
        least = 2 * len(splits) * (1 if labels is None else len(np.unique(labels)))
    else:
        top, least = auto_max_parameter(task.resource, estimator.get_params()), 1
    known = {amount: 1 for factor in FACTORS for amount in amounts(top, least, factor)}
    known |= dict.fromkeys(amounts(top, least, ALL_FOLDS), len(splits))
    levels = [Level(amount, n_folds) for amount, n_folds in sorted(known.items())]
    resource = (
        Rows(splits, top, levels, folds, labels=labels, seed=SEED)
        if task.resource == "n_samples"
        else Parameter(splits, task.resource)
    )
    options = {
        "scorer": check_scoring(estimator),
        "fit_params": {},
        "score_params": {},
        "return_times": True,
        "error_score": np.nan,
        "verbose": 0,
    }
    # Without models to go on from: every number is from scratch.
    evaluate = Evaluate(
        estimator,
        X,
        y,
        resource,
        options,
        models=None,
        families={},
        insist=False,
        top=top,
        limit=None,
    )
    return evaluate, folds, levels


def measure(evaluate: Evaluate, one: Evaluation, params: dict[str, Any]) -> np.ndarray:
    """Score, and CPU seconds of fitting, of scoring and of the rest.

    The clock of a worker is the wall's; CPU time is dealt out in its proportions, so that what
    else the machine does is not counted.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    result = evaluate(one, params, 0, {})
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    fit, score = result["fit_time"], result["score_time"]
    shares = np.array([fit, score, max(0.0, wall - fit - score)])
    return np.array([result["test_scores"], *(cpu * shares / shares.sum())])


def tabulate(task: Task, n_configurations: int, seconds: float) -> dict[str, np.ndarray]:
    """The arrays of a table; stops drawing configurations when so much CPU time is spent."""
    X, _, y, _ = task.load()
    evaluate, folds, levels = evaluation(task, X, y)
    cells, start = [], time.process_time()
    for n, params in enumerate(ParameterSampler(task.space, n_configurations, random_state=SEED)):
        cell = np.full((4, len(levels), len(folds)), np.nan)
        for i, level in enumerate(levels):
            for k, fold in enumerate(folds[: level.n_folds]):
                cell[:, i, k] = measure(evaluate, Evaluation(n, fold, level.n_resources), params)
        cells.append(cell)
        elapsed = time.process_time() - start
        print(f"\r{task.name}: {n + 1} configurations, {elapsed:.0f} s", end="", flush=True)
        if elapsed > seconds:
            break
    print()
    arrays = np.stack(cells, axis=1)
    table = dict(zip(("S", "CF", "CS", "CO"), arrays, strict=True))
    return {
        **table,
        "levels": np.array([level.n_resources for level in levels], dtype=float),
        "n_samples": np.array(len(y)),
    }


def main() -> None:
    tasks = TASKS | FIVE_FOLDS
    parser = argparse.ArgumentParser(description=__doc__, usage="%(prog)s TASK... [options]")
    parser.add_argument("tasks", nargs="+", choices=tasks, metavar="TASK")
    parser.add_argument("--configurations", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=240.0, help="of CPU, per task")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of convergence, a few thousand times
    for name in arguments.tasks:
        with threadpool_limits(1):
            table = tabulate(tasks[name], arguments.configurations, arguments.seconds)
        np.savez_compressed(TABLES / f"{name}.npz", **table)


if __name__ == "__main__":
    main()
