"""Counting ones: random search, Hyperband and successive halving at equal total budget.

Half of the d dimensions are bits, half are probabilities. The objective counts the ones: the bits,
and for each probability the mean of ``budget`` coin flips; so a larger budget is a less noisy
answer. Regret is that of the true value of the configuration returned, over d, the best possible.

The problem is that of Falkner, Klein, Hutter (2018), BOHB: Robust and Efficient Hyperparameter
Optimization at Scale, ICML, Section 5.1 (budgets 9 to 729, factor 3).

    python benchmarks/counting_ones.py
"""

import numpy as np

from skhalving import hyperband, hyperband_schedule, successive_halving

LEAST, MOST, FACTOR = 9, 729, 3
SEEDS = 30


def draw(rng, d):
    return np.concatenate([rng.randint(0, 2, d // 2), rng.uniform(size=d - d // 2)])


def objective(seed):
    """Minus the number of ones; the flips of a configuration are its own, whoever asks."""

    def minus_ones(x, budget):
        half = len(x) // 2
        entropy = [seed, int(budget), *np.frombuffer(x.tobytes(), dtype=np.uint32)]
        flips = np.random.default_rng(entropy).binomial(int(budget), x[half:]) / budget
        return -(x[:half].sum() + flips.sum())

    return minus_ones


def regret(x):
    return 1 - x.sum() / len(x)


def units(schedule):
    return sum(r.n_candidates * r.n_resources for bracket in schedule for r in bracket.rungs)


def runs(seed, d, times=1):
    """Regret and units of each method, at the budget of ``times`` Hyperbands."""
    bounds = {"max_resources": MOST, "min_resources": LEAST, "factor": FACTOR}
    n = times * hyperband_schedule(MOST, min_resources=LEAST, factor=FACTOR).n_candidates
    found = hyperband(
        objective(seed),
        lambda rng: draw(rng, d),
        n_candidates=n,
        random_state=np.random.RandomState([seed, 0]),
        **bounds,
    )
    budget = units(found.schedule)
    yield "hyperband", regret(found.best_configuration), budget

    rng = np.random.RandomState([seed, 1])
    # A bracket of 81 pays 81 * 9 units on each of its five rungs.
    n = budget // (5 * LEAST)
    found = successive_halving(objective(seed), [draw(rng, d) for _ in range(n)], **bounds)
    yield "successive halving", regret(found.best_configuration), units(found.schedule)

    rng = np.random.RandomState([seed, 2])
    tried = [draw(rng, d) for _ in range(budget // MOST)]
    best = min(tried, key=lambda x: objective(seed)(x, MOST))
    yield "random search", regret(best), len(tried) * MOST


if __name__ == "__main__":
    print("mean regret at the budget of one Hyperband")
    for d in (8, 64):
        results = [[regret for _, regret, _ in runs(seed, d)] for seed in range(30)]
        names = [name for name, _, _ in runs(0, d)]
        means = zip(names, np.mean(results, axis=0), strict=True)
        print(f"d={d}: " + ", ".join(f"{name} {mean:.4f}" for name, mean in means))
