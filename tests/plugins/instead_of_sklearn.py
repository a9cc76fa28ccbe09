"""A pytest plugin: scikit-learn's own tests, run on our search instead of its two.

Each stand-in is our estimator with one rung at full resource, under the name and with the signature
of the class it replaces. It must be loaded (``-p``) before the tests import the names.
"""

import numpy as np
import sklearn.model_selection

from skhalving import SuccessiveHalvingSearchCV

# With so large a factor the ladder has only one level.
ONE_RUNG = {"factor": 10**12, "folds": "all"}
# Columns that GridSearchCV does not have; its tests compare the sets of names.
OUR_COLUMNS = ("level", "candidate", "bracket", "iter", "n_resources", "n_folds", "continued")
OUR_ATTRIBUTES = (
    "schedule_",
    "n_resources_",
    "min_resources_",
    "max_resources_",
    "n_candidates_",
    "n_fits_",
    "all_cv_results_",
)


class _OneRung(SuccessiveHalvingSearchCV):
    def fit(self, X, y=None, **params):
        super().fit(X, y, **params)
        iterations = [name for name in self.cv_results_ if name.endswith("_n_iter")]
        for name in (*OUR_COLUMNS, *iterations):
            del self.cv_results_[name]
        for name in OUR_ATTRIBUTES:
            delattr(self, name)
        if self.refit:
            del self.refit_params_
        return self


class GridSearchCV(_OneRung):
    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_grid=param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
            **ONE_RUNG,
        )


class RandomizedSearchCV(_OneRung):
    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            param_distributions,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
            **ONE_RUNG,
        )
        self.n_iter = n_iter

    def fit(self, X, y=None, **params):
        self.n_candidates = self.n_iter
        return super().fit(X, y, **params)


sklearn.model_selection.GridSearchCV = GridSearchCV
sklearn.model_selection.RandomizedSearchCV = RandomizedSearchCV
