"""The pictures of a search."""

import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import loguniform, spearmanr, uniform
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from skhalving import (
    HyperbandSearchCV,
    SuccessiveHalvingSearchCV,
    hyperband,
    hyperband_schedule,
    rank_agreement,
)
from skhalving.__main__ import table
from skhalving.display import COLOURS, HalvingDisplay
from skhalving.journal import Journal, read
from skhalving.race import Race
from skhalving.schedule import ladder, published, published_bracket
from skhalving.task import Outcome

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
    assert np.array_equal(
        shown.trials.score, several.all_cv_results_["mean_test_balanced_accuracy"]
    )
    other = HalvingDisplay.from_estimator(several, metric="accuracy")
    assert np.array_equal(other.trials.score, several.all_cv_results_["mean_test_accuracy"])
    at_best = several.all_cv_results_["params"][other.trials.best_index]
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
    assert (
        display.trials.score[display.trials.best_index]
        == search.cv_results_["mean_test_f1_macro"].max()
    )


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("plan", [published, published_bracket])
def test_best_so_far_is_on_the_better_side(maximize, plan):
    """A result says whether larger is better, and the line of the best goes that way only."""
    result = raced(plan(ladder(27, 1, 3), 3), maximize=maximize)
    display = HalvingDisplay.from_result(result, kind="time")
    assert display.trials.score[display.trials.best_index] == result.best_score
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
    assert display.trials.seconds.sum() == pytest.approx(expected)
    assert display.trials.seconds.sum() < cost.sum()


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
    assert result.history["n_resources"][display.trials.best_index] == 3


@pytest.mark.parametrize("kind", ONE_AXES)
@pytest.mark.parametrize("size", [(4, 3), (10, 6)])
@pytest.mark.parametrize("n_candidates", [10, 1000])
def test_nothing_covers_anything(kind, size, n_candidates):
    """The legend stands above the data, with the winner's spread in it; tick labels are apart; all
    of it is on the figure."""
    schedule = published(ladder(1347, 149, 3, (1, 5)), 3, n_candidates)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    display = HalvingDisplay.from_result(raced(schedule))
    display.trials.score_std += 0.0123
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


# -- where scores crowd -----------------------------------------------------------------------


def places_on_page(ax, scores):
    """Where scores stand on the height of the axes, 0 to 1."""
    pixels = ax.transData.transform([(0, score) for score in scores])[:, 1]
    return (pixels - ax.bbox.y0) / ax.bbox.height


@pytest.mark.parametrize(
    ("scores", "maximize"),
    [
        (1 - np.geomspace(0.5, 0.005, 40), True),  # accuracies
        (-np.geomspace(1e3, 1e1, 40), True),  # neg_mean_squared_error
        (np.geomspace(1, 1e-2, 40), False),  # a loss
        (np.append(1 - np.geomspace(0.5, 0.005, 39), 1.0), True),  # one is perfect
    ],
)
def test_scores_that_crowd_against_a_bound_are_spread(scores, maximize):
    """The better half has nearly half of the height, in order and on the page; ticks are scores."""
    schedule = published_bracket(ladder(1, 1, 3), 3, 40)
    result = raced(schedule, maximize=maximize)
    result.history["score"], result.best_score = scores, scores[-1]
    display = HalvingDisplay.from_result(result)
    display.figure_.draw_without_rendering()
    height = places_on_page(display.ax_, scores)
    height = height if maximize else 1 - height
    assert np.all(np.diff(height) > 0)
    assert 0 < height[0] < height[-1] < 1
    assert height[-1] - height[20] > 0.3
    low, high = sorted(display.ax_.get_ylim())
    ticks = [float(t.get_text()) for t in display.ax_.get_yticklabels()]
    assert len(ticks) >= 3
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == pytest.approx(display.ax_.get_yticks(), rel=1e-6)


@pytest.mark.parametrize("scores", [np.linspace(0.2, 0.9, 40), np.linspace(-3, 3, 40), [0.5] * 40])
def test_scores_that_do_not_crowd_keep_a_plain_axis(scores):
    """So do scores on both sides of a bound, which is none."""
    result = raced(published_bracket(ladder(1, 1, 3), 3, 40))
    result.history["score"], result.best_score = np.array(scores), scores[-1]
    assert HalvingDisplay.from_result(result).ax_.get_yscale() == "linear"


