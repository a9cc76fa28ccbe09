"""The two estimators. One ``fit``, in order:

1. validate; resolve scorers, routing and the splits (once); freeze the seed;
2. draw all candidates and lay out the schedule;
3. race them: ``run`` asks for trials, workers ``evaluate``;
4. ``cv_results_`` once, the best among the rows of the highest level, and the refit on all rows.

``fit`` is our own and ``BaseSearchCV`` gives the interface: its ``_run_search`` cannot give fewer
folds on low rungs and aborts when a whole rung fails.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, closing
from copy import copy
from datetime import timedelta
from importlib import metadata
from math import inf
from numbers import Integral, Real
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.model_selection import TimeSeriesSplit, check_cv
from sklearn.utils import check_random_state, indexable
from sklearn.utils.multiclass import type_of_target

from skhalving import schedule as plans
from skhalving import space as spaces
from skhalving.continuation import FAMILIES, Models, family_of
from skhalving.evaluate import Evaluate, TimeLimit
from skhalving.html import summary_html
from skhalving.journal import Journal, fingerprint_of_data, stable
from skhalving.race import Race
from skhalving.resource import Parameter, Rows, auto_max_parameter, check_parameter, in_half
from skhalving.results import Row, cv_results, outcomes_of
from skhalving.run import run
from skhalving.schedule import Level, Schedule
from skhalving.sklearn_private import (
    BaseSearchCV,
    Callbacks,
    Interval,
    StrOptions,
    _check_method_params,
    _fit_context,
    _insert_error_scores,
    _MultimetricScorer,
    _num_samples,
    _warn_or_raise_about_fit_failures,
)
from skhalving.store import Store
from skhalving.work import Work

_COUNT = [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})]


class _HalvingSearchCV(BaseSearchCV):
    """What the two estimators share: everything but the brackets they run."""

    _brackets: ClassVar[Callable[..., Schedule]]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,
        "param_distributions": [dict, list, None],
        "param_grid": [dict, list, None],
        "resource": [str],
        "min_resources": _COUNT,
        "max_resources": _COUNT,
        "factor": [Interval(Integral, 2, None, closed="left")],
        "n_candidates": _COUNT,
        "folds": [StrOptions({"grow", "all"})],
        "continue_training": [StrOptions({"auto"}), "boolean"],
        "random_state": ["random_state"],
        "journal": [str, os.PathLike, None],
        "max_time": [Real, timedelta, None],
        "fit_timeout": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: spaces.Space | None = None,
        *,
        param_grid: spaces.Space | None = None,
        resource: str = "n_samples",
        min_resources: int | str = "auto",
        max_resources: int | str = "auto",
        factor: int = 3,
        n_candidates: int | str = "auto",
        folds: str = "grow",
        continue_training: bool | str = "auto",
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
        self.folds = folds
        self.continue_training = continue_training
        self.random_state = random_state
        self.journal = journal
        self.max_time = max_time
        self.fit_timeout = fit_timeout

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
            What has ``n_samples`` rows is cut with X.

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
            With what is known so far in ``cv_results_``.

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
        scorers, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        deadline = self._deadline()
        with ExitStack() as stack:
            journal = None
            if self.journal is not None:
                journal = stack.enter_context(closing(Journal(self.journal)))
            seed = self._seed(journal)
            splits = self._splits(X, y, routed["splitter"]["split"], seed)
            labels = self._labels(y)
            levels = self._ladder(_num_samples(X), labels, len(splits))
            candidates, schedule = self._plan(levels, np.random.RandomState(seed))
            for name in [name for name in vars(self) if name.endswith("_") and name[0] != "_"]:
                delattr(self, name)  # of an earlier fit, should this one be interrupted
            self.n_splits_ = len(splits)
            self._describe(schedule)
            if journal is not None:
                journal.begin(seed, self._fingerprint(X, y, params, splits, candidates))

            # A folder of its own: workers of a search that was killed may still write to theirs.
            folder = stack.enter_context(
                TemporaryDirectory(prefix="skhalving-", ignore_cleanup_errors=True)
            )
            # Larger training sets first: the closest to what the refit will see, and for time
            # series the latest.
            folds = sorted(range(len(splits)), key=lambda k: (-len(splits[k][0]), k))
            evaluate = Evaluate(
                estimator=clone(self.estimator),
                X=X,
                y=y,
                resource=self._resource(_num_samples(X), labels, splits, folds, seed),
                options=self._options(scorers, routed),
                models=self._models(folder),
                families={} if self.resource == "n_samples" else FAMILIES,
                insist=self.continue_training is True,
                top=self.max_resources_,
                limit=self._limit(folder),
                store=Store(folder),
            )
            callbacks = Callbacks(self, X, y, params)
            work = Work(self, Race(schedule), evaluate, candidates, folds, callbacks, journal)
            work.deadline = deadline
            self._race(work)
        self._choose(refit_metric)
        if self.refit:
            self._refit(X, y, routed["estimator"]["fit"], callbacks)
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
                    2           1       150      5
        """
        self._validate_params()
        X, y = indexable(X, y)
        routed = self._get_routed_params_for_fit(_check_method_params(X, params=params))
        splits = self._splits(X, y, routed["splitter"]["split"], 0)
        levels = self._ladder(_num_samples(X), self._labels(y), len(splits))
        return self._plan(levels, np.random.RandomState(0))[1]

    # -- in a notebook ------------------------------------------------------------------------

    def _repr_html_inner(self) -> str:
        return super()._repr_html_inner() + self._summary()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += self._summary()
        return bundle

    def _summary(self) -> str:
        if not hasattr(self, "schedule_"):
            return ""
        return summary_html(self.schedule_, getattr(self, "best_params_", None))

    # -- 1. what is searched, on what ---------------------------------------------------------

    def _splits(
        self, X: Any, y: Any, split_params: dict[str, Any], seed: int
    ) -> list[tuple[Any, Any]]:
        """The folds, made once, so that they are the same for everyone."""
        if _num_samples(X) == 0:
            raise ValueError("X has 0 samples; a search needs at least one row for every fold")
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

    def _labels(self, y: Any) -> np.ndarray | None:
        """The classes to stratify by, if there are any."""
        if y is None or not is_classifier(self.estimator):
            return None
        kind = type_of_target(y)
        return np.asarray(y).ravel() if kind in ("binary", "multiclass") else None

    def _seed(self, journal: Journal | None) -> int:
        """Frozen at the start of ``fit``; an int draws what RandomizedSearchCV draws with it."""
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        if journal is not None and journal.header is not None:
            return journal.header["seed"]
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _space(self) -> spaces.Space:
        given = [s for s in (self.param_distributions, self.param_grid) if s is not None]
        if len(given) != 1:
            raise ValueError(
                f"{len(given)} of param_distributions and param_grid are given; give exactly one"
            )
        if self.resource in spaces.names(given[0]):
            raise ValueError(
                f"resource={self.resource!r} is also among the searched parameters; take it out "
                "of the space, since the rungs set it, or take another resource"
            )
        return given[0]

    # -- 2. the plan --------------------------------------------------------------------------

    def _ladder(
        self, n_samples: int, labels: np.ndarray | None, n_splits: int
    ) -> tuple[Level, ...]:
        """The levels, from the arguments and the size of the data."""
        least = 1
        auto_max = n_samples
        if self.resource == "n_samples":
            # Two rows of every class for each fold, as scikit-learn's halving has it.
            n_classes = 1 if labels is None else len(np.unique(labels))
            least = 2 * n_splits * n_classes
            if self.max_resources != "auto" and int(self.max_resources) > n_samples:
                raise ValueError(
                    f"max_resources={self.max_resources} is above the {n_samples} rows of X; "
                    'lower it, or pass max_resources="auto"'
                )
        else:
            params = self.estimator.get_params()
            check_parameter(self.resource, params)
            if self.max_resources == "auto":
                auto_max = auto_max_parameter(self.resource, params)
        for name in ("min_resources", "n_candidates"):
            if getattr(self, name) != "auto":
                plans.check_integer(name, getattr(self, name), 1)
        top: Any = auto_max if self.max_resources == "auto" else self.max_resources
        steps = plans.fold_steps(n_splits, self.factor) if self.folds == "grow" else [n_splits]
        bottom: Any = self.min_resources
        if bottom == "auto":
            bottom = plans.auto_min_resources(top, least, self.factor, len(steps))
        plans.check_amounts(top, bottom, self.factor)
        return plans.ladder(top, bottom, self.factor, steps)

    def _plan(
        self, levels: tuple[Level, ...], rng: np.random.RandomState
    ) -> tuple[list[dict[str, Any]], Schedule]:
        """All candidates, and the schedule that they fill."""
        wanted = None if self.n_candidates == "auto" else int(self.n_candidates)
        return spaces.fill(
            lambda n: type(self)._brackets(levels, self.factor, n), self._space(), wanted, rng
        )

    def _describe(self, schedule: Schedule) -> None:
        self.schedule_ = schedule
        self.n_resources_ = [level.n_resources for level in schedule.levels]
        self.min_resources_, self.max_resources_ = self.n_resources_[0], self.n_resources_[-1]
        self.n_candidates_ = [schedule.candidates_at(i) for i in range(len(schedule.levels))]

    def _resource(
        self,
        n_samples: int,
        labels: np.ndarray | None,
        splits: list[tuple[Any, Any]],
        folds: list[int],
        seed: int,
    ) -> Rows | Parameter:
        if self.resource != "n_samples":
            return Parameter(splits, self.resource)
        return Rows(
            splits,
            n_samples,
            self.schedule_.levels,
            folds,
            labels=labels,
            newest_first=isinstance(self.cv, TimeSeriesSplit),
            seed=seed,
        )

    def _options(self, scorers: Any, routed: Any) -> dict[str, Any]:
        return {
            "scorer": scorers,
            "fit_params": routed["estimator"]["fit"],
            "score_params": routed["scorer"]["score"],
            "return_train_score": self.return_train_score,
            "return_n_test_samples": True,
            "return_times": True,
            "error_score": self.error_score,
            "verbose": self.verbose,
        }

    def _models(self, folder: str) -> Models | None:
        """Where fitted models wait for the next rung."""
        if self.continue_training is True:
            self._check_continuation()
        if self.continue_training is False or self.resource == "n_samples":
            return None
        return Models(_folder(folder, "models"))

    def _check_continuation(self) -> None:
        if self.resource == "n_samples":
            raise ValueError(
                "continue_training=True needs an iteration parameter as the resource, and "
                "resource='n_samples' changes the rows from rung to rung; pass "
                'continue_training="auto"'
            )
        if family_of(self.estimator, self.resource) is None:
            raise ValueError(
                f"continue_training=True, but {self.estimator!r} cannot go on training by "
                f'{self.resource!r}; pass continue_training="auto" to start from scratch on '
                "every rung, or teach it with skhalving.register_continuation"
            )

    def _deadline(self) -> float:
        """When ``max_time`` is over, as ``time.time()`` has it."""
        if self.max_time is None:
            return inf
        limit: Any = self.max_time
        seconds = limit.total_seconds() if isinstance(limit, timedelta) else limit
        if not seconds > 0:
            raise ValueError(f"max_time={self.max_time!r} must be above 0 seconds, or None")
        return time.time() + seconds

    def _limit(self, folder: str) -> TimeLimit | None:
        if self.fit_timeout is None:
            return None
        if not hasattr(signal, "setitimer"):
            raise ValueError(
                f"fit_timeout={self.fit_timeout} needs a system with alarm signals; pass None"
            )
        return TimeLimit(float(self.fit_timeout), _folder(folder, "late"), os.getpid())

    def _fingerprint(
        self, X: Any, y: Any, params: dict[str, Any], splits: list[Any], candidates: list[Any]
    ) -> dict[str, Any]:
        """All that scores depend on, and what of the schedule may not change under them."""
        return {
            "skhalving": metadata.version("skhalving"),
            "scikit-learn": sklearn.__version__,
            "data": fingerprint_of_data(X, y, params),
            "splits": fingerprint_of_data(splits),
            "estimator": stable(self.estimator),
            "space": stable(self._space()),
            "scoring": stable(self.scoring),
            "refit": stable(self.refit),
            "error_score": stable(self.error_score),
            "return_train_score": self.return_train_score,
            "continue_training": self.continue_training,
            "resource": self.resource,
            "factor": int(self.factor),
            "folds": self.folds,
            "min_resources": str(self.min_resources),
            "max_resources": self.max_resources_,
            "n_candidates": len(candidates),
        }

    # -- 3. the race --------------------------------------------------------------------------

    def _race(self, work: Work) -> None:
        """To its end, or its time limit; whatever stops it, ``cv_results_`` has what is known."""
        try:
            whole = run(
                work.race, work, work.known, n_jobs=self.n_jobs, pre_dispatch=self.pre_dispatch
            )
        except BaseException:
            if work.race.scores:
                self._tabulate(work.rows())
            raise
        rows = work.rows()
        _warn_or_raise_about_fit_failures(outcomes_of(rows), self.error_score)
        self._tabulate(rows)
        if not whole:
            left = self.schedule_.n_fits - len(work.known)
            warnings.warn(
                f"max_time={self.max_time} was reached: {left} of {self.schedule_.n_fits} "
                "evaluations were not run; the best is that of the highest level with results",
                UserWarning,
                stacklevel=4,
            )
        if work.faults:
            warnings.warn(
                "Training started from scratch on some rungs, since a model could not be kept "
                f"between them: {'; '.join(sorted(work.faults))}",
                UserWarning,
                stacklevel=4,
            )

    def _steer(self, outcomes: list[dict[str, Any]]) -> float:
        """The mean over folds of the metric that the race is run by."""
        scores = [outcome["test_scores"] for outcome in outcomes]
        several = next((s for s in scores if isinstance(s, dict)), None)
        if several is not None:
            # The metrics of a callable are known only now.
            self._check_refit_for_multimetric(several)
            metric = self.refit if isinstance(self.refit, str) else next(iter(several))
            scores = [s[metric] if isinstance(s, dict) else s for s in scores]
        return float(np.mean(scores))

    # -- 4. the results -----------------------------------------------------------------------

    def _tabulate(self, rows: list[Row]) -> None:
        """``cv_results_`` from what is known."""
        outcomes = outcomes_of(rows)
        if callable(self.scoring):
            _insert_error_scores(outcomes, self.error_score)
        self.multimetric_ = isinstance(outcomes[0]["test_scores"], dict)
        self.cv_results_ = cv_results(rows, self.n_splits_)

    def _choose(self, refit_metric: str) -> None:
        """The best among the rows at full resource."""
        if self.multimetric_ and callable(self.scoring):
            refit_metric = self.refit
        if not self.refit and self.multimetric_:
            return
        results = self.cv_results_
        if callable(self.refit):
            # Written for GridSearchCV, it compares rows as if all had had the same resource; so it
            # is shown those that had, and answers with a position among them.
            top = self.schedule_.levels[-1]
            at_top = (results["n_resources"] == top.n_resources) & (
                results["n_folds"] == top.n_folds
            )
            rows = np.flatnonzero(at_top)
            shown = {
                name: [column[i] for i in rows] if name == "params" else column[rows]
                for name, column in results.items()
            }
            chosen = self._select_best_index(self.refit, refit_metric, shown)
            self.best_index_ = int(rows[chosen])
        else:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, X: Any, y: Any, fit_params: dict[str, Any], callbacks: Callbacks) -> None:
        # Parameters may be estimators; they are cloned so that those searched stay unfitted.
        best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        start = time.time()
        target = () if y is None else (y,)
        callbacks.refit(lambda: best.fit(X, *target, **fit_params), best)
        self.refit_time_ = time.time() - start
        self.best_estimator_ = best
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_


