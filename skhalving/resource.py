"""What is rationed: rows, or a parameter of the estimator.

A resource knows its limits, which rows of a fold an amount means, and what an amount adds to a
configuration. ``Rows`` cuts rows and adds nothing; ``Parameter`` cuts nothing and sets a parameter
of the estimator.

A fold's rows are put in one order, once, and an amount is a prefix of it: so the rows of a rung
contain those of the rung before, every candidate gets the same ones, and a prefix of a stratified
order is a stratified sample. This module knows nothing of the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any

import numpy as np

from skhalving.schedule import Level

Split = tuple[Any, Any]

# Scoring whole test folds would cost more than the fits on low rungs, and tiny test folds mislead.
# So a test fold is cut like the training rows, but never below this number of rows.
LEAST_TEST_ROWS = 1000

# The script cuts the rows of a level out of X, instead of each worker, if all folds of the level
# together need at most this share of the rows.
FEW = 1 / 4


class Cuts:
    """Which rows of which fold an amount means.

    Parameters
    ----------
    splits : sequence of (train, test)
        Row indices of each fold, at the full amount.

    cut : mapping of (fold, amount) to (train, test)
        Row indices where the amount means a part of the fold.

    few : float
        If the folds of an amount together need at most this many rows, ``part`` gives them.
    """

    def __init__(
        self,
        splits: Sequence[Split] | Mapping[int, Split],
        cut: Mapping[tuple[int, int], Split],
        few: float = 0.0,
    ) -> None:
        self._splits, self._cut, self._few = splits, cut, few

    def cut(self, fold: int, amount: int) -> Split:
        """Row indices (train, test), each in rising order."""
        return self._cut.get((fold, amount)) or self._splits[fold]

    def part(self, fold: int, amount: int) -> tuple[np.ndarray, Cuts] | None:
        """The rows that a fold needs at an amount, in rising order, and a ``Cuts`` that counts
        within those rows; None if all folds of the amount together need more than ``few`` rows."""
        if (fold, amount) not in self._cut:
            return None
        n_folds = sum(other == amount for _, other in self._cut)
        train, test = self._cut[fold, amount]
        rows = np.unique(np.concatenate([train, test]))
        if len(rows) * n_folds > self._few:
            return None
        within = (in_half(np.searchsorted(rows, train)), in_half(np.searchsorted(rows, test)))
        return rows, Cuts({fold: within}, {})


def in_half(indices: Any) -> Any:
    """Row indices as int32, which takes half the memory, if they are int64 and fit; else
    unchanged."""
    if getattr(indices, "dtype", None) != np.int64 or (len(indices) and indices.max() >= 2**31):
        return indices
    return indices.astype(np.int32)


def _codes(labels: np.ndarray) -> np.ndarray:
    """Classes as numbers from 0, in the smallest type of integers, since there may be many millions
    of rows."""
    classes = np.unique(labels)
    return np.searchsorted(classes, labels).astype(np.min_scalar_type(len(classes)))


def stratified_order(classes: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Positions of rows, in an order in which every prefix has the classes in proportion.

    The j-th row (from 0) of a class of n rows goes to the place (j + 1/2) / n, so a prefix that
    ends at place t has about t * n rows of each class. First of all stands one row of each class,
    small classes first.
    """
    _, counts = np.unique(classes, return_counts=True)
    shuffled = in_half(rng.permutation(len(classes)))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    place = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    place[np.cumsum(counts) - counts] = counts / len(by_class) - 1.0
    return by_class[np.argsort(place, kind="stable")]


