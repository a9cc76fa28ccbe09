"""Pictures of a search: who was promoted, what was planned, how the best score grew with time.

matplotlib is imported when something is drawn, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skhalving.schedule import Schedule

# Okabe and Ito's palette without its yellow, which white paper swallows; black is the winner's.
# Markers say the same again, for printers and for those who see no colours; one more than colours,
# so that no pair of them comes again soon.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(kw_only=True, eq=False, repr=False)
class HalvingDisplay:
    """What a search by successive halving or Hyperband did, in one picture.

    Use :meth:`from_estimator` for a fitted ``HyperbandSearchCV`` or ``SuccessiveHalvingSearchCV``
    and :meth:`from_result` for what the plain functions return. All parameters are stored as
    attributes.

    .. versionadded:: 0.1

    Parameters
    ----------
    schedule : Schedule
        The brackets and their rungs.

    bracket, level, candidate : ndarray of shape (n_trials,)
        Of each trial (one candidate on one rung): its bracket, its level on the ladder
        (``schedule.levels``, lowest first) and the candidate. In the order in which they ran.

    score, score_std : ndarray of shape (n_trials,)
        Mean and standard deviation over the folds used; NaN for a trial that failed.

    seconds : ndarray of shape (n_trials,)
        What the trial cost, without anything that was kept from the rung before.

    best_index : int
        The winner's trial on its last rung.

    maximize : bool, default=True
        Whether a higher score is better.

    score_name : str, default="score"
        On the axis of scores.

    resource_name : str, default="resource"
        On the axis of levels.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.

    figure_ : matplotlib Figure
        The figure of ``ax_``.

    lines_ : list of matplotlib Artist
        With ``kind="scores"`` two a bracket (those who dropped out, those who did not), then the
        winner; with ``kind="schedule"`` one a bracket; with ``kind="time"`` one
        a bracket, then the best so far.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skhalving import HalvingDisplay, HyperbandSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": loguniform(1e-2, 1e2)}
    >>> search = HyperbandSearchCV(SVC(), space, random_state=0).fit(X, y)
    >>> display = HalvingDisplay.from_estimator(search)
    >>> display.ax_.get_xlabel()
    'n_samples, and folds below it'
    """

    schedule: Schedule
    bracket: np.ndarray
    level: np.ndarray
    candidate: np.ndarray
    score: np.ndarray
    score_std: np.ndarray
    seconds: np.ndarray
    best_index: int
    maximize: bool = True
    score_name: str = "score"
    resource_name: str = "resource"

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        kind: str = "scores",
        metric: str | None = None,
        ax: Any = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> HalvingDisplay:
        """Draw a fitted search.

        Parameters
        ----------
        search : HyperbandSearchCV or SuccessiveHalvingSearchCV
            Fitted.

        kind : {"scores", "schedule", "time"}, default="scores"
            As in :meth:`plot`.

        metric : str, default=None
            One of the metrics of ``scoring``. None: that of ``refit``, or the first. The winner is
            ``best_index_`` whatever the metric; a search that has none (several metrics and
            ``refit=False``) shows the best in ``metric``.

        ax : matplotlib Axes, default=None
            As in :meth:`plot`.

        line_kw : dict, default=None
            As in :meth:`plot`.

        Returns
        -------
        display : HalvingDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the search is not fitted.

        ValueError
            If the search has no such metric, or if there is no such kind of picture.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from skhalving import HalvingDisplay, SuccessiveHalvingSearchCV
        >>> X, y = load_iris(return_X_y=True)
        >>> grid = {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5, 20]}
        >>> tree = DecisionTreeClassifier(random_state=0)
        >>> search = SuccessiveHalvingSearchCV(tree, grid, random_state=0).fit(X, y)
        >>> display = HalvingDisplay.from_estimator(search, kind="schedule")
        >>> [text.get_text() for text in display.ax_.texts]
        ['9', '3', '1']
        """
        check_is_fitted(search, "cv_results_")
        results = search.cv_results_
        metric = _metric(search, metric)
        named = isinstance(search.scoring, str) and metric == "score"
        return cls(
            schedule=search.schedule_,
            bracket=results["bracket"],
            level=_level(search.schedule_, results),
            candidate=results["candidate"],
            score=results[f"mean_test_{metric}"],
            score_std=results[f"std_test_{metric}"],
            seconds=_seconds(results),
            best_index=getattr(search, "best_index_", results[f"rank_test_{metric}"].argmin()),
            score_name=search.scoring if named else metric,
            resource_name=search.resource,
        ).plot(ax, kind=kind, line_kw=line_kw)

    @classmethod
    def from_result(
        cls,
        result: Any,
        *,
        kind: str = "scores",
        ax: Any = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> HalvingDisplay:
        """Draw what ``hyperband`` or ``successive_halving`` returned for a plain objective.

        Parameters
        ----------
        result : Result
            Of ``hyperband`` or ``successive_halving``. Whether a higher score is better is read
            from it: the winner was on the better side of the others.

        kind : {"scores", "schedule", "time"}, default="scores"
            As in :meth:`plot`.

        ax : matplotlib Axes, default=None
            As in :meth:`plot`.

        line_kw : dict, default=None
            As in :meth:`plot`.

        Returns
        -------
        display : HalvingDisplay
            Drawn.

        Raises
        ------
        ValueError
            If there is no such kind of picture.

        Examples
        --------
        >>> from skhalving import HalvingDisplay, successive_halving
        >>> def objective(x, resource):
        ...     return (x - 2) ** 2 + 1 / resource
        >>> result = successive_halving(objective, range(9), max_resources=9)
        >>> HalvingDisplay.from_result(result).maximize
        False
        """
        history, best = result.history, result.best_score
        score, level = history["score"], _level(result.schedule, history)
        final = history["n_resources"] == result.best_resource
        best_index = np.flatnonzero(final & (score == best))[0]
        # The best of the last rung; and on its first rung among the few that were promoted.
        way = np.flatnonzero(history["candidate"] == history["candidate"][best_index])
        first = (history["bracket"] == history["bracket"][best_index]) & (level == level[way[0]])
        beaten = np.sign(best - score[final]), np.sign(score[way[0]] - score[first])
        return cls(
            schedule=result.schedule,
            level=level,
            score_std=np.zeros(len(score)),
            best_index=best_index,
            maximize=bool(np.nansum(np.concatenate(beaten)) >= 0),
            **{name: history[name] for name in ("bracket", "candidate", "score", "seconds")},
        ).plot(ax, kind=kind, line_kw=line_kw)

    def plot(
        self, ax: Any = None, *, kind: str = "scores", line_kw: Mapping[str, Any] | None = None
    ) -> HalvingDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure. The legend stands above the axes: a figure of your
            own has room for it with ``layout="constrained"``.

        kind : {"scores", "schedule", "time"}, default="scores"
            ``"scores"``: a dot for each candidate on each level, with lines to the next level for
            those who were promoted; the winner with the spread of its folds (one standard
            deviation). Levels are equally far apart, as on a logarithmic axis.
            ``"schedule"``: how many candidates each rung of each bracket has.
            ``"time"``: the scores of the highest level, and the best of them so far, against the
            seconds of all fits and scorings up to then, level by level; with several workers, less
            time passed.

        line_kw : dict, default=None
            For matplotlib, of the lines and dots that stand for candidates.

        Returns
        -------
        display : HalvingDisplay
            With ``ax_``, ``figure_`` and ``lines_``.

        Raises
        ------
        ValueError
            If there is no such kind of picture.
        """
        import matplotlib.pyplot as plt

        if kind not in ("scores", "schedule", "time"):
            raise ValueError(f"kind={kind!r} is unknown; give 'scores', 'schedule' or 'time'")
        self.ax_ = plt.subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_: list[Any] = []
        getattr(self, f"_draw_{kind}")(dict(line_kw or {}))
        return self

    # -- the three pictures -------------------------------------------------------------------

    def _draw_scores(self, line_kw: dict[str, Any]) -> None:
        x, y, order = self._places(), self._near(), np.lexsort((self.level, self.candidate))
        arrived = np.isin(self.candidate, self.candidate[self.level == self.level.max()])
        for b in range(len(self.schedule)):
            for group, alpha in ((~arrived, 0.25), (arrived, 0.9)):
                rows = order[(group & (self.bracket == b))[order]]
                # NaN between one candidate and the next: one line draws the ways of all of them.
                gaps = np.flatnonzero(np.diff(self.candidate[rows])) + 1
                ways = [np.insert(column[rows], gaps, np.nan) for column in (x, y)]
                label = f"bracket {b}" if alpha > 0.5 else None
                style = {**self._style(b), "lw": 0.8, "alpha": alpha, **line_kw}
                self._line(ways[0], ways[1], style, label)
        self._draw_winner(x, y)
        self._level_axis()
        self._score_axis(y)

    def _draw_winner(self, x: np.ndarray, y: np.ndarray) -> None:
        best, std = self.best_index, np.where(self.score_std > 0, self.score_std, np.nan)
        way = np.flatnonzero(self.candidate == self.candidate[best])
        spread = "" if np.isnan(std[best]) else f" ± {std[best]:.2g}"
        star: dict[str, Any] = {"marker": "*", "ms": 12, "mec": "white", "markevery": [-1]}
        style = {"color": "black", "lw": 1.3, "zorder": 4, "capsize": 3, **star}
        label = f"winner {y[best]:.4g}{spread}"
        self.lines_.append(self.ax_.errorbar(x[way], y[way], std[way], label=label, **style)[0])

    def _draw_schedule(self, line_kw: dict[str, Any]) -> None:
        n_brackets, n_levels = len(self.schedule), len(self.schedule.levels)
        most = self.schedule.brackets[0].rungs[0].n_candidates
        for b, bracket in enumerate(self.schedule):
            levels = range(n_levels - len(bracket.rungs), n_levels)
            n = [rung.n_candidates for rung in bracket.rungs]
            color = COLOURS[b % len(COLOURS)]
            self._line(levels, [b] * len(n), {"color": color, "lw": 1, **line_kw})
            # Areas are to each other as the numbers, down to what can be seen.
            self.ax_.scatter(levels, [b] * len(n), np.maximum(250 * np.array(n) / most, 8), color)
            for level, number in zip(levels, n, strict=True):
                above: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
                self.ax_.annotate(str(number), (level, b), (0, 9), fontsize="small", **above)
        self.ax_.set_yticks(range(n_brackets), [f"bracket {b}" for b in range(n_brackets)])
        self.ax_.set_ylim(n_brackets - 0.5, -0.7)
        self._level_axis()

    def _draw_time(self, line_kw: dict[str, Any]) -> None:
        at_top = self.level == self.level.max()
        end, y = np.cumsum(self.seconds), self._near()
        for b in range(len(self.schedule)):
            rows = at_top & (self.bracket == b)
            style = {**self._style(b), "ls": "", "alpha": 0.6, **line_kw}
            self._line(end[rows], y[rows], style, f"bracket {b}")
        best = (np.fmax if self.maximize else np.fmin).accumulate(y[at_top])
        style = {"color": "black", "drawstyle": "steps-post"}
        # The last one holds to the end of the search.
        self._line([*end[at_top], end[-1]], [*best, best[-1]], style, "best so far")
        self.ax_.set_xlim(left=0)
        self.ax_.set_xlabel("seconds of fitting and scoring, all levels")
        self._score_axis(y[at_top])

    # -- what they share ----------------------------------------------------------------------

    def _line(self, x: Any, y: Any, style: Mapping[str, Any], label: str | None = None) -> None:
        self.lines_ += self.ax_.plot(x, y, label=label, **style)

    def _style(self, b: int) -> dict[str, Any]:
        """Every bracket has its own colour and marker; many dots are small ones."""
        size = np.clip(50 / np.sqrt(self.schedule.n_candidates), 3, 5)
        marker = MARKERS[b % len(MARKERS)]
        return {"color": COLOURS[b % len(COLOURS)], "marker": marker, "ms": size, "mew": 0}

    def _places(self) -> np.ndarray:
        """Where trials stand on the axis of levels: brackets beside one another, and candidates
        spread by the golden ratio, so that neighbours of any number keep apart."""
        width = 0.76 / len(self.schedule)
        beside = self.bracket - (len(self.schedule) - 1) / 2
        return self.level + width * (beside + 0.7 * ((self.candidate * 0.618034) % 1 - 0.5))

    def _level_axis(self) -> None:
        levels, folds = self.schedule.levels, self.schedule.levels[-1].n_folds > 1
        for level in range(0, len(levels), 2):
            self.ax_.axvspan(level - 0.5, level + 0.5, color="0.95", lw=0, zorder=0)
        names = [f"{level.n_resources}" + f"\n{level.n_folds}" * folds for level in levels]
        self.ax_.set_xticks(range(len(levels)), names, fontsize="small")
        self.ax_.set_xlim(-0.5, len(levels) - 0.5)
        self.ax_.set_xlabel(self.resource_name + ", and folds below it" * folds)

    def _near(self) -> np.ndarray:
        """The scores, with NaN for those far worse than most: one of -1e9 would press all others
        into a line."""
        loss = -self.score if self.maximize else self.score
        known = loss[np.isfinite(loss)]
        good, bad = np.quantile(known, [0.1, 0.75], method="lower") if len(known) else (0, 0)
        fence = max(bad + 3 * (bad - good), loss[self.best_index]) if bad > good else np.inf
        return np.where(np.isfinite(loss) & (loss <= fence), self.score, np.nan)

    def _score_axis(self, shown: np.ndarray) -> None:
        if n_out := np.isnan(shown).sum():
            self.ax_.plot([], [], " ", label=f"{n_out} failed or off the axis")
        self.ax_.set_ylabel(self.score_name)
        self.ax_.grid(axis="y", alpha=0.3)
        # Above the axes it covers no data.
        above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}
        self.ax_.legend(fontsize="small", frameon=False, handlelength=1, columnspacing=1, **above)


