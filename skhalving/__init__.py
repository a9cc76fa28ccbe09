"""Hyperband and successive halving as scikit-learn search estimators."""

from skhalving.schedule import hyperband_schedule
from skhalving.search import HyperbandSearchCV, SuccessiveHalvingSearchCV

__version__ = "0.1.0"
__all__ = ["HyperbandSearchCV", "SuccessiveHalvingSearchCV", "hyperband_schedule"]
