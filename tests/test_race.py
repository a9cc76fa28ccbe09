"""The race: promotion against brute force, and independence of the order of telling."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from strategies import ladders, scores

from skhalving.race import Race, promote
from skhalving.schedule import ladder, published


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
    return published(ladder(most, least, factor), factor, n_candidates=40)


@given(ladders(), st.randoms(use_true_random=False))
def test_every_bracket_races_alone_and_as_planned(bounds, rng):
    """The trials are the plan's, and each rung's are the best of the rung below."""
    schedule = small_schedule(bounds)
    race = Race(schedule)
    table = {}
    while trial := race.ask():
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
    """Told in any order and at any cost, the race visits the same trials as one after another."""
    schedule = small_schedule(bounds)

    def score(trial):
        return random.Random(f"{seed} {trial}").choice([math.nan, 0.0, 0.5, 1.0])

    alone = Race(schedule)
    while trial := alone.ask():
        alone.tell(trial, score(trial))

    race, running, order = Race(schedule), [], random.Random(seed)
    while True:
        while len(running) < 4 and (trial := race.ask()) is not None:
            running.append(trial)
        if not running:
            break
        trial = running.pop(order.randrange(len(running)))
        race.tell(trial, score(trial), order.random())
    assert {str(t): str(s) for t, s in race.scores.items()} == {
        str(t): str(s) for t, s in alone.scores.items()
    }


@given(ladders(), st.integers(0, 2**32))
def test_what_is_asked_for(bounds, seed):
    """Of what is ready: the lowest level, there the costliest on its last rung; and when a rung is
    whole, its best go on and the rest are out, once each."""
    race, chance, costs = Race(small_schedule(bounds)), random.Random(seed), {}
    asked, out = [], []
    while trial := race.ask():
        asked.append((trial.level, -costs.get(trial.candidate, 0.0)))
        costs[trial.candidate] = chance.random()
        n_ready = race.n_ready
        move = race.tell(trial, chance.random(), costs[trial.candidate])
        rung = {t.candidate: score for t, score in race.scores.items() if t[:2] == trial[:2]}
        is_whole = len(rung) == race.rung(trial).n_candidates
        assert sorted(move.on + move.out) == (sorted(rung) if is_whole else [])
        assert move.on == best_by_brute_force(rung, len(move.on))
        assert race.n_ready == n_ready + len(move.on)
        out += move.out
    assert sorted(out) == list(range(race.schedule.n_candidates))
    levels = [level for level, _ in asked]
    assert levels == sorted(levels)
    for level in set(levels):
        here = [cost for its_level, cost in asked if its_level == level]
        assert here == sorted(here)
