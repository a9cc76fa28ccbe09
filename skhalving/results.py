"""From outcomes to ``cv_results_``: a row for each trial, with the columns of GridSearchCV.

A rung on fewer folds leaves the other ``split*`` columns NaN; means, deviations and times are over
the folds used. Ranks compare the level first and the score second, so a lucky score on a low rung
is never first, and rank 1 is the best (scikit-learn #24901).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from scipy.stats import rankdata

from skhalving.race import Trial
from skhalving.schedule import Schedule
from skhalving.sklearn_private import _yield_masked_array_for_each_param
from skhalving.task import Outcome


def cv_results(
    schedule: Schedule,
    trials: Sequence[Trial],
    params: Sequence[dict[str, Any]],
    outcomes: Sequence[Mapping[int, Outcome]],
    n_splits: int,
    error_score: float,
) -> dict[str, Any]:
    """The dictionary of columns.

    Parameters
    ----------
    schedule : Schedule
        Where trials stand.

    trials : sequence of Trial
        Level by level.

    params : sequence of dict
        Of each trial, with the resource's.

    outcomes : sequence of dict of int to Outcome
        Of each trial, by fold.

    n_splits : int
        Folds at full resource.

    error_score : float
        In place of the scores of what failed.
    """
    rungs = [schedule.rung(trial.bracket, trial.level) for trial in trials]
    results: dict[str, Any] = {
        "candidate": np.array([trial.candidate for trial in trials]),
        "bracket": np.array([trial.bracket for trial in trials]),
        "iter": np.array([schedule.iter(trial.bracket, trial.level) for trial in trials]),
        "n_resources": np.array([rung.n_resources for rung in rungs]),
        "continued": np.array([any(o.continued for o in folds.values()) for folds in outcomes]),
        "n_folds": np.array([len(folds) for folds in outcomes]),
    }
    for name in ("fit_time", "score_time"):
        times = _by_split(outcomes, n_splits, attrgetter(name))
        results[f"mean_{name}"], results[f"std_{name}"] = _mean_and_std(outcomes, times)
    results.update(_yield_masked_array_for_each_param(params))
    results["params"] = list(params)
    levels = np.array([trial.level for trial in trials])
    for metric in _names(outcomes, lambda o: o.scores):
        mean = _add_scores(
            results, outcomes, n_splits, "test", metric, lambda o: o.scores, error_score
        )
        results[f"rank_test_{metric}"] = ranks(levels, mean)
    for metric in _names(outcomes, lambda o: o.train_scores or {}):
        _add_scores(
            results, outcomes, n_splits, "train", metric, lambda o: o.train_scores, error_score
        )
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


def _names(
    outcomes: Sequence[Mapping[int, Outcome]], scores: Callable[[Outcome], Mapping[str, float]]
) -> list[str]:
    """The metrics, as the first outcome with scores has them; one that failed has none."""
    return next(
        (list(named) for folds in outcomes for o in folds.values() if (named := scores(o))), []
    )


def _add_scores(
    results: dict[str, Any],
    outcomes: Sequence[Mapping[int, Outcome]],
    n_splits: int,
    kind: str,
    metric: str,
    scores: Callable[[Outcome], Mapping[str, float] | None],
    error_score: float,
) -> np.ndarray:
    """The columns of a metric; its mean over the folds used."""
    name = f"{kind}_{metric}"
    table = _by_split(outcomes, n_splits, lambda o: (scores(o) or {}).get(metric, error_score))
    for split in range(n_splits):
        results[f"split{split}_{name}"] = table[:, split]
    mean, std = _mean_and_std(outcomes, table)
    results[f"mean_{name}"], results[f"std_{name}"] = mean, std
    if not np.isfinite(mean).all():
        warnings.warn(
            f"One or more of the {kind} scores are non-finite: {mean}",
            category=UserWarning,
            stacklevel=2,
        )
    return mean


def _by_split(
    outcomes: Sequence[Mapping[int, Outcome]], n_splits: int, value: Callable[[Outcome], float]
) -> np.ndarray:
    table = np.full((len(outcomes), n_splits), np.nan)
    for i, folds in enumerate(outcomes):
        for split, outcome in folds.items():
            table[i, split] = value(outcome)
    return table


def _mean_and_std(
    outcomes: Sequence[Mapping[int, Outcome]], table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Over the folds used, which are the same for all rows that have as many of them."""
    mean, std = np.empty(len(outcomes)), np.empty(len(outcomes))
    n_folds = np.array([len(folds) for folds in outcomes])
    for n in np.unique(n_folds):
        here = np.flatnonzero(n_folds == n)
        block = table[np.ix_(here, sorted(outcomes[here[0]]))]
        mean[here] = block.mean(axis=1)
        # Written out, so that it is bit for bit the number that GridSearchCV gives.
        with np.errstate(invalid="ignore"):  # infinite scores are reported once, as non-finite
            std[here] = np.sqrt(np.average((block - mean[here, np.newaxis]) ** 2, axis=1))
    return mean, std
