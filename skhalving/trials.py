"""The table that pictures and trackers read: which candidates stood on each level, their scores.

It is made from a fitted search, from what a plain function returned, or from a journal alone, which
needs no estimator and may be that of a search that still runs.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from numbers import Real
from typing import Any, Self

import numpy as np
from scipy.stats import kruskal, rankdata
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

from skhalving.functions import readable
from skhalving.journal import Record, read
from skhalving.race import Race, Trial
from skhalving.results import all_cv_results
from skhalving.schedule import Bracket, Level, Schedule


class Replay(Race):
    """The race that a journal tells of, run again with the evaluations that it knows.

    Parameters
    ----------
    path : path-like
        The journal.

    Attributes
    ----------
    search : mapping of str to object
        All that the scores of the search depend on.

    records : dict of Trial to list of Record
        For each trial that has a score, the evaluations of its folds.

    evaluations : Counter of int
        For each level, how many of its evaluations are known, also of trials that have no score
        yet. An evaluation that several levels use counts on the lowest of them.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no journal, is damaged, or has no plan yet.
    """

    def __init__(self, path: Any) -> None:
        header, records = read(path)
        if header is None or header.plan is None:
            raise ValueError(f"{path} has no plan yet; look again when its search has begun")
        self.search, plan = header.search, header.plan
        levels = [Level(*level) for level in plan["levels"]]
        brackets = (Bracket.on(levels, *n_candidates) for n_candidates in plan["brackets"])
        super().__init__(Schedule(tuple(levels), tuple(brackets)))
        known: dict[tuple[str, int, int], Record] = {}
        for record in records:
            known[record.text, record.fold, record.amount] = record
            for amount, _ in levels:
                if record.outcome.stopped and amount > record.amount:  # it would be the same again
                    known.setdefault((record.text, record.fold, amount), record)
        self.records: dict[Trial, list[Record]] = {}
        lowest: dict[tuple[int, Any], int] = {}
        while trial := self.ask():
            amount, n_folds = levels[trial.level]
            needed = [
                (plan["candidates"][trial.candidate], fold, amount)
                for fold in plan["folds"][:n_folds]
            ]
            found = [key for key in needed if key in known]
            for key in found:
                lowest.setdefault((trial.candidate, key), trial.level)
            if found == needed:
                self.records[trial] = [known[key] for key in needed]
                self.tell(trial, float(np.mean([known[key].score for key in needed])))
        self.evaluations = Counter(lowest.values())


@dataclass(frozen=True)
class Values:
    """The values of one parameter.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        For each candidate that has the parameter, the row of the table on the highest level that
        the candidate reached.

    x : ndarray of shape (n,)
        For each of these candidates the number, or the position of its label.

    labels : list of str or None
        The categories; None if all values are numbers.
    """

    rows: np.ndarray
    x: np.ndarray
    labels: list[str] | None

    @property
    def tried(self) -> list[Any]:
        """The values: labels, or integers if all numbers are whole, or floats."""
        if self.labels is not None:
            return [self.labels[int(place)] for place in self.x]
        return self.x.astype(int if (self.x % 1 == 0).all() else float).tolist()

    @property
    def is_log(self) -> bool:
        """Whether they look as if drawn log-uniformly over a decade and a half at least.

        A journal does not hold what they were drawn from. Half of a uniform sample lies below half
        of its maximum, half of such a log-uniform one below 1 / sqrt(30) = 0.18 of it.
        """
        return bool(
            self.labels is None
            and 0 < 30 * self.x.min() <= self.x.max()
            and np.median(self.x) < 0.3 * self.x.max()
        )

    def explained(self, standing: np.ndarray) -> float:
        """The share of the variance of the candidates' ranks that lies between the values, in five
        groups of equal size where there are more; 0 where chance gives as much (Kelley's epsilon
        squared).

        ``standing`` has a number for each trial of the table, the larger the better.
        """
        x, y = self.x, standing[self.rows]
        if self.labels is None and len(np.unique(x)) > 5:
            x = np.searchsorted(np.quantile(x, [0.2, 0.4, 0.6, 0.8]), x)
        groups = [y[x == value] for value in np.unique(x)]
        k, n = len(groups), len(y)
        if not 1 < k < n or not np.ptp(y):
            return 0.0
        return max(0.0, float((kruskal(*groups).statistic - k + 1) / (n - k)))


@dataclass(kw_only=True, eq=False, repr=False)
class Trials:
    """A row for each trial, in the order in which they ran, level by level.

    Attributes
    ----------
    schedule : Schedule
        The brackets and their rungs.

    bracket, level, candidate : ndarray of shape (n_trials,)
        Of each trial (one candidate on one rung): its bracket, its level on the ladder
        (``schedule.levels``, lowest first) and the candidate. In the order in which they ran.

    params : sequence of dict of length n_trials
        Of each trial: the configuration, without the resource.

    score, score_std : ndarray of shape (n_trials,)
        Mean and standard deviation over the folds used; NaN for a trial that failed.

    seconds : ndarray of shape (n_trials,)
        What the trial cost, without the folds that were kept from the rung before.

    best_index : int or None, default=None
        The winner's trial on its last rung. None: the best on the highest level that has a score.

    maximize : bool
        Whether a higher score is better.

    score_name : str
        The name of the axis of scores.

    resource_name : str
        The name of the axis of levels.
    """

    schedule: Schedule
    bracket: np.ndarray
    level: np.ndarray
    candidate: np.ndarray
    params: Sequence[Mapping[str, Any]]
    score: np.ndarray
    score_std: np.ndarray
    seconds: np.ndarray
    best_index: Any = None
    maximize: bool = True
    score_name: str = "score"
    resource_name: str = "resource"

    def __post_init__(self) -> None:
        if self.best_index is None:
            self.best_index = np.where(np.isnan(self.score), -1, self.standing()).argmax()

    @classmethod
    def of(cls, search: Any, metric: str | None = None) -> Self:
        """The table of any of these: a journal's path, what a plain function returned, or a fitted
        search."""
        if isinstance(search, (str, os.PathLike)):
            return cls.of_journal(Replay(search), metric)
        if hasattr(search, "history"):
            return cls.of_result(search)
        return cls.of_search(search, metric)

    @classmethod
    def of_search(cls, search: Any, metric: str | None = None) -> Self:
        """The table of a fitted search; the metric is that of ``refit`` or the first, unless one is
        named."""
        check_is_fitted(search, "cv_results_")
        if not hasattr(search, "all_cv_results_"):
            raise TypeError(
                f"{type(search).__name__} has no rungs to draw; give a fitted HyperbandSearchCV or "
                "SuccessiveHalvingSearchCV"
            )
        results, best = search.all_cv_results_, getattr(search, "best_index_", None)
        if best is not None:
            # Rows come level by level, so those of ``cv_results_`` are the last.
            best += len(results["params"]) - len(search.cv_results_["params"])
        found = cls._of_table(
            search.schedule_, results, metric, search.refit, best, resource_name=search.resource
        )
        if found.score_name == "score":
            found.score_name = _name_of_score(search.scoring, search.estimator)
        return found

    @classmethod
    def of_result(cls, result: Any) -> Self:
        """The table of what a plain function returned."""
        history, score = result.history, result.history["score"]
        amounts = [amount for amount, _ in result.schedule.levels]  # rising, as there is one fold
        tried = [result.configurations[candidate] for candidate in history["candidate"]]
        return cls(
            schedule=result.schedule,
            bracket=history["bracket"],
            level=np.searchsorted(amounts, history["n_resources"]),
            candidate=history["candidate"],
            params=[c if isinstance(c, Mapping) else {"configuration": c} for c in tried],
            score=score,
            score_std=np.zeros(len(score)),
            seconds=history["seconds"],
            maximize=result.maximize,
        )

    @classmethod
    def of_journal(cls, race: Replay, metric: str | None = None) -> Self:
        """The table of the trials of a journal that have a score by now."""
        trials = sorted(race.records)
        if not trials:
            raise ValueError("no candidate has a score yet; look again when one has")
        return cls._of_table(
            race.schedule,
            all_cv_results(
                race.schedule,
                trials,
                [dict(race.records[trial][0].params) for trial in trials],
                [{r.fold: r.outcome for r in race.records[trial]} for trial in trials],
                race.schedule.levels[-1].n_folds,
                np.nan,
            ),
            metric,
            maximize=bool(race.search.get("maximize", True)),
            resource_name=race.search.get("resource", "resource"),
        )

    @classmethod
    def _of_table(
        cls,
        schedule: Schedule,
        results: Mapping[str, Any],
        metric: str | None,
        default: Any = None,
        best_index: Any = None,
        maximize: bool = True,
        resource_name: str = "resource",
    ) -> Self:
        """The table from the columns of ``all_cv_results_``; the metric is the default or the
        first, unless named."""
        prefix = "mean_test_"
        known = [name.removeprefix(prefix) for name in results if name.startswith(prefix)]
        metric = metric or (default if default in known else known[0])
        if metric not in known:
            raise ValueError(
                f"metric={metric!r} is not in the results; give one of {str(known)[1:-1]}"
            )
        return cls(
            schedule=schedule,
            **{name: results[name] for name in ("bracket", "level", "candidate")},
            params=[
                {name: value for name, value in params.items() if name != resource_name}
                for params in results["params"]
            ],
            score=results[f"mean_test_{metric}"],
            score_std=results[f"std_test_{metric}"],
            seconds=_seconds(results),
            best_index=best_index,
            maximize=maximize,
            score_name=metric,
            resource_name=resource_name,
        )

    def last(self) -> np.ndarray:
        """The row of each candidate on the highest level that it reached."""
        order = np.lexsort((self.level, self.candidate))
        return order[np.append(np.diff(self.candidate[order]) > 0, True)]

    def standing(self) -> np.ndarray:
        """A number for each trial, the larger the better: the level counts first, then the score; a
        failed trial is behind all others of its level."""
        good = self.score if self.maximize else -self.score
        return self.level * len(good) + rankdata(np.where(np.isnan(good), -inf, good))

    def parameters(self) -> dict[str, Values]:
        """The values of each parameter, in the order in which they come up."""
        names = dict.fromkeys(name for params in self.params for name in params)
        return {name: self._values(name) for name in names}

    def _values(self, name: str) -> Values:
        """The values of a parameter, of those candidates that have it."""
        rows = np.array([row for row in self.last() if name in self.params[row]])
        given = [self.params[row][name] for row in rows]
        if all(map(_is_number, given)):
            return Values(rows, np.array(given, dtype=float), None)
        texts = [readable(value) for value in given]
        of = dict(zip(texts, given, strict=True))  # numbers by size, then all others
        labels = sorted(of, key=lambda text: (of[text] if _is_number(of[text]) else inf, text))
        return Values(rows, np.array([*map(labels.index, texts)], float), labels)


def rank_agreement(search: Any, *, metric: str | None = None) -> dict[str, np.ndarray]:
    """How far each level of a search ranks candidates as the next one does.

    Only the candidates that were promoted stand on both levels, so a level that cuts well has few
    good ones to tell apart, and agrees less than it would on all of them.

    .. versionadded:: 0.1

    Parameters
    ----------
    search : HyperbandSearchCV, SuccessiveHalvingSearchCV, Result or path-like
        A fitted search, what a plain function returned, or a journal.

    metric : str, default=None
        One of the metrics of ``scoring``. None: that of ``refit``, or the first.

    Returns
    -------
    agreement : dict of str to ndarray of shape (n_levels - 1,)
        A row for each pair of neighbouring levels, lowest first. ``n_resources`` and ``n_folds`` of
        the lower level; ``n_candidates`` with a score on both; ``correlation``, Spearman's, NaN
        below four candidates; ``low`` and ``high``, the 5 % and the 95 % quantile of it over 1,000
        bootstrap samples of the candidates; ``cut``, the share of the best third on the upper level
        that is not among the best third on the lower one.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the search is not fitted.
    ValueError
        If the search has no such metric.

    Examples
    --------
    >>> from skhalving import rank_agreement, successive_halving
    >>> result = successive_halving(lambda x, resource: x / resource, range(27), max_resources=9)
    >>> rank_agreement(result)["correlation"]
    array([ 1., nan])
    """
    return agreement(Trials.of(search, metric))


def agreement(trials: Trials) -> dict[str, np.ndarray]:
    """What :func:`rank_agreement` returns, from the table."""
    loss = -trials.score if trials.maximize else trials.score
    table = np.full((len(trials.schedule.levels), trials.candidate.max() + 1), np.nan)
    table[trials.level, trials.candidate] = loss
    rows = [
        (*level, *_agreement(lower, upper))
        for level, (lower, upper) in zip(trials.schedule.levels, pairwise(table), strict=False)
    ]
    names = ("n_resources", "n_folds", "n_candidates", "correlation", "low", "high", "cut")
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}


def _agreement(lower: np.ndarray, upper: np.ndarray) -> tuple[float, ...]:
    """Of two levels' losses by candidate, NaN where there is none: how many candidates have both,
    the correlation of their ranks with the ends of its interval, and the share of the best that the
    lower level would have cut."""
    both = np.isfinite(lower) & np.isfinite(upper)
    pair, n = np.array([lower[both], upper[both]]), int(both.sum())
    if n < 4 or not np.ptp(pair, axis=1).all():
        return n, np.nan, np.nan, np.nan, np.nan
    picks = np.random.RandomState(0).randint(n, size=(1000, n))
    low, high = np.nanquantile(_spearman(pair[:, picks]), [0.05, 0.95])
    below, top = np.argsort(pair, axis=1, kind="stable")[:, : -(-n // 3)]
    return n, _spearman(pair), low, high, 1 - np.isin(top, below).mean()


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))
    )


def _spearman(pair: np.ndarray) -> Any:
    """The correlation of the ranks of two arrays of shape (..., n), along the last axis."""
    lower, upper = rankdata(pair, axis=-1) - (pair.shape[-1] + 1) / 2
    with np.errstate(invalid="ignore"):  # all equal: no correlation
        return (lower * upper).sum(-1) / np.sqrt((lower**2).sum(-1) * (upper**2).sum(-1))


def _name_of_score(scoring: Any, estimator: Any) -> str:
    """What the only score of a search is called."""
    if scoring is None and is_classifier(estimator):
        return "accuracy"
    if scoring is None and is_regressor(estimator):
        return "R²"
    return scoring if isinstance(scoring, str) else "score"


def _seconds(results: Mapping[str, Any]) -> np.ndarray:
    """What each trial cost; the folds it kept from the rung before were paid there."""
    spent = (results["mean_fit_time"] + results["mean_score_time"]) * results["n_folds"]
    seconds, paid = spent.copy(), dict[tuple[int, int], float]()
    for i, who in enumerate(zip(results["candidate"], results["n_resources"], strict=True)):
        seconds[i] -= paid.get(who, 0.0)
        paid[who] = spent[i]
    return seconds
