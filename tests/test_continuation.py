"""Training goes on between rungs: how much is trained, what is equal, what becomes of models."""

import glob
import os
import sys
import tempfile
import time

import joblib
import numpy as np
import pytest
from scipy.stats import uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, TargetEncoder

from skhalving import (
    HyperbandSearchCV,
    SuccessiveHalvingSearchCV,
    register_continuation,
)
from skhalving.families import FAMILIES, Family, class_name
from skhalving.store import Store

X, y = load_digits(return_X_y=True)
X, y = X[:240], y[:240] % 2
X_real, y_real = load_diabetes(return_X_y=True)
X_real, y_real = X_real[:240], y_real[:240]


class Counting(ClassifierMixin, BaseEstimator):
    """Trains by counting steps, in this process, and remembers how it was trained."""

    steps = 0

    def __init__(self, quality=0.5, n_steps=81, fails=False):
        self.quality = quality
        self.n_steps = n_steps
        self.fails = fails

    def train(self, X, y, n_steps):
        if self.fails:
            raise ValueError("as asked")
        Counting.steps += n_steps
        self.trained_ = getattr(self, "trained_", 0) + n_steps
        self.classes_ = np.unique(y)
        self.chunks_ = [*getattr(self, "chunks_", []), n_steps]

    def fit(self, X, y):
        for name in ("trained_", "chunks_"):
            self.__dict__.pop(name, None)
        self.train(X, y, self.n_steps)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        assert self.trained_ == self.n_steps
        return self.quality + self.trained_ / 1000


def grow_counting(model, done, amount, X, y):
    model.n_steps = amount
    model.train(X, y, amount - done)


@pytest.fixture
def counting(monkeypatch):
    """Counting registered, with its count at zero."""
    register_continuation(Counting, "n_steps", grow_counting)
    monkeypatch.setattr(Counting, "steps", 0)


def columns(search):
    skipped = ("time", "continued")
    return {
        name: [str(value) for value in column]
        for name, column in search.all_cv_results_.items()
        if not any(word in name for word in skipped)
    }


@pytest.mark.parametrize(
    ("continue_training", "units"), [("auto", 1581), (True, 1581), (False, 1902)]
)
def test_units_of_full_hyperband(counting, continue_training, units):
    """R=81, factor 3: 1581 steps a fold where training goes on, 1902 from scratch."""
    search = HyperbandSearchCV(
        Counting(),
        {"quality": uniform()},
        resource="n_steps",
        schedule="published",
        min_resources=1,
        folds="all",
        cv=2,
        refit=False,
        continue_training=continue_training,
        random_state=0,
    ).fit(X, y)
    assert len(search.all_cv_results_["params"]) == 206
    assert Counting.steps == 2 * units


def test_the_first_fold_goes_on_and_new_folds_start_from_scratch(counting):
    """With ``folds="grow"``: 9, 18 and 54 steps on one fold, then 81 on each of the others."""
    search = SuccessiveHalvingSearchCV(
        Counting(),
        {"quality": uniform()},
        resource="n_steps",
        schedule="published",
        cv=3,
        refit=False,
        random_state=0,
        n_candidates=27,
    ).fit(X, y)
    assert search.n_resources_ == [9, 27, 81, 81]
    assert Counting.steps == 27 * 9 + 9 * 18 + 3 * 54 + 1 * 2 * 81
    by_level = search.all_cv_results_["continued"].reshape(-1)
    assert by_level.tolist() == [False] * 27 + [True] * 13


DEPTHS = list(range(1, 10))


def from_scratch_and_continued(estimator, space, resource, data=(X, y), fit_params=(), **options):
    """The same search twice; what went on must really have gone on."""
    options = {
        "resource": resource,
        "cv": KFold(2),
        "random_state": 0,
        "max_resources": 18,
        **options,
    }
    scratch, going_on = (
        SuccessiveHalvingSearchCV(estimator, space, continue_training=how, **options).fit(
            *data, **dict(fit_params)
        )
        for how in (False, "auto")
    )
    assert not scratch.all_cv_results_["continued"].any()
    assert going_on.all_cv_results_["continued"].sum() > 0
    return scratch, going_on


