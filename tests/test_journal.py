"""Nothing is lost: the journal at every byte, extended searches, wrong files, real kills."""

import errno
import json
import os
import random
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import loguniform, uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV
from skhalving.journal import Journal, stable

X = np.random.RandomState(0).normal(size=(60, 3))
y = np.arange(60) % 2


class Counted(ClassifierMixin, BaseEstimator):
    """Scores by its parameter; counts its fits; fails or scores oddly when asked."""

    fits = 0

    def __init__(self, quality=0.5, odd=None, n_steps=9):
        self.quality = quality
        self.odd = odd
        self.n_steps = n_steps

    def fit(self, X, y):
        Counted.fits += 1
        if self.odd == "fails":
            raise ValueError("as asked")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def score(self, X, y):
        value = {None: self.quality / 3 + len(X) / 7, "nan": np.nan, "inf": np.inf, "-inf": -np.inf}
        return value[self.odd]


@pytest.fixture(autouse=True)
def no_fits(monkeypatch):
    monkeypatch.setattr(Counted, "fits", 0)


def columns(search):
    return {k: list(map(str, v)) for k, v in search.cv_results_.items() if "time" not in k}


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def search(path, **options):
    options = {"cv": 2, "min_resources": 20, "random_state": 0, "refit": False, **options}
    space = options.pop("space", {"quality": list(np.linspace(0, 1, 7))})
    return HyperbandSearchCV(Counted(), space, journal=path, **options)


@pytest.mark.slow
def test_every_byte(tmp_path):
    """Cut anywhere and resumed: the same results, and nothing that was whole runs again."""
    whole = tmp_path / "whole"
    options = {"space": {"quality": [0.1, 0.7, 0.4]}, "folds": "all"}
    expected = columns(search(whole, **options).fit(X, y))
    content, path = whole.read_bytes(), tmp_path / "cut"
    n_evaluations = content.count(b"\n") - 1
    assert n_evaluations == Counted.fits
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        Counted.fits = 0
        assert columns(search(path, **options).fit(X, y)) == expected
        # A line that lacks nothing but its end is whole.
        done = max(0, content[:size].count(b"\n") - 1 + (content[size : size + 1] == b"\n"))
        assert Counted.fits == n_evaluations - (done if b"\n" in content[:size] else 0)
        assert len(lines(path)) == n_evaluations + 1


def test_a_finished_search_runs_nothing(tmp_path):
    """Run again it reads all from the journal, for every n_jobs, with a seed of its own or none."""
    path = tmp_path / "journal"
    first = search(path, random_state=None, cv=StratifiedKFold(2, shuffle=True)).fit(X, y)
    before, fits = path.read_bytes(), Counted.fits
    assert fits == len(lines(path)) - 1
    again = search(path, random_state=None, cv=StratifiedKFold(2, shuffle=True)).fit(X, y)
    assert columns(again) == columns(first)
    assert Counted.fits == fits
    assert path.read_bytes() == before


def test_odd_scores_come_back_exactly(tmp_path):
    """NaN, infinities, failures and all the digits of a float go through JSON."""
    path, space = tmp_path / "journal", {"odd": [None, "nan", "inf", "-inf", "fails"]}

    def run():
        return search(path, space=space, folds="all", min_resources=60, return_train_score=True)

    with pytest.warns(Warning, match="fits failed|non-finite"):
        first = columns(run().fit(X, y))
    fits = Counted.fits
    with pytest.warns(Warning, match="fits failed|non-finite"):
        assert columns(run().fit(X, y)) == first
    assert Counted.fits == fits
    assert {"nan", "inf", "-inf"} <= set(first["split0_test_score"])


