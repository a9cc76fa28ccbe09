"""Hyperband and successive halving as scikit-learn search estimators."""

from skhalving.display import HalvingDisplay
from skhalving.families import register_continuation
from skhalving.functions import Result, hyperband, successive_halving
from skhalving.schedule import Bracket, Level, Rung, Schedule, hyperband_schedule
from skhalving.search import HyperbandSearchCV, SuccessiveHalvingSearchCV
from skhalving.trackers import to_optuna
from skhalving.trials import rank_agreement
from skhalving.validation import register_validation

__version__ = "0.1.0"
__all__ = [
    "Bracket",
    "HalvingDisplay",
    "HyperbandSearchCV",
    "Level",
    "Result",
    "Rung",
    "Schedule",
    "SuccessiveHalvingSearchCV",
    "hyperband",
    "hyperband_schedule",
    "rank_agreement",
    "register_continuation",
    "register_validation",
    "successive_halving",
    "to_optuna",
]
