"""Stopping early on a validation set: the same trees as by hand, and a refit without one."""

import inspect

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, journal, register_validation
from skhalving.pipelines import Sharing
from skhalving.validation import STOPPERS, ValidationSet, trains_alone

X, y = load_breast_cancer(return_X_y=True)
rng = np.random.RandomState(0)
y = np.where(rng.uniform(size=len(y)) < 0.15, 1 - y, y)  # so that it pays to stop
WEIGHT = rng.uniform(0.2, 2, size=len(y))
REAL = load_diabetes(return_X_y=True)
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
SPLITS = list(FOLDS.split(X, y))
MOST = 81

no_X_val = "X_val" not in inspect.signature(HistGradientBoostingClassifier.fit).parameters


def lightgbm(kind="Classifier", **options):
    module = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    common = {"n_estimators": MOST, "random_state": 0, "verbose": -1, "n_jobs": 1}
    return getattr(module, f"LGBM{kind}")(**{**common, "early_stopping_rounds": 5, **options})


def xgboost(kind="Classifier", **options):
    module = pytest.importorskip("xgboost", reason="XGBoost is not installed")
    common = {"n_estimators": MOST, "random_state": 0, "n_jobs": 1, "early_stopping_rounds": 5}
    return getattr(module, f"XGB{kind}")(**{**common, **options})


def catboost(kind="Classifier", **options):
    module = pytest.importorskip("catboost", reason="CatBoost is not installed")
    common = {"iterations": MOST, "random_state": 0, "verbose": 0, "allow_writing_files": False}
    common |= {"early_stopping_rounds": 5, "thread_count": 1}
    return getattr(module, f"CatBoost{kind}")(**{**common, **options})


def hist(kind="Classifier", **options):
    if no_X_val:
        pytest.skip("X_val is of scikit-learn 1.7")
    common = {"max_iter": MOST, "random_state": 0, "n_iter_no_change": 5, "max_bins": 31}
    classes = {
        "Classifier": HistGradientBoostingClassifier,
        "Regressor": HistGradientBoostingRegressor,
    }
    return classes[kind](**{**common, **options})


LIBRARIES = [lightgbm, xgboost, catboost, hist]
RATES = {"learning_rate": [0.05, 0.3, 0.6]}
RESOURCE = {lightgbm: "n_estimators", xgboost: "n_estimators", catboost: "iterations"}


def parameter(library):
    return RESOURCE.get(library, "max_iter")


def search_of(library, estimator=None, prefix="", space=RATES, **options):
    """Levels of 27 and 81 trees on one fold, and of 81 on all."""
    defaults = {"cv": SPLITS, "eval_set": "fold", "random_state": 0, "schedule": "published"}
    space = {f"{prefix}{name}": values for name, values in space.items()}
    space[f"{prefix}{parameter_of_trees(library)}"] = [2, 3, 4, 5]
    return SuccessiveHalvingSearchCV(
        library() if estimator is None else estimator,
        space,
        resource=prefix + parameter(library),
        scoring="neg_log_loss",
        **{**defaults, "min_resources": 27, "n_candidates": 9, **options},
    )


def parameter_of_trees(library):
    names = {lightgbm: "max_depth", xgboost: "max_depth", catboost: "depth", hist: "max_leaf_nodes"}
    return names[library]


def by_hand(library, model, train, watched, weight=None):
    """As the library's documentation says, and how many trees it found best."""
    X_train, y_train, (X_watched, y_watched) = *train, watched
    part = {} if weight is None else {"sample_weight": weight[0]}
    if library is hist:
        extra = {} if weight is None else {"sample_weight_val": weight[1]}
        model.set_params(early_stopping=True)
        model.fit(X_train, y_train, X_val=X_watched, y_val=y_watched, **part, **extra)
        return model.n_iter_
    if library is catboost:
        from catboost import Pool

        pool = Pool(X_watched, y_watched, weight=None if weight is None else weight[1])
        model.fit(X_train, y_train, eval_set=pool, **part)
        return model.get_best_iteration() + 1
    if library is xgboost:
        extra = {} if weight is None else {"sample_weight_eval_set": [weight[1]]}
        model.fit(X_train, y_train, eval_set=[watched], verbose=False, **part, **extra)
        return model.best_iteration + 1
    extra = {} if weight is None else {"eval_sample_weight": [weight[1]]}
    model.fit(X_train, y_train, eval_X=X_watched, eval_y=y_watched, **part, **extra)
    return model.best_iteration_


