"""The pictures of a search."""

from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, hyperband_schedule
from skhalving.display import COLOURS, HalvingDisplay
from skhalving.race import Race
from skhalving.schedule import ladder, published, published_bracket

KINDS = ["scores", "schedule", "time", "parameters"]
ONE_AXES = KINDS[:3]
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
    while trial := race.ask():
        score = np.nan if trial.candidate in fail else trial.candidate / 1000
        score = 1e9 if trial.candidate in far else score
        race.tell(trial, score if maximize else -score)
        amount, i = race.rung(trial).n_resources, schedule.iter(trial.bracket, trial.level)
        rows.append((trial.bracket, i, trial.candidate, amount, score, 0.5))
    columns = ("bracket", "iter", "candidate", "n_resources", "score", "seconds")
    history = dict(zip(columns, map(np.array, zip(*rows, strict=True)), strict=True))
    amount = schedule.levels[-1].n_resources
    top = history["score"][history["n_resources"] == amount]
    best = np.nanmax(top) if maximize else np.nanmin(top)
    return SimpleNamespace(
        schedule=schedule,
        history=history,
        configurations=[{"x": c, "kind": "ab"[c % 2]} for c in range(schedule.n_candidates)],
        best_score=best,
        best_resource=amount,
        maximize=maximize,
    )


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
    assert set(display.lines_) <= {line for panel in figure.axes for line in panel.lines}
    assert display.lines_
    assert ax.get_xlabel() or display.panels_


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
    ways = display.lines_[:-1]
    x, y = (np.concatenate([getattr(line, f"get_{axis}data")() for line in ways]) for axis in "xy")
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    assert sorted(y) == sorted(result.history["score"])
    amounts = np.array([level.n_resources for level in result.schedule.levels])
    assert sorted(amounts[np.round(x).astype(int)]) == sorted(result.history["n_resources"])


def test_ways_join_a_candidate_with_itself_only():
    """A way up has the scores of one candidate; between two candidates the line is broken."""
    display = HalvingDisplay.from_result(raced(hyperband_schedule(9)))
    for line in display.lines_[:-1]:
        y = np.append(line.get_ydata(), np.nan)
        for part in np.split(y, np.flatnonzero(np.isnan(y))):
            assert len(np.unique(part[~np.isnan(part)])) <= 1


def test_winner_is_the_search_s_with_the_spread_of_its_folds(search):
    """The star stands at best_score_, the legend gives it and its deviation over the folds."""
    display = HalvingDisplay.from_estimator(search)
    winner = display.lines_[-1]
    assert winner.get_marker() == "*"
    assert winner.get_ydata()[winner.get_markevery()] == [search.best_score_]
    bracket = search.cv_results_["bracket"][search.best_index_]
    assert winner.get_markerfacecolor() == COLOURS[bracket]
    std = search.cv_results_["std_test_score"][search.best_index_]
    assert f"winner {search.best_score_:.4g} ± {std:.2g}" in labels(display.ax_)
    assert len(display.ax_.containers) == 1


def test_levels_on_the_axis_tell_amount_and_folds(search):
    """Fold steps at the same amount are levels of their own, and say so."""
    ax = HalvingDisplay.from_estimator(search).ax_
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    expected = ["16\n1 fold", "50\n1 fold", "150\n1 fold", "150\n5 folds"]
    assert ticks == expected[-len(ticks) :]
    assert ax.get_xlabel().splitlines()[0] == "n_samples"


def test_metric_is_that_of_refit_unless_named(several):
    """With several metrics the axis shows the refit metric, or the one asked for."""
    shown = HalvingDisplay.from_estimator(several)
    assert shown.ax_.get_ylabel() == "balanced_accuracy"
    assert np.array_equal(shown.score, several.all_cv_results_["mean_test_balanced_accuracy"])
    other = HalvingDisplay.from_estimator(several, metric="accuracy")
    assert np.array_equal(other.score, several.all_cv_results_["mean_test_accuracy"])
    at_best = several.all_cv_results_["params"][other.best_index]
    assert at_best == several.best_params_


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
    assert display.score[display.best_index] == search.cv_results_["mean_test_f1_macro"].max()


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("plan", [published, published_bracket])
def test_best_so_far_is_on_the_better_side(maximize, plan):
    """A result says whether larger is better, and the line of the best goes that way only."""
    result = raced(plan(ladder(27, 1, 3), 3), maximize=maximize)
    display = HalvingDisplay.from_result(result, kind="time")
    assert display.score[display.best_index] == result.best_score
    best = display.lines_[-1].get_ydata()
    assert best[-1] == result.best_score
    assert np.all(np.diff(best) >= 0) if maximize else np.all(np.diff(best) <= 0)