def _folder(*parts: str) -> str:
    os.mkdir(path := os.path.join(*parts))
    return path


_PARAMETERS = """
Parameters
----------
estimator : estimator object
    With a ``score`` method, unless ``scoring`` is given. Cloned for every evaluation.

param_distributions : dict or list of dict, default=None
    Parameter names, as for ``set_params``, with lists or distributions (anything with ``rvs``). A
    space of lists alone is a grid: every point enters once. Anything else is sampled, each
    configuration once.

param_grid : dict or list of dict, default=None
    The same under the name that ``GridSearchCV`` has for it. Exactly one of the two is given.

resource : str, default="n_samples"
    What grows from rung to rung: ``"n_samples"``, the rows that a candidate is trained on, or an
    integer parameter of the estimator such as ``"max_iter"`` or ``"clf__n_estimators"``.

min_resources : int or "auto", default="auto"
    The least that any rung gives, in rows or units of the parameter. "auto": what makes four levels
    in all, and for rows never fewer than two of each class for each fold.

max_resources : int or "auto", default="auto"
    What the last rung gives, exactly. "auto": all rows, or the value that the estimator has.

factor : int, default=3
    One candidate in ``factor`` is promoted, and gets ``factor`` times the resource.

n_candidates : int or "auto", default="auto"
    Candidates in all. "auto": every point of a grid, else {default}. Fewer than a bracket needs to
    fill its lowest rungs start on a higher one.

folds : {{"grow", "all"}}, default="grow"
    "grow": candidates climb on one fold; the last step of the ladder goes from one fold to all of
    them at full resource and keeps the score of the first. "all": every rung has all folds, as
    published.

continue_training : bool or "auto", default="auto"
    Whether a promoted candidate goes on from its fitted model where ``resource`` is a parameter.
    "auto": where it is known how (see :func:`register_continuation`) and pays. True: also epochs of
    SGD, perceptrons and MLP, by one ``partial_fit`` each, which on little data costs more than it
    saves; an error where it is not known how. False: every rung starts from scratch.
    ``best_estimator_`` is always fitted from scratch.

scoring : str, callable, list, tuple, dict or None, default=None
    As for ``GridSearchCV``. With several metrics the race is run by the one that ``refit`` names,
    or by the first where ``refit`` is a callable or False.

n_jobs : int, default=None
    Evaluations at a time, through joblib and whatever backend is active. The results are the same
    for every value.

refit : bool, str or callable, default=True
    As for ``GridSearchCV``. A callable gets the rows of ``cv_results_`` at full resource alone, and
    returns a position among them.

cv : int, cross-validation generator or iterable, default=None
    As for ``GridSearchCV``: 5 folds by default, stratified for a classifier. The splits are made
    once. One that shuffles without a seed gets the search's.

verbose : int, default=0
    Above 0: a line for each level. Above 1: also one for each fit.

pre_dispatch : int or str, default="2*n_jobs"
    Tasks that joblib takes ahead on ray, spark and multiprocessing. Elsewhere none is: as many
    evaluations are in flight as there are workers.

random_state : int, RandomState instance or None, default=None
    Of the candidates and the subsamples. Not of the estimator: seed that as well for results that
    repeat.

journal : path-like, default=None
    A file that each finished evaluation is written to. Run again with the same file, the same
    search goes on from there, also with more candidates or a larger maximum.

max_time : float or timedelta, default=None
    In seconds if it is a number. Nothing starts after that, less the time that the refit is
    expected to take; at least one candidate is evaluated. What could not be run is said in a
    warning.

fit_timeout : float, default=None
    Seconds that one fit and its scores may take. One that runs over gets ``error_score``. It is
    stopped by an alarm in the main thread of its process. Compiled code may not hear that: on loky
    the worker process is then ended, half as long again and a second later; with ``n_jobs=1`` it is
    waited for. On backends that use threads it is an error.

error_score : "raise" or float, default=nan
    Score of a fit that fails. NaN is never promoted ahead of a number.

return_train_score : bool, default=False
    Whether ``cv_results_`` has training scores.

Attributes
----------
cv_results_ : dict of str to ndarray of shape (n_rows,)
    A row for each candidate on each rung, level by level, with all columns of ``GridSearchCV`` and
    ``candidate``, ``bracket``, ``iter`` (rung within the bracket), ``n_resources``, ``n_folds`` and
    ``continued`` (whether training went on from the rung below). Times are seconds. ``split*``
    columns are NaN for folds that the rung did not use; means are over those used. ``rank_test_*``
    compares the level first: rank 1 is the best at full resource.

schedule_ : Schedule
    What was planned; ``print`` it. :meth:`plan` gives it before ``fit``.

n_resources_ : list of int
    The levels' resource, in rows or units of the parameter, lowest first.

min_resources_, max_resources_ : int
    The first and the last of them.

n_candidates_ : list of int
    Candidates on each level.

best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, \
multimetric_, classes_, n_features_in_, feature_names_in_
    As in ``GridSearchCV``.

Raises
------
ValueError
    From ``fit``, if an argument or the data does not allow the search; if every fit failed, with
    the tracebacks; if the journal is that of another search, with what differs.
KeyboardInterrupt
    From ``fit``, with what is known so far in ``cv_results_``.
"""


