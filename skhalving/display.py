"""Pictures of a search: who was promoted, what was planned, how the best score grew with time.

matplotlib is imported when something is drawn, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

# Okabe and Ito's palette without its yellow, which white paper swallows; black is the winner's.
# Markers say the same again, for printers and for those who see no colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
# One marker more than colours, so that no pair of them comes again before the 43rd bracket.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# What the brackets of one level share of the distance to the next level, and the most for one.
SPREAD, WIDEST = 0.76, 0.35

# Scores far out are left off the axis only if that makes the rest this many times larger.
LEAST_GAIN = 3


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

    bracket, level, candidate : array-like of shape (n_trials,)
        Of each trial (one candidate on one rung): its bracket, its level on the ladder
        (``schedule.levels``, lowest first) and the candidate. In the order in which they ran.

    score : array-like of shape (n_trials,)
        Mean over the folds used; NaN for a trial that failed.

    seconds : array-like of shape (n_trials,)
        What the trial cost, without anything that was kept from the rung before.

    score_std : array-like of shape (n_trials,), default=None
        Standard deviation over the folds used. None draws no error bars.

    best_index : int, default=None
        The winner's trial on its last rung. None: the best score of the highest level
        that has one.

    maximize : bool, default=True
        Whether a higher score is better.

    score_name : str, default="Score"
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
        With ``kind="scores"`` four a bracket (ways up and dots of those who dropped out, ways up
        and dots of those who did not), then the winner's way and its star; with
        ``kind="schedule"`` one a bracket; with ``kind="time"`` one a bracket, then the best so far.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from skhalving import HyperbandSearchCV
    >>> from skhalving.display import HalvingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": loguniform(1e-2, 1e2)}
    >>> search = HyperbandSearchCV(SVC(), space, random_state=0).fit(X, y)
    >>> display = HalvingDisplay.from_estimator(search)
    >>> display.ax_.get_ylabel()
    'Score, mean over folds'
    """

    def __init__(
        self,
        *,
        schedule: Any,
        bracket: Any,
        level: Any,
        candidate: Any,
        score: Any,
        seconds: Any,
        score_std: Any = None,
        best_index: int | None = None,
        maximize: bool = True,
        score_name: str = "Score",
        resource_name: str = "resource",
    ) -> None:
        self.schedule = schedule
        self.bracket = np.asarray(bracket)
        self.level = np.asarray(level)
        self.candidate = np.asarray(candidate)
        self.score = np.asarray(score, dtype=float)
        self.seconds = np.asarray(seconds, dtype=float)
        self.score_std = np.zeros_like(self.score) if score_std is None else np.asarray(score_std)
        self.maximize = maximize
        self.score_name = score_name
        self.resource_name = resource_name
        self._at_top = self.level == len(schedule.levels) - 1
        self.best_index = self._best() if best_index is None else best_index

    def _finalists(self) -> np.ndarray:
        """The rows of the highest level that has a score."""
        scored = ~np.isnan(self.score)
        return np.flatnonzero(scored & (self.level == np.max(self.level[scored], initial=-1)))

    def _best(self) -> int | None:
        rows = self._finalists()
        scores = self.score[rows] if self.maximize else -self.score[rows]
        return int(rows[np.argmax(scores)]) if len(rows) else None

    def _higher_won(self, best_score: float) -> bool:
        """Whether those who went on had the higher scores, which a result does not say."""
        won, final = self._promoted(), self._finalists()
        won[final] = self.score[final] == best_score
        rung = self.level * len(self.schedule) + self.bracket
        rung[final] = -1
        for here in (rung == r for r in np.unique(rung)):
            lost = here & ~won & ~np.isnan(self.score)
            if (here & won).any() and lost.any():
                winners, losers = self.score[here & won].mean(), self.score[lost].mean()
                if winners != losers:
                    return bool(winners > losers)
        return True

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
        >>> from skhalving import SuccessiveHalvingSearchCV
        >>> from skhalving.display import HalvingDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> grid = {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5, 20]}
        >>> tree = DecisionTreeClassifier(random_state=0)
        >>> search = SuccessiveHalvingSearchCV(tree, grid, random_state=0).fit(X, y)
        >>> display = HalvingDisplay.from_estimator(search, kind="schedule")
        >>> print(display.ax_.get_title(loc="left"))
        9 candidates: the best get more, the rest stop
        """
        check_is_fitted(search, "cv_results_")
        if not hasattr(search, "schedule_"):
            raise TypeError(
                f"{type(search).__name__} has no schedule_ to draw; give a HyperbandSearchCV or a "
                "SuccessiveHalvingSearchCV"
            )
        results = search.cv_results_
        metric = _metric(search, metric)
        name = search.scoring if metric == "score" and isinstance(search.scoring, str) else metric
        display = cls(
            schedule=search.schedule_,
            bracket=results["bracket"],
            level=_level(search.schedule_, results),
            candidate=results["candidate"],
            score=results[f"mean_test_{metric}"],
            seconds=_seconds(results),
            score_std=results[f"std_test_{metric}"],
            best_index=getattr(search, "best_index_", None),
            score_name=_title(name) + ", mean over folds",
            resource_name=search.resource,
        )
        return display.plot(ax, kind=kind, line_kw=line_kw)

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
        result : object
            With ``schedule``, ``best_score`` and ``history``, a dict of equally long arrays:
            ``bracket``, ``iter``, ``candidate``, ``n_resources``, ``score`` and ``seconds``.

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
        >>> from types import SimpleNamespace
        >>> from skhalving import hyperband_schedule
        >>> from skhalving.display import HalvingDisplay
        >>> result = SimpleNamespace(
        ...     schedule=hyperband_schedule(3, n_candidates=4),
        ...     best_score=0.1,
        ...     history={
        ...         "bracket": [0, 0, 0, 0],
        ...         "iter": [0, 0, 0, 1],
        ...         "candidate": [0, 1, 2, 1],
        ...         "n_resources": [1, 1, 1, 3],
        ...         "score": [0.9, 0.2, 0.5, 0.1],
        ...         "seconds": [1.0, 1.0, 1.0, 3.0],
        ...     },
        ... )
        >>> HalvingDisplay.from_result(result).maximize
        False
        """
        history = result.history
        columns = ("bracket", "candidate", "score", "seconds")
        display = cls(
            schedule=result.schedule,
            level=_level(result.schedule, history),
            **{name: history[name] for name in columns},
        )
        display.maximize = display._higher_won(result.best_score)
        display.best_index = display._best()
        return display.plot(ax, kind=kind, line_kw=line_kw)

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
            seconds (minutes, hours) of all fits and scorings up to then, level by level; with
            several workers, less time passed.

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

        ImportError
            If matplotlib is not installed.
        """
        kinds = {
            "scores": self._draw_scores,
            "schedule": self._draw_schedule,
            "time": self._draw_time,
        }
        if kind not in kinds:
            raise ValueError(f"kind={kind!r} is unknown; give one of {', '.join(map(repr, kinds))}")
        plt = _pyplot()
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_: list[Any] = []
        kinds[kind](dict(line_kw or {}))
        return self

    # -- the three pictures -------------------------------------------------------------------

    def _draw_scores(self, line_kw: dict[str, Any]) -> None:
        x, shown, n = self._places(), self._shown(), self.schedule.n_candidates
        y = np.where(shown, self.score, np.nan)
        order = np.lexsort((self.level, self.candidate, self.bracket))
        arrived = self._same_candidate(self._at_top)
        size = _dot_size(self.ax_, n)
        for b in range(len(self.schedule)):
            for group, least, most in ((~arrived, 0.05, 0.35), (arrived, 0.2, 0.9)):
                rows = order[(group & (self.bracket == b))[order]]
                # Ten ways up are a drawing, a thousand a texture.
                alpha = np.clip(15 / max(1, len(rows)), least, most)
                way_x, way_y = _with_gaps(self.candidate[rows], x[rows], y[rows])
                self._line(way_x, way_y, {"color": _colour(b), "lw": 1, "alpha": alpha, **line_kw})
                self._line(x[rows], y[rows], {**_dots(b, size), "alpha": most, **line_kw})
        self._draw_winner(x)
        self._draw_lost(x, ~shown)
        self._level_axis()
        self.ax_.set_ylabel(self.score_name)
        self.ax_.grid(axis="y", alpha=0.3)
        self._finish(f"{n} candidates: the best get more, the rest stop")

    def _draw_winner(self, x: np.ndarray) -> None:
        """Over all others: the winner's way up, with the spread of its folds."""
        if (best := self.best_index) is None:
            return
        chosen = np.arange(len(self.score)) == best
        way = np.flatnonzero(self._same_candidate(chosen))
        way = way[np.argsort(self.level[way])]
        std = np.where(self.score_std[way] > 0, self.score_std[way], np.nan)
        style: dict[str, Any] = {"color": "black", "lw": 1.3, "zorder": 4}
        self.ax_.errorbar(x[way], self.score[way], std, fmt="none", capsize=3, **style)
        self._line(x[way], self.score[way], style)
        star = {"ls": "", "marker": "*", "ms": 12, "mfc": "black", "mec": "white", "zorder": 5}
        spread = f" ± {self.score_std[best]:.2g}" if self.score_std[best] > 0 else ""
        label = f"winner {self.score[best]:.4g}{spread}"
        self._line(x[[best]], self.score[[best]], {**star, "label": label})

    def _draw_lost(self, x: np.ndarray, lost: np.ndarray) -> None:
        """What has no place on the axis of scores stands at its bad end."""
        failed = np.isnan(self.score)
        marker, edge = ("v", 0.02) if self.maximize else ("^", 0.98)
        for those, sign, what in (
            (lost & ~failed, marker, "off the scale"),
            (lost & failed, "x", "failed"),
        ):
            if those.any():
                style = {"marker": sign, "ls": "", "ms": 4, "color": "0.4", "alpha": 0.6}
                label, transform = f"{those.sum()} {what}", self.ax_.get_xaxis_transform()
                y = np.full(those.sum(), edge)
                self.ax_.plot(x[those], y, transform=transform, label=label, **style)

    def _draw_schedule(self, line_kw: dict[str, Any]) -> None:
        ax, n_brackets, n_levels = self.ax_, len(self.schedule), len(self.schedule.levels)
        most = max(rung.n_candidates for bracket in self.schedule for rung in bracket.rungs)
        width, height = _points(ax)
        largest = min(0.45 * width / n_levels, 0.6 * height / n_brackets, 40)
        for b, bracket in enumerate(self.schedule):
            levels = range(n_levels - len(bracket.rungs), n_levels)
            self._line(levels, [b] * len(levels), {"color": _colour(b), "lw": 1, **line_kw})
            for level, rung in zip(levels, bracket.rungs, strict=True):
                # Areas are to each other as the numbers, down to what can be seen.
                size = max(3.0, largest * np.sqrt(rung.n_candidates / most))
                ax.plot(level, b, "o", ms=size, mew=0, color=_colour(b))
                ax.annotate(
                    str(rung.n_candidates),
                    (level, b),
                    (size / 2 + 1, 1),
                    textcoords="offset points",
                    fontsize=_font_size(ax),
                    va="bottom",
                )
        ax.set_yticks(range(n_brackets), [f"bracket {b}" for b in range(n_brackets)])
        ax.set_ylim(n_brackets - 0.5, -0.5)
        self._level_axis()
        n = self.schedule.n_candidates
        self._finish(f"{n} candidates: the best get more, the rest stop")

    def _draw_time(self, line_kw: dict[str, Any]) -> None:
        end, shown = np.cumsum(self.seconds), self._shown()
        unit, name = _time_unit(end[-1])
        end /= unit
        size = _dot_size(self.ax_, 2 * np.sum(self._at_top))
        score = np.where(shown, self.score, np.nan)
        for b in range(len(self.schedule)):
            rows = self._at_top & (self.bracket == b)
            self._line(end[rows], score[rows], {**_dots(b, size), "alpha": 0.6, **line_kw})
        best = (np.fmax if self.maximize else np.fmin).accumulate(score[self._at_top])
        if len(best):
            # The last one holds to the end of the search.
            at, best = np.append(end[self._at_top], end[-1]), np.append(best, best[-1])
            style = {"color": "black", "lw": 1.5, "drawstyle": "steps-post"}
            self._line(at, best, {**style, "label": "best so far"})
        self._draw_lost(end, self._at_top & ~shown)
        self._level_bands(end)
        folds = ", folds" * (self.schedule.levels[-1].n_folds > 1)
        self.ax_.set_xlim(0, 1.02 * end[-1])
        self.ax_.set_xlabel(
            f"{name} of fitting and scoring\nshaded by level: {self.resource_name}{folds}"
        )
        self.ax_.set_ylabel(self.score_name)
        self._finish("Scores with the full resource, as they came in")

    # -- what they share ----------------------------------------------------------------------

    def _line(self, x: Any, y: Any, style: Mapping[str, Any]) -> None:
        self.lines_ += self.ax_.plot(x, y, **style)

    def _candidate_in_bracket(self) -> np.ndarray:
        """A number for each candidate, also where every bracket counts its own from 0."""
        return self.candidate * len(self.schedule) + self.bracket

    def _same_candidate(self, rows: np.ndarray) -> np.ndarray:
        """Which trials are of a candidate that has one among ``rows``."""
        who = self._candidate_in_bracket()
        return np.isin(who, who[rows])

    def _places(self) -> np.ndarray:
        """Where a trial stands on the axis of levels.

        The brackets of a level stand beside one another, and the candidates of a rung are spread
        by the golden ratio, so that neighbours of any number keep apart.
        """
        x = self.level.astype(float)
        for level in np.unique(self.level):
            brackets = np.unique(self.bracket[self.level == level])
            width = min(WIDEST, SPREAD / len(brackets))
            for place, b in enumerate(brackets):
                rung = (self.level == level) & (self.bracket == b)
                spread = (self.candidate[rung] * 0.618034) % 1 - 0.5
                crowd = min(1.0, rung.sum() / 30)
                x[rung] += (place - (len(brackets) - 1) / 2 + 0.8 * crowd * spread) * width
        return x

    def _shown(self) -> np.ndarray:
        """Which scores the axis has room for: one of -1e9 would press all others into a line.

        Far out is three times the interquartile range beyond the quartile (Tukey); the winner and
        those who were promoted are always shown, and all are when the axis gains little.
        """
        loss = -self.score if self.maximize else self.score
        known = np.isfinite(loss)
        if not known.any():
            return known
        low, high = np.quantile(loss[known], [0.25, 0.75])
        near = known & (loss <= high + 3 * (high - low)) | self._promoted()
        near |= np.arange(len(loss)) == self.best_index
        gain = np.ptp(loss[known]) / max(np.ptp(loss[near]), np.finfo(float).tiny)
        return near if gain > LEAST_GAIN else known

    def _promoted(self) -> np.ndarray:
        """Which trials are followed by one of the same candidate."""
        who = self._candidate_in_bracket()
        last = np.zeros(who.max() + 1, dtype=int)
        np.maximum.at(last, who, self.level)
        return self.level < last[who]

    def _level_axis(self) -> None:
        ax, levels = self.ax_, self.schedule.levels
        with_folds = levels[-1].n_folds > 1
        for level in range(0, len(levels), 2):
            ax.axvspan(level - 0.5, level + 0.5, color="0.95", lw=0, zorder=0)
        ax.set_xlim(-0.5, len(levels) - 0.5)
        names = [_level_name(level, with_folds) for level in levels]
        widest = max(len(line) for name in names for line in name.split("\n"))
        if 0.62 * widest * _font_size(ax) > _points(ax)[0] / len(levels):
            names = [name.replace("\n", " · ") for name in names]
            slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        else:
            slanted = {}
        ax.set_xticks(range(len(levels)), names, **slanted)
        ax.set_xlabel(f"What each candidate gets: {self.resource_name}" + ", folds" * with_folds)

    def _level_bands(self, end: np.ndarray) -> None:
        """The time that each level took, as bands; those below the top are named."""
        if np.any(np.diff(self.level) < 0):
            return
        start = 0.0
        levels = self.schedule.levels
        for level in np.unique(self.level):
            stop = end[self.level == level][-1]
            if level % 2 == 0:
                self.ax_.axvspan(start, stop, color="0.95", lw=0, zorder=0)
            if level < len(levels) - 1 and stop - start > 0.1 * end[-1]:
                name = _level_name(levels[level], levels[-1].n_folds > 1)
                place = ((start + stop) / 2, 0.5)
                style = {"ha": "center", "va": "center", "color": "0.35"}
                at = self.ax_.get_xaxis_transform()
                self.ax_.text(*place, name, transform=at, fontsize=_font_size(self.ax_), **style)
            start = stop

    def _finish(self, title: str) -> None:
        """Title, legend and sizes of letters that fit the axes."""
        ax, size = self.ax_, _font_size(self.ax_)
        ax.tick_params(labelsize=size)
        ax.xaxis.label.set_size(size + 1)
        ax.yaxis.label.set_size(size + 1)
        if 0.6 * size * len(ax.get_ylabel()) > _points(ax)[1]:
            ax.set_ylabel(ax.get_ylabel().replace(", ", ",\n"))
        handles, labels = ax.get_legend_handles_labels()
        if not handles:
            ax.set_title(title, loc="left", fontsize=size + 2)
            return
        for b in reversed(range(len(self.schedule))):
            handles.insert(0, ax.plot([], [], **_dots(b, 5))[0])
            labels.insert(0, f"bracket {b}")
        # Above the axes it covers no data; the title makes room for its rows.
        n_columns = max(2, int(_points(ax)[0] / (8 * size)))
        n_rows = -(-len(handles) // n_columns)
        ax.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=n_columns,
            fontsize=size,
            frameon=False,
            borderaxespad=0.2,
            borderpad=0.1,
            handlelength=1,
            columnspacing=1,
            labelspacing=0.2,
        )
        ax.set_title(title, loc="left", fontsize=size + 2, pad=5 + 1.45 * size * n_rows)


