"""What a search costs beside its fits stays small: generous bounds, so that a doubling shows."""

import runpy
import statistics
from pathlib import Path

import pytest

overhead = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "overhead.py"))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_close_to_bare_joblib(n_jobs):
    """500 evaluations that cost nothing: within 1.6 times the tasks alone, by the median of 3."""
    table = overhead["compare"](100, n_jobs, 3, (overhead["bare"], overhead["ours"]))
    assert statistics.median(ours / bare for bare, ours in table) < 1.6


def test_nothing_grows_faster_than_linearly():
    """Four times the evaluations cost less than seven times as much."""
    small, large = (overhead["compare"](n, 1, 3, (overhead["ours"],)) for n in (100, 400))
    assert min(min(large)) < 7 * min(min(small))