def test_a_person_can_read_it(tmp_path):
    """Parameters are named as the user wrote them, and there is no pickle in it."""
    path = tmp_path / "journal"
    search(path, space={"quality": uniform(0, 1)}, n_candidates=3).fit(X, y)
    first, *rest = lines(path)
    assert first["search"]["space"] == "{'quality': uniform([0, 1], {})}"
    assert first["search"]["estimator"].endswith(
        "Counted({'n_steps': 9, 'odd': None, 'quality': 0.5})"
    )
    assert all(entry["params"].startswith("{'quality': 0.") for entry in rest)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"X": X + 1}, ["data"]),
        ({"y": 1 - y}, ["data"]),
        ({"estimator": Counted(quality=0.1)}, ["estimator"]),
        ({"param_distributions": {"quality": [0.5, 0.1]}}, ["space", "n_candidates"]),
        ({"scoring": "accuracy"}, ["scoring"]),
        ({"cv": KFold(3)}, ["splits"]),
        ({"random_state": 1}, ["seed"]),
        ({"factor": 2}, ["factor"]),
        ({"resource": "n_steps", "max_resources": 60}, ["resource"]),
        ({"return_train_score": True, "error_score": 0.0}, ["error_score", "return_train_score"]),
        ({"max_resources": 40}, ["max_resources"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_another_search_is_refused(tmp_path, change, named):
    """The error names all that differs, nothing is fitted, and nothing changes on disk."""
    path = tmp_path / "journal"
    search(path).fit(X, y)
    before, fits = path.read_bytes(), Counted.fits
    data = change.pop("X", X), change.pop("y", y)
    with pytest.raises(ValueError, match="is the journal of another search") as error:
        search(path).set_params(**change).fit(*data)
    found = [line.split(":")[0].strip() for line in str(error.value).splitlines()[1:]]
    assert found == named
    assert path.read_bytes() == before
    assert Counted.fits == fits


def test_fit_parameters_are_data(tmp_path):
    """Other weights are another search."""
    path = tmp_path / "journal"
    one = HyperbandSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, cv=2, journal=path)
    one.fit(X, y, sample_weight=np.ones(60))
    with pytest.raises(ValueError, match="data"):
        one.fit(X, y, sample_weight=np.full(60, 2.0))


def test_extending(tmp_path):
    """More candidates, then a larger maximum: what was scored is not scored again."""
    path, space = tmp_path / "journal", {"quality": uniform(0, 1)}
    options = {"space": space, "resource": "n_steps", "min_resources": 1, "folds": "all"}
    SuccessiveHalvingSearchCV(Counted(), **{**arguments(path, **options), "n_candidates": 9}).fit(
        X, y
    )
    small = Counted.fits
    assert small == 2 * (9 + 3 + 1)
    larger = SuccessiveHalvingSearchCV(
        Counted(), **{**arguments(path, **options), "n_candidates": 12}
    ).fit(X, y)
    again = Counted.fits - small
    assert again <= 2 * (3 + 4 + 1)
    alone = SuccessiveHalvingSearchCV(
        Counted(), **{**arguments(None, **options), "n_candidates": 12}
    ).fit(X, y)
    assert columns(larger) == columns(alone)
    before = Counted.fits
    SuccessiveHalvingSearchCV(
        Counted(), **{**arguments(path, **options), "n_candidates": 27, "max_resources": 27}
    ).fit(X, y)
    assert Counted.fits - before < 2 * (27 + 9 + 3 + 1)


def arguments(path, space, **options):
    return {
        "param_distributions": space,
        "journal": path,
        "cv": 2,
        "random_state": 0,
        "refit": False,
        **options,
    }


def test_two_processes(tmp_path):
    """The second gets a clear error; when the first is gone, however it went, the file is free."""
    path = tmp_path / "journal"
    search(path).fit(X, y)
    hold = (
        "import sys, time; from skhalving.journal import Journal; "
        "j = Journal(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="another process is using the journal"):
            search(path).fit(X, y)
        process.kill()
    search(path).fit(X, y)


def test_wrong_paths_and_files(tmp_path):
    """A folder, another file, a newer format, no such folder, damage: one clear error each."""
    with pytest.raises(IsADirectoryError):
        search(tmp_path).fit(X, y)
    with pytest.raises(FileNotFoundError):
        search(tmp_path / "no" / "journal").fit(X, y)
    other = tmp_path / "data.csv"
    other.write_text("precious\n")
    with pytest.raises(ValueError, match=r"data\.csv is not a journal; nothing was changed"):
        search(other).fit(X, y)
    assert other.read_text() == "precious\n"
    newer = tmp_path / "newer"
    newer.write_text('{"skhalving journal": 99}\n')
    with pytest.raises(ValueError, match="format 99, and this version of skhalving reads up to 1"):
        search(newer).fit(X, y)
    damaged = tmp_path / "damaged"
    search(damaged).fit(X, y)
    parts = damaged.read_bytes().splitlines(keepends=True)
    damaged.write_bytes(parts[0] + b"{]\n" + b"".join(parts[1:]))
    with pytest.raises(ValueError, match=r"line 2 of the journal .* cannot be read"):
        search(damaged).fit(X, y)
    assert Counted.fits == len(parts) - 1


def test_no_permission(tmp_path, monkeypatch):
    """The system's own error, before any fit."""

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "journal")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match="journal"):
        search(tmp_path / "journal").fit(X, y)
    assert Counted.fits == 0


