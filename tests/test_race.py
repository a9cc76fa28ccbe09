"""The race: promotion against brute force, and independence of the order of telling."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from strategies import ladders, scores

from skhalving.race import Race, promote
from skhalving.schedule import hyperband, ladder


def best_by_brute_force(table, n):
    """Take the best ``n`` times over: the highest number, else any NaN; the first of equals."""
    left = dict(sorted(table.items()))
    taken = []
    for _ in range(n):
        numbers = [s for s in left.values() if not math.isnan(s)]
        winner = next(
            c for c, s in left.items() if (s == max(numbers) if numbers else math.isnan(s))
        )
        taken.append(winner)
        del left[winner]
    return sorted(taken)


@given(st.lists(scores, min_size=1, max_size=30), st.data())
def test_promotion_is_that_of_brute_force(column, data):
    """NaN never before a number, ties to the earlier candidate, infinities in their places."""
    table = dict(enumerate(column))
    n = data.draw(st.integers(1, len(table)))
    assert promote(table, n) == best_by_brute_force(table, n)


def small_schedule(bounds):
    most, least, factor = bounds
    return hyperband(ladder(most, least, factor), factor, n_candidates=40)


@given(ladders(), st.randoms(use_true_random=False))
def test_every_bracket_races_alone_and_as_planned(bounds, rng):
    """In waves: the trials are the plan's, and each rung's are the best of the rung below."""
    schedule = small_schedule(bounds)
    race = Race(schedule)
    table = {}
    while wave := race.wave():
        assert len({trial.level for trial in wave}) == 1
        for trial in wave:
            table[trial] = rng.choice([math.nan, 0.0, 0.5, 1.0])
            race.tell(trial, table[trial])
    first = 0
    for b, bracket in enumerate(schedule):
        start = len(schedule.levels) - len(bracket.rungs)
        standing = range(first, first + bracket.rungs[0].n_candidates)
        first += len(standing)
        for i, rung in enumerate(bracket.rungs):
            here = {t.candidate: s for t, s in table.items() if t[:2] == (start + i, b)}
            assert sorted(here) == list(standing)
            assert len(here) == rung.n_candidates
            if i + 1 < len(bracket.rungs):
                standing = best_by_brute_force(here, bracket.rungs[i + 1].n_candidates)


@given(ladders(), st.integers(0, 2**32))
def test_promotions_do_not_depend_on_timing(bounds, seed):
    """Asked one at a time and told in any order, the race visits the same trials as in waves."""
    schedule = small_schedule(bounds)

    def score(trial):
        return random.Random(f"{seed} {trial}").choice([math.nan, 0.0, 0.5, 1.0])

    waves = Race(schedule)
    while wave := waves.wave():
        for trial in wave:
            waves.tell(trial, score(trial))

    single, running, order = Race(schedule), [], random.Random(seed)
    while True:
        while len(running) < 4 and (trial := single.ask()) is not None:
            running.append(trial)
        if not running:
            break
        trial = running.pop(order.randrange(len(running)))
        single.tell(trial, score(trial))
    assert {str(t): str(s) for t, s in single.scores.items()} == {
        str(t): str(s) for t, s in waves.scores.items()
    }
