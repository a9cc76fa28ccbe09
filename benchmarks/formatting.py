"""How figures are shown: means, their intervals, medians of pairs of runs, tables in Markdown."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

N_BOOTSTRAPS = 1000


def geometric_mean(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(np.fromiter(values, float)))))


def interval(values: Sequence[float], mean: Callable[..., float] = geometric_mean) -> str:
    """95 % of the means, tasks drawn again."""
    rng, values = np.random.default_rng(0), np.asarray(values)
    draws = [mean(rng.choice(values, len(values))) for _ in range(N_BOOTSTRAPS)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{low:.2f} to {high:.2f}"


def spread(values: Sequence[float]) -> str:
    """Of ratios of runs side by side, which hold on a noisy machine."""
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
