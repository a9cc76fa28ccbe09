"""The arithmetic: published tables, and properties of every schedule."""

from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import climbs, factors, ladders

from skhalving import Bracket, Level, Rung, Schedule, hyperband_schedule
from skhalving.schedule import (
    AUTO_LEVELS,
    RULES,
    SINGLE_RULES,
    auto_min_resources,
    climb,
    climb_gently,
    fold_steps,
    hedged,
    hedged_bracket,
    ladder,
    n_steps,
    n_to_fill,
    published,
    published_bracket,
    shares,
)

# The ladder of the documentation: (R/9, 1) (R/3, 1) (R, 1) (R, 5).
STANDARD = ladder(900, 100, 3, [1, 5])
ALL_RULES = [*RULES.values(), *SINGLE_RULES.values()]


def counts(schedule):
    return [[rung.n_candidates for rung in bracket.rungs] for bracket in schedule]


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
    default = published(levels, factor)
    sizes = [b.rungs[0].n_candidates for b in default]
    scaled = [b.rungs[0].n_candidates for b in published(levels, factor, n)]
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
    assert published_bracket(levels, 3).brackets[0] == published(levels, 3).brackets[0]
    sixteen = published_bracket(ladder(27, 1, 3), 3, 16).brackets[0]
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
    schedule = published(levels, 3)
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
    """``str`` and ``repr`` are the table: a header and a line for each rung; folds if any."""
    schedule = hyperband_schedule(27)
    assert len(str(schedule).splitlines()) == 1 + sum(len(b.rungs) for b in schedule)
    assert repr(schedule) == str(schedule)
    assert "folds" not in str(schedule)
    assert "folds" in str(published(ladder(9, 1, 3, [1, 3]), 3))


# -- the hedged rule --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "two", "one"),
    [
        (STANDARD, [[27, 14, 5, 2], [27, 9, 3]], [27, 14, 5, 2]),
        (ladder(900, 100, 3, [1, 3]), [[27, 14, 5, 2], [27, 9, 3]], [27, 14, 5, 2]),
        (ladder(900, 300, 3, [1, 5]), [[27, 9, 3]], [14, 5, 2]),
        (ladder(900, 900, 3, [1, 5]), [[9, 3]], [5, 2]),
        (ladder(900, 900, 3, [5]), [[3]], [2]),
        (ladder(900, 900, 3, [1, 3, 10]), [[27, 9, 3]], [14, 5, 2]),
        (ladder(900, 100, 3, [5]), [[9, 5, 2], [9, 3]], [9, 5, 2]),
        (ladder(900, 33, 3, [1, 5]), [[54, 27, 14, 5, 2], [54, 27, 9, 3]], [54, 27, 14, 5, 2]),
    ],
)
def test_hedged_by_hand(levels, two, one):
    """The first is the schedule that was measured; two brackets only where the second enters below
    full resource; deeper ladders halve further down."""
    assert counts(hedged(levels, 3)) == two
    assert counts(hedged_bracket(levels, 3)) == [one]


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [[1]]),
        (2, [[2]]),
        (3, [[3, 2]]),
        (9, [[9, 3, 2]]),
        (25, [[25, 9, 3]]),
        (26, [[13, 7, 3, 2], [13, 5, 2]]),
        (27, [[14, 7, 3, 2], [13, 5, 2]]),
        (100, [[50, 25, 9, 3], [50, 17, 6]]),
    ],
)
def test_few_and_many_candidates_by_hand(n, expected):
    """The lowest level is used where half of the candidates fill it; finalists grow with n."""
    assert counts(hedged(STANDARD, 3, n)) == expected


@given(climbs(), st.one_of(st.none(), st.integers(1, 3000)), st.sampled_from(ALL_RULES))
def test_every_rule_is_sound_on_every_ladder(levels_and_factor, n, rule):
    """As many candidates as asked for; every bracket climbs, cutting somebody each time, to the
    highest level; and the lowest level of the schedule is used."""
    levels, factor = levels_and_factor
    schedule = rule(levels, factor, n)
    assert n is None or schedule.n_candidates == n
    assert max(len(bracket.rungs) for bracket in schedule) == len(schedule.levels)
    assert schedule.levels == levels[len(levels) - len(schedule.levels) :]
    for bracket in schedule:
        stands_on = [Level(rung.n_resources, rung.n_folds) for rung in bracket.rungs]
        assert stands_on == list(levels[len(levels) - len(stands_on) :])
        numbers = [rung.n_candidates for rung in bracket.rungs]
        assert all(before > after >= 1 for before, after in pairwise(numbers))


