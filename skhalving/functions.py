"""Successive halving and Hyperband for a plain objective: no estimator, the same race and loop.

::

    def objective(configuration, resource):
        return loss_after(configuration, epochs=resource)

    result = hyperband(objective, {"lr": loguniform(1e-4, 1)}, max_resources=81)
    result.best_configuration
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from traceback import format_exc
from typing import Any

import numpy as np
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_random_state

from skhalving import schedule as plans
from skhalving import space as spaces
from skhalving.pickling import Carried
from skhalving.race import Race, Trial
from skhalving.run import Job, Log, Task, run
from skhalving.schedule import Schedule


@dataclass(frozen=True)
class Result:
    """What a race found; its repr is a short table.

    .. versionadded:: 0.1

    Attributes
    ----------
    best_configuration : object
        The best on the highest level that has a score.

    best_score : float
        What the objective returned for it there.

    best_resource : int
        The resource that it had there.

    maximize : bool
        Whether larger scores are better.

    schedule : Schedule
        What was planned.

    history : dict of str to ndarray of shape (n_evaluations,)
        Columns ``bracket``, ``iter`` (rung within the bracket), ``candidate``, ``n_resources``,
        ``score`` and ``seconds`` (of one call of the objective), a row for each evaluation, level
        by level. ``pandas.DataFrame(history)`` takes it.

    configurations : list of length n_candidates
        ``configurations[candidate]`` is what was tried.

    See Also
    --------
    HalvingDisplay.from_result : Draws it.

    Examples
    --------
    >>> from skhalving import successive_halving
    >>> print(successive_halving(lambda x, resource: abs(x - 2), range(9), max_resources=9))
    best score     0
    configuration  2
    resource       9
    evaluations    13 of 9 configurations
    <BLANKLINE>
    bracket  rung  candidates  resource
          0     0           9         1
                1           3         3
                2           1         9
    """

    best_configuration: Any
    best_score: float
    best_resource: int
    maximize: bool
    schedule: Schedule
    history: dict[str, np.ndarray] = field(repr=False)
    configurations: list[Any] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"best score     {self.best_score:.6g}\n"
            f"configuration  {readable(self.best_configuration)}\n"
            f"resource       {self.best_resource}\n"
            f"evaluations    {len(self.history['score'])} of {len(self.configurations)} "
            f"configurations\n\n{self.schedule}"
        )


def successive_halving(
    objective: Callable[..., Any],
    configurations: Iterable[Any],
    *,
    max_resources: int,
    min_resources: int = 1,
    factor: int = 3,
    maximize: bool = False,
    stateful: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Result:
    """Try all configurations with little, and the best of them with more, up to the maximum.

    .. versionadded:: 0.1

    Parameters
    ----------
    objective : callable
        ``objective(configuration, resource) -> float``, smaller is better. With ``stateful=True``
        ``objective(configuration, resource, state) -> (float, state)``. An exception or NaN fails
        that configuration, with a warning.

    configurations : iterable
        Any objects.

    max_resources : int
        What the last rung gives, exactly; in units of the resource.

    min_resources : int, default=1
        The least that any rung gives. Rungs are ``factor`` apart, from the top down, as many as the
        configurations can fill: 16 of them with ``max_resources=27`` start with 3 each.

    factor : int, default=3
        One configuration in ``factor`` is promoted, and gets ``factor`` times the resource.

    maximize : bool, default=False
        Larger is better.

    stateful : bool, default=False
        Training goes on: ``state`` is None on the first rung, and after that what this
        configuration returned on the rung before. ``resource`` is the new total.

    n_jobs : int, default=None
        Evaluations at a time, through joblib. The result is the same for every value.

    verbose : int, default=0
        Above 0, print a line a level.

    Returns
    -------
    result : Result
        ``best_configuration``, ``best_score``, ``history`` and more.

    Raises
    ------
    ValueError
        If an argument is out of its range, or every evaluation failed.
    TypeError
        If the objective returns something that is not a number.
    KeyboardInterrupt
        With what is known so far as its attribute ``partial``, a Result, or None if that is
        nothing.

    See Also
    --------
    hyperband : Also starts with fewer configurations on more.
    SuccessiveHalvingSearchCV : The same for an estimator.

    References
    ----------
    Jamieson and Talwalkar (2016). Non-stochastic Best Arm Identification and Hyperparameter
    Optimization. AISTATS, Section 3. With a least and a largest amount of resource, as here: Li et
    al. (2020). A System for Massively Parallel Hyperparameter Tuning. MLSys, Algorithm 1.

    Examples
    --------
    >>> from skhalving import successive_halving
    >>> def objective(x, resource):
    ...     return (x - 2) ** 2 + 1 / resource
    >>> result = successive_halving(objective, range(9), max_resources=9)
    >>> result.best_configuration, result.best_resource
    (2, 9)
    """
    plans.check_amounts(max_resources, min_resources, factor)
    configurations = list(configurations)
    if not configurations:
        raise ValueError("configurations is empty; give at least one")
    levels = plans.ladder(max_resources, min_resources, factor)
    schedule = plans.published_bracket(levels, factor, len(configurations))
    evaluate = _Evaluate(objective, stateful, max_resources)
    return _search(evaluate, configurations, schedule, maximize, n_jobs, verbose)


def hyperband(
    objective: Callable[..., Any],
    space: spaces.Space | Callable[[np.random.RandomState], Any],
    *,
    max_resources: int,
    min_resources: int = 1,
    factor: int = 3,
    n_candidates: int | str = "auto",
    maximize: bool = False,
    stateful: bool = False,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> Result:
    """Run successive halving from every amount to start with: many with little, few with much.

    .. versionadded:: 0.1

    Parameters
    ----------
    objective : callable
        ``objective(configuration, resource) -> float``, smaller is better. With ``stateful=True``
        ``objective(configuration, resource, state) -> (float, state)``. An exception or NaN fails
        that configuration, with a warning.

    space : dict, list of dict, or callable
        Parameters with lists or distributions (anything with ``rvs``), as for
        ``RandomizedSearchCV``; a configuration is then a dict. A space of lists alone is a grid:
        every point enters once. Or ``space(rng) -> configuration`` with a
        ``numpy.random.RandomState``.

    max_resources : int
        What the last rung of every bracket gives, exactly; in units of the resource.

    min_resources : int, default=1
        The least that any rung gives.

    factor : int, default=3
        One configuration in ``factor`` is promoted, and gets ``factor`` times the resource.

    n_candidates : int or "auto", default="auto"
        Configurations in all. "auto": every point of a grid, else as many as Hyperband asks for.

    maximize : bool, default=False
        Larger is better.

    stateful : bool, default=False
        Training goes on, as in :func:`successive_halving`.

    n_jobs : int, default=None
        Evaluations at a time, through joblib. The result is the same for every value.

    random_state : int, RandomState instance or None, default=None
        Of the draws.

    verbose : int, default=0
        Above 0, print a line a level.

    Returns
    -------
    result : Result
        ``best_configuration``, ``best_score``, ``history`` and more.

    Raises
    ------
    ValueError
        If an argument is out of its range, or every evaluation failed.
    TypeError
        If the objective returns something that is not a number.
    KeyboardInterrupt
        With what is known so far as its attribute ``partial``, a Result, or None if that is
        nothing.

    See Also
    --------
    hyperband_schedule : The plan, before the first evaluation.
    HyperbandSearchCV : The same for an estimator.

    References
    ----------
    Li et al. (2018). Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization. JMLR
    18, Algorithm 1.

    Examples
    --------
    >>> from scipy.stats import uniform
    >>> from skhalving import hyperband
    >>> def objective(configuration, resource):
    ...     return (configuration["x"] - 2) ** 2 + 1 / resource
    >>> space = {"x": uniform(0, 4)}
    >>> result = hyperband(objective, space, max_resources=27, random_state=0)
    >>> len(result.configurations), bool(abs(result.best_configuration["x"] - 2) < 0.1)
    (49, True)
    """
    plans.check_amounts(max_resources, min_resources, factor)
    if n_candidates != "auto":
        plans.check_integer("n_candidates", n_candidates, 1)
    wanted = None if n_candidates == "auto" else int(n_candidates)
    levels = plans.ladder(max_resources, min_resources, factor)
    rng = check_random_state(random_state)
    configurations: list[Any]
    if callable(space):
        schedule = plans.published(levels, factor, wanted)
        configurations = [space(rng) for _ in range(schedule.n_candidates)]
    else:
        configurations, schedule = spaces.fill(
            lambda n: plans.published(levels, factor, n), space, wanted, rng
        )
    evaluate = _Evaluate(objective, stateful, max_resources)
    return _search(evaluate, configurations, schedule, maximize, n_jobs, verbose)


@dataclass(frozen=True)
class _Evaluate:
    """One call of the objective, on a worker."""

    objective: Callable[..., Any]
    stateful: bool
    max_resources: int

    def __call__(self, task: Task, configuration: Any, state: Carried | None) -> dict[str, Any]:
        amount, before = task.amount, None if state is None else state.open()
        start = time.perf_counter()
        try:
            if self.stateful:
                value, after = self.objective(configuration, amount, before)
            else:
                value, after = self.objective(configuration, amount), None
        except Exception:
            seconds = time.perf_counter() - start
            return {"score": np.nan, "seconds": seconds, "error": format_exc(), "state": state}
        seconds = time.perf_counter() - start
        if not hasattr(value, "__float__"):
            raise TypeError(
                f"the objective returned {value!r} (of type {type(value).__name__}) for "
                f"{configuration!r}; it must return a number"
            )
        # Nobody goes on from the top.
        after = Carried(after) if self.stateful and amount < self.max_resources else None
        return {"score": float(value), "seconds": seconds, "error": None, "state": after}


class _Objective(Job):
    """Calls of the objective, each with the state that its configuration left on the rung below."""

    def __init__(
        self, race: Race, evaluate: _Evaluate, configurations: list[Any], sign: int, verbose: int
    ) -> None:
        self._evaluate = evaluate
        self._race, self._configurations, self._sign = race, configurations, sign
        self._states: dict[int, Carried | None] = {}
        self._log, self._verbose = Log(race, "resource", sign), verbose

    def tasks_of(self, trial: Trial) -> list[Task]:
        return [Task(trial.candidate, 0, self._race.rung(trial).n_resources)]

    def evaluate_for(self, task: Task) -> _Evaluate:
        return self._evaluate

    def arguments(self, task: Task, level: int) -> tuple[Any, ...]:
        return self._configurations[task.candidate], self._states.get(task.candidate)

    def score(self, results: list[dict[str, Any]]) -> float:
        return self._sign * results[0]["score"]

    def record(self, task: Task, result: dict[str, Any]) -> None:
        self._states[task.candidate] = result.pop("state")

    def failed(self, task: Task, reason: str) -> dict[str, Any]:
        return {"score": np.nan, "seconds": 0.0, "error": reason, "state": None}

    def seconds(self, result: dict[str, Any]) -> float:
        return result["seconds"]

    def cut(self) -> None:
        for candidate in self._states.keys() - self._race.field:
            del self._states[candidate]

    def level_ends(self, level: int, evaluated: Mapping[int, int]) -> None:
        if self._verbose > 0:
            print(self._log.line(level, evaluated))


def readable(value: Any) -> str:
    """As Python writes it, but ``np.float64(0.1)`` as ``0.1``, also within a dict or a list."""
    with np.printoptions(legacy="1.21"):
        return repr(value)


def _search(
    evaluate: _Evaluate,
    configurations: list[Any],
    schedule: Schedule,
    maximize: bool,
    n_jobs: int | None,
    verbose: int,
) -> Result:
    race, sign = Race(schedule), 1 if maximize else -1
    job = _Objective(race, evaluate, configurations, sign, verbose)
    known: dict[Task, dict[str, Any]] = {}
    try:
        run(race, job, known, n_jobs=n_jobs)
    except KeyboardInterrupt as stop:
        stop.partial = _result(race, known, configurations, sign)  # type: ignore[attr-defined]
        raise
    _warn_or_raise_about_failures(list(known.values()))
    found = _result(race, known, configurations, sign)
    assert found is not None  # some evaluation has a score
    return found


def _result(
    race: Race, known: dict[Task, dict[str, Any]], configurations: list[Any], sign: int
) -> Result | None:
    """From the trials told so far; None if none of them has a score."""
    trials = sorted(race.scores)
    scores = np.array([sign * race.scores[trial] for trial in trials])
    amounts = [race.rung(trial).n_resources for trial in trials]
    outcomes = [known[Task(t.candidate, 0, a)] for t, a in zip(trials, amounts, strict=True)]
    history = {
        "bracket": np.array([trial.bracket for trial in trials]),
        "iter": np.array([race.schedule.iter(t.bracket, t.level) for t in trials]),
        "candidate": np.array([trial.candidate for trial in trials]),
        "n_resources": np.array(amounts),
        "score": scores,
        "seconds": np.array([outcome["seconds"] for outcome in outcomes]),
    }
    ranked = [
        (-trial.level, -race.scores[trial], i)
        for i, trial in enumerate(trials)
        if not np.isnan(scores[i])
    ]
    if not ranked:
        return None
    best = min(ranked)[-1]
    return Result(
        best_configuration=configurations[trials[best].candidate],
        best_score=float(scores[best]),
        best_resource=amounts[best],
        maximize=sign > 0,
        schedule=race.schedule,
        history=history,
        configurations=configurations,
    )


def _warn_or_raise_about_failures(outcomes: list[dict[str, Any]]) -> None:
    failed = [outcome for outcome in outcomes if np.isnan(outcome["score"])]
    if not failed:
        return
    first = next((o["error"] for o in failed if o["error"] is not None), "it returned NaN")
    message = f"{len(failed)} of {len(outcomes)} evaluations failed; the first of them:\n{first}"
    if len(failed) == len(outcomes):
        raise ValueError(message)
    warnings.warn(message, FitFailedWarning, stacklevel=4)
