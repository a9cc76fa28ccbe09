"""The arithmetic of a search: which candidates get how much, decided before anything runs.

A *ladder* is the list of levels a candidate can climb, lowest first; a level is an amount of
resource and a number of folds. A *bracket* enters the ladder somewhere with many candidates and
climbs to the top, keeping some of them at every step. A *rule* says which brackets there are:
:func:`published` is Hyperband's Algorithm 1, :func:`hedged` has two brackets and gentler cuts.
Everything is integer arithmetic: ``floor(log(243, 3))`` is 4 in floating point, and a bracket would
be lost.

References
----------
Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar (2018). Hyperband: A Novel Bandit-Based Approach to
Hyperparameter Optimization. JMLR 18, Algorithm 1. (Its Table 1 starts the brackets of R=81 with 27,
9 and 6 candidates where the algorithm gives 34, 15 and 8; the algorithm is followed here.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

# Deeper ladders lose on real estimators, whose cost shrinks less than the resource: boosting on
# 1/81 of the rows cost 1/17 of the time.
AUTO_LEVELS = 4
# But a ninth of several million rows costs much, and ten thousand rows rank most candidates well.
# So with more than MANY_ROWS rows levels are added at the bottom as long as the lowest one has at
# least ENOUGH_ROWS rows (with a factor of 3 it then has 6,000 to 18,000). With fewer rows than
# MANY_ROWS it is not clear that another level helps: on three tables, of 160,608, 190,990 and
# 245,509 rows, it made the speed-up 1.41, .61 and 1.29 times as large (docs/benchmarks.md).
MANY_ROWS, ENOUGH_ROWS = 1_000_000, 6_000


class Level(NamedTuple):
    """One step of the ladder: how much resource, on how many folds.

    .. versionadded:: 0.1

    Attributes
    ----------
    n_resources : int
        In units of the resource.

    n_folds : int
        1 for a plain function.

    Examples
    --------
    >>> from skhalving import hyperband_schedule
    >>> hyperband_schedule(9).levels[-1]
    Level(n_resources=9, n_folds=1)
    """

    n_resources: int
    n_folds: int


@dataclass(frozen=True)
class Rung:
    """How many candidates of one bracket stand on one level, and what that level gives each.

    .. versionadded:: 0.1

    Attributes
    ----------
    n_candidates : int
        How many stand there.

    n_resources : int
        What each of them gets, in units of the resource.

    n_folds : int, default=1
        On how many folds each of them is scored.

    Examples
    --------
    >>> from skhalving import hyperband_schedule
    >>> hyperband_schedule(9).brackets[0].rungs[0]
    Rung(n_candidates=9, n_resources=1, n_folds=1)
    """

    n_candidates: int
    n_resources: int
    n_folds: int = 1


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving: its rungs, many candidates on little resource first.

    .. versionadded:: 0.1

    Attributes
    ----------
    rungs : tuple of Rung
        From where the bracket starts up to the highest level.

    Examples
    --------
    >>> from skhalving import hyperband_schedule
    >>> [len(bracket.rungs) for bracket in hyperband_schedule(9)]
    [3, 2, 1]
    """

    rungs: tuple[Rung, ...]

    @classmethod
    def on(cls, levels: Sequence[Level], *n_candidates: int) -> Bracket:
        """The bracket with ``n_candidates[i]`` candidates on the i-th of the highest ``levels``,
        one level for each number."""
        entered = levels[len(levels) - len(n_candidates) :]
        return cls(tuple(Rung(n, *level) for n, level in zip(n_candidates, entered, strict=True)))


