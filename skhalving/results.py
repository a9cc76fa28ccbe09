"""From outcomes to tables with the columns of GridSearchCV.

``all_cv_results_`` has a row for each trial. A rung on fewer folds leaves the other ``split*``
columns NaN; means, deviations and times are over the folds used. ``cv_results_`` has the rows of
the highest level alone, and ranks them: a lucky score on a low rung is never first, and what was
written for GridSearchCV reads it rightly (scikit-learn #24901, #34250).
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


def all_cv_results(
    schedule: Schedule,
    trials: Sequence[Trial],
    params: Sequence[dict[str, Any]],
    outcomes: Sequence[Mapping[int, Outcome]],
    n_splits: int,
    error_score: float,
) -> dict[str, Any]:
    """The dictionary of columns, a row for each trial.

    Parameters
    ----------
    schedule : Schedule
        The schedule that the trials belong to.

    trials : sequence of Trial
        Level by level.

    params : sequence of dict
        The parameters of each trial, including the resource where that is a parameter.

    outcomes : sequence of dict of int to Outcome
        For each trial, its outcomes by fold.

    n_splits : int
        Folds at full resource.

    error_score : float
        The score of an evaluation that failed.
    """
    rungs = [schedule.rung(trial.bracket, trial.level) for trial in trials]
    results: dict[str, Any] = {
        "level": np.array([trial.level for trial in trials]),
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
    if any(o.n_iter is not None for folds in outcomes for o in folds.values()):
        counts = _by_split(outcomes, n_splits, lambda o: np.nan if o.n_iter is None else o.n_iter)
        results |= {f"split{split}_n_iter": counts[:, split] for split in range(n_splits)}
        results["mean_n_iter"], _ = _mean_and_std(outcomes, counts)
    results.update(_yield_masked_array_for_each_param(params))
    results["params"] = list(params)
    for kind, scores in (("test", attrgetter("scores")), ("train", attrgetter("train_scores"))):
        for metric in _names(outcomes, scores):
            _add_scores(results, outcomes, n_splits, kind, metric, scores, error_score)
    return results


def cv_results(every: Mapping[str, Any], n_splits: int) -> dict[str, Any]:
    """The rows of the highest level that has any, and their ranks.

    If time ran out below the top, that level may use fewer folds; the ``split*`` columns of the
    others are left out.
    """
    rows = np.flatnonzero(every["level"] == every["level"].max())
    has_unused = every["n_folds"][rows[0]] < n_splits
    results: dict[str, Any] = {}
    for name, column in every.items():
        here: Any = [column[i] for i in rows] if isinstance(column, list) else column[rows]
        if not (has_unused and name.startswith("split") and np.isnan(here).all()):
            results[name] = here
        if name.startswith("mean_test_"):
            results[name.replace("mean", "rank", 1)] = ranks(here)
    return results


def ranks(scores: np.ndarray) -> np.ndarray:
    """1 for the best score; ties share the smaller rank, NaN the last."""
    known = ~np.isnan(scores)
    rank = np.full(len(scores), known.sum() + 1, dtype=np.int32)
    rank[known] = rankdata(-scores[known], method="min")
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
) -> None:
    """The columns of a metric."""
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
    """Means and standard deviations over the folds used. Rows with the same number of folds use the
    same ones."""
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