@given(climbs(), st.one_of(st.none(), st.integers(1, 3000)))
def test_what_hedged_promises(levels_and_factor, n):
    """Two finalists a bracket where there are two candidates; the stated share, rounded up, at
    each cut; of two brackets the second has as many candidates, or one less, and enters a level
    higher but below full resource."""
    levels, factor = levels_and_factor
    schedule = hedged(levels, factor, n)
    top = levels[-1].n_resources
    for bracket in schedule:
        numbers = [rung.n_candidates for rung in bracket.rungs]
        assert numbers[-1] >= min(2, schedule.n_candidates)
        for before, after in pairwise(bracket.rungs):
            share = 2 if after.n_resources < top else factor
            exact = before.n_candidates / share
            assert exact <= after.n_candidates < exact + 1 or after.n_candidates == 2 > exact
    assert len(schedule) <= 2
    if len(schedule) == 2:
        first, second = schedule
        assert first.rungs[0].n_candidates - second.rungs[0].n_candidates in (0, 1)
        assert len(first.rungs) == len(second.rungs) + 1
        assert second.rungs[0].n_resources < top
        assert [first] == list(hedged_bracket(levels, factor, first.rungs[0].n_candidates))


@given(climbs())
def test_default_numbers_fill_the_ladder(levels_and_factor):
    """Every rule uses all levels unless told how many; a single bracket of the hedged rule has
    half as many candidates as the two."""
    levels, factor = levels_and_factor
    assert all(rule(levels, factor).levels == levels for rule in ALL_RULES)
    both, one = hedged(levels, factor).n_candidates, hedged_bracket(levels, factor).n_candidates
    assert one == (both + 1) // 2