def summary_html(schedule: Any, best_params: Mapping[str, Any] | None = None) -> str:
    """The brackets and the best parameters as HTML tables, to stand below scikit-learn's diagram.

    Parameters
    ----------
    schedule : Schedule
        ``schedule_`` of a fitted search.

    best_params : dict, default=None
        ``best_params_``, if the search has them.

    Returns
    -------
    html : str
        Tables without script and style, every text escaped.

    Examples
    --------
    >>> from skhalving import hyperband_schedule
    >>> from skhalving.display import summary_html
    >>> html = summary_html(hyperband_schedule(9), {"C": 0.1})
    >>> "<td>C</td><td>0.1</td>" in html
    True
    """
    levels = schedule.levels
    with_folds = levels[-1].n_folds > 1
    names = [_level_name(level, with_folds, " · ") for level in levels]
    rows = []
    for b, bracket in enumerate(schedule):
        empty = [""] * (len(levels) - len(bracket.rungs))
        rows.append([f"bracket {b}", *empty, *(rung.n_candidates for rung in bracket.rungs)])
    head = "resource" + " · folds" * with_folds
    tables = [_table("Candidates on each rung", [head, *names], rows)]
    if best_params:
        best = [[name, _readable(value)] for name, value in best_params.items()]
        tables.append(_table("Best parameters", ["parameter", "value"], best))
    return "<div>" + "".join(tables) + "</div>"


