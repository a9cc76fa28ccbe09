"""Evaluate: fit and score one configuration, on one fold, with one amount of resource.

This is what runs on the workers. An ``Evaluate`` holds all that the evaluations of a search share,
so a task is a few numbers and a dictionary of parameters.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from sklearn.base import clone

from skhalving.continuation import Families, Family, Models, family_of
from skhalving.pipelines import growing, sharing
from skhalving.resource import Parameter, Part, Rows
from skhalving.sklearn_private import _check_method_params, _fit_and_score, _safe_split
from skhalving.store import Store


@dataclass(frozen=True)
class TimeLimit:
    """An alarm in the worker's main thread, and the end of the worker where that does not help.

    Long calls of compiled code do not hear the alarm. Half as long again and a second later, the
    worker process ends itself from a C thread and leaves its traceback in a file named by the task.
    """

    seconds: float
    folder: str
    parent: int

    def _mark(self, task: Any) -> str:
        return os.path.join(self.folder, "-".join(map(str, task)))

    def was_hard(self, task: Any) -> bool:
        """Whether the task ended its worker."""
        mark = self._mark(task)
        return os.path.exists(mark) and os.path.getsize(mark) > 0

    @contextmanager
    def around(self, task: Any) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"fit_timeout={self.seconds} needs evaluations in the main thread of a process, "
                "and this backend runs them in other threads; use loky, or n_jobs=1"
            )
        in_worker = os.getpid() != self.parent
        before = signal.signal(signal.SIGALRM, self._stop)
        with open(self._mark(task), "w") if in_worker else nullcontext() as mark:
            try:
                if mark is not None:
                    hard = 1.5 * self.seconds + 1
                    faulthandler.dump_traceback_later(hard, exit=True, file=mark)
                # Again every second: something within the fit may have caught the first.
                signal.setitimer(signal.ITIMER_REAL, self.seconds, 1.0)
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
                faulthandler.cancel_dump_traceback_later()

    def _stop(self, *_: Any) -> None:
        raise TimeoutError(f"it ran over fit_timeout={self.seconds} s")


@dataclass(frozen=True)
class Evaluate:
    """Call it with a task and a configuration to get scores and times.

    Attributes
    ----------
    estimator : estimator
        Not fitted; cloned for every evaluation.

    X, y : array-like of n_samples rows
        The data; a fold's rows are cut on the worker.

    resource : Rows, Part or Parameter
        What an amount means.

    options : dict
        Further arguments of scikit-learn's ``_fit_and_score``.

    models : Models or None
        Where models are kept for the next rung; None: each rung trains from scratch.

    families : dict
        How estimators go on; sent along, since a worker knows nothing of what was registered here.

    insist : bool
        Go on also where that is known to cost more than it saves.

    top : int
        The largest amount, from which nobody goes on.

    limit : TimeLimit or None
        How long a task may take.
    """

    estimator: Any
    X: Any
    y: Any
    resource: Rows | Part | Parameter
    options: dict[str, Any]
    models: Models | None
    families: Families
    insist: bool
    top: int
    limit: TimeLimit | None
    store: Store

    def part(self, fold: int, amount: int) -> Evaluate:
        """The same with the rows of a fold at an amount alone, where those are few.

        Strings and other objects have no shared memory, and travel with every batch; a low rung
        should not pay for rows that it does not look at.
        """
        rows = self.resource.few_rows(fold, amount)
        if rows is None:
            return self
        X, y = _safe_split(self.estimator, self.X, self.y, rows)
        cut = {
            name: _check_method_params(self.X, self.options[name], rows)
            for name in ("fit_params", "score_params")
        }
        part = Part(rows, self.resource.cut(fold, amount))
        return replace(self, X=X, y=y, resource=part, options={**self.options, **cut})

    def __call__(
        self, task: Any, params: dict[str, Any], done: int, progress: dict[str, Any]
    ) -> dict[str, Any]:
        """Scores and times of a task (candidate, fold, amount).

        ``done`` is the amount of the model that is kept to go on from, 0 for none.
        """
        with nullcontext() if self.limit is None else self.limit.around(task):
            return self._evaluate(task, params, done, progress)

    def _evaluate(
        self, task: Any, params: dict[str, Any], done: int, progress: dict[str, Any]
    ) -> dict[str, Any]:
        params = {**params, **self.resource.params(task.amount)}
        estimator = clone(self.estimator)
        if self.models is None or not isinstance(self.resource, Parameter):
            return self._fit_and_score(estimator, task, params, progress)
        # Parameters may be estimators, which stay unfitted themselves.
        candidate = clone(estimator).set_params(**clone(params, safe=False))
        family = family_of(candidate, self.resource.name, self.families)
        if family is None or not (family.auto or self.insist):
            return self._fit_and_score(estimator, task, params, progress)
        return self._grow(self.models, self.resource.name, family, candidate, task, done, progress)

    def _fit_and_score(
        self, estimator: Any, task: Any, params: dict[str, Any] | None, progress: dict[str, Any]
    ) -> dict[str, Any]:
        train, test = self.resource.cut(task.fold, task.amount)
        if params is not None:
            estimator.set_params(**clone(params, safe=False))
        amount = None if isinstance(self.resource, Parameter) else task.amount
        scorer = self.options["scorer"]
        with sharing(estimator, scorer, self.store, task.fold, amount) as shared:
            outcome = _fit_and_score(
                estimator,
                self.X,
                self.y,
                train=train,
                test=test,
                parameters=None,
                **{**self.options, "scorer": shared.scorer},
                **progress,
            )
        return {**outcome, "n_fitted": shared.n_fitted, "n_shared": shared.n_shared}

    def _grow(
        self,
        models: Models,
        name: str,
        family: Family,
        estimator: Any,
        task: Any,
        done: int,
        progress: dict[str, Any],
    ) -> dict[str, Any]:
        """Train from the model that is kept, or from scratch in the way of the family: a chain of
        epochs is not what one ``fit`` is, and a rung must mean one thing."""
        start = time.perf_counter()
        kept = models.load((task.candidate, task.fold, done)) if done else None
        had = 0 if kept is None else done
        model = estimator if kept is None else kept
        seconds = time.perf_counter() - start
        with growing(model, name, family.grow, had, task.amount):
            outcome = self._fit_and_score(model, task, None, progress)
        start = time.perf_counter()
        fault = None
        if task.amount < self.top and outcome["fit_error"] is None:
            fault = models.save(tuple(task), model)
            outcome["saved"] = fault is None
        elif done and not had:
            fault = "the model was not found"
        # What the rung really cost: reading and writing the model are part of it.
        outcome["fit_time"] += seconds + time.perf_counter() - start
        return {**outcome, "continued": had > 0, "fault": fault}
