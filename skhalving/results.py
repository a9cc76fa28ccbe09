"""From evaluations to ``cv_results_``: a row for each trial, with the columns of GridSearchCV.

A rung on fewer folds leaves the other ``split*`` columns NaN; means, deviations and times are over
the folds used. Ranks compare the level first and the score second, so a lucky score on a low rung
is never first, and rank 1 is the best (scikit-learn #24901).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from skhalving.sklearn_private import _yield_masked_array_for_each_param


@dataclass(frozen=True)
class Row:
    """One trial: where it stood, what was tried, and the outcome of each fold used."""

    candidate: int
    bracket: int
    iter: int
    level: int
    n_resources: int
    params: dict[str, Any]
    outcomes: dict[int, dict[str, Any]]


def outcomes_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of each row and fold; a fold kept on the next level counts once."""
    fits = {
        (row.candidate, fold, row.n_resources): outcome
        for row in rows
        for fold, outcome in row.outcomes.items()
    }
    return list(fits.values())


def cv_results(rows: Sequence[Row], n_splits: int) -> dict[str, Any]:
    """The dictionary of columns; ``rows`` come level by level."""
    results: dict[str, Any] = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("candidate", "bracket", "iter", "n_resources")
    }
    results["continued"] = np.array(
        [any(o.get("continued", False) for o in row.outcomes.values()) for row in rows]
    )
    results["n_folds"] = np.array([len(row.outcomes) for row in rows])
    for name in ("fit_time", "score_time"):
        times = _by_split(rows, n_splits, lambda outcome, name=name: outcome[name])
        results[f"mean_{name}"], results[f"std_{name}"] = _mean_and_std(rows, times)
    params = [row.params for row in rows]
    results.update(_yield_masked_array_for_each_param(params))
    results["params"] = params
    levels = np.array([row.level for row in rows])
    first = next(iter(rows[0].outcomes.values()))
    for kind in ("test", "train"):
        if f"{kind}_scores" in first:
            for metric in _metrics(first[f"{kind}_scores"]):
                _add_scores(results, rows, n_splits, kind, metric)
                if kind == "test":
                    mean = results[f"mean_test_{metric}"]
                    results[f"rank_test_{metric}"] = ranks(levels, mean)
    return results


def ranks(levels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """1 for the best score on the highest level; ties share the smaller rank, NaN the last."""
    rank = np.ones(len(scores), dtype=np.int32)
    above = 0
    for level in np.unique(levels)[::-1]:
        here = np.flatnonzero((levels == level) & ~np.isnan(scores))
        rank[here] = above + rankdata(-scores[here], method="min")
        above += len(here)
    rank[np.isnan(scores)] = above + 1
    return rank


def _metrics(scores: Any) -> list[str]:
    return list(scores) if isinstance(scores, dict) else ["score"]


def _add_scores(
    results: dict[str, Any], rows: Sequence[Row], n_splits: int, kind: str, metric: str
) -> None:
    def score(outcome: dict[str, Any]) -> float:
        scores = outcome[f"{kind}_scores"]
        return scores[metric] if isinstance(scores, dict) else scores

    name = f"{kind}_{metric}"
    table = _by_split(rows, n_splits, score)
    for split in range(n_splits):
        results[f"split{split}_{name}"] = table[:, split]
    mean, std = _mean_and_std(rows, table)
    results[f"mean_{name}"], results[f"std_{name}"] = mean, std
    if not np.isfinite(mean).all():
        warnings.warn(
            f"One or more of the {kind} scores are non-finite: {mean}",
            category=UserWarning,
            stacklevel=2,
        )


def _by_split(rows: Sequence[Row], n_splits: int, value: Any) -> np.ndarray:
    table = np.full((len(rows), n_splits), np.nan)
    for i, row in enumerate(rows):
        for split, outcome in row.outcomes.items():
            table[i, split] = value(outcome)
    return table


def _mean_and_std(rows: Sequence[Row], table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the folds used, which are the same for all rows that have as many of them."""
    mean, std = np.empty(len(rows)), np.empty(len(rows))
    n_folds = np.array([len(row.outcomes) for row in rows])
    for n in np.unique(n_folds):
        here = np.flatnonzero(n_folds == n)
        block = table[np.ix_(here, sorted(rows[here[0]].outcomes))]
        mean[here] = block.mean(axis=1)
        # Written out, so that it is bit for bit the number that GridSearchCV gives.
        with np.errstate(invalid="ignore"):  # infinite scores are reported once, as non-finite
            std[here] = np.sqrt(np.average((block - mean[here, np.newaxis]) ** 2, axis=1))
    return mean, std
