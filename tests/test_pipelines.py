"""Steps that candidates share are run once, and no score changes."""

import copy
import errno
import gc
import os
import pickle
import tempfile
import time
import warnings
import weakref
from math import inf

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import all_estimators

from skhalving import SuccessiveHalvingSearchCV
from skhalving.pipelines import Sharing, sharing
from skhalving.sklearn_private import _fit_and_score, _MultimetricScorer
from skhalving.store import Store, temporary_folder

# Spaces are small here, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:n_candidates=.* is too few:UserWarning")

X, y = load_digits(return_X_y=True)
X, y = X[:240, 8:40], y[:240] % 3
TABLE = pd.DataFrame(X[:, :3], columns=["a", "b", "c"]).assign(
    kind=np.array(["u", "v", "w", "x"])[(X[:, 5] % 4).astype(int)]
)
TEXT = np.array([" ".join(f"w{int(v)}" for v in row) for row in X], dtype=object)
WEIGHT = np.linspace(1, 2, len(y))


@pytest.fixture
def evaluations(monkeypatch):
    """All evaluations as they shared; every step is taken to be worth it, however quick it is."""
    known = []
    leave, init = Sharing._leave, Sharing.__init__

    def remembered(self, *args):
        init(self, *args)
        known.append(self)

    monkeypatch.setattr("skhalving.pipelines._QUICK", -inf)
    monkeypatch.setattr(Sharing, "_leave", lambda *args: min(leave(*args), -inf))
    monkeypatch.setattr(Sharing, "__init__", remembered)
    return known


def without(model):
    """The same with memories that do nothing, which switches sharing off."""
    model = clone(model)
    for name, value in {"": model, **model.get_params()}.items():
        if isinstance(value, Pipeline):
            model.set_params(**{f"{name}__memory".removeprefix("__"): joblib.Memory(None)})
    return model


def search(model, space, data=(X, y), fit_params=None, **options):
    options = {"cv": 2, "min_resources": 60, "random_state": 0, "refit": False, **options}
    found = SuccessiveHalvingSearchCV(model, space, **options).fit(*data, **(fit_params or {}))
    return {
        name: [str(value) for value in column]
        for name, column in getattr(found, "all_cv_results_", found.cv_results_).items()
        if "time" not in name
    }


# -- how often -------------------------------------------------------------------------------------


class Counting(TransformerMixin, BaseEstimator):
    """Leaves a line for each call, in a file that all processes see."""

    def __init__(self, path="", factor=1.0, seconds=0.0):
        self.path, self.factor, self.seconds = path, factor, seconds

    def _note(self, what, X):
        with open(self.path, "a") as file:
            file.write(f"{what} {len(X)} {X[0].sum()}\n")
        time.sleep(self.seconds)

    def fit(self, X, y=None):
        self._note("fit", X)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        self._note("transform", X)
        return X * self.factor


def counts(path, what):
    lines = [line for line in path.read_text().splitlines() if line.startswith(what)]
    return [lines.count(line) for line in set(lines)]


ALPHAS = {"m__var_smoothing": [float(v) for v in np.logspace(-9, 0, 27)]}


def test_one_fit_for_each_fold_and_level(evaluations, tmp_path):
    """And one transformation each of the training and of the test rows, for all candidates."""
    path = tmp_path / "calls"
    model = Pipeline([("c", Counting(str(path))), ("m", GaussianNB())])
    search(model, ALPHAS, n_candidates=27)
    assert set(counts(path, "fit")) == {1}
    assert sum(counts(path, "transform")) == 2 * len(counts(path, "fit"))
    assert len(counts(path, "fit")) == len({(s._fold, s._amount) for s in evaluations}) > 2
    assert sum(s.n_fitted for s in evaluations) == len(counts(path, "fit"))
    assert sum(s.n_fitted + s.n_shared for s in evaluations) == len(evaluations)


