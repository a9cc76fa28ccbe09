"""
What a search did, in four pictures
===================================

A search races many candidates: all of them get a little, the best of them get more, and few get
everything. ``HalvingDisplay`` draws the race, the plan behind it, where the time went, and the
parameters.
"""

# %%
# Eighty configurations of a pipeline, from distributions so wide that most of them are poor. A
# notebook shows a fitted search as below: what it is made of, how many candidates each rung had,
# and the best parameters.

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhalving import HalvingDisplay, HyperbandSearchCV

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
pipeline = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
space = {"svc__C": loguniform(1e-3, 1e3), "svc__gamma": loguniform(1e-6, 1e0)}
search = HyperbandSearchCV(
    pipeline, space, n_candidates=80, cv=5, scoring="accuracy", random_state=0
)
search.fit(X_train, y_train)

# %%
# The test rows took no part in the search.

print(f"accuracy on them: {search.score(X_test, y_test):.3f}")

# %%
# **The race.** A dot is a candidate on one level: the number of rows it was given, and the number
# of folds it was scored on. Lines lead from those who were promoted to their next level; faded ones
# dropped out before the top. A bracket is a group of candidates that compete with one another only.
# The star is the winner, in the colour of its bracket, its bar one standard deviation over the
# folds. Where scores crowd near 1, as here, their axis spreads those that are closest to it.
#
# Look at whether the lines cross: where they do, the small amount misled, and the bracket that
# starts higher is there for that case. The line below counts it: 1 means that a level ranks its
# candidates as the next level does. Finalists that are all but equal are ranked by chance.

figure, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
scores = HalvingDisplay.from_estimator(search, ax=ax)

# %%
# **The plan.** Known before the first fit: how many candidates each bracket has on each level.

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
schedule = HalvingDisplay.from_estimator(search, kind="schedule", ax=ax)

# %% **The time.** The best score on the highest level so far, against the seconds that all fits
# took until then. Faint dots are the scores of lower levels, whose fits come first.

figure, ax = plt.subplots(figsize=(8, 4.0), layout="constrained")
time = HalvingDisplay.from_estimator(search, kind="time", ax=ax)

# %% **The parameters.** A panel for each parameter, those that matter most first, with a dot for
# each candidate on the highest level that it reached: the darker, the higher. ``from_result`` draws
# what a plain function returned, ``from_journal`` a search that still runs.

parameters = HalvingDisplay.from_estimator(search, kind="parameters")

# %%
# ``python plot_race.py FOLDER`` keeps the first two, as the README and the documentation show them.

if __name__ == "__main__" and len(sys.argv) == 2:
    folder = Path(sys.argv[1])
    for name, display in (("scores", scores), ("schedule", schedule)):
        display.figure_.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})