class HyperbandSearchCV(_HalvingSearchCV):
    __doc__ = f"""Search with Hyperband: many candidates on little, the best of them on more.

Goes where ``GridSearchCV`` or ``RandomizedSearchCV`` stood. Several brackets of successive halving
run together: the first starts with many candidates on the least resource, the last with few on all
of it, so that nothing is staked on little resource telling good from bad.

.. versionadded:: 0.1
{_PARAMETERS.format(default="as many as Hyperband asks for")}
See Also
--------
SuccessiveHalvingSearchCV : The most exploratory bracket alone; cheaper.
hyperband : The same for a plain function.

References
----------
Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar (2018). Hyperband: A Novel Bandit-Based Approach to
Hyperparameter Optimization. JMLR 18, Algorithm 1.

Examples
--------
>>> from scipy.stats import loguniform
>>> from sklearn.datasets import load_iris
>>> from sklearn.svm import SVC
>>> from skhalving import HyperbandSearchCV
>>> X, y = load_iris(return_X_y=True)
>>> space = {{"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-4, 1e1)}}
>>> search = HyperbandSearchCV(SVC(), space, random_state=0).fit(X, y)
>>> search.best_score_ > 0.95
np.True_
>>> print(search.schedule_)
bracket  rung  candidates  resource  folds
      0     0           9        50      1
            1           3       150      1
            2           1       150      5
      1     0           5       150      1
            1           1       150      5
      2     0           3       150      5
"""

    _brackets = staticmethod(plans.hyperband)