def test_a_step_within_a_step_is_shared(evaluations, tmp_path):
    """The first transformer of a pipeline that is itself a step, also where the second is
    searched."""
    path = tmp_path / "calls"
    inner = Pipeline([("c", Counting(str(path))), ("pca", PCA(random_state=0))])
    model = Pipeline([("inner", inner), ("m", GaussianNB())])
    search(model, {"inner__pca__n_components": [1, 2, 3], **ALPHAS}, n_candidates=27)
    assert set(counts(path, "fit")) == {1}
    assert sum(counts(path, "transform")) == 2 * len(counts(path, "fit"))


def test_two_threads_fit_at_most_twice(evaluations, tmp_path):
    """Who starts the same step at the same moment does it as well."""
    path = tmp_path / "calls"
    model = Pipeline([("c", Counting(str(path))), ("m", GaussianNB())])
    with joblib.parallel_config("threading"):
        search(model, ALPHAS, n_candidates=27, n_jobs=2)
    assert max(counts(path, "fit")) <= 2


def test_processes_share_files(tmp_path):
    """What one worker fitted another does not fit again; the scores are those of one process."""
    path = tmp_path / "calls"
    model = Pipeline([("c", Counting(str(path), seconds=0.2)), ("m", GaussianNB())])
    found = search(model, ALPHAS, n_candidates=9, n_jobs=2)
    n_fits = sum(counts(path, "fit"))
    path.unlink()
    model.set_params(c__seconds=0)
    assert found == search(without(model), ALPHAS, n_candidates=9)
    assert n_fits < sum(counts(path, "fit"))


def test_an_iteration_parameter_needs_one_fit_a_fold(evaluations, tmp_path):
    """And one transformation each of the training and of the test rows: its rows are the same on
    every level. Models that go on take the same transformers."""
    path = tmp_path / "calls"
    forest = RandomForestClassifier(n_estimators=18, random_state=0)
    model = Pipeline([("c", Counting(str(path))), ("m", forest)])
    found = search(
        model, {"m__max_depth": range(1, 10)}, resource="m__n_estimators", min_resources=2
    )
    assert sorted(counts(path, "fit")) == [1, 1]
    assert sum(counts(path, "transform")) == 2 * 2
    assert "True" in found["continued"]


@pytest.mark.parametrize("pays", [True, False])
def test_training_goes_on_after_the_same_draws(evaluations, monkeypatch, pays):
    """A transformer without a seed stays what it was on the rung below; if it is shared, it draws
    once for a fold, else once for each model."""
    if not pays:
        monkeypatch.setattr(Sharing, "_leave", lambda *args: inf)
    draws = []

    def score(fitted, X, y):
        draws.append(fitted[0].random_offset_.sum())
        return -fitted[-1].max_depth

    forest = RandomForestClassifier(n_estimators=9, random_state=0)
    model = Pipeline([("s", RBFSampler(n_components=5)), ("m", forest)])
    options = {"resource": "m__n_estimators", "min_resources": 3, "folds": "all"}
    search(model, {"m__max_depth": [1, 2, 3]}, scoring=score, **options)
    assert len(draws) > 2 * 3
    assert len(set(draws)) == (2 if pays else 2 * 3)


class Sampler(BaseEstimator):
    """As those of imbalanced-learn: their output is no longer the rows of the fold."""

    def fit_resample(self, X, y):
        return X[::2], y[::2]

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize(
    ("second", "memory"),
    [
        (None, joblib.Memory(None)),
        (Pipeline([("s", StandardScaler())], memory=joblib.Memory(None)), None),
        (Sampler(), None),
    ],
)
def test_training_goes_on_after_the_same_draws_where_nothing_is_shared(second, memory):
    """The outermost pipeline has a memory of its own, or one of its steps has, or it samples."""
    draws = []

    def score(fitted, X, y):
        draws.append(fitted[0].random_offset_.sum())
        return -fitted[-1].max_depth

    forest = RandomForestClassifier(n_estimators=9, random_state=0)
    steps = [("s", RBFSampler(n_components=5)), ("second", second), ("m", forest)]
    options = {"resource": "m__n_estimators", "min_resources": 3, "folds": "all"}
    search(Pipeline(steps, memory=memory), {"m__max_depth": [1, 2, 3]}, scoring=score, **options)
    assert len(draws) > 2 * 3
    assert len(set(draws)) == 2 * 3


