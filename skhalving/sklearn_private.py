"""All private names of scikit-learn in use, each with its reason. Checked on 1.6.1 and 1.9.1.

The code that needs many of them is here too: ``would_stop`` and ``Callbacks``.
"""

from collections.abc import Sequence
from typing import Any

# Validates `_parameter_constraints`, and tears callbacks down whatever happens in `fit`.
from sklearn.base import _fit_context

# A scorer of several metrics; the metrics' scorers are in its `_scorers`.
from sklearn.metrics._scorer import _MultimetricScorer

# BaseSearchCV: `predict`, `score`, `classes_`, metadata routing and the HTML of a search. Of its
# private methods `_get_scorers`, `_check_refit_for_multimetric`, `_select_best_index` and
# `_get_routed_params_for_fit` are called.
# _yield_masked_array_for_each_param: the `param_*` columns, with the dtypes and masks users know.
from sklearn.model_selection._search import BaseSearchCV, _yield_masked_array_for_each_param

# _fit_and_score: one fit and its scores, with all of scikit-learn's care for routing and errors.
# _warn_or_raise_about_fit_failures: the wording that users know.
from sklearn.model_selection._validation import (
    _fit_and_score,
    _warn_or_raise_about_fit_failures,
)

# Whether fit parameters go where they were requested.
from sklearn.utils._metadata_requests import _routing_enabled

# The messages of every scikit-learn estimator for a wrong argument.
from sklearn.utils._param_validation import Interval, StrOptions

# A subset of X and y, also of a square X of a pairwise estimator.
from sklearn.utils.metaestimators import _safe_split

# _num_samples: the number of rows of X. _check_method_params: cuts fit parameters that have an
# entry for each row.
from sklearn.utils.validation import _check_method_params, _num_samples

from skhalving.race import Trial
from skhalving.task import Task

__all__ = [
    "BaseSearchCV",
    "Callbacks",
    "Interval",
    "StrOptions",
    "_MultimetricScorer",
    "_check_method_params",
    "_fit_and_score",
    "_fit_context",
    "_num_samples",
    "_routing_enabled",
    "_safe_split",
    "_warn_or_raise_about_fit_failures",
    "_yield_masked_array_for_each_param",
    "would_stop",
]


def would_stop(model: Any) -> bool:
    """Whether a fitted HistGradientBoosting* has stopped early.

    ``_should_stop`` is the rule of the model itself. ``n_iter_ < max_iter`` misses a stop at the
    very last iteration, and under ``warm_start`` the model checks the rule only after one more
    iteration.
    """
    validated = model.validation_score_
    scores = validated if len(validated) else model.train_score_
    return bool(model.do_early_stopping_ and model._should_stop(scores))


class Callbacks:
    """scikit-learn's callbacks around a search: a task for each level, a leaf for each fit.

    Without callbacks (or before scikit-learn 1.9) there is no ``root`` and nothing to be told: a
    context pickles its whole tree with every task, so none is made unless somebody listens. The
    tree is made at once, since it must not grow while it is pickled.
    """

    def __init__(self, search: Any, X: Any, y: Any, params: dict[str, Any]) -> None:
        weight = params.get("sample_weight")
        metadata = None if weight is None else {"sample_weight": weight}
        self._hooks = {"estimator": search, "X": X, "y": y, "metadata": metadata}
        self._search = search
        self.root: Any = None
        self._leaves: dict[Task, dict[str, Any]] = {}
        if getattr(search, "_skl_callbacks", None) or hasattr(search, "_parent_callback_ctx"):
            plan = search.schedule_
            n_subtasks = len(plan.levels) + (search.refit is not False)
            self.root = search._init_callback_context(max_subtasks=n_subtasks)
            self._levels = [
                self.root.subcontext(
                    task_name=f"{plan.candidates_at(i)} candidates, {search.resource}={amount}, "
                    f"{n_folds} of {search.n_splits_} folds",
                    max_subtasks=plan.fits_at(i),
                )
                for i, (amount, n_folds) in enumerate(plan.levels)
            ]
            self._spare = [
                [
                    level.subcontext(task_name="candidate-split-evaluation")
                    for _ in range(level.max_subtasks)
                ]
                for level in self._levels
            ]
            self.root.call_on_fit_task_begin(**self._hooks)

    def began(self, level: int) -> None:
        self._levels[level].call_on_fit_task_begin(estimator=self._search)

    def asked(self, trial: Trial, tasks: Sequence[Task]) -> None:
        self._leaves |= {
            task: {"caller": self._search, "callback_ctx": self._spare[trial.level].pop(0)}
            for task in tasks
        }

    def leaf(self, task: Task) -> dict[str, Any]:
        """The arguments with which `_fit_and_score` reports a fit to the callbacks; none without
        callbacks."""
        return self._leaves.get(task, {})

    def ended(self, level: int) -> None:
        self._levels[level].call_on_fit_task_end(estimator=self._search)

    def refit(self, fit: Any, estimator: Any) -> None:
        """Call ``fit()``, which fits ``estimator``, as a task of its own."""
        if self.root is None:
            fit()
            return
        context = self.root.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**self._hooks)
            fit()
        context.call_on_fit_task_end(**self._hooks)

    def end(self) -> None:
        if self.root is not None:
            self.root.call_on_fit_task_end(**self._hooks)
