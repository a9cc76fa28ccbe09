"""Limit the time of one evaluation: an alarm stops it, or else its worker process ends itself.

An alarm rings inside the evaluation alone. ``with limit.around(task)`` either runs it to its end or
raises ``TimeoutError`` from within, so that a ``try`` around the ``with`` catches every one: while
the limit is being set and taken back the alarm is ignored, and afterwards none is left. Limits may
be nested, in one another and in alarms of the user's own, which are put back with the time that is
left of them. The timer that ends a worker is set once: a search that runs within a worker sets none
of its own. Nothing here knows of estimators.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from traceback import walk_stack
from types import FrameType
from typing import Any

# Seconds until an alarm that should ring now: 0 would switch the timer off.
SOON = 1e-6


@dataclass(frozen=True)
class TimeLimit:
    """How many seconds a task may take.

    Long calls of compiled code do not hear the alarm. Therefore a worker process ends itself from a
    C thread, 1.5 times the limit and one second after the start, and leaves its traceback in a file
    that is named by the task.

    Attributes
    ----------
    seconds : float
        The limit of one task.

    folder : str
        Where workers leave the tracebacks by which :meth:`was_hard` knows that they have ended.

    parent : int
        The id of the process that started the workers, which never ends itself.

    Raises
    ------
    ValueError
        If the system has no alarm signals.
    """

    seconds: float
    folder: str
    parent: int

    def __post_init__(self) -> None:
        if not hasattr(signal, "setitimer"):
            raise ValueError(
                f"fit_timeout={self.seconds} needs a system with alarm signals; pass None"
            )

    def was_hard(self, task: Iterable[Any]) -> bool:
        """Whether the task ended its worker."""
        mark = self._mark(task)
        return os.path.exists(mark) and os.path.getsize(mark) > 0

    def around(self, task: Iterable[Any]) -> _Alarm:
        """A context within which ``TimeoutError`` is raised when the task has had its time.

        It is raised again every second, since something within the task may have caught it.

        Raises
        ------
        RuntimeError
            If this is not the main thread, which alone hears signals.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"fit_timeout={self.seconds} needs evaluations in the main thread of a process, "
                "and this backend runs them in other threads; use loky, or n_jobs=1"
            )
        return _Alarm(self.seconds, None if os.getpid() == self.parent else self._mark(task))

    def _mark(self, task: Iterable[Any]) -> str:
        return os.path.join(self.folder, "-".join(map(str, task)))


class _Alarm:
    """An alarm that is set while its context lasts; afterwards what was set before is restored.

    ``rang`` is whether the time was over. A fit or a scorer may turn the ``TimeoutError`` into an
    error of its own. No import is interrupted.
    """

    def __init__(self, seconds: float, mark: str | None) -> None:
        self._seconds = seconds
        self._mark = mark
        self._inside = False
        self.rang = False

    def __enter__(self) -> None:
        self._n_imports = _n_imports(sys._getframe())
        self._end = None if self._mark is None else open(self._mark, "w")
        self._left, self._interval = signal.setitimer(signal.ITIMER_REAL, 0)
        self._start = time.monotonic()
        self._handler = signal.signal(signal.SIGALRM, self._ring)
        if self._end:
            faulthandler.dump_traceback_later(1.5 * self._seconds + 1, exit=True, file=self._end)
        self._inside = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds, 1.0)

    def __exit__(self, *_: Any) -> None:
        self._inside = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._end:
            faulthandler.cancel_dump_traceback_later()
            self._end.close()
        # None stands for a handler that Python did not install and cannot put back.
        signal.signal(signal.SIGALRM, self._handler or signal.SIG_DFL)
        if self._left:
            left = self._left - (time.monotonic() - self._start)
            signal.setitimer(signal.ITIMER_REAL, max(left, SOON), self._interval)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if not self._inside or frame is None:
            return
        self.rang = True
        at_an_edge = any(caller.f_code in _EDGES for caller, _ in walk_stack(frame))
        if at_an_edge or _n_imports(frame) > self._n_imports:
            # An error here would leave the alarm half set or half taken back. In an import it would
            # leave half a module, or be taken for a file that is missing, since TimeoutError is an
            # OSError. So ring a moment later.
            signal.setitimer(signal.ITIMER_REAL, 0.01, 1.0)
        else:
            raise TimeoutError(f"it ran over fit_timeout={self._seconds} s")


def _n_imports(frame: FrameType) -> int:
    """How many calls on the stack are of the import system."""
    files = (caller.f_code.co_filename for caller, _ in walk_stack(frame))
    return sum(file.startswith("<frozen importlib") for file in files)


_EDGES = (_Alarm.__enter__.__code__, _Alarm.__exit__.__code__)