@dataclass(frozen=True, repr=False)
class Schedule:
    """The brackets of a search on their ladder; its repr is a table.

    Iterating over it gives the brackets, ``len()`` their number.

    .. versionadded:: 0.1

    Attributes
    ----------
    levels : tuple of Level
        The ladder, lowest level first. Levels on which no bracket has a rung are left out.

    brackets : tuple of Bracket
        The most exploratory first, all of them up to the highest level. Each has ``.rungs``; a rung
        has ``.n_candidates``, ``.n_resources`` and ``.n_folds``.

    n_candidates : int
        Candidates of the whole search: the sum over the first rungs.

    n_fits : int
        Fits of the whole search: a fold kept from the rung below is not fitted again.

    Raises
    ------
    ValueError
        If the rungs of a bracket are not the highest levels of the ladder, or if a rung has no
        candidate, or more of them than the rung before.

    Examples
    --------
    >>> from skhalving import Bracket, Schedule, hyperband_schedule
    >>> schedule = hyperband_schedule(81)
    >>> len(schedule), schedule.n_candidates, schedule.n_fits
    (5, 143, 206)

    Brackets of your own, on the levels of a plan:

    >>> levels = schedule.levels
    >>> Schedule(levels, [Bracket.on(levels, 20, 10, 5, 3, 2), Bracket.on(levels, 8, 4, 2)])
    bracket  rung  candidates  resource
          0     0          20         1
                1          10         3
                2           5         9
                3           3        27
                4           2        81
          1     0           8         9
                1           4        27
                2           2        81
    """

    levels: Sequence[Level]
    brackets: Sequence[Bracket]

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(Level(*level) for level in self.levels))
        object.__setattr__(self, "brackets", tuple(self.brackets))
        if not self.brackets:
            raise ValueError("a schedule without brackets runs nothing; give at least one")
        for b, bracket in enumerate(self.brackets):
            stands_on = [(rung.n_resources, rung.n_folds) for rung in bracket.rungs]
            if not stands_on or stands_on != list(self.levels[-len(stands_on) :]):
                raise ValueError(
                    f"bracket {b} has rungs on {stands_on}, which are not the highest of the "
                    f"levels {[tuple(level) for level in self.levels]}; make it with Bracket.on"
                )
            counts = [rung.n_candidates for rung in bracket.rungs]
            if counts[-1] < 1 or counts != sorted(counts, reverse=True):
                raise ValueError(
                    f"bracket {b} has {counts} candidates on its rungs; no rung may have more than "
                    "the one before it, and the last needs at least one"
                )
        tallest = max(len(bracket.rungs) for bracket in self.brackets)
        object.__setattr__(self, "levels", self.levels[-tallest:])

    def __iter__(self) -> Iterator[Bracket]:
        return iter(self.brackets)

    def __len__(self) -> int:
        return len(self.brackets)

    @property
    def n_candidates(self) -> int:
        return sum(bracket.rungs[0].n_candidates for bracket in self.brackets)

    @property
    def n_fits(self) -> int:
        return sum(self.fits_at(level) for level in range(len(self.levels)))

    def rung(self, bracket: int, level: int) -> Rung:
        """The rung of a bracket on a level, both numbered from 0; IndexError if it has none."""
        i = self.iter(bracket, level)
        if min(bracket, i) < 0:
            raise IndexError(f"bracket={bracket} has no rung on level={level}")
        return self.brackets[bracket].rungs[i]

    def iter(self, bracket: int, level: int) -> int:
        """The position of a level within a bracket, from 0; negative below its first rung."""
        return level - len(self.levels) + len(self.brackets[bracket].rungs)

    def rungs_at(self, level: int) -> list[tuple[int, Rung]]:
        """The rungs on a level, each with the position of its bracket."""
        return [(b, self.rung(b, level)) for b in range(len(self)) if self.iter(b, level) >= 0]

    def candidates_at(self, level: int) -> int:
        """Candidates on a level, of all brackets."""
        return sum(rung.n_candidates for _, rung in self.rungs_at(level))

    def fits_at(self, level: int) -> int:
        """Fits on a level. The folds on which the rung below scored its candidates with the same
        amount are not fitted again."""
        here = self.levels[level]
        below = self.levels[level - 1] if level > 0 else Level(0, 0)
        kept = below.n_folds if below.n_resources == here.n_resources else 0
        return sum(
            rung.n_candidates * (here.n_folds - (kept if self.iter(b, level) > 0 else 0))
            for b, rung in self.rungs_at(level)
        )

    def __repr__(self) -> str:
        with_folds = self.levels[-1].n_folds > 1
        lines = ["bracket  rung  candidates  resource" + "  folds" * with_folds]
        for b, bracket in enumerate(self.brackets):
            for i, rung in enumerate(bracket.rungs):
                lines.append(
                    f"{b if i == 0 else '':>7}  {i:>4}  {rung.n_candidates:>10}  "
                    f"{rung.n_resources:>8}" + f"  {rung.n_folds:>5}" * with_folds
                )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """For a notebook: a column for each level, a row for each bracket."""
        rows = [["resource", *(level.n_resources for level in self.levels)]]
        if self.levels[-1].n_folds > 1:
            rows.append(["folds", *(level.n_folds for level in self.levels)])
        for b, bracket in enumerate(self.brackets):
            empty = [""] * (len(self.levels) - len(bracket.rungs))
            rows.append([f"bracket {b}", *empty, *(rung.n_candidates for rung in bracket.rungs)])
        body = "".join(
            f"<tr><th>{name}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>"
            for name, *values in rows
        )
        return f"<table><caption>Candidates on each level</caption>{body}</table>"


