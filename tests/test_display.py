"""The pictures of a search, and the HTML below its diagram."""

import sys
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, hyperband_schedule
from skhalving.display import HalvingDisplay, summary_html
from skhalving.race import Race
from skhalving.schedule import hyperband, ladder, successive_halving

KINDS = ["scores", "schedule", "time"]
X, Y = load_iris(return_X_y=True)
SPACE = {"C": loguniform(1e-3, 1e3)}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def search():
    return HyperbandSearchCV(SVC(), SPACE, n_candidates=20, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def several():
    return HyperbandSearchCV(
        SVC(),
        SPACE,
        n_candidates=10,
        scoring=["accuracy", "balanced_accuracy"],
        refit="balanced_accuracy",
        random_state=0,
    ).fit(X, Y)


def raced(schedule, *, maximize=True, fail=(), far=()):
    """The result of a plain function whose objective is the candidate's number over 1,000."""
    race, rows = Race(schedule), []
    while wave := race.wave():
        for trial in wave:
            score = np.nan if trial.candidate in fail else trial.candidate / 1000
            score = 1e9 if trial.candidate in far else score
            race.tell(trial, score if maximize else -score)
            amount, i = race.rung(trial).n_resources, schedule.iter(trial.bracket, trial.level)
            rows.append((trial.bracket, i, trial.candidate, amount, score, 0.5))
    columns = ("bracket", "iter", "candidate", "n_resources", "score", "seconds")
    history = dict(zip(columns, map(np.array, zip(*rows, strict=True)), strict=True))
    top = history["score"][history["n_resources"] == schedule.levels[-1].n_resources]
    best = np.nanmax(top) if maximize else np.nanmin(top)
    return SimpleNamespace(schedule=schedule, history=history, best_score=best)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("kind", KINDS)
def test_draws_a_search_and_keeps_what_it_drew(search, kind):
    """Every kind draws on the axes given, and keeps them, their figure and the lines."""
    figure, ax = plt.subplots(layout="constrained")
    display = HalvingDisplay.from_estimator(search, kind=kind, ax=ax)
    figure.draw_without_rendering()
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert set(display.lines_) <= set(ax.lines)
    assert display.lines_
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()


def test_makes_its_own_figure_and_draws_again(search):
    """Without axes there is a new figure; plot() draws the same search in another way."""
    display = HalvingDisplay.from_estimator(search)
    first = display.figure_
    assert display.plot(kind="time") is display
    assert display.figure_ is not first


def test_every_trial_has_a_dot():
    """The dots of kind="scores" are all the scores there are, each at its level."""
    result = raced(hyperband_schedule(27))
    display = HalvingDisplay.from_result(result)
    dots = [line for i, line in enumerate(display.lines_[:-2]) if i % 2 == 1]
    x, y = (np.concatenate([getattr(line, f"get_{axis}data")() for line in dots]) for axis in "xy")
    assert sorted(y) == sorted(result.history["score"])
    amounts = np.array([level.n_resources for level in result.schedule.levels])
    assert sorted(amounts[np.round(x).astype(int)]) == sorted(result.history["n_resources"])


def test_ways_join_a_candidate_with_itself_only():
    """A way up has the scores of one candidate; between two candidates the line is broken."""
    display = HalvingDisplay.from_result(raced(hyperband_schedule(9)))
    for line in display.lines_[:-2:2]:
        y = np.append(line.get_ydata(), np.nan)
        for part in np.split(y, np.flatnonzero(np.isnan(y))):
            assert len(np.unique(part[~np.isnan(part)])) <= 1


def test_winner_is_the_search_s_with_the_spread_of_its_folds(search):
    """The star stands at best_score_, the legend gives it and its deviation over the folds."""
    display = HalvingDisplay.from_estimator(search)
    assert display.lines_[-1].get_ydata() == [search.best_score_]
    std = search.cv_results_["std_test_score"][search.best_index_]
    assert f"winner {search.best_score_:.4g} ± {std:.2g}" in labels(display.ax_)
    assert len(display.ax_.containers) == 1


def test_levels_on_the_axis_tell_amount_and_folds(search):
    """Fold steps at the same amount are levels of their own, and say so."""
    ax = HalvingDisplay.from_estimator(search).ax_
    ticks = [tick.get_text().replace("\n", " · ") for tick in ax.get_xticklabels()]
    assert ticks == ["16 · 1 fold", "50 · 1 fold", "150 · 1 fold", "150 · 5 folds"][-len(ticks) :]
    assert ax.get_xlabel() == "What each candidate gets: n_samples, folds"


def test_metric_is_that_of_refit_unless_named(several):
    """With several metrics the axis shows the refit metric, or the one asked for."""
    shown = HalvingDisplay.from_estimator(several)
    assert shown.ax_.get_ylabel() == "Balanced accuracy, mean over folds"
    assert np.array_equal(shown.score, several.cv_results_["mean_test_balanced_accuracy"])
    other = HalvingDisplay.from_estimator(several, metric="accuracy")
    assert np.array_equal(other.score, several.cv_results_["mean_test_accuracy"])
    assert other.best_index == several.best_index_


def test_without_refit_the_best_in_the_metric_wins():
    """Several metrics and refit=False leave no best_index_; the picture still has a winner."""
    search = SuccessiveHalvingSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"max_depth": [1, 2, 3, 4], "min_samples_leaf": [1, 30]},
        scoring=["accuracy", "f1_macro"],
        refit=False,
        random_state=0,
    ).fit(X, Y)
    display = HalvingDisplay.from_estimator(search, metric="f1_macro")
    assert search.cv_results_["rank_test_f1_macro"][display.best_index] == 1


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("plan", [hyperband, successive_halving])
def test_plain_function_direction_is_read_from_who_won(maximize, plan):
    """A result has no direction; those who were promoted and the best show it, even if one alone
    reached the top.
    """
    result = raced(plan(ladder(27, 1, 3), 3), maximize=maximize)
    display = HalvingDisplay.from_result(result, kind="time")
    assert display.maximize == maximize
    assert display.score[display.best_index] == result.best_score
    best = display.lines_[-1].get_ydata()
    assert best[-1] == result.best_score
    assert np.all(np.diff(best) >= 0) if maximize else np.all(np.diff(best) <= 0)


