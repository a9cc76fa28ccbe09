"""How classes of estimators go on training: every cell of the table in docs/continuing.md.

Each model is trained piece by piece, as to 30 and then to 90, and from scratch to the whole.
"""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
import sklearn.linear_model
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.linear_model import Perceptron, SGDClassifier, SGDOneClassSVM, SGDRegressor
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skhalving import SuccessiveHalvingSearchCV
from skhalving.families import find

X, y = load_digits(return_X_y=True)
X, y = X[:240], y[:240] % 2
X_real, y_real = load_diabetes(return_X_y=True)
X_real, y_real = X_real[:240], y_real[:240]
REAL = (X_real, y_real)


def output(model, X):
    for method in ("predict_proba", "decision_function", "predict", "transform"):
        if hasattr(model, method):
            result = getattr(model, method)(X)
            return result.toarray() if hasattr(result, "toarray") else result
    raise AssertionError(model)


def parameter_of(model):
    return "max_iter" if "max_iter" in model.get_params() else "n_estimators"


def data_for(model):
    return REAL if sklearn.base.is_regressor(model) else (X, y)


def is_exact(model, parameter):
    """Whether "auto" goes on with it."""
    return find(model, parameter).exact(model)


def train(model, *amounts, data, **fit_params):
    """A clone, trained piece by piece; kept as a search keeps it, between two pieces."""
    model, done = clone(model), 0
    family = find(model, parameter_of(model))
    for amount in amounts:
        family.grow(model, done, amount, *data, **fit_params)
        model, done = pickle.loads(pickle.dumps(model)), amount
    return model


def assert_exact(model, *, data=None, pieces=(30, 90), **fit_params):
    """Piece by piece, by the family at once, and by one ordinary fit: the same to the last bit."""
    data = data or data_for(model)
    parameter = parameter_of(model)
    stops = model.get_params().get("early_stopping_rounds")
    assert stops or is_exact(model, parameter) or "CatBoost" in str(type(model))
    scratch = clone(model).set_params(**{parameter: pieces[-1]}).fit(*data, **fit_params)
    for amounts in (pieces, pieces[-1:]):
        grown = train(model, *amounts, data=data, **fit_params)
        np.testing.assert_array_equal(output(grown, data[0]), output(scratch, data[0]))
        assert grown.get_params()[parameter] == pieces[-1]
        for trained in ("n_estimators_", "n_iter_"):
            assert getattr(grown, trained, None) == getattr(scratch, trained, None)
    return grown


BALANCED = [
    RandomForestClassifier(class_weight="balanced", random_state=0),
    ExtraTreesClassifier(class_weight="balanced_subsample", bootstrap=True, random_state=0),
]
TOTALS = [
    *BALANCED,
    RandomForestClassifier(random_state=0),
    RandomForestRegressor(max_features=0.3, random_state=0),
    ExtraTreesClassifier(bootstrap=True, oob_score=True, random_state=0),
    ExtraTreesRegressor(max_features=0.3, random_state=0),
    RandomForestClassifier(max_features=0.3, max_samples=0.5, random_state=0),
    RandomTreesEmbedding(random_state=0),
    IsolationForest(random_state=0),
    IsolationForest(max_samples=50, max_features=0.5, contamination=0.1, random_state=0),
    BaggingRegressor(DecisionTreeRegressor(random_state=0), random_state=0),
    BaggingClassifier(
        DecisionTreeClassifier(random_state=0), max_samples=0.5, max_features=0.5, random_state=0
    ),
    GradientBoostingClassifier(random_state=0),
    GradientBoostingRegressor(random_state=0),
    GradientBoostingClassifier(subsample=0.5, max_features=0.3, random_state=0),
    GradientBoostingRegressor(subsample=0.5, max_features=0.3, random_state=0),
    HistGradientBoostingClassifier(random_state=0),
    HistGradientBoostingRegressor(random_state=0),
    HistGradientBoostingClassifier(max_features=0.3, random_state=0),
    HistGradientBoostingRegressor(max_features=0.3, random_state=0),
]


@pytest.mark.parametrize("model", TOTALS, ids=str)
def test_totals_are_exact(model):
    """With an int seed, sampling of rows and columns included; without a warning."""
    assert_exact(model, pieces=(30, 60))