FOREST = RandomForestClassifier(random_state=0)
REAL_FOREST = RandomForestRegressor(random_state=0)


CONTAINERS = {
    "nested": (
        Pipeline([("a", StandardScaler()), ("p", Pipeline([("pca", PCA(5)), ("clf", FOREST)]))]),
        {"p__clf__max_depth": DEPTHS},
        "p__clf__n_estimators",
        (X, y),
    ),
    "target encoder": (
        Pipeline([("encode", TargetEncoder(cv=3, random_state=0)), ("clf", FOREST)]),
        {"clf__max_depth": DEPTHS},
        "clf__n_estimators",
        (X[:, 20:24], y),
    ),
    "transformed target": (
        TransformedTargetRegressor(REAL_FOREST, func=np.log, inverse_func=np.exp),
        {"regressor__max_depth": DEPTHS},
        "regressor__n_estimators",
        (X_real, y_real),
    ),
    "target around pipeline": (
        TransformedTargetRegressor(
            Pipeline([("s", StandardScaler()), ("r", REAL_FOREST)]), transformer=StandardScaler()
        ),
        {"regressor__r__max_depth": DEPTHS},
        "regressor__r__n_estimators",
        (X_real, y_real),
    ),
    "parameters of transformers": (
        Pipeline([("scale", StandardScaler()), ("pca", PCA(5, random_state=0)), ("clf", FOREST)]),
        {
            "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
            "pca__n_components": [2, 3, 5],
        },
        "clf__n_estimators",
        (X, y),
    ),
    "cached transformers": (
        Pipeline([("s", StandardScaler()), ("clf", FOREST)], memory=tempfile.mkdtemp()),
        {"clf__max_depth": DEPTHS},
        "clf__n_estimators",
        (X, y),
    ),
    "last steps of several kinds": (
        Pipeline([("s", StandardScaler()), ("clf", FOREST)]),
        {
            "clf": [
                FOREST,
                GradientBoostingClassifier(random_state=0),
                ExtraTreesClassifier(random_state=0),
            ],
            "clf__max_depth": [1, 2, 5],
        },
        "clf__n_estimators",
        (X, y),
    ),
}


@pytest.mark.filterwarnings("ignore:`TargetEncoder.shuffle`:FutureWarning")  # 1.9; 1.6 has no other
@pytest.mark.parametrize("name", CONTAINERS)
def test_inside_containers_scores_are_equal(name):
    """Pipelines, nested and around; whatever the transformers, each candidate keeps its own."""
    estimator, space, resource, data = CONTAINERS[name]
    scratch, going_on = from_scratch_and_continued(estimator, space, resource, data)
    assert columns(going_on) == columns(scratch)


def test_fit_parameters_reach_the_last_step():
    """Per-row weights are sliced with the fold, on every rung."""
    weights = np.random.RandomState(0).uniform(size=len(X))
    pipe = Pipeline([("scale", StandardScaler()), ("clf", FOREST)])
    arguments = (pipe, {"clf__max_depth": DEPTHS}, "clf__n_estimators", (X, y))
    scratch, going_on = from_scratch_and_continued(
        *arguments, fit_params={"clf__sample_weight": weights}
    )
    assert columns(going_on) == columns(scratch)
    assert columns(going_on) != columns(from_scratch_and_continued(*arguments)[0])


