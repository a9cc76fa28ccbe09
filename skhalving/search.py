"""The two estimators. One ``fit``, in order:

1. check everything, which ``plan`` does as well; resolve scorers, routing and the splits, once;
   freeze the seed; draw all candidates and lay out the schedule;
2. open the journal, compare, and read what is known;
3. race: the loop asks for trials, workers evaluate;
4. make ``cv_results_``, choose the best among the rows of the highest level, refit on all rows.

``fit`` is our own and ``BaseSearchCV`` gives the interface: its ``_run_search`` cannot go on from a
model, give fewer folds on low rungs, or resume, and it aborts when a whole rung fails.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from difflib import get_close_matches
from functools import partial, wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import TimeSeriesSplit, check_cv
from sklearn.utils import indexable
from sklearn.utils.multiclass import type_of_target

from skhalving import schedule as schedules
from skhalving import space as spaces
from skhalving.evaluate import Evaluate
from skhalving.families import FAMILIES, find
from skhalving.fingerprint import stable, versions
from skhalving.loop import Work
from skhalving.pace import Pace
from skhalving.pipelines import innermost, owner
from skhalving.progress import SklearnCallbacks
from skhalving.race import Race
from skhalving.resource import Resource, in_half, resource_of
from skhalving.results import all_cv_results, cv_results, names_of, warn_of_non_finite
from skhalving.schedule import Level, Schedule
from skhalving.session import conduct, frozen_seed, opened
from skhalving.sklearn_private import (
    BaseSearchCV,
    Interval,
    StrOptions,
    _check_method_params,
    _fit_context,
    _MultimetricScorer,
    _num_samples,
    _routing_enabled,
    _warn_or_raise_about_fit_failures,
)
from skhalving.store import Store, temporary_folder
from skhalving.task import Outcome, Task
from skhalving.timeout import TimeLimit
from skhalving.unlogged import unlogged
from skhalving.validation import STOPPERS, ValidationSet, trains_alone, unwatched
from skhalving.validation import check as check_eval_set

_COUNT = [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})]


@dataclass(frozen=True)
class _Checked:
    """The arguments of a ``fit`` or a ``plan``, checked and resolved."""

    X: Any
    y: Any
    params: dict[str, Any]
    routed: Any
    scorers: Any
    splits: list[tuple[Any, Any]]
    resource: Resource
    candidates: list[dict[str, Any]]
    schedule: Schedule
    pace: Pace
    limit: TimeLimit | None


# Arguments of other searches, and what to pass here instead.
_ELSEWHERE = {
    "n_iter": "pass n_candidates",
    "n_trials": "pass n_candidates",
    "max_iter": "pass max_resources",
    "timeout": "pass max_time, or fit_timeout for a single fit",
    "aggressive_elimination": "pass a schedule of your own",
}


def _hinting(init: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor that gets an unknown argument name the one that was probably meant."""
    _, *known = signature(init).parameters

    @wraps(init)
    def hinting(self: Any, *args: Any, **options: Any) -> None:
        for unknown in [name for name in options if name not in known]:
            name, near = type(self).__name__, get_close_matches(unknown, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"see {name}"
            hint = _ELSEWHERE.get(unknown, hint)
            raise TypeError(f"{name} has no argument {unknown!r}; {hint}")
        init(self, *args, **options)

    return hinting


class _HalvingSearchCV(BaseSearchCV):
    """What the two estimators share: everything but the brackets they run."""

    _rules: ClassVar[Mapping[str, schedules.Rule]]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, list, None],
        "param_grid": [dict, list, None],
        "resource": [str],
        "min_resources": _COUNT,
        "max_resources": _COUNT,
        "factor": [Interval(Integral, 2, None, closed="left")],
        "n_candidates": _COUNT,
        "schedule": [StrOptions(set(schedules.RULES)), Schedule],
        "starting_points": [list, tuple, None],
        "folds": [StrOptions({"grow", "all"})],
        "continue_training": [StrOptions({"auto"}), "boolean"],
        "eval_set": [StrOptions({"fold"}), Interval(Real, 0, 1, closed="neither"), None],
        "random_state": ["random_state"],
        "journal": [str, os.PathLike, None],
        "max_time": [Real, timedelta, None],
        "fit_timeout": [Interval(Real, 0, None, closed="neither"), None],
        "on_result": [callable, None],
    }

    @_hinting
    def __init__(
        self,
        estimator: Any,
        param_distributions: spaces.Grids | None = None,
        *,
        param_grid: spaces.Grids | None = None,
        resource: str = "n_samples",
        min_resources: int | str = "auto",
        max_resources: int | str = "auto",
        factor: int = 3,
        n_candidates: int | str = "auto",
        schedule: str | Schedule = "hedged",
        starting_points: Sequence[dict[str, Any]] | None = None,
        folds: str = "grow",
        continue_training: bool | str = "auto",
        eval_set: str | float | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        journal: str | os.PathLike[str] | None = None,
        max_time: float | timedelta | None = None,
        fit_timeout: float | None = None,
        on_result: Callable[[dict[str, Any]], object] | None = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.param_grid = param_grid
        self.resource = resource
        self.min_resources = min_resources
        self.max_resources = max_resources
        self.factor = factor
        self.n_candidates = n_candidates
        self.schedule = schedule
        self.starting_points = starting_points
        self.folds = folds
        self.continue_training = continue_training
        self.eval_set = eval_set
        self.random_state = random_state
        self.journal = journal
        self.max_time = max_time
        self.fit_timeout = fit_timeout
        self.on_result = on_result

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> _HalvingSearchCV:
        """Race the candidates and refit the best.

        .. versionadded:: 0.1

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, n_samples)
            Training data; a precomputed kernel is square.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Target; None for unsupervised learning.

        **params : dict of str to object
            Passed to the estimator's ``fit``, the scorer and the splitter, as in ``GridSearchCV``.
            Arguments that have ``n_samples`` entries are cut along with X.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If an argument or the data does not allow the search, if every fit failed, or if the
            journal is that of another search.
        KeyboardInterrupt
            With what is known so far in ``all_cv_results_``.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from skhalving import HyperbandSearchCV
        >>> X, y = load_iris(return_X_y=True)
        >>> tree = DecisionTreeClassifier(random_state=0)
        >>> search = HyperbandSearchCV(tree, {"max_depth": [1, 2, 3, 4, 5]}, random_state=0)
        >>> search.fit(X, y).predict(X[:2])
        array([0, 0])
        >>> search.cv_results_["rank_test_score"][search.best_index_]
        np.int32(1)
        """
        with opened(self.journal) as journal, temporary_folder() as folder:
            seed = frozen_seed(self.random_state, journal)
            checked = self._check(X, y, params, seed)
            self._describe(checked)
            if journal is not None:
                journal.begin(seed, self._fingerprint(checked))
            callbacks = SklearnCallbacks(self, checked.X, checked.y, checked.params)
            work = self._work(checked, Store(folder), callbacks, seed)
            try:
                with unlogged():
                    conduct(
                        work,
                        journal,
                        checked.pace,
                        verbose=self.verbose,
                        on_result=self.on_result,
                        watchers=[callbacks] if callbacks.root is not None else [],
                        n_jobs=self.n_jobs,
                        pre_dispatch=self.pre_dispatch,
                    )
            finally:  # whatever has stopped it
                self.n_fits_ = checked.pace.n_evaluations
                if work.race.scores:
                    self._tabulate(work)
        warn_of_non_finite(self.all_cv_results_)
        self._choose()
        if self.refit:
            self._refit(checked, callbacks)
        scorers = checked.scorers
        self.scorer_ = scorers._scorers if isinstance(scorers, _MultimetricScorer) else scorers
        callbacks.end()
        return self

    def plan(self, X: Any, y: Any = None, **params: Any) -> Schedule:
        """The schedule that ``fit`` would run, to read before paying for it.

        .. versionadded:: 0.1

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, n_samples)
            As in :meth:`fit`. Nothing is fitted; the number of rows decides.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            As in :meth:`fit`; the classes decide how few rows the lowest rung may have.

        **params : dict of str to object
            As in :meth:`fit`, such as ``groups``.

        Returns
        -------
        schedule : Schedule
            ``print`` it.

        Raises
        ------
        ValueError
            If an argument or the data does not allow the search.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from skhalving import SuccessiveHalvingSearchCV
        >>> X, y = load_iris(return_X_y=True)
        >>> grid = {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5, 20]}
        >>> print(SuccessiveHalvingSearchCV(DecisionTreeClassifier(), grid).plan(X, y))
        bracket  rung  candidates  resource  folds
              0     0           9        50      1
                    1           3       150      1
                    2           2       150      5
        """
        self._validate_params()
        return self._check(X, y, params, 0).schedule

    # -- 1. check and plan ----------------------------------------------------------------------

    def _check(self, X: Any, y: Any, params: dict[str, Any], seed: int) -> _Checked:
        """Check and resolve everything, so that all errors come before anything is written or
        fitted."""
        scorers, _ = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        pace, limit = Pace(self.max_time), None
        if self.fit_timeout is not None:
            limit = TimeLimit(float(self.fit_timeout), "", os.getpid())
        splits = self._splits(X, y, routed["splitter"]["split"], seed)
        resource = resource_of(
            self.resource, self.estimator, _num_samples(X), self._labels(y), self._newest_first
        )
        if self.continue_training is True:
            self._check_continuation()
        levels = self._ladder(resource, len(splits))
        if self.n_candidates != "auto":
            schedules.check_integer("n_candidates", self.n_candidates, 1)
        wanted = None if self.n_candidates == "auto" else int(self.n_candidates)
        if wanted is None and isinstance(self.schedule, Schedule):
            wanted = self.schedule.n_candidates
        rule = schedules.rule_for(self.schedule, type(self)._rules, levels, self.factor)
        rng = np.random.RandomState(seed)
        candidates, schedule = spaces.fill(rule, self._space(), wanted, rng)
        self._warn_about_unused(levels, schedule, resource)
        candidates, schedule = spaces.with_starting_points(
            candidates, schedule, self._starting_points()
        )
        self._check_candidates(candidates, routed["estimator"]["fit"])
        if self.refit:
            n_train = max(len(train) for train, _ in splits)
            pace.refit_amount = levels[-1].n_resources * _num_samples(X) / n_train
        return _Checked(
            X=X,
            y=y,
            params=params,
            routed=routed,
            scorers=scorers,
            splits=splits,
            resource=resource,
            candidates=candidates,
            schedule=schedule,
            pace=pace,
            limit=limit,
        )

    def _splits(
        self, X: Any, y: Any, split_params: dict[str, Any], seed: int
    ) -> list[tuple[Any, Any]]:
        """The folds, made once, so that they are the same for everyone."""
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        if getattr(cv, "random_state", 0) is None:
            # A cv that shuffles without a seed follows the search's, so that a journal can go on.
            cv = copy(cv)
            cv.random_state = seed
        expected = cv.get_n_splits(X, y, **split_params)
        splits = [(in_half(train), in_half(test)) for train, test in cv.split(X, y, **split_params)]
        if len(splits) != expected:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. Expected "
                f"{expected} splits, got {len(splits)}"
            )
        if not splits:
            raise ValueError(
                "No fits were performed. Was the CV iterator empty? Were there no candidates?"
            )
        return splits

    @property
    def _newest_first(self) -> bool:
        """Whether the last rows are the ones to keep, as for time series."""
        return isinstance(self.cv, TimeSeriesSplit)

    def _labels(self, y: Any) -> np.ndarray | None:
        """The classes to stratify by, if there are any."""
        if y is None or not is_classifier(self.estimator):
            return None
        kind = type_of_target(y)
        return np.asarray(y).ravel() if kind in ("binary", "multiclass") else None

    def _space(self) -> spaces.Grids:
        given = [s for s in (self.param_distributions, self.param_grid) if s is not None]
        if len(given) != 1:
            raise ValueError(
                f"{len(given)} of param_distributions and param_grid are given; give exactly one"
            )
        if any(self.resource in part for part in spaces.parts(given[0])):
            raise ValueError(
                f"resource={self.resource!r} is also among the searched parameters; take it out "
                "of the space, since the rungs set it, or take another resource"
            )
        return given[0]

    def _starting_points(self) -> list[dict[str, Any]]:
        points = list(self.starting_points or [])
        for point in points:
            if not isinstance(point, dict) or self.resource in point:
                raise ValueError(
                    f"starting_points has {point!r}; each must be a dict of parameters, without "
                    f"the resource {self.resource!r}"
                )
        return points

    def _check_candidates(
        self, candidates: list[dict[str, Any]], fit_params: Mapping[str, Any]
    ) -> None:
        """Check that the estimator takes the parameters: one candidate is tried for each set of
        names and types, since a parameter whose value is an estimator adds parameters of its
        own."""
        kinds = {frozenset((name, type(v)) for name, v in c.items()): c for c in candidates}
        for candidate in kinds.values():
            model = clone(self.estimator).set_params(**clone(candidate, safe=False))
            check_eval_set(innermost(model)[1], self.eval_set, fit_params)

    def _ladder(self, resource: Resource, n_splits: int) -> tuple[Level, ...]:
        """The levels, from the arguments and the size of the data."""
        top = resource.most(self.max_resources)
        grow = self.folds == "grow"
        steps = schedules.fold_steps(n_splits, self.factor) if grow else [n_splits]
        bottom: Any = self.min_resources
        if bottom == "auto":
            least = resource.least(n_splits)
            deep = self.schedule == "hedged" and not resource.params(top)
            bottom = schedules.auto_min_resources(top, least, self.factor, len(steps), deep)
        return schedules.ladder(top, bottom, self.factor, steps)

    def _warn_about_unused(
        self, levels: tuple[Level, ...], schedule: Schedule, resource: Resource
    ) -> None:
        """Warn if there are too few candidates to start with the ``min_resources`` that was given,
        or if all of them would get the full amount of the parameter that is the resource."""
        lowest, used = levels[0].n_resources, schedule.levels[0].n_resources
        is_whole = used == levels[-1].n_resources
        ignored = self.min_resources != "auto" or (is_whole and resource.params(used))
        if not (lowest < used and ignored and isinstance(self.schedule, str)):
            return
        rule = type(self)._rules[self.schedule]
        warnings.warn(
            f"n_candidates={schedule.n_candidates} is too few to start with {self.resource}="
            f"{lowest}, and the search starts with {used}; "
            f"{schedules.n_to_fill(rule, levels, self.factor)} candidates would use all levels",
            UserWarning,
            stacklevel=4,
        )

    def _check_continuation(self) -> None:
        _, model = owner(self.estimator, self.resource)
        if find(model, self.resource.split("__")[-1]) is None:
            raise ValueError(
                f"continue_training=True, but {type(self.estimator).__name__} cannot go on "
                f'training by {self.resource!r}; pass continue_training="auto" to start from '
                "scratch on every rung, take a parameter that counts trees or epochs as the "
                "resource, or teach it with skhalving.register_continuation"
            )

    def _describe(self, checked: _Checked) -> None:
        """Set the attributes that are known before the race, and delete those of an earlier fit."""
        for name in [name for name in vars(self) if name.endswith("_") and name[0] != "_"]:
            delattr(self, name)
        self.n_splits_ = len(checked.splits)
        self.schedule_ = checked.schedule
        levels = checked.schedule.levels
        self.n_resources_ = [level.n_resources for level in levels]
        self.min_resources_, self.max_resources_ = self.n_resources_[0], self.n_resources_[-1]
        self.n_candidates_ = [checked.schedule.candidates_at(i) for i in range(len(levels))]

    # -- 2. the journal -------------------------------------------------------------------------

    def _fingerprint(self, checked: _Checked) -> dict[str, Any]:
        """All that scores depend on, and the arguments of the schedule, which one journal may not
        mix."""
        return {
            **versions(self.estimator, self._space(), self.scoring, self.refit),
            "data": joblib.hash((checked.X, checked.y, checked.params)),
            "splits": joblib.hash(checked.splits),
            "estimator": stable(self.estimator),
            "space": stable(self._space()),
            "scoring": stable(self.scoring),
            "routing": str(self.get_metadata_routing()) if _routing_enabled() else None,
            "refit": stable(self.refit),
            "error_score": stable(self.error_score),
            "return_train_score": self.return_train_score,
            "continue_training": self.continue_training,
            "eval_set": self.eval_set,
            "resource": self.resource,
            "factor": int(self.factor),
            "folds": self.folds,
            "schedule": str(self.schedule),
            "min_resources": str(self.min_resources),
            "max_resources": self.max_resources_,
            "n_candidates": len(checked.candidates) - len(self.starting_points or []),
        }

    # -- 3. the race ----------------------------------------------------------------------------

    def _work(
        self, checked: _Checked, store: Store, callbacks: SklearnCallbacks, seed: int
    ) -> _SearchWork:
        resource, levels = checked.resource, checked.schedule.levels
        # Folds with larger training sets come first: they are closest to the rows of the refit, and
        # for time series the latest.
        order = sorted(range(self.n_splits_), key=lambda k: -len(checked.splits[k][0]))
        validation_set = None
        if self.eval_set is not None:
            stratified, newest = self._labels(checked.y) is not None, self._newest_first
            validation_set = ValidationSet(self.eval_set, stratified, newest, seed, STOPPERS)
        # If rows are the resource, they change from level to level, and no model can go on with
        # them.
        goes_on = self.continue_training is not False and resource.params(1)
        evaluate = Evaluate(
            estimator=clone(self.estimator),
            X=checked.X,
            y=checked.y,
            resource=resource,
            cuts=resource.cuts(checked.splits, levels, order, seed),
            options={
                "scorer": checked.scorers,
                "fit_params": checked.routed["estimator"]["fit"],
                "score_params": checked.routed["scorer"]["score"],
                "return_train_score": self.return_train_score,
                "return_times": True,
                "error_score": self.error_score,
            },
            store=store,
            families=FAMILIES if goes_on else {},
            insist=self.continue_training is True,
            top=self.max_resources_,
            validation_set=validation_set,
            limit=checked.limit and replace(checked.limit, folder=store.folder),
        )
        # Starting points are the last bracket, and run first.
        first = len(checked.schedule) - 1 if self.starting_points else None
        return _SearchWork(
            race=Race(checked.schedule, first),
            candidates=checked.candidates,
            first_like=spaces.first_like(checked.candidates),
            order=order,
            store=store,
            unit=self.resource,
            evaluate=evaluate,
            callbacks=callbacks,
            metric=self._steering_metric,
            error_score=self.error_score,
        )

    def _steering_metric(self, names: list[str]) -> str:
        """The metric that decides who is promoted. The metrics of a callable ``scoring`` are known
        only once it has returned."""
        if names == ["score"]:
            return "score"
        self._check_refit_for_multimetric(names)
        return self.refit if isinstance(self.refit, str) else names[0]

    # -- 4. the results -------------------------------------------------------------------------

    def _tabulate(self, work: _SearchWork) -> None:
        """Make ``cv_results_`` and ``all_cv_results_`` from the outcomes that are known."""
        race, resource = work.race, work.evaluate.resource
        trials = sorted(race.scores)
        params = [
            {**work.candidates[trial.candidate], **resource.params(race.rung(trial).n_resources)}
            for trial in trials
        ]
        outcomes = [{task.fold: work.known[task] for task in work.tasks(t)} for t in trials]
        self.all_cv_results_ = all_cv_results(
            race.schedule, trials, params, outcomes, self.n_splits_, self.error_score
        )
        self.cv_results_ = cv_results(self.all_cv_results_, self.n_splits_)
        metrics = [name for name in self.cv_results_ if name.startswith("mean_test_")]
        by_name = isinstance(work.evaluate.options["scorer"], _MultimetricScorer)
        self.multimetric_ = by_name or metrics != ["mean_test_score"]

    def _choose(self) -> None:
        """The best row of ``cv_results_``, as ``GridSearchCV`` chooses it."""
        if not self.refit and self.multimetric_:
            return
        refit_metric = self.refit if self.multimetric_ else "score"
        results = self.cv_results_
        self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, checked: _Checked, callbacks: SklearnCallbacks) -> None:
        # Parameters may be estimators; they are cloned so that those searched stay unfitted.
        best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        fit_params = checked.routed["estimator"]["fit"]
        self.refit_params_ = self.best_params_
        if self.eval_set is not None:
            # The refit has no validation set. It trains as long as the folds did on average, times
            # K/(K-1) for K folds: with more rows more trees are best (`benchmarks/boosting.py`).
            n_train = np.mean([len(train) for train, _ in checked.splits])
            means = self.cv_results_.get("mean_n_iter")
            n_iter = np.nan if means is None else means[self.best_index_]
            prefix, model = innermost(best)
            alone = trains_alone(model, n_iter * _num_samples(checked.X) / n_train)
            own = {f"{prefix}{name}": value for name, value in alone.items()}
            self.refit_params_ = {**self.best_params_, **own}
            best.set_params(**own)
            fit_params = {**fit_params, **unwatched(fit_params)}
        start = time.time()
        target = () if checked.y is None else (checked.y,)
        callbacks.refit(lambda: best.fit(checked.X, *target, **fit_params), best)
        self.refit_time_ = time.time() - start
        self.best_estimator_ = best
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_


