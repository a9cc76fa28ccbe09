"""``python -m benchmarks``: replay the tables, read the live runs, write ``docs/benchmarks.md``."""

import argparse

from benchmarks.replay import TABLES, read_tables
from benchmarks.report import DOCS, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seeds", type=int, default=60, help="of the replay")
    groups = (read_tables(folder) for folder in (TABLES, TABLES / "older", TABLES / "aside"))
    write(*groups, parser.parse_args().seeds)
    print(f"wrote {DOCS / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
