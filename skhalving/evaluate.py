"""Evaluate: fit and score one configuration, on one fold, with one amount of resource.

This is what runs on the workers. An ``Evaluate`` holds all that the evaluations of a search share,
so a task is a few numbers and a dictionary of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.base import clone

from skhalving.resource import Parameter, Rows
from skhalving.sklearn_private import _fit_and_score


@dataclass(frozen=True)
class Evaluate:
    """Call it with a fold, an amount and a configuration to get scores and times.

    Attributes
    ----------
    estimator : estimator
        Not fitted; cloned for every evaluation.

    X, y : array-like of n_samples rows
        All the data; a fold's rows are cut on the worker.

    resource : Rows or Parameter
        What an amount means.

    options : dict
        Further arguments of scikit-learn's ``_fit_and_score``.
    """

    estimator: Any
    X: Any
    y: Any
    resource: Rows | Parameter
    options: dict[str, Any]

    def __call__(
        self, fold: int, amount: int, params: dict[str, Any], progress: dict[str, Any]
    ) -> dict[str, Any]:
        train, test = self.resource.cut(fold, amount)
        return _fit_and_score(
            clone(self.estimator),
            self.X,
            self.y,
            train=train,
            test=test,
            parameters={**params, **self.resource.params(amount)},
            **self.options,
            **progress,
        )