def _metric(search: Any, metric: str | None) -> str:
    """The metric asked for, or that of ``refit``, or the first."""
    prefix = "mean_test_"
    metrics = [name[len(prefix) :] for name in search.cv_results_ if name.startswith(prefix)]
    if metric is None:
        return search.refit if search.refit in metrics else metrics[0]
    if metric not in metrics:
        raise ValueError(
            f"metric={metric!r} is not in the results of this search; give one of "
            f"{', '.join(map(repr, metrics))}"
        )
    return metric


def _level(schedule: Schedule, table: Mapping[str, Any]) -> np.ndarray:
    """The level of each trial: all brackets end on the highest."""
    n_rungs = np.array([len(bracket.rungs) for bracket in schedule])
    return table["iter"] + len(schedule.levels) - n_rungs[table["bracket"]]


def _seconds(results: Mapping[str, Any]) -> np.ndarray:
    """What each trial cost; the folds it kept from the rung before were paid there."""
    spent = (results["mean_fit_time"] + results["mean_score_time"]) * results["n_folds"]
    seconds, paid = spent.copy(), dict[tuple[int, int], float]()
    for i, who in enumerate(zip(results["candidate"], results["n_resources"], strict=True)):
        seconds[i] -= paid.get(who, 0.0)
        paid[who] = spent[i]
    return seconds
