"""Bad input: each message gives the value, the limit and what to do, and nothing is fitted."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from inspect import signature

import numpy as np
import pytest
from scipy.stats import randint
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GroupKFold, KFold

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV
from skhalving.pace import seconds_of

X = np.arange(80.0).reshape(40, 2)
y = np.arange(40) % 2
SPACE = {"a": [1, 2, 3]}


class Counting(ClassifierMixin, BaseEstimator):
    """Counts the fits of all its kind."""

    fits = 0

    def __init__(self, a=1, n_rounds=27, share=0.5, nothing=None, unlimited=-1, flag=True):
        self.a = a
        self.n_rounds = n_rounds
        self.share = share
        self.nothing = nothing
        self.unlimited = unlimited
        self.flag = flag

    def fit(self, X, y):
        type(self).fits += 1
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return self.a


@pytest.fixture(autouse=True)
def no_fits_yet():
    Counting.fits = 0


def hyperband(space=SPACE, **options):
    return HyperbandSearchCV(Counting(), space, **{"cv": 2, **options})


# What is passed, and what the message must hold: the value, the limit, the remedy.
BAD = {
    "an unknown resource, close to a known one": (
        {"resource": "n_round"},
        [
            "'n_round'",
            "neither 'n_samples' nor a parameter of the estimator",
            "did you mean 'n_rou",
        ],
    ),
    "an unknown resource, close to n_samples": (
        {"resource": "n_sample"},
        ["'n_sample'", "did you mean 'n_samples'"],
    ),
    "an unknown resource, close to nothing": (
        {"resource": "xyzzy"},
        ["'xyzzy'", "neither 'n_samples' nor a parameter of the estimator", "see get_params()"],
    ),
    "the resource searched, too": (
        {"resource": "n_rounds", "space": {"n_rounds": [1, 2]}},
        ["resource='n_rounds'", "also among the searched parameters", "take it out of the space"],
    ),
    "the resource searched in one of several spaces": (
        {"resource": "n_rounds", "space": [SPACE, {"n_rounds": randint(1, 9)}]},
        ["resource='n_rounds'", "also among the searched parameters", "take it out of the space"],
    ),
    "min above max": (
        {"min_resources": 30, "max_resources": 20},
        ["max_resources=20", "min_resources=30", "raise it", 'min_resources="auto"'],
    ),
    "min above the rows": (
        {"min_resources": 41},
        ["min_resources=41", "40", 'min_resources="auto"'],
    ),
    "min above the parameter": (
        {"resource": "n_rounds", "min_resources": 28},
        ["min_resources=28", "27", 'min_resources="auto"'],
    ),
    "max above the rows": (
        {"max_resources": 41},
        ["max_resources=41", "40 rows", "lower it", 'max_resources="auto"'],
    ),
    "factor 1": ({"factor": 1}, ["factor", "[2, inf)", "Got 1 "]),
    "factor of a float": ({"factor": 2.5}, ["factor", "must be an int", "[2, inf)", "Got 2.5 "]),
    "no points in the list": ({"space": []}, ["[]", "empty", "at least one configuration"]),
    "no values of a parameter": ({"space": {"a": []}}, ["'a'", "non-empty sequence", "[]"]),
    "both spaces": ({"param_grid": SPACE}, ["param_distributions", "param_grid", "exactly one"]),
    "no space": ({"space": None}, ["param_distributions", "param_grid", "exactly one"]),
    "no candidates": ({"n_candidates": 0}, ["n_candidates", "[1, inf)", "'auto'", "Got 0 "]),
    "fewer than no candidates": ({"n_candidates": -3}, ["n_candidates", "[1, inf)", "Got -3 "]),
    "a bool of candidates": ({"n_candidates": True}, ["n_candidates=True", "integer", "least 1"]),
    "a float of candidates": ({"n_candidates": 3.0}, ["n_candidates", "an int", "Got 3.0 "]),
    "a float of min_resources": ({"min_resources": 9.5}, ["min_resources", "an int", "Got 9.5 "]),
    "no min_resources": ({"min_resources": 0}, ["min_resources", "[1, inf)", "Got 0 "]),
    "a float of max_resources": (
        {"max_resources": 40.0},
        ["max_resources", "an int", "'auto'", "Got 40.0 "],
    ),
    "a word for min_resources of scikit-learn's halving": (
        {"min_resources": "exhaust"},
        ["min_resources", "an int in the range [1, inf)", "{'auto'}", "Got 'exhaust'"],
    ),
    "a word for n_candidates of scikit-learn's halving": (
        {"n_candidates": "exhaust"},
        ["n_candidates", "an int in the range [1, inf)", "{'auto'}", "Got 'exhaust'"],
    ),
    "a share of the rows": (
        {"min_resources": 0.1},
        ["min_resources", "an int in the range [1, inf)", "Got 0.1 "],
    ),
    "no time": ({"max_time": 0}, ["max_time=0", "above 0 seconds"]),
    "a continuation with rows": (
        {"continue_training": True},
        ["continue_training=True", "'n_samples'", 'continue_training="auto"'],
    ),
    "a continuation that is not known": (
        {"continue_training": True, "resource": "n_rounds"},
        ["cannot go on training by 'n_rounds'", "register_continuation"],
    ),
    "a misspelt parameter": ({"space": {"quolity": [1, 2]}}, ["quolity"]),
    "a misspelt parameter among others": (
        {"space": [{"a": [1, 2]}, {"n_rouns": [3]}]},
        ["n_rouns"],
    ),
    "a rule that there is not": ({"schedule": "greedy"}, ["schedule", "'hedged'", "Got 'greedy'"]),
    "a resource that is a float": (
        {"resource": "share"},
        ["share=0.5", "whole numbers", "set share to an integer"],
    ),
    "a resource that is None": (
        {"resource": "nothing"},
        ["nothing=None", "whole numbers", "set nothing to an integer"],
    ),
    "a resource that is a bool": (
        {"resource": "flag"},
        ["flag=True", "whole numbers", "set flag to an integer"],
    ),
    "a resource that is negative": ({"resource": "unlimited"}, ["unlimited=-1", "at least 1"]),
    "folds": ({"folds": "shrink"}, ["folds", "'all'", "'grow'", "Got 'shrink' "]),
    "a cv without folds": ({"cv": []}, ["No fits were performed", "Was the CV iterator empty?"]),
    "more folds than rows": ({"cv": KFold(41)}, ["n_splits=41", "n_samples=40"]),
}


@pytest.mark.parametrize("method", ["fit", "plan"])
@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case, method):
    """A bad argument is a ValueError that holds value, limit and remedy, before anything is fitted,
    and ``plan`` refuses all that ``fit`` refuses."""
    options, fragments = BAD[case]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        getattr(hyperband(**options), method)(X, y)
    assert [part for part in fragments if part not in str(error.value)] == [], str(error.value)
    assert Counting.fits == 0


@pytest.mark.parametrize("search", [HyperbandSearchCV, SuccessiveHalvingSearchCV])
def test_messages_name_the_class(search):
    """A refused argument names the class that the user wrote."""
    with pytest.raises(ValueError, match=rf"'factor' parameter of {search.__name__} must"):
        search(Counting(), SPACE, factor=0).fit(X, y)


@pytest.mark.parametrize("search", [HyperbandSearchCV, SuccessiveHalvingSearchCV])
@pytest.mark.parametrize(
    ("argument", "remedy"),
    [
        ("n_iter", "pass n_candidates"),
        ("n_trials", "pass n_candidates"),
        ("max_iter", "pass max_resources"),
        ("timeout", "pass max_time, or fit_timeout"),
        ("aggressive_elimination", "schedule"),
        ("facter", "did you mean 'factor'"),
        ("sel", "see "),
        ("xyzzy", "see "),
    ],
)
def test_arguments_that_there_are_not(search, argument, remedy):
    """The class that the user wrote, the first name that it does not know, and what to pass; the
    signature that is shown is that of the constructor all the same."""
    with pytest.raises(
        TypeError, match=rf"{search.__name__} has no argument '{argument}'; .*{remedy}"
    ):
        search(Counting(), SPACE, **{argument: 3}, zyx=1)
    assert list(signature(search).parameters) == list(signature(search.__init__).parameters)[1:]


@pytest.mark.parametrize("with_journal", [False, True])
@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (Decimal("0.5"), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (Fraction(1, 2), 0.5),
        (10**400, "float cannot hold"),
        ({}, "has no score"),
        ({"a": 10**400}, "float cannot hold"),
    ],
    ids=str,
)
def test_scores_that_are_no_floats(tmp_path, answer, score, with_journal):
    """Any number is a score, the same with a journal as without; what no float can hold is an
    error that names it."""
    journal = tmp_path / "journal" if with_journal else None
    search = hyperband(scoring=lambda estimator, X, y: answer, journal=journal, refit=False)
    if isinstance(score, str):
        with pytest.raises(ValueError, match=score):
            search.fit(X, y)
    else:
        assert set(search.fit(X, y).cv_results_["mean_test_score"]) == {score}
        if with_journal:
            assert set(search.fit(X, y).cv_results_["mean_test_score"]) == {score}
            assert search.n_fits_ == 0


@pytest.mark.parametrize(
    "limit", [timedelta(hours=1), np.timedelta64(1, "h"), np.timedelta64(3_600_000_000, "us")]
)
def test_max_time_with_a_unit(limit, recwarn):
    """An hour is an hour in any unit, and the longest time of all is one as well."""
    assert seconds_of(limit) == 3600.0
    assert seconds_of(timedelta.max) == timedelta.max.total_seconds()
    hyperband(max_time=limit).plan(X, y)


def test_nearest_names_of_a_nested_parameter():
    """A typing error in a real estimator's resource is answered with the right name first."""
    search = HyperbandSearchCV(RandomForestClassifier(), {"max_depth": [1]}, resource="n_estimator")
    with pytest.raises(ValueError, match="did you mean 'n_estimators'"):
        search.fit(X, y)