class Rows:
    """An amount of rows: each fold keeps ``amount / n_samples`` of its training rows and of its
    test rows.

    Parameters
    ----------
    n_samples : int
        The number of rows of X. At this amount nothing is cut.

    labels : ndarray of shape (n_samples,) or None
        Classes to stratify by. None: rows are drawn without regard to classes.

    newest_first : bool, default=False
        Keep the last rows of every fold rather than drawing them.
    """

    name = "n_samples"

    def __init__(
        self, n_samples: int, labels: np.ndarray | None = None, newest_first: bool = False
    ) -> None:
        self._n_samples, self._newest_first = n_samples, newest_first
        self._classes = None if labels is None else _codes(labels)

    def least(self, n_splits: int) -> int:
        """The lowest amount that ``min_resources="auto"`` may come to."""
        # Two rows of every class for each fold, as scikit-learn's halving has it.
        n_classes = 1 if self._classes is None else len(np.unique(self._classes))
        return 2 * n_splits * n_classes

    def most(self, wanted: int | str) -> int:
        """The full amount: what ``max_resources`` asks for, checked."""
        most = self._n_samples if wanted == "auto" else int(wanted)
        if most > self._n_samples:
            raise ValueError(
                f"max_resources={wanted} is above the {self._n_samples} rows of X; "
                'lower it, or pass max_resources="auto"'
            )
        return most

    def params(self, amount: int) -> dict[str, Any]:
        """What an amount adds to a configuration: nothing."""
        return {}

    def cuts(
        self, splits: Sequence[Split], levels: Sequence[Level], order: Sequence[int], seed: int = 0
    ) -> Cuts:
        """The rows of each fold at each level. ``order`` has the folds in the order in which levels
        use them."""
        n_folds = {
            level.n_resources: level.n_folds
            for level in levels
            if level.n_resources < self._n_samples
        }
        cut: dict[tuple[int, int], Split] = {}
        for fold in order[: max(n_folds.values(), default=0)]:
            rng = np.random.RandomState([seed, fold])
            train, test = (self._in_order(np.asarray(part), rng) for part in splits[fold])
            least_train = 1 if self._classes is None else len(np.unique(self._classes[train]))
            least_test = min(LEAST_TEST_ROWS, len(test))
            for amount in n_folds:
                cut[fold, amount] = (
                    np.sort(train[: max(least_train, amount * len(train) // self._n_samples)]),
                    np.sort(test[: max(least_test, amount * len(test) // self._n_samples)]),
                )
        return Cuts(splits, cut, FEW * self._n_samples)

    def _in_order(self, part: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """The rows of a part of a fold, in the order in which levels take them."""
        if self._newest_first:
            return np.sort(part)[::-1]
        if self._classes is None:
            return part[rng.permutation(len(part))]
        return part[stratified_order(self._classes[part], rng)]


class Parameter:
    """``amount`` is the value of a parameter of the estimator: its trees, epochs or iterations.

    Parameters
    ----------
    name : str
        As in ``estimator.set_params``.

    estimator : estimator
        Its parameter is a whole number, or None.

    Raises
    ------
    ValueError
        If the estimator has no such parameter, with the nearest names; if it is no whole number.
    """

    def __init__(self, name: str, estimator: Any) -> None:
        self.name = name
        params = estimator.get_params()
        if name not in params:
            near = get_close_matches(name, ["n_samples", *params], n=3, cutoff=0.5)
            raise ValueError(
                f"resource={name!r} is neither 'n_samples' nor a parameter of the estimator; "
                + (f"did you mean {' or '.join(map(repr, near))}?" if near else "see get_params()")
            )
        self._value = value = params[name]
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        if value is not None and not is_whole:
            raise ValueError(
                f"the estimator has {name}={value!r}, which cannot be a resource: amounts "
                f"are whole numbers; set {name} to an integer, or take another resource"
            )

    def least(self, n_splits: int) -> int:
        """The lowest amount that ``min_resources="auto"`` may come to."""
        return 1

    def most(self, wanted: int | str) -> int:
        """The full amount: what ``max_resources`` asks for, or the parameter's own."""
        if wanted != "auto":
            return int(wanted)
        if self._value is None or self._value < 1:
            raise ValueError(
                f"the estimator has {self.name}={self._value!r}, which is no maximum: amounts are "
                f"whole numbers; set {self.name} to an integer of at least 1, or pass max_resources"
            )
        return int(self._value)

    def cuts(
        self, splits: Sequence[Split], levels: Sequence[Level], order: Sequence[int], seed: int = 0
    ) -> Cuts:
        """Every fold is whole on every level."""
        return Cuts(splits, {})

    def params(self, amount: int) -> dict[str, Any]:
        """What an amount adds to a configuration: the parameter's value."""
        return {self.name: amount}


Resource = Rows | Parameter


def resource_of(
    name: str, estimator: Any, n_samples: int, labels: np.ndarray | None, newest_first: bool
) -> Resource:
    """The resource that a search names."""
    if name == Rows.name:
        return Rows(n_samples, labels, newest_first)
    return Parameter(name, estimator)
