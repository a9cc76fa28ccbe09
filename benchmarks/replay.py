"""Run the real schedules and the real race over tabulated scores: hundreds of searches in seconds.

What a search would have cost and found is looked up in a table of ``tabulate`` instead of fitted.
``rules`` says which schedules there are, ``questions`` asks, ``report`` writes the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import comb
from scipy.stats import rankdata

from skhalving.race import Race
from skhalving.schedule import Schedule

TABLES = Path(__file__).parent / "tables"
ROLLS = 10


@dataclass(frozen=True, eq=False)
class Table:
    """What N random configurations score and cost on L amounts of resource and K folds."""

    name: str
    S: np.ndarray  # (N, L, K): scores, higher is better; NaN where a fit failed
    CF: np.ndarray  # (N, L, K): seconds of fitting,
    CS: np.ndarray  # of scoring,
    CO: np.ndarray  # and of all else
    held: np.ndarray  # (N,): scores on rows that no search sees, fitted on all others
    levels: np.ndarray  # (L,): amounts of resource, rising
    n_samples: int  # rows that a search sees
    # Whether training goes on between rungs: a fold whose candidate was on a lower rung then does
    # not pay for what was trained there. It pays again what a fit costs that trains nearly nothing
    # (binning, encoding), which is the fit on the least amount.
    continues: bool = False
    own_held: float = np.nan  # the score of the estimator as it is on the rows held out

    @classmethod
    def read(cls, path: Path) -> Table:
        """The first configuration that is stored is the estimator as it is."""
        with np.load(path) as stored:
            *scores_and_costs, held = (stored[name] for name in ("S", "CF", "CS", "CO", "held"))
            facts = [stored[name].item() for name in ("n_samples", "continues")]
            arrays = [array[1:] for array in (*scores_and_costs, held)]
            return cls(path.stem, *arrays, stored["levels"], *facts, float(held[0]))

    def __len__(self) -> int:
        return len(self.S)

    @property
    def n_folds(self) -> int:
        return self.S.shape[2]

    @property
    def by_rows(self) -> bool:
        """Whether rows are what is rationed."""
        return self.n_samples == self.levels[-1]

    @cached_property
    def cost(self) -> np.ndarray:
        """Seconds of an evaluation."""
        return self.CF + self.CS + self.CO

    @cached_property
    def quality(self) -> np.ndarray:
        """What an answer is worth: the score at full resource over all folds."""
        return np.nan_to_num(self.S[:, -1].mean(axis=1), nan=-np.inf)

    @cached_property
    def rank(self) -> np.ndarray:
        """Of each configuration by quality, 1 the best; ties share the mean."""
        return rankdata(-self.quality)

    @cached_property
    def best(self) -> int:
        return int(np.argmax(self.quality))

    @cached_property
    def regret(self) -> np.ndarray:
        """How far below the best; the median configuration is at 1."""
        return regret_of(self.quality)

    @cached_property
    def full_cost(self) -> float:
        """What random search pays for a configuration."""
        return float(self.cost[:, -1].sum(axis=1).mean())

    @cached_property
    def random_log_rank(self) -> np.ndarray:
        """The mean logarithm of the rank that random search has after 1 to N configurations.

        Over all orders: the j-th best (from 1) is the best of n of N in C(N - j, n - 1) of the
        C(N, n) draws.
        """
        N, ranks = len(self), np.sort(self.rank)
        j, n = np.arange(1, N + 1), np.arange(1, N + 1)[:, None]
        return comb(N - j, n - 1) / comb(N, n) @ np.log(ranks)

    def as_random(self, log_rank: float) -> float:
        """How many configurations random search needs to be, on average, as good as this."""
        sizes = np.log(np.arange(1, len(self) + 1))
        return float(np.exp(np.interp(-log_rank, -self.random_log_rank, sizes)))

    @cached_property
    def _scores(self) -> list[list[list[float]]]:
        return self.S.tolist()

    def mean(self, row: int, column: int, folds: Sequence[int]) -> float:
        """The score of a configuration over some folds."""
        scores = self._scores[row][column]
        return sum(scores[fold] for fold in folds) / len(folds)

    @cached_property
    def bills(self) -> list[list[list[tuple[float, float]]]]:
        """By row, column and fold: seconds, and those of training that need not be paid again."""
        again = self.CF[:, :1] if self.continues else self.CF
        both = np.stack([self.cost, np.maximum(0.0, self.CF - again)], axis=-1)
        return both.tolist()

    def column(self, amount: int) -> int:
        """Where an amount stands among ``levels``."""
        return self.levels.tolist().index(amount)


def regret_of(values: np.ndarray) -> np.ndarray:
    """How far below the largest, in units of how far the median is below it."""
    best, median = values.max(), np.median(values)
    return (best - values) / (best - median)


def read_tables(folder: Path = TABLES) -> list[Table]:
    """The tables of a folder."""
    return [Table.read(path) for path in sorted(folder.glob("*.npz"))]


def draw(table: Table, seed: int) -> np.ndarray:
    """All configurations in a random order.

    Ten seeds share an order and start at ten places of it: so every configuration is as often
    among the first, and means over seeds vary less.
    """
    order = np.random.default_rng(seed // ROLLS).permutation(len(table))
    return np.roll(order, seed % ROLLS * len(table) // ROLLS)


class Found(NamedTuple):
    """The configuration that a search returns, and what it paid."""

    chosen: int
    cost: float


def shared_folds(candidate: int, n_folds: int) -> list[int]:
    """Every candidate climbs on the same fold: the order in which levels use folds."""
    return list(range(n_folds))


def folds_in_turn(candidate: int, n_folds: int) -> list[int]:
    """Candidates climb on folds of their own: the number of the candidate, modulo K."""
    return [(candidate + k) % n_folds for k in range(n_folds)]


def last(scores: Sequence[float]) -> float:
    """Judge a candidate by its score on the level where it stands."""
    return scores[-1]


def mean_of_last_two(scores: Sequence[float]) -> float:
    """Judge it by the mean of that and its score on the level below."""
    return float(np.mean(scores[-2:]))


def replay(
    schedule: Schedule,
    table: Table,
    candidates: np.ndarray,
    folds_of: Callable[[int, int], list[int]] = shared_folds,
    judge_finalists: Callable[[Sequence[float]], float] = last,
) -> Found:
    """Race ``candidates``, rows of a table, through a schedule."""
    race, bill, rows = Race(schedule), Bill(table), candidates.tolist()
    columns = [table.column(level.n_resources) for level in schedule.levels]
    scores: dict[int, list[float]] = {}
    n_levels, finalists = len(schedule.levels), []
    while trial := race.ask():
        row, column = rows[trial.candidate], columns[trial.level]
        folds = folds_of(trial.candidate, table.n_folds)[: schedule.levels[trial.level].n_folds]
        bill.add(row, column, folds)
        climbed = scores.setdefault(trial.candidate, [])
        climbed.append(table.mean(row, column, folds))
        chooses_finalists = trial.level == n_levels - 2
        race.tell(trial, judge_finalists(climbed) if chooses_finalists else climbed[-1])
        if trial.level == n_levels - 1:
            finalists.append(row)
    return Found(max(finalists, key=table.quality.__getitem__), bill.total)


class Bill:
    """What has been paid, in seconds; a fold at an amount is paid once."""

    def __init__(self, table: Table) -> None:
        self.total = 0.0
        self._bills = table.bills
        self._paid: dict[tuple[int, int], dict[int, float]] = {}

    def add(self, row: int, column: int, folds: Sequence[int]) -> None:
        for fold in folds:
            before = self._paid.setdefault((row, fold), {})
            if column not in before:
                seconds, before_too = self._bills[row][column][fold]
                self.total += seconds - max(before.values(), default=0.0)
                before[column] = before_too


def early_stopping(table: Table, candidates: np.ndarray, forgiving: bool) -> Found:
    """Random search that gives up a candidate between its folds (Bergman et al., 2024).

    A candidate goes on while the mean of its folds so far is above the incumbent's mean, or
    (*forgiving*) above the incumbent's worst fold.
    """
    bill, best, bar = Bill(table), -1, -np.inf
    for row in candidates.tolist():
        for k in range(table.n_folds):
            bill.add(row, len(table.levels) - 1, [k])
            if not table.mean(row, -1, list(range(k + 1))) >= bar:
                break
        else:
            if best < 0 or table.quality[row] > table.quality[best]:
                best = row
                bar = table.S[best, -1].min() if forgiving else table.quality[best]
    return Found(best if best >= 0 else int(candidates[0]), bill.total)
