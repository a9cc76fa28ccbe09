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
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
from joblib import Memory
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_sample_images
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.formatting import markdown, spread
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


def columns() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, [f"n{i}" for i in range(10)]),
            ("categories", OneHotEncoder(handle_unknown="ignore"), [f"c{i}" for i in range(6)]),
        ]
    )


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
    Case("columns, logistic regression", table, [columns(), logistic], "last__C", PENALTIES),
    Case("columns, MLP", table, [columns(), mlp], "last__alpha", PENALTIES),
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


def processor_seconds() -> float:
    """Of this process and its children, which are alive."""
    total = time.process_time()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def seconds(case: Case, share: bool, n_jobs: int) -> tuple[float, HyperbandSearchCV]:
    before = processor_seconds()
    fitted = search(case, share, n_jobs).fit(*case.data())
    return processor_seconds() - before, fitted


def bytes_in(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it has just been renamed or removed
                total += os.path.getsize(os.path.join(parent, name))
    return total


@contextmanager
def folder_peak() -> Iterator[list[int]]:
    """The most bytes that files of searches take."""
    done, most = Event(), [0]

    def watch(folder: str) -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], bytes_in(folder))

    with tempfile.TemporaryDirectory() as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        watcher = Thread(target=watch, args=(folder,))
        watcher.start()
        try:
            yield most
        finally:
            done.set()
            watcher.join()
            tempfile.tempdir = before


def at_best(case: Case) -> float:
    """Of one evaluation at full rows."""
    if not case.searched.startswith("last"):
        return 1.0
    X, y = case.data()
    model, n = case.estimator(share=False), len(y) * 2 // 3
    rows = X.iloc if hasattr(X, "iloc") else X
    spent = [time.process_time()]
    train, test = model[0].fit_transform(rows[:n], y[:n]), model[0].transform(rows[n:])
    spent.append(time.process_time())
    model[-1].fit(train, y[:n]).predict(test)
    spent.append(time.process_time())
    return (spent[2] - spent[0]) / (spent[2] - spent[1])


def row(case: Case, n_jobs: int) -> list[str]:
    pairs = []
    for i in range(REPEATS):
        runs = {
            share: seconds(case, share, n_jobs) for share in ((True, False), (False, True))[i % 2]
        }
        tables = [runs[share][1].cv_results_["mean_test_score"] for share in (True, False)]
        np.testing.assert_array_equal(*tables)
        pairs.append((runs[True][0], runs[False][0]))
    with folder_peak() as most:
        seconds(case, True, n_jobs)
    with_, without = np.median(pairs, axis=0)
    return [
        case.name,
        str(n_jobs),
        f"{with_:.2f}",
        f"{without:.2f}",
        spread([without / with_ for with_, without in pairs]),
        f"{at_best(case):.1f}",
        f"{most[0] / 1e6:.1f}",
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
