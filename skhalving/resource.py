"""What an amount of resource means for one fold and one configuration.

Two classes: ``cut`` gives the train and test rows of a fold at an amount, ``params`` what the
amount adds to a configuration. ``Rows`` cuts rows and adds nothing; ``Parameter`` cuts nothing and
sets a parameter of the estimator. A ``Part`` is ``Rows`` of data that have been cut beforehand.

A fold's rows are put in one order, once, and an amount is a prefix of it: so the rows of a rung
contain those of the rung before, every candidate gets the same ones, and a prefix of a stratified
order is a stratified sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from skhalving.schedule import Level

Split = tuple[Any, Any]

# Scoring whole test folds costs more than the fits on low rungs; tiny ones mislead.
LEAST_TEST_ROWS = 1000

# A level's rows are cut out of X beforehand where all its folds together need no more than that.
FEW = 1 / 4


def in_half(indices: Any) -> Any:
    """Row indices of half the size, where they fit; as they are if they are not of int64."""
    if getattr(indices, "dtype", None) != np.int64 or (len(indices) and indices.max() >= 2**31):
        return indices
    return indices.astype(np.int32)


def _codes(labels: np.ndarray) -> np.ndarray:
    """Classes as numbers from 0, as small as they can be: there may be many millions."""
    classes = np.unique(labels)
    return np.searchsorted(classes, labels).astype(np.min_scalar_type(len(classes)))


def _drawn(part: np.ndarray, classes: np.ndarray | None, rng: np.random.RandomState) -> np.ndarray:
    """The rows of a part of a fold, in the order in which rungs take them."""
    if classes is None:
        return part[rng.permutation(len(part))]
    return part[stratified_order(classes[part], rng)]


def stratified_order(classes: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Positions in an order of which every prefix holds the classes, 0, 1, …, in proportion.

    The j-th row (from 0) of a class of n rows goes to the place (j + 1/2) / n, so a prefix that
    ends at place t has about t * n rows of each class. First of all stands one row of each class,
    small classes first.
    """
    counts = np.bincount(classes)
    counts = counts[counts > 0]
    shuffled = in_half(rng.permutation(len(classes)))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    place = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    place[np.cumsum(counts) - counts] = counts / len(by_class) - 1.0
    return by_class[np.argsort(place, kind="stable")]


class Rows:
    """``amount`` rows of ``n_samples``: that share of a fold's training rows, and of its test rows.

    Parameters
    ----------
    splits : sequence of (train, test)
        Row indices of each fold.

    n_samples : int
        At this amount nothing is cut.

    levels : iterable of Level
        The amounts that will be asked for, and on how many of ``fold_order``.

    fold_order : sequence of int
        The folds, in the order in which levels use them.

    labels : ndarray of shape (n_samples,), default=None
        Classes to stratify by. None: any row is as good as another.

    newest_first : bool, default=False
        Keep the last rows of every fold rather than drawing them.

    seed : int, default=0
        Of the draws.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        n_samples: int,
        levels: Iterable[Level],
        fold_order: Sequence[int],
        *,
        labels: np.ndarray | None = None,
        newest_first: bool = False,
        seed: int = 0,
    ) -> None:
        self._cuts: dict[tuple[int, int], Split] = {}
        self._splits, self._n_samples = splits, n_samples
        below = [level for level in levels if level.n_resources < n_samples]
        amounts = {level.n_resources: level.n_folds for level in below}
        self._n_folds = amounts
        classes = None if labels is None else _codes(labels)
        for fold in fold_order[: max((level.n_folds for level in below), default=0)]:
            rng = np.random.RandomState([seed, fold])
            train, test = (np.asarray(part) for part in splits[fold])
            n_classes = 1 if classes is None else len(np.unique(classes[train]))
            cuts = []
            for part, least in ((train, n_classes), (test, min(LEAST_TEST_ROWS, len(test)))):
                in_order = np.sort(part)[::-1] if newest_first else _drawn(part, classes, rng)
                sizes = {a: max(least, a * len(part) // n_samples) for a in amounts}
                cuts.append({a: np.sort(in_order[:size]) for a, size in sizes.items()})
            for amount in amounts:
                self._cuts[fold, amount] = cuts[0][amount], cuts[1][amount]

    def cut(self, fold: int, amount: int) -> Split:
        """Row indices (train, test), each in rising order."""
        return self._cuts.get((fold, amount), self._splits[fold])

    def few_rows(self, fold: int, amount: int) -> np.ndarray | None:
        """What a fold needs at an amount, in rising order; None where it is much of all."""
        if (fold, amount) not in self._cuts:
            return None
        rows = np.unique(np.concatenate(self._cuts[fold, amount]))
        return rows if len(rows) * self._n_folds[amount] <= FEW * self._n_samples else None

    def params(self, amount: int) -> dict[str, Any]:
        """Rows are no parameter."""
        return {}


class Part:
    """A fold at an amount, in data that have no other rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,)
        The rows that there are, in rising order.

    cut : tuple of (train, test)
        Some of them.
    """

    def __init__(self, rows: np.ndarray, cut: Split) -> None:
        train, test = (in_half(np.searchsorted(rows, part)) for part in cut)
        self._cut = train, test

    def few_rows(self, fold: int, amount: int) -> None:
        """All of them are needed."""

    def cut(self, fold: int, amount: int) -> Split:
        """Row indices (train, test), each in rising order."""
        return self._cut

    def params(self, amount: int) -> dict[str, Any]:
        """Rows are no parameter."""
        return {}


class Parameter:
    """``amount`` is the value of a parameter of the estimator: its trees, epochs or iterations.

    Parameters
    ----------
    splits : sequence of (train, test)
        Row indices of each fold.

    name : str
        As in ``estimator.set_params``.
    """

    def __init__(self, splits: Sequence[Split], name: str) -> None:
        self._splits = splits
        self.name = name

    def cut(self, fold: int, amount: int) -> Split:
        """The fold as ``cv`` made it."""
        return self._splits[fold]

    def few_rows(self, fold: int, amount: int) -> None:
        """All of them are needed."""

    def params(self, amount: int) -> dict[str, Any]:
        """The parameter."""
        return {self.name: amount}


def check_parameter(name: str, params: dict[str, Any]) -> None:
    """Raise a ValueError, with the nearest names, unless the estimator has the parameter."""
    if name not in params:
        near = get_close_matches(name, ["n_samples", *params], n=3, cutoff=0.5)
        raise ValueError(
            f"resource={name!r} is neither 'n_samples' nor a parameter of the estimator; "
            + (f"did you mean {' or '.join(map(repr, near))}?" if near else "see get_params()")
        )
    value = params[name]
    if value is not None and not _is_whole(value):
        raise ValueError(
            f"the estimator has {name}={value!r}, which cannot be a resource: amounts are whole "
            f"numbers; set {name} to an integer, or take another resource"
        )


def auto_max_parameter(name: str, params: dict[str, Any]) -> int:
    """The value that the estimator has now, if that is an amount."""
    value = params[name]
    if value is None or value < 1:
        raise ValueError(
            f"the estimator has {name}={value!r}, which is no maximum: amounts are whole numbers; "
            f"set {name} to an integer of at least 1, or pass max_resources"
        )
    return int(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
