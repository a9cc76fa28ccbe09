"""
A search in Weights & Biases
============================

``on_result`` is called for every evaluation as it comes: a logger of a few lines is enough. With
``mode="offline"`` nothing leaves the machine; ``wandb sync`` sends it later.
"""

import sys

from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV

try:
    import wandb
except ImportError:
    print("wandb is not installed; this example needs it")
    sys.exit()


def logger(run):
    """Logs every evaluation, and the best of every level."""

    def on_result(result):
        if result["event"] == "evaluation":
            scores = {f"score/{name}": score for name, score in result["scores"].items()}
            names = ("candidate", "bracket", "level", "n_resources", "fold", "seconds")
            run.log({**{name: result[name] for name in names}, **result["params"], **scores})
        else:
            run.log({"level": result["level"], "best": result["best"]})

    return on_result


if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    with wandb.init(project="iris", mode="offline") as run:
        search = HyperbandSearchCV(
            SVC(), {"C": loguniform(1e-2, 1e3)}, random_state=0, on_result=logger(run)
        ).fit(X, y)
        run.summary["best_score"] = search.best_score_
        run.config.update({f"best_{name}": value for name, value in search.best_params_.items()})
        print("best", run.summary["best_score"])
