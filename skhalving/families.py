"""How classes of estimators go on training: 60 trees are added to the 30 of a fitted forest.

A *family* says how the estimators of one class go on by one parameter, since what the number means
differs: a new total under ``warm_start``, epochs to run with ``partial_fit``, or trees to add to a
booster that is handed on. Whatever is in no family starts from scratch.

*Exact* means that the model is the one that ``fit`` with the whole amount gives, to the last bit,
when ``random_state`` is an int. "auto" goes on only where that is so (``docs/continuing.md``, held
by ``tests/test_families.py``). A model that has stopped early stays as it is, since from scratch it
would stop at the same place; one that may still stop early goes on only if it remembers all losses
so far, and starts from scratch otherwise. Nothing here knows of pipelines or of searches.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier

from skhalving.sklearn_private import would_stop

# grow(model, done, amount, X, y, **fit_params): train a model on, from `done` units of a parameter
# (0: it is not fitted) up to a total of `amount`.
Grow = Callable[..., Any]
Judge = Callable[[Any], bool]


def _always(model: Any) -> bool:
    return True


def _never(model: Any) -> bool:
    return False


class Family(NamedTuple):
    """How a class goes on training.

    Attributes
    ----------
    grow : callable
        Trains a model on, see ``Grow``.

    allows : callable
        Whether a given model can go on, with the parameters that it has.

    exact : callable
        Whether a model that goes on is exactly the one that training from scratch gives.
    """

    grow: Grow
    allows: Judge = _always
    exact: Judge = _always


Families = Mapping[tuple[str, str], Family]


def _fit(model: Any, X: Any, y: Any, **fit_params: Any) -> None:
    target = () if y is None else (y,)
    type(model).fit(model, X, *target, **fit_params)


def fit_whole(model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any) -> None:
    """Train from scratch, as much as the model's own parameters say."""
    _fit(model, X, y, **fit_params)


def _grow_total(
    parameter: str, model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any
) -> None:
    """Fit with ``warm_start=True`` and the new total.

    Between two fits a gradient boosting loses the losses by which it stops early. So one that may
    stop is trained from scratch, unless it has stopped already.
    """
    early = "monitor" in fit_params or getattr(model, "n_iter_no_change", None) is not None
    model.set_params(**{parameter: amount, "warm_start": not early})
    if not (done and early and model.n_estimators_ < done):
        _fit(model, X, y, **fit_params)


def _grow_hist(model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any) -> None:
    """A histogram boosting under ``warm_start`` keeps its losses, but checks them for early
    stopping only after one more iteration. So a model that has stopped is not fitted again."""
    model.set_params(max_iter=amount, warm_start=True)
    if not (done and would_stop(model)):
        _fit(model, X, y, **fit_params)


def _grow_forest(model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any) -> None:
    """A forest warns that balanced weights would change with the rows; here they are the same."""
    if not isinstance(getattr(model, "class_weight", None), str):
        return _grow_total("n_estimators", model, done, amount, X, y, **fit_params)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "class_weight presets .* not recommended for warm_start")
        _grow_total("n_estimators", model, done, amount, X, y, **fit_params)


def _grow_epochs(model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any) -> None:
    """Call ``partial_fit`` once for each epoch. The model is the same wherever training was
    interrupted; a second ``fit`` would reset the optimiser. It is not the model of
    ``fit(max_iter=amount)``, so a level that starts from scratch calls ``partial_fit`` as well.

    Each call checks its data again. On 1,347 rows that cost five times as much as an epoch of SGD,
    and half as much as one of a network (``benchmarks/continuation.py``). This is another reason
    why "auto" does not go on with these estimators.
    """
    target = {} if y is None else {"y": y}
    if is_classifier(model):
        target["classes"] = np.unique(y)
    for _ in range(done, amount):
        model.partial_fit(X, **target, **fit_params)
    model.n_iter_ = amount


# Arguments of ``fit`` with which a booster is trained from scratch: they say where the first tree
# starts, or stop early by losses that are lost between two fits.
_FROM_SCRATCH = {
    *("xgb_model", "init_model", "init_score", "base_margin", "baseline"),
    *("callbacks", "eval_set", "eval_X"),
}


def _grow_booster(
    argument: str, model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any
) -> None:
    """Hand the model itself to its ``fit`` (XGBoost, LightGBM), which adds the missing trees.

    LightGBM draws rows and columns anew from its seed. XGBoost does so only if the seed differs
    from that of the model that it goes on from; else its draws depend on the fits that the process
    ran before. So its seed is raised by the number of trees.
    """
    seed = model.random_state
    if _FROM_SCRATCH & fit_params.keys():
        done = 0
    if done:
        fit_params[argument] = model
        if argument == "xgb_model" and isinstance(seed, Integral):
            model.set_params(random_state=seed + done)
    model.set_params(n_estimators=amount - done)
    _fit(model, X, y, **fit_params)
    model.set_params(n_estimators=amount, random_state=seed)


