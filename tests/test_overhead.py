"""What a search costs beside its fits stays small: generous bounds, so that a doubling shows."""

import os
import runpy
from pathlib import Path

import joblib
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
overhead, parallel, memory = (
    runpy.run_path(str(BENCHMARKS / f"{name}.py")) for name in ("overhead", "parallel", "memory")
)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_close_to_bare_joblib(n_jobs):
    """500 evaluations that cost nothing: once in five, within 1.5 times the tasks alone.

    Noise only adds, so the least of the ratios is the one to bound.
    """
    table = overhead["compare"](100, n_jobs, 5, (overhead["bare"], overhead["ours"]))
    assert min(ours / bare for bare, ours in table) < 1.5


def test_nothing_grows_faster_than_linearly():
    """Four times the evaluations cost less than seven times as much."""
    small, large = (overhead["compare"](n, 1, 3, (overhead["ours"],)) for n in (100, 400))
    assert min(min(large)) < 7 * min(min(small))


@pytest.mark.parametrize("times", ["constant", "log_normal"])
def test_workers_are_kept_busy(times):
    """Four of them, with fits that sleep: within 1.4 of what no schedule can beat, as measured
    1.07; waves take 1.5 to 1.8."""
    with joblib.parallel_config(backend="threading"):
        assert min(parallel["sleep"](parallel[times], 4, least=2.0) for _ in range(2)) < 1.4


@pytest.mark.parametrize("n_workers", [4, 16, 64, 256, 1024])
@pytest.mark.parametrize("times", ["constant", "log_normal"])
def test_simulated_makespan(times, n_workers):
    """No overhead: near the bound with any number of workers, and never behind brackets in turn."""
    schedule = parallel["hyperband"](parallel["ladder"](81, 1, 3, [5]), 3)
    seconds = parallel[times](schedule.n_candidates)
    ours, turns, least = (
        parallel[way](schedule, seconds, n_workers)
        for way in ("simulate", "one_by_one", "simulated_bound")
    )
    assert least <= ours * (1 + 1e-9)
    assert ours < 1.3 * least
    assert ours <= turns


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_no_copy_of_x_in_the_parent():
    """A search on 100 MB in memory adds less than those 100 MB to its own process."""
    n_rows = 625_000
    X, y = np.ones((n_rows, 20)), np.arange(n_rows) % 2
    memory["search"](X[:2000], y[:2000], 2000)
    before = memory["pss"](os.getpid())
    with memory["Peak"]() as peak:
        memory["search"](X, y, n_rows)
    assert peak.parent - before < 0.8 * X.nbytes


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_a_low_rung_costs_its_rows_alone():
    """A search on 1 % of 400 MB in memory adds little to all its processes together."""
    n_rows = 250_000
    X, y = np.ones((n_rows, 200)), np.arange(n_rows) % 2
    memory["search"](X[:2000], y[:2000], 2000)
    before = sum(map(memory["pss"], memory["tree"](os.getpid())))
    with memory["Peak"]() as peak:
        memory["search"](X, y, n_rows // 100)
    assert peak.tree - before < 0.25 * X.nbytes


def test_import():
    """A hundredth or two of the time that scikit-learn's own searches take, as measured 0.012."""
    milliseconds = runpy.run_path(str(BENCHMARKS / "imports.py"))["milliseconds"]
    assert min(ours / stock for stock, ours in (milliseconds() for _ in range(5))) < 0.03
