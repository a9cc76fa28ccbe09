"""What a search saves by running shared steps once, and what it pays where no step is shared.

    OMP_NUM_THREADS=1 python -m benchmarks.sharing

Each search, ``HyperbandSearchCV`` on rows with its defaults and three folds, runs with sharing and
without in turn. It is switched off by ``Pipeline(memory=Memory(None))``: a pipeline with a memory
of its own shares nothing, and this memory does nothing. "s" is processor time of a whole search in
seconds, its workers' included (they are started before); "at best" is what the ratio would be if
the steps that can be shared cost nothing. Ratios are medians over pairs of runs. The numbers can be
read on Linux alone.
"""

import os
import pkgutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from joblib import Memory
from sklearn.datasets import load_digits, load_sample_images
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.measure import in_pairs, markdown, peaks, spread, timed
from benchmarks.tasks import ENCODED
from skhalving import HyperbandSearchCV

REPEATS = 3
PENALTIES, NEIGHBOURS = np.logspace(-3, 2, 49), ("last__n_neighbors", range(1, 50))


@cache
def digits() -> tuple[Any, np.ndarray]:
    return load_digits(return_X_y=True)


@cache
def patches() -> tuple[Any, np.ndarray]:
    """Which of two photographs a square of 16 by 16 pixels comes from."""
    images = load_sample_images().images
    squares = [
        extract_patches_2d(image, (16, 16), max_patches=2000, random_state=0) for image in images
    ]
    return np.concatenate(squares).reshape(4000, -1) / 255.0, np.repeat([0, 1], 2000)


@cache
def docstrings() -> tuple[Any, np.ndarray]:
    """Which package a paragraph of documentation comes from."""
    texts, labels = [], []
    for package in ("numpy", "scipy", "sklearn"):
        folder = Path(pkgutil.resolve_name(package).__file__).parent
        for path in sorted(folder.rglob("*.py"))[:200]:
            blocks = path.read_text(errors="ignore").split('"""')[1::2]
            paragraphs = [p for block in blocks for p in block.split("\n\n") if len(p) > 200]
            texts += paragraphs
            labels += [package] * len(paragraphs)
    keep = np.random.RandomState(0).permutation(len(texts))[:3000]
    return np.array(texts, dtype=object)[keep], np.array(labels)[keep]


@cache
def table() -> tuple[Any, np.ndarray]:
    """Numbers with gaps and categories, drawn."""
    import pandas as pd

    rng = np.random.RandomState(0)
    numbers = pd.DataFrame(rng.normal(size=(20_000, 10)), columns=[f"n{i}" for i in range(10)])
    y = (numbers["n0"] + numbers["n1"] * numbers["n2"] + rng.normal(size=20_000) > 0).to_numpy(int)
    X = numbers.mask(rng.uniform(size=numbers.shape) < 0.1)
    for i in range(6):
        X[f"c{i}"] = rng.choice([f"value {k}" for k in range(20)], size=20_000)
    return X, y


class Case(NamedTuple):
    """A search over one parameter, and the steps of its pipeline."""

    name: str
    data: Callable[[], tuple[Any, np.ndarray]]
    steps: list[Any]
    searched: str
    values: Any

    def estimator(self, share: bool) -> Any:
        if len(self.steps) == 1:
            return self.steps[0]
        return Pipeline(
            [("shared", self.steps[0]), ("last", self.steps[1])],
            memory=None if share else Memory(None),
        )


logistic, knn = LogisticRegression(max_iter=300), KNeighborsClassifier()
mlp = MLPClassifier(max_iter=3, random_state=0)
words = TfidfVectorizer(ngram_range=(1, 2))
letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), min_df=3)
informative = SelectKBest(partial(mutual_info_classif, random_state=0), k=20)
sgd = SGDClassifier(random_state=0)
tree = DecisionTreeClassifier(random_state=0)