# GradientBoosting stops before 30, between 30 and 90, at 30 itself, or not at all; Hist as well.
GRADIENT = [{"n_iter_no_change": n, "learning_rate": r} for n in (2, 5) for r in (0.03, 0.5)]
HIST = [{"n_iter_no_change": n, "learning_rate": r} for n in (2, 5, 40) for r in (0.03, 0.5)]
STOPPING = [
    *(GradientBoostingClassifier(random_state=0, max_depth=2, **options) for options in GRADIENT),
    *(GradientBoostingRegressor(random_state=0, subsample=0.8, **options) for options in GRADIENT),
    *(
        cls(random_state=0, early_stopping=True, max_features=0.5, **options)
        for cls in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
        for options in HIST
    ),
    HistGradientBoostingRegressor(
        random_state=0, early_stopping=True, validation_fraction=None, n_iter_no_change=3, tol=0.01
    ),
    HistGradientBoostingRegressor(
        random_state=0, early_stopping=True, scoring="neg_mean_absolute_error", n_iter_no_change=8
    ),
]


def n_trained(model):
    return model.n_estimators_ if hasattr(model, "n_estimators_") else model.n_iter_


@pytest.mark.parametrize("model", STOPPING, ids=str)
def test_early_stopping_is_exact(model):
    """Whether it stops before 30, between, or never; and also where it stops at the split."""
    stops_at = n_trained(assert_exact(model, pieces=(10, 30, 31, 90)))
    if stops_at < 90:
        assert_exact(model, pieces=(stops_at, 90))


@pytest.mark.parametrize("kind", [GradientBoostingRegressor, HistGradientBoostingRegressor])
def test_early_stopping_stops_everywhere(kind):
    """The models of the test before this one stop before 30, and between 30 and 90."""
    stops = [n_trained(clone(m).set_params(**{parameter_of(m): 90}).fit(*data_for(m)))
             for m in STOPPING if isinstance(m, kind)]  # fmt: skip
    assert any(n < 30 for n in stops)
    assert any(30 < n < 90 for n in stops)


def test_many_rows_stop_early_by_default():
    """Above 10,000 rows "auto" of hist gradient boosting means early stopping."""
    random = np.random.RandomState(0)
    rows = random.normal(size=(10_500, 3))
    data = rows, rows[:, 0] * rows[:, 1] + random.normal(size=len(rows))
    model = HistGradientBoostingRegressor(random_state=0, learning_rate=0.5, max_leaf_nodes=8)
    grown = assert_exact(model, data=data)
    assert grown.do_early_stopping_
    assert grown.n_iter_ < 90


def test_a_monitor_stops_early():
    """The argument of ``fit`` by which gradient boosting can be told to stop."""
    for stop in (9, 29, 50, 200):
        grown = assert_exact(
            GradientBoostingRegressor(random_state=0), monitor=lambda i, *_, stop=stop: i == stop
        )
        assert len(grown.estimators_) == min(stop + 1, 90)


@pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7), reason="X_val is of 1.7"
)
@pytest.mark.parametrize("patience", [2, 10, 80])
def test_a_validation_set_of_ones_own(patience):
    """``X_val`` and ``y_val`` of hist gradient boosting."""
    model = HistGradientBoostingRegressor(
        random_state=0, early_stopping=True, n_iter_no_change=patience
    )
    assert_exact(model, data=(X_real[:160], y_real[:160]), X_val=X_real[160:], y_val=y_real[160:])


def test_what_has_stopped_is_not_trained_again(monkeypatch):
    """It would end up the same; that costs nothing."""
    for cls, options in (
        (GradientBoostingRegressor, {}),
        (HistGradientBoostingRegressor, {"early_stopping": True}),
    ):
        model = cls(random_state=0, n_iter_no_change=2, learning_rate=0.5, **options)
        grown = train(model, 30, data=REAL)
        with monkeypatch.context() as patch:
            patch.setattr(cls, "fit", None)
            find(grown, parameter_of(grown)).grow(grown, 30, 90, *REAL)


@pytest.mark.parametrize(
    ("estimator", "space"),
    [
        (GradientBoostingRegressor(n_iter_no_change=5, random_state=0), "n_estimators"),
        (HistGradientBoostingRegressor(early_stopping=True, random_state=0), "max_iter"),
    ],
    ids=str,
)
def test_the_best_score_is_that_of_the_best_parameters(estimator, space):
    """On diabetes, with early stopping: from scratch they score ``best_score_``."""
    data = load_diabetes(return_X_y=True)
    search = SuccessiveHalvingSearchCV(
        estimator,
        {"learning_rate": [0.02, 0.05, 0.1, 0.2, 0.5], "min_samples_leaf": [5, 20]},
        resource=space,
        max_resources=90,
        cv=KFold(3),
        random_state=0,
    ).fit(*data)
    assert search.all_cv_results_["continued"].any()
    best = clone(estimator).set_params(**{space: 90, **search.best_params_})
    assert search.best_score_ == cross_val_score(best, *data, cv=KFold(3)).mean()