def test_time_leaves_no_width_empty():
    """Scores of lower levels stand where their time went, fainter than those of the highest."""
    result = raced(hyperband_schedule(27))
    display = HalvingDisplay.from_result(result, kind="time")
    x = np.unique(np.concatenate([line.get_xdata() for line in display.lines_[:-1]]))
    x = x[np.isfinite(x)]
    left, right = display.ax_.get_xlim()
    assert np.diff([left, *x, right]).max() < 0.05 * (right - left)
    faint = {line.get_alpha() for line in display.lines_[:-1] if line.get_label()[0] == "_"}
    assert max(faint) < 1


@pytest.mark.parametrize(
    ("estimator", "scoring", "name"),
    [
        (SVC(), None, "accuracy"),
        (SVR(), None, "R²"),
        (SVC(), "f1_macro", "f1_macro"),
        (SVC(), lambda estimator, X, y: estimator.score(X, y), "score"),
    ],
)
def test_axis_names_the_metric(estimator, scoring, name):
    """As ``scoring`` names it, or by the estimator's own; a function is the score."""
    search = SuccessiveHalvingSearchCV(estimator, {"C": [1, 2, 3]}, scoring=scoring, cv=2).fit(X, Y)
    assert HalvingDisplay.from_estimator(search).ax_.get_ylabel() == name


# -- parameters -------------------------------------------------------------------------------


def tried(space, n, score, max_resources=9):
    """A race over n configurations of a space; the score may look at the configuration."""
    return hyperband(
        lambda c, r: score(c), space, max_resources=max_resources, n_candidates=n, random_state=0
    )


def test_a_panel_for_each_parameter_most_telling_first():
    """A dot for each candidate at its last score; log axis for log-uniform, strips for categories;
    a parameter of one value has none."""
    space = {
        "noise": uniform(0, 1),
        "kind": [2, None, 10],
        "lr": loguniform(1e-5, 1),
        "only": ["one"],
    }
    result = tried(space, 60, lambda c: abs(np.log10(c["lr"]) + 2))
    display = HalvingDisplay.from_result(result, kind="parameters")
    display.figure_.draw_without_rendering()
    titles = [panel.get_title() for panel in display.panels_]
    assert titles[0].split()[0] == "lr"
    assert {title.split()[0] for title in titles} == {"lr", "kind", "noise"}
    shares = [float(title.split()[1]) for title in titles]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.4 > 0.2 > shares[1]
    scales = {p.get_title().split()[0]: p.get_xscale() for p in display.panels_}
    assert scales == {"lr": "log", "kind": "linear", "noise": "linear"}
    (kind,) = (panel for panel in display.panels_ if panel.get_title().startswith("kind"))
    assert [t.get_text() for t in kind.get_xticklabels()] == ["2", "10", "None"]
    for panel, star in zip(display.panels_, display.lines_, strict=True):
        dots = [line for line in panel.lines if line is not star]
        assert sum(np.isfinite(line.get_ydata()).sum() for line in dots) <= 60
        assert star.get_ydata() == [result.best_score]


@pytest.mark.parametrize("n", [10, 1000])
@pytest.mark.parametrize("n_parameters", [2, 20])
def test_at_most_twelve_panels_and_the_rest_is_said(n, n_parameters):
    """The title counts both; no two panels and no legend overlap, on axes of one's own as well."""
    space = {f"p{i}": uniform(0, 1) for i in range(n_parameters)}
    result = tried(space, n, lambda c: c["p0"])
    figure, axes = plt.subplots(1, 2, figsize=(16, 8), layout="constrained")
    display = HalvingDisplay.from_result(result, kind="parameters", ax=axes[1])
    figure.draw_without_rendering()
    assert len(display.panels_) == min(12, n_parameters)
    (legend,) = (legend for page in figure.subfigs for legend in page.legends)
    assert f"{len(display.panels_)} of {n_parameters} parameters" in legend.get_title().get_text()
    boxes = [panel.get_tightbbox() for panel in display.panels_]
    boxes += [legend.get_window_extent(), axes[0].get_tightbbox()]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_parameters_of_several_dicts_stand_side_by_side():
    """Each panel has those candidates alone that have the parameter."""
    space = [{"kind": ["a"], "x": uniform(0, 1)}, {"kind": ["b"], "y": uniform(0, 1)}]
    result = tried(space, 40, lambda c: c.get("x", 2))
    display = HalvingDisplay.from_result(result, kind="parameters")
    of = {panel.get_title().split()[0]: panel for panel in display.panels_}
    n = {name: sum(len(line.get_xdata()) for line in of[name].lines) for name in of}
    has_x = sum("x" in c for c in result.configurations)
    assert n == {"x": has_x + 1, "y": 40 - has_x, "kind": 41}  # and the winner's star