CASES = [
    Case("TF-IDF, SGD", docstrings, [words, sgd], "last__alpha", np.logspace(-6, -2, 49)),
    Case("letters, LinearSVC", docstrings, [letters, LinearSVC()], "last__C", PENALTIES[:27]),
    Case("columns, logistic regression", table, [ENCODED, logistic], "last__C", PENALTIES),
    Case("columns, MLP", table, [ENCODED, mlp], "last__alpha", PENALTIES),
    Case("PCA(0.95), neighbours", patches, [PCA(0.95), knn], *NEIGHBOURS),
    Case("PCA(30), neighbours", patches, [PCA(30, random_state=0), knn], *NEIGHBOURS),
    Case("mutual information, neighbours", digits, [informative, knn], *NEIGHBOURS),
    Case("scaling, neighbours: too little", digits, [StandardScaler(), knn], *NEIGHBOURS),
    Case(
        "PCA searched, neighbours: nothing",
        patches,
        [PCA(random_state=0), knn],
        "shared__n_components",
        range(10, 59),
    ),
    Case("a tree: no pipeline", digits, [tree], "ccp_alpha", np.logspace(-5, -1, 49)),
]


def search(case: Case, share: bool, n_jobs: int) -> HyperbandSearchCV:
    space = {case.searched: list(case.values)}
    options = {"cv": 3, "refit": False, "random_state": 0, "n_jobs": n_jobs}
    return HyperbandSearchCV(case.estimator(share), space, **options)


def seconds(case: Case, share: bool, n_jobs: int) -> tuple[float, HyperbandSearchCV]:
    return timed(search(case, share, n_jobs).fit, *case.data())


def bytes_in(folder: str) -> int:
    total = 0
    for path in Path(folder).rglob("*"):
        with suppress(OSError):  # it has just been renamed or removed
            total += path.stat().st_size if path.is_file() else 0
    return total


def folder_peak(case: Case, n_jobs: int) -> float:
    """The most bytes that the files of a search take."""
    with tempfile.TemporaryDirectory() as folder, patch.object(tempfile, "tempdir", folder):
        with peaks(lambda: [bytes_in(folder)], every=0.01) as peak:
            seconds(case, True, n_jobs)
        return peak[0]


def at_best(case: Case) -> float:
    """Of one evaluation at full rows."""
    if not case.searched.startswith("last"):
        return 1.0
    X, y = case.data()
    model, n = case.estimator(share=False), len(y) * 2 // 3
    rows = X.iloc if hasattr(X, "iloc") else X
    shared, (train, test) = timed(
        lambda: (model[0].fit_transform(rows[:n], y[:n]), model[0].transform(rows[n:]))
    )
    last, _ = timed(lambda: model[-1].fit(train, y[:n]).predict(test))
    return (shared + last) / last


def row(case: Case, n_jobs: int) -> list[str]:
    pairs = in_pairs(REPEATS, lambda share: seconds(case, share, n_jobs))
    for searches in pairs:
        shared, unshared = (found.cv_results_["mean_test_score"] for _, found in searches)
        np.testing.assert_array_equal(shared, unshared)
    spent = np.array([[seconds for seconds, _ in searches] for searches in pairs])
    return [
        case.name,
        str(n_jobs),
        *(f"{median:.2f}" for median in np.median(spent, axis=0)),
        spread(spent[:, 1] / spent[:, 0]),
        f"{at_best(case):.1f}",
        f"{folder_peak(case, n_jobs) / 1e6:.1f}",
    ]


def main() -> None:
    warnings.simplefilter("ignore")  # MLP has not converged
    os.environ["PYTHONWARNINGS"] = "ignore"
    rows = []
    for n_jobs in (1, 2):
        for case in CASES:
            search(CASES[-1], True, n_jobs).fit(*digits())  # the workers, and their imports
            rows.append(row(case, n_jobs))
            print(rows[-1], flush=True)
    head = ["pipeline", "n_jobs", "with: s", "without: s", "ratio (range)", "at best", "peak MB"]
    print(markdown(head, rows))


if __name__ == "__main__":
    main()
