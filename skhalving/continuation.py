"""Training goes on between rungs: a candidate promoted from 27 trees to 81 grows 54 more.

A *family* says how the estimators of one class go on by one parameter, since what the number means
differs: a new total under ``warm_start``, epochs to run with ``partial_fit``, or trees to add to a
booster that is handed on. Whatever is in no family starts from scratch on every rung.

The parameter may belong to the last step of pipelines or to the regressor of a
``TransformedTargetRegressor``. Their own ``fit`` runs as ever; only the innermost ``fit`` is
replaced, on the instance and for the moment, and so are the transformers that need no second fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial, wraps
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import TransformerMixin, clone, is_classifier

from skhalving import pickling

# grow(model, done, amount, X, y, **fit_params): train a model that has had `done` up to `amount`.
Grow = Callable[..., Any]


class Family(NamedTuple):
    """How a class goes on, whether a given instance of it can, and whether "auto" does."""

    grow: Grow
    allows: Callable[[Any], bool]
    auto: bool = True


Families = Mapping[tuple[str, str], Family]


def _name(cls: type) -> str:
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def _fit(model: Any, X: Any, y: Any, **fit_params: Any) -> None:
    target = () if y is None else (y,)
    type(model).fit(model, X, *target, **fit_params)


def _grow_total(
    parameter: str, model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any
) -> None:
    """``warm_start=True`` and the new total: exactly the model from scratch with an int seed."""
    model.set_params(**{parameter: amount, "warm_start": True})
    _fit(model, X, y, **fit_params)


def _grow_epochs(model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any) -> None:
    """One ``partial_fit`` an epoch: exact at any split point; a second ``fit`` would reset the
    optimiser. It is not ``fit(max_iter=amount)``, so a rung from scratch is such a chain too.

    "auto" leaves these alone: each call checks its data again, which on 1,347 rows cost five times
    an epoch of SGD and half of one of a network (``benchmarks/continuation.py``).
    """
    target = {} if y is None else {"y": y}
    if is_classifier(model):
        target["classes"] = np.unique(y)
    for _ in range(done, amount):
        model.partial_fit(X, **target, **fit_params)


def _grow_booster(
    argument: str, model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any
) -> None:
    """The trees so far are handed to ``fit`` (XGBoost, LightGBM), which adds the difference."""
    if done:
        booster = model.get_booster() if argument == "xgb_model" else model.booster_
        fit_params = {argument: booster, **fit_params}
    model.set_params(n_estimators=amount - done)
    _fit(model, X, y, **fit_params)
    model.set_params(n_estimators=amount)


def _grow_catboost(
    parameter: str, model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any
) -> None:
    """As the other boosters, but a fitted one refuses new parameters: a fresh one replaces it."""
    fresh = type(model)(**{**model.get_params(), parameter: amount - done})
    _fit(fresh, X, y, init_model=model if done else None, **fit_params)
    model.__dict__.update(fresh.__dict__)


def _grow_skorch(net: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any) -> None:
    """Epochs by ``partial_fit``; torch's random state travels with the net."""
    import torch

    with torch.random.fork_rng():
        if done:
            torch.set_rng_state(net.random_state_)
        else:
            net.initialize()
        net.partial_fit(X, y, epochs=amount - done, **fit_params)
        net.random_state_ = torch.get_rng_state()


def _always(model: Any) -> bool:
    return True


def _has_no_oob_score(model: Any) -> bool:
    # Bagging refuses out-of-bag scores together with `warm_start`.
    return not model.oob_score


def _has_partial_fit(model: Any) -> bool:
    # `partial_fit` refuses all of these.
    return (
        not model.early_stopping
        and getattr(model, "class_weight", None) != "balanced"
        and getattr(model, "solver", None) != "lbfgs"
    )


def _known_families() -> Iterator[tuple[tuple[str, str], Family]]:
    def both(*names: str) -> list[str]:
        return [name + kind for name in names for kind in ("Classifier", "Regressor")]

    trees = partial(_grow_total, "n_estimators")
    forests = both("RandomForest", "ExtraTrees", "GradientBoosting")
    for name in (*forests, "RandomTreesEmbedding", "IsolationForest"):
        yield (f"sklearn.{name}", "n_estimators"), Family(trees, _always)
    for name in both("Bagging"):
        yield (f"sklearn.{name}", "n_estimators"), Family(trees, _has_no_oob_score)
    for name in both("HistGradientBoosting"):
        yield (f"sklearn.{name}", "max_iter"), Family(partial(_grow_total, "max_iter"), _always)
    for name in (*both("SGD", "PassiveAggressive", "MLP"), "Perceptron"):
        yield (f"sklearn.{name}", "max_iter"), Family(_grow_epochs, _has_partial_fit, auto=False)
    yield ("sklearn.SGDOneClassSVM", "max_iter"), Family(_grow_epochs, _always, auto=False)
    yield ("skorch.NeuralNet", "max_epochs"), Family(_grow_skorch, _always)
    for name, argument in (("xgboost.XGBModel", "xgb_model"), ("lightgbm.LGBMModel", "init_model")):
        yield (name, "n_estimators"), Family(partial(_grow_booster, argument), _always)
    for parameter in ("iterations", "n_estimators"):
        yield ("catboost.CatBoost", parameter), Family(partial(_grow_catboost, parameter), _always)


FAMILIES: dict[tuple[str, str], Family] = dict(_known_families())


