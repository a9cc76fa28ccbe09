"""What is planned is what happens, with one answer in any order and for every n_jobs."""

import warnings
from collections import Counter

import joblib
import numpy as np
import pytest
from helpers import (
    LADDER,
    LEVELS,
    SEARCHES,
    SPACE,
    N,
    Remember,
    X,
    assert_same_results,
    hyperband,
    plan_in,
    plan_of,
    rows,
    trees,
    y,
)
from numpy.testing import assert_array_equal
from scipy.stats import randint, uniform
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted

from skhalving import Bracket, HyperbandSearchCV, Schedule


@pytest.fixture(scope="module")
def reference():
    """A search on one process, with a space that needs the seed."""
    return seeded().fit(X, y)


def seeded(**options):
    space = {"max_depth": randint(1, 9), "min_impurity_decrease": uniform(0, 0.1)}
    return HyperbandSearchCV(
        DecisionTreeClassifier(random_state=0), space, **{**LADDER, "random_state": 7, **options}
    )


@pytest.mark.parametrize(
    ("backend", "n_jobs"),
    [("loky", 1), ("loky", 2), ("threading", 4), ("sequential", 2), ("multiprocessing", 4)],
)
def test_same_results_for_every_n_jobs(reference, backend, n_jobs):
    """The same seed gives the same ``cv_results_`` and the same best, whoever does the work."""
    with joblib.parallel_backend(backend):
        search = seeded(n_jobs=n_jobs).fit(X, y)
    assert_same_results(search.all_cv_results_, reference.all_cv_results_)
    assert search.best_index_ == reference.best_index_


def test_same_seed_same_results(reference):
    """A fit is a function of its arguments: the same again, also by the same object; a RandomState
    stands for the seed that it yields."""
    search = seeded()
    for _ in range(2):
        assert_same_results(search.fit(X, y).all_cv_results_, reference.all_cv_results_)
    one, other = (seeded(random_state=np.random.RandomState(3)).fit(X, y) for _ in range(2))
    assert_same_results(one.all_cv_results_, other.all_cv_results_)
    assert one.all_cv_results_["params"] != reference.all_cv_results_["params"]


def test_the_global_random_state_is_left_alone():
    """With an int seed nothing is drawn from numpy's global state."""
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    seeded().fit(X, y)
    assert_array_equal(np.random.get_state()[1], before)


def test_a_shuffling_cv_needs_no_seed():
    """A cv that shuffles anew at every call is asked once: all candidates of a level have the same
    folds, and low rungs are cut from the first of them."""
    search = hyperband(cv=KFold(3, shuffle=True), refit=False).fit(X, y)
    trained = {tuple(rows(fit["X"])) for fit in Remember.fits}
    assert Counter(map(len, trained)) == {26: 1, 80: 3}
    scored = [tuple(rows(call["X"])) for call in Remember.scored]
    assert Counter(map(len, set(scored))) == {40: 3}
    assert sorted(i for fold in set(scored) for i in fold) == list(range(N))
    low = next(set(fold) for fold in trained if len(fold) == 26)
    assert sum(low <= set(fold) for fold in trained) == 2  # itself and one whole fold
    assert len(Remember.fits) == search.schedule_.n_fits