def epochs(model):
    """What the model itself says it has seen, in epochs."""
    return len(model.loss_curve_) if hasattr(model, "solver") else (model.t_ - 1) / len(X)


def epoch_models():
    """All that go on by ``partial_fit``."""
    yield from (
        SGDClassifier(random_state=0, average=True),
        SGDRegressor(random_state=0, learning_rate="adaptive"),
        SGDOneClassSVM(random_state=0),
        Perceptron(random_state=0),
        MLPClassifier(hidden_layer_sizes=5, random_state=0),
        MLPRegressor(hidden_layer_sizes=5, random_state=0, solver="sgd"),
    )
    for kind in ("Classifier", "Regressor"):
        # Deprecated in newer versions of scikit-learn, and a family until it is gone.
        cls = getattr(sklearn.linear_model, f"PassiveAggressive{kind}", None)
        if cls is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                yield cls(random_state=0)


@pytest.mark.filterwarnings("ignore:Class PassiveAggressive:FutureWarning")
@pytest.mark.parametrize("model", list(epoch_models()), ids=str)
def test_a_chain_of_epochs_is_the_same_in_any_pieces(model):
    """Read from the model itself; "auto" leaves them alone, since ``fit`` is another thing."""
    data = data_for(model)
    assert not is_exact(model, "max_iter")
    grown, at_once = train(model, 3, 9, data=data), train(model, 9, data=data)
    assert epochs(grown) == epochs(at_once) == 9
    np.testing.assert_array_equal(output(grown, data[0]), output(at_once, data[0]))


class FakeNet(BaseEstimator):
    """What is asked of a skorch network before it trains."""

    __module__ = "skorch.net"
    __qualname__ = "NeuralNet"

    def __init__(self, callbacks=None):
        self.callbacks = callbacks


@pytest.mark.parametrize(
    ("model", "parameter"),
    [
        (SGDClassifier(early_stopping=True), "max_iter"),
        (SGDClassifier(class_weight="balanced"), "max_iter"),
        (MLPClassifier(solver="lbfgs"), "max_iter"),
        (MLPRegressor(early_stopping=True), "max_iter"),
        (BaggingClassifier(oob_score=True), "n_estimators"),
        (DecisionTreeClassifier(), "max_depth"),
        (RandomForestClassifier(), "max_depth"),
        (FakeNet(callbacks=[("stop", object())]), "max_epochs"),
    ],
    ids=str,
)
def test_what_cannot_go_on_is_left_alone(model, parameter):
    """scikit-learn refuses these combinations, and callbacks of a net begin anew with every fit."""
    assert find(model, parameter) is None


def test_a_net_without_callbacks_goes_on():
    """Also one whose default callbacks are off."""
    for callbacks in (None, [], "disable"):
        assert is_exact(FakeNet(callbacks), "max_epochs")


def booster(package, kind, options):
    """A classifier or regressor of an extra package, on one thread and quiet."""
    module = pytest.importorskip(package, reason=f"{package} is an extra")
    prefix, quiet = {
        "xgboost": ("XGB", {"n_jobs": 1}),
        "lightgbm": ("LGBM", {"n_jobs": 1, "verbose": -1}),
        "catboost": (
            "CatBoost",
            {"allow_writing_files": False, "silent": True, "thread_count": 1, "n_estimators": 9},
        ),
    }[package]
    return getattr(module, prefix + kind)(**{"random_state": 0, **quiet, **options})


