"""
A search in mlflow
==================

``log_search`` writes a fitted search into the run that is open: the best parameters and score, the
tables, the schedule, the final model, and the best candidates as child runs, their scores against
the resource. Copy it and change what you like.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV

try:
    import mlflow
except ImportError:
    print("mlflow is not installed; this example needs it")
    sys.exit()


def log_search(search, *, model=True, max_tuning_runs=5):
    """Write a fitted search into the run that is open; with autologging on pass ``model=False``,
    since the final model is logged already."""
    every = pd.DataFrame(search.all_cv_results_)
    score = f"mean_test_{search.refit if search.multimetric_ else 'score'}"
    mlflow.log_params({f"best_{name}": value for name, value in search.best_params_.items()})
    mlflow.log_metric("best_cv_score", search.best_score_)
    mlflow.log_text(pd.DataFrame(search.cv_results_).to_csv(index=False), "cv_results.csv")
    mlflow.log_text(every.to_csv(index=False), "all_cv_results.csv")
    mlflow.log_text(str(search.schedule_), "schedule.txt")
    if model:
        mlflow.sklearn.log_model(search.best_estimator_, name="best_estimator")
    # Where each candidate came last, those on the highest level first.
    last = every.sort_values(["level", score], ascending=False).drop_duplicates("candidate")
    for candidate in last["candidate"][:max_tuning_runs]:
        rows = every[every["candidate"] == candidate]
        with mlflow.start_run(run_name=f"candidate {candidate}", nested=True):
            mlflow.log_params(rows["params"].iloc[-1])
            # A step is an amount of the resource; of two rungs with the same, the one on all folds.
            for row in rows.drop_duplicates("n_resources", keep="last").to_dict("records"):
                if pd.notna(row[score]):
                    mlflow.log_metric("score_by_resource", row[score], step=row["n_resources"])
            # Only those on the highest level can be compared with the winner.
            if row["level"] == every["level"].max():
                mlflow.log_metric(score, row[score])


# %%
# Into a store that goes with the example; leave out the line to use your own.

if __name__ == "__main__":
    folder = tempfile.TemporaryDirectory()
    mlflow.set_tracking_uri(f"sqlite:///{Path(folder.name) / 'mlflow.db'}")
    mlflow.create_experiment("search", Path(folder.name).as_uri())
    mlflow.set_experiment("search")

    X, y = load_iris(return_X_y=True)
    search = HyperbandSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": loguniform(1e-2, 1e3)}, random_state=0
    )
    with mlflow.start_run(run_name="iris") as run:
        search.fit(X, y)
        log_search(search)

    found = mlflow.get_run(run.info.run_id).data
    print(found.params, found.metrics)
    print(mlflow.search_runs()[["tags.mlflow.runName", "params.svc__C", "metrics.mean_test_score"]])
