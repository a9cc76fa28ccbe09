"""Reach into pipelines: run once what candidates share, and let the last step go on training.

Most searches tune the last step of a pipeline, where every candidate would fit the same
transformers on the same rows again. Here a step is run by the first evaluation that needs it; the
others take its fitted transformer and its output from the :class:`~skhalving.store.Store`.

Two outputs are known to be equal by their *recipes*, without a look at their rows. The recipe of a
step's output is its transformer with its parameters, whatever else its ``fit`` was given, and the
recipe of its input; the first input is the rows of a fold. A value of unknown origin is compared by
its content.

scikit-learn's ``Pipeline`` asks its ``memory`` for every step of a fit, by a documented protocol,
and a :class:`Sharing` answers. For the test rows, ``transform`` is replaced on the fitted
transformers while a scorer runs. The replacement answers for these rows alone: others that a scorer
makes up are really transformed. No transformer and no model is known here by its class, except
``TransformedTargetRegressor``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial, update_wrapper
from math import inf
from typing import Any
from uuid import uuid4

import joblib
import numpy as np
from sklearn.base import TransformerMixin, clone

from skhalving.sklearn_private import _MultimetricScorer
from skhalving.store import Store, cloudpickle

# A step's output is written before it is known whether another evaluation will want it. After this
# many different outputs of which none was wanted, only an output that is made again is written.
_TRIALS = 2
# Seconds. If an output is made more quickly, a file is taken to be slower, and none is written to
# measure it.
_QUICK = 1e-3


# -- from a pipeline to its last step --------------------------------------------------------------


def nested(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a model, the model at its end, and so on to the innermost, each with the prefix of its
    parameters' names: ``("", pipeline), ("last__", forest)``.

    The end of a pipeline is its last step, that of a ``TransformedTargetRegressor`` its regressor,
    the fitted one if there is one.
    """
    yield prefix, model
    if hasattr(type(model), "named_steps"):
        name, last = model.steps[-1]
        yield from nested(last, f"{prefix}{name}__")
    elif _transforms_target(model):
        regressor = getattr(model, "regressor_", model.regressor)
        yield from nested(regressor, f"{prefix}regressor__")


def innermost(model: Any) -> tuple[str, Any]:
    """The prefix of the last of the nested models, and that model."""
    *_, last = nested(model)
    return last


def owner(model: Any, parameter: str) -> tuple[str, Any]:
    """The prefix of a parameter, and the nested model that it belongs to; None in place of the
    model if the parameter belongs to something else, such as a transformer."""
    prefix = "".join(parameter.rpartition("__")[:2])
    return prefix, dict(nested(model)).get(prefix)


def _transforms_target(model: Any) -> bool:
    from sklearn.compose import TransformedTargetRegressor  # loads linear models, half our import

    return isinstance(model, TransformedTargetRegressor)


# -- steps are shared ------------------------------------------------------------------------------


@dataclass(eq=False)
class _Recipe:
    """How a value was made. Two values with equal recipes are equal.

    Attributes
    ----------
    kind : str
        The names of the classes that made it. Candidates that differ in parameters have the same
        kind.

    inputs : tuple of _Recipe
        The recipes of what it was made of.

    transformer : estimator or None
        The transformer that was fitted. Only its parameters count.

    given : object
        The fit parameters that were routed to the transformer, or the arguments of ``transform``;
        the value itself, or a name for it, if it is not known how it was made.
    """

    kind: str
    inputs: tuple[_Recipe, ...] = ()
    transformer: Any = None
    given: Any = None

    @cached_property
    def digest(self) -> str:
        """Equal for equal recipes, also in another process; costs about half a millisecond."""
        if not self.inputs and self.given is None:  # the rows of a fold
            return self.kind
        inputs = [recipe.digest for recipe in self.inputs]
        return _hash((self.kind, inputs, clone(self.transformer, safe=False), self.given))


def _hash(value: Any) -> str:
    try:
        return joblib.hash(value)
    except Exception:  # a function without a name of its own is known by its code
        return joblib.hash(cloudpickle.dumps(value))


@dataclass
class _Experience:
    """What this process has learnt of the values of one kind.

    Attributes
    ----------
    slow : set of int or None
        Amounts at which a file is slower: a value is made in less time than it takes to write it
        and to read it.

    tried : set of str
        Digests of the values by which that was measured.

    used : bool
        Whether an evaluation has taken a value that another one had written.
    """

    slow: set[int | None] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)
    used: bool = False


