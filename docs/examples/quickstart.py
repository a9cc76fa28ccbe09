"""
GridSearchCV and HyperbandSearchCV on the same grid
===================================================

A pipeline of a scaler and a support vector machine on the handwritten digits that come with
scikit-learn: the same grid, the same folds, side by side. The picture is kept as
``quickstart.png``.
"""

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhalving import HalvingDisplay, HyperbandSearchCV

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
pipeline = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
grid = {"svc__C": np.logspace(-2, 3, 8), "svc__gamma": np.logspace(-5, 0, 8)}

searches = [
    GridSearchCV(pipeline, grid, cv=5),
    HyperbandSearchCV(pipeline, grid, cv=5, random_state=0),
]

print(f"{'':<20}{'best score':>12}{'held-out':>12}{'fits':>8}{'seconds':>10}")
for search in searches:
    start = time.perf_counter()
    search.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    fits = search.n_fits_ if hasattr(search, "n_fits_") else 5 * 8 * 8
    print(
        f"{type(search).__name__:<20}{search.best_score_:>12.4f}"
        f"{search.score(X_test, y_test):>12.4f}{fits:>8}{seconds:>10.1f}"
    )

print(f"\nWhat {type(search).__name__} did:\n\n{search.schedule_}")
HalvingDisplay.from_estimator(search).figure_.savefig("quickstart.png")