def test_draws_of_one_fit_are_not_taken_for_those_of_another(evaluations, monkeypatch):
    """Where the fit of a transformer without a seed does not pay, and its output for the test rows
    would: that output is the fitted transformer's own."""
    leave = Sharing._leave
    monkeypatch.setattr(
        Sharing, "_leave", lambda *args: inf if isinstance(args[2], tuple) else leave(*args)
    )

    def score(fitted, X, y):
        np.testing.assert_array_equal(
            fitted[:-1].transform(X), StandardScaler.transform(fitted[1], project(fitted[0], X))
        )
        return 0.0

    def project(sampler, X):
        return np.cos(X @ sampler.random_weights_ + sampler.random_offset_) * np.sqrt(2 / 5)

    model = Pipeline([("s", RBFSampler(n_components=5)), ("z", StandardScaler()), ("m", knn)])
    search(model, K, scoring=score, error_score="raise")


def test_a_memory_that_the_user_gave_is_left_to_do_its_work(evaluations, tmp_path):
    """Nothing of ours is between it and the transformer."""
    path = tmp_path / "calls"
    model = Pipeline([("c", Counting(str(path))), ("m", GaussianNB())], memory=str(tmp_path))
    search(model, ALPHAS, n_candidates=27)
    assert set(counts(path, "fit")) == {1}
    assert not any(s.n_fitted or s.n_shared for s in evaluations)


def test_what_does_not_pay_is_not_shared(evaluations, monkeypatch, tmp_path):
    """It is measured once for a step and an amount; no file stays."""
    path, written, share = tmp_path / "calls", [], Store.share

    def remembered(*args):
        written.append(args[1:3])
        return share(*args)

    monkeypatch.setattr(Store, "share", remembered)
    monkeypatch.setattr(
        Sharing, "_leave", lambda self, *args: share(self._store, self._amount, *args) or inf
    )
    model = Pipeline([("c", Counting(str(path))), ("m", GaussianNB())])
    search(model, ALPHAS, n_candidates=27)
    assert sum(s.n_shared for s in evaluations) == 0
    assert sum(counts(path, "fit")) == len(evaluations)


def test_what_is_quick_is_not_written(evaluations, monkeypatch, tmp_path):
    """Not even to measure what a file would take."""
    monkeypatch.setattr("skhalving.pipelines._QUICK", inf)
    monkeypatch.setattr(Store, "share", None)
    model = Pipeline([("c", Counting(str(tmp_path / "calls"))), ("m", GaussianNB())])
    search(model, ALPHAS, n_candidates=27)
    assert not any(s.fault or s.n_shared for s in evaluations)


def test_outputs_that_nobody_uses_are_soon_not_written(evaluations, monkeypatch):
    """A parameter of the transformer that all candidates have otherwise: two are tried."""
    written, share = [], Store.share

    def remembered(*args):
        written.append(args[2])
        return share(*args)

    monkeypatch.setattr(Store, "share", remembered)
    model = make_pipeline(PCA(random_state=0), GaussianNB())
    search(model, {"pca__n_components": range(1, 28)}, n_candidates=27)
    assert len(evaluations) > 27
    assert len(set(written)) <= 4  # two of the training rows, two of the test rows


def test_a_level_that_is_over_is_fitted_anew(evaluations, tmp_path):
    """Its files are gone; whoever comes late has what he needs all the same."""
    path = tmp_path / "calls"
    with temporary_folder() as folder:
        store = Store(folder)
        model = Pipeline([("c", Counting(str(path))), ("m", GaussianNB())])
        scores = [evaluate(model, store)["test_scores"] for _ in range(2)]
        store.level_over(9)
        assert evaluate(model, store)["test_scores"] == scores[0] == scores[1]
    assert counts(path, "fit") == [2]


