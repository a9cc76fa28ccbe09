"""Metadata: weights, groups and other arguments of ``fit`` reach the rows that they belong to."""

import numpy as np
import pytest
import sklearn
from helpers import (
    DEPTHS,
    LADDER,
    ONE_RUNG,
    SEARCHES,
    SPACE,
    WEIGHT,
    N,
    Remember,
    X,
    assert_same_results,
    hyperband,
    plan_in,
    plan_of,
    rows,
    sizes,
    without_times,
    y,
)
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
)
from sklearn.tree import DecisionTreeClassifier

from skhalving import SuccessiveHalvingSearchCV


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("routed", [False, True])
def test_fit_parameters_are_cut_with_the_rows(search, routed):
    """Whatever has one entry a row stays beside its row on every rung; the rest is handed on."""
    with sklearn.config_context(enable_metadata_routing=routed):
        estimator = Remember()
        if routed:
            estimator.set_fit_request(sample_weight=True, colour=True, constant=True)
            estimator.set_score_request(sample_weight=True)
        colour = [f"colour {i}" for i in range(N)]
        search(estimator, SPACE, **LADDER).fit(
            X, y, sample_weight=WEIGHT, colour=colour, constant="blue"
        )
    assert set(sizes(Remember.fits)) == {26, 80, 120}
    for fit in Remember.fits:
        here = rows(fit["X"])
        assert_array_equal(fit["weight"], WEIGHT[here])
        assert list(fit["colour"]) == [colour[i] for i in here]
        assert_array_equal(fit["y"], y[here])
        assert fit["constant"] == "blue"


def test_fit_parameters_of_a_level_with_few_rows():
    """Workers are sent a level's rows alone where these are few, with what belongs to them."""
    split = [(np.arange(100), np.arange(100, N))]
    search = hyperband(cv=split, min_resources=13, refit=False).fit(X, y, sample_weight=WEIGHT)
    few = [fit for fit in Remember.fits if len(fit["y"]) < 13]
    assert len(few) == search.schedule_.fits_at(0)
    for fit in few:
        assert_array_equal(fit["weight"], WEIGHT[rows(fit["X"])])
    assert np.isfinite(search.all_cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("routed", [False, True])
def test_scorers_receive_sample_weight_as_in_gridsearchcv(routed):
    """A scorer gets ``sample_weight`` when GridSearchCV's of this scikit-learn does, cut with the
    test rows on every rung."""
    with sklearn.config_context(enable_metadata_routing=routed):
        estimator = Remember()
        if routed:
            estimator.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        GridSearchCV(estimator, {"a": [1]}, cv=3).fit(X, y, sample_weight=WEIGHT)
        weighted = [call["weight"] is not None for call in Remember.scored]
        assert len(set(weighted)) == 1
        Remember.scored.clear()
        hyperband(estimator).fit(X, y, sample_weight=WEIGHT)
    for call in Remember.scored:
        assert (call["weight"] is not None) == weighted[0]
        if weighted[0]:
            assert_array_equal(call["weight"], WEIGHT[rows(call["X"])])
        assert_array_equal(call["y"], y[rows(call["X"])])


def test_weights_change_scores_as_in_gridsearchcv(routing):
    """With routing, a weighted metric gives GridSearchCV's scores."""
    estimator = DecisionTreeClassifier(random_state=0).set_fit_request(sample_weight=True)
    scoring = {
        "plain": make_scorer(accuracy_score).set_score_request(sample_weight=False),
        "weighted": make_scorer(accuracy_score).set_score_request(sample_weight=True),
    }
    options = {"scoring": scoring, "refit": "weighted", "cv": 3}
    grid = GridSearchCV(estimator, DEPTHS, **options).fit(X, y, sample_weight=WEIGHT)
    ours = SuccessiveHalvingSearchCV(estimator, DEPTHS, **ONE_RUNG, **options)
    ours.fit(X, y, sample_weight=WEIGHT)
    assert_same_results(ours.cv_results_, grid.cv_results_, without_times(grid.cv_results_))
    plain, weighted = (ours.cv_results_[f"mean_test_{name}"] for name in scoring)
    assert (plain != weighted).any()


def test_unrequested_metadata_is_refused(routing):
    """With routing, metadata that nobody asked for is an error, and nothing is fitted."""
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        hyperband().fit(X, y, sample_weight=WEIGHT)
    assert Remember.fits == []


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("search", SEARCHES)
def test_groups_are_never_split(search, routed):
    """With GroupKFold no group is on both sides of any fit, on any rung, and ``plan`` takes groups
    as ``fit`` does."""
    groups = np.arange(N) // 8
    with sklearn.config_context(enable_metadata_routing=routed):
        grouped = search(Remember(), SPACE, **{**LADDER, "cv": GroupKFold(3)})
        plan = grouped.plan(X, y, groups=groups)
        grouped.fit(X, y, groups=groups)
    assert plan_of(plan) == plan_in(grouped.all_cv_results_)
    tried = Remember.fits[:-1]
    assert len(tried) == len(Remember.scored) == grouped.schedule_.n_fits
    for fit, call in zip(tried, Remember.scored, strict=True):
        assert not set(groups[rows(fit["X"])]) & set(groups[rows(call["X"])])


def test_none_as_fit_parameter():
    """``sample_weight=None`` is what it is without."""
    hyperband().fit(X, y, sample_weight=None)
    assert all(fit["weight"] is None for fit in Remember.fits)


def test_a_journal_knows_who_gets_what(tmp_path, routing):
    """The same search with another request is another one."""
    journal, weights = tmp_path / "journal", {"sample_weight": WEIGHT}
    scored = Remember().set_score_request(sample_weight=True)
    weighted = clone(scored).set_fit_request(sample_weight=True)
    hyperband(weighted, journal=journal).fit(X, y, **weights)
    other = hyperband(clone(scored).set_fit_request(sample_weight=False), journal=journal)
    with pytest.raises(ValueError, match=r"(?s)another search.*routing"):
        other.fit(X, y, **weights)