def columns():
    scale = ("scale", StandardScaler(), slice(0, 8))
    return ColumnTransformer([scale, ("rest", "passthrough", slice(8, 12))])


def assert_as_by_hand(library, search, prefix="", transformer=None, weight=None):
    """Every row of the highest level: trees and scores of all folds."""
    results = search.cv_results_
    assert (results["n_resources"] == MOST).all()
    scorer = get_scorer("neg_log_loss")
    for i, params in enumerate(results["params"]):
        counts = []
        for k, (train, test) in enumerate(SPLITS):
            model = library().set_params(**{n.removeprefix(prefix): v for n, v in params.items()})
            parts = X[train], X[test]
            if transformer is not None:
                fitted = transformer.fit(parts[0], y[train])
                parts = fitted.transform(parts[0]), fitted.transform(parts[1])
            weights = None if weight is None else (weight[train], weight[test])
            n = by_hand(library, model, (parts[0], y[train]), (parts[1], y[test]), weights)
            assert results[f"split{k}_n_iter"][i] == n
            if weight is None:
                assert results[f"split{k}_test_score"][i] == scorer(model, parts[1], y[test])
            counts.append(n)
        assert results["mean_n_iter"][i] == np.mean(counts)
    assert (results["mean_n_iter"] < MOST).any()


@pytest.mark.parametrize("library", LIBRARIES)
def test_as_by_hand(library):
    """Trees of each fold are the library's own best iteration on the same rows, scores are equal,
    and the refit has 3/2 times the mean of them, on all rows, with nothing to stop it."""
    search = search_of(library).fit(X, y)
    assert_as_by_hand(library, search)
    n = of_refit(search)
    assert search.refit_params_[parameter(library)] == n
    no_rounds = {"early_stopping_rounds": None}
    # CatBoost's does nothing without a validation set.
    off = {hist: {"early_stopping": False}, xgboost: no_rounds, lightgbm: no_rounds}
    assert search.refit_params_.items() >= off.get(library, {}).items()
    alone = library().set_params(**search.refit_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), alone.predict_proba(X))
    assert trees(library, search.best_estimator_) == n


def of_refit(search):
    """K/(K-1) times the mean, of three folds; never above the maximum."""
    return min(MOST, round(3 / 2 * search.cv_results_["mean_n_iter"][search.best_index_]))


def trees(library, model):
    if library is xgboost:
        return model.get_booster().num_boosted_rounds()
    names = {lightgbm: "n_estimators_", catboost: "tree_count_", hist: "n_iter_"}
    return getattr(model, names[library])


@pytest.mark.parametrize("library", LIBRARIES)
def test_behind_transformers(library):
    """The rows watched go through the transformers that the training rows have fitted."""
    pipe = Pipeline([("columns", columns()), ("boost", library())])
    search = search_of(library, pipe, "boost__").fit(X, y)
    assert_as_by_hand(library, search, "boost__", columns())
    assert search.refit_params_["boost__" + parameter(library)] == of_refit(search)


@pytest.mark.parametrize("library", LIBRARIES)
def test_weights(library):
    """The weights of the rows watched are those of the same argument of ``fit``."""
    pipe = Pipeline([("columns", columns()), ("boost", library())])
    search = search_of(library, pipe, "boost__", n_candidates=3, min_resources=MOST)
    search.fit(X, y, boost__sample_weight=WEIGHT)
    assert_as_by_hand(library, search, "boost__", columns(), WEIGHT)


def test_nested_pipelines():
    """Through both, in order."""
    inner = Pipeline([("minmax", MinMaxScaler()), ("boost", lightgbm())])
    outer = Pipeline([("scale", StandardScaler()), ("none", "passthrough"), ("model", inner)])
    search = search_of(lightgbm, outer, "model__boost__").fit(X, y)
    both = Pipeline([("scale", StandardScaler()), ("minmax", MinMaxScaler())])
    assert_as_by_hand(lightgbm, search, "model__boost__", both)


