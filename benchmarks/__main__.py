"""``python -m benchmarks --budget CPU_SECONDS``: run what fits, write ``docs/benchmarks.md``."""

import argparse

from benchmarks.live import run_what_fits
from benchmarks.replay import read_tables
from benchmarks.report import DOCS, write
from benchmarks.tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--budget", type=float, default=0.0, help="CPU seconds for live runs")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), help="only these; default: all")
    parser.add_argument("--seeds", type=int, default=300, help="of the replay")
    arguments = parser.parse_args()
    run_what_fits(read_tables(arguments.tasks), arguments.budget)
    print("replaying the tables")
    write(read_tables(TASKS), arguments.seeds)
    print(f"wrote {DOCS / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