def test_time_counts_kept_folds_once(search):
    """The seconds add up to those of every fit that was made, a kept fold only once."""
    display = HalvingDisplay.from_estimator(search, kind="time")
    results = search.cv_results_
    cost = (results["mean_fit_time"] + results["mean_score_time"]) * results["n_folds"]
    top = dict(zip(results["candidate"], cost, strict=True))
    at_full = results["n_resources"] == search.max_resources_
    expected = cost[~at_full].sum()
    expected += sum(top[c] for c in np.unique(results["candidate"][at_full]))
    assert display.seconds.sum() == pytest.approx(expected)
    assert display.seconds.sum() < cost.sum()


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(1e-6, "Milliseconds"), (1, "Seconds"), (100, "Minutes"), (9999, "Hours")],
)
def test_times_are_told_in_a_unit_that_suits_them(seconds, unit):
    """Nobody reads 36000 seconds as ten hours, or 0.000025 as anything."""
    result = raced(hyperband_schedule(9))
    result.history["seconds"] = np.full(len(result.history["score"]), float(seconds))
    assert HalvingDisplay.from_result(result, kind="time").ax_.get_xlabel().startswith(unit)


def test_schedule_writes_the_number_on_every_rung():
    """The plan shows how many candidates stand on each rung of each bracket."""
    schedule = hyperband_schedule(9)
    display = HalvingDisplay.from_result(raced(schedule), kind="schedule")
    written = [int(text.get_text()) for text in display.ax_.texts]
    assert written == [rung.n_candidates for bracket in schedule for rung in bracket.rungs]


def test_failed_and_far_out_scores_are_counted_not_drawn():
    """NaN and -1e9 would leave no room for the rest: they stand at the edge, with their number."""
    result = raced(hyperband_schedule(27), maximize=False, fail={3, 4}, far={5, 6, 7})
    ax = HalvingDisplay.from_result(result).ax_
    assert "2 failed" in labels(ax)
    assert "3 off the scale" in labels(ax)
    assert ax.get_ylim()[1] < 10


@pytest.mark.parametrize("kind", KINDS)
def test_draws_when_nothing_reached_the_top(kind):
    """After an interrupt the best of the highest level that has a score stands for the winner."""
    result = raced(hyperband_schedule(9))
    low = result.history["n_resources"] < 9
    result.history = {name: column[low] for name, column in result.history.items()}
    display = HalvingDisplay.from_result(result, kind=kind)
    assert result.history["n_resources"][display.best_index] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_draws_when_all_failed(kind):
    """Scores that are all NaN make an empty picture, not an error or a warning."""
    result = raced(hyperband_schedule(9))
    result.history["score"] = np.full(len(result.history["score"]), np.nan)
    display = HalvingDisplay.from_result(result, kind=kind)
    display.figure_.draw_without_rendering()
    assert display.best_index is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(4, 3), (10, 6)])
@pytest.mark.parametrize("n_candidates", [10, 1000])
def test_nothing_covers_anything(kind, size, n_candidates):
    """Legend above the data, below the title; tick labels apart; all of it on the figure."""
    schedule = hyperband(ladder(1347, 149, 3, (1, 5)), 3, n_candidates)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    HalvingDisplay.from_result(raced(schedule), kind=kind, ax=ax)
    figure.draw_without_rendering()
    title, page = ax._left_title.get_window_extent(), figure.bbox
    assert page.x0 <= title.x0 < title.x1 <= page.x1
    assert title.y1 <= page.y1
    if (legend := ax.get_legend()) is not None:
        box = legend.get_window_extent()
        assert ax.bbox.y1 <= box.y0
        assert box.y1 <= title.y0 + 2
        assert box.x1 <= page.x1
    ticks = [tick.get_window_extent() for tick in ax.get_xticklabels() if tick.get_text()]
    for left, right in pairwise(ticks):
        assert left.x1 < right.x0