def test_nothing_varies_is_an_error():
    """One value of everything cannot be drawn."""
    result = tried({"kind": ["a"]}, 1, lambda c: 1.0)
    with pytest.raises(ValueError, match="no parameter has two values"):
        HalvingDisplay.from_result(result, kind="parameters")


# -- from a journal ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "search.jsonl"
    space = {"C": loguniform(1e-3, 1e3), "kernel": ["rbf", "linear"]}
    search = HyperbandSearchCV(SVC(), space, n_candidates=30, random_state=0, journal=path)
    return search.fit(X, Y), path


def test_a_whole_journal_draws_what_the_search_draws(written):
    """Row for row, also the folds that were kept; the journal knows no name of the metric."""
    search, path = written
    seen, known = HalvingDisplay.from_journal(path), HalvingDisplay.from_estimator(search)
    assert seen.trials.schedule == known.trials.schedule
    for name in ("bracket", "level", "candidate", "score", "score_std", "seconds"):
        assert getattr(seen.trials, name) == pytest.approx(getattr(known.trials, name)), name
    assert seen.trials.best_index == known.trials.best_index
    assert list(seen.trials.params) == list(known.trials.params)
    assert seen.trials.resource_name == "n_samples"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_lines", [3, 41])
def test_a_journal_draws_at_any_time(written, tmp_path, kind, n_lines):
    """Whatever is written by then, and the file is as it was."""
    path = tmp_path / "part.jsonl"
    lines = written[1].read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: n_lines + 1]) + b'{"torn')
    before = path.read_bytes()
    display = HalvingDisplay.from_journal(path, kind=kind)
    display.figure_.draw_without_rendering()
    assert path.read_bytes() == before
    assert display.trials.schedule.n_candidates >= len(np.unique(display.trials.candidate))


def test_a_journal_of_nothing_says_so(written, tmp_path):
    """A plan alone has nothing to draw, and a header alone no plan; a metric that is not there is
    named."""
    path = tmp_path / "header.jsonl"
    header, plan, *_ = written[1].read_bytes().splitlines(keepends=True)
    for content, message in [(header, "has no plan yet"), (header + plan, "has a score yet")]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            HalvingDisplay.from_journal(path)
    with pytest.raises(ValueError, match=r"metric='auc' is not in .*give one of 'score'"):
        HalvingDisplay.from_journal(written[1], metric="auc")


@pytest.mark.parametrize("kind", ONE_AXES)
def test_a_journal_of_failures_alone(written, tmp_path, kind):
    """The first evaluations may fail; they are drawn as such, and the table counts them."""
    path = tmp_path / "failed.jsonl"
    path.write_bytes(b"".join(written[1].read_bytes().splitlines(keepends=True)[:2]))
    record = next(read(written[1])[1])
    with closing(Journal(path)) as journal:
        journal.begin(*journal.header[:2])
        journal.write(record._replace(score=np.nan, outcome=Outcome({}, 0.5, error="as asked")))
    display = HalvingDisplay.from_journal(path, kind=kind)
    display.figure_.draw_without_rendering()
    assert np.isnan(display.trials.score).all()
    assert table(path).splitlines()[1].split()[3:] == ["1", "30", "1", "0.5", "nan"]