def test_float_max_iter():
    """``max_iter=100.0`` is refused: amounts are whole numbers."""
    search = HyperbandSearchCV(
        SGDClassifier(max_iter=100.0), {"alpha": [1, 2]}, resource="max_iter"
    )
    with pytest.raises(ValueError, match=r"max_iter=100\.0.*whole numbers; set max_iter to an int"):
        search.fit(X, y)


@pytest.mark.filterwarnings("ignore:n_candidates=")
def test_unset_resource_with_given_max():
    """A resource that the estimator leaves at None needs a ``max_resources``, and no more."""
    search = hyperband(resource="nothing", max_resources=9).fit(X, y)
    assert search.max_resources_ == 9
    assert search.best_estimator_.nothing == 9


@pytest.mark.parametrize("empty", [np.empty((0, 2)), []])
def test_empty_X(empty):
    """X without rows is refused in scikit-learn's words, as by GridSearchCV."""
    with pytest.raises(ValueError, match=r"0 sample\(s\)|n_samples=0"):
        hyperband().fit(empty, [])


def test_y_of_wrong_length():
    """X and y that do not fit together: both numbers are given."""
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[40, 39\]"):
        hyperband().fit(X, y[:-1])


def test_groups_of_wrong_length():
    """Groups that do not fit X are refused, not cut."""
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[40, 40, 39\]"):
        hyperband(cv=GroupKFold(2)).fit(X, y, groups=y[:-1])


