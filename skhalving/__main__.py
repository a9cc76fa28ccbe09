"""What a search has found, and what is left to run: ``python -m skhalving path.jsonl [--watch]``.

Only the journal is read. So this is safe while the search writes to it, works on any machine that
sees the file, and needs none of the search's estimators.
"""

import argparse
import os
import time
from typing import Any

import numpy as np

from skhalving.functions import readable
from skhalving.trials import Replay, Trials

CLEAR = "\033[2J\033[H"  # the screen, and back to its corner


def table(path: str, metric: str | None = None) -> str:
    """A line for each level, the best so far, and what is left."""
    race = Replay(path)
    levels, known = race.schedule.levels, race.evaluations
    planned = [race.schedule.fits_at(level) for level in range(len(levels))]
    left = [(planned[level] - known[level]) * amount for level, (amount, _) in enumerate(levels)]
    share = sum(left) / sum(n * amount for n, (amount, _) in zip(planned, levels, strict=True))
    end = [
        f"left         {sum(planned) - known.total()} of {sum(planned)} evaluations, "
        f"{share:.1%} of the resource",
        f"last result  {time.time() - os.stat(path).st_mtime:.0f} s ago",
    ]
    if not race.scores:
        return "\n".join(["no candidate has a score yet", *end])
    trials = Trials.of_journal(race, metric)
    better: Any = np.fmax if trials.maximize else np.fmin
    lines = [
        f"level  {trials.resource_name:>14}  folds  evaluations  planned  failed     seconds"
        "        best"
    ]
    for level, (amount, n_folds) in enumerate(levels):
        here = trials.level == level
        score, seconds = trials.score[here], trials.seconds[here].sum()
        best = f"{better.reduce(score):.6g}" if len(score) else "-"
        lines.append(
            f"{level + 1:>5}  {amount:>14}  {n_folds:>5}  {known[level]:>11}  {planned[level]:>7}"
            f"  {np.isnan(score).sum():>6}  {seconds:>10.1f}  {best:>10}"
        )
    row = trials.best_index
    return "\n".join(
        [
            *lines,
            f"best so far  {trials.score_name} {trials.score[row]:.6g} on level "
            f"{trials.level[row] + 1}: {readable(dict(trials.params[row]))}",
            *end,
        ]
    )


def main() -> None:
    """Print the table once, or again and again."""
    parser = argparse.ArgumentParser("python -m skhalving", description="What a search knows.")
    parser.add_argument("journal", help="the file that was given as journal=")
    parser.add_argument("--metric", help="one of several; the first unless named")
    parser.add_argument(
        "--watch", nargs="?", type=float, const=5, metavar="SECONDS", help="print it again, every 5"
    )
    args = parser.parse_args()
    try:
        print(table(args.journal, args.metric))
        while args.watch:
            time.sleep(args.watch)
            print(CLEAR + table(args.journal, args.metric), flush=True)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