def test_many_levels_slant_their_names():
    """Names that do not fit beside one another are slanted, so that they can be read."""
    schedule = successive_halving(ladder(10**7, 10**5, 3, (1, 3, 10)), 3)
    _, ax = plt.subplots(figsize=(4, 3), layout="constrained")
    HalvingDisplay.from_result(raced(schedule), kind="schedule", ax=ax)
    assert ax.get_xticklabels()[0].get_rotation() == 45
    assert ax.get_xticklabels()[-1].get_text() == "10M · 10 folds"


def test_line_kw_reaches_the_lines(search):
    """What the user says about lines wins over the defaults."""
    display = HalvingDisplay.from_estimator(search, line_kw={"alpha": 0.123})
    assert {line.get_alpha() for line in display.lines_[:-2]} == {0.123}


def test_errors_name_the_value_and_the_remedy(search):
    """A wrong kind or metric, an unfitted search and one of another class say what to do."""
    with pytest.raises(ValueError, match=r"kind='pie' is unknown; give one of 'scores', 'sched"):
        HalvingDisplay.from_estimator(search, kind="pie")
    with pytest.raises(ValueError, match=r"metric='auc' is not in .*; give one of 'score'"):
        HalvingDisplay.from_estimator(search, metric="auc")
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        HalvingDisplay.from_estimator(HyperbandSearchCV(SVC(), SPACE))
    with pytest.raises(TypeError, match="GridSearchCV has no schedule_"):
        HalvingDisplay.from_estimator(GridSearchCV(SVC(), {"C": [1, 2]}).fit(X, Y))


def test_without_matplotlib_the_error_says_what_to_install(search, monkeypatch):
    """matplotlib is optional: it is missed only when something is drawn."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        HalvingDisplay.from_estimator(search)


# -- in a notebook ----------------------------------------------------------------------------


class Cells(HTMLParser):
    """Tags and texts; unbalanced tags fail."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_summary_shows_brackets_and_best_parameters():
    """A row for each bracket, entering where it starts, and one for each parameter."""
    cells = Cells(summary_html(hyperband_schedule(9), {"C": np.float64(0.5), "kernel": "rbf"}))
    brackets = ["bracket 0", "9", "3", "1", "bracket 1", "5", "1", "bracket 2", "3"]
    start = cells.texts.index("bracket 0")
    assert cells.texts[start : start + 9] == brackets
    assert cells.texts[-4:] == ["C", "0.5", "kernel", "'rbf'"]


def test_summary_names_amounts_and_folds():
    """Levels at the same amount differ by their folds."""
    html = summary_html(hyperband(ladder(90, 30, 3, (1, 5)), 3))
    assert Cells(html).texts[1:5] == [
        "resource · folds",
        "30 · 1 fold",
        "90 · 1 fold",
        "90 · 5 folds",
    ]
    assert "Best parameters" not in html


def test_summary_escapes_everything():
    """Names and values are text: nothing in them becomes a tag, an entity or a script."""
    evil = "<script>alert('&')</script>"
    cells = Cells(summary_html(hyperband_schedule(3), {evil: evil}))
    assert "script" not in cells.tags
    assert cells.texts[-2:] == [evil, repr(evil)]


class ShownSearchCV(HyperbandSearchCV):
    """How an estimator shows the summary below scikit-learn's diagram."""

    def _repr_html_inner(self):
        return super()._repr_html_inner() + self._summary()

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += self._summary()
        return bundle

    def _summary(self):
        if not hasattr(self, "cv_results_"):
            return ""
        return summary_html(self.schedule_, getattr(self, "best_params_", None))


def test_html_of_a_fitted_search_ends_with_the_summary():
    """Both ways in which notebooks ask for HTML give the diagram, then the summary; plain text
    stays plain, and an unfitted search shows the diagram alone.
    """
    search = ShownSearchCV(SVC(), SPACE, n_candidates=5, random_state=0)
    assert "Best parameters" not in search._repr_html_()
    search.fit(X, Y)
    summary = summary_html(search.schedule_, search.best_params_)
    for html in (search._repr_html_(), search._repr_mimebundle_()["text/html"]):
        assert html.endswith(summary)
        assert "sk-container" in html
        assert html.count("Best parameters") == 1
    with config_context(display="text"):
        assert not hasattr(search, "_repr_html_")
        assert "text/html" not in search._repr_mimebundle_()