@pytest.mark.parametrize(("how", "goes_on"), [("auto", False), (True, True), (False, False)])
def test_what_is_not_exact_goes_on_only_if_it_shall(how, goes_on):
    """Epochs of SGD one by one are not what one fit of as many gives."""
    search = SuccessiveHalvingSearchCV(
        SGDClassifier(tol=None, random_state=0), {"alpha": list(np.logspace(-5, 0, 9))}
    )
    search.set_params(resource="max_iter", max_resources=9, continue_training=how)
    search.set_params(cv=2, refit=False).fit(X, y)
    assert search.all_cv_results_["continued"].any() == goes_on


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_the_same_on_every_backend(backend):
    """Models are found by whichever worker goes on with them."""
    options = {"resource": "max_iter", "max_resources": 18, "cv": 3, "random_state": 0}
    options |= {"refit": False, "continue_training": True}
    space = {"alpha": list(np.linspace(1e-4, 1, 18))}
    alone = HyperbandSearchCV(SGDClassifier(random_state=0), space, **options).fit(X, y)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        shared = HyperbandSearchCV(SGDClassifier(random_state=0), space, **options).fit(X, y)
    assert columns(shared) == columns(alone)
    assert (shared.all_cv_results_["continued"] == alone.all_cv_results_["continued"]).all()


def test_a_lost_model_makes_no_difference(monkeypatch):
    """Where none is found, the whole chain runs from scratch, with equal scores."""
    search = SuccessiveHalvingSearchCV(
        SGDClassifier(random_state=0),
        {"alpha": list(np.linspace(1e-4, 1, 9))},
        resource="max_iter",
        max_resources=18,
        continue_training=True,
        refit=False,
        random_state=0,
    )
    going_on = columns(search.fit(X, y))
    monkeypatch.setattr(Store, "take", lambda self, task: (0, None))
    assert going_on == columns(search.fit(X, y))
    assert not search.all_cv_results_["continued"].any()


def test_a_folder_that_a_worker_does_not_see(monkeypatch):
    """Then every level starts from scratch, with equal scores and one warning that says where."""
    search = SuccessiveHalvingSearchCV(
        RandomForestClassifier(random_state=0),
        {"max_depth": [1, 2, 3, 4, 5, 6, 7, 8, 9]},
        resource="n_estimators",
        max_resources=18,
        cv=2,
        refit=False,
    )
    going_on = columns(search.fit(X, y))
    assert search.all_cv_results_["continued"].any()
    monkeypatch.setattr(Store, "is_here", lambda self: False)
    with pytest.warns(UserWarning, match="does not see the folder .*skhalving-") as caught:
        search.fit(X, y)
    assert len(caught) == 1
    assert going_on == columns(search)


def test_large_models_go_on_in_workers():
    """A memory map would make this crash: coefficients of 2 MB, trained in place."""
    wide = np.random.RandomState(0).normal(size=(40, 100_000))
    labels = np.arange(40) % 3
    search = SuccessiveHalvingSearchCV(
        SGDClassifier(random_state=0),
        {"alpha": [1e-4, 1e-3, 1e-2]},
        resource="max_iter",
        max_resources=6,
        cv=2,
        folds="all",
        continue_training=True,
        n_jobs=2,
        refit=False,
    ).fit(wide, labels)
    assert search.all_cv_results_["continued"].any()


