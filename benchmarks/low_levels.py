"""Where the time of a low level goes: one fold at R/9 and at R, part by part.

    OMP_NUM_THREADS=1 python -m benchmarks.low_levels

CPU milliseconds of an evaluation, as a search runs it with no steps shared; a call within another
is not counted twice. *Sending* is what a batch of one evaluation costs the script's process, and
the worker's beside the evaluation.
"""

import os
import time
import warnings
from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.model_selection import ParameterSampler, _validation
from threadpoolctl import threadpool_limits

from benchmarks.measure import Parts, markdown
from benchmarks.tabulate import evaluation
from benchmarks.tasks import SEED, TASKS
from skhalving import evaluate as ours
from skhalving.engines import Call, engine
from skhalving.schedule import Level
from skhalving.task import Task as Evaluation

CASES = {
    "text, logistic regression": TASKS["reviews_text"],
    "one-hot, logistic regression": replace(TASKS["votes_logistic"], n_rows=24_000),
    "boosting": replace(TASKS["flights_boosting"], resource="n_samples", n_rows=40_000),
}
N_CONFIGURATIONS = 30
PARTS = ("transformers", "model", "test rows", "cutting", "cloning", "all else")


def parts_of(evaluate, amount, fold, configurations):
    """Milliseconds of an evaluation by part: the mean over configurations."""
    steps = [step for _, step in getattr(evaluate.estimator, "steps", [("", evaluate.estimator)])]
    places = [(type(step), "fit_transform", "transformers") for step in steps[:-1]]
    places += [(type(steps[-1]), "fit", "model"), (_validation, "_score", "test rows")]
    places += [(_validation, "_safe_split", "cutting"), (ours, "clone", "cloning")]
    places += [(ours.Evaluate, "__call__", "all else")]
    parts = Parts()
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(parts.of(*place))
        for i, params in enumerate(configurations):
            evaluate(Evaluation(i, fold, amount), params, {})
    return {part: 1000 * parts.seconds[part] / len(configurations) for part in PARTS}


def on_a_worker(evaluate, task, params):
    """Evaluates, and says in which process and between which CPU seconds of it."""
    start = time.process_time()
    evaluate(task, params, {})
    return os.getpid(), start, time.process_time()


def sending(evaluate, amount, fold, configurations):
    """CPU milliseconds of both processes for a batch of one evaluation: the median."""
    part, ended, found = evaluate.part(fold, amount), {}, []
    with TemporaryDirectory() as folder, engine(folder, n_jobs=2) as workers:
        shared = workers.share(part)
        for i, params in enumerate(configurations):
            call = Call(on_a_worker, shared, (Evaluation(i, fold, amount), params))
            here = time.process_time()
            workers.send([i], lambda call=call: call)
            ((_, (process, start, end)),) = workers.receive()
            if process in ended:
                found.append(time.process_time() - here + start - ended[process])
            ended[process] = end
    return 1000 * float(np.median(found))


def rows_of(name, task):
    """Milliseconds at R/9 and at R; what R/9 costs above a ninth of R, in units of all of R."""
    X, _, y, _ = task.load()
    evaluate, folds, amounts = evaluation(task, X, y)
    levels = [Level(amounts[1], 1), Level(amounts[-1], len(folds))]
    cuts = evaluate.resource.cuts(task.splits(X, y), levels, folds, SEED)
    configurations = list(ParameterSampler(task.space, N_CONFIGURATIONS, random_state=SEED))
    low, full = (
        parts_of(*where) | {"sending": sending(*where)}
        for where in (
            (replace(evaluate, cuts=cuts), level.n_resources, folds[0], configurations)
            for level in levels
        )
    )
    for level in low, full:
        level["in all"] = sum(level.values())
    over = {part: (low[part] - full[part] / 9) / full["in all"] for part in low}
    yield [f"{name}: ms", *(f"{low[part]:.1f} of {full[part]:.1f}" for part in low)]
    yield ["above a ninth", *(f"{over[part]:.3f}" for part in low)]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        found = [row for name, task in CASES.items() for row in rows_of(name, task)]
    print(markdown(["one fold, R/9 of R", *PARTS, "sending", "in all"], found))
