"""The arithmetic of Hyperband: which candidates get how much, decided before anything runs.

A *ladder* is the list of levels a candidate can climb, lowest first; a level is an amount of
resource and a number of folds. A *bracket* enters the ladder somewhere with many candidates and
climbs to the top, keeping one in ``factor`` at every step. Hyperband runs one bracket for every
place to enter. Everything is integer arithmetic: ``floor(log(243, 3))`` is 4 in floating point, and
a bracket would be lost.

References
----------
Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar (2018). Hyperband: A Novel Bandit-Based Approach to
Hyperparameter Optimization. JMLR 18, Algorithm 1. (Its Table 1 starts the brackets of R=81 with 27,
9 and 6 candidates where the algorithm gives 34, 15 and 8; the algorithm is followed here.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Deeper ladders lose on real estimators, whose cost does not shrink with the resource: boosting on
# 1/81 of the rows cost 1/17 of the time, not 1/81.
AUTO_LEVELS = 4


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
    """A race of successive halving: rungs, the crowded and cheap one first.

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


@dataclass(frozen=True)
class Schedule:
    """The brackets of a search, the most exploratory first; ``str()`` of it is a table.

    Iterating over it gives the brackets, ``len()`` their number.

    .. versionadded:: 0.1

    Attributes
    ----------
    brackets : tuple of Bracket
        Each with ``.rungs``; a rung has ``.n_candidates``, ``.n_resources`` and ``.n_folds``.

    n_candidates : int
        Candidates of the whole search: the sum over the first rungs.

    n_fits : int
        Fits of the whole search: a fold kept from the rung below is not fitted again.

    levels : tuple of Level
        The ladder in use, lowest level first.

    Examples
    --------
    >>> from skhalving import hyperband_schedule
    >>> schedule = hyperband_schedule(81)
    >>> len(schedule), schedule.n_candidates, schedule.n_fits
    (5, 143, 206)
    """

    brackets: tuple[Bracket, ...]

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

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        tallest = max(self.brackets, key=lambda bracket: len(bracket.rungs))
        return tuple(Level(rung.n_resources, rung.n_folds) for rung in tallest.rungs)

    def rung(self, bracket: int, level: int) -> Rung:
        """The rung of a bracket on a level; all brackets end on the last level.

        .. versionadded:: 0.1

        Parameters
        ----------
        bracket : int
            Its position among the brackets, from 0.

        level : int
            Its position on the ladder, from 0.

        Returns
        -------
        rung : Rung
            How many candidates, with how much.

        Examples
        --------
        >>> from skhalving import hyperband_schedule
        >>> hyperband_schedule(9).rung(bracket=1, level=2)
        Rung(n_candidates=1, n_resources=9, n_folds=1)
        """
        return self.brackets[bracket].rungs[level - len(self.levels)]

    def iter(self, bracket: int, level: int) -> int:
        """The position of a level within a bracket.

        .. versionadded:: 0.1

        Parameters
        ----------
        bracket : int
            Its position among the brackets, from 0.

        level : int
            Its position on the ladder, from 0.

        Returns
        -------
        iter : int
            From 0; negative on levels below the bracket's first.

        Examples
        --------
        >>> from skhalving import hyperband_schedule
        >>> hyperband_schedule(9).iter(bracket=1, level=2)
        1
        """
        return level - len(self.levels) + len(self.brackets[bracket].rungs)

    def rungs_at(self, level: int) -> list[tuple[int, Rung]]:
        """The rungs on a level, of the brackets that have entered by then.

        .. versionadded:: 0.1

        Parameters
        ----------
        level : int
            Its position on the ladder, from 0.

        Returns
        -------
        rungs : list of tuple of (int, Rung)
            Each with the position of its bracket.

        Examples
        --------
        >>> from skhalving import hyperband_schedule
        >>> [(b, rung.n_candidates) for b, rung in hyperband_schedule(9).rungs_at(1)]
        [(0, 3), (1, 5)]
        """
        entered = [b for b in range(len(self)) if self.iter(b, level) >= 0]
        return [(b, self.rung(b, level)) for b in entered]

    def candidates_at(self, level: int) -> int:
        """Candidates of a level.

        .. versionadded:: 0.1

        Parameters
        ----------
        level : int
            Its position on the ladder, from 0.

        Returns
        -------
        n_candidates : int
            Over all brackets.

        Examples
        --------
        >>> from skhalving import hyperband_schedule
        >>> hyperband_schedule(9).candidates_at(1)
        8
        """
        return sum(rung.n_candidates for _, rung in self.rungs_at(level))

    def fits_at(self, level: int) -> int:
        """Fits of a level; folds that the rung below had at the same amount are kept.

        .. versionadded:: 0.1

        Parameters
        ----------
        level : int
            Its position on the ladder, from 0.

        Returns
        -------
        n_fits : int
            Over all brackets.

        Examples
        --------
        >>> from skhalving import hyperband_schedule
        >>> hyperband_schedule(9).fits_at(1)
        8
        """
        here = self.levels[level]
        below = self.levels[level - 1] if level > 0 else Level(0, 0)
        kept = below.n_folds if below.n_resources == here.n_resources else 0
        return sum(
            rung.n_candidates * (here.n_folds - (kept if self.iter(b, level) > 0 else 0))
            for b, rung in self.rungs_at(level)
        )

    def __str__(self) -> str:
        with_folds = self.levels[-1].n_folds > 1
        lines = ["bracket  rung  candidates  resource" + "  folds" * with_folds]
        for b, bracket in enumerate(self.brackets):
            for i, rung in enumerate(bracket.rungs):
                head = f"{b if i == 0 else '':>7}  {i:>4}"
                body = f"  {rung.n_candidates:>10}  {rung.n_resources:>8}"
                lines.append(head + body + f"  {rung.n_folds:>5}" * with_folds)
        return "\n".join(lines)


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


