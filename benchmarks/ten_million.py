"""What a search over ten million rows costs.

    OMP_NUM_THREADS=1 python -m benchmarks.ten_million

The default ``HyperbandSearchCV`` over an ``SGDClassifier`` that goes once over five columns of
float32, refit included. "s" is processor time; there is one process.
"""

import numpy as np
from scipy.stats import loguniform
from sklearn.linear_model import SGDClassifier

from benchmarks.measure import timed
from skhalving import HyperbandSearchCV

N_ROWS = 10_000_000
SPACE = {"alpha": loguniform(1e-7, 1), "penalty": ["l1", "l2", "elasticnet"]}

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, 5), dtype=np.float32)
    noise = 2 * rng.standard_normal(N_ROWS, dtype=np.float32)
    y = (X @ rng.standard_normal(5, dtype=np.float32) + noise > 0).astype(np.int8)
    model = SGDClassifier(max_iter=1, tol=None, random_state=0)
    seconds, search = timed(HyperbandSearchCV(model, SPACE, random_state=0).fit, X, y)
    print(f"search: {seconds:.0f} s, score {search.best_score_:.4f}")
    seconds, _ = timed(model.set_params(**search.best_params_).fit, X, y)
    print(f"one fit on all rows: {seconds:.2f} s")
