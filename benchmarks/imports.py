"""What ``import skhalving`` takes, once scikit-learn's searches are imported.

    python -m benchmarks.imports ROUNDS

Python's own count (``-X importtime``) in fresh processes: the least, since noise only adds, and the
median. Python compiles a module once and keeps that, as an installer does; where the environment
forbids it (``PYTHONDONTWRITEBYTECODE``), every import compiles again, so that is left out of it.
"""

import os
import re
import statistics
import subprocess
import sys

CODE = "from sklearn.model_selection import GridSearchCV; import skhalving"


def milliseconds() -> tuple[float, float]:
    """Of GridSearchCV, and of what comes after it."""
    command = [sys.executable, "-X", "importtime", "-c", CODE]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    report = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stderr
    stock = re.search(r"(\d+) \| sklearn\.model_selection\n", report)
    after = re.findall(r"(\d+) \| +\d+ \| ", report[stock.end() :])
    return int(stock[1]) / 1000, sum(map(int, after)) / 1000


if __name__ == "__main__":
    milliseconds()
    stock, ours = zip(*(milliseconds() for _ in range(int(sys.argv[1]))), strict=True)
    for name, times in (("GridSearchCV", stock), ("skhalving", ours)):
        print(f"{name}: {min(times):.0f} ms, median {statistics.median(times):.0f}")
