"""How classes of estimators stop early on a validation set, and how many iterations they use.

``eval_set="fold"`` gives every fit the rows that it is scored on, a fraction gives it that part of
its training rows. This module says which rows these are, by which arguments of ``fit`` each class
takes them, and how many iterations a fitted model has used. Nothing here knows of pipelines or of
searches.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from math import inf
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.preprocessing import LabelEncoder

from skhalving.families import class_name
from skhalving.resource import Split, stratified_order

# arguments(model, X, y, sample_weight): what the model's `fit` gets; the weight may be None.
Arguments = Callable[[Any, Any, Any, Any], Mapping[str, Any]]


def _as_it_is(model: Any, y_train: Any, y: Any) -> Any:
    return y


class Stopper(NamedTuple):
    """How a class of estimators stops early on a validation set.

    Attributes
    ----------
    arguments : callable
        ``arguments(model, X, y, sample_weight)``: the validation set as arguments of ``fit``.

    parameters : tuple of str
        The names that the parameter for the number of iterations may have, the usual one first.

    off : mapping of str to object
        The parameters of early stopping, each with the value that switches it off.

    alone : bool
        Whether the class can stop early without a validation set from outside.

    encode : callable
        ``encode(model, y_train, y)``: the target ``y`` of the validation set as the library needs
        it; ``y_train`` is the target that is trained on.

    idle : tuple of str
        Those of ``off`` that do nothing without a validation set, so that a refit keeps them.
    """

    arguments: Arguments
    parameters: tuple[str, ...]
    off: Mapping[str, Any]
    alone: bool = True
    encode: Callable[[Any, Any, Any], Any] = _as_it_is
    idle: tuple[str, ...] = ()

    def on(self, model: Any) -> list[str]:
        """The model's parameters that ask for early stopping."""
        params = model.get_params()
        return [name for name, value in self.off.items() if params.get(name, value) != value]


def _pairs(model: Any, X: Any, y: Any, weight: Any) -> dict[str, Any]:
    """For XGBoost, which prints the loss of every tree unless it is told not to."""
    weights = None if weight is None else [weight]
    return {"eval_set": [(X, y)], "sample_weight_eval_set": weights, "verbose": False}


def _of_lightgbm(model: Any, X: Any, y: Any, weight: Any) -> dict[str, Any]:
    """For LightGBM. Since 4.7 ``eval_set`` is deprecated for ``eval_X`` and ``eval_y``."""
    split = "eval_X" in signature(type(model).fit).parameters
    rows = {"eval_X": X, "eval_y": y} if split else {"eval_set": [(X, y)]}
    return {**rows, "eval_sample_weight": None if weight is None else [weight]}


def _encode_for_lightgbm(model: Any, y_train: Any, y: Any) -> Any:
    """LightGBM 4.7 forgets to encode the classes of ``eval_y`` (lightgbm #7400)."""
    forgets = is_classifier(model) and sys.modules["lightgbm"].__version__.startswith("4.7.")
    if not forgets:
        return y
    return LabelEncoder().fit(y_train).transform(y)


def _of_catboost(model: Any, X: Any, y: Any, weight: Any) -> dict[str, Any]:
    """For CatBoost, which takes weights in a ``Pool`` with the rows and their categories alone."""
    if weight is None:
        return {"eval_set": (X, y)}
    from catboost import Pool

    return {"eval_set": Pool(X, y, model.get_params().get("cat_features"), weight=weight)}


def _of_hist(model: Any, X: Any, y: Any, weight: Any) -> dict[str, Any]:
    """For histogram boosting, whose ``early_stopping="auto"`` needs more than 10,000 rows."""
    model.set_params(early_stopping=True)
    return {"X_val": X, "y_val": y, "sample_weight_val": weight}


_ROUNDS = dict.fromkeys(
    ("early_stopping_rounds", "early_stopping_round", "early_stopping", "n_iter_no_change")
)

# CatBoost cannot be cloned once one of these is set to None.
_OVERFITTING_DETECTOR = ("early_stopping_rounds", "od_wait", "od_type", "od_pval")

