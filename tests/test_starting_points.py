"""Starting points: scored first, once, at full resource, whatever else happens."""

import numpy as np
import pytest
from helpers import LADDER, SEARCHES, SPACE, Remember, X, hyperband, rows, y
from sklearn.exceptions import FitFailedWarning

from skhalving import hyperband as plain_hyperband
from skhalving import successive_halving

POINTS = [{"a": 50}, {}, {"a": 3}]


@pytest.mark.parametrize("search", SEARCHES)
def test_they_run_first_at_full_resource(search):
    """The first fits are theirs: each on all rows, on all folds, in the order given."""
    found = search(Remember(a=40), SPACE, starting_points=POINTS, **LADDER).fit(X, y)
    first = [len(fit["y"]) for fit in Remember.fits[:9]]
    assert first == [80] * 9
    assert len({tuple(rows(fit["X"])) for fit in Remember.fits[:9]}) == 3
    assert found.best_params_ == {"a": 50}
    results = found.cv_results_
    mine = results["bracket"] == results["bracket"].max()
    assert [results["params"][i] for i in np.flatnonzero(mine)] == POINTS
    np.testing.assert_allclose(results["mean_test_score"][mine], [0.5, 0.4, 0.03])


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("search", SEARCHES)
def test_nobody_else_is_promoted_for_them(search, n_jobs):
    """The other brackets are those of the search without them, trial by trial."""
    alone = search(Remember(), SPACE, **LADDER).fit(X, y).all_cv_results_
    beside = search(Remember(), SPACE, starting_points=POINTS, n_jobs=n_jobs, **LADDER)
    results = beside.fit(X, y).all_cv_results_
    others = results["bracket"] < results["bracket"].max()
    for name in ("bracket", "level", "candidate", "mean_test_score", "n_resources"):
        np.testing.assert_array_equal(results[name][others], alone[name])
    assert sum(~others) == len(POINTS)


def test_a_point_of_the_grid_is_evaluated_once():
    """It shares the evaluations of the candidate that it equals."""
    found = hyperband(starting_points=[{"a": 3}]).fit(X, y)
    of_three = [fit for fit in Remember.fits if len(fit["y"]) == 80]
    assert len({tuple(rows(fit["X"])) for fit in of_three}) == 3
    assert found.n_fits_ <= found.schedule_.n_fits


def test_the_estimator_as_it_was_given_is_refitted():
    """``{}`` may be the answer."""
    found = hyperband(Remember(a=99), starting_points=[{}]).fit(X, y)
    assert found.best_params_ == {}
    assert found.best_estimator_.a == 99


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([{"b": 1}], "Invalid parameter 'b'"),
        ([{"a": 1}, {"aa": 2}], "Invalid parameter 'aa'"),
        ([3], r"starting_points has 3; each must be a dict"),
        ("a", "starting_points"),
        ([{"least": 1}], "without the resource 'least'"),
    ],
)
@pytest.mark.parametrize("method", ["plan", "fit"])
def test_a_wrong_name_is_found_before_anything_runs(points, message, method):
    """By ``plan`` as by ``fit``."""
    search = hyperband(starting_points=points)
    if "least" in message:
        search.set_params(resource="least", estimator=Remember(least=40))
    with pytest.raises(ValueError, match=message):
        getattr(search, method)(X, y)
    assert Remember.fits == []


def test_they_may_be_added_to_when_a_search_is_resumed(tmp_path):
    """A journal goes on with more of them, and runs those alone that it does not know."""
    journal = tmp_path / "journal"
    first = hyperband(starting_points=POINTS[:1], journal=journal).fit(X, y)
    more = hyperband(starting_points=POINTS, journal=journal).fit(X, y)
    assert 0 < more.n_fits_ <= 6 < first.n_fits_
    assert more.best_params_ == {"a": 50}


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_one_that_fails_costs_itself():
    """The search goes on without it."""
    with pytest.warns(FitFailedWarning, match="bad a=50"):
        found = hyperband(Remember(bad=(50,)), starting_points=POINTS).fit(X, y)
    assert found.best_params_["a"] < 50


@pytest.mark.filterwarnings("ignore:max_time")
def test_without_time_there_is_the_first_of_them():
    """However short the time, the first starting point is evaluated: the answer is what you had."""
    found = hyperband(starting_points=[{"a": 5}], max_time=1e-9).fit(X, y)
    assert found.best_params_ == {"a": 5}


def test_plain_functions_have_them():
    """First, at the maximum, in a bracket of their own."""
    calls = []

    def objective(x, resource):
        calls.append((x, resource))
        return abs(x - 2.5)

    result = successive_halving(objective, range(9), max_resources=9, starting_points=[2.5, -1])
    assert calls[:2] == [(2.5, 9), (-1, 9)]
    assert result.best_configuration == 2.5
    result = plain_hyperband(
        objective,
        lambda rng: rng.uniform(5, 9),
        max_resources=9,
        random_state=0,
        starting_points=[2.5],
    )
    assert result.best_configuration == 2.5
    assert result.history["bracket"].max() == 3


@pytest.mark.parametrize("n_lines", [2, 3, 6, 13])
def test_after_a_kill_they_are_run_once(tmp_path, n_lines):
    """Resumed from the first lines of its journal, a search is what it would have been, and what
    these lines have is not run again."""
    journal = tmp_path / "journal"
    whole = hyperband(starting_points=POINTS, journal=journal).fit(X, y)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:n_lines]))
    again = hyperband(starting_points=POINTS, journal=journal).fit(X, y)
    assert again.n_fits_ == whole.n_fits_ - (n_lines - 2)
    assert again.best_params_ == whole.best_params_
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"]
    )
