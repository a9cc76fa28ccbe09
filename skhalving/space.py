"""Draw the candidates of a search from its space, all of them before the search starts.

Draws from distributions are all different. What a function returns is taken as it comes.
"""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid, ParameterSampler

from skhalving.fingerprint import stable
from skhalving.schedule import Bracket, Schedule

Grids = Mapping[str, Any] | list[Mapping[str, Any]]
Space = Grids | Callable[[np.random.RandomState], Any]

# A distribution may have few values (`randint(1, 4)`), and does not say how many. After this many
# draws for each candidate asked for, the configurations found are taken to be all of the space.
DRAWS_PER_CANDIDATE = 20


def parts(space: Grids) -> Sequence[Mapping[str, Any]]:
    """The dicts of a space."""
    return [space] if isinstance(space, Mapping) else space


def fill(
    rule: Callable[[int | None], Schedule],
    space: Space,
    n_candidates: int | None,
    rng: np.random.RandomState,
) -> tuple[list[Any], Schedule]:
    """The candidates, in the order of the brackets that they enter, and the schedule for that
    many."""
    candidates = draw(space, n_candidates, rule(None).n_candidates, rng)
    schedule = scheduled(rule, candidates)
    if len(schedule) > 1 and not callable(space):
        # A grid's neighbours stand together, and a bracket should see all of the space. A single
        # bracket keeps the grid's order, as GridSearchCV does.
        candidates = [candidates[i] for i in rng.permutation(len(candidates))]
    return candidates, schedule


def scheduled(rule: Callable[[int | None], Schedule], candidates: Sequence[Any]) -> Schedule:
    """The schedule for these candidates.

    Raises
    ------
    ValueError
        If it is the user's own schedule, with another number of candidates.
    """
    schedule = rule(len(candidates))
    if schedule.n_candidates != len(candidates):
        raise ValueError(
            f"the schedule has {schedule.n_candidates} candidates, and there are "
            f"{len(candidates)}; make them equal, or name a rule"
        )
    return schedule


def with_starting_points(
    candidates: list[Any], schedule: Schedule, points: Sequence[Any]
) -> tuple[list[Any], Schedule]:
    """The candidates and the schedule, with starting points added to both.

    Starting points are numbered after the candidates. They are a last bracket, whose only rung is
    on the highest level. So they are scored with full resource, and compete with no candidate for
    promotion.
    """
    if not points:
        return candidates, schedule
    bracket = Bracket.on(schedule.levels, len(points))
    return [*candidates, *points], Schedule(schedule.levels, (*schedule.brackets, bracket))


def draw(
    space: Space, n_candidates: int | None, default: int, rng: np.random.RandomState
) -> list[Any]:
    """``n_candidates`` configurations; None: all points of a grid, ``default`` of anything else.

    Those drawn from distributions are all different. A warning says so when the space has fewer
    configurations than asked for. What a callable returns is taken as it comes.
    """
    if callable(space):
        return [space(rng) for _ in range(n_candidates or default)]
    if not any(hasattr(values, "rvs") for part in parts(space) for values in part.values()):
        size = len(ParameterGrid(space))
        n = size if n_candidates is None else min(n_candidates, size)
        candidates = list(
            ParameterGrid(space) if n == size else ParameterSampler(space, n, random_state=rng)
        )
    else:
        n = default if n_candidates is None else n_candidates
        distinct: dict[Hashable, dict[str, Any]] = {}
        for point in ParameterSampler(space, n * DRAWS_PER_CANDIDATE, random_state=rng):
            distinct.setdefault(_key(point), point)
            if len(distinct) == n:
                break
        candidates = list(distinct.values())
    if not candidates:
        raise ValueError(f"the space {space!r} is empty; give at least one configuration")
    if n_candidates is not None and len(candidates) < n_candidates:
        warnings.warn(
            f"n_candidates={n_candidates} is more than the {len(candidates)} "
            "configurations found in the space; each of them is evaluated once",
            UserWarning,
            stacklevel=2,
        )
    return candidates


def first_like(candidates: Sequence[Any]) -> list[int]:
    """For each candidate, the number of the first that equals it: its own number, unless it was
    there before. NumPy's numbers equal Python's."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(_key(point), i) for i, point in enumerate(candidates)]


def _key(point: Any) -> Hashable:
    if isinstance(point, dict):
        return frozenset((name, _key(value)) for name, value in point.items())
    value = point.item() if isinstance(point, np.generic) else point
    return type(value), _hashable(value)


def _hashable(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return stable(value)
    return value
