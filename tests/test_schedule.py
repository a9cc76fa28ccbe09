"""The arithmetic: published tables, and properties of every schedule."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import factors, ladders

from skhalving import hyperband_schedule
from skhalving.schedule import (
    AUTO_LEVELS,
    Level,
    auto_min_resources,
    climb,
    fold_steps,
    hyperband,
    ladder,
    n_steps,
    successive_halving,
)


def units(schedule, *, continued):
    """Resource that a search pays for: all of it, or only what a candidate had not had yet."""
    total = 0
    for bracket in schedule:
        had = 0
        for rung in bracket.rungs:
            total += rung.n_candidates * (rung.n_resources - had)
            had = rung.n_resources if continued else 0
    return total


def evaluations(schedule):
    return sum(rung.n_candidates for bracket in schedule for rung in bracket.rungs)


@pytest.mark.parametrize(
    ("most", "configurations", "scratch", "continued"),
    [(9, 17, 78, 69), (27, 49, None, 357), (81, 143, 1902, 1581)],
)
def test_published_totals(most, configurations, scratch, continued):
    """Configurations and units of resource are those of Algorithm 1."""
    schedule = hyperband_schedule(most)
    assert schedule.n_candidates == configurations
    assert units(schedule, continued=True) == continued
    if scratch is not None:
        assert units(schedule, continued=False) == scratch


def test_first_rungs_of_81():
    """81, 34, 15, 8 and 5 candidates, 206 evaluations: the algorithm, not the paper's Table 1."""
    schedule = hyperband_schedule(81)
    assert [b.rungs[0].n_candidates for b in schedule] == [81, 34, 15, 8, 5]
    assert evaluations(schedule) == 206


def test_published_rows_of_mlr3hyperband():
    """The table that mlr3hyperband prints for budgets 1 to 16 and eta 2 has 72 rows."""
    assert evaluations(hyperband_schedule(16, factor=2)) == 72


@pytest.mark.parametrize(
    ("most", "factor", "brackets"), [(243, 3, 6), (729, 3, 7), (1000, 10, 4), (125, 5, 4)]
)
def test_no_bracket_is_lost_to_a_logarithm(most, factor, brackets):
    """``floor(log(243, 3))`` is 4 in floating point; every bracket ends at the maximum."""
    schedule = hyperband_schedule(most, factor=factor)
    assert len(schedule) == brackets
    assert {b.rungs[-1].n_resources for b in schedule} == {most}


@given(factors, st.integers(0, 12))
def test_powers_keep_all_their_brackets(factor, k):
    """``factor**k`` gives k + 1 steps' worth of levels, for any k."""
    assert n_steps(factor**k, 1, factor) == k
    assert len(ladder(factor**k, 1, factor)) == k + 1


@given(ladders(), st.one_of(st.none(), st.integers(1, 500)))
def test_every_schedule_is_sound(bounds, n_candidates):
    """Resources rise, counts fall, no rung is empty, the last has the maximum, none the minimum
    undercuts, and ``n_candidates`` are exactly as many as asked for."""
    most, least, factor = bounds
    schedule = hyperband_schedule(
        most, min_resources=least, factor=factor, n_candidates=n_candidates
    )
    for bracket in schedule:
        amounts = [rung.n_resources for rung in bracket.rungs]
        counts = [rung.n_candidates for rung in bracket.rungs]
        assert amounts == sorted(set(amounts))
        assert counts == sorted(set(counts), reverse=True)
        assert counts[-1] >= 1
        assert amounts[-1] == most
        assert amounts[0] >= least
    if n_candidates is not None:
        assert schedule.n_candidates == n_candidates
    else:
        assert len(schedule) == n_steps(most, least, factor) + 1


@given(ladders())
def test_default_sizes_are_the_ceiling_of_the_algorithm(bounds):
    """n = ceil((s_max + 1) / (s + 1) * eta**s), by exact fractions."""
    from fractions import Fraction
    from math import ceil

    most, least, factor = bounds
    s_max = n_steps(most, least, factor)
    expected = [ceil(Fraction(s_max + 1, s + 1) * factor**s) for s in range(s_max, -1, -1)]
    schedule = hyperband_schedule(most, min_resources=least, factor=factor)
    assert [b.rungs[0].n_candidates for b in schedule] == expected
    for bracket in schedule:
        for i, rung in enumerate(bracket.rungs):
            s = len(bracket.rungs) - 1
            assert rung.n_resources == most // factor ** (s - i)
            assert rung.n_candidates == bracket.rungs[0].n_candidates // factor**i