def test_time_counts_kept_folds_once(search):
    """The seconds add up to those of every fit that was made, a kept fold only once."""
    display = HalvingDisplay.from_estimator(search, kind="time")
    results = search.all_cv_results_
    cost = (results["mean_fit_time"] + results["mean_score_time"]) * results["n_folds"]
    top = dict(zip(results["candidate"], cost, strict=True))
    at_full = results["n_resources"] == search.max_resources_
    expected = cost[~at_full].sum()
    expected += sum(top[c] for c in np.unique(results["candidate"][at_full]))
    assert display.seconds.sum() == pytest.approx(expected)
    assert display.seconds.sum() < cost.sum()


def test_schedule_writes_the_number_on_every_rung():
    """The plan shows how many candidates stand on each rung of each bracket."""
    schedule = hyperband_schedule(9)
    display = HalvingDisplay.from_result(raced(schedule), kind="schedule")
    written = [int(text.get_text()) for text in display.ax_.texts]
    assert written == [rung.n_candidates for bracket in schedule for rung in bracket.rungs]


def test_failed_and_far_out_scores_are_counted_not_drawn():
    """NaN and -1e9 would leave no room for the rest: the legend says how many there are."""
    result = raced(hyperband_schedule(27), maximize=False, fail={3, 4}, far={5, 6, 7})
    ax = HalvingDisplay.from_result(result).ax_
    n_out = np.sum(~(result.history["score"] < 1e9))
    assert f"{n_out} failed or off the axis" in labels(ax)
    assert ax.get_ylim()[1] < 10


@pytest.mark.parametrize("kind", KINDS)
def test_draws_when_nothing_reached_the_top(kind):
    """After an interrupt the best of the highest level that has a score stands for the winner."""
    result = raced(hyperband_schedule(9))
    low = result.history["n_resources"] < 9
    result.history = {name: column[low] for name, column in result.history.items()}
    result.best_resource = 3
    result.best_score = result.history["score"][result.history["n_resources"] == 3].max()
    display = HalvingDisplay.from_result(result, kind=kind)
    assert result.history["n_resources"][display.best_index] == 3


@pytest.mark.parametrize("kind", ONE_AXES)
@pytest.mark.parametrize("size", [(4, 3), (10, 6)])
@pytest.mark.parametrize("n_candidates", [10, 1000])
def test_nothing_covers_anything(kind, size, n_candidates):
    """The legend stands above the data, with the winner's spread in it; tick labels are apart; all
    of it is on the figure."""
    schedule = published(ladder(1347, 149, 3, (1, 5)), 3, n_candidates)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    display = HalvingDisplay.from_result(raced(schedule))
    display.score_std += 0.0123
    display.plot(ax, kind=kind)
    figure.draw_without_rendering()
    page = figure.bbox
    if (legend := ax.get_legend()) is not None:
        box = legend.get_window_extent()
        assert ax.bbox.y1 <= box.y0
        assert box.y1 <= page.y1
        assert box.x1 <= page.x1
    ticks = [tick.get_window_extent() for tick in ax.get_xticklabels() if tick.get_text()]
    for left, right in pairwise(ticks):
        assert left.x1 < right.x0


def test_errors_name_the_value_and_the_remedy(search):
    """A wrong kind or metric and an unfitted search say what to do."""
    with pytest.raises(ValueError, match=r"kind='pie' is unknown; give 'scores', 'schedule',"):
        HalvingDisplay.from_estimator(search, kind="pie")
    with pytest.raises(ValueError, match=r"metric='auc' is not in .*; give one of 'score'"):
        HalvingDisplay.from_estimator(search, metric="auc")
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        HalvingDisplay.from_estimator(HyperbandSearchCV(SVC(), SPACE))
