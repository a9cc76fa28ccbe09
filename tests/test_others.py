"""Searches that other libraries use: array API, skrub, skore."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV

X, Y = load_iris(return_X_y=True)

# scipy looks at the variable when it is imported, so before anything else.
ARRAYS = """
import array_api_strict as xp, numpy as np, sklearn
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from skhalving import HyperbandSearchCV

X, y = load_iris(return_X_y=True)
sklearn.set_config(array_api_dispatch=True)
for estimator, name, values, target in [
    (Ridge(solver="svd"), "alpha", [0.01, 0.1, 1, 10, 100, 1000], X[:, 3]),
    (LinearDiscriminantAnalysis(), "tol", [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1], y),
]:
    for n_jobs in 1, 2:
        search = HyperbandSearchCV(estimator, {name: values}, random_state=0, n_jobs=n_jobs)
        plain = search.fit(X[:, :3], target)
        known, guess = plain.cv_results_["mean_test_score"], plain.predict(X[:, :3])
        search.fit(xp.asarray(X[:, :3]), xp.asarray(target))
        found = search.predict(xp.asarray(X[:, :3]))
        assert type(found) is type(xp.asarray(target)), type(found)
        np.testing.assert_allclose(np.asarray(found), guess)
        np.testing.assert_allclose(search.cv_results_["mean_test_score"], known)
"""


def test_array_api_in_and_out():
    """Arrays of another library give its arrays back, and the scores that NumPy's give."""
    pytest.importorskip("array_api_strict", reason="needs array-api-strict")
    child = subprocess.run(
        [sys.executable, "-c", ARRAYS],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr[-3000:]


def test_skrub_s_table_of_results_shows_full_resource_alone():
    """A search that skrub builds around its choices, run by ours: its table has the finalists, each
    with the score of cv_results_."""
    skrub = pytest.importorskip("skrub", reason="needs skrub")
    features, target = skrub.X(X), skrub.y(Y)
    model = SVC(C=skrub.choose_float(1e-2, 1e2, log=True, name="C"))
    pipeline = features.skb.apply(model, y=target)
    search = HyperbandSearchCV(None, param_grid={}, n_candidates=20, random_state=0)
    found = skrub.ParamSearch(pipeline, search).fit({"X": X, "y": Y})
    every = found.cv_results_
    assert len(found.results_) == len(every["params"]) < 20
    assert (every["n_resources"] == len(X)).all()
    assert (every["n_folds"] == 5).all()
    scores = np.sort(every["mean_test_score"])[::-1]
    np.testing.assert_allclose(found.results_["mean_test_score"], scores)
    assert found.best_learner_.predict({"X": X}).shape == Y.shape


def test_skore_reports_on_a_search():
    """A report fits the search, and its accuracy is the search's own score."""
    skore = pytest.importorskip("skore", reason="needs skore")
    search = HyperbandSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10, 100, 1000]}, random_state=0)
    rows = {"X_train": X[::2], "y_train": Y[::2], "X_test": X[1::2], "y_test": Y[1::2]}
    report = skore.EstimatorReport(search, **rows)
    assert report.metrics.accuracy() == report.estimator_.score(X[1::2], Y[1::2])
    assert "C" in report.estimator_.best_params_