@given(ladders(), st.integers(1, 500))
def test_scaled_brackets_keep_hyperbands_proportions(bounds, n):
    """By largest remainder, no bracket is a whole candidate away from its exact share."""
    most, least, factor = bounds
    levels = ladder(most, least, factor)
    default = hyperband(levels, factor)
    sizes = [b.rungs[0].n_candidates for b in default]
    scaled = [b.rungs[0].n_candidates for b in hyperband(levels, factor, n)]
    # Brackets left empty are those with the smallest shares, so the rest keep their places.
    for size, got in zip(sizes, scaled + [0] * (len(sizes) - len(scaled)), strict=True):
        assert abs(got - size * n / sum(sizes)) < 1


@given(st.integers(1, 40), factors)
def test_fold_steps_go_from_one_fold_to_all(n_splits, factor):
    """Steps rise from 1 to the number of splits, each a factor apart, rounded down."""
    steps = fold_steps(n_splits, factor)
    assert steps[0] == 1
    assert steps[-1] == n_splits
    assert steps == sorted(set(steps))
    assert all(low == max(1, high // factor) for low, high in pairwise(steps))


@given(st.integers(1, 10**6), st.integers(1, 10**4), factors, st.integers(1, 20))
def test_auto_minimum_makes_four_levels_at_most(most, least, factor, n_splits):
    """Four levels, fold steps included; fewer where an amount would fall below the least."""
    steps = fold_steps(n_splits, factor)
    bottom = auto_min_resources(most, least, factor, len(steps))
    levels = ladder(most, bottom, factor, steps)
    assert len(levels) <= max(AUTO_LEVELS, len(steps))
    assert bottom >= min(least, most)
    assert levels[-1] == Level(most, n_splits)
    could_go_lower = bottom // factor >= least
    assert len(levels) >= AUTO_LEVELS or not could_go_lower


def test_five_folds_by_default():
    """The ladder of the documentation: (R/9, 1) (R/3, 1) (R, 1) (R, 5)."""
    bottom = auto_min_resources(900, 1, 3, 2)
    assert ladder(900, bottom, 3, fold_steps(5, 3)) == ((100, 1), (300, 1), (900, 1), (900, 5))


def test_successive_halving_is_the_most_exploratory_bracket():
    """``factor**s_max`` candidates by default, which is Hyperband's first bracket."""
    levels = ladder(81, 1, 3)
    assert successive_halving(levels, 3).brackets[0] == hyperband(levels, 3).brackets[0]
    sixteen = successive_halving(ladder(27, 1, 3), 3, 16).brackets[0]
    assert [(r.n_candidates, r.n_resources) for r in sixteen.rungs] == [(16, 3), (5, 9), (1, 27)]


@given(ladders(), st.integers(1, 300))
def test_few_candidates_skip_low_levels_rather_than_climb_alone(bounds, n):
    """A bracket enters at the lowest level from which each step still drops somebody."""
    most, least, factor = bounds
    levels = ladder(most, least, factor)
    bracket = climb(n, levels, factor)
    assert bracket.rungs[0].n_candidates == n
    cuts = len(bracket.rungs) - 1
    assert factor**cuts <= n
    assert cuts == len(levels) - 1 or factor ** (cuts + 1) > n


def test_fits_do_not_count_kept_folds():
    """From (R, 1) to (R, 5) a candidate pays for four folds; entering at (R, 5), for five."""
    levels = ladder(9, 3, 3, [1, 5])
    schedule = hyperband(levels, 3)
    by_hand = 0
    for bracket in schedule:
        kept = 0
        for rung in bracket.rungs:
            by_hand += rung.n_candidates * (rung.n_folds - kept)
            kept = rung.n_folds if rung.n_resources == 9 else 0
    assert schedule.n_fits == by_hand


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_resources": 5, "min_resources": 9}, "max_resources=5 is below min_resources=9; ra"),
        ({"max_resources": 0}, "max_resources=0 must be an integer of at least 1"),
        ({"max_resources": 9.0}, "max_resources=9.0 must be an integer"),
        ({"max_resources": True}, "max_resources=True must be an integer"),
        ({"max_resources": 9, "factor": 1}, "factor=1 must be an integer of at least 2"),
        ({"max_resources": 9, "n_candidates": 0}, "n_candidates=0 must be an integer of at least"),
    ],
)
def test_bad_arguments_say_what_is_wrong(arguments, message):
    """The value, the limit and what to do."""
    with pytest.raises(ValueError, match=message):
        hyperband_schedule(**arguments)


def test_table_has_a_line_for_every_rung():
    """``str`` is the table: a header and one line a rung; folds only where there are any."""
    schedule = hyperband_schedule(27)
    assert len(str(schedule).splitlines()) == 1 + sum(len(b.rungs) for b in schedule)
    assert "folds" not in str(schedule)
    assert "folds" in str(hyperband(ladder(9, 1, 3, [1, 3]), 3))
