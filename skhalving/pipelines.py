"""Reaching into pipelines: what candidates share is done once, and the last step goes on.

Most searches tune the last step of a pipeline, where every candidate would fit the same
transformers on the same rows again. Here a step is run by the first evaluation that needs it; the
others take its fitted transformer and its output from the :class:`~skhalving.store.Store`.

What is equal is told by *recipes*, not by looking at rows: the output of a step is known by its
transformer's parameters, by whatever else its ``fit`` was given, and by the recipe of its input; in
the beginning are the rows of a fold. A value of unknown origin is known by its content.

scikit-learn's ``Pipeline`` asks its ``memory`` for every step of a fit, by a documented protocol,
and a :class:`Sharing` answers. For the test rows, ``transform`` is replaced on the fitted
transformers while a scorer runs. It answers for these rows alone: others that a scorer makes up
are really transformed. Which transformers, models and scorers there are, this room does not know.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial, update_wrapper
from math import inf
from typing import Any

import joblib
import numpy as np
from sklearn.base import TransformerMixin, clone

from skhalving.sklearn_private import _MultimetricScorer, say_step
from skhalving.store import Store, cloudpickle

# A step's outputs are written although nobody may come back for them. After this many different
# outputs without a use, only an output that is asked for again is written.
_TRIALS = 3


class _Recipe:
    """The steps that made a value. Two values with equal recipes are equal.

    Parameters
    ----------
    kind : str
        The names of the classes that made it. Candidates that differ in parameters have the same
        kind.

    *inputs : _Recipe
        What it was made of.

    transformer : estimator, default=None
        What was fitted. Only its parameters count.

    given : object, default=None
        What else there was: routed fit parameters; or the value itself, if nothing is known of it.
    """

    def __init__(
        self, kind: str, *inputs: _Recipe, transformer: Any = None, given: Any = None
    ) -> None:
        self.kind, self.inputs, self.transformer, self.given = kind, inputs, transformer, given

    @cached_property
    def digest(self) -> str:
        """Equal for equal recipes, also in another process; costs about 0.1 ms."""
        if not self.inputs and self.given is None:  # the rows of a fold
            return self.kind
        inputs = [recipe.digest for recipe in self.inputs]
        return _hash((self.kind, inputs, clone(self.transformer, safe=False), self.given))

    @cached_property
    def subject(self) -> str:
        """The name under which the store keeps notes about this kind."""
        return hashlib.sha256(self.kind.encode()).hexdigest()


def _hash(value: Any) -> str:
    try:
        return joblib.hash(value)
    except Exception:  # functions without a name of their own: by their code and all it refers to
        return hashlib.sha256(cloudpickle.dumps(value)).hexdigest()


class Sharing:
    """The ``memory`` of a candidate's pipelines during one evaluation.

    Attributes
    ----------
    scorer : callable
        The scorer to call in place of the one given.

    n_fitted, n_shared : int
        Steps that were fitted, and those taken from the store.

    fault : str or None
        Why something could not be shared that should have been.
    """

    # Says to a Pipeline that its transformers need no cloning.
    location = None

    def __init__(self, scorer: Any, store: Store, fold: int, amount: int | None) -> None:
        self.scorer = scorer
        self.n_fitted = self.n_shared = 0
        self.fault: str | None = None
        self._store, self._fold, self._amount = store, fold, amount
        self.forget()

    def __sklearn_clone__(self) -> Sharing:
        return self  # the regressor within a TransformedTargetRegressor is a clone

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # in a file, a pipeline has the memory that it was given: None

    def forget(self) -> None:
        """Drop all references to rows now, since otherwise they would stay until Python collects
        cycles."""
        self._train: Any = None
        self._known: dict[str, tuple[Any, _Recipe]] = {}
        self._steps: dict[int, tuple[Any, _Recipe]] = {}

    # -- where scikit-learn calls ------------------------------------------------------------------

    def fit(self, fit: Callable[..., Any], X: Any, *y: Any, **params: Any) -> Any:
        """Called in place of the candidate's ``fit``: notes which X and y are the fold's training
        rows, and calls it."""
        self._train = X
        self._known = {"X": (X, _Recipe("fit"))}
        if y:
            self._known["y"] = y[0], _Recipe("target")
        return fit(X, *y, **params)

    def cache(self, function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        """The protocol of ``joblib.Memory``; samplers of imbalanced-learn are left alone."""
        fits = function.__name__.startswith("_fit_transform_one")
        return partial(self._fit_transform, function) if fits else function

    def _fit_transform(
        self, function: Callable[..., Any], transformer: Any, X: Any, y: Any, **options: Any
    ) -> tuple[Any, Any]:
        """One step of a fit: its output and the fitted transformer."""
        before = self._origin("last", X)
        routed = {name: dict(given) for name, given in options["params"].items() if given}
        recipe = _Recipe(
            f"{before.kind} {type(transformer).__qualname__}",
            before,
            self._origin("y", y),
            transformer=transformer,
            given=routed,
        )
        run = partial(function, transformer, X, y, **options)
        (output, fitted), shared = self._once(recipe, transformer, run)
        self.n_shared += shared
        self.n_fitted += not shared
        if shared:
            say_step(options["message_clsname"], options["message"])
        self._known["last"] = output, recipe
        self._steps[id(fitted)] = fitted, recipe
        return output, fitted

    @contextmanager
    def scoring(self, X: Any, rows: str | None = None) -> Iterator[None]:
        """Within it, the transformers answer for ``X``, the test or the training rows, or others
        that are the same for all candidates of a fold and level."""
        rows = rows or ("score train" if X is self._train else "score test")
        self._known = {"X": (X, _Recipe(rows))}
        with ExitStack() as stack:
            for transformer, fitted in self._steps.values():
                transform = partial(self._transform, transformer, fitted)
                stack.enter_context(_instead(transformer, "transform", transform))
            yield

    def _transform(self, transformer: Any, fitted: _Recipe, X: Any, **params: Any) -> Any:
        run = partial(_own, transformer, "transform", X, **params)
        before = self._recipe_of(X)
        if before is None:
            return run()
        recipe = _Recipe(f"{before.kind} {fitted.kind}", before, fitted, given=params)
        output, _ = self._once(recipe, transformer, run)
        self._known["last"] = output, recipe
        return output

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
        notes = self._store.notes(recipe.subject)
        if f"slow {self._amount}" in notes or _goes_its_own_way(transformer):
            return run(), False
        start = time.perf_counter()
        try:
            name = f"{self._fold}-{recipe.digest}"
        except Exception:  # it cannot be told from others
            return run(), False
        found = self._store.shared(self._amount, name)
        looked = time.perf_counter()
        if found is not None:
            if "used" not in notes:
                self._store.note(recipe.subject, "used")
            return found, True
        value = run()
        seconds_saved = (time.perf_counter() - looked) - (looked - start)
        tried = {note for note in notes if not note.startswith("slow")}
        if "used" in tried:
            self._leave(name, value)
        elif recipe.digest in tried or len(tried) < _TRIALS:
            pays = self._leave(name, value) < seconds_saved
            self._store.note(recipe.subject, recipe.digest if pays else f"slow {self._amount}")
            if not pays:
                self._store.unshare(self._amount, name)
        return value, False

    def _leave(self, name: str, value: Any) -> float:
        """Write a value for others; the seconds that it takes to write it and to read it."""
        start = time.perf_counter()
        try:
            self._store.share(self._amount, name, value)
            self._store.shared(self._amount, name)
        except TimeoutError:  # of the evaluation, not of the disk
            raise
        except OSError as error:
            self.fault = f"{type(error).__name__}: {error.strerror or error}"
        except Exception:  # it cannot be pickled
            return inf
        return time.perf_counter() - start


def _goes_its_own_way(transformer: Any) -> bool:
    """Whether a transformer must run for every candidate: one that keeps its draws (its
    ``fit_transform`` is replaced), or that writes into its input, where scores depend on how often
    it runs."""
    params = transformer.get_params() if hasattr(transformer, "get_params") else {}
    in_place = any(name.split("__")[-1] == "copy" and not value for name, value in params.items())
    return in_place or "fit_transform" in vars(transformer)


@contextmanager
def sharing(
    estimator: Any, scorer: Any, store: Store, fold: int, amount: int | None
) -> Iterator[Sharing]:
    """Within it, ``estimator.fit`` and the scorer share what other evaluations did.

    Parameters
    ----------
    estimator : estimator
        A candidate with its parameters set.

    scorer : callable
        As ``_fit_and_score`` takes it.

    store : Store
        Where it is shared. On a machine that does not see its folder nothing is.

    fold : int
        Whose rows are fitted and scored.

    amount : int or None
        None if the rows of a fold are the same on every level.
    """
    shared = Sharing(scorer, store, fold, amount)
    shares = store.is_here() and _replace_memory(estimator, None, shared)
    with ExitStack() as stack:
        if shares:
            # The pipelines are looked up again at the end: by then some of them are clones.
            stack.callback(_replace_memory, estimator, shared, None)
            fit = partial(shared.fit, partial(_own, estimator, "fit"))
            stack.enter_context(_instead(estimator, "fit", fit))
            several = isinstance(scorer, _MultimetricScorer)
            shared.scorer = (_Scorers if several else _Scorer)(shared, scorer)
            stack.callback(shared.forget)
        yield shared


def _replace_memory(model: Any, before: Any, after: Any) -> bool:
    """Replace the memory ``before`` of a pipeline, and of those within its steps and transformed
    targets, by ``after``. Returns whether the outermost one had it."""
    if hasattr(model, "named_steps") and model.memory is before:
        model.memory = after
        for _, step in model.steps:
            _replace_memory(step, before, after)
        return True
    if not _transforms_target(model):
        return False
    given = _replace_memory(model.regressor, before, after)
    kept = _replace_memory(getattr(model, "regressor_", None), before, after)
    return given or kept


def _transforms_target(model: Any) -> bool:
    from sklearn.compose import TransformedTargetRegressor  # loads linear models, half our import

    return isinstance(model, TransformedTargetRegressor)


class _Scorer:
    """A scorer that transforms the rows it is given only once."""

    def __init__(self, sharing: Sharing, scorer: Any) -> None:
        self._sharing, self._scorer = sharing, scorer

    def __call__(self, model: Any, X: Any, *args: Any, **params: Any) -> Any:
        with self._sharing.scoring(X):
            return self._scorer(model, X, *args, **params)

    def __repr__(self) -> str:
        return repr(self._scorer)


class _Scorers(_Scorer, _MultimetricScorer):
    """The same for several metrics, by whose class ``_fit_and_score`` knows them."""

    @property
    def _scorers(self) -> Any:
        return self._scorer._scorers


# -- the last step goes on -------------------------------------------------------------------------


def path_inside(model: Any) -> list[str]:
    """The names that lead to the innermost model, as in the names of its parameters."""
    if hasattr(model, "named_steps"):
        return [model.steps[-1][0], *path_inside(model.steps[-1][1])]
    return ["regressor", *path_inside(model.regressor)] if _transforms_target(model) else []


def inside(model: Any) -> Any:
    """The innermost model of one that need not be fitted."""
    return innermost(model, "__".join([*path_inside(model), ""]))


def fitted_inside(model: Any) -> Any:
    """The innermost model of one that is fitted."""
    while hasattr(model, "named_steps") or _transforms_target(model):
        model = (
            getattr(model, "regressor_", None) if _transforms_target(model) else model.steps[-1][1]
        )
    return model


def innermost(model: Any, resource: str) -> Any:
    """The estimator that has the parameter ``resource``, reached through last steps of pipelines
    and transformed targets; None if it is elsewhere."""
    for step in resource.split("__")[:-1]:
        if hasattr(model, "named_steps") and model.steps[-1][0] == step:
            model = model.steps[-1][1]
        elif _transforms_target(model) and step == "regressor":
            model = model.regressor
        else:
            return None
    return model


@contextmanager
def growing(
    model: Any,
    path: Sequence[str],
    grow: Callable[..., Any],
    done: int,
    amount: int,
    more: Callable[..., Mapping[str, Any]] | None = None,
) -> Iterator[None]:
    """Within it, ``model.fit`` trains its innermost model from ``done`` up to ``amount``.

    The ``fit`` of pipelines runs as ever; only the innermost one is replaced, on the instance and
    for the moment. It gets what ``more(model, around, y, **fit_params)`` returns as well;
    ``around`` are the pipelines and target regressors, fitted by then but for the innermost model.
    """
    around: list[Any] = []
    with ExitStack() as stack:
        for step in path:
            around.append(model)
            if hasattr(model, "named_steps"):
                model = stack.enter_context(_into_pipeline(model, step, done > 0))
            else:
                model = stack.enter_context(_into_target_regressor(model, done > 0))
        extra = partial(more, model, around) if more else _nothing_more
        fit = partial(_grow_and_return, grow, extra, model, done, amount)
        stack.enter_context(_instead(model, "fit", fit))
        yield


def _grow_and_return(
    grow: Callable[..., Any],
    extra: Callable[..., Mapping[str, Any]],
    model: Any,
    done: int,
    amount: int,
    X: Any,
    y: Any = None,
    **fit_params: Any,
) -> Any:
    grow(model, done, amount, X, y, **{**extra(y, **fit_params), **fit_params})
    return model


def _nothing_more(y: Any, **fit_params: Any) -> dict[str, Any]:
    return {}


def as_inside(around: Sequence[Any], X: Any, y: Any) -> tuple[Any, Any]:
    """Rows as the innermost model gets them, through all that is fitted around it."""
    for model in around:
        if not hasattr(model, "named_steps"):
            column = np.asarray(y).reshape(len(y), -1)
            target = np.asarray(model.transformer_.transform(column))
            y = target[:, 0] if target.shape[1:] == (1,) else target
            continue
        for _, step in model.steps[:-1]:
            if step is not None and step != "passthrough":
                X = step.transform(X)
    return X, y


@contextmanager
def _into_pipeline(pipeline: Any, step: str, fitted: bool) -> Iterator[Any]:
    """To its last step, after the draws that it was trained on: others would be another space.

    Where ``fit_transform`` is ``fit`` and then ``transform``, a transformer without a seed keeps
    what it drew. Any other is fitted again, or taken from the store, and is what it was.
    """
    with ExitStack() as stack:
        for _, transformer in pipeline.steps[:-1] if fitted else ():
            own = getattr(type(transformer), "fit_transform", None)
            if own is TransformerMixin.fit_transform and _draws(transformer):
                transform = partial(_only_transform, transformer)
                stack.enter_context(_instead(transformer, "fit_transform", transform))
        yield pipeline.named_steps[step]


def _only_transform(transformer: Any, X: Any, y: Any = None, **fit_params: Any) -> Any:
    return transformer.transform(X)


def _draws(transformer: Any) -> bool:
    params = transformer.get_params().items()
    return any(name.split("__")[-1] == "random_state" and value is None for name, value in params)


@contextmanager
def _into_target_regressor(model: Any, fitted: bool) -> Iterator[Any]:
    """Yield the regressor that a ``TransformedTargetRegressor`` fits. Its ``fit`` clones the
    parameter ``regressor``. Within this context that clone is the regressor that was fitted on the
    level below."""
    regressor = model.regressor_ if fitted else clone(model.regressor)
    with _instead(model.regressor, "__sklearn_clone__", lambda: regressor):
        yield regressor


@contextmanager
def _instead(instance: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of one instance, for the moment."""
    instance.__dict__[name] = _Replaced(instance, name, function)
    try:
        yield
    finally:
        del instance.__dict__[name]


class _Replaced:
    """A method of one instance, but not of its copies: a scorer may copy the model that it gets."""

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
