"""How the scripts measure, and how figures are shown: every clock, watcher and table is from here.

A machine that does other work as well is fair to ratios of runs side by side: ``in_pairs`` runs two
ways in turn, and ``spread`` shows the ratios.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from unittest.mock import patch

import numpy as np

N_BOOTSTRAPS = 1000

# -- how figures are shown -------------------------------------------------------------------------


def geometric_mean(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(np.fromiter(values, float)))))


def interval(values: Sequence[float], mean: Callable[..., float] = geometric_mean) -> str:
    """95 % of the means, tasks drawn again."""
    rng, values = np.random.default_rng(0), np.asarray(values)
    draws = [mean(rng.choice(values, len(values))) for _ in range(N_BOOTSTRAPS)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{low:.2f} to {high:.2f}"


def spread(values: Sequence[float]) -> str:
    """The median, and all that there was."""
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# -- seconds ---------------------------------------------------------------------------------------


def processor_seconds() -> float:
    """Of this process and its children that are alive; elsewhere than on Linux, of it alone."""
    total = time.process_time()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == os.getpid():
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def timed(
    function: Callable[..., Any], *args: Any, clock: Callable[[], float] = processor_seconds
) -> tuple[float, Any]:
    """The seconds of a call, and what it returns."""
    start = clock()
    result = function(*args)
    return clock() - start, result


def median_ms(function: Callable[..., Any], *args: Any, repeats: int = 5) -> float:
    """Milliseconds of a call on the clock of the wall."""
    seconds = [timed(function, *args, clock=time.perf_counter)[0] for _ in range(repeats)]
    return 1000 * float(np.median(seconds))


def in_pairs(repeats: int, run: Callable[[bool], Any]) -> list[tuple[Any, Any]]:
    """What ``run(True)`` and ``run(False)`` return, so many times; each is first in turn."""
    pairs = []
    for i in range(repeats):
        found = {way: run(way) for way in (i % 2 == 0, i % 2 == 1)}
        pairs.append((found[True], found[False]))
    return pairs


class Parts:
    """Seconds by part of a program: those within a call of another part count for that part."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.seconds: Counter[str] = Counter()
        self._clock, self._running = clock, ["outside"]

    def of(self, owner: Any, name: str, part: str) -> Any:
        """While this context is entered, the function ``name`` of a class or module is ``part``."""
        function = getattr(owner, name)

        def wrapper(*args: Any, **options: Any) -> Any:
            start = self._clock()
            self._running.append(part)
            try:
                return function(*args, **options)
            finally:
                self._running.pop()
                seconds = self._clock() - start
                self.seconds[part] += seconds
                self.seconds[self._running[-1]] -= seconds

        return patch.object(owner, name, wrapper)


# -- memory and files ------------------------------------------------------------------------------


@contextmanager
def peaks(sizes: Callable[[], Sequence[float]], every: float) -> Iterator[list[float]]:
    """The most that each of ``sizes()`` has been, looked at every so many seconds."""
    done, most = Event(), list(sizes())

    def watch() -> None:
        while not done.wait(every):
            most[:] = map(max, most, sizes())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()