def register_continuation(
    cls: type | str, parameter: str, grow: Grow, allows: Callable[[Any], bool] = _always
) -> None:
    """Teach searches how a class of estimators goes on training between rungs.

    .. versionadded:: 0.1

    Parameters
    ----------
    cls : type or str
        The class, its subclasses included; or ``"package.ClassName"``, which imports nothing.

    parameter : str
        The parameter that counts: epochs, trees, iterations.

    grow : callable
        ``grow(model, done, amount, X, y, **fit_params)`` trains ``model``, which has had ``done``
        (0: not fitted) of the parameter, up to a total of ``amount``. It gets a ``y`` of None where
        there is none. For the class's own fit call ``type(model).fit(model, X, y)``.

    allows : callable, default=always
        ``allows(model)`` is False for an instance that cannot go on, given its parameters.

    See Also
    --------
    HyperbandSearchCV : Its ``continue_training`` says whether training goes on.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skhalving import SuccessiveHalvingSearchCV, register_continuation
    >>> class Net(GaussianNB):
    ...     def __init__(self, epochs=9, var_smoothing=1e-9):
    ...         super().__init__(var_smoothing=var_smoothing)
    ...         self.epochs = epochs
    >>> def grow(net, done, amount, X, y):
    ...     for _ in range(done, amount):
    ...         net.partial_fit(X, y, classes=[0, 1, 2])
    >>> register_continuation(Net, "epochs", grow)
    >>> search = SuccessiveHalvingSearchCV(
    ...     Net(), {"var_smoothing": [1e-9, 1e-3, 1]}, resource="epochs", folds="all"
    ... ).fit(*load_iris(return_X_y=True))
    >>> search.cv_results_["continued"].any()
    np.True_
    """
    FAMILIES[cls if isinstance(cls, str) else _name(cls), parameter] = Family(grow, allows)


def family_of(model: Any, resource: str, families: Families = FAMILIES) -> Family | None:
    """How ``model`` goes on by ``resource``, or None: from scratch."""
    from sklearn.compose import TransformedTargetRegressor  # loads linear models, half our import

    *path, parameter = resource.split("__")
    for step in path:
        if hasattr(model, "named_steps") and model.steps[-1][0] == step:
            model = model.steps[-1][1]
        elif isinstance(model, TransformedTargetRegressor) and step == "regressor":
            model = model.regressor
        else:
            return None
    for cls in type(model).__mro__:
        family = families.get((_name(cls), parameter))
        if family is not None:
            return family if family.allows(model) else None
    return None


@contextmanager
def growing(model: Any, resource: str, family: Family, done: int, amount: int) -> Iterator[None]:
    """Within it, ``model.fit`` trains from ``done`` up to ``amount``."""
    with ExitStack() as stack:
        for step in resource.split("__")[:-1]:
            descend = _into_pipeline if hasattr(model, "named_steps") else _into_target_regressor
            model = stack.enter_context(descend(model, step, done > 0))
        fit = wraps(type(model).fit)(partial(_grow_and_return, family.grow, model, done, amount))
        stack.enter_context(_instead(model, "fit", fit))
        yield


def _grow_and_return(
    grow: Grow, model: Any, done: int, amount: int, X: Any, y: Any = None, **fit_params: Any
) -> Any:
    grow(model, done, amount, X, y, **fit_params)
    return model


@contextmanager
def _into_pipeline(pipeline: Any, step: str, fitted: bool) -> Iterator[Any]:
    """To its last step, past transformers that are fitted already, where that is certain.

    It is where ``fit_transform`` is ``fit`` and then ``transform``: the rows are those of before,
    and so would be the fit. ``TargetEncoder`` is not such a one.
    """
    with ExitStack() as stack:
        for _, transformer in pipeline.steps[:-1] if fitted and pipeline.memory is None else ():
            if getattr(type(transformer), "fit_transform", None) is TransformerMixin.fit_transform:
                transform = partial(_transform, transformer)
                stack.enter_context(_instead(transformer, "fit_transform", transform))
        yield pipeline.named_steps[step]


def _transform(transformer: Any, X: Any, y: Any = None, **fit_params: Any) -> Any:
    return transformer.transform(X)


@contextmanager
def _into_target_regressor(model: Any, step: str, fitted: bool) -> Iterator[Any]:
    """To the regressor that it fits, a clone of its parameter: clone to the one that is kept."""
    template = getattr(model, step)
    regressor = model.regressor_ if fitted else clone(template)
    with _instead(template, "__sklearn_clone__", lambda: regressor):
        yield regressor


@contextmanager
def _instead(instance: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of one instance, for the moment."""
    instance.__dict__[name] = function
    try:
        yield
    finally:
        del instance.__dict__[name]


Key = tuple[int, int, int]


class Models:
    """Fitted models on their way from rung to rung: files of one folder, for the workers alone.

    A model is kept under (candidate, fold, amount). It never travels through the parent, where 100
    MB cost three times a file's time (``benchmarks/continuation.py``). Nor is it a task's argument,
    which would arrive as a read-only memory map.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _path(self, key: Key) -> str:
        return os.path.join(self._folder, "-".join(map(str, key)))

    def save(self, key: Key, model: Any) -> str | None:
        """Keep a model; say why not if that cannot be."""
        try:
            temporary = f"{self._path(key)}-{os.getpid()}"
            with open(temporary, "wb") as file:
                pickling.dump(model, file)
            os.replace(temporary, self._path(key))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    def load(self, key: Key) -> Any:
        """The model, or None if it is not there or cannot be read."""
        try:
            with open(self._path(key), "rb") as file:
                return pickling.load(file)
        except Exception:
            return None

    def drop(self, key: Key) -> None:
        """Remove a model that another has gone on from."""
        with suppress(FileNotFoundError):
            os.remove(self._path(key))

    def keep(self, candidates: set[int]) -> None:
        """Remove the models of all others: they lost."""
        for name in os.listdir(self._folder):
            if int(name.partition("-")[0]) not in candidates:
                with suppress(FileNotFoundError):
                    os.remove(os.path.join(self._folder, name))