@pytest.fixture
def own_temporary_folder(tmp_path, monkeypatch):
    """What other processes put into the common one is none of ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def folders():
    return set(glob.glob(os.path.join(tempfile.gettempdir(), "skhalving-*")))


def models_in(folder):
    """(candidate, fold) of the models that wait in the folder of a search."""
    names = glob.glob("model-*/*", root_dir=folder)
    return [tuple(map(int, name.removeprefix("model-").split(os.sep))) for name in names]


@pytest.mark.parametrize("end", [None, ValueError, KeyboardInterrupt])
def test_models_are_gone_afterwards(counting, own_temporary_folder, end):
    """After a fit, an exception from outside a fit, and an interrupt."""
    before, seen = folders(), []

    def score(model, X, y):
        seen.append(len(models_in((folders() - before).pop())))
        if end is not None and len(seen) == 20:
            raise end("now")
        return model.quality

    search = SuccessiveHalvingSearchCV(
        Counting(),
        {"quality": uniform()},
        resource="n_steps",
        scoring=score,
        error_score="raise",
        cv=2,
        random_state=0,
    )
    if end is None:
        search.fit(X, y)
    else:
        with pytest.raises(end):
            search.fit(X, y)
    assert folders() == before
    assert max(seen) > 0


def test_models_of_losers_are_dropped(counting, own_temporary_folder):
    """On each rung only those who stand have a model: of 27 nine are left, then 3, then 1."""
    before, seen = folders(), {}

    def score(model, X, y):
        seen.setdefault(model.n_steps, models_in((folders() - before).pop()))
        return model.quality

    SuccessiveHalvingSearchCV(
        Counting(),
        {"quality": uniform()},
        resource="n_steps",
        schedule="published",
        scoring=score,
        n_candidates=27,
        min_resources=3,
        cv=2,
        folds="all",
        refit=False,
        random_state=0,
    ).fit(X, y)
    # Seen by the first score of each rung: nothing, then both folds' models of those promoted.
    assert [len(names) for names in seen.values()] == [0, 2 * 9, 2 * 3, 2 * 1]


class Unpicklable(Counting):
    def __getstate__(self):
        if hasattr(self, "classes_"):
            raise TypeError("cannot be pickled")
        return super().__getstate__()


def test_a_model_that_cannot_be_pickled_starts_from_scratch(counting):
    """At the full amount on every rung (the score checks that), with one warning."""
    search = SuccessiveHalvingSearchCV(
        Unpicklable(), {"quality": uniform()}, resource="n_steps", cv=2, random_state=0, refit=False
    )
    for n_jobs in (1, 2):
        with pytest.warns(UserWarning, match="TypeError: cannot be pickled") as caught:
            search.set_params(n_jobs=n_jobs).fit(X, y)
        assert len(caught) == 1
        assert not search.all_cv_results_["continued"].any()


class FailsWhenLow(Counting):
    """Trains, and then fails if that was not enough."""

    def train(self, X, y, n_steps):
        super().train(X, y, n_steps)
        if self.quality == 0.1 and self.trained_ < 81:
            raise ValueError("too low")


def test_what_failed_is_trained_from_scratch(counting):
    """A candidate that failed may be promoted, with a good ``error_score``; its half trained model
    is not gone on from."""
    search = SuccessiveHalvingSearchCV(
        FailsWhenLow(), {"quality": [0.1, 0.2, 0.3]}, resource="n_steps", min_resources=27, cv=2
    )
    search.set_params(folds="all", schedule="published", error_score=1.0, refit=False)
    with pytest.warns(FitFailedWarning, match="too low"):
        search.fit(X, y)
    assert search.cv_results_["param_quality"].tolist() == [0.1]
    assert not search.cv_results_["continued"].any()


def test_nobody_goes_on_from_the_top(counting, monkeypatch):
    """Models of the highest level are not kept. The seconds that it takes to keep one are part of
    what a fit takes."""
    amounts, keep, clock = [], Store.keep, time.perf_counter

    def remember(store, task, model):
        amounts.append(task.amount)
        return keep(store, task, model)

    monkeypatch.setattr(Store, "keep", remember)
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + 1000 * len(amounts))
    space = {"quality": list(np.linspace(0, 1, 9))}
    search = SuccessiveHalvingSearchCV(Counting(), space, resource="n_steps", min_resources=27)
    search.set_params(folds="all", cv=2, refit=False).fit(X, y)
    assert search.n_resources_ == [27, 81]
    assert set(amounts) == {27}
    seconds = search.all_cv_results_["mean_fit_time"]
    assert ((seconds >= 1000) == (search.all_cv_results_["n_resources"] == 27)).all()


class Repeated(TransformedTargetRegressor):
    """Counts by a parameter of its own, not by one of its regressor."""

    def __init__(self, regressor=None, *, transformer=None, n_rounds=9):
        super().__init__(regressor, transformer=transformer)
        self.n_rounds = n_rounds


class Repeating(Pipeline):
    """Counts by a parameter of its own, not by one of its last step."""

    def __init__(self, steps, *, transform_input=None, memory=None, verbose=False, n_rounds=9):
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)
        self.n_rounds = n_rounds


@pytest.mark.parametrize(
    "model",
    [Repeated(SGDRegressor(), transformer=MinMaxScaler()), Repeating([("m", SGDRegressor())])],
)
def test_the_one_that_has_the_parameter_goes_on(model, monkeypatch):
    """It is what a family's ``grow`` gets, also where it wraps a model that has a family too."""
    given = []

    def grow(model, done, amount, X, y):
        given.append((type(model), done, amount))
        type(model).fit(model, X, y)

    monkeypatch.setitem(FAMILIES, (class_name(type(model)), "n_rounds"), Family(grow))
    space = {f"{'regressor' if type(model) is Repeated else 'm'}__alpha": [0.1, 0.2, 0.3]}
    search = SuccessiveHalvingSearchCV(model, space, resource="n_rounds", min_resources=3)
    search.set_params(folds="all", cv=2, refit=False, return_train_score=True).fit(X_real, y_real)
    assert {each for each, _, _ in given} == {type(model)}
    assert {(done, amount) for _, done, amount in given} == {(0, 3), (3, 9)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "cannot go on training by 'n_samples'"),
        ({"resource": "max_depth"}, r"cannot go on training by 'max_depth'.*register_continuation"),
    ],
)
def test_true_says_where_it_cannot(options, message):
    """True is a promise; where it cannot be kept, an error says what to do instead."""
    search = HyperbandSearchCV(
        RandomForestClassifier(max_depth=9),
        {"max_features": [1, 2]},
        continue_training=True,
        **options,
    )
    with pytest.raises(ValueError, match=message):
        search.fit(X, y)


