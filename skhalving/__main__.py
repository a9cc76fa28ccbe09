"""What a search knows by now: ``python -m skhalving path.jsonl [--watch]``.

It reads the journal and nothing else, so it is safe beside the search that writes it, on any
machine that sees the file, and needs none of the search's estimators.
"""

import argparse
import os
import time
from typing import Any

import numpy as np

from skhalving.functions import readable
from skhalving.journal import read
from skhalving.trials import Trials

CLEAR = "\033[2J\033[H"  # the screen, and back to its corner


def table(path: str, metric: str | None = None) -> str:
    """A line for each level, the best so far, and what is left."""
    header, records = read(path)
    if header is None or next(records, None) is None:
        return f"{path}: no evaluation has finished yet"
    trials = Trials.of_journal(path, metric)
    better: Any = np.fmax if trials.maximize else np.fmin
    lines = [
        f"level  {trials.resource_name:>14}  folds  candidates  failed     seconds        best"
    ]
    for level, (amount, n_folds) in enumerate(trials.schedule.levels):
        here = trials.level == level
        score, seconds = trials.score[here], trials.seconds[here].sum()
        lines.append(
            f"{level + 1:>5}  {amount:>14}  {n_folds:>5}  {len(score):>10}"
            f"  {np.isnan(score).sum():>6}  {seconds:>10.1f}  {better.reduce(score):>10.6g}"
        )
    best = trials.best_index
    return "\n".join(
        [
            *lines,
            f"best so far  {trials.score_name} {trials.score[best]:.6g} on level "
            f"{trials.level[best] + 1}: {readable(dict(trials.params[best]))}",
            f"candidates   {len(trials.last())} of {header.search.get('n_candidates', '?')} begun",
            f"last result  {time.time() - os.stat(path).st_mtime:.0f} s ago",
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