class SuccessiveHalvingSearchCV(_HalvingSearchCV):
    __doc__ = f"""Search with successive halving: one bracket, from many candidates to the best.

The most exploratory of the brackets that :class:`HyperbandSearchCV` runs. It finds more for its
cost where little resource already tells good candidates from bad, and nothing where it does not.

.. versionadded:: 0.1
{_PARAMETERS.format(default="``factor**s`` for s steps of the ladder")}
See Also
--------
HyperbandSearchCV : Also starts with fewer candidates on more.
successive_halving : The same for a plain function.

References
----------
Jamieson and Talwalkar (2016). Non-stochastic Best Arm Identification and Hyperparameter
Optimization. AISTATS, Section 3. With a least and a largest amount of resource, as here: Li et al.
(2020). A System for Massively Parallel Hyperparameter Tuning. MLSys, Algorithm 1.

Examples
--------
>>> from sklearn.datasets import load_iris
>>> from sklearn.ensemble import RandomForestClassifier
>>> from skhalving import SuccessiveHalvingSearchCV
>>> X, y = load_iris(return_X_y=True)
>>> search = SuccessiveHalvingSearchCV(
...     RandomForestClassifier(n_estimators=27, random_state=0),
...     {{"max_depth": [1, 2, 3], "max_features": [1, 2, 4]}},
...     resource="n_estimators",
...     cv=3,
... ).fit(X, y)
>>> search.n_resources_, search.n_candidates_
([9, 27, 27], [9, 3, 1])
>>> search.best_params_["n_estimators"]
27
"""

    _brackets = staticmethod(plans.successive_halving)
