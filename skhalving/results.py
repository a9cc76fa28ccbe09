"""From outcomes to tables with the columns of GridSearchCV.

``all_cv_results_`` has a row for each trial. A rung on fewer folds leaves the other ``split*``
columns NaN; means, deviations and times are over the folds used. ``cv_results_`` has the rows of
the highest level alone, and ranks them: a lucky score on a low rung is never first, and code
written for GridSearchCV reads it correctly (scikit-learn #24901, #34250).
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
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
    used = np.array([[split in folds for split in range(n_splits)] for folds in outcomes])
    each = [folds[split] for folds in outcomes for split in sorted(folds)]
    results: dict[str, Any] = {
        "level": np.array([trial.level for trial in trials]),
        "candidate": np.array([trial.candidate for trial in trials]),
        "bracket": np.array([trial.bracket for trial in trials]),
        "iter": np.array([schedule.iter(trial.bracket, trial.level) for trial in trials]),
        "n_resources": np.array([schedule.levels[t.level].n_resources for t in trials]),
        "continued": np.array([any(o.continued for o in folds.values()) for folds in outcomes]),
        "n_folds": used.sum(axis=1),
    }
    for name in ("fit_time", "score_time"):
        times = [getattr(outcome, name) for outcome in each]
        _, results[f"mean_{name}"], results[f"std_{name}"] = _over_folds(times, used)
    if any(outcome.n_iter is not None for outcome in each):
        counts = [np.nan if outcome.n_iter is None else outcome.n_iter for outcome in each]
        of_splits, mean, _ = _over_folds(counts, used)
        results |= {f"split{split}_n_iter": column for split, column in enumerate(of_splits)}
        results["mean_n_iter"] = mean
    results.update(_yield_masked_array_for_each_param(params))
    results["params"] = list(params)
    for kind, named, otherwise in (
        ("test", [outcome.scores for outcome in each], ["score"]),
        ("train", [outcome.train_scores or {} for outcome in each], []),
    ):
        for metric in names_of(named) or otherwise:
            name = f"{kind}_{metric}"
            scores = [of_outcome.get(metric, error_score) for of_outcome in named]
            of_splits, mean, std = _over_folds(scores, used)
            results |= {f"split{split}_{name}": column for split, column in enumerate(of_splits)}
            results |= {f"mean_{name}": mean, f"std_{name}": std}
    return results


def names_of(scores: Iterable[Mapping[str, float]]) -> list[str]:
    """The metrics of some evaluations, of which some may have failed: a fit that failed has no
    scores, and a callable ``scoring`` that failed has "score" alone, whatever its metrics are."""
    return max(map(list, filter(None, scores)), key=lambda names: names != ["score"], default=[])


def _over_folds(
    values: Sequence[float], used: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From a value for each fold that was used, row by row: a column for each split, the means and
    the standard deviations."""
    table = np.full(used.shape, np.nan)
    table[used] = values
    mean = table.mean(axis=1, where=used)
    # Written out, so that it is bit for bit the number that GridSearchCV gives.
    with np.errstate(invalid="ignore"):  # infinite scores are reported once, as non-finite
        std = np.sqrt(((table - mean[:, np.newaxis]) ** 2).mean(axis=1, where=used))
    return table.T, mean, std


def warn_of_non_finite(results: Mapping[str, Any]) -> None:
    """Warn of mean scores that are NaN or infinite, in GridSearchCV's words."""
    for name, mean in results.items():
        if name.startswith(("mean_test_", "mean_train_")) and not np.isfinite(mean).all():
            warnings.warn(
                f"One or more of the {name.split('_')[1]} scores are non-finite: {mean}",
                category=UserWarning,
                stacklevel=2,
            )


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
            loss = np.where(np.isnan(here), np.inf, -here)
            results[name.replace("mean", "rank", 1)] = rankdata(loss, "min").astype(np.int32)
    return results