# -- equal scores ----------------------------------------------------------------------------------


class Failing(StandardScaler):
    """Fails on some rows."""

    def fit(self, X, y=None, sample_weight=None):
        if X[0, 3] > 5:
            raise ValueError("as asked")
        return super().fit(X, y, sample_weight)


class Kinked(MinMaxScaler):
    """Far from any straight line, so that other columns go with it."""

    def transform(self, X):
        return np.abs(super().transform(X) - 0.5)

    def inverse_transform(self, X):
        return super().inverse_transform(X + 0.5)


class Unlikely(TransformerMixin, BaseEstimator):
    """Its ``fit_transform`` is not ``fit`` and then ``transform``."""

    def fit(self, X, y):
        self.means_ = {label: X[y == label].mean(axis=0) for label in np.unique(y)}
        return self

    def fit_transform(self, X, y):
        self.fit(X, y)
        return X + np.array([self.means_[label] for label in y])

    def transform(self, X):
        return X - self.means_[0]


class Trimmed(Pipeline):
    """Trains on other rows than those that it is given."""

    def __init__(self, steps, *, transform_input=None, memory=None, verbose=False, factor=1.0):
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)
        self.factor = factor

    def fit(self, X, y):
        return super().fit(X[5:] * self.factor, y[5:])


def deep_copying(model, X, y):
    """Also transforms other rows than those it was given, in a copy of the model and in itself."""
    other = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    shuffled = X[::-1].copy()
    np.testing.assert_array_equal(other.predict(shuffled), model.predict(shuffled))
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert clone(model).fit(X, y).predict(X).shape == y.shape
    return accuracy_score(y, model.predict(X)) + accuracy_score(y[::-1], model.predict(shuffled))


def refitting(model, X, y):
    """Fits the model that it was given again, to other rows, after it has used it."""
    before = model.predict(X).mean()
    return before + model.fit(X + X[:1], y).predict(X).mean() + model.fit(X, y).predict(X).mean()


def times(factor):
    return FunctionTransformer(lambda X: X * factor)


def encoded(output=None):
    scale = make_pipeline(MinMaxScaler(), PowerTransformer())
    columns = ColumnTransformer(
        [
            ("numbers", scale, make_column_selector(dtype_include="number")),
            ("kinds", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["kind"]),
        ]
    )
    return Pipeline(
        [("columns", columns.set_output(transform=output)), ("m", LogisticRegression())]
    )


C = {"m__C": [float(c) for c in np.logspace(-3, 2, 9)]}
K = {"m__n_neighbors": range(1, 10)}
NB = {"m__var_smoothing": ALPHAS["m__var_smoothing"][:9]}
REGRESSION = {"data": (X, X[:, 10] * 2 + y + 1.0)}
words, select = ("words", TfidfVectorizer(ngram_range=(1, 2))), ("select", SelectKBest(k=5))
sgd, knn = SGDClassifier(random_state=0), KNeighborsClassifier()
logistic, bayes = LogisticRegression(max_iter=50), GaussianNB()
target = TransformedTargetRegressor(
    Pipeline([("select", SelectKBest(f_regression, k=3)), ("m", Ridge())]),
    transformer=PowerTransformer(),
    check_inverse=False,
)
bins = KBinsDiscretizer(5, strategy="uniform", encode="onehot-dense", subsample=None)

