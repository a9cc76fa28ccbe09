"""What a search costs beside its fits stays small: generous bounds, so that a doubling shows."""

import runpy
from pathlib import Path

import pytest

overhead = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "overhead.py"))


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
