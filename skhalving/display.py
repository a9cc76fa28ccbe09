"""Pictures of a search: who was promoted, what was planned, how the best score grew with time.

matplotlib is imported when something is drawn, not before.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, Self

import numpy as np

from skhalving.trials import Replay, Trials, Values, agreement

# Okabe and Ito's palette without its yellow, which cannot be seen on white; the winner is black.
# Markers tell brackets apart without colours. There is one marker more than there are colours, so
# that a pair of colour and marker repeats only after 42 brackets.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
KINDS = ("scores", "schedule", "time", "parameters")
MOST_PANELS, MOST_LABELS = 12, 8
PANELS_SIZE = (10, 7)  # inches


@dataclass(eq=False, repr=False)
class HalvingDisplay:
    """What a search by successive halving or Hyperband did, in one picture.

    Use :meth:`from_estimator` for a fitted ``HyperbandSearchCV`` or ``SuccessiveHalvingSearchCV``,
    :meth:`from_result` for what the plain functions return, and :meth:`from_journal` for a search
    that still runs. The parameter is stored as an attribute.

    .. versionadded:: 0.1

    Parameters
    ----------
    trials : Trials
        The table that it draws, a row for each trial (one candidate on one rung): arrays
        ``bracket``, ``level``, ``candidate``, ``score``, ``score_std`` and ``seconds``, the list
        ``params``, and ``schedule``, ``best_index``, ``maximize``, ``score_name`` and
        ``resource_name``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; with ``kind="parameters"`` the invisible axes around the panels.

    panels_ : list of matplotlib Axes
        With ``kind="parameters"`` one for each parameter shown, else empty.

    figure_ : matplotlib Figure
        The figure of ``ax_``.

    lines_ : list of matplotlib Artist
        With ``kind="scores"`` two lines for each bracket (candidates that dropped out, and those
        that did not), then the winner; with ``kind="schedule"`` one line for each bracket; with
        ``kind="time"`` two for each bracket (trials below the highest level, and those on it), then
        the best so far; with ``kind="parameters"`` the winner in each panel.

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
    >>> display.ax_.get_ylabel()
    'accuracy'
    """

    trials: Trials

    @classmethod
    def from_estimator(
        cls, search: Any, *, kind: str = "scores", metric: str | None = None, ax: Any = None
    ) -> Self:
        """Draw a fitted search.

        .. versionadded:: 0.1

        Parameters
        ----------
        search : HyperbandSearchCV or SuccessiveHalvingSearchCV
            Fitted.

        kind : {"scores", "schedule", "time", "parameters"}, default="scores"
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
        return cls(Trials.of_search(search, metric)).plot(ax, kind=kind)

    @classmethod
    def from_result(cls, result: Any, *, kind: str = "scores", ax: Any = None) -> Self:
        """Draw what ``hyperband`` or ``successive_halving`` returned for a plain objective.

        .. versionadded:: 0.1

        Parameters
        ----------
        result : Result
            Of :func:`hyperband` or :func:`successive_halving`.

        kind : {"scores", "schedule", "time", "parameters"}, default="scores"
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
        return cls(Trials.of_result(result)).plot(ax, kind=kind)

    @classmethod
    def from_journal(
        cls, path: Any, *, kind: str = "scores", metric: str | None = None, ax: Any = None
    ) -> Self:
        """Draw what a journal knows, also of a search that still runs.

        Only the file is read. This needs no estimator, and does not disturb the search that writes.
        The schedule is that of the whole search; a candidate is drawn on a level when all its folds
        there are known.

        .. versionadded:: 0.1

        Parameters
        ----------
        path : path-like
            The journal.

        kind : {"scores", "schedule", "time", "parameters"}, default="scores"
            As in :meth:`plot`.

        metric : str, default=None
            One of the metrics of ``scoring``; None: the first.

        ax : matplotlib Axes, default=None
            As in :meth:`plot`.

        Returns
        -------
        display : HalvingDisplay
            Drawn.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no journal, is damaged, has no candidate with a score yet or no such metric, or
            if there is no such kind of picture.

        Examples
        --------
        >>> import tempfile
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from skhalving import HalvingDisplay, HyperbandSearchCV
        >>> path = tempfile.mkdtemp() + "/search.jsonl"
        >>> tree, space = DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3, 4]}
        >>> search = HyperbandSearchCV(tree, space, journal=path, random_state=0)
        >>> search = search.fit(*load_iris(return_X_y=True))
        >>> HalvingDisplay.from_journal(path).ax_.get_ylabel()
        'score'
        """
        return cls(Trials.of_journal(Replay(path), metric)).plot(ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "scores") -> Self:
        """Draw.

        .. versionadded:: 0.1

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure. The legend stands above the axes: a figure of your
            own has room for it with ``layout="constrained"``.

        kind : {"scores", "schedule", "time", "parameters"}, default="scores"
            ``"scores"``: a dot for each candidate on each level, with lines to the next level for
            those who were promoted; the winner with the spread of its folds (one standard
            deviation). Levels are equally far apart, as on a logarithmic axis. Below stands how
            each level's ranking agrees with the next one's (see :func:`rank_agreement`).
            ``"schedule"``: how many candidates each rung of each bracket has.
            ``"time"``: the scores of the highest level, and the best of them so far, against the
            seconds of all fits and scorings up to then, level by level; with several workers, less
            time passed. Scores of lower levels are faint.
            ``"parameters"``: a panel for each parameter that was searched, at most 12, with a dot
            for each candidate on the highest level that it reached; the darker, the higher the
            level. The number in a title is the share of the candidates' ranking that the parameter
            explains alone.

            Where scores crowd below 1, or above or below 0, their axis is logarithmic in the
            distance from there, which spreads the leaders.

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

        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is unknown; give {', '.join(map(repr, KINDS))}")
        if ax is None:
            size = PANELS_SIZE if kind == "parameters" else None
            ax = plt.subplots(layout="constrained", figsize=size)[1]
        self.ax_: Any = ax
        self.figure_: Any = self.ax_.figure
        self.lines_: list[Any] = []
        self.panels_: list[Any] = []
        getattr(self, f"_draw_{kind}")()
        return self

    # -- the four pictures --------------------------------------------------------------------

    def _draw_scores(self) -> None:
        trials, x, y = self.trials, self._across(), self._near()
        arrived = np.isin(trials.candidate, trials.candidate[trials.level == trials.level.max()])
        # Many dots are small ones.
        size = np.clip(50 / np.sqrt(trials.schedule.n_candidates), 3, 5)
        self._draw_ways(x, y, arrived, 0.35, ms=size, lw=0.8)
        self._draw_winner(x, y)
        self._level_axis()
        ranks = agreement(trials)["correlation"]
        if np.isfinite(ranks).any():
            texts = ", ".join(f"{rank:.2f}" for rank in ranks)
            self.ax_.set_xlabel(
                f"{trials.resource_name}\nrank correlation of each level with the next: {texts}"
            )
        self._score_axis(self.ax_, y)
        self._legend(self.ax_, y)

    def _draw_ways(
        self, x: np.ndarray, y: np.ndarray, clear: np.ndarray, faint: float, **style: Any
    ) -> None:
        """Draw the trials of each bracket as dots, with lines that join the dots of a candidate.
        Those that are not ``clear`` have the opacity ``faint``."""
        trials = self.trials
        order = np.argsort(trials.candidate, kind="stable")
        for b in range(len(trials.schedule)):
            for group, alpha, label in ((~clear, faint, None), (clear, 0.9, f"bracket {b}")):
                rows = order[(group & (trials.bracket == b))[order]]
                # One line has the ways of all candidates; a NaN between two of them breaks it.
                gaps = np.flatnonzero(np.diff(trials.candidate[rows])) + 1
                across, up = (np.insert(column[rows], gaps, np.nan) for column in (x, y))
                self.lines_ += self.ax_.plot(
                    across, up, label=label, alpha=alpha, **style, **self._style(b)
                )

    def _draw_winner(self, x: np.ndarray, y: np.ndarray) -> None:
        trials, best = self.trials, self.trials.best_index
        std = np.where(trials.score_std > 0, trials.score_std, np.nan)
        way = trials.candidate == trials.candidate[best]
        spread = "" if np.isnan(std[best]) else f" ± {std[best]:.2g}"
        bars = self.ax_.errorbar(
            x[way],
            y[way],
            std[way],
            label=f"winner {y[best]:.4g}{spread}",
            color=self._ink(),
            lw=1.3,
            capsize=3,
            zorder=4,
            markevery=[-1],
            **self._star(),
        )
        self.lines_.append(bars[0])

    def _draw_schedule(self) -> None:
        schedule = self.trials.schedule
        most = schedule.brackets[0].rungs[0].n_candidates
        for b, bracket in enumerate(schedule):
            n = np.array([rung.n_candidates for rung in bracket.rungs])
            x, y = np.arange(-len(n), 0) + len(schedule.levels), np.full(len(n), b)
            color = self._style(b)["color"]
            self.lines_ += self.ax_.plot(x, y, color=color, lw=1)
            # The area of a dot is proportional to the number, but never too small to be seen.
            self.ax_.scatter(x, y, np.maximum(250 * n / most, 8), color)
            for level, number in zip(x, n, strict=True):
                self.ax_.annotate(
                    str(number),
                    (level, b),
                    (0, 10),
                    textcoords="offset points",
                    ha="center",
                    fontsize="small",
                )
        self.ax_.set_yticks(range(len(schedule)), [f"bracket {b}" for b in range(len(schedule))])
        self.ax_.set_ylim(len(schedule) - 0.5, -0.7)
        self._level_axis()

    def _draw_time(self) -> None:
        at_top = self.trials.level == self.trials.level.max()
        end, y = np.cumsum(self.trials.seconds), self._near()
        self._draw_ways(end, y, at_top, 0.25, ls="", ms=5)
        best = (np.fmax if self.trials.maximize else np.fmin).accumulate(y[at_top])
        self.lines_ += self.ax_.plot(
            [*end[at_top], end[-1]],  # the last best score is drawn up to the end of the search
            [*best, best[-1]],
            label="best so far",
            color=self._ink(),
            drawstyle="steps-post",
            zorder=1,
        )
        self.ax_.set_xlim(0, 1.02 * end[-1])
        self.ax_.set_xlabel("seconds of fitting and scoring, all levels")
        self._score_axis(self.ax_, y)
        self._legend(self.ax_, y)

    def _draw_parameters(self) -> None:
        every, standing, y = self.trials.parameters(), self.trials.standing(), self._near()
        explained = {name: v.explained(standing) for name, v in every.items() if np.ptp(v.x)}
        if not explained:
            raise ValueError("no parameter has two values in this search; there is nothing to draw")
        shown = sorted(explained, key=lambda name: -explained[name])[:MOST_PANELS]
        n_columns = ceil(sqrt(len(shown)))
        self.ax_.set_axis_off()
        page = self.figure_.add_subfigure(self.ax_.get_subplotspec())
        n_rows = ceil(len(shown) / n_columns)
        self.panels_ = [*page.subplots(n_rows, n_columns, sharey=True, squeeze=False).flat]
        while len(self.panels_) > len(shown):
            self.panels_.pop().remove()
        for panel, name in zip(self.panels_, shown, strict=True):
            self._draw_panel(panel, every[name], y)
            panel.set_title(f"{name}  {explained[name]:.2f}", fontsize="small")
            panel.tick_params(labelsize="small")
        self._score_axis(self.panels_[0], y)
        self._legend(
            self.panels_[0],
            y[self.trials.last()],
            page,
            loc="outside upper left",
            title=f"{len(shown)} of {len(explained)} parameters, each with the share of the "
            "ranking that it explains",
            title_fontsize="small",
            alignment="left",
        )

    def _draw_panel(self, panel: Any, values: Values, y: np.ndarray) -> None:
        """Draw one parameter: dots of higher levels are darker, and lie over the others."""
        x = values.x
        if values.labels is not None:
            x = x + 0.6 * self._jitter()[values.rows]
            step = ceil(len(values.labels) / MOST_LABELS)
            texts = [text if len(text) < 14 else text[:12] + "…" for text in values.labels[::step]]
            panel.set_xticks(range(0, len(values.labels), step), texts, rotation=30, ha="right")
        elif values.is_log:
            panel.set_xscale("log")
        for level, name in enumerate(self._level_names()):
            here = self.trials.level[values.rows] == level
            label = name.replace("\n", ", ")
            panel.plot(x[here], y[values.rows[here]], label=label, **self._shade(level))
        best = self.trials.candidate[values.rows] == self.trials.candidate[self.trials.best_index]
        self.lines_ += panel.plot(
            x[best], y[values.rows[best]], ls="", label="winner", **self._star(), zorder=4
        )
        panel.grid(axis="y", alpha=0.3)

    # -- what they share ----------------------------------------------------------------------

    def _style(self, b: int) -> dict[str, Any]:
        """Every bracket has its own colour and marker."""
        return {"color": COLOURS[b % len(COLOURS)], "marker": MARKERS[b % len(MARKERS)], "mew": 0}

    def _star(self) -> dict[str, Any]:
        """The winner: a star in the colour of its bracket, edged so that it stands out."""
        colour = self._style(self.trials.bracket[self.trials.best_index])["color"]
        return {"marker": "*", "ms": 15, "mfc": colour, "mec": self._ink(), "mew": 1}

    def _shade(self, level: int) -> dict[str, Any]:
        """The dots of a level: the higher it is, the darker; smaller where there are many."""
        alpha = (level + 1) / len(self.trials.schedule.levels)
        size = np.clip(60 / np.sqrt(self.trials.schedule.n_candidates), 2, 4)
        return {"ls": "", "marker": "o", "ms": size, "mew": 0, "color": COLOURS[0], "alpha": alpha}

    def _ink(self) -> Any:
        """The colour of text: black, or light on a dark background."""
        return self.ax_.xaxis.label.get_color()

    def _jitter(self) -> np.ndarray:
        """For each trial a place from -0.5 to 0.5. It is the candidate's number times the golden
        ratio, modulo 1, so consecutive numbers are far apart and any range of them fills the width
        evenly."""
        return (self.trials.candidate * 0.618034) % 1 - 0.5

    def _across(self) -> np.ndarray:
        """Where each trial stands on the axis of levels: about its level, with the brackets side by
        side."""
        width = 0.76 / len(self.trials.schedule)
        beside = self.trials.bracket - (len(self.trials.schedule) - 1) / 2
        return self.trials.level + width * (beside + 0.7 * self._jitter())

    def _level_names(self) -> list[str]:
        levels = self.trials.schedule.levels
        with_folds = levels[-1].n_folds > 1
        return [f"{n}\n{k} fold{'s'[: k > 1]}" if with_folds else f"{n}" for n, k in levels]

    def _level_axis(self) -> None:
        names = self._level_names()
        for level in range(0, len(names), 2):
            self.ax_.axvspan(level - 0.5, level + 0.5, color="0.5", alpha=0.1, lw=0, zorder=0)
        self.ax_.set_xticks(range(len(names)), names, fontsize="small")
        self.ax_.set_xlim(-0.5, len(names) - 0.5)
        self.ax_.set_xlabel(self.trials.resource_name)

    def _near(self) -> np.ndarray:
        """The scores, with NaN in place of those far worse than most: a single -1e9 would leave all
        others no height on the axis."""
        loss = -self.trials.score if self.trials.maximize else self.trials.score
        known = loss[np.isfinite(loss)]
        good, bad = np.quantile(known, [0.1, 0.75], method="lower") if len(known) else (0, 0)
        fence = max(bad + 3 * (bad - good), loss[self.trials.best_index]) if bad > good else np.inf
        return np.where(np.isfinite(loss) & (loss <= fence), self.trials.score, np.nan)

    def _score_axis(self, ax: Any, shown: np.ndarray) -> None:
        """Name the axis of the scores that are ``shown``, and spread it out where their better half
        crowds against a bound, 1 or 0."""
        ax.set_ylabel(self.trials.score_name)
        ax.grid(axis="y", alpha=0.3)
        scores, maximize = shown[np.isfinite(shown)], self.trials.maximize
        if not len(scores):
            return
        bound = float(maximize and bool((scores > 0).any()))
        gaps = bound - scores if maximize else scores
        best, half, worst = np.quantile(gaps, [0, 0.5, 1])
        if best >= 0 and half - best < 0.25 * (worst - best):
            _spread(ax, bound, closest=gaps[gaps > 0].min())

    def _legend(self, ax: Any, shown: np.ndarray, page: Any = None, **place: Any) -> None:
        """Add a legend of what ``ax`` holds, which also counts the NaN among the scores ``shown``.
        It stands above ``ax``, or on the ``page`` where ``place`` says, so that it covers no data.
        Each of its columns takes about 1.6 inches."""
        if n_out := np.isnan(shown).sum():
            ax.plot([], [], " ", label=f"{n_out} failed or off the axis")
        (page or ax).legend(
            *ax.get_legend_handles_labels(),
            ncols=max(2, int(self.ax_.bbox.width / self.figure_.dpi / 1.6)),
            fontsize="small",
            frameon=False,
            handlelength=1,
            columnspacing=1,
            **(place or {"loc": "lower left", "bbox_to_anchor": (0, 1)}),
        )


def _spread(ax: Any, bound: float, closest: float) -> None:
    """Make the axis of scores logarithmic in the distance from a bound, and linear nearer to the
    bound than the ``closest`` score; the ticks are labelled with scores, not distances."""
    from matplotlib.ticker import AsinhLocator

    def forward(score: np.ndarray) -> np.ndarray:
        return np.arcsinh((score - bound) / closest)

    def inverse(place: np.ndarray) -> np.ndarray:
        return bound + closest * np.sinh(place)

    ax.set_yscale("function", functions=(forward, inverse))
    ax.autoscale_view(scalex=False)
    low, high = ax.get_ylim()
    locator = AsinhLocator(closest, numticks=7, base=0)  # base=0: ticks of one digit
    ticks = bound + np.array(locator.tick_values(low - bound, high - bound))
    ticks = ticks[(low <= ticks) & (ticks <= high)]
    ax.set_yticks(ticks, [f"{tick:.7g}" for tick in ticks])