RATE = {"learning_rate": 0.1}
EXACT_BOOSTERS = [
    ("xgboost", {}),
    ("xgboost", {"tree_method": "approx", "max_depth": 2}),
    ("lightgbm", {}),
    ("lightgbm", {"subsample": 0.5}),  # of no effect, since it is drawn every 0 iterations
    ("lightgbm", {"min_split_gain": 0.5}),  # no split is left before 90 trees
    ("lightgbm", {"min_split_gain": 3.0}),  # nor before 30
]
BAGGED = {"subsample": 0.5, "subsample_freq": 1}
OTHER_BOOSTERS = [
    ("xgboost", {"subsample": 0.5}),
    ("xgboost", {"colsample_bytree": 0.5}),
    ("xgboost", {"colsample_bylevel": 0.5}),
    ("xgboost", {"colsample_bynode": 0.5}),
    ("xgboost", {"booster": "dart", "rate_drop": 0.1}),
    ("lightgbm", BAGGED),
    ("lightgbm", {"bagging_fraction": 0.5, "bagging_freq": 1}),
    ("lightgbm", {"colsample_bytree": 0.5}),
    ("lightgbm", {"feature_fraction_bynode": 0.5}),
    ("lightgbm", {"boosting_type": "dart"}),
    ("lightgbm", {"boosting_type": "goss"}),
    ("lightgbm", {"data_sample_strategy": "goss"}),
    ("lightgbm", {"extra_trees": True}),
    ("catboost", {}),
    ("catboost", RATE),
    ("catboost", {**RATE, "bootstrap_type": "No", "boosting_type": "Plain"}),
    ("catboost", {**RATE, "random_strength": 0, "boosting_type": "Plain"}),
]
both_kinds = pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
quiet_lightgbm = pytest.mark.filterwarnings(
    "ignore::UserWarning:lightgbm",
    "ignore:X does not have valid feature",
    "ignore:The argument 'eval_set' is deprecated",  # of LightGBM 4.7; others know no other
)


def n_trees(model):
    if hasattr(model, "tree_count_"):
        return model.tree_count_
    if hasattr(model, "booster_"):
        return model.booster_.num_trees()
    return model.get_booster().num_boosted_rounds()


@quiet_lightgbm
@both_kinds
@pytest.mark.parametrize(("package", "options"), EXACT_BOOSTERS, ids=str)
def test_boosters_are_exact(package, options, kind):
    """Where no rows or columns are drawn."""
    assert_exact(booster(package, kind, options))


@quiet_lightgbm
@both_kinds
@pytest.mark.parametrize(("package", "options"), OTHER_BOOSTERS, ids=str)
def test_boosters_that_are_not_exact(package, options, kind):
    """ "auto" leaves them alone. When asked they have as many trees as they should, but others."""
    model = booster(package, kind, options)
    assert not is_exact(model, "n_estimators")
    data = data_for(model)
    grown = train(model, 30, 90, data=data)
    scratch = clone(model).set_params(n_estimators=90).fit(*data)
    assert n_trees(grown) == n_trees(scratch) == 90
    assert not np.array_equal(output(grown, data[0]), output(scratch, data[0]))


# With a learning rate of .5 they stop before 30, with .05 between or never.
@quiet_lightgbm
@both_kinds
@pytest.mark.parametrize("rate", [0.5, 0.05])
@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_boosters_stop_early_and_stay_exact(package, kind, rate):
    """By their parameter, on rows of ``eval_set``: the best iteration of the fit from scratch."""
    options = {"learning_rate": rate, "early_stopping_rounds": 4}
    model = booster(package, kind, options)
    rows, target = data_for(model)
    quiet = {"verbose": False} if package != "lightgbm" else {}
    watched = {"eval_set": [(rows[160:], target[160:])], **quiet}
    grown = assert_exact(model, data=(rows[:160], target[:160]), **watched)
    scratch = clone(model).set_params(n_estimators=90).fit(rows[:160], target[:160], **watched)
    best = "best_iteration" if package == "xgboost" else "best_iteration_"
    assert getattr(grown, best) == getattr(scratch, best)
    three = train(model, 5, 30, 90, data=(rows[:160], target[:160]), **watched)
    assert getattr(three, best) == getattr(scratch, best)


@quiet_lightgbm
@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_rows_that_are_only_watched_stop_nothing(package):
    """An ``eval_set`` without early stopping; CatBoost is cut at its best iteration even so."""
    model = booster(package, "Regressor", {"learning_rate": 0.05})
    quiet = {"verbose": False} if package != "lightgbm" else {}
    watched = {"eval_set": [(X_real[160:], y_real[160:])], **quiet}
    assert_exact(model, data=(X_real[:160], y_real[:160]), pieces=(10, 60, 90), **watched)


@quiet_lightgbm
def test_callbacks_of_lightgbm_start_from_scratch():
    """A schedule speaks of the first tree; one that stops early stays."""
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is an extra")
    data = X_real[:160], y_real[:160]
    model = booster("lightgbm", "Regressor", {})
    falling = lightgbm.reset_parameter(learning_rate=lambda i: 0.1 * 0.95**i)
    assert_exact(model, data=data, callbacks=[falling])
    stop = lightgbm.early_stopping(4, verbose=False)
    watched = {"eval_set": [(X_real[160:], y_real[160:])]}
    assert_exact(model, data=data, callbacks=[stop], **watched)