@dataclass(kw_only=True)
class _SearchWork(Work):
    """The evaluations of a search.

    Attributes
    ----------
    parts : dict of (fold, amount) to Evaluate
        The ``Evaluate`` of each fold and amount, made when it is first asked for. Where a fold has
        few rows at that amount, its ``Evaluate`` holds no others.
    """

    evaluate: Evaluate
    callbacks: SklearnCallbacks
    metric: Callable[[list[str]], str]
    error_score: Any
    parts: dict[tuple[int, int], Evaluate] = field(default_factory=dict)

    def call(self, task: Task) -> partial[Outcome]:
        key = task.fold, task.amount
        if key not in self.parts:
            self.parts[key] = self.evaluate.part(*key)
        reporting = self.callbacks.leaf(task)
        return partial(self.parts[key], task, self.candidates[task.candidate], reporting)

    def score(self, outcomes: Sequence[Outcome]) -> float:
        names = names_of(outcome.scores for outcome in outcomes)
        if not names:
            return float(self.error_score)
        metric = self.metric(names)
        return float(np.mean([o.scores.get(metric, self.error_score) for o in outcomes]))

    def lost(self, task: Task, why: str) -> Outcome:
        message = f"{why}, with parameters {self.candidates[task.candidate]}"
        if self.error_score == "raise":
            raise RuntimeError(message)
        return Outcome({}, error=message, ended=True)

    def is_late(self, task: Task) -> bool:
        limit = self.evaluate.limit
        return limit is not None and limit.was_hard(task)

    def complain(self, outcomes: Sequence[Outcome]) -> None:
        """Raise or warn in scikit-learn's words."""
        errors = [{"fit_error": outcome.error} for outcome in outcomes]
        _warn_or_raise_about_fit_failures(errors, self.error_score)


