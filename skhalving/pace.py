"""The seconds that evaluations take, and what follows: batch size, deadline, time left.

The seconds of evaluations are measured where they ran, so the start of worker processes is not in
them. The clock is this process's own; those of other machines do not matter. This module knows
nothing of scores.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from math import inf
from typing import Any

import numpy as np

from skhalving.schedule import Schedule
from skhalving.task import Outcome, Task

# Sending a call to a worker and back costs about this many seconds.
_LEAST_SECONDS = 1e-3


def seconds_of(max_time: Any) -> float:
    """The seconds of a limit that a user has given: a number, a timedelta, or None for no limit.

    Raises
    ------
    ValueError
        If ``max_time`` is not above 0 seconds.
    """
    seconds = inf if max_time is None else max_time
    if isinstance(max_time, timedelta):
        seconds = max_time.total_seconds()
    elif isinstance(max_time, np.timedelta64):
        seconds = max_time / np.timedelta64(1, "s")
    if not seconds > 0:
        raise ValueError(f"max_time={max_time!r} must be above 0 seconds, or None")
    return float(seconds)


class Pace:
    """The time of one search.

    Parameters
    ----------
    max_time : float, timedelta or None, default=None
        No evaluation starts after this time from now.

    refit_amount : float, default=0
        The amount of the refit, in units of the resource; 0: there is none. Seconds for it are kept
        back: those of the slowest fit of the largest amount so far, scaled to ``refit_amount``.

    Raises
    ------
    ValueError
        If ``max_time`` is not above 0 seconds.
    """

    n_workers = 1  # set by the loop, since a cluster may grow and shrink

    def __init__(self, max_time: Any = None, refit_amount: float = 0.0) -> None:
        self._start, self._max_seconds = time.monotonic(), seconds_of(max_time)
        self.max_time, self.refit_amount = max_time, refit_amount
        # By amount: how many evaluations were run, the seconds that they took in all, and those of
        # the slowest fit, without its scores.
        self._n: dict[int, int] = {}
        self._seconds: dict[int, float] = {}
        self._slowest: dict[int, float] = {}

    def arrived(self, task: Task, outcome: Outcome) -> None:
        """Note what an evaluation took."""
        amount = task.amount
        self._n[amount] = self._n.get(amount, 0) + 1
        self._seconds[amount] = self._seconds.get(amount, 0.0) + outcome.seconds
        self._slowest[amount] = max(self._slowest.get(amount, 0.0), outcome.fit_time)

    @property
    def n_evaluations(self) -> int:
        """How many evaluations have been run."""
        return sum(self._n.values())

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def time_left(self) -> float:
        """Seconds until the deadline, less those kept back for the refit; evaluations start while
        it is positive."""
        amount = max(self._slowest, default=1)
        refit = self._slowest.get(amount, 0.0) * self.refit_amount / amount
        return self._max_seconds - self.elapsed() - refit

    def seconds(self, amount: int) -> float | None:
        """Estimated seconds of an evaluation at this amount, in proportion to the mean at the
        nearest smaller amount measured; None before the first."""
        below = max((a for a in self._n if a <= amount), default=None)
        if below is None:
            return None
        return self._seconds[below] / self._n[below] * amount / below

    def batch_size(self, amount: int, n_tasks: int, batch_seconds: float) -> int:
        """How many of ``n_tasks`` that are ready fill a batch.

        A batch takes about ``batch_seconds``. When few tasks are left it is smaller, half of a
        worker's share of them but at least a tenth of a full batch, so that no worker is left alone
        with a long last batch.
        """
        seconds = self.seconds(amount)
        if seconds is None:
            return 1
        most = batch_seconds / max(_LEAST_SECONDS, seconds)
        return max(1, int(min(most, max(n_tasks / (2 * self.n_workers), most / 10))))

    def seconds_above(self, schedule: Schedule, level: int, evaluated: Mapping[int, int]) -> float:
        """Estimated seconds until the end of a search, from the end of one of its levels on.

        ``evaluated`` counts the evaluations of each level so far.
        """
        seconds = 0.0
        for above in range(level + 1, len(schedule.levels)):
            n = max(0, schedule.fits_at(above) - evaluated.get(above, 0))
            seconds += n * (self.seconds(schedule.levels[above].n_resources) or 0.0)
        return seconds / self.n_workers