@pytest.mark.parametrize("inside", [False, True])
def test_a_transformed_target(inside):
    """The target watched is the transformed one; at a pipeline's end, or around a pipeline."""
    data, target = REAL
    boost = hist("Regressor")
    model = Pipeline([("scale", StandardScaler()), ("boost", boost)]) if inside else boost
    scaled = TransformedTargetRegressor(model, transformer=StandardScaler())
    prefix = "regressor__boost__" if inside else "regressor__"
    search = SuccessiveHalvingSearchCV(
        scaled, {f"{prefix}learning_rate": [0.1, 0.5, 1.0]}, resource=f"{prefix}max_iter",
        cv=3, eval_set="fold", min_resources=MOST, folds="all",
    ).fit(data, target)  # fmt: skip
    assert (search.cv_results_["mean_n_iter"] < MOST).any()
    third = len(target) // 3
    train, test = slice(third + 1, None), slice(0, third + 1)
    scale, level = StandardScaler().fit(data[train]), StandardScaler().fit(target[train, None])
    of = [scale.transform(data[s]) if inside else data[s] for s in (train, test)]
    to = [level.transform(target[s, None]).ravel() for s in (train, test)]
    params = search.cv_results_["params"][0]
    by_itself = clone(boost).set_params(**{n.removeprefix(prefix): v for n, v in params.items()})
    n = by_hand(hist, by_itself, (of[0], to[0]), (of[1], to[1]))
    assert search.cv_results_["split0_n_iter"][0] == n