class HyperbandSearchCV(_HalvingSearchCV):
    """Search with Hyperband: many candidates on little, the best of them on more.

    Goes where ``GridSearchCV`` or ``RandomizedSearchCV`` stood. Several brackets of successive
    halving run together: the first starts with many candidates on the least resource, others start
    with more of it, in case little resource does not tell good candidates from bad ones. By default
    there are two brackets with gentle cuts, which found equally good candidates for less compute
    than Hyperband's own; ``schedule="published"`` runs the brackets of the paper.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator object
        With a ``score`` method, unless ``scoring`` is given. Cloned for every evaluation.

    param_distributions : dict or list of dict, default=None
        Parameter names, as for ``set_params``, with lists or distributions (anything with ``rvs``).
        A space of lists alone is a grid: every point enters once. Anything else is sampled, each
        configuration once.

    param_grid : dict or list of dict, default=None
        The same under the name that ``GridSearchCV`` has for it. Exactly one of the two is given.

    resource : str, default="n_samples"
        What grows from rung to rung: ``"n_samples"``, the rows that a candidate is trained on, or
        an integer parameter of the estimator such as ``"max_iter"`` or ``"clf__n_estimators"``.

    min_resources : int or "auto", default="auto"
        The least that any rung gives, in rows or units of the parameter. "auto": the amount with
        which the ladder has four levels in all; with more than a million rows, about 10,000 rows;
        never fewer than two rows of each class for each fold.

    max_resources : int or "auto", default="auto"
        What the last rung gives, exactly. "auto": all rows, or the value that the estimator has.

    factor : int, default=3
        The amounts of neighbouring levels are ``factor`` times apart. One candidate in ``factor``
        is promoted to a level with the full amount, and at every step with
        ``schedule="published"``.

    n_candidates : int or "auto", default="auto"
        Candidates in all. "auto": every point of a grid, else as many as the schedule asks for. If
        there are too few to fill the lowest levels, they start on a higher one; a warning says so
        if ``min_resources`` is given.

    schedule : {"hedged", "published"} or Schedule, default="hedged"
        How many candidates start with how much, and how many are kept at each step. "hedged": a
        gentle first cut and at least two finalists, in two brackets. "published": Algorithm 1 of
        the paper. A :class:`Schedule` of your own, on the levels of :meth:`plan`, runs as it is.

    starting_points : list of dict, default=None
        Parameters that are scored first of all, with full resource on all folds, so that the answer
        is never worse than what you had: ``{}`` is the estimator as it was given. They stand in
        ``cv_results_`` as a bracket of their own, are not among ``n_candidates``, and may be added
        to when a journal is resumed.

    folds : {"grow", "all"}, default="grow"
        "grow": candidates climb on one fold; the last steps of the ladder (one step to 5 folds, two
        to 10) go from one fold to all of them at the full amount, and keep the scores of folds that
        were scored. "all": every rung has all folds, as published.

    continue_training : bool or "auto", default="auto"
        Whether a promoted candidate goes on from its fitted model where ``resource`` is a
        parameter. "auto": where it is known how (see :func:`register_continuation`) and the model
        is exactly that of training from scratch. True: also where it is not (epochs of SGD,
        perceptrons and MLP by ``partial_fit``, boosters that draw rows or columns, CatBoost); an
        error where it is not known how. False: every rung starts from scratch. ``best_estimator_``
        is always fitted from scratch.

    eval_set : "fold" or float, default=None
        The validation set on which each fit of a booster stops early: "fold" for the test rows of
        its fold, or a fraction of its training rows, stratified for a classifier. For XGBoost,
        LightGBM, CatBoost and ``HistGradientBoosting*``, alone or at the end of a pipeline, with
        their own ``early_stopping_rounds``, and classes that :func:`register_validation` was called
        for. The refit has no validation set, and trains as long as the folds did on average, times
        K/(K-1) for K folds.

    scoring : str, callable, list, tuple, dict or None, default=None
        As for ``GridSearchCV``. With several metrics the race is run by the one that ``refit``
        names, or by the first where ``refit`` is a callable or False.

    n_jobs : int, default=None
        Evaluations at a time, through joblib and whatever backend is active. The results are the
        same for every value.

    refit : bool, str or callable, default=True
        As for ``GridSearchCV``. A callable gets ``cv_results_``, and returns a position in it.

    cv : int, cross-validation generator or iterable, default=None
        As for ``GridSearchCV``: 5 folds by default, stratified for a classifier. The splits are
        made once. A splitter that shuffles without a seed gets the seed of the search.

    verbose : int, default=0
        Above 0: a line for each level. Above 1: also one for each fit.

    pre_dispatch : int or str, default="2*n_jobs"
        Tasks that joblib takes ahead on multiprocessing and spark. It has no effect elsewhere,
        where as many evaluations are in flight as there are workers.

    random_state : int, RandomState instance or None, default=None
        Seeds the draws of candidates and of rows. The estimator has a ``random_state`` of its own:
        set both for results that repeat.

    journal : path-like, default=None
        A file that each finished evaluation is written to. Run again with the same file, the same
        search goes on from there, also with more candidates or a larger maximum.

    max_time : float or timedelta, default=None
        In seconds if it is a number. No evaluation starts after that time, less the time that the
        refit is expected to take; at least one candidate is evaluated. A warning tells how many
        trials were not run, and on which level the best stands.

    fit_timeout : float, default=None
        Seconds that one fit and its scores may take. An evaluation that runs over it gets
        ``error_score``. It is stopped by an alarm in the main thread of its process, which compiled
        code may not hear. On loky the worker process is then ended, 1.5 times the limit and one
        second after the start; with ``n_jobs=1`` the search waits. On backends that use threads the
        argument is an error.

    on_result : callable, default=None
        Called with a dict as soon as anything is known, in this process and thread. Its ``event``
        is ``"evaluation"``, with ``candidate``, ``params``, ``bracket``, ``level``, ``rung`` (of
        the bracket), ``n_resources``, ``fold``, ``scores`` and ``train_scores`` (dicts, empty if
        the fit failed), ``seconds``, ``error`` (None or a text) and ``continued``; or ``"level"``
        where one ends, and at last ``"end"``, with ``level``, ``n_resources``, ``n_folds``,
        ``n_candidates``, ``n_evaluations``, ``best`` (score), ``elapsed`` and ``left`` (seconds),
        ``transformers_fitted`` and ``transformers_shared`` (steps of pipelines that were not fitted
        again). An exception in it ends the search; the journal and ``all_cv_results_`` keep what is
        known. Evaluations that were read from a journal are not reported again.

    error_score : "raise" or float, default=nan
        Score of a fit that fails. NaN is never promoted ahead of a number.

    return_train_score : bool, default=False
        Whether ``cv_results_`` has training scores.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray of shape (n_finalists,)
        As in ``GridSearchCV``, a row for each candidate that was scored with full resource on all
        folds. If time ran out before any was, it has the rows of the highest level that has
        results.

    all_cv_results_ : dict of str to ndarray of shape (n_trials,)
        A row for each candidate on each rung, level by level, with the columns of ``cv_results_``
        except ranks. In both, ``level``, ``bracket``, ``iter`` (the rung within the bracket),
        ``candidate``, ``n_resources``, ``n_folds`` and ``continued`` (whether training went on from
        a lower level) say where a row stood. Times are seconds. ``split*`` columns are NaN for
        folds that the rung did not use; means are over those used. ``split*_n_iter`` and
        ``mean_n_iter``, where the estimator reports them, are the trees or epochs that its model
        uses.

    schedule_ : Schedule
        What was planned; ``print`` it. :meth:`plan` gives it before ``fit``.

    n_fits_ : int
        Evaluations that were run, each one fit on one fold.

    n_resources_ : list of int
        The levels' resource, in rows or units of the parameter, lowest first.

    min_resources_, max_resources_ : int
        The first and the last of them.

    n_candidates_ : list of int
        Candidates on each level.

    refit_params_ : dict
        What ``best_estimator_`` was fitted with: ``best_params_``, with ``eval_set`` also the
        number of iterations, and early stopping off.

    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
        multimetric_, classes_, n_features_in_, feature_names_in_
        As in ``GridSearchCV``.

    Raises
    ------
    ValueError
        From ``fit``, if an argument or the data does not allow the search; if every fit failed,
        with the tracebacks; if the journal is that of another search, with what differs.
    KeyboardInterrupt
        From ``fit``, with what is known so far in ``all_cv_results_``.

    See Also
    --------
    SuccessiveHalvingSearchCV : The most exploratory bracket alone; cheaper.
    hyperband_schedule : The arithmetic of the brackets.
    hyperband : The same for a plain function.

    References
    ----------
    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar (2018). Hyperband: A Novel Bandit-Based Approach
    to Hyperparameter Optimization. JMLR 18, Algorithm 1.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skhalving import HyperbandSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-4, 1e1)}
    >>> search = HyperbandSearchCV(SVC(), space, random_state=0).fit(X, y)
    >>> search.best_score_ > 0.95
    np.True_
    >>> print(search.schedule_)
    bracket  rung  candidates  resource  folds
          0     0          27        50      1
                1           9       150      1
                2           3       150      5
    >>> print(search.set_params(schedule="published").plan(X, y))
    bracket  rung  candidates  resource  folds
          0     0           9        50      1
                1           3       150      1
                2           1       150      5
          1     0           5       150      1
                1           1       150      5
          2     0           3       150      5
    """

    _rules = schedules.RULES