STOPPERS: dict[str, Stopper] = {
    name + kind: stopper
    for kind in ("Classifier", "Regressor")
    for name, stopper in {
        "xgboost.XGB": Stopper(_pairs, ("n_estimators",), _ROUNDS, alone=False),
        "lightgbm.LGBM": Stopper(
            _of_lightgbm,
            ("n_estimators",),
            _ROUNDS,
            alone=False,
            encode=_encode_for_lightgbm,
        ),
        "catboost.CatBoost": Stopper(
            _of_catboost,
            ("iterations", "n_estimators", "num_boost_round", "num_trees"),
            {**dict.fromkeys(_OVERFITTING_DETECTOR), "use_best_model": False},
            alone=False,
            idle=_OVERFITTING_DETECTOR,
        ),
        "sklearn.HistGradientBoosting": Stopper(_of_hist, ("max_iter",), {"early_stopping": False}),
    }.items()
}


# For estimators that take no validation set.
NO_STOPPER = Stopper(lambda model, X, y, weight: {}, (), {})


def stopper_of(model: Any, stoppers: Mapping[str, Stopper] = STOPPERS) -> Stopper:
    """How an estimator stops early on a validation set; ``NO_STOPPER`` if it takes none."""
    names = map(class_name, type(model).__mro__)
    return next((stoppers[name] for name in names if name in stoppers), NO_STOPPER)


def check(model: Any, eval_set: Any, fit_params: Mapping[str, Any]) -> None:
    """Check that an estimator has a validation set if it needs one, and can take it.

    Raises
    ------
    ValueError
        If not, before anything is fitted.
    """
    name, stopper = type(model).__name__, stopper_of(model)
    own = {key.split("__")[-1] for key in fit_params}
    given = own & {"eval_set", "eval_X", "X_val"}
    callbacks = "callbacks" in own or getattr(model, "callbacks", None)
    if eval_set is None:
        if not stopper.alone and (early := stopper.on(model)) and not given:
            raise ValueError(
                f"{name} is to stop early, by its {' and '.join(early)}, and has no rows "
                'to do that on; pass eval_set="fold", or a fraction such as eval_set=0.2'
            )
        return
    if stopper is NO_STOPPER:
        known = ", ".join(sorted(key.partition(".")[2] for key in STOPPERS))
        raise ValueError(
            f"eval_set={eval_set!r}, but {name} takes no validation set; pass eval_set=None, take "
            f"one of {known}, or teach it with skhalving.register_validation"
        )
    if given:
        raise ValueError(f"eval_set={eval_set!r} and {given.pop()} of fit exclude each other")
    if stopper.arguments is _of_hist and "X_val" not in signature(type(model).fit).parameters:
        raise ValueError(f"eval_set={eval_set!r} of {name} needs scikit-learn 1.7 or later")
    if stopper.off and not (stopper.on(model) or callbacks):
        raise ValueError(
            f"eval_set={eval_set!r}, but {name} does not stop early; set its "
            f"{next(iter(stopper.off))}, or pass eval_set=None"
        )


def trains_alone(model: Any, n_iter: float) -> dict[str, Any]:
    """The parameters with which a model trains for ``n_iter`` iterations, without a validation set.

    The model's own maximum remains the limit. If ``n_iter`` is not finite, that maximum is used.
    """
    stopper, params = stopper_of(model), model.get_params()
    off = {n: v for n, v in stopper.off.items() if n in params and n not in stopper.idle}
    alone = {**off, **unwatched(params)}
    if np.isfinite(n_iter):
        counts = next((n for n in stopper.parameters if n in params), stopper.parameters[0])
        alone[counts] = min(max(1, round(n_iter)), params.get(counts) or inf)
    return alone