def test_the_table_of_a_journal(written, tmp_path):
    """``python -m skhalving`` prints a line a level, with what ran there, the best so far, and that
    nothing is left."""
    search, path = written

    command = [sys.executable, "-m", "skhalving", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    lines = printed.stdout.splitlines()
    every, levels = search.all_cv_results_, search.schedule_.levels
    for i, (line, (amount, n_folds)) in enumerate(zip(lines[1:], levels, strict=False)):
        best = every["mean_test_score"][every["level"] == i].max()
        n = search.schedule_.fits_at(i)
        cells = line.split()
        assert cells[:6] == [f"{cell}" for cell in (i + 1, amount, n_folds, n, n, 0)]
        assert cells[7] == f"{best:.6g}"
    assert f"{search.best_score_:.6g} on level {len(levels)}" in lines[len(levels) + 1]
    assert f"{search.best_params_['C']}" in lines[len(levels) + 1]
    assert f" 0 of {search.n_fits_} evaluations, 0.0% of" in lines[len(levels) + 2]


def test_the_table_of_a_file_that_is_not_there(tmp_path, monkeypatch, capsys):
    """The command ends with an error that names it."""
    from skhalving import __main__ as command

    monkeypatch.setattr(sys, "argv", ["skhalving", str(tmp_path / "no.jsonl")])
    with pytest.raises(SystemExit, match="1"):
        command.main()
    assert "no.jsonl" in capsys.readouterr().err


def test_watching_a_journal(written, monkeypatch, capsys):
    """``--watch`` prints the table again and again, on a cleared screen, until Ctrl-C."""
    from skhalving import __main__ as command

    search, path = written
    naps = iter([None, KeyboardInterrupt])

    def sleep(seconds):
        assert seconds == 0.5
        if (end := next(naps)) is not None:
            raise end

    monkeypatch.setattr(sys, "argv", ["skhalving", str(path), "--watch", "0.5"])
    monkeypatch.setattr(command.time, "sleep", sleep)
    command.main()
    first, again = capsys.readouterr().out.split(command.CLEAR)
    assert first.splitlines()[:-1] == again.splitlines()[:-1]  # but for the seconds since the last
    assert f"{search.best_score_:.6g}" in first


# -- how far levels can be trusted ------------------------------------------------------------


def test_agreement_is_spearmans_over_those_on_both_levels():
    """By scipy, pair by pair; the interval is around it, and the share cut is counted by hand."""
    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-6, 1)}
    data = [part[:300] for part in load_digits(return_X_y=True)]
    search = HyperbandSearchCV(SVC(), space, cv=3, n_candidates=40, random_state=0).fit(*data)
    agreement, every = rank_agreement(search), search.all_cv_results_
    n_levels = len(search.schedule_.levels)
    assert all(len(column) == n_levels - 1 for column in agreement.values())
    for level in range(n_levels - 1):
        lower, upper = (
            dict(zip(every["candidate"][at], every["mean_test_score"][at], strict=True))
            for at in (every["level"] == level, every["level"] == level + 1)
        )
        both = sorted(lower.keys() & upper.keys())
        assert agreement["n_candidates"][level] == len(both)
        assert agreement["n_resources"][level] == search.n_resources_[level]
        rho = agreement["correlation"][level]
        if len(both) < 4 or 1 in (len({lower[c] for c in both}), len({upper[c] for c in both})):
            assert np.isnan(rho)
            continue
        expected = spearmanr([lower[c] for c in both], [upper[c] for c in both]).statistic
        assert rho == pytest.approx(expected)
        assert agreement["low"][level] <= rho <= agreement["high"][level]
        third = -(-len(both) // 3)
        best = [sorted(both, key=lambda c: -scores[c])[:third] for scores in (lower, upper)]
        assert agreement["cut"][level] == pytest.approx(1 - len({*best[0]} & {*best[1]}) / third)
    line = HalvingDisplay.from_estimator(search).ax_.get_xlabel().splitlines()[1]
    for rho in agreement["correlation"][~np.isnan(agreement["correlation"])]:
        assert f"{rho:.2f}" in line


@pytest.mark.parametrize("sign", [1, -1])
def test_agreement_of_levels_that_mislead(sign):
    """1 where a level ranks as the next does and nothing is cut, -1 where it ranks the other way
    round and all of the best third are; of a plain function too, whichever way is better."""
    result = raced(published_bracket(ladder(9, 1, 3), 3, 90))
    low = result.history["n_resources"] == 1
    result.history["score"][low] *= sign
    agreement = rank_agreement(result)
    assert agreement["correlation"][0] == pytest.approx(sign)
    assert agreement["cut"][0] == (sign < 0)
    assert agreement["correlation"][1] == pytest.approx(1)