@given(climbs(), st.integers(1, 2000))
def test_candidates_enter_as_low_as_they_fill(levels_and_factor, n):
    """From any lower level some cut would drop nobody; one candidate more enters no higher."""
    levels, factor = levels_and_factor
    bracket = climb_gently(n, levels, factor)
    assert len(climb_gently(n + 1, levels, factor).rungs) >= len(bracket.rungs)
    for lower in range(len(levels) - len(bracket.rungs)):
        numbers = [n]
        for share in shares(levels[lower:], factor):
            numbers.append(max(min(n, 2), -(-numbers[-1] // share)))
        assert len(set(numbers)) < len(numbers)


@given(climbs(), st.integers(1, 2000))
def test_a_candidate_more_on_the_same_levels_costs_no_less(levels_and_factor, n):
    """Every rung has as many candidates or more, where the brackets are the same."""
    levels, factor = levels_and_factor
    for rule in (hedged, hedged_bracket):
        less, more = counts(rule(levels, factor, n)), counts(rule(levels, factor, n + 1))
        if [*map(len, less)] == [*map(len, more)]:
            for low, high in zip(less, more, strict=True):
                assert all(a <= b for a, b in zip(low, high, strict=True))


@given(climbs(), st.sampled_from(ALL_RULES))
def test_fewest_candidates_that_use_every_level(levels_and_factor, rule):
    """So many do, and one less does not."""
    levels, factor = levels_and_factor
    n = n_to_fill(rule, levels, factor)
    assert rule(levels, factor, n).levels == levels
    assert n == 1 or rule(levels, factor, n - 1).levels != levels


def test_nine_candidates_leave_the_lowest_level_of_569_rows_unused():
    """They would have to be 26, or 13 in a single bracket, to be looked at on fewer rows."""
    levels = ladder(569, 50, 3, [1, 5])
    assert levels[0].n_resources == 63
    assert hedged(levels, 3, 9).levels[0].n_resources == 189
    assert n_to_fill(hedged, levels, 3) == 26
    assert n_to_fill(hedged_bracket, levels, 3) == 13


def test_the_word_for_a_schedule():
    """``hyperband_schedule`` takes both words, and names them when given another."""
    assert hyperband_schedule(81, schedule="published") == hyperband_schedule(81)
    assert counts(hyperband_schedule(81, schedule="hedged")) == [
        [36, 18, 9, 5, 2],
        [36, 18, 9, 3],
    ]
    with pytest.raises(ValueError, match=r"schedule='x' is unknown; give one of \['hedged', 'publ"):
        hyperband_schedule(81, schedule="x")
    for no_schedule in (3, None, ["hedged"]):
        with pytest.raises(ValueError, match=r"is unknown; give one of .*, or a Schedule"):
            hyperband_schedule(81, schedule=no_schedule)


# -- how deep "auto" goes ---------------------------------------------------------------------


@given(st.integers(1, 10**8), st.integers(1, 10**4), st.integers(2, 10), st.integers(1, 4))
def test_auto_goes_down_to_some_ten_thousand_rows(most, least, factor, n_fold_steps):
    """Above a million rows it leaves out no level of 6,000 rows or more, and adds no other; up to
    there, and for a parameter, there are four levels."""
    bottom = auto_min_resources(most, least, factor, n_fold_steps)
    deep = auto_min_resources(most, least, factor, n_fold_steps, rows=True)
    assert min(least, most) <= deep <= bottom
    assert deep == bottom or (most > 1_000_000 and deep >= 6_000)
    assert most <= 1_000_000 or deep // factor < max(6_000, least)


@pytest.mark.parametrize(
    ("n_rows", "lowest"),
    [(99_000, 11_000), (10**6, 111_111), (10**6 + 1, 12_345), (10**7, 13_717)],
)
def test_lowest_level_of_many_rows(n_rows, lowest):
    """With a factor of 3 and five folds."""
    assert auto_min_resources(n_rows, 20, 3, 2, rows=True) == lowest


# -- the noun ---------------------------------------------------------------------------------


@given(climbs(), st.integers(1, 200), st.sampled_from(ALL_RULES))
def test_rungs_are_those_of_the_brackets(levels_and_factor, n, rule):
    """By bracket and level; anywhere else is an IndexError, not a rung from the other end."""
    levels, factor = levels_and_factor
    schedule = rule(levels, factor, n)
    depth = len(schedule.levels)
    for b, bracket in enumerate(schedule):
        enters = depth - len(bracket.rungs)
        found = [schedule.rung(b, level) for level in range(enters, depth)]
        assert found == list(bracket.rungs)
        for level in (enters - 1, depth, -1):
            with pytest.raises(IndexError, match=r"has no rung on level|out of range"):
                schedule.rung(b, level)
    for b in (-1, len(schedule)):
        with pytest.raises(IndexError, match=r"has no rung on level|out of range"):
            schedule.rung(b, depth - 1)
    for level in range(depth):
        on_level = [r for _, r in schedule.rungs_at(level)]
        assert schedule.candidates_at(level) == sum(r.n_candidates for r in on_level)
        assert {Level(r.n_resources, r.n_folds) for r in on_level} == {schedule.levels[level]}


def test_a_schedule_of_ones_own():
    """From the levels of any plan; lists do, and equal schedules are equal."""
    brackets = [Bracket.on(STANDARD, 27, 14, 5, 2), Bracket.on(STANDARD, 27, 9, 3)]
    assert Schedule([[*level] for level in STANDARD], brackets) == hedged(STANDARD, 3)
    assert hash(Schedule(STANDARD, brackets)) == hash(hedged(STANDARD, 3))


@pytest.mark.parametrize(
    ("brackets", "message"),
    [
        ([], "a schedule without brackets runs nothing; give at least one"),
        ([Bracket(())], r"bracket 0 has rungs on \[\], which are not the highest of the levels"),
        ([Bracket((Rung(3, 300),))], r"bracket 0 has rungs on \[\(300, 1\)\], which are not"),
        ([Bracket.on(STANDARD, 9), Bracket.on(STANDARD, 2, 3)], r"bracket 1 has \[2, 3\] candid"),
        ([Bracket.on(STANDARD, 2, 0)], r"bracket 0 has \[2, 0\] candidates on its rungs; no rung"),
    ],
)
def test_schedules_that_cannot_be_run(brackets, message):
    """The fault and its bracket."""
    with pytest.raises(ValueError, match=message):
        Schedule(STANDARD, brackets)


class Cells(HTMLParser):
    """The texts of a document whose tags are all closed, in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_has_a_column_for_every_level_and_a_row_for_every_bracket():
    """Brackets enter where they start; levels at the same amount differ by their folds."""
    html = hedged(STANDARD, 3)._repr_html_()
    assert Cells(html).texts[1:] == [
        *("resource", "100", "300", "900", "900", "folds", "1", "1", "1", "5"),
        *("bracket 0", "27", "14", "5", "2", "bracket 1", "27", "9", "3"),
    ]
    assert "<td></td><td>27</td><td>9</td><td>3</td>" in html
    assert "folds" not in hyperband_schedule(9)._repr_html_()


def test_levels_that_no_bracket_uses_are_left_out():
    """A ladder begins where the tallest bracket does, whatever levels it was made on."""
    brackets = [Bracket.on(STANDARD, 4, 2), Bracket.on(STANDARD, 3)]
    mine = Schedule(STANDARD, brackets)
    assert mine.levels == STANDARD[-2:]
    assert [mine.candidates_at(level) for level in range(2)] == [4, 5]
    assert mine == Schedule(STANDARD[-2:], brackets)