def test_string_labels_and_rare_classes():
    """A class of one row is trained on and not watched."""
    names = np.where(y == 1, "yes", "no").astype(object)
    names[:1] = "rare"
    folds = [(np.arange(len(y)), test) for _, test in SPLITS]
    for library in (lightgbm, hist):
        search = search_of(library, cv=folds, eval_set=0.2, n_candidates=2, min_resources=MOST)
        search.set_params(scoring="accuracy", error_score="raise").fit(X, names)
        assert set(search.classes_) == {"yes", "no", "rare"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_names_of_classes_do_not_matter(library):
    """A library that encodes labels encodes those watched; XGBoost wants them encoded before."""
    names = y if library is xgboost else y * 2 + 1
    one, other = (
        search_of(library, n_candidates=3, min_resources=MOST).fit(X, z) for z in (y, names)
    )
    np.testing.assert_array_equal(one.cv_results_["mean_n_iter"], other.cv_results_["mean_n_iter"])
    assert (one.cv_results_["mean_n_iter"] < MOST).any()


@pytest.mark.parametrize("library", [lightgbm, xgboost, hist])
def test_what_has_stopped_is_not_fitted_again(library):
    """Its outcome is that of every higher level, whether training goes on or not; and is that of
    a fit to the highest amount."""
    for space in (RATES, {**RATES, "subsample": [0.8], "subsample_freq": [1]}):
        if library is not lightgbm and space is not RATES:
            continue
        search = search_of(library, space=space, folds="all").fit(X, y)
        again = search_of(library, space=space, folds="all", continue_training=False).fit(X, y)
        for name in ("mean_test_score", "mean_n_iter", "split1_n_iter"):
            np.testing.assert_array_equal(search.all_cv_results_[name], again.all_cv_results_[name])
        assert search.n_fits_ < sum(
            rung.n_candidates * 3 for b in search.schedule_ for rung in b.rungs
        )
        if space is RATES:
            assert_as_by_hand(library, search)


def test_the_same_for_every_n_jobs_and_after_a_kill(tmp_path):
    """A journal knows iterations, and who has stopped."""
    one, two = (search_of(lightgbm, n_jobs=n).fit(X, y) for n in (1, 2))
    path = tmp_path / "journal.jsonl"
    whole = search_of(lightgbm, journal=path).fit(X, y)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    rest = search_of(lightgbm, journal=path).fit(X, y)
    assert 0 < rest.n_fits_ < whole.n_fits_
    _, records = journal.read(path)
    assert any(record.outcome.stopped for record in records)
    for other in (two, whole, rest):
        for name in ("mean_n_iter", "mean_test_score"):
            np.testing.assert_array_equal(one.all_cv_results_[name], other.all_cv_results_[name])
    with pytest.raises(ValueError, match=r"eval_set: fold then, 0\.2 now"):
        search_of(lightgbm, journal=path, eval_set=0.2).fit(X, y)


# -- a part of the training rows -------------------------------------------------------------------


class Watcher(ClassifierMixin, BaseEstimator):
    """Remembers what it trains on and watches."""

    fits: list = []  # noqa: RUF012

    def __init__(self, a=0, epochs=9):
        self.a = a
        self.epochs = epochs

    def fit(self, X, y, watch=None):
        self.fits.append((self.a, self.epochs, len(X), X[:, 0], watch and watch[0][:, 0]))
        self.classes_, self.n_iter_ = np.unique(y), min(self.epochs, 3)
        return self

    def score(self, X, y):
        return self.a


@pytest.fixture
def watcher():
    known = dict(STOPPERS)
    register_validation(Watcher, lambda model, X, y, weight: {"watch": (X, y)}, "epochs")
    yield Watcher()
    STOPPERS.clear()
    STOPPERS.update(known)
    Watcher.fits.clear()


NUMBERED = np.column_stack([np.arange(len(y)), X])


@pytest.mark.parametrize("resource", ["n_samples", "epochs"])
def test_a_fraction(watcher, resource):
    """A fifth of the training rows, in the classes' proportions, the same for every candidate of a
    fold and level; the model has the rest, and the fold stays unseen."""
    SuccessiveHalvingSearchCV(
        watcher, {"a": list(range(9))}, resource=resource, eval_set=0.2, cv=SPLITS, random_state=0,
        refit=False, min_resources="auto" if resource == "n_samples" else 9,
    ).fit(NUMBERED, y)  # fmt: skip
    seen = {}
    folds = set()
    for _, _, n, trained, watched in Watcher.fits:
        trained, watched = set(trained.astype(int)), set(watched.astype(int))
        assert not trained & watched
        assert len(watched) == round(0.2 * (len(trained) + len(watched)))
        both = trained | watched
        fold = next(k for k, (train, _) in enumerate(SPLITS) if both <= set(train))
        folds.add(fold)
        assert seen.setdefault((fold, n), watched) == watched
        assert abs(y[list(watched)].mean() - y[list(both)].mean()) < 1 / len(watched)
    assert folds == {0, 1, 2}


def test_validation_rows_are_not_taken_for_test_rows(watcher, monkeypatch):
    """What transformers made of either is shared by all candidates, each under a name of its
    own."""
    leave, scored = Sharing._leave, []
    monkeypatch.setattr(Sharing, "_leave", lambda *args: min(leave(*args), -np.inf))
    monkeypatch.setattr(
        Watcher, "score", lambda model, X, y: scored.append(set(X[:, 0].astype(int))) or model.a
    )
    pipe = Pipeline([("copy", StandardScaler(with_mean=False, with_std=False)), ("m", watcher)])
    SuccessiveHalvingSearchCV(
        pipe, {"m__a": list(range(9))}, eval_set=0.2, cv=SPLITS, random_state=0, refit=False
    ).fit(NUMBERED, y)
    tests = [set(test) for _, test in SPLITS]
    assert all(any(rows <= test for test in tests) for rows in scored)
    for _, _, _, _, watched in Watcher.fits:
        assert any(not set(watched.astype(int)) & test for test in tests)


def test_the_fold(watcher):
    """The test rows of the fold, those that the level scores on, are watched."""
    SuccessiveHalvingSearchCV(
        watcher, {"a": list(range(9))}, eval_set="fold", cv=SPLITS, random_state=0, refit=False
    ).fit(NUMBERED, y)
    tests = [set(test) for _, test in SPLITS]
    for _, _, _, _, watched in Watcher.fits:
        assert any(set(watched.astype(int)) <= test for test in tests)


def test_time_series(watcher):
    """The latest training rows are watched."""
    SuccessiveHalvingSearchCV(
        watcher, {"a": list(range(9))}, eval_set=0.3, cv=TimeSeriesSplit(3), refit=False
    ).fit(NUMBERED, y)
    for _, _, _, trained, watched in Watcher.fits:
        assert trained.max() < watched.min()


def test_every_class_is_trained_on():
    """A class of one row is trained on, whatever the seed."""
    labels = np.array([0] * 50 + [1] * 49 + [2])
    for seed in range(50):
        validation_set = ValidationSet(0.5, True, False, seed, {})
        train, validation = validation_set.split(labels, np.arange(100), [], 0)
        assert set(labels[train]) == {0, 1, 2}
        assert sorted([*train, *validation]) == list(range(100))


def test_registered(watcher):
    """A registered class stops as it says, on workers as well; the refit has 3/2 times 3."""
    search = SuccessiveHalvingSearchCV(
        watcher, {"a": list(range(9))}, resource="epochs", eval_set="fold", cv=3, n_jobs=2
    ).fit(NUMBERED, y)
    assert (search.cv_results_["mean_n_iter"] == 3).all()
    assert search.refit_params_ == {**search.best_params_, "epochs": 4}
    assert search.best_estimator_.epochs == 4


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_best_estimator_can_be_cloned(library):
    """Whatever the refit switches off, as anybody does who fits the winner on other rows."""
    best = search_of(library).fit(X, y)
    again = clone(best.best_estimator_).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), best.predict(X))