def test_callbacks_and_forests_of_xgboost_are_left_alone():
    """Callbacks keep what they saw in the last fit; a forest is one iteration of many trees."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is an extra")
    stop = xgboost.callback.EarlyStopping(rounds=4)
    for model in (
        xgboost.XGBRegressor(callbacks=[stop]),
        xgboost.XGBRFRegressor(),
        xgboost.XGBRFClassifier(),
    ):
        assert find(model, "n_estimators") is None


def test_other_boosters_of_xgboost_are_not_called_exact():
    """Linear ones are updated by threads in any order, and dart drops trees at random."""
    for name in ("gblinear", "dart"):
        assert not is_exact(booster("xgboost", "Regressor", {"booster": name}), "n_estimators")


@quiet_lightgbm
@pytest.mark.parametrize(
    ("package", "name"),
    [("xgboost", "base_margin"), ("lightgbm", "init_score"), ("catboost", "baseline")],
)
def test_starting_scores_of_ones_own(package, name):
    """Where a fit is told what to start from, that is the start of the first tree."""
    model = booster(package, "Regressor", RATE)
    assert_exact(model, data=REAL, **{name: np.arange(240.0)})


@both_kinds
def test_catboost_without_draws_is_exact_but_for_rounding(kind):
    """Its learning rate given, since by default that follows from the number of trees."""
    plain = {"bootstrap_type": "No", "random_strength": 0, "boosting_type": "Plain"}
    model = booster("catboost", kind, {**RATE, **plain})
    data = data_for(model)
    assert not is_exact(model, "n_estimators")
    grown, scratch = train(model, 30, 90, data=data), train(model, 90, data=data)
    np.testing.assert_allclose(output(grown, data[0]), output(scratch, data[0]), rtol=1e-9)


class StopAt50:
    def after_iteration(self, info):
        return info.iteration < 50


def test_callbacks_of_catboost_start_from_scratch():
    """They are told the number of the iteration, and may end the training."""
    grown = assert_exact(booster("catboost", "Regressor", RATE), callbacks=[StopAt50()])
    assert n_trees(grown) == 50


def test_catboost_goes_on_as_from_a_file():
    """A model that was never written to a file gives what one that was does: see ``n_jobs``."""
    model = booster("catboost", "Regressor", {**RATE, "subsample": 0.5})
    by_file, family = train(model, 30, 90, data=REAL), find(model, "n_estimators")
    model = clone(model)
    family.grow(model, 0, 30, *REAL)
    family.grow(model, 30, 90, *REAL)
    np.testing.assert_array_equal(model.predict(X_real), by_file.predict(X_real))


@quiet_lightgbm
@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_boosters_in_a_search_have_as_many_trees_as_the_resource(package):
    """At the end of a pipeline, told to go on; read from the booster itself."""
    model = booster(package, "Classifier", RATE)
    search = SuccessiveHalvingSearchCV(
        Pipeline([("scale", StandardScaler()), ("model", model)]),
        {"model__max_depth": [1, 2, 3]},
        resource="model__n_estimators",
        min_resources=6,
        max_resources=18,
        folds="all",
        cv=KFold(2),
        scoring=lambda pipe, X, y: n_trees(pipe[-1]),
        continue_training=True,
        refit=False,
    ).fit(X, y)
    assert search.all_cv_results_["continued"].any()
    np.testing.assert_array_equal(
        search.all_cv_results_["mean_test_score"], search.all_cv_results_["n_resources"]
    )


@pytest.mark.parametrize("options", [{"subsample": 0.5}, {"colsample_bynode": 0.5}, {}])
def test_going_on_does_not_depend_on_fits_before(options):
    """XGBoost's generator is one for the whole process: what another candidate has drawn from it in
    the meantime must not matter, and the seed of the model stays as it was."""
    X, y = load_digits(n_class=3, return_X_y=True)
    model = booster("xgboost", "Classifier", {**options, "random_state": 1})
    grow = find(model, "n_estimators").grow
    first = clone(model)
    grow(first, 0, 5, X, y)
    found = []
    for n_between in (0, 3, 4):
        gone_on = pickle.loads(pickle.dumps(first))
        if n_between:
            clone(model).set_params(n_estimators=n_between, subsample=0.5).fit(X, y)
        grow(gone_on, 5, 10, X, y)
        assert gone_on.get_params()["random_state"] == 1
        found.append(gone_on.predict_proba(X))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
