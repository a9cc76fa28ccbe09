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
        winner; with ``kind="schedule"`` one a bracket; with ``kind="time"`` one a bracket, then the
        best so far.

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
    'n_samples'
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
        cls, search: Any, *, kind: str = "scores", metric: str | None = None, ax: Any = None
    ) -> HalvingDisplay:
        """Draw a fitted search.

        .. versionadded:: 0.1

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
        ['9', '3', '2']
        """
        check_is_fitted(search, "cv_results_")
        if not hasattr(search, "all_cv_results_"):
            raise TypeError(
                f"{type(search).__name__} has no rungs to draw; give a fitted HyperbandSearchCV or "
                "SuccessiveHalvingSearchCV"
            )
        metric = _metric(search, metric)
        results, at_top = search.all_cv_results_, search.cv_results_
        # Rows come level by level, so those of the highest are the last.
        first = len(results["params"]) - len(at_top["params"])
        best = getattr(search, "best_index_", at_top[f"rank_test_{metric}"].argmin())
        named = isinstance(search.scoring, str) and metric == "score"
        return cls(
            **_trials(search.schedule_, results),
            score=results[f"mean_test_{metric}"],
            score_std=results[f"std_test_{metric}"],
            seconds=_seconds(results),
            best_index=first + int(best),
            score_name=search.scoring if named else metric,
            resource_name=search.resource,
        ).plot(ax, kind=kind)

    @classmethod
    def from_result(cls, result: Any, *, kind: str = "scores", ax: Any = None) -> HalvingDisplay:
        """Draw what ``hyperband`` or ``successive_halving`` returned for a plain objective.

        .. versionadded:: 0.1

        Parameters
        ----------
        result : Result
            Of :func:`hyperband` or :func:`successive_halving`.

        kind : {"scores", "schedule", "time"}, default="scores"
            As in :meth:`plot`.

        ax : matplotlib Axes, default=None
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
        >>> display = HalvingDisplay.from_result(result, kind="time")
        >>> display.ax_.get_xlabel()
        'seconds of fitting and scoring, all levels'
        """
        history, at_best = result.history, result.history["n_resources"] == result.best_resource
        return cls(
            **_trials(result.schedule, history),
            score=history["score"],
            score_std=np.zeros(len(history["score"])),
            seconds=history["seconds"],
            best_index=(at_best & (history["score"] == result.best_score)).argmax(),
            maximize=result.maximize,
        ).plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "scores") -> HalvingDisplay:
        """Draw.

        .. versionadded:: 0.1

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

        Returns
        -------
        display : HalvingDisplay
            With ``ax_``, ``figure_`` and ``lines_``.

        Raises
        ------
        ValueError
            If there is no such kind of picture.

        Examples
        --------
        >>> from skhalving import HalvingDisplay, successive_halving
        >>> result = successive_halving(lambda x, resource: x, range(9), max_resources=9)
        >>> display = HalvingDisplay.from_result(result)
        >>> display.plot(kind="schedule").ax_.get_xlabel()
        'resource'
        """
        import matplotlib.pyplot as plt

        if kind not in ("scores", "schedule", "time"):
            raise ValueError(f"kind={kind!r} is unknown; give 'scores', 'schedule' or 'time'")
        self.ax_ = plt.subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_: list[Any] = []
        getattr(self, f"_draw_{kind}")()
        return self

    # -- the three pictures -------------------------------------------------------------------

    def _draw_scores(self) -> None:
        x, y, order = self._places(), self._near(), np.argsort(self.candidate, kind="stable")
        arrived = np.isin(self.candidate, self.candidate[self.level == self.level.max()])
        size = np.clip(50 / np.sqrt(self.schedule.n_candidates), 3, 5)  # many dots are small ones
        for b in range(len(self.schedule)):
            for group, alpha, label in ((~arrived, 0.35, None), (arrived, 0.9, f"bracket {b}")):
                rows = order[(group & (self.bracket == b))[order]]
                # NaN between one candidate and the next: one line draws the ways of all of them.
                gaps = np.flatnonzero(np.diff(self.candidate[rows])) + 1
                ways = [np.insert(column[rows], gaps, np.nan) for column in (x, y)]
                style = {"alpha": alpha, "ms": size, "lw": 0.8, **self._style(b)}
                self._line(ways[0], ways[1], label, **style)
        self._draw_winner(x, y)
        self._level_axis()
        self._score_axis(y)

    def _draw_winner(self, x: np.ndarray, y: np.ndarray) -> None:
        best, std = self.best_index, np.where(self.score_std > 0, self.score_std, np.nan)
        way = self.candidate == self.candidate[best]
        spread = "" if np.isnan(std[best]) else f" ± {std[best]:.2g}"
        star: dict[str, Any] = {"marker": "*", "ms": 12, "mec": "white", "markevery": [-1]}
        style = {"color": self._ink(), "lw": 1.3, "capsize": 3, "zorder": 4, **star}
        label = f"winner {y[best]:.4g}{spread}"
        self.lines_.append(self.ax_.errorbar(x[way], y[way], std[way], label=label, **style)[0])

    def _draw_schedule(self) -> None:
        most = self.schedule.brackets[0].rungs[0].n_candidates
        for b, bracket in enumerate(self.schedule):
            n = np.array([rung.n_candidates for rung in bracket.rungs])
            x, y = np.arange(-len(n), 0) + len(self.schedule.levels), np.full(len(n), b)
            color = self._style(b)["color"]
            self._line(x, y, color=color, lw=1)
            # Areas are to each other as the numbers, down to what can be seen.
            self.ax_.scatter(x, y, np.maximum(250 * n / most, 8), color)
            above: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
            for level, number in zip(x, n, strict=True):
                self.ax_.annotate(str(number), (level, b), (0, 10), fontsize="small", **above)
        names = [f"bracket {b}" for b in range(len(self.schedule))]
        self.ax_.set_yticks(range(len(names)), names)
        self.ax_.set_ylim(len(names) - 0.5, -0.7)
        self._level_axis()

    def _draw_time(self) -> None:
        at_top = self.level == self.level.max()
        end, y = np.cumsum(self.seconds), self._near()
        for b in range(len(self.schedule)):
            rows = at_top & (self.bracket == b)
            self._line(end[rows], y[rows], f"bracket {b}", ls="", ms=5, **self._style(b))
        best = (np.fmax if self.maximize else np.fmin).accumulate(y[at_top])
        until = [*end[at_top], end[-1]]  # the last one holds to the end of the search
        style = {"color": self._ink(), "drawstyle": "steps-post", "zorder": 1}
        self._line(until, [*best, best[-1]], "best so far", **style)
        self.ax_.axvline(0, color=self._ink(), lw=0.5)
        self.ax_.set_xlabel("seconds of fitting and scoring, all levels")
        self._score_axis(y[at_top])

    # -- what they share ----------------------------------------------------------------------

    def _line(self, x: Any, y: Any, label: str | None = None, **style: Any) -> None:
        self.lines_ += self.ax_.plot(x, y, label=label, **style)

    def _style(self, b: int) -> dict[str, Any]:
        """Every bracket has its own colour and marker."""
        return {"color": COLOURS[b % len(COLOURS)], "marker": MARKERS[b % len(MARKERS)], "mew": 0}

    def _ink(self) -> Any:
        """What text is written in: black, or light on a dark page."""
        return self.ax_.xaxis.label.get_color()

    def _places(self) -> np.ndarray:
        """Where trials stand on the axis of levels: brackets beside one another, and candidates
        spread by the golden ratio, so that neighbours of any number keep apart."""
        width = 0.76 / len(self.schedule)
        beside = self.bracket - (len(self.schedule) - 1) / 2
        return self.level + width * (beside + 0.7 * ((self.candidate * 0.618034) % 1 - 0.5))

    def _level_axis(self) -> None:
        levels, with_folds = self.schedule.levels, self.schedule.levels[-1].n_folds > 1
        for level in range(0, len(levels), 2):
            self.ax_.axvspan(level - 0.5, level + 0.5, color="0.5", alpha=0.1, lw=0, zorder=0)
        names = [f"{n}\n{k} fold{'s'[: k > 1]}" if with_folds else f"{n}" for n, k in levels]
        self.ax_.set_xticks(range(len(levels)), names, fontsize="small")
        self.ax_.set_xlim(-0.5, len(levels) - 0.5)
        self.ax_.set_xlabel(self.resource_name)

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
        # Above the axes it covers no data; a column has about 1.6 inches.
        columns = max(2, int(self.ax_.bbox.width / self.figure_.dpi / 1.6))
        above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": columns}
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


def _trials(schedule: Schedule, table: Mapping[str, Any]) -> dict[str, Any]:
    """Who was where; all brackets end on the highest level."""
    n_rungs = np.array([len(bracket.rungs) for bracket in schedule])
    level = table["iter"] + len(schedule.levels) - n_rungs[table["bracket"]]
    who = {name: table[name] for name in ("bracket", "candidate")}
    return {"schedule": schedule, "level": level, **who}


def _seconds(results: Mapping[str, Any]) -> np.ndarray:
    """What each trial cost; the folds it kept from the rung before were paid there."""
    spent = (results["mean_fit_time"] + results["mean_score_time"]) * results["n_folds"]
    seconds, paid = spent.copy(), dict[tuple[int, int], float]()
    for i, who in enumerate(zip(results["candidate"], results["n_resources"], strict=True)):
        seconds[i] -= paid.get(who, 0.0)
        paid[who] = spent[i]
    return seconds
