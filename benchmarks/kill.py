"""Kill a search with SIGKILL at random moments, start it again until it finishes, and compare.

    python benchmarks/kill.py [MOMENTS]

Every run is a process of its own, with two workers and a journal. The result must equal that of an
uninterrupted search, times aside, however often it was killed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEARCH = """
import json, sys
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from skhalving import HyperbandSearchCV

X, y = load_digits(return_X_y=True)
search = HyperbandSearchCV(
    SGDClassifier(random_state=0, tol=None),
    {"alpha": list(np.logspace(-6, 0, 20))},
    resource="max_iter",
    max_resources=54,
    cv=3,
    n_jobs=2,
    random_state=0,
    journal=sys.argv[1],
    refit=False,
).fit(X, y)
columns = {k: [str(v) for v in c] for k, c in search.cv_results_.items()}
print(json.dumps({k: c for k, c in columns.items() if "time" not in k and k != "continued"}))
"""


def start(journal):
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process):
    """The parent alone, as an out-of-memory killer would: its workers find out by themselves."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def uninterrupted(folder):
    begin = time.perf_counter()
    with start(folder / "whole.jsonl") as process:
        expected = json.loads(process.communicate()[0])
    return expected, time.perf_counter() - begin


def killed_and_resumed(journal, seconds, kills, rng):
    """Kill after random times until ``kills`` are spent, then let it finish: (result, kills)."""
    done = 0
    while True:
        process = start(journal)
        try:
            out, _ = process.communicate(
                timeout=rng.uniform(0.2, 0.7) * seconds if done < kills else None
            )
            return json.loads(out), done
        except subprocess.TimeoutExpired:
            kill(process)
            done += 1


def main(moments=50):
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        expected, seconds = uninterrupted(Path(folder))
        print(f"uninterrupted: {len(expected['params'])} rows in {seconds:.1f} s")
        total, right, runs = 0, 0, 0
        while total < moments:
            journal = Path(folder) / f"{runs}.jsonl"
            result, kills = killed_and_resumed(journal, seconds, min(5, moments - total), rng)
            runs, total, right = runs + 1, total + kills, right + (result == expected)
            print(f"search {runs}: killed {kills} times, equal: {result == expected}", flush=True)
        print(f"{total} kills, {right} of {runs} searches equal to the uninterrupted one")
        return right == runs


if __name__ == "__main__":
    sys.exit(not main(*map(int, sys.argv[1:])))
