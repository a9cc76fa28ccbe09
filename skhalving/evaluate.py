"""Evaluate: fit and score one configuration, on one fold, with one amount of resource.

An ``Evaluate`` holds all that the evaluations of a search share, so a task is a few numbers and a
dictionary of parameters. It runs on the workers, and knows nothing of the race and the loop.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skhalving.families import Families, Family, Grow, find, fit_whole
from skhalving.pipelines import Sharing, as_inside, innermost, owner, sharing, training
from skhalving.resource import Cuts, Resource
from skhalving.sklearn_private import _check_method_params, _fit_and_score, _safe_split
from skhalving.store import Store
from skhalving.task import Outcome, Task
from skhalving.timeout import TimeLimit
from skhalving.unlogged import unlogged
from skhalving.validation import ValidationSet, n_iter, n_trained, stopper_of


@dataclass(frozen=True, eq=False)
class Evaluate:
    """Call it with a task and a configuration to get an outcome.

    Attributes
    ----------
    estimator : estimator
        Not fitted; cloned for every evaluation.

    X, y : array-like of n_samples rows
        The data; a fold's rows are cut on the worker.

    resource : Resource
        What an amount means.

    cuts : Cuts
        The rows of each fold at each amount.

    options : dict
        Further arguments of scikit-learn's ``_fit_and_score``.

    store : Store
        Where models are kept for the next level.

    families : dict
        How classes of estimators go on training. The dict travels to the worker, which does not
        know the families that the script has registered. Empty: every level trains from scratch.

    insist : bool
        Whether training goes on also where the result is not exactly that of training from scratch.

    top : int
        The full amount. A model that was trained with it is not kept, since no level has more.

    validation_set : ValidationSet or None
        Which rows a fit watches to stop early. None: it watches none.

    limit : TimeLimit or None
        How long an evaluation may take.
    """

    estimator: Any
    X: Any
    y: Any
    resource: Resource
    cuts: Cuts
    options: dict[str, Any]
    store: Store
    families: Families
    insist: bool
    top: int
    limit: TimeLimit | None = None
    validation_set: ValidationSet | None = None

    def part(self, fold: int, amount: int) -> Evaluate:
        """An ``Evaluate`` that holds only the rows of one fold at one amount, if these are few.

        A worker should not hold rows that its level does not use. Strings and other objects are not
        in shared memory: if they are many, they travel with every batch.
        """
        part = self.cuts.part(fold, amount)
        if part is None:
            return self
        rows, cuts = part
        X, y = _safe_split(self.estimator, self.X, self.y, rows)
        metadata = {
            name: _check_method_params(self.X, self.options[name], rows)
            for name in ("fit_params", "score_params")
        }
        return replace(self, X=X, y=y, cuts=cuts, options={**self.options, **metadata})

    def __call__(self, task: Task, params: dict[str, Any], reporting: dict[str, Any]) -> Outcome:
        """Fit and score. ``reporting`` has the arguments by which scikit-learn's callbacks are told
        of it; it is empty if there are none."""
        with unlogged(), self._quiet(task):
            if self.limit is None:
                return self._evaluate(task, params, reporting)
            alarm = self.limit.around(task)
            try:
                with alarm:
                    outcome = self._evaluate(task, params, reporting)
            except Exception:
                if not alarm.rang or self.options["error_score"] == "raise":
                    raise
                why = f"TimeoutError: it ran over fit_timeout={self.limit.seconds} s"
                return Outcome({}, error=why, ended=True)
            # The alarm may have rung here too: the fit, a scorer or scikit-learn may have caught
            # its error.
            return replace(outcome, ended=alarm.rang)

    def _quiet(self, task: Task) -> AbstractContextManager[Any]:
        """A context that hides the warning that a fit has not converged, if that is to be expected:
        the resource is a parameter, and the amount is below the full one.

        Filters of warnings belong to all threads of a process. So they are changed in its main
        thread alone; evaluations in other threads may warn.
        """
        cut_short = bool(self.resource.params(task.amount)) and task.amount < self.top
        if cut_short and threading.current_thread() is threading.main_thread():
            return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
        return nullcontext()

    def _evaluate(self, task: Task, params: dict[str, Any], reporting: dict[str, Any]) -> Outcome:
        params = {**params, **self.resource.params(task.amount)}
        # Parameters may be estimators. They are cloned, so that those of the space stay unfitted.
        candidate = clone(self.estimator).set_params(**clone(params, safe=False))
        name = self.resource.name
        _, model = owner(candidate, name)
        family = find(model, name.split("__")[-1], self.families)
        if family is None or not (self.insist or family.exact(model)):
            return self._fit_and_score(candidate, task, reporting)
        return self._grow(family, candidate, task, reporting)

    def _fit_and_score(
        self,
        estimator: Any,
        task: Task,
        reporting: dict[str, Any],
        grow: Grow = fit_whole,
        done: int = 0,
    ) -> Outcome:
        """Train an estimator by ``grow``, and score it. It was trained with ``done`` units of the
        resource before (0: it is not fitted)."""
        train, test = self.cuts.cut(task.fold, task.amount)
        validation = None
        if self.validation_set is not None:
            train, validation = self.validation_set.split(self.y, train, test, task.fold)

        def fit(model: Any, /, X: Any, y: Any = None, **fit_params: Any) -> None:
            if validation is not None:
                watched = self._watched(train, validation, shared, estimator, model, y, fit_params)
                fit_params = {**watched, **fit_params}
            grow(model, done, task.amount, X, y, **fit_params)

        # If the resource is a parameter, a fold has the same rows on every level, so an output
        # serves all levels: None.
        amount = None if self.resource.params(task.amount) else task.amount
        whole = grow is fit_whole
        inside, _ = innermost(estimator) if whole else owner(estimator, self.resource.name)
        with (
            nullcontext() if whole and validation is None else training(estimator, inside, fit),
            sharing(estimator, self.store, task.fold, amount, goes_on=done > 0) as shared,
        ):
            options = {**self.options, "scorer": shared.scorer(self.options["scorer"])}
            result = _fit_and_score(
                estimator,
                self.X,
                self.y,
                train=train,
                test=test,
                parameters=None,
                verbose=0,
                **options,
                **reporting,
            )
        n_iter, stopped = self._iterations(estimator, task)
        return replace(
            outcome_of(result),
            n_iter=n_iter,
            stopped=stopped,
            n_fitted=shared.n_fitted,
            n_shared=shared.n_shared,
            fault=shared.fault,
        )

    def _watched(
        self,
        train: Any,
        rows: Any,
        shared: Sharing,
        estimator: Any,
        model: Any,
        y_train: Any,
        fit_params: dict[str, Any],
    ) -> Mapping[str, Any]:
        """The validation rows, as further arguments of the innermost model's ``fit``."""
        assert self.validation_set is not None
        X, y = _safe_split(self.estimator, self.X, self.y, rows, train)
        with shared.scoring(
            X, "score test" if self.validation_set.part == "fold" else "validation"
        ):
            X, y = as_inside(estimator, X, y)
        # A pipeline or metadata routing may have renamed the weights of the rows. They are the fit
        # parameter whose values for the training rows are the weights that the model was given.
        full, weight = self.options["fit_params"], None
        if (known := fit_params.get("sample_weight")) is not None:
            given = _check_method_params(self.X, full, train).items()
            name = next((name for name, value in given if np.array_equal(value, known)), None)
            weight = _check_method_params(self.X, full, rows).get(name)
        stopper = stopper_of(model, self.validation_set.stoppers)
        return stopper.arguments(model, X, stopper.encode(model, y_train, y), weight)

    def _iterations(self, estimator: Any, task: Task) -> tuple[float | None, bool]:
        """The iterations that a fitted estimator predicts with, and whether it stopped early, so
        that it would be the same with more of the resource."""
        prefix, model = innermost(estimator)
        if self.validation_set is None:
            return n_iter(model), False
        names = stopper_of(model, self.validation_set.stoppers).parameters
        counts = self.resource.name in {f"{prefix}{name}" for name in names}
        trained = n_trained(model) if counts else None
        return n_iter(model), trained is not None and trained < task.amount

    def _grow(
        self, family: Family, candidate: Any, task: Task, reporting: dict[str, Any]
    ) -> Outcome:
        """Train on from the model that the level below has kept, if there is one.

        If there is none, ``family.grow`` trains from scratch: a chain of epochs gives another model
        than one ``fit``, and all candidates of a level must be trained in the same way.
        """
        start = time.perf_counter()
        had, kept = self.store.take(task)
        model = candidate if kept is None else kept
        seconds = time.perf_counter() - start
        outcome = self._fit_and_score(model, task, reporting, family.grow, had)
        start = time.perf_counter()
        fault = outcome.fault
        if (
            task.amount < self.top
            and outcome.error is None
            and not outcome.stopped
            and (why := self.store.keep(task, model))
        ):
            fault = f"a model could not be kept, so training starts from scratch: {why}"
        # Reading and writing the model are part of what the level cost.
        seconds += time.perf_counter() - start
        return replace(outcome, fit_time=outcome.fit_time + seconds, continued=had > 0, fault=fault)


def outcome_of(result: Mapping[str, Any]) -> Outcome:
    """The outcome of what scikit-learn's ``_fit_and_score`` returns.

    Raises
    ------
    ValueError
        If a score is no number that a float can hold.
    """
    error = result["fit_error"]
    train = result.get("train_scores")
    return Outcome(
        scores={} if error else _named(result["test_scores"]),
        fit_time=float(result["fit_time"]),
        score_time=float(result["score_time"]),
        train_scores=None if error or train is None else _named(train),
        error=error,
    )


def _named(scores: Any) -> dict[str, float]:
    """Several scores as a scorer names them; a single one under ``"score"``, as ``cv_results_``
    names it."""
    named = scores if isinstance(scores, Mapping) else {"score": scores}
    if not named:
        raise ValueError(
            "scoring returned {}, which has no score; return a number, or a dict with at least one"
        )
    try:
        return {name: float(score) for name, score in named.items()}
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"scoring returned {named}, which a float cannot hold ({error}); return finite numbers"
        ) from None