def _table(caption: str, head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    def cells(tag: str, values: Iterable[Any]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(v))}</{tag}>" for v in values) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead>{cells('th', head)}</thead><tbody>{body}</tbody></table>"
    )


def _readable(value: Any) -> str:
    """``np.float64(0.1)`` as ``0.1``; other values as Python writes them."""
    return str(value) if isinstance(value, np.number | np.bool_) else repr(value)


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


def _time_unit(seconds: float) -> tuple[float, str]:
    """The unit in which a time is read most easily."""
    if seconds < 0.5:
        return 1e-3, "Milliseconds"
    if seconds < 600:
        return 1, "Seconds"
    return (60, "Minutes") if seconds < 7200 else (3600, "Hours")


def _level(schedule: Any, table: Mapping[str, Any]) -> np.ndarray:
    """The level of each trial: all brackets end on the highest."""
    n_rungs = np.array([len(bracket.rungs) for bracket in schedule])
    return np.asarray(table["iter"]) + len(schedule.levels) - n_rungs[table["bracket"]]


def _seconds(results: Mapping[str, Any]) -> np.ndarray:
    """What each trial cost; the folds it kept from the rung before were paid there."""
    spent = (results["mean_fit_time"] + results["mean_score_time"]) * results["n_folds"]
    seconds, paid = spent.copy(), dict[tuple[int, int], float]()
    for i, who in enumerate(zip(results["candidate"], results["n_resources"], strict=True)):
        seconds[i] -= paid.get(who, 0.0)
        paid[who] = spent[i]
    return seconds