@lru_cache(maxsize=1000)
def _experience(folder: str, kind: str) -> _Experience:
    """What this process has learnt in the search that has this folder: one object for each kind."""
    return _Experience()


class Sharing:
    """The ``memory`` of a candidate's pipelines during one evaluation.

    Attributes
    ----------
    n_fitted, n_shared : int
        Steps that were fitted, and steps that an earlier evaluation had fitted.

    fault : str or None
        Why something could not be shared that should have been.
    """

    # With a memory that has no location a Pipeline fits its own transformers, not clones of them.
    location = None

    def __init__(self, store: Store, fold: int, amount: int | None) -> None:
        self.n_fitted = self.n_shared = 0
        self.fault: str | None = None
        self._store, self._fold, self._amount = store, fold, amount
        self._train: Any = None
        self._known: dict[str, tuple[Any, _Recipe]] = {}
        self._steps: dict[int, tuple[Any, _Recipe]] = {}

    def __sklearn_clone__(self) -> Sharing:
        return self  # a TransformedTargetRegressor fits a clone, which has to share as well

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a pickled pipeline has the memory that the user gave it: None

    # -- where scikit-learn calls ------------------------------------------------------------------

    def fit(self, fit: Callable[..., Any], X: Any, *y: Any, **params: Any) -> Any:
        """Take the place of the candidate's ``fit``, and note which rows the fold has.

        A scorer may fit the model again, to rows of its own: their origin is unknown.
        """
        if self._train is None:
            self._train = X
            self._known = {"X": (X, _Recipe("fit"))}
            if y:
                self._known["y"] = y[0], _Recipe("target")
        return fit(X, *y, **params)

    def cache(self, function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """The protocol of ``joblib.Memory``."""
        return partial(self._fit_transform, function)

    def _fit_transform(
        self, function: Callable[..., Any], transformer: Any, X: Any, y: Any, **options: Any
    ) -> tuple[Any, Any]:
        """One step of a fit: its output and the fitted transformer."""
        self._steps.pop(id(transformer), None)  # a scorer may fit it again: what it was is over
        before, target = self._origin("last", X), self._origin("y", y)
        kind = f"{before.kind} {type(transformer).__qualname__}"
        routed = {name: dict(given) for name, given in options["params"].items() if given}
        recipe = _Recipe(kind, (before, target), transformer, routed)

        def run() -> tuple[Any, Any, str]:
            """The output, the fitted transformer, and a name for what it drew."""
            return (*function(transformer, X, y, **options), uuid4().hex)

        kept = isinstance(getattr(transformer, "fit_transform", None), _Replaced)
        value, shared = (run(), True) if kept else self._once(recipe, transformer, run)
        output, fitted, draws = value
        self.n_shared += shared
        self.n_fitted += not shared
        if _draws(transformer):  # another fit with the same parameters may give something else
            recipe = _Recipe(kind, given=draws)
        self._known["last"] = output, recipe
        if hasattr(type(fitted), "transform"):  # that of a FrozenEstimator is another object's
            self._steps[id(fitted)] = fitted, recipe
        return output, fitted

    def scorer(self, scorer: Any) -> Any:
        """A scorer that transforms the rows it is given only once."""
        several = isinstance(scorer, _MultimetricScorer)
        return (_Scorers if several else _Scorer)(self, scorer)

    @contextmanager
    def scoring(self, X: Any, rows: str | None = None) -> Iterator[None]:
        """Within it, the fitted transformers take from the store what they make of ``X``.

        ``rows`` names these rows, which must be the same for all candidates of a fold and level.
        None: they are the test or the training rows.
        """
        rows = rows or ("score train" if X is self._train else "score test")
        self._known = {"X": (X, _Recipe(rows))}
        with ExitStack() as stack:
            for transformer, _ in self._steps.values():
                transform = partial(self._transform, transformer)
                stack.enter_context(_instead(transformer, "transform", transform))
            yield

    def _transform(self, transformer: Any, X: Any, **params: Any) -> Any:
        run = partial(_own, transformer, "transform", X, **params)
        before, (_, fitted) = self._recipe_of(X), self._steps.get(id(transformer), (None, None))
        if before is None or fitted is None:
            return run()
        recipe = _Recipe(f"{before.kind} {fitted.kind}", (before, fitted), given=params)
        output, _ = self._once(recipe, transformer, run)
        self._known["last"] = output, recipe
        return output

    def end(self, estimator: Any, pipelines: list[Any]) -> None:
        """Be no longer the memory of these pipelines, and let go of all rows: a scorer may have
        kept a clone of the model, which still has this memory."""
        # By now a target regressor has a pipeline more, the clone that it has fitted.
        for pipeline in (*pipelines, *_pipelines(estimator)):
            pipeline.memory = None
        self._train, self._known, self._steps = None, {}, {}

    # -- what is known of values -------------------------------------------------------------------

    def _recipe_of(self, value: Any) -> _Recipe | None:
        return next((r for known, r in reversed(self._known.values()) if known is value), None)

    def _origin(self, role: str, value: Any) -> _Recipe:
        recipe = self._recipe_of(value)
        if recipe is None:
            recipe = _Recipe(role, given=value)
            self._known[role] = value, recipe
        return recipe

    def _once(self, recipe: _Recipe, transformer: Any, run: Callable[[], Any]) -> tuple[Any, bool]:
        """The value of a recipe, from the store or from ``run()``, and whether the store had it."""
        known = _experience(self._store.folder, recipe.kind)
        # A step that writes into its input always runs: scores depend on how often it does.
        if self._amount in known.slow or not all(_values(transformer, "copy")):
            return run(), False
        start = time.perf_counter()
        try:
            name = f"{self._fold}-{recipe.digest}"
        except Exception:  # the step cannot be compared with others
            return run(), False
        found = self._store.shared(self._amount, name)
        looked = time.perf_counter()
        if found is not None:
            known.used = True
            return found, True
        value = run()
        seconds_saved = (time.perf_counter() - looked) - (looked - start)
        if known.used:
            self._leave(name, value)
        elif recipe.digest in known.tried or len(known.tried) < _TRIALS:
            known.tried.add(recipe.digest)
            if seconds_saved < _QUICK or self._leave(name, value) >= seconds_saved:
                known.slow.add(self._amount)
                self._store.unshare(self._amount, name)
        return value, False

    def _leave(self, name: str, value: Any) -> float:
        """Write a value for other evaluations.

        Returns
        -------
        seconds : float
            What it takes to write the value and to read it; infinite if that cannot be done.
        """
        start = time.perf_counter()
        try:
            self._store.share(self._amount, name, value)
            self._store.shared(self._amount, name)
        except TimeoutError:  # the alarm of fit_timeout: the evaluation is over, the disk works
            raise
        except Exception as error:  # the disk is full, or it cannot be pickled
            why = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
            self.fault = f"the output of a transformer could not be shared: {why}"
            return inf
        return time.perf_counter() - start


def _values(transformer: Any, parameter: str) -> list[Any]:
    """The values of the parameters of this name, which a transformer and the estimators within it
    have."""
    params = transformer.get_params() if hasattr(transformer, "get_params") else {}
    return [value for name, value in params.items() if name.split("__")[-1] == parameter]


def _draws(transformer: Any) -> bool:
    """Whether a transformer, or an estimator within it, draws at random without a seed."""
    return any(value is None for value in _values(transformer, "random_state"))


def _keeps_draws(transformer: Any) -> bool:
    """Whether a transformer draws without a seed, and its ``transform`` alone gives the output of
    ``fit_transform``."""
    method = getattr(type(transformer), "fit_transform", None)
    return method is TransformerMixin.fit_transform and _draws(transformer)


def _only_transform(transformer: Any, X: Any, y: Any = None, **_: Any) -> Any:
    return transformer.transform(X)


class _Scorer:
    """A scorer that is called within ``Sharing.scoring``."""

    def __init__(self, sharing: Sharing, scorer: Any) -> None:
        self._sharing, self._scorer = sharing, scorer
        self._scorers = getattr(scorer, "_scorers", None)

    def __call__(self, model: Any, X: Any, *args: Any, **params: Any) -> Any:
        with self._sharing.scoring(X):
            return self._scorer(model, X, *args, **params)

    def __repr__(self) -> str:
        return repr(self._scorer)


class _Scorers(_Scorer, _MultimetricScorer):
    """The same for several metrics, which ``_fit_and_score`` recognises by this class."""


@contextmanager
def sharing(
    estimator: Any, store: Store, fold: int, amount: int | None, goes_on: bool = False
) -> Iterator[Sharing]:
    """Within it, the fits of ``estimator`` share what other evaluations did.

    Parameters
    ----------
    estimator : estimator
        A candidate with its parameters set.

    store : Store
        Where values are shared. On a machine that does not see its folder nothing is shared.

    fold : int
        The fold whose rows are fitted and scored.

    amount : int or None
        None if the rows of a fold are the same on every level.

    goes_on : bool, default=False
        Whether the estimator was fitted on these rows on the level below. Its last step was trained
        on the outputs of its transformers. So transformers that draw at random without a seed are
        not fitted again, also where a pipeline has a memory of its own.
    """
    pipelines = _pipelines(estimator)
    steps = [step for pipeline in pipelines for _, step in pipeline.steps[:-1]]
    shared = Sharing(store, fold, amount)
    remembers = any(pipeline.memory is not None for pipeline in pipelines)
    draws_rows = any(hasattr(step, "fit_resample") for step in steps)  # as imbalanced-learn does
    with ExitStack() as stack:
        for step in filter(_keeps_draws, steps if goes_on else ()):
            stack.enter_context(_instead(step, "fit_transform", partial(_only_transform, step)))
        if pipelines and store.is_here() and not (remembers or draws_rows):
            stack.enter_context(_instead(estimator, "fit", partial(shared.fit, estimator.fit)))
            for pipeline in pipelines:
                pipeline.memory = shared
            stack.callback(shared.end, estimator, pipelines)
        yield shared


def _pipelines(estimator: Any) -> list[Any]:
    """The pipelines among the nested models, and those that are steps of these."""
    found = [model for _, model in nested(estimator) if hasattr(type(model), "named_steps")]
    steps = [step for pipeline in found for _, step in pipeline.steps[:-1]]
    return [*found, *(inner for step in steps for inner in _pipelines(step))]


# -- the last step goes on -------------------------------------------------------------------------


@contextmanager
def training(model: Any, inside: str, train: Callable[..., None]) -> Iterator[None]:
    """Within it, the nested model that has the prefix ``inside`` is fitted by
    ``train(nested, X, y, **fit_params)``, in place of its own ``fit``.

    What is around that model is fitted as ever, and before it. The ``fit`` of a target regressor
    clones its parameter ``regressor``: within this context that clone is the regressor that it has
    from the level below.
    """
    with ExitStack() as stack:
        for prefix, each in nested(model):
            if prefix == inside:
                stack.enter_context(_instead(each, "fit", partial(train, each)))
                break
            if _transforms_target(each):
                if not hasattr(each, "regressor_"):
                    each.regressor_ = clone(each.regressor)
                regressor = partial(getattr, each, "regressor_")
                stack.enter_context(_instead(each.regressor, "__sklearn_clone__", regressor))
        yield


def as_inside(model: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Rows as the innermost model gets them: the fitted transformers of the pipelines and target
    regressors around it have transformed them."""
    for _, each in nested(model):
        if _transforms_target(each):
            column = np.asarray(y).reshape(len(y), -1)
            target = np.asarray(each.transformer_.transform(column))
            y = target[:, 0] if target.shape[1:] == (1,) else target
        elif hasattr(type(each), "named_steps"):
            for _, step in each.steps[:-1]:
                if step is not None and step != "passthrough":
                    X = step.transform(X)
    return X, y


# -- methods of one instance -----------------------------------------------------------------------


@contextmanager
def _instead(instance: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of one instance, within the context.

    The instance is a clone or a copy, so the only methods that it has of its own are those that are
    put here. If one is replaced twice, it is the class's again once either replacement ends.
    """
    instance.__dict__[name] = _Replaced(instance, name, function)
    try:
        yield
    finally:
        instance.__dict__.pop(name, None)


class _Replaced:
    """The replacement of a method of one instance.

    A scorer may copy the model that it gets: a copy of the instance has the method of its class.
    """

    def __init__(self, instance: Any, name: str, function: Callable[..., Any]) -> None:
        update_wrapper(self, getattr(type(instance), name))
        self._instance, self._name, self._function = instance, name, function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial, (_own, self._instance, self._name)


def _own(instance: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Call the method that the instance's class has."""
    return getattr(type(instance), name)(instance, *args, **kwargs)
