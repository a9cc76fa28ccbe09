"""Successive halving and Hyperband for a plain objective: no estimator, the same race and loop.

::

    def objective(configuration, resource):
        return loss_after(configuration, epochs=resource)

    result = hyperband(objective, {"lr": loguniform(1e-4, 1)}, max_resources=81)
    result.best_configuration
"""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from traceback import format_exc
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import FitFailedWarning

from skhalving import schedule as schedules
from skhalving import space as spaces
from skhalving.fingerprint import stable, versions
from skhalving.loop import Work
from skhalving.pace import Pace
from skhalving.race import Race
from skhalving.schedule import Schedule
from skhalving.session import conduct, frozen_seed, opened
from skhalving.store import Store, temporary_folder
from skhalving.task import Outcome, Task


@dataclass(frozen=True)
class Result:
    """What a race found; its repr is a short table.

    .. versionadded:: 0.1

    Attributes
    ----------
    best_configuration : object
        The best configuration on the highest level on which any evaluation has a score.

    best_score : float
        The score of ``best_configuration`` on that level.

    best_resource : int
        The amount of resource of that level.

    maximize : bool
        Whether larger scores are better.

    schedule : Schedule
        The schedule that was planned.

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
    starting_points: Sequence[Any] | None = None,
    schedule: str | Schedule = "published",
    journal: str | os.PathLike[str] | None = None,
    states: str | os.PathLike[str] | None = None,
    max_time: float | timedelta | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    on_result: Callable[[dict[str, Any]], object] | None = None,
) -> Result:
    """Try all configurations with little resource, the best of them with more, up to the maximum.

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
        The amount that the last rung gives, exactly; in units of the resource.

    min_resources : int, default=1
        The least amount that any rung gives. Each rung gives ``factor`` times as much as the one
        before. There are as many rungs as the configurations can fill: with ``max_resources=27``,
        16 configurations start with 3 units each.

    factor : int, default=3
        One configuration in ``factor`` is promoted, and gets ``factor`` times the resource.

    maximize : bool, default=False
        Larger is better.

    stateful : bool, default=False
        Training goes on: ``state`` is None on the first rung, and after that what this
        configuration returned on the rung before. ``resource`` is the new total.

    starting_points : sequence, default=None
        Configurations that are evaluated first of all, with the maximum of the resource, in a
        bracket of their own: the answer is never worse than the best of them.

    schedule : {"published", "hedged"} or Schedule, default="published"
        How many configurations start with how much resource. "published": Algorithm 1 of the
        paper, which did best on functions where little resource ranks configurations as much
        resource does. "hedged": as in :class:`HyperbandSearchCV`.

    journal : path-like, default=None
        A file that each evaluation is written to. Run again with the same file, the same search
        goes on from there. States are not in it: without ``states``, a configuration that is
        promoted after that starts from scratch, with a state of None, and a warning says so.

    states : path-like, default=None
        A folder for the states of a search with a journal, so that a search that was killed goes on
        from them. It is made if it is missing, and may be shared by several searches: each has its
        own files, and removes those of a configuration that is out. They are pickles, and reading
        one can run code, so let nobody else write there.

    max_time : float or timedelta, default=None
        In seconds if it is a number. No evaluation starts after that time; if some are left then, a
        warning says so.

    n_jobs : int, default=None
        Evaluations at a time, through joblib. The result is the same for every value.

    verbose : int, default=0
        Above 0: a line for each level. Above 1: also one for each evaluation.

    on_result : callable, default=None
        Called with a dict as soon as anything is known, as for :class:`HyperbandSearchCV`;
        ``params`` is the configuration, ``fold`` is 0.

    Returns
    -------
    result : Result
        ``best_configuration``, ``best_score``, ``history`` and more.

    Raises
    ------
    ValueError
        If an argument is out of its range, or every evaluation failed, or every one of the lowest
        level.
    TypeError
        If the objective returns something that is not a number.
    KeyboardInterrupt
        If the search is interrupted. The attribute ``partial`` of the error is a Result of what is
        known so far, or None if no evaluation has a score.

    See Also
    --------
    hyperband : Has further brackets, which start with more of the resource.
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
    configurations = list(configurations)
    if not configurations:
        raise ValueError("configurations is empty; give at least one")
    levels = schedules.ladder(max_resources, min_resources, factor)
    rule = schedules.rule_for(schedule, schedules.SINGLE_RULES, levels, factor)
    plan = spaces.scheduled(rule, configurations)
    return _search(
        objective,
        lambda rng: (configurations, plan),
        0,
        maximize=maximize,
        stateful=stateful,
        starting_points=starting_points,
        journal=journal,
        states=states,
        max_time=max_time,
        n_jobs=n_jobs,
        verbose=verbose,
        on_result=on_result,
    )


