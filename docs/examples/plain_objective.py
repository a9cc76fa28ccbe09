"""
A plain objective
=================

A search without an estimator: sixteen random numbers in [0, 4] compete to be closest to 2. The
objective is noisy, and becomes exact as the resource grows, from rung to rung up to exactly 27.
"""

import random

from skhalving import HalvingDisplay, successive_halving


def objective(x, resource):
    """``(x - 2)**2``, estimated from ``resource`` noisy measurements."""
    rng = random.Random(f"{x} {resource}")
    noise = sum(rng.gauss(0, 1) for _ in range(resource)) / resource
    return (x - 2) ** 2 + 0.1 * noise


rng = random.Random(0)
configurations = [rng.uniform(0, 4) for _ in range(16)]
result = successive_halving(objective, configurations, max_resources=27, factor=3)
print(result)

# %%
# The best third of each rung goes on. Larger amounts make the objective exact: a configuration
# whose line falls had been unlucky before, and one whose line rises lucky, since smaller is better.

display = HalvingDisplay.from_result(result)
