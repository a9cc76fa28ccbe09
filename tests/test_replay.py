"""A journal alone tells what its search knows, and what is left of it, at any time."""

import numpy as np
import pytest
from helpers import Remember, X, y
from scipy.stats import uniform

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, hyperband
from skhalving.__main__ import table
from skhalving.trials import Replay, Trials

SPACE = {"a": uniform(0, 1)}
POINTS = [{"a": 0.5}, {}]


def left(path):
    """By the last but one line of the table: of how many evaluations."""
    line = table(path).splitlines()[-2].split()
    assert (line[0], line[2], line[4]) == ("left", "of", "evaluations,")
    return int(line[1]), int(line[3])


def after_each_line(path):
    """What is left when the journal ends there, from the plan alone to the whole of it; and how
    many evaluations were still to be run."""
    lines = path.read_bytes().splitlines(keepends=True)
    cut = path.with_name("cut")
    for n_lines in range(2, len(lines) + 1):
        cut.write_bytes(b"".join(lines[:n_lines]))
        yield left(cut)[0], len(lines) - n_lines


def assert_same_table(path, other):
    mine = Trials.of(path)
    assert mine.schedule == other.schedule
    for name in ("bracket", "level", "candidate", "score", "score_std"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(other, name), err_msg=name)
    assert mine.seconds == pytest.approx(other.seconds)
    assert list(mine.params) == list(other.params)
    assert mine.best_index == other.best_index


@pytest.mark.filterwarnings("ignore:n_candidates=")
@pytest.mark.parametrize("points", [None, POINTS])
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (HyperbandSearchCV, {"cv": 3, "n_candidates": 13}),
        (HyperbandSearchCV, {"cv": 7, "n_candidates": 20}),  # folds of unequal sizes
        (HyperbandSearchCV, {"cv": 3, "n_candidates": 2}),
        (HyperbandSearchCV, {"cv": 3, "schedule": "published"}),
        (HyperbandSearchCV, {"cv": 3, "n_candidates": 13, "folds": "all"}),
        (SuccessiveHalvingSearchCV, {"cv": 10, "n_candidates": 30}),
    ],
)
def test_what_is_left_is_what_will_be_run(tmp_path, kind, options, n_jobs, points):
    """After every line, to the evaluation, though levels on more folds keep those of before; and in
    the end the journal has the search's own table."""
    path = tmp_path / "journal"
    search = kind(
        Remember(), SPACE, journal=path, random_state=0, starting_points=points, n_jobs=n_jobs,
        min_resources=40, refit=False, **options,
    ).fit(X, y)  # fmt: skip
    counts = list(after_each_line(path))
    assert len(counts) == search.n_fits_ + 1
    assert all(said == found for said, found in counts)
    assert left(path) == (0, search.schedule_.n_fits)
    assert_same_table(path, Trials.of(search))


@pytest.mark.parametrize("points", [None, [{"x": 1.0}]])
def test_what_is_left_of_a_function(tmp_path, points):
    """The same, where the smaller score is the better one."""
    path = tmp_path / "journal"
    result = hyperband(
        lambda c, amount: (c["x"] - 2) ** 2 + 1 / amount, {"x": uniform(0, 4)}, max_resources=9,
        random_state=0, journal=path, starting_points=points,
    )  # fmt: skip
    assert all(said == found for said, found in after_each_line(path))
    assert_same_table(path, Trials.of(result))


def equal_candidates(path):
    """A starting point, and points of a grid twice, one of them in NumPy's numbers, and one that
    reads differently."""
    grid = [{"a": list(range(9))}, {"a": np.arange(3, 6)}, {"a": [0.0, -0.0]}]
    search = HyperbandSearchCV(
        Remember(), grid, cv=3, journal=path, random_state=0, starting_points=[{"a": 8}]
    )
    return search.fit(X, y)


def stopped_early(path):
    """Trees that more of the resource would not add to."""
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    boost = lightgbm.LGBMClassifier(verbose=-1, n_jobs=1, early_stopping_rounds=2, n_estimators=27)
    search = HyperbandSearchCV(
        boost, {"learning_rate": uniform(0, 1)}, resource="n_estimators", eval_set="fold", cv=3,
        n_candidates=13, journal=path, random_state=0,
    )  # fmt: skip
    return search.fit(X, y)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("run", [equal_candidates, stopped_early])
def test_evaluations_that_are_spared(tmp_path, run):
    """Where fewer run than are planned, what is left is never too little, never grows, and ends at
    none; the table is the search's own."""
    path = tmp_path / "journal"
    search = run(path)
    assert search.n_fits_ < search.schedule_.n_fits
    said, found = zip(*after_each_line(path), strict=True)
    assert all(a >= b for a, b in zip(said, found, strict=True))
    assert list(said) == sorted(said, reverse=True)
    assert said[-1] == 0
    assert_same_table(path, Trials.of(search))


@pytest.mark.parametrize("n_candidates", [12, 5])
def test_a_search_that_goes_further(tmp_path, n_candidates):
    """The plan is that of the last search, of which the evaluations of before are a part; also of
    one that has fewer candidates than another before it."""
    path = tmp_path / "journal"
    options = {"cv": 3, "journal": path, "random_state": 0, "refit": False}
    for n in dict.fromkeys([5, 9, n_candidates]):
        search = HyperbandSearchCV(Remember(), SPACE, n_candidates=n, **options).fit(X, y)
        assert left(path) == (0, search.schedule_.n_fits)
        assert_same_table(path, Trials.of(search))
    search.set_params(starting_points=POINTS).fit(X, y)
    assert left(path) == (0, search.schedule_.n_fits)
    assert_same_table(path, Trials.of(search))


@pytest.mark.filterwarnings("ignore:max_time")
def test_what_time_has_left(tmp_path):
    """It is still left, and so is all of the resource but that of the one evaluation."""
    path = tmp_path / "journal"
    HyperbandSearchCV(
        Remember(), SPACE, cv=3, journal=path, random_state=0, max_time=1e-9, refit=False
    ).fit(X, y)
    n_left, n_planned = left(path)
    assert n_left == n_planned - 1
    levels, plan = Replay(path).schedule.levels, Replay(path).schedule
    amount = sum(plan.fits_at(i) * level.n_resources for i, level in enumerate(levels))
    share = f"{1 - levels[0].n_resources / amount:.1%}"
    assert table(path).splitlines()[-2].endswith(f"evaluations, {share} of the resource")


def test_before_a_candidate_has_a_score(tmp_path):
    """The table says so, with the part of the resource that is left; the file of a search that has
    not begun is an error."""
    path = tmp_path / "journal"
    HyperbandSearchCV(
        Remember(), SPACE, cv=3, journal=path, random_state=0, starting_points=POINTS, refit=False
    ).fit(X, y)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    first, second, _ = table(path).splitlines()
    n = Replay(path).schedule.n_fits
    assert first == "no candidate has a score yet"
    assert second.startswith(f"left         {n - 2} of {n} evaluations, ")
    path.write_bytes(lines[0])
    with pytest.raises(ValueError, match=r"journal has no plan yet; look again when"):
        table(path)