CASES = {
    "text": (
        [words, select, ("m", sgd)],
        {"m__alpha": [1e-4, 1e-2, 1], "select__k": [2, 5, 9]},
        {"data": (TEXT, y)},
    ),
    "sparse": (
        [words, ("svd", TruncatedSVD(5, random_state=0)), ("m", knn)],
        K,
        {"data": (TEXT, y)},
    ),
    "arrays": (encoded(), C, {"data": (TABLE, y)}),
    "pandas": (encoded("pandas"), C, {"data": (TABLE, y)}),
    "polars": (encoded("polars"), C, {"data": (TABLE, y)}),
    "a transformed target": (
        target,
        {
            "regressor__m__alpha": C["m__C"],
            "transformer": [PowerTransformer(), MinMaxScaler(), Kinked()],
        },
        REGRESSION,
    ),
    "class weights": (
        [("s", StandardScaler()), ("m", logistic)],
        {**C, "m__class_weight": [None, "balanced"]},
        {},
    ),
    "weights of a step": (
        [("s", StandardScaler()), ("m", logistic)],
        C,
        {"fit_params": {"s__sample_weight": WEIGHT}},
    ),
    "several metrics": (
        [("pca", PCA(5, random_state=0)), ("m", knn)],
        K,
        {
            "scoring": ["accuracy", "neg_log_loss", "f1_macro"],
            "refit": False,
            "return_train_score": True,
        },
    ),
    "a fit of its own": (
        Trimmed([("s", StandardScaler()), ("m", knn)]),
        {"factor": [0.5, 1.0], "m__n_neighbors": [1, 3, 5, 9]},
        {"return_train_score": True},
    ),
    "training scores": ([("odd", Unlikely()), ("m", knn)], K, {"return_train_score": True}),
    "target encoder": (
        [("t", TargetEncoder(random_state=0)), ("m", bayes)],
        NB,
        {"data": (TABLE[["kind"]], y), "return_train_score": True},
    ),
    "bins": ([("bins", bins), ("m", bayes)], NB, {"data": (X[:, 10:14], y)}),
    "failing": (
        [("f", Failing()), ("m", logistic)],
        {**C, "f": [Failing(), MinMaxScaler()]},
        {"error_score": -1.0},
    ),
    "nested": (
        [
            ("outer", Pipeline([("s", StandardScaler()), ("pca", PCA(random_state=0))])),
            ("m", Pipeline([("mm", MinMaxScaler()), ("k", knn)])),
        ],
        {"outer__pca__n_components": [2, 5], "m__k__n_neighbors": [1, 3, 5, 9]},
        {},
    ),
    "passthrough": (
        [("scale", StandardScaler()), ("m", knn)],
        {**K, "scale": [StandardScaler(), MinMaxScaler(), "passthrough"]},
        {},
    ),
    "functions told apart": (
        [("f", times(1)), ("s", StandardScaler()), ("m", knn)],
        {"m__n_neighbors": [1, 3], "f": [times(0), times(1), times(2)]},
        {},
    ),
    "outputs told apart": (
        [
            ("s", StandardScaler()),
            ("f", FunctionTransformer(lambda X: np.asarray(X) * hasattr(X, "columns"))),
            ("m", knn),
        ],
        {
            "m__n_neighbors": [1, 3, 5],
            "s": [StandardScaler(), StandardScaler().set_output(transform="pandas")],
        },
        {},
    ),
    "a frozen step": (
        [("f", FrozenEstimator(StandardScaler().fit(X))), ("s", MinMaxScaler()), ("m", knn)],
        K,
        {"return_train_score": True},
    ),
    "union": (
        [
            ("u", FeatureUnion([("s", StandardScaler()), ("pca", PCA(3, random_state=0))])),
            ("m", knn),
        ],
        K,
        {},
    ),
    "in place": (
        [
            ("s", StandardScaler(copy=False)),
            ("pca", PCA(5, copy=False, random_state=0)),
            ("m", knn),
        ],
        {**K, "s__copy": np.array([False])},
        {"scoring": ["accuracy", "f1_macro"], "return_train_score": True},
    ),
    "a scorer that copies": (
        [("s", StandardScaler()), ("pca", PCA(5, random_state=0)), ("m", knn)],
        K,
        {"scoring": deep_copying},
    ),
    "a scorer that fits": (
        [("s", StandardScaler()), ("pca", PCA(5, random_state=0)), ("m", knn)],
        K,
        {"scoring": refitting, "return_train_score": True},
    ),
    "gaps": ([("f", FunctionTransformer(lambda X: X[:, ::2])), ("m", logistic)], C, {}),
    "no target": (
        [("s", StandardScaler()), ("pca", PCA())],
        {"pca__n_components": range(1, 10)},
        {"data": (X,)},
    ),
    "growing forests": (
        [("pca", PCA(5, random_state=0)), ("m", RandomForestRegressor(9, random_state=0))],
        {"m__max_depth": range(1, 10)},
        {**REGRESSION, "resource": "m__n_estimators", "min_resources": 1},
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:`TargetEncoder.shuffle`:FutureWarning")
@pytest.mark.parametrize("name", CASES)
def test_scores_are_equal(evaluations, name):
    """To the last bit, with and without; and something was shared, where that is possible."""
    if name == "polars" and tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        pytest.skip("ColumnTransformer fails with the output of polars 2 before 1.9")
    steps, space, options = CASES[name]
    model = steps if isinstance(steps, BaseEstimator) else Pipeline(steps)
    found = search(model, space, **options)
    n_shared = sum(s.n_shared for s in evaluations)
    assert (n_shared > 0) == (name != "in place")
    evaluations.clear()
    assert found == search(without(model), space, **options)
    assert sum(s.n_shared for s in evaluations) == 0


def test_routed_metadata_is_part_of_what_must_be_equal(evaluations):
    """Steps that ask for weights get theirs; those of a step that asks for none are another's."""
    with sklearn.config_context(enable_metadata_routing=True):
        scalers = [StandardScaler().set_fit_request(sample_weight=ask) for ask in (True, False)]
        model = Pipeline([("s", scalers[0]), ("m", LogisticRegression(max_iter=50))])
        model.set_params(m=model[-1].set_fit_request(sample_weight=True))
        space = {**C, "s": scalers}
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        options = {"scoring": scorer, "fit_params": {"sample_weight": WEIGHT}}
        found = search(model, space, **options)
        assert sum(s.n_shared for s in evaluations) > 0
        assert found == search(without(model), space, **options)


# -- one evaluation at a time ----------------------------------------------------------------------


def evaluate(model, store, scorer=None, model_of=clone, **options):
    """As a search does it."""
    model = model_of(model)
    half = np.arange(len(y)) % 2
    scorer = scorer or (lambda fitted, X, y: fitted.score(X, y))
    with sharing(model, store, 0, 9) as shared:
        outcome = _fit_and_score(
            model,
            X,
            y,
            scorer=shared.scorer(scorer),
            train=np.flatnonzero(half),
            test=np.flatnonzero(1 - half),
            verbose=0,
            parameters=None,
            fit_params=None,
            score_params=None,
            return_train_score=True,
            error_score=-1.0,
            **options,
        )
    return {**outcome, "shared": shared, "model": model}


@pytest.fixture
def store():
    with temporary_folder() as folder:
        yield Store(folder)


def test_nothing_of_it_stays_in_a_model(evaluations, store):
    """Memory, ``fit`` and ``transform`` are the pipeline's own; so is what it tells of itself."""
    for _ in range(2):
        outcome = evaluate(encoded_digits(), store)
        model = outcome["model"]
        assert model.memory is None
        assert not {"fit", "transform"} & (set(vars(model)) | set(vars(model[0])))
        restored = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(restored.predict(X), model.predict(X))
        assert model.n_features_in_ == X.shape[1]
    assert outcome["shared"].n_shared == 2
    assert evaluate(encoded_digits(), store)["model"][0] is not model[0]


def encoded_digits(**options):
    return Pipeline(
        [("s", StandardScaler()), ("pca", PCA(5)), ("m", KNeighborsClassifier())], **options
    )


def test_a_frozen_step_stays_as_it_was(evaluations, store):
    """Its clone is the object that the user has given; also if that is a pipeline itself."""
    frozen = FrozenEstimator(make_pipeline(StandardScaler(), PCA(5)).fit(X))
    before = set(vars(frozen)), set(vars(frozen[0]))
    for _ in range(2):
        outcome = evaluate(Pipeline([("f", frozen), ("m", knn)]), store)
    assert outcome["shared"].n_shared == 1
    assert (set(vars(frozen)), set(vars(frozen[0]))) == before


def test_a_clone_within_a_target_regressor_keeps_no_trace(evaluations, store):
    """Its pipeline has the memory that it was given: none."""
    for _ in range(2):
        outcome = evaluate(target, store)
    assert outcome["shared"].n_shared == 1
    assert outcome["model"].regressor_.memory is None


def test_a_clone_that_a_scorer_keeps_holds_no_rows(store):
    """They are let go of with the evaluation; the clone can be fitted as ever."""
    rows, clones = [], []

    class Remembering(StandardScaler):
        def fit(self, X, y=None, sample_weight=None):
            rows.append(weakref.ref(X))
            return super().fit(X, y, sample_weight)

    def score(model, X, y):
        clones.append(clone(model))
        return 0.0

    outcome = evaluate(make_pipeline(Remembering(), PCA(5), knn), store, scorer=score)
    del outcome["model"]
    gc.collect()
    assert [row() for row in rows] == [None]
    assert clones[0].fit(X, y).predict(X).shape == y.shape


def test_a_full_disk_is_told_and_harms_nothing(evaluations, store, monkeypatch):
    """The reason is the same text for every file, so it is one warning."""

    def full(self, amount, name, value):
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr(Store, "share", full)
    outcomes = [evaluate(encoded_digits(), store) for _ in range(2)]
    assert outcomes[0]["shared"].fault.endswith(
        "could not be shared: OSError: No space left on device"
    )
    assert outcomes[0]["test_scores"] == outcomes[1]["test_scores"] > 0
    assert outcomes[1]["shared"].n_fitted == 2


def test_what_a_search_tells_of_sharing(evaluations, capsys):
    """How many transformers were fitted, and how many were not, in ``on_result`` and the log."""
    told = []
    model = Pipeline([("s", StandardScaler()), ("m", GaussianNB())])
    search(model, ALPHAS, n_candidates=9, on_result=told.append, verbose=1)
    fitted, shared = sum(s.n_fitted for s in evaluations), sum(s.n_shared for s in evaluations)
    assert 0 < fitted < shared
    assert told[-1]["transformers_fitted"] == fitted
    assert told[-1]["transformers_shared"] == shared
    assert f"transformers: {fitted} fits instead of {fitted + shared}" in capsys.readouterr().out


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_search_on_a_full_disk_warns_once(evaluations, monkeypatch, goes_on):
    """Also where models go on, of which there is room for some."""

    def full(self, amount, name, value):
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr(Store, "share", full)
    model = Pipeline([("s", StandardScaler()), ("m", RandomForestClassifier(9, random_state=0))])
    options = {"resource": "m__n_estimators", "min_resources": 3} if goes_on else {}
    with pytest.warns(UserWarning, match="could not be shared: OSError: No space left") as caught:
        search(model, {"m__max_depth": list(range(1, 10))}, folds="all", **options)
    assert len(caught) == 1


def test_errors_look_as_ever(evaluations, store):
    """The same last lines of the traceback, each time; a failed fit is not shared."""
    errors = [evaluate(make_pipeline(Always(), knn), store)["fit_error"] for _ in range(2)]
    assert errors[0] == errors[1]
    assert errors[0].endswith("ValueError: always\n")


class Always(StandardScaler):
    def fit(self, X, y=None, sample_weight=None):
        raise ValueError("always")


def test_classes_of_the_script_are_not_copied(evaluations, store):
    """Within one process a transformer comes back as one of its own class."""
    for _ in range(2):
        outcome = evaluate(make_pipeline(Unlikely(), bayes), store)
    assert outcome["shared"].n_shared == 1
    assert type(outcome["model"][0]) is Unlikely


def test_several_metrics_transform_once(evaluations, store, tmp_path):
    """Each calls ``predict`` of the whole pipeline."""
    path = tmp_path / "calls"
    model = Pipeline([("c", Counting(str(path))), ("m", bayes)])
    scorers = {
        name: lambda fitted, X, y: accuracy_score(y, fitted.predict(X)) for name in ("a", "b", "c")
    }
    evaluate(model, store, scorer=_MultimetricScorer(scorers=scorers, raise_exc=False))
    assert len(counts(path, "transform")) == 2
    assert sorted(path.read_text().split()[::3]) == ["fit", *["transform"] * 3]


def test_a_pipeline_with_a_sampler_is_left_alone(store):
    """It keeps its own memory: none."""
    model = Pipeline([("s", Sampler()), ("m", knn)])
    with sharing(model, store, 0, 9):
        assert model.memory is None


def test_where_nothing_can_be_shared_a_pipeline_keeps_its_memory(store):
    """On a machine that does not see the folder."""
    model = encoded_digits()
    with sharing(model, Store(store.folder + "-elsewhere"), 0, 9):
        assert model.memory is None


# -- every last step -------------------------------------------------------------------------------


def predicted(model, X, y):
    """What it says of the rows, or why it does not."""
    try:
        model.fit(X, y)
        method = next(
            m for m in ("predict", "transform", "score_samples", "fit_predict") if hasattr(model, m)
        )
        return getattr(model, method)(X)
    except Exception as error:
        return type(error)


def every_estimator():
    for name, cls in all_estimators():
        try:
            model = cls()
        except TypeError:  # it is made of others
            continue
        quick = {"random_state": 0, "max_iter": 5, "n_estimators": 5}
        yield name, model.set_params(**{n: quick[n] for n in quick.keys() & model.get_params()})
    for package, name in (("lightgbm", "LGBM"), ("xgboost", "XGB"), ("catboost", "CatBoost")):
        try:
            module = __import__(package)
        except ImportError:
            continue
        options = {
            "catboost": {"allow_writing_files": False, "silent": True},
            "lightgbm": {"verbose": -1},
        }
        for kind in ("Classifier", "Regressor"):
            yield name, getattr(module, name + kind)(n_estimators=3, **options.get(package, {}))


def test_every_estimator_takes_shared_rows(store):
    """It does with mapped rows what it does with others, and leaves the file as it was."""
    rows, labels = X[:60, :6] + 1.0, y[:60]
    store.share(9, "rows", rows)
    n_fitted, different = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in every_estimator():
            expected = predicted(clone(model), rows.copy(), labels)
            found = predicted(clone(model), store.shared(9, "rows"), labels)
            if isinstance(expected, type):
                same = found is expected
            else:
                n_fitted += 1
                same = not isinstance(found, type) and joblib.hash(found) == joblib.hash(expected)
            if not same:
                different.append(name)
    assert different == []
    assert n_fitted > 100
    np.testing.assert_array_equal(store.shared(9, "rows"), rows)


class Deadly(LogisticRegression):
    """Ends its process when it is told to, after it has got its rows from the store."""

    def __init__(self, C=1.0, deadly=False):
        super().__init__(C=C)
        self.deadly = deadly

    def fit(self, X, y):
        if self.deadly:
            os._exit(1)
        return super().fit(X, y)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_worker_that_dies_harms_nothing_that_is_shared(tmp_path, monkeypatch):
    """Whoever is healthy has the scores of a search where nobody dies, and no folder is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = load_digits(return_X_y=True)
    model = Pipeline([("pca", PCA(20, random_state=0)), ("m", Deadly())])
    healthy = {"m__C": [0.01, 0.1, 1.0, 10.0]}
    rows = np.arange(len(data[1]))
    options = {"cv": [(rows[::2], rows[1::2])], "min_resources": len(rows), "refit": False}
    alone = SuccessiveHalvingSearchCV(model, healthy, **options).fit(*data)
    space = [healthy, {"m__deadly": [True]}]
    with pytest.warns(FitFailedWarning, match="killed its worker twice"):
        found = SuccessiveHalvingSearchCV(model, space, n_jobs=2, **options).fit(*data)
    scores = found.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores[:4], alone.cv_results_["mean_test_score"])
    assert np.isnan(scores[4])
    assert list(tmp_path.glob("skhalving-*")) == []