def test_an_iterable_of_splits():
    """``cv`` may be an iterable of splits, a generator included."""
    splits = list(StratifiedKFold(3).split(X, y))
    listed = trees(cv=splits).fit(X, y)
    once = trees(cv=(split for split in splits)).fit(X, y)
    assert_same_results(listed.all_cv_results_, trees().fit(X, y).all_cv_results_)
    assert_same_results(listed.all_cv_results_, once.all_cv_results_)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("n_candidates", ["auto", 1, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": "hedged"},
        {"folds": "all"},
        {"factor": 2, "min_resources": 9},
        {"cv": 5, "min_resources": "auto"},
        {"cv": ShuffleSplit(1), "max_resources": 60},
        {"resource": "least", "min_resources": 2, "factor": 4},
        {"param_distributions": {"a": randint(0, 99), "bad": [(), (100,)]}},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:n_candidates=.* is too few")
def test_the_plan_is_what_happens(search, n_candidates, options):
    """The plan printed before ``fit`` is the multiset of (bracket, iter, n_resources, n_folds) in
    ``cv_results_`` after, and ``schedule_``."""
    options = {"param_distributions": SPACE, **LADDER, **options, "n_candidates": n_candidates}
    planned = search(Remember(least=40 if "resource" in options else 0), **options)
    before = planned.plan(X, y)
    planned.fit(X, y)
    assert plan_of(before) == plan_in(planned.all_cv_results_) == plan_of(planned.schedule_)
    assert str(before) == str(planned.schedule_)
    if n_candidates != "auto":
        assert before.n_candidates == n_candidates


def test_plan_leaves_no_trace():
    """Asking for the plan does not make a search look fitted, nor move its random state."""
    state = np.random.RandomState(0)
    search = seeded(random_state=state)
    search.plan(X, y)
    assert state.randint(2**31 - 1) == np.random.RandomState(0).randint(2**31 - 1)
    with pytest.raises(NotFittedError):
        check_is_fitted(search)
    with pytest.raises(NotFittedError):
        search.predict(X)


def test_the_attributes_agree():
    """``n_resources_``, ``min_resources_``, ``max_resources_``, ``n_candidates_`` and ``schedule_``
    tell one story, that of ``cv_results_``."""
    search = hyperband().fit(X, y)
    results = search.all_cv_results_
    assert search.n_resources_ == [amount for amount, _ in LEVELS]
    assert (search.min_resources_, search.max_resources_) == (40, 120)
    levels = list(zip(results["n_resources"].tolist(), results["n_folds"].tolist(), strict=True))
    assert levels == sorted(levels)
    assert [Counter(levels)[level] for level in LEVELS] == search.n_candidates_
    assert search.n_splits_ == 3
    assert len(results["params"]) == sum(search.n_candidates_)


def test_kept_folds_are_not_fitted_again():
    """As many fits as the schedule says, and a fold kept from the rung below has the same score."""
    search = trees(refit=False).fit(X, y)
    results = search.all_cv_results_
    one, three = ((results["n_resources"] == 120) & (results["n_folds"] == n) for n in (1, 3))
    scores = {
        n: dict(zip(results["candidate"][at], results["split0_test_score"][at], strict=True))
        for n, at in ((1, one), (3, three))
    }
    both = set(scores[1]) & set(scores[3])
    assert len(both) > 1
    assert all(scores[1][candidate] == scores[3][candidate] for candidate in both)
    assert np.isnan(results["split1_test_score"][one]).all()
    assert np.isfinite(results["split1_test_score"][three]).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_cv_results_are_the_rows_at_full_resource(search):
    """``cv_results_`` is what ``all_cv_results_`` has at the highest level, ranked from 1; nothing
    in it is NaN, and all columns are equally long."""
    found = trees(search, schedule="hedged").fit(X, y)
    every, top = found.all_cv_results_, found.cv_results_
    at_top = every["level"] == every["level"].max()
    assert 1 < at_top.sum() < len(at_top)
    assert not any(name.startswith("rank") for name in every)
    for name, column in top.items():
        assert len(column) == at_top.sum()
        if name.startswith("rank"):
            assert sorted(column)[0] == 1
        elif name != "params":
            assert_array_equal(column, every[name][at_top])
            assert name.startswith("param_") or np.isfinite(column).all()
    assert set(top) - set(every) == {"rank_test_score"}
    assert np.argmax(top["mean_test_score"]) == found.best_index_


@pytest.mark.filterwarnings("ignore:max_time")
def test_results_of_the_highest_level_that_there_is():
    """When time ran out below full resource, ``cv_results_`` has the highest level with results,
    and the columns of its folds alone."""
    found = hyperband(max_time=1e-9).fit(X, y)
    assert len(found.cv_results_["params"]) == 1
    splits = [name for name in found.cv_results_ if name.startswith("split")]
    assert len(splits) == 1
    assert len([name for name in found.all_cv_results_ if name.startswith("split")]) == 3


@pytest.mark.parametrize("search", SEARCHES)
def test_too_few_candidates_are_told(search):
    """Who asks for an amount that no rung uses is told, by ``plan`` too, how many candidates would
    use it; with so many there is no warning, with one less there is."""
    with pytest.warns(UserWarning, match=r"n_candidates=5 is too few .* n_samples=40") as warned:
        search(Remember(), SPACE, cv=3, min_resources=40, n_candidates=5).plan(X, y)
    enough = int(str(warned[0].message).split("; ")[1].split()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = search(Remember(), SPACE, cv=3, min_resources=40, n_candidates=enough).plan(X, y)
    assert plan.levels[0].n_resources == 40
    with pytest.warns(UserWarning, match="too few"):
        search(Remember(), SPACE, cv=3, min_resources=40, n_candidates=enough - 1).plan(X, y)


def test_a_schedule_of_ones_own():
    """Its brackets run as they are; one that does not end at full resource is refused."""
    levels = hyperband().plan(X, y).levels
    mine = Schedule(levels, [Bracket.on(levels, 6, 4, 2), Bracket.on(levels, 3, 3)])
    found = hyperband(space={"a": randint(0, 10**6)}, schedule=mine).fit(X, y)
    assert found.schedule_ == mine
    assert plan_in(found.all_cv_results_) == plan_of(mine)
    with pytest.raises(ValueError, match=r"schedule ends on Level.*full resource is"):
        hyperband(schedule=mine, max_resources=60).plan(X, y)
    with pytest.raises(ValueError, match="schedule has 9 candidates, and there are 7;"):
        hyperband(schedule=mine, n_candidates=7).plan(X, y)


@pytest.mark.parametrize("search", SEARCHES)
def test_equal_configurations_share_their_evaluations(search):
    """A point that a grid repeats stands in every bracket that it was dealt to, and is fitted once
    for each fold and amount."""
    found = search(Remember(), {"a": [7] * 17}, refit=False, **LADDER).fit(X, y)
    fits = [tuple(fit["X"][:, 0]) for fit in Remember.fits]
    assert len(fits) == len(set(fits)) == found.n_fits_ == 1 + 3  # on 40 rows, and on three folds
    assert plan_in(found.all_cv_results_) == plan_of(found.schedule_)


def test_the_largest_training_fold_comes_first():
    """Levels of one fold use the one that trains on most rows, which is closest to the refit."""
    parts = [np.arange(0, 50), np.arange(50, 60), np.arange(60, 120)]  # test rows
    splits = [(np.setdiff1d(np.arange(120), part), part) for part in parts]
    found = hyperband(cv=splits, refit=False).fit(X, y)
    one_fold = found.all_cv_results_["n_folds"] == 1
    assert np.isfinite(found.all_cv_results_["split1_test_score"][one_fold]).all()
    assert np.isnan(found.all_cv_results_["split0_test_score"][one_fold]).all()