def hyperband(
    objective: Callable[..., Any],
    space: spaces.Space,
    *,
    max_resources: int,
    min_resources: int = 1,
    factor: int = 3,
    n_candidates: int | str = "auto",
    maximize: bool = False,
    stateful: bool = False,
    starting_points: Sequence[Any] | None = None,
    schedule: str | Schedule = "published",
    journal: str | os.PathLike[str] | None = None,
    states: str | os.PathLike[str] | None = None,
    max_time: float | timedelta | None = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    verbose: int = 0,
    on_result: Callable[[dict[str, Any]], object] | None = None,
) -> Result:
    """Run successive halving several times: many configurations start with little, few with much.

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
        The amount that the last rung of every bracket gives, exactly; in units of the resource.

    min_resources : int, default=1
        The least amount that any rung gives.

    factor : int, default=3
        One configuration in ``factor`` is promoted, and gets ``factor`` times the resource.

    n_candidates : int or "auto", default="auto"
        Configurations in all. "auto": every point of a grid, else as many as Hyperband asks for.

    maximize : bool, default=False
        Larger is better.

    stateful : bool, default=False
        Training goes on, as in :func:`successive_halving`.

    starting_points : sequence, default=None
        Configurations that are evaluated first of all, with the maximum of the resource, in a
        bracket of their own: the answer is never worse than the best of them.

    schedule : {"published", "hedged"} or Schedule, default="published"
        How many configurations start with how much resource. "published": Algorithm 1 of the
        paper, which did best on functions where little resource ranks configurations as much
        resource does. "hedged": as in :class:`HyperbandSearchCV`.

    journal : path-like, default=None
        A file that each evaluation is written to. Run again with the same file, the same search
        goes on from there. States are not in it: without ``states``, a configuration that is
        promoted after that starts from scratch, with a state of None, and a warning says so.

    states : path-like, default=None
        A folder for the states of a search with a journal, so that a search that was killed goes on
        from them. It is made if it is missing, and may be shared by several searches: each has its
        own files, and removes those of a configuration that is out. They are pickles, and reading
        one can run code, so let nobody else write there.

    max_time : float or timedelta, default=None
        In seconds if it is a number. No evaluation starts after that time; if some are left then, a
        warning says so.

    n_jobs : int, default=None
        Evaluations at a time, through joblib. The result is the same for every value.

    random_state : int, RandomState instance or None, default=None
        Seeds the draws of configurations. An int gives the same ones every time.

    verbose : int, default=0
        Above 0: a line for each level. Above 1: also one for each evaluation.

    on_result : callable, default=None
        Called with a dict as soon as anything is known, as for :class:`HyperbandSearchCV`;
        ``params`` is the configuration, ``fold`` is 0.

    Returns
    -------
    result : Result
        ``best_configuration``, ``best_score``, ``history`` and more.

    Raises
    ------
    ValueError
        If an argument is out of its range, or every evaluation failed, or every one of the lowest
        level.
    TypeError
        If the objective returns something that is not a number.
    KeyboardInterrupt
        If the search is interrupted. The attribute ``partial`` of the error is a Result of what is
        known so far, or None if no evaluation has a score.

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
    if n_candidates != "auto":
        schedules.check_integer("n_candidates", n_candidates, 1)
    wanted = None if n_candidates == "auto" else int(n_candidates)
    levels = schedules.ladder(max_resources, min_resources, factor)
    rule = schedules.rule_for(schedule, schedules.RULES, levels, factor)

    return _search(
        objective,
        lambda rng: spaces.fill(rule, space, wanted, rng),
        random_state,
        maximize=maximize,
        stateful=stateful,
        starting_points=starting_points,
        journal=journal,
        states=states,
        max_time=max_time,
        n_jobs=n_jobs,
        verbose=verbose,
        on_result=on_result,
    )


@dataclass(frozen=True, eq=False)
class _Evaluate:
    """One call of the objective, on a worker. A stateful objective gets the state that it returned
    for this configuration on the level below, or None."""

    objective: Callable[..., Any]
    stateful: bool
    max_resources: int
    store: Store

    def __call__(self, task: Task, configuration: Any, has_been_below: bool) -> Outcome:
        had, before = self.store.take(task) if self.stateful else (0, None)
        start = time.perf_counter()
        try:
            if self.stateful:
                value, after = self.objective(configuration, task.amount, before)
            else:
                value = self.objective(configuration, task.amount)
        except Exception:
            return Outcome({}, time.perf_counter() - start, error=format_exc())
        seconds, fault = time.perf_counter() - start, None
        is_last = task.amount == self.max_resources  # nobody goes on from there
        if self.stateful and not is_last and (why := self.store.keep(task, after)):
            fault = f"a state could not be kept, so the next rung starts from scratch: {why}"
        elif self.stateful and has_been_below and not had:
            fault = (
                "some configurations started from scratch, since their states were not found: a "
                "journal holds none, and a folder given as states= does"
            )
        score = _number(value, configuration)
        return Outcome({"score": score}, seconds, continued=had > 0, fault=fault)


def _number(value: Any, configuration: Any) -> float:
    if not hasattr(value, "__float__"):
        raise TypeError(
            f"the objective returned {value!r} (of type {type(value).__name__}) for "
            f"{configuration!r}; it must return a number"
        )
    return float(value)


@dataclass(kw_only=True)
class _Calls(Work):
    """Calls of the objective: one for each trial."""

    evaluate: _Evaluate

    def call(self, task: Task) -> partial[Outcome]:
        has_been_below = any(
            task._replace(amount=amount) in self.known
            for amount, _ in self.race.schedule.levels
            if amount < task.amount
        )
        return partial(self.evaluate, task, self.candidates[task.candidate], has_been_below)

    def score(self, outcomes: Sequence[Outcome]) -> float:
        return self.sign * outcomes[0].scores.get("score", np.nan)

    def lost(self, task: Task, why: str) -> Outcome:
        return Outcome({}, error=why, ended=True)

    def complain(self, outcomes: Sequence[Outcome]) -> None:
        failed = [o for o in outcomes if np.isnan(o.scores.get("score", np.nan))]
        if failed:
            first = next((o.error for o in failed if o.error is not None), "it returned NaN")
            message = (
                f"{len(failed)} of {len(outcomes)} evaluations failed; the first of them:\n{first}"
            )
            if len(failed) == len(outcomes):
                raise ValueError(message)
            warnings.warn(message, FitFailedWarning, stacklevel=5)


def _search(
    objective: Callable[..., Any],
    draw: Callable[[np.random.RandomState], tuple[list[Any], Schedule]],
    random_state: Any,
    *,
    maximize: bool,
    stateful: bool,
    starting_points: Sequence[Any] | None,
    journal: str | os.PathLike[str] | None,
    states: str | os.PathLike[str] | None,
    max_time: float | timedelta | None,
    n_jobs: int | None,
    verbose: int,
    on_result: Callable[[dict[str, Any]], object] | None,
) -> Result:
    """What the two functions share: a race of the configurations that are drawn."""
    _check_states(states, stateful, journal)
    pace, lasting = Pace(max_time), None
    with opened(journal) as book, temporary_folder() as folder:
        seed = frozen_seed(random_state, book)
        configurations, plan = draw(np.random.RandomState(seed))
        if book is not None:
            fingerprint = _fingerprint(objective, stateful, maximize, configurations, plan)
            book.begin(seed, fingerprint)
            lasting = _lasting(states, (seed, fingerprint, configurations))
        configurations, plan = spaces.with_starting_points(
            configurations, plan, starting_points or []
        )
        store = Store(folder, lasting)
        work = _Calls(
            race=Race(plan, len(plan) - 1 if starting_points else None),
            candidates=configurations,
            first_like=range(len(configurations)),
            order=[0],
            store=store,
            sign=1 if maximize else -1,
            evaluate=_Evaluate(objective, stateful, plan.levels[-1].n_resources, store),
        )
        try:
            conduct(work, book, pace, verbose=verbose, on_result=on_result, n_jobs=n_jobs)
        except KeyboardInterrupt as stop:
            stop.partial = _result(work)  # type: ignore[attr-defined]
            raise
    found = _result(work)
    assert found is not None  # some evaluation has a score
    return found


def _check_states(states: Any, stateful: bool, journal: Any) -> None:
    if states is not None and not (stateful and journal is not None):
        raise ValueError(
            f"states={states!r} is where a stateful search finds its states when its journal is "
            "resumed; pass stateful=True and a journal as well, or no states"
        )


def _lasting(states: str | os.PathLike[str] | None, search: Any) -> str | None:
    """What the paths of a search's states begin with in the folder of the user, which is made; None
    without one."""
    if states is None:
        return None
    os.makedirs(states, 0o700, exist_ok=True)
    return os.path.join(os.path.abspath(states), f"{joblib.hash(stable(search))}-")


def _fingerprint(
    objective: Any, stateful: bool, maximize: bool, configurations: list[Any], plan: Schedule
) -> dict[str, Any]:
    """All that scores depend on, and what a search must keep of the schedule to go on with a
    journal: the levels, and at least as many configurations."""
    return {
        **versions(objective, configurations),
        "objective": stable(objective),
        "stateful": stateful,
        "maximize": maximize,
        "levels": [list(level) for level in plan.levels],
        "n_candidates": len(configurations),
    }


def _result(work: _Calls) -> Result | None:
    """The result of the trials so far; None if none of them has a score."""
    race, trials = work.race, sorted(work.race.scores)
    scored = [trial for trial in trials if not np.isnan(race.scores[trial])]
    if not scored:
        return None
    best = min(scored, key=lambda trial: (-trial.level, -race.scores[trial]))
    columns = {
        "bracket": [trial.bracket for trial in trials],
        "iter": [race.schedule.iter(trial.bracket, trial.level) for trial in trials],
        "candidate": [trial.candidate for trial in trials],
        "n_resources": [race.rung(trial).n_resources for trial in trials],
        "score": [work.sign * race.scores[trial] for trial in trials],
        "seconds": [work.known[work.tasks(trial)[0]].fit_time for trial in trials],
    }
    return Result(
        best_configuration=work.candidates[best.candidate],
        best_score=work.sign * race.scores[best],
        best_resource=race.rung(best).n_resources,
        maximize=work.sign > 0,
        schedule=race.schedule,
        history={name: np.array(column) for name, column in columns.items()},
        configurations=list(work.candidates),
    )


def readable(value: Any) -> str:
    """A value as Python writes it, but ``np.float64(0.1)`` as ``0.1``, also in a dict or a list."""
    with np.printoptions(legacy="1.21"):
        return repr(value)