def test_the_best_is_refitted_from_scratch():
    """``best_estimator_`` is an ordinary fit on all rows: no warm start, no method replaced."""
    search = SuccessiveHalvingSearchCV(
        FOREST, {"max_depth": DEPTHS}, resource="n_estimators", max_resources=9, cv=2
    ).fit(X, y)
    best = search.best_estimator_
    assert not best.warm_start
    assert "fit" not in vars(best)
    assert len(best.estimators_) == 9
    expected = RandomForestClassifier(random_state=0, **search.best_params_).fit(X, y)
    np.testing.assert_array_equal(best.predict_proba(X), expected.predict_proba(X))


def torch_net(torch):
    """A small net with dropout, whose class pickle finds in this module."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2)
        )

    methods = {"__init__": __init__, "forward": lambda self, x: self.layers(x)}
    return type("Net", (torch.nn.Module,), {**methods, "__module__": __name__})


def test_skorch_goes_on_exactly(monkeypatch):
    """Epochs in the history equal the resource; torch's random state travels with the net."""
    skorch = pytest.importorskip("skorch", reason="skorch is an extra")
    import torch

    net_class = torch_net(torch)
    monkeypatch.setattr(sys.modules[__name__], "Net", net_class, raising=False)

    def make():
        torch.manual_seed(0)
        return skorch.NeuralNetClassifier(
            net_class,
            criterion=torch.nn.CrossEntropyLoss,
            train_split=None,
            verbose=0,
            iterator_train__shuffle=True,
        )

    losses = {}

    def score(net, X, y):
        losses[net.lr, len(net.history), len(y)] = net.history[-1, "train_loss"]
        return len(net.history)

    options = {"resource": "max_epochs", "max_resources": 18, "cv": KFold(2), "refit": False}
    options |= {"folds": "all", "min_resources": 6}
    search = SuccessiveHalvingSearchCV(make(), {"lr": [0.01, 0.02, 0.05]}, scoring=score, **options)
    data = X.astype(np.float32), y.astype(np.int64)
    going_on = search.fit(*data).all_cv_results_
    np.testing.assert_array_equal(going_on["mean_test_score"], going_on["n_resources"])
    assert going_on["continued"].any()
    pieces, before = dict(losses), torch.get_rng_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "take", lambda self, task: (0, None))
        search.fit(*data)
    assert losses == pieces
    assert torch.equal(before, torch.get_rng_state())