def auto_min_resources(max_resources: int, least: int, factor: int, n_fold_steps: int) -> int:
    """The lowest amount of a ladder of ``AUTO_LEVELS`` levels in all, but never below ``least``."""
    s = min(AUTO_LEVELS - n_fold_steps, n_steps(max_resources, least, factor))
    return max_resources // factor ** max(0, s)


def ladder(
    max_resources: int, min_resources: int, factor: int, folds: Sequence[int] = (1,)
) -> tuple[Level, ...]:
    """Levels, lowest first: amounts grow on ``folds[0]`` folds, then folds at the full amount."""
    s_max = n_steps(max_resources, min_resources, factor)
    amounts = [max_resources // factor**s for s in range(s_max, 0, -1)]
    return (
        *(Level(amount, folds[0]) for amount in amounts),
        *(Level(max_resources, n_folds) for n_folds in folds),
    )


def climb(n_candidates: int, levels: Sequence[Level], factor: int) -> Bracket:
    """A bracket of ``n_candidates`` that enters at the lowest of ``levels`` that it can fill.

    Fewer than ``factor**s`` candidates cannot be cut s times; they skip the lowest levels rather
    than climb some of them alone, unopposed.
    """
    s = min(len(levels) - 1, n_steps(n_candidates, 1, factor))
    entered = levels[len(levels) - 1 - s :]
    return Bracket(
        tuple(Rung(n_candidates // factor**i, *level) for i, level in enumerate(entered))
    )


def hyperband(levels: Sequence[Level], factor: int, n_candidates: int | None = None) -> Schedule:
    """One bracket for every level to enter at (Algorithm 1), scaled to ``n_candidates``."""
    s_max = len(levels) - 1
    # n = ceil((s_max + 1) / (s + 1) * factor**s); -(-a // b) is the ceiling of a / b.
    sizes = [-(-(s_max + 1) * factor**s // (s + 1)) for s in range(s_max, -1, -1)]
    if n_candidates is not None:
        sizes = _largest_remainder(sizes, n_candidates)
    return Schedule(
        tuple(climb(n, levels[i:], factor) for i, n in enumerate(sizes) if n > 0),
    )


def successive_halving(
    levels: Sequence[Level], factor: int, n_candidates: int | None = None
) -> Schedule:
    """The one most exploratory bracket, of ``factor**s_max`` candidates unless told otherwise."""
    n = factor ** (len(levels) - 1) if n_candidates is None else n_candidates
    return Schedule((climb(n, levels, factor),))


def _largest_remainder(shares: Sequence[int], total: int) -> list[int]:
    """``total`` dealt out in proportion to ``shares``; the rest goes to the largest remainders."""
    whole = sum(shares)
    dealt = [share * total // whole for share in shares]
    rest = sorted(range(len(shares)), key=lambda i: (-(shares[i] * total % whole), i))
    for i in rest[: total - sum(dealt)]:
        dealt[i] += 1
    return dealt


def hyperband_schedule(
    max_resources: int,
    *,
    min_resources: int = 1,
    factor: int = 3,
    n_candidates: int | None = None,
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
        Candidates in all, dealt to the brackets in Hyperband's proportions. None means as many as
        Hyperband asks for.

    Returns
    -------
    schedule : Schedule
        Brackets, the most exploratory first, each with ``.rungs``; ``str(schedule)`` is a table.

    Raises
    ------
    ValueError
        If an argument is not an integer or out of its range.

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
    """
    check_amounts(max_resources, min_resources, factor)
    if n_candidates is not None:
        check_integer("n_candidates", n_candidates, 1)
    return hyperband(ladder(max_resources, min_resources, factor), factor, n_candidates)


def check_amounts(max_resources: int, min_resources: int, factor: int) -> None:
    """Raise a ValueError that says what is wrong with a ladder, if anything is."""
    check_integer("max_resources", max_resources, 1)
    check_integer("min_resources", min_resources, 1)
    check_integer("factor", factor, 2)
    if min_resources > max_resources:
        raise ValueError(
            f"max_resources={max_resources} is below min_resources={min_resources}; raise it, "
            'or pass min_resources="auto" to a search'
        )


def check_integer(name: str, value: object, least: int) -> None:
    """Raise a ValueError unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")
