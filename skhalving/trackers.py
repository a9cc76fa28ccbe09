"""A search in other tools, each of which is imported when it is used."""

from typing import Any

import numpy as np

from skhalving.trials import Trials, Values


def to_optuna(search: Any, study: Any = None, *, metric: str | None = None) -> Any:
    """A search as an Optuna study, for its pictures, importances and dashboard.

    There is a trial for each candidate: its scores on the levels, numbered from 0, are intermediate
    values. A candidate that failed on its last level is a failed trial; another one that did not
    reach the highest level is a pruned trial. The bracket and the candidate's number are user
    attributes. The extra is ``skhalving[optuna]``.

    .. versionadded:: 0.1

    Parameters
    ----------
    search : HyperbandSearchCV, SuccessiveHalvingSearchCV, Result or path-like
        A fitted search, what a plain function returned, or a journal.

    study : optuna.Study, default=None
        Where to add the trials, such as one with a storage; its direction must be that of the
        score. None makes one in memory.

    metric : str, default=None
        One of the metrics of ``scoring``. None: that of ``refit``, or the first.

    Returns
    -------
    study : optuna.Study
        With the trials added.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    ValueError
        If the study has another direction, or the search no such metric.

    Notes
    -----
    The distributions are those of the values that were tried, from the least to the largest, since
    a space may hold any distribution and Optuna knows three.

    Examples
    --------
    >>> from skhalving import successive_halving, to_optuna
    >>> result = successive_halving(lambda x, resource: x, range(9), max_resources=9)
    >>> study = to_optuna(result)  # doctest: +SKIP
    >>> optuna.visualization.plot_intermediate_values(study)  # doctest: +SKIP
    """
    import optuna

    trials = Trials.of(search, metric)
    direction = optuna.study.StudyDirection["MAXIMIZE" if trials.maximize else "MINIMIZE"]
    if study is None:
        study = optuna.create_study(direction=direction)
    elif study.direction != direction:
        to = direction.name.lower()
        raise ValueError(f"study has direction {study.direction.name}; give one to {to}")
    parameters = trials.parameters()
    tried = {name: dict(zip(v.rows, v.tried, strict=True)) for name, v in parameters.items()}
    distributions = {name: _distribution(values) for name, values in parameters.items()}
    for row in trials.last():
        way = np.flatnonzero(trials.candidate == trials.candidate[row])
        scores = {int(trials.level[i]): float(trials.score[i]) for i in way}
        params = {name: of_row[row] for name, of_row in tried.items() if row in of_row}
        has_failed = bool(np.isnan(trials.score[row]))
        reached = "COMPLETE" if trials.level[row] == trials.level.max() else "PRUNED"
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState["FAIL" if has_failed else reached],
                value=None if has_failed else float(trials.score[row]),
                params=params,
                distributions={name: distributions[name] for name in params},
                intermediate_values=scores,
                user_attrs={
                    name: int(getattr(trials, name)[row]) for name in ("candidate", "bracket")
                },
            )
        )
    return study


def _distribution(values: Values) -> Any:
    """The narrowest distribution that holds the values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if values.labels is not None:
        return CategoricalDistribution(values.labels)
    low, high = min(values.tried), max(values.tried)
    kind = IntDistribution if isinstance(low, int) else FloatDistribution
    return kind(low, high, log=values.is_log)
