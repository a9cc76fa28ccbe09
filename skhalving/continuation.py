"""Training goes on between rungs: a candidate promoted from 27 trees to 81 grows 54 more.

The parameter may belong to the last step of pipelines or to the regressor of a
``TransformedTargetRegressor``. Their own ``fit`` runs as ever; only the innermost ``fit`` is
replaced, on the instance and for the moment, and so are the transformers that need no second fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any

from sklearn.base import TransformerMixin, clone

from skhalving.families import FAMILIES, Families, Family, Grow, find


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
    return find(model, parameter, families)


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