def _grow_catboost(
    parameter: str, model: Any, done: int, amount: int, X: Any, y: Any, **fit_params: Any
) -> None:
    """As the other boosters, but a fitted one refuses new parameters: a fresh one replaces it.

    Going on is never exact. From a booster in memory it also gives another model than from one that
    was read from a file. So it goes on from a copy, which acts like one that was read from a file.
    """
    if _FROM_SCRATCH & fit_params.keys():
        done = 0
    fresh = type(model)(**{**model.get_params(), parameter: amount - done})
    start = {"init_model": model.copy()} if done else {}
    _fit(fresh, X, y, **start, **fit_params)
    model.__dict__.update(fresh.__dict__)
    model._init_params[parameter] = amount


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


def _has_no_callbacks(model: Any) -> bool:
    # Callbacks begin anew with every fit (skorch), or still hold what they saw in the last one
    # (XGBoost).
    return not model.callbacks or model.callbacks == "disable"


def _xgboost_draws_nothing(model: Any) -> bool:
    # A model that goes on draws other rows and columns than one that is trained from scratch.
    names = ("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode")
    drawn = any(getattr(model, name) not in (None, 1) for name in names)
    unknown = getattr(model, "kwargs", None)
    return not drawn and not unknown and model.booster in (None, "gbtree")


def _lightgbm_draws_nothing(model: Any) -> bool:
    # A parameter that is not in the constructor's signature may make it draw at random.
    known = {*inspect.signature(type(model)).parameters, "verbose", "verbosity"}
    drawn = (model.subsample < 1 and model.subsample_freq > 0) or model.colsample_bytree < 1
    return model.boosting_type == "gbdt" and not drawn and model.get_params().keys() <= known


_trees = partial(_grow_total, "n_estimators")
_xgboost = partial(_grow_booster, "xgb_model")
_lightgbm = partial(_grow_booster, "init_model")
_epochs = Family(_grow_epochs, _has_partial_fit, _never)

# A class, a parameter, and how the class goes on by it. A * stands for Classifier and Regressor.
_TABLE: list[tuple[str, str, Family]] = [
    ("sklearn.RandomForest*", "n_estimators", Family(_grow_forest)),
    ("sklearn.ExtraTrees*", "n_estimators", Family(_grow_forest)),
    ("sklearn.RandomTreesEmbedding", "n_estimators", Family(_grow_forest)),
    ("sklearn.IsolationForest", "n_estimators", Family(_trees)),
    ("sklearn.Bagging*", "n_estimators", Family(_trees, _has_no_oob_score)),
    ("sklearn.GradientBoosting*", "n_estimators", Family(_trees)),
    ("sklearn.HistGradientBoosting*", "max_iter", Family(_grow_hist)),
    ("sklearn.SGD*", "max_iter", _epochs),
    ("sklearn.PassiveAggressive*", "max_iter", _epochs),
    ("sklearn.MLP*", "max_iter", _epochs),
    ("sklearn.Perceptron", "max_iter", _epochs),
    ("sklearn.SGDOneClassSVM", "max_iter", Family(_grow_epochs, exact=_never)),
    ("skorch.NeuralNet", "max_epochs", Family(_grow_skorch, _has_no_callbacks)),
    ("xgboost.XGB*", "n_estimators", Family(_xgboost, _has_no_callbacks, _xgboost_draws_nothing)),
    # A forest is `n_estimators` trees in one iteration.
    ("xgboost.XGBRF*", "n_estimators", Family(_xgboost, _never)),
    ("lightgbm.LGBM*", "n_estimators", Family(_lightgbm, exact=_lightgbm_draws_nothing)),
    *(
        ("catboost.CatBoost*", name, Family(partial(_grow_catboost, name), exact=_never))
        for name in ("iterations", "n_estimators")
    ),
]

FAMILIES: dict[tuple[str, str], Family] = {
    (name.replace("*", kind), parameter): family
    for name, parameter, family in _TABLE
    for kind in ("Classifier", "Regressor")
}


def class_name(cls: type) -> str:
    """The name by which tables look a class up: its package, and its own name."""
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def find(model: Any, parameter: str, families: Families = FAMILIES) -> Family | None:
    """How an estimator goes on by one of its own parameters, or None: from scratch."""
    keys = [(class_name(cls), parameter) for cls in type(model).__mro__]
    family = next((families[key] for key in keys if key in families), None)
    return family if family and family.allows(model) else None


def register_continuation(
    cls: type | str, parameter: str, grow: Grow, allows: Judge = _always
) -> None:
    """Teach searches how a class of estimators goes on training between levels.

    .. versionadded:: 0.1

    Parameters
    ----------
    cls : type or str
        The class, its subclasses included; or ``"package.ClassName"``, which imports nothing.

    parameter : str
        The parameter that counts: epochs, trees, iterations.

    grow : callable
        ``grow(model, done, amount, X, y, **fit_params)`` trains ``model`` up to a total of
        ``amount`` units of the parameter. Before, it was trained for ``done`` units (0: it is not
        fitted). ``y`` is None if the search has none. For the class's own fit call
        ``type(model).fit(model, X, y)``. A model that has stopped early must stay as it is.

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
    FAMILIES[cls if isinstance(cls, str) else class_name(cls), parameter] = Family(grow, allows)