# -- what a fit used, without a validation set ----------------------------------------------------


@pytest.mark.parametrize(
    ("model", "n_iter"),
    [
        (LogisticRegression(max_iter=2000, tol=1e-2), lambda m: m.n_iter_.max()),
        (GradientBoostingClassifier(n_estimators=7), lambda m: 7),
        (HistGradientBoostingClassifier(max_iter=5), lambda m: 5),
        (RandomForestClassifier(n_estimators=3), None),
        (lightgbm, lambda m: 6),
        (catboost, lambda m: 6),
    ],
)
def test_n_iter(model, n_iter):
    """Every estimator that tells, with a column for each fold; none for those that do not."""
    if not isinstance(model, BaseEstimator):
        model = model(early_stopping_rounds=None).set_params(**{parameter(model): 6})
    space = {"C": [0.01, 0.1, 1]} if "C" in model.get_params() else {"max_depth": [2, 3, 4]}
    data = StandardScaler().fit_transform(X)
    search = SuccessiveHalvingSearchCV(model, space, cv=3, error_score="raise").fit(data, y)
    assert ("mean_n_iter" in search.cv_results_) == (n_iter is not None)
    if n_iter is not None:
        assert [n for n in search.cv_results_ if n.endswith("_n_iter")] == [
            "split0_n_iter", "split1_n_iter", "split2_n_iter", "mean_n_iter"
        ]  # fmt: skip
        assert not np.isnan(search.cv_results_["mean_n_iter"]).any()
        once = search.all_cv_results_["n_folds"] == 1
        for k in range(3):
            column = search.all_cv_results_[f"split{k}_n_iter"]
            scored = ~np.isnan(search.all_cv_results_[f"split{k}_test_score"])
            np.testing.assert_array_equal(~np.isnan(column), scored)
        assert once.any()
        train = next(iter(StratifiedKFold(3).split(data, y)))[0]
        alone = clone(model).set_params(**search.best_params_).fit(data[train], y[train])
        assert search.cv_results_["split0_n_iter"][search.best_index_] == n_iter(alone)
    assert search.refit_params_ == search.best_params_


def test_epochs_by_partial_fit():
    """A chain of epochs tells how long it is."""
    search = SuccessiveHalvingSearchCV(
        SGDClassifier(max_iter=9, tol=None, random_state=0), {"alpha": [1e-4, 1e-3, 1e-2]}, cv=3,
        resource="max_iter", factor=10**9, continue_training=True,
    ).fit(X, y)  # fmt: skip
    assert (search.all_cv_results_["mean_n_iter"] == search.all_cv_results_["n_resources"]).all()


# -- errors, from plan as from fit -----------------------------------------------------------------