def test_scorer_that_returns_a_string():
    """A score that is no number stops the search, with the value and its type."""

    def text(estimator, X, y):
        return "good"

    with pytest.raises(ValueError, match=r"must return a number, got good \(<class 'str'>\)"):
        hyperband(scoring=text).fit(X, y)


def test_scorer_that_returns_a_dict_of_strings():
    """The same for one of several scores."""
    search = hyperband(scoring=lambda estimator, X, y: {"m": "good"}, refit="m")
    with pytest.raises(ValueError, match=r"must return a number, got good \(<class 'str'>\)"):
        search.fit(X, y)


@pytest.mark.parametrize("refit", [True, "recall"])
def test_refit_must_name_a_metric(refit):
    """With several metrics ``refit`` says which; the message shows what was passed."""
    search = hyperband(scoring=["accuracy", "f1"], refit=refit)
    with pytest.raises(ValueError, match=rf"refit must be set to a scorer key.*{refit}.* was pass"):
        search.fit(X, y)
    assert Counting.fits == 0


def test_refit_must_name_a_metric_of_a_callable():
    """The metrics of a callable are known after the first level; the message is the same."""
    search = hyperband(scoring=lambda estimator, X, y: {"m": 1.0}, refit="recall")
    with pytest.raises(ValueError, match=r"refit must be set to a scorer key.*recall.* was passed"):
        search.fit(X, y)


def test_unknown_parameter_in_the_space():
    """A parameter that the estimator has not is an error that lists those it has."""
    with pytest.raises(ValueError, match=r"Invalid parameter 'b' for estimator Counting.*n_rounds"):
        hyperband({"b": [1, 2]}).fit(X, y)


def test_single_split():
    """A cv with a single split is fine: one fold, no error, the best found."""
    search = hyperband(cv=[(np.arange(30), np.arange(30, 40))]).fit(X, y)
    assert search.n_splits_ == 1
    assert search.best_params_ == {"a": 3}
    assert set(search.all_cv_results_["n_folds"]) == {1}


def test_more_candidates_than_the_space_has():
    """Asking for more than there is warns with both numbers and evaluates each once."""
    with pytest.warns(UserWarning, match="n_candidates=7 is more than the 3 configurations"):
        search = hyperband(n_candidates=7).fit(X, y)
    assert search.schedule_.n_candidates == 3


def test_more_candidates_than_a_distribution_has():
    """The same for a distribution that takes few values."""
    with pytest.warns(UserWarning, match="n_candidates=7 is more than the 2 configurations"):
        search = hyperband({"a": randint(1, 3)}, n_candidates=7, random_state=0).fit(X, y)
    assert search.schedule_.n_candidates == 2


def test_a_search_can_be_repaired():
    """After a refused argument the same object fits once the argument is right."""
    search = hyperband(factor=1)
    with pytest.raises(ValueError, match="factor"):
        search.fit(X, y)
    assert search.set_params(factor=2).fit(X, y).best_params_ == {"a": 3}