def test_a_full_disk(tmp_path, monkeypatch):
    """A line that does not fit raises; what is torn is written over by the next run."""
    path, write, left = tmp_path / "journal", os.write, [2500]
    expected = columns(search(None).fit(X, y))

    def little(file, data):
        left[0] -= len(data)
        return write(file, data if left[0] > 0 else data[:7])

    with monkeypatch.context() as patch:
        patch.setattr("skhalving.journal.os.write", little)
        with pytest.raises(OSError, match="the disk is full") as error:
            search(path).fit(X, y)
    assert error.value.errno == errno.ENOSPC
    assert columns(search(path).fit(X, y)) == expected


def test_a_line_is_on_the_disk_before_the_next_evaluation(tmp_path, monkeypatch):
    """One write and one fsync a line; each line is whole when the next evaluation starts."""
    path, sizes = tmp_path / "journal", []
    fit = Counted.fit

    def looking(self, X, y):
        sizes.append(len(lines(path)))
        return fit(self, X, y)

    monkeypatch.setattr(Counted, "fit", looking)
    search(path).fit(X, y)
    assert sizes == list(range(1, len(sizes) + 1))


def test_memory_stays_flat(tmp_path):
    """Entries are streamed: reading a large journal holds one of them at a time."""
    import tracemalloc

    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(0, {})
    journal.close()
    with open(path, "a") as file:
        file.writelines(json.dumps({"i": i, "text": "x" * 1000}) + "\n" for i in range(20_000))
    journal = Journal(path)
    tracemalloc.start()
    assert sum(1 for _ in journal.entries()) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    journal.close()


def module_function(x):
    return x


def test_stable_texts():
    """Equal values read the same in every process; different ones do not."""
    values = [
        None, 1, 1.0, True, "1", [1], {"a": 1}, np.arange(3), np.arange(4),
        StandardScaler(), StandardScaler(with_mean=False), LogisticRegression,
        loguniform(1e-3, 1), loguniform(1e-2, 1), module_function, lambda x: x + 1,
        lambda x: x + x, partial(module_function, 3), partial(module_function, 4),
    ]  # fmt: skip
    texts = [stable(value) for value in values]
    assert len(set(texts)) == len(texts)
    assert stable(np.float64(0.1)) == stable(0.1)
    assert stable((1, 2)) == stable([1, 2])
    assert not any(" at 0x" in text for text in texts)


def test_candidates_that_read_the_same(tmp_path):
    """They cannot be told apart on disk, which is said before any fit."""

    class Opaque:
        def __init__(self):
            self.function = lambda: None

    with pytest.raises(ValueError, match="cannot tell some of the candidates apart"):
        search(tmp_path / "journal", space={"quality": [Opaque(), Opaque()]}).fit(X, y)
    assert Counted.fits == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_and_started_again(tmp_path):
    """A short form of ``benchmarks/kill.py``: the result equals the uninterrupted one."""
    kill = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "kill.py"))
    expected, seconds = kill["uninterrupted"](tmp_path)
    rng = random.Random(1)
    result, kills = kill["killed_and_resumed"](tmp_path / "journal", seconds, 4, rng)
    assert kills >= 1
    assert result == expected