ERRORS = [
    (lightgbm, {"eval_set": None}, {}, ["LGBMClassifier", 'eval_set="fold"']),
    (xgboost, {"eval_set": None}, {}, ["XGBClassifier", 'eval_set="fold"']),
    (catboost, {"eval_set": None}, {}, ["CatBoostClassifier", 'eval_set="fold"']),
    (lambda: catboost(early_stopping_rounds=None, od_wait=9), {"eval_set": None}, {}, ["od_wait"]),
    (lambda: lightgbm(early_stopping_rounds=None), {}, {}, ["does not stop early"]),
    (lambda: hist(early_stopping=False), {}, {}, ["HistGradient", "set its early_stopping"]),
    (LogisticRegression, {}, {}, ["LogisticRegression", "XGBClassifier", "register_validation"]),
    (lightgbm, {}, {"eval_set": []}, ["exclude each other"]),
    (lightgbm, {"eval_set": 1.0}, {}, ["eval_set"]),
    (lightgbm, {"eval_set": 0.0}, {}, ["eval_set"]),
    (lightgbm, {"eval_set": "folds"}, {}, ["eval_set"]),
]  # fmt: skip


@pytest.mark.parametrize(("library", "options", "fit_params", "words"), ERRORS)
@pytest.mark.parametrize("method", ["plan", "fit"])
def test_errors(library, options, fit_params, words, method):
    """Each says what to do, before anything is fitted, also at the end of a pipeline."""
    pipe = Pipeline([("scale", StandardScaler()), ("model", library())])
    options = {"eval_set": "fold", **options}
    search = HyperbandSearchCV(pipe, {"scale__with_std": [False, True]}, **options)
    given = {f"model__{name}": value for name, value in fit_params.items()}
    with pytest.raises(ValueError, match="eval_set") as error:
        getattr(search, method)(X, y, **given)
    for word in words:
        assert word in str(error.value)


def test_early_stopping_that_is_searched():
    """One candidate that would stop early is enough for the error."""
    model = lightgbm(early_stopping_rounds=None)
    with pytest.raises(ValueError, match='pass eval_set="fold"'):
        HyperbandSearchCV(model, {"early_stopping_rounds": [None, 5]}).plan(X, y)


@pytest.mark.skipif(not no_X_val, reason="scikit-learn has X_val since 1.7")
def test_before_x_val():
    with pytest.raises(ValueError, match=r"needs scikit-learn 1\.7"):
        HyperbandSearchCV(HistGradientBoostingClassifier(), RATES, eval_set="fold").plan(X, y)


def test_a_callback_that_stops():
    """LightGBM's callback among the arguments of ``fit``; the refit goes without it."""
    model = lightgbm(early_stopping_rounds=None)
    stop = pytest.importorskip("lightgbm", reason="no LightGBM").early_stopping(5, verbose=False)
    by_callback = search_of(lightgbm, model).fit(X, y, callbacks=[stop])
    by_parameter = search_of(lightgbm).fit(X, y)
    np.testing.assert_array_equal(
        by_callback.cv_results_["mean_n_iter"], by_parameter.cv_results_["mean_n_iter"]
    )
    np.testing.assert_array_equal(by_callback.predict_proba(X), by_parameter.predict_proba(X))


def test_xgboosts_callback():
    """A parameter of the estimator; the refit goes without it."""
    callback = pytest.importorskip("xgboost", reason="no XGBoost").callback.EarlyStopping(rounds=5)
    model = xgboost(early_stopping_rounds=None, callbacks=[callback])
    search = search_of(xgboost, model).fit(X, y)
    assert_as_by_hand(xgboost, search)
    assert search.refit_params_["callbacks"] == []


def test_one_thing_is_routed(routing):
    """With metadata routing the weights of the rows watched are found as well."""
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
        pytest.skip("X_val is of scikit-learn 1.7")
    boost = hist().set_fit_request(sample_weight="w", X_val=False, y_val=False)
    pipe = Pipeline([("columns", columns()), ("boost", boost)])
    search = search_of(hist, pipe, "boost__", n_candidates=3, min_resources=MOST)
    search.fit(X, y, w=WEIGHT)
    assert_as_by_hand(hist, search, "boost__", columns(), WEIGHT)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_refit_keeps_the_maximum(library):
    """Also where K/(K-1) times the mean is above it; and where no fold has told anything."""
    counts = parameter(library)
    assert trains_alone(library(), 1000.0)[counts] == MOST
    assert trains_alone(library(), 0.2)[counts] == 1
    assert counts not in trains_alone(library(), np.nan)