def n_steps(max_resources: int, min_resources: int, factor: int) -> int:
    """The largest s with ``min_resources * factor**s <= max_resources`` (Algorithm 1, s_max)."""
    s = 0
    while min_resources * factor ** (s + 1) <= max_resources:
        s += 1
    return s


def fold_steps(n_splits: int, factor: int) -> list[int]:
    """Numbers of folds from one to all of them: the top is cut by ``factor`` until one is left."""
    steps = [n_splits]
    while steps[-1] > 1:
        steps.append(max(1, steps[-1] // factor))
    return steps[::-1]


def auto_min_resources(
    max_resources: int, least: int, factor: int, n_fold_steps: int, rows: bool = False
) -> int:
    """The lowest amount of a ladder of ``AUTO_LEVELS`` levels in all, but never below ``least``.

    Where the resource is ``rows`` and there are many of them, the ladder goes further down, to
    about 10,000 of them.
    """
    s = AUTO_LEVELS - n_fold_steps
    if rows and max_resources > MANY_ROWS:
        s = max(s, n_steps(max_resources, ENOUGH_ROWS, factor))
    return max_resources // factor ** max(0, min(s, n_steps(max_resources, least, factor)))


def ladder(
    max_resources: int, min_resources: int, factor: int, folds: Sequence[int] = (1,)
) -> tuple[Level, ...]:
    """Levels, lowest first: first the amount grows, on ``folds[0]`` folds, then the folds, at the
    full amount.

    Raises
    ------
    ValueError
        If a number is not an integer, out of its range, or the maximum below the minimum.
    """
    check_integer("max_resources", max_resources, 1)
    check_integer("min_resources", min_resources, 1)
    check_integer("factor", factor, 2)
    if min_resources > max_resources:
        raise ValueError(
            f"max_resources={max_resources} is below min_resources={min_resources}; raise it, "
            'or pass min_resources="auto" to a search'
        )
    s_max = n_steps(max_resources, min_resources, factor)
    return (
        *(Level(max_resources // factor**s, folds[0]) for s in range(s_max, 0, -1)),
        *(Level(max_resources, n_folds) for n_folds in folds),
    )


# -- the published rule ----------------------------------------------------------------------------


def climb(n_candidates: int, levels: Sequence[Level], factor: int) -> Bracket:
    """A bracket of ``n_candidates`` that enters at the lowest of ``levels`` that it can fill.

    Fewer than ``factor**s`` candidates cannot be cut s times; they skip the lowest levels rather
    than climb some of them alone, unopposed.
    """
    s = min(len(levels) - 1, n_steps(n_candidates, 1, factor))
    return Bracket.on(levels, *(n_candidates // factor**i for i in range(s + 1)))


def published(levels: Sequence[Level], factor: int, n_candidates: int | None = None) -> Schedule:
    """A bracket for each level at which one can enter the ladder (Algorithm 1); their sizes are
    scaled to ``n_candidates`` in all."""
    s_max = len(levels) - 1
    # n = ceil((s_max + 1) / (s + 1) * factor**s); -(-a // b) is the ceiling of a / b.
    sizes = [-(-(s_max + 1) * factor**s // (s + 1)) for s in range(s_max, -1, -1)]
    if n_candidates is not None:
        sizes = _largest_remainder(sizes, n_candidates)
    return Schedule(levels, [climb(n, levels[i:], factor) for i, n in enumerate(sizes) if n > 0])


def published_bracket(
    levels: Sequence[Level], factor: int, n_candidates: int | None = None
) -> Schedule:
    """The most exploratory bracket alone, of ``factor**s_max`` candidates unless told otherwise."""
    n = factor ** (len(levels) - 1) if n_candidates is None else n_candidates
    return Schedule(levels, [climb(n, levels, factor)])


def _largest_remainder(shares: Sequence[int], total: int) -> list[int]:
    """Whole numbers in proportion to ``shares`` that add up to ``total``. They are rounded down,
    and the shares that lost the most by that get one more each."""
    whole = sum(shares)
    dealt = [share * total // whole for share in shares]
    rest = sorted(range(len(shares)), key=lambda i: (-(shares[i] * total % whole), i))
    for i in rest[: total - sum(dealt)]:
        dealt[i] += 1
    return dealt


# -- the hedged rule -------------------------------------------------------------------------------


def shares(levels: Sequence[Level], factor: int) -> list[int]:
    """For each cut, lowest first, the number of candidates of which one is kept: two, if those who
    are kept get less than the full amount; ``factor``, if they get all of it."""
    top = levels[-1].n_resources
    return [2 if level.n_resources < top else factor for level in levels[1:]]


def climb_gently(n_candidates: int, levels: Sequence[Level], factor: int) -> Bracket:
    """A bracket of ``n_candidates`` that enters at the lowest of ``levels`` that it can fill.

    Each cut keeps the fraction that :func:`shares` says, rounded up, and at least two candidates.
    If some cut would drop nobody, the bracket enters a level higher.
    """
    counts = [n_candidates]
    for share in shares(levels, factor):
        counts.append(max(min(n_candidates, 2), -(-counts[-1] // share)))
    if any(before == after for before, after in pairwise(counts)):
        return climb_gently(n_candidates, levels[1:], factor)
    return Bracket.on(levels, *counts)


def hedged(levels: Sequence[Level], factor: int, n_candidates: int | None = None) -> Schedule:
    """Two brackets of equal numbers, the most exploratory and the one a level higher.

    Low levels can mislead. Hyperband insures against that with brackets that start higher and cost
    more than the first one. Two brackets insure for less. A cut keeps half of the candidates if
    they get less than the full amount then, and later cuts keep one in ``factor``; both are rounded
    up, and at least two candidates of each bracket reach the top. So the hedged schedule finds as
    much as Hyperband for less, also where low levels mislead.

    Speed-up over random search, geometric mean and worst task (``python -m benchmarks``), on the
    ladder (R/9, 1) (R/3, 1) (R, 1) (R, K). No integer was chosen by the tasks that confirm:

    ======================================  =============  ================  ==============
    brackets                                13 tasks, K=5  6 that confirm    13 tasks, K=3
    ======================================  =============  ================  ==============
    published: 27,9,3,1 / 12,4,1 / 6,2 / 4  2.15, .96      1.30, .59         2.35, 1.01
    published_bracket: 27,9,3,1             2.95, .40      1.12, .35         3.40, .39
    hedged_bracket: 27,14,5,2               3.03, .52      1.65, .60         3.10, .72
    hedged: 27,14,5,2 / 27,9,3              3.04, .90      1.73, .85         2.99, 1.27
    ======================================  =============  ================  ==============

    *Few levels or candidates*: the second bracket never enters at the full amount, where it would
    be random search. If half of the candidates cannot fill the lowest level, the ladder starts one
    level higher. If at most one level below the full amount remains, one bracket has all
    candidates. On the ladder above this happens with up to 25 candidates: 9 of them run as 9,3,2
    from R/3 on.

    *Many candidates*: the number of finalists grows in proportion. Of 100 candidates on the ladder
    above 9 reach the top (50,25,9,3 / 50,17,6). With fewer finalists the search costs less and
    loses more. The cost is a share of that of all candidates on all folds; the loss is how far the
    answer is below the best candidate, in standard deviations of the best one's scores over the
    folds:

    ================  ====================  ==================================================
    finalists         150 candidates        2,000 candidates (one task, the mean of 60 orders)
    ================  ====================  ==================================================
    in proportion     cost 1/4.4, loss .04  cost 1/4.2, rank 1, loss .00
    at most 3 and 5   cost 1/5.2, loss .06  cost 1/5.5, rank 11, loss .07
    at most 2 and 3   cost 1/5.6, loss .10  cost 1/5.5, rank 20, loss .11
    ================  ====================  ==================================================

    Unless told otherwise, ``3 * prod(shares)`` candidates start: three would reach the top if every
    cut were exact. On the ladder above these are 54.
    """
    n = 3 * prod(shares(levels, factor)) if n_candidates is None else n_candidates
    while len(levels) > 1 and levels[1].n_resources < levels[-1].n_resources:
        half = n // 2
        if len(climb_gently(half, levels, factor).rungs) == len(levels):
            first = climb_gently(n - half, levels, factor)
            return Schedule(levels, [first, climb_gently(half, levels[1:], factor)])
        levels = levels[1:]
    return hedged_bracket(levels, factor, n)


def hedged_bracket(
    levels: Sequence[Level], factor: int, n_candidates: int | None = None
) -> Schedule:
    """The most exploratory bracket of :func:`hedged` alone. By default it has half as many
    candidates as the two brackets together."""
    n = -(-3 * prod(shares(levels, factor)) // 2) if n_candidates is None else n_candidates
    return Schedule(levels, [climb_gently(n, levels, factor)])


# -- what both rules share -------------------------------------------------------------------------

Rule = Callable[[Sequence[Level], int, int | None], Schedule]
# The rules of Hyperband, and those of successive halving, by the values of the argument
# ``schedule``.
RULES: Mapping[str, Rule] = {"hedged": hedged, "published": published}
SINGLE_RULES: Mapping[str, Rule] = {"hedged": hedged_bracket, "published": published_bracket}


def n_to_fill(rule: Rule, levels: Sequence[Level], factor: int) -> int:
    """The fewest candidates with which a rule uses every one of ``levels``."""

    def fills(n: int) -> bool:
        return len(rule(levels, factor, n).levels) == len(levels)

    enough = rule(levels, factor, None).n_candidates
    return 1 + bisect_left(range(1, enough), True, key=fills)


def hyperband_schedule(
    max_resources: int,
    *,
    min_resources: int = 1,
    factor: int = 3,
    n_candidates: int | None = None,
    schedule: str = "published",
) -> Schedule:
    """The brackets that Hyperband would run, to read before paying for them.

    .. versionadded:: 0.1

    Parameters
    ----------
    max_resources : int
        What the last rung of every bracket gives each candidate, in units of the resource.

    min_resources : int, default=1
        The least that any rung gives.

    factor : int, default=3
        One candidate in ``factor`` is promoted, and gets ``factor`` times the resource.

    n_candidates : int, default=None
        Candidates in all, divided among the brackets in the proportions of the schedule. None: as
        many as the schedule has by itself.

    schedule : {"published", "hedged"}, default="published"
        "published" is Algorithm 1: a bracket for every amount to start with, each keeping one
        candidate in ``factor`` at every cut. "hedged" is what the estimators run by default: two
        brackets of equal numbers, the most exploratory and the one a level higher; a cut below full
        resource keeps half, and two candidates at least reach the top.

    Returns
    -------
    schedule : Schedule
        Brackets, the most exploratory first, each with ``.rungs``; ``str(schedule)`` is a table.

    Raises
    ------
    ValueError
        If a number is not an integer or out of its range, or if there is no such schedule.

    See Also
    --------
    hyperband : Runs them, for a plain function.
    HyperbandSearchCV : Runs them, for an estimator; its ``plan`` knows the data.

    References
    ----------
    Li et al. (2018). Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization. JMLR
    18, Algorithm 1.

    Examples
    --------
    >>> from skhalving import hyperband_schedule
    >>> print(hyperband_schedule(9))
    bracket  rung  candidates  resource
          0     0           9         1
                1           3         3
                2           1         9
          1     0           5         3
                1           1         9
          2     0           3         9
    >>> hyperband_schedule(81).n_candidates
    143
    >>> hyperband_schedule(27, n_candidates=54, schedule="hedged")
    bracket  rung  candidates  resource
          0     0          27         1
                1          14         3
                2           7         9
                3           3        27
          1     0          27         3
                1          14         9
                2           5        27
    """
    if n_candidates is not None:
        check_integer("n_candidates", n_candidates, 1)
    levels = ladder(max_resources, min_resources, factor)
    return rule_for(schedule, RULES, levels, factor)(n_candidates)


def rule_for(
    schedule: str | Schedule, rules: Mapping[str, Rule], levels: Sequence[Level], factor: int
) -> Callable[[int | None], Schedule]:
    """A function that returns the schedule for a number of candidates (None: for as many as the
    rule has by itself), by the name of a rule. For a schedule of the user's own it returns that
    one, whatever the number."""
    if not isinstance(schedule, Schedule):
        if schedule not in [*rules]:
            raise ValueError(
                f"schedule={schedule!r} is unknown; give one of {sorted(rules)}, or a Schedule"
            )
        return lambda n: rules[schedule](levels, factor, n)
    if schedule.levels[-1] != levels[-1]:
        raise ValueError(
            f"schedule ends on {schedule.levels[-1]}, and full resource is {levels[-1]} here; "
            "make its brackets on the levels of a plan"
        )
    return lambda n: schedule


def check_integer(name: str, value: object, least: int) -> None:
    """Raise a ValueError unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")
