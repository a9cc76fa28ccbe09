"""Damage searches in four ways, go on with the journal, and compare with an uninterrupted search.

    python benchmarks/kill.py [KILLS [FLIPS [CUTS [SHOTS]]]]

Killed: the script's process, at a random moment, and run again. Flipped: one bit of a finished
journal. Cut: the journal at a random byte. Shot: random workers of a script that runs two searches
in two threads. Each result must equal that of an uninterrupted search, times aside, or be an error
that says what is wrong (a failed evaluation is one: it scores NaN, with a warning). Needs /proc.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from skhalving import HyperbandSearchCV

X, y = load_digits(return_X_y=True)


def search(journal, n_rows=None, n_jobs=2):
    """What a search finds, times aside."""
    found = HyperbandSearchCV(
        SGDClassifier(random_state=0, tol=None),
        {"alpha": list(np.logspace(-6, 0, 20))},
        resource="max_iter",
        max_resources=54,
        cv=3,
        n_jobs=n_jobs,
        random_state=0,
        journal=journal,
        refit=False,
    ).fit(X[:n_rows], y[:n_rows])
    # Of every level, since a candidate that failed on a low one is nowhere else.
    columns = {name: [str(v) for v in c] for name, c in found.all_cv_results_.items()}
    return {k: c for k, c in columns.items() if "time" not in k and k != "continued"}


def searches(journals):
    """One in each of as many threads, in this process."""
    with ThreadPoolExecutor(len(journals)) as threads:
        return list(threads.map(search, journals))


def start(*journals):
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, "search", *map(str, journals)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def results_of(process, timeout=None):
    """One for each journal, None if the process ended with an error."""
    out, _ = process.communicate(timeout=timeout)
    return json.loads(out) if process.returncode == 0 else [None]


def verdict(result, expected):
    if result is None or any("nan" in result[name] for name in result if "mean_test" in name):
        return "clear error"
    return "equal" if result == expected else "different"


def uninterrupted(folder):
    """What is found, and the seconds that it takes."""
    begin = time.perf_counter()
    with start(folder / "whole.jsonl") as process:
        (expected,) = results_of(process)
    return expected, time.perf_counter() - begin


def killed_and_resumed(journal, seconds, kills, rng):
    """Kill after random times until it is enough, then let it finish: the result, and how often."""
    for done in range(kills):
        with start(journal) as process:
            try:
                return results_of(process, rng.uniform(0.2, 0.7) * seconds)[0], done
            except subprocess.TimeoutExpired:
                # The parent alone, as an out-of-memory killer would: workers notice by themselves.
                os.kill(process.pid, signal.SIGKILL)
    with start(journal) as process:
        return results_of(process)[0], kills


def killed(folder, kills, rng, expected, seconds):
    """A verdict for each search, until so many kills were spent, at most five on a search."""
    runs = 0
    while kills > 0:
        runs += 1
        journal = folder / f"killed-{runs}.jsonl"
        result, done = killed_and_resumed(journal, seconds, min(5, kills), rng)
        kills -= done
        yield verdict(result, expected)


def damaged(folder, damages):
    """Verdicts on a small search's finished journal after each damage, a function of its bytes."""
    path = folder / "damaged.jsonl"
    expected = search(path, n_rows=200, n_jobs=1)
    whole = path.read_bytes()
    for damage in damages:
        path.write_bytes(content := damage(whole))
        try:
            yield verdict(search(path, n_rows=200, n_jobs=1), expected)
        except ValueError as error:
            untouched = path.read_bytes() == content and str(path) in str(error)
            yield "clear error" if untouched else "different"


def flip(rng):
    def flipped(whole):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        return bytes(content)

    return flipped


def cut(rng):
    return lambda whole: whole[: rng.randrange(len(whole) + 1)]


def workers_of(pid):
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue  # it has ended
        if parent == pid and "loky" in command and "tracker" not in command:
            yield int(folder.name)


def shot(folder, shots, rng, expected, seconds):
    """A verdict for each search, until enough workers have been shot in all."""
    done = runs = 0
    while done < shots:
        runs += 1
        with start(*(folder / f"shot-{runs}-{i}.jsonl" for i in range(2))) as process:
            wait = rng.uniform(0.3, 1) * seconds  # the first shot is within the search
            while process.poll() is None:
                time.sleep(wait)
                wait = rng.uniform(4, 12)
                if done < shots and (workers := list(workers_of(process.pid))):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    done += 1
            yield from (verdict(result, expected) for result in results_of(process))


def main(kills=100, flips=2000, cuts=300, shots=50):
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected, seconds = uninterrupted(folder)
        rows = {
            f"{kills} kills": killed(folder, kills, rng, expected, seconds),
            f"{flips} flipped bits": damaged(folder, [flip(rng)] * flips),
            f"{cuts} cuts": damaged(folder, [cut(rng)] * cuts),
            f"{shots} shot workers": shot(folder, shots, rng, expected, seconds),
        }
        columns = ["equal", "clear error", "different"]
        print(f"| {' | '.join(['', 'searches', *columns])} |\n|---{'|--:' * 4}|")
        different = 0
        for row, verdicts in rows.items():
            (folder / "damaged.jsonl").unlink(missing_ok=True)
            counts = Counter(verdicts)
            different += counts["different"]
            figures = map(str, [counts.total(), *(counts[column] for column in columns)])
            print(f"| {' | '.join([row, *figures])} |", flush=True)
    return different


if __name__ == "__main__":
    if sys.argv[1:2] == ["search"]:
        print(json.dumps(searches(sys.argv[2:])))
    else:
        sys.exit(main(*map(int, sys.argv[1:])) > 0)