def unwatched(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that hold callbacks, without those callbacks that stop early."""
    return {
        name: [c for c in value if "EarlyStopping" not in type(c).__name__]
        for name, value in params.items()
        if name.split("__")[-1] == "callbacks" and value
    }


@dataclass(frozen=True)
class ValidationSet:
    """Which rows a fit watches, to stop early when its loss on them gets no better.

    Attributes
    ----------
    part : "fold" or float
        ``"fold"``: the test rows of the fold. A number: that fraction of the training rows.

    stratified : bool
        Whether a fraction has the classes of ``y`` in proportion.

    newest : bool
        Whether a fraction is the last of the training rows, as for time series.

    seed : int
        Seeds the draw of a fraction.

    stoppers : mapping of str to Stopper
        How classes take a validation set. The mapping travels to the worker, which does not know
        the classes that the script has registered.
    """

    part: str | float
    stratified: bool
    newest: bool
    seed: int
    stoppers: Mapping[str, Stopper]

    def split(self, y: Any, train: Any, test: Any, fold: int) -> Split:
        """Row indices: those to train on, and those of the validation set."""
        if isinstance(self.part, str):
            return train, test
        train = np.asarray(train)
        rng = np.random.RandomState([self.seed, fold, len(train)])
        order = np.arange(len(train)) if self.newest else rng.permutation(len(train))
        if self.stratified and not self.newest:
            # The first rows of this order have every class. They are trained on, so the validation
            # set has no class that the model has not seen.
            codes = np.unique(np.asarray(y)[train], return_inverse=True)[1].ravel()
            order = stratified_order(codes, rng)
        n_rest = len(train) - max(1, round(self.part * len(train)))
        return np.sort(train[order[:n_rest]]), np.sort(train[order[n_rest:]])


def n_iter(model: Any) -> float | None:
    """The trees or epochs that a fitted model predicts with: up to its best iteration, where it
    stopped early. The largest number, where it has several; None if it has none."""
    for name, more in _COUNTS:
        with suppress(AttributeError, TypeError, ValueError):
            found = float(np.max(getattr(model, name))) + more
            if found > 0:
                return found
    return None


# XGBoost counts from 0. LightGBM has a `best_iteration_` of 0 without a validation set.
_COUNTS = [
    ("tree_count_", 0),
    ("best_iteration", 1),
    ("best_iteration_", 0),
    ("n_estimators_", 0),
    ("n_iter_", 0),
]


def n_trained(model: Any) -> float | None:
    """The iterations that a fit with a validation set has run, those after the best included."""
    evaluations = getattr(model, "evals_result_", None)
    if not evaluations:
        return n_iter(model)
    return max(len(losses) for each in evaluations.values() for losses in each.values())


def register_validation(
    cls: type | str, arguments: Arguments, parameter: str, off: Mapping[str, Any] | None = None
) -> None:
    """Teach searches how a class of estimators takes a validation set.

    .. versionadded:: 0.1

    Parameters
    ----------
    cls : type or str
        The class, its subclasses included; or ``"package.ClassName"``, which imports nothing.

    arguments : callable
        ``arguments(model, X, y, sample_weight)`` returns a dict of arguments for the model's
        ``fit``. ``X`` has gone through the transformers of the model's pipeline, as its training
        rows have. ``sample_weight`` is None if ``fit`` gets none.

    parameter : str
        The parameter that limits the trees, epochs or iterations. The refit sets it to what
        the folds needed, which the model tells as ``n_iter_``, ``n_estimators_`` or
        ``best_iteration_``.

    off : dict of str to object, default=None
        Parameters and values that switch early stopping off, for the refit.

    See Also
    --------
    HyperbandSearchCV : Its ``eval_set`` says which rows these are.
    register_continuation : Teaches how training goes on.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skhalving import SuccessiveHalvingSearchCV, register_validation
    >>> class Net(GaussianNB):
    ...     def __init__(self, epochs=9, var_smoothing=1e-9):
    ...         super().__init__(var_smoothing=var_smoothing)
    ...         self.epochs = epochs
    ...     def fit(self, X, y, watch=None):
    ...         self.n_iter_ = self.epochs if watch is None else 3
    ...         return super().fit(X, y)
    >>> register_validation(Net, lambda net, X, y, weight: {"watch": (X, y)}, "epochs")
    >>> search = SuccessiveHalvingSearchCV(
    ...     Net(), {"var_smoothing": [1e-9, 1e-3, 1]}, eval_set="fold"
    ... ).fit(*load_iris(return_X_y=True))
    >>> search.refit_params_["epochs"]
    4
    """
    name = cls if isinstance(cls, str) else class_name(cls)
    STOPPERS[name] = Stopper(arguments, (parameter,), off or {})
