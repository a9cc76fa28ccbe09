"""What the estimators and the plain functions share around the loop.

Each of them opens the journal with ``opened``, makes a ``Work`` of its candidates, and hands it to
``conduct``, which names the watchers, runs the race, and warns of what went wrong. Nothing here
knows of estimators or of plain functions.
"""

import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from numbers import Integral
from typing import Any

from sklearn.utils import check_random_state

from skhalving.journal import Journal
from skhalving.loop import Watcher, Work, run
from skhalving.pace import Pace
from skhalving.progress import Cleaner, FirstLevel, Recorder, Reporter, time_over


def opened(path: Any) -> AbstractContextManager[Journal | None]:
    """A context with the journal at a path, or with None where no path is given."""
    return nullcontext() if path is None else closing(Journal(path))


def frozen_seed(random_state: Any, journal: Journal | None) -> int:
    """The seed of a search: an int itself, else that of its journal, else a draw."""
    if isinstance(random_state, Integral):
        return int(random_state)
    if journal is not None and journal.header is not None:
        return journal.header.seed
    return int(check_random_state(random_state).randint(2**31 - 1))


def conduct(
    work: Work,
    journal: Journal | None,
    pace: Pace,
    *,
    verbose: int,
    on_result: Callable[[dict[str, Any]], object] | None,
    watchers: Iterable[Watcher] = (),
    **parallel: Any,
) -> None:
    """Run a race to its end, or until time is over, and warn of what went wrong.

    Parameters
    ----------
    work : Work
        What is raced; afterwards its ``known`` has every outcome.

    journal : Journal or None
        Begun.

    pace : Pace
        The time of the search.

    verbose, on_result
        As for the estimators.

    watchers : iterable of Watcher
        Further watchers.

    **parallel
        Arguments of ``joblib.Parallel``.

    Raises
    ------
    ValueError
        If all evaluations failed, or all of the lowest level.
    """
    told = list(watchers)
    if journal is not None:
        told.insert(0, Recorder(journal, work))
    told.append(Cleaner(work))
    if verbose > 0 or on_result is not None:
        # After the recorder and the cleaner, so that an exception of on_result keeps no outcome
        # from them.
        told.append(Reporter(work, pace, verbose, on_result))
    told.append(FirstLevel(work))
    whole = run(work, told, pace, **parallel)
    work.complain(work.outcomes(work.race.scores))
    if not whole:
        warnings.warn(time_over(pace.max_time, work), UserWarning, stacklevel=4)
    if faults := {outcome.fault for outcome in work.known.values() if outcome.fault}:
        warnings.warn(
            "The search did without some of what its evaluations leave for one another: "
            + "; ".join(sorted(faults)),
            UserWarning,
            stacklevel=4,
        )