def _with_gaps(candidate: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    """NaN between one candidate and the next, so that one line draws the ways of all of them."""
    gaps = np.flatnonzero(np.diff(candidate)) + 1
    return [np.insert(column, gaps, np.nan) for column in columns]


def _level_name(level: Any, with_folds: bool, between: str = "\n") -> str:
    folds = f"{between}{level.n_folds} fold{'s'[: level.n_folds > 1]}" if with_folds else ""
    return _short(level.n_resources) + folds


def _short(amount: int) -> str:
    """All digits of what has up to five of them, else three and a letter."""
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if amount >= max(unit, 10**5):
            return f"{amount / unit:.3g}{letter}"
    return str(amount)


def _title(name: str) -> str:
    return name.replace("neg_", "negative_").replace("_", " ").capitalize()


def _colour(b: int) -> str:
    return COLOURS[b % len(COLOURS)]


def _dots(b: int, size: float) -> dict[str, Any]:
    """Style of the trials of a bracket: every one has its own colour and marker."""
    marker = MARKERS[b % len(MARKERS)]
    return {"color": _colour(b), "marker": marker, "ls": "", "ms": size, "mew": 0, "zorder": 3}


def _points(ax: Any) -> tuple[float, float]:
    """Width and height of axes, in the points that letters are measured in."""
    box = ax.get_window_extent()
    return box.width * 72 / ax.figure.dpi, box.height * 72 / ax.figure.dpi


def _dot_size(ax: Any, n: int) -> float:
    """So that ``n`` dots cover a small part of the axes, within what the eye can use."""
    width, height = _points(ax)
    return float(np.clip(0.3 * np.sqrt(width * height / max(1, n)), 1.5, 6))


def _font_size(ax: Any) -> float:
    return float(np.clip(5 + _points(ax)[0] / 90, 7, 10))


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "HalvingDisplay.plot requires matplotlib. You can install matplotlib with "
            "`pip install matplotlib`"
        ) from error
    return plt