class SuccessiveHalvingSearchCV(_HalvingSearchCV):
    """Search with successive halving: one bracket, from many candidates to the best.

    The most exploratory of the brackets that :class:`HyperbandSearchCV` runs. It finds more for its
    cost where little resource already tells good candidates from bad, and less where it does not.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator object
        With a ``score`` method, unless ``scoring`` is given. Cloned for every evaluation.

    param_distributions : dict or list of dict, default=None
        Parameter names, as for ``set_params``, with lists or distributions (anything with ``rvs``).
        A space of lists alone is a grid: every point enters once. Anything else is sampled, each
        configuration once.

    param_grid : dict or list of dict, default=None
        The same under the name that ``GridSearchCV`` has for it. Exactly one of the two is given.

    resource : str, default="n_samples"
        What grows from rung to rung: ``"n_samples"``, the rows that a candidate is trained on, or
        an integer parameter of the estimator such as ``"max_iter"`` or ``"clf__n_estimators"``.

    min_resources : int or "auto", default="auto"
        The least that any rung gives, in rows or units of the parameter. "auto": the amount with
        which the ladder has four levels in all; with more than a million rows, about 10,000 rows;
        never fewer than two rows of each class for each fold.

    max_resources : int or "auto", default="auto"
        What the last rung gives, exactly. "auto": all rows, or the value that the estimator has.

    factor : int, default=3
        The amounts of neighbouring levels are ``factor`` times apart. One candidate in ``factor``
        is promoted to a level with the full amount, and at every step with
        ``schedule="published"``.

    n_candidates : int or "auto", default="auto"
        Candidates in all. "auto": every point of a grid, else as many as the schedule asks for. If
        there are too few to fill the lowest levels, they start on a higher one; a warning says so
        if ``min_resources`` is given.

    schedule : {"hedged", "published"} or Schedule, default="hedged"
        How many candidates start with how much, and how many are kept at each step. "hedged": a
        gentle first cut and at least two finalists, in one bracket. "published": one in
        ``factor`` is kept at every step. A :class:`Schedule` of your own, on the levels of
        :meth:`plan`, runs as it is.

    starting_points : list of dict, default=None
        Parameters that are scored first of all, with full resource on all folds, so that the answer
        is never worse than what you had: ``{}`` is the estimator as it was given. They stand in
        ``cv_results_`` as a bracket of their own, are not among ``n_candidates``, and may be added
        to when a journal is resumed.

    folds : {"grow", "all"}, default="grow"
        "grow": candidates climb on one fold; the last steps of the ladder (one step to 5 folds, two
        to 10) go from one fold to all of them at the full amount, and keep the scores of folds that
        were scored. "all": every rung has all folds, as published.

    continue_training : bool or "auto", default="auto"
        Whether a promoted candidate goes on from its fitted model where ``resource`` is a
        parameter. "auto": where it is known how (see :func:`register_continuation`) and the model
        is exactly that of training from scratch. True: also where it is not (epochs of SGD,
        perceptrons and MLP by ``partial_fit``, boosters that draw rows or columns, CatBoost); an
        error where it is not known how. False: every rung starts from scratch. ``best_estimator_``
        is always fitted from scratch.

    eval_set : "fold" or float, default=None
        The validation set on which each fit of a booster stops early: "fold" for the test rows of
        its fold, or a fraction of its training rows, stratified for a classifier. For XGBoost,
        LightGBM, CatBoost and ``HistGradientBoosting*``, alone or at the end of a pipeline, with
        their own ``early_stopping_rounds``, and classes that :func:`register_validation` was called
        for. The refit has no validation set, and trains as long as the folds did on average, times
        K/(K-1) for K folds.

    scoring : str, callable, list, tuple, dict or None, default=None
        As for ``GridSearchCV``. With several metrics the race is run by the one that ``refit``
        names, or by the first where ``refit`` is a callable or False.

    n_jobs : int, default=None
        Evaluations at a time, through joblib and whatever backend is active. The results are the
        same for every value.

    refit : bool, str or callable, default=True
        As for ``GridSearchCV``. A callable gets ``cv_results_``, and returns a position in it.

    cv : int, cross-validation generator or iterable, default=None
        As for ``GridSearchCV``: 5 folds by default, stratified for a classifier. The splits are
        made once. A splitter that shuffles without a seed gets the seed of the search.

    verbose : int, default=0
        Above 0: a line for each level. Above 1: also one for each fit.

    pre_dispatch : int or str, default="2*n_jobs"
        Tasks that joblib takes ahead on multiprocessing and spark. It has no effect elsewhere,
        where as many evaluations are in flight as there are workers.

    random_state : int, RandomState instance or None, default=None
        Seeds the draws of candidates and of rows. The estimator has a ``random_state`` of its own:
        set both for results that repeat.

    journal : path-like, default=None
        A file that each finished evaluation is written to. Run again with the same file, the same
        search goes on from there, also with more candidates or a larger maximum.

    max_time : float or timedelta, default=None
        In seconds if it is a number. No evaluation starts after that time, less the time that the
        refit is expected to take; at least one candidate is evaluated. A warning tells how many
        trials were not run, and on which level the best stands.

    fit_timeout : float, default=None
        Seconds that one fit and its scores may take. An evaluation that runs over it gets
        ``error_score``. It is stopped by an alarm in the main thread of its process, which compiled
        code may not hear. On loky the worker process is then ended, 1.5 times the limit and one
        second after the start; with ``n_jobs=1`` the search waits. On backends that use threads the
        argument is an error.

    on_result : callable, default=None
        Called with a dict as soon as anything is known, in this process and thread. Its ``event``
        is ``"evaluation"``, with ``candidate``, ``params``, ``bracket``, ``level``, ``rung`` (of
        the bracket), ``n_resources``, ``fold``, ``scores`` and ``train_scores`` (dicts, empty if
        the fit failed), ``seconds``, ``error`` (None or a text) and ``continued``; or ``"level"``
        where one ends, and at last ``"end"``, with ``level``, ``n_resources``, ``n_folds``,
        ``n_candidates``, ``n_evaluations``, ``best`` (score), ``elapsed`` and ``left`` (seconds),
        ``transformers_fitted`` and ``transformers_shared`` (steps of pipelines that were not fitted
        again). An exception in it ends the search; the journal and ``all_cv_results_`` keep what is
        known. Evaluations that were read from a journal are not reported again.

    error_score : "raise" or float, default=nan
        Score of a fit that fails. NaN is never promoted ahead of a number.

    return_train_score : bool, default=False
        Whether ``cv_results_`` has training scores.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray of shape (n_finalists,)
        As in ``GridSearchCV``, a row for each candidate that was scored with full resource on all
        folds. If time ran out before any was, it has the rows of the highest level that has
        results.

    all_cv_results_ : dict of str to ndarray of shape (n_trials,)
        A row for each candidate on each rung, level by level, with the columns of ``cv_results_``
        except ranks. In both, ``level``, ``bracket``, ``iter`` (the rung within the bracket),
        ``candidate``, ``n_resources``, ``n_folds`` and ``continued`` (whether training went on from
        a lower level) say where a row stood. Times are seconds. ``split*`` columns are NaN for
        folds that the rung did not use; means are over those used. ``split*_n_iter`` and
        ``mean_n_iter``, where the estimator reports them, are the trees or epochs that its model
        uses.

    schedule_ : Schedule
        What was planned; ``print`` it. :meth:`plan` gives it before ``fit``.

    n_fits_ : int
        Evaluations that were run, each one fit on one fold.

    n_resources_ : list of int
        The levels' resource, in rows or units of the parameter, lowest first.

    min_resources_, max_resources_ : int
        The first and the last of them.

    n_candidates_ : list of int
        Candidates on each level.

    refit_params_ : dict
        What ``best_estimator_`` was fitted with: ``best_params_``, with ``eval_set`` also the
        number of iterations, and early stopping off.

    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
        multimetric_, classes_, n_features_in_, feature_names_in_
        As in ``GridSearchCV``.

    Raises
    ------
    ValueError
        From ``fit``, if an argument or the data does not allow the search; if every fit failed,
        with the tracebacks; if the journal is that of another search, with what differs.
    KeyboardInterrupt
        From ``fit``, with what is known so far in ``all_cv_results_``.

    See Also
    --------
    HyperbandSearchCV : Has further brackets, which start with more of the resource.
    successive_halving : The same for a plain function.

    References
    ----------
    Jamieson and Talwalkar (2016). Non-stochastic Best Arm Identification and Hyperparameter
    Optimization. AISTATS, Section 3. With a least and a largest amount of resource, as here: Li et
    al. (2020). A System for Massively Parallel Hyperparameter Tuning. MLSys, Algorithm 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skhalving import SuccessiveHalvingSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> search = SuccessiveHalvingSearchCV(
    ...     RandomForestClassifier(n_estimators=27, random_state=0),
    ...     {"max_depth": [1, 2, 3], "max_features": [1, 2, 4]},
    ...     resource="n_estimators",
    ...     cv=3,
    ... ).fit(X, y)
    >>> search.n_resources_, search.n_candidates_
    ([9, 27, 27], [9, 3, 2])
    >>> search.best_params_["n_estimators"]
    27
    """

    _rules = schedules.SINGLE_RULES
