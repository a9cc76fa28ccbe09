"""Nothing is lost: the journal at every byte, extended searches, wrong files, real kills."""

import errno
import json
import math
import os
import random
import runpy
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing, suppress
from decimal import Decimal
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV
from skhalving.journal import LONGEST, MAGIC, Journal, Record, read
from skhalving.task import Outcome

# -- the file alone ---------------------------------------------------------------------------

FINGERPRINT = {"data": "1a2b", "factor": 3, "n_candidates": 9, "max_resources": 81}
PLAN = {"levels": [[27, 1]], "brackets": [[3]], "folds": [2], "candidates": ["0", "1", "2"]}


def a_record(number=0, score=0.5, **more):
    outcome = Outcome({"score": score}, 0.25, 0.125)
    params = {"C": 37.66, "kernel": "rbf"}
    return Record(f"{number}", params, 27, 2, 0.5, outcome)._replace(**more)


def write(path, records, seed=7):
    with closing(Journal(path)) as journal:
        journal.begin(seed, FINGERPRINT)
        journal.plan(PLAN)
        for record in records:
            journal.write(record)
    return Path(path).read_bytes()


def known(path, seed=7):
    """What the next run of the same search knows."""
    with closing(Journal(path)) as journal:
        journal.begin(seed, FINGERPRINT)
        return list(journal.known())


def sealed(text):
    """A line whose checksum is right, whatever it says."""
    body = text.encode()[:-1]
    return body + b', "crc32": "%08x"}\n' % crc32(body)


counts = st.integers(0, 2**60)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
scores = st.dictionaries(st.text(), st.floats())
outcomes = st.builds(
    Outcome,
    scores=scores,
    fit_time=st.floats(),
    score_time=st.floats(),
    train_scores=st.none() | scores,
    error=st.none() | st.text(),
    continued=st.booleans(),
    n_iter=st.none() | st.floats(),
    stopped=st.booleans(),
)
records_ = st.builds(
    Record,
    text=st.text(),
    params=st.dictionaries(st.text(), plain | st.lists(plain)),
    amount=counts,
    fold=counts,
    score=st.floats(),
    outcome=outcomes,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(records_), st.integers())
def test_what_is_written_is_read(tmp_path_factory, records, seed):
    """Any records, in order, to the last digit; NaN, infinities and the seed among them."""
    path = tmp_path_factory.mktemp("journals") / "journal"
    write(path, records, seed)
    header, found = read(path)
    assert header == (seed, FINGERPRINT, PLAN)
    # NaN is not equal to itself, but reads the same.
    assert repr(list(found)) == repr(records) == repr(known(path, seed))


def test_cut_anywhere(tmp_path, monkeypatch):
    """What is known is what was whole, nothing is cut before its search goes on, and written again
    it is the same file."""
    monkeypatch.setattr(os, "fsync", lambda file: None)  # 1,000 times takes long
    records = [a_record(i) for i in range(3)]
    path = tmp_path / "cut"
    whole = write(path, records)
    for size in reversed(range(len(whole) + 1)):
        cut = whole[:size]
        path.write_bytes(cut) if size < len(MAGIC) else os.truncate(path, size)
        if 0 < size < len(MAGIC):
            # So few bytes may be anybody's.
            with pytest.raises(ValueError, match="is not a journal of format 3; nothing"):
                Journal(path)
            assert path.read_bytes() == cut
            continue
        n_whole = max(0, cut.count(b"\n") - 2)
        journal = Journal(path)
        assert path.read_bytes() == cut
        assert (journal.header is None) == (b"\n" not in cut)
        journal.begin(7, FINGERPRINT)
        assert list(journal.known()) == records[:n_whole]
        if b"\n" in cut:
            assert path.read_bytes() == cut[: cut.rindex(b"\n") + 1]
        journal.plan(PLAN)
        for record in records[n_whole:]:
            journal.write(record)
        journal.close()
        assert path.read_bytes() == whole


def test_any_flipped_bit(tmp_path):
    """It is an error that names the file and the line, and the file stays as it is."""
    records = [a_record(0), a_record(1, -0.0)]
    path = tmp_path / "flipped"
    whole = write(path, records)
    with open(path, "r+b", buffering=0) as file:
        for place, bit in product(range(len(whole)), range(8)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            os.pwrite(file.fileno(), flipped[place : place + 1], place)
            if place + 1 == len(whole):
                # A last line that does not end was interrupted: its evaluation runs again.
                assert known(path) == records[:1]
                assert path.read_bytes() == whole[: whole[:-1].rindex(b"\n") + 1]
                path.write_bytes(whole)
                continue
            with pytest.raises(ValueError, match=r"flipped (is|cannot)"):
                known(path)
            assert path.read_bytes() == flipped
            os.pwrite(file.fileno(), whole[place : place + 1], place)


def test_damage_before_a_torn_end(tmp_path):
    """It is an error, and not even the torn end is cut then."""
    path = tmp_path / "both"
    whole = write(path, [a_record(0), a_record(1)])
    damaged = whole[:-200].replace(b'"text": "0"', b'"text": "3"')
    assert damaged.count(b"\n") == 3
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"line 3 .* checksum does not match"):
        known(path)
    assert path.read_bytes() == damaged


DAMAGE = {
    "an empty object": "{}",
    "null": "null",
    "a list": "[]",
    "a string": '""',
    "no JSON": "{]",
    "NUL bytes": "\0" * 40,
    "nothing": "",
    "nested": "[" * 3000 + "]" * 3000,
    "a nested object": '{"a":' * 3000 + "1" + "}" * 3000,
    "a score that is text": {"outcome": {"scores": {"score": "0.5"}}},
    "a score without bounds": {"outcome": {"scores": {"score": 10**400}}},
    "a score that is a list": {"outcome": {"scores": {"score": [0.5]}}},
    "no scores": {"outcome": {"scores": None}},
    "scores in a list": {"outcome": {"scores": [0.5]}},
    "a train score that is text": {"outcome": {"train_scores": {"score": "0.5"}}},
    "no time": {"outcome": {"fit_time": None}},
    "an odd error": {"outcome": {"error": 5}},
    "an odd flag": {"outcome": {"ended": 1}},
    "a fold below 0": {"fold": -1},
    "a fold that is true": {"fold": True},
    "half an amount": {"amount": 1.5},
    "a text that is a number": {"text": 1},
    "params that are text": {"params": "{}"},
    "one key more": {"more": 1},
    "one key of the outcome more": {"outcome": {"more": 1}},
    "no outcome": {"outcome": None},
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("seal", [sealed, lambda text: text.encode() + b"\n"], ids=["right", "no"])
def test_a_line_that_is_none(tmp_path, name, seal):
    """An error with path, line and what to do, even if the checksum is right."""
    path = tmp_path / "journal"
    write(path, [a_record(0), a_record(1), a_record(2)])
    lines = path.read_bytes().splitlines(keepends=True)
    bad = DAMAGE[name]
    if isinstance(bad, dict):
        entry = json.loads(lines[2])
        del entry["crc32"]
        inner = bad.get("outcome")
        if isinstance(inner, dict):
            bad = {"outcome": {**entry["outcome"], **inner}}
        bad = json.dumps({**entry, **bad})
    lines[2] = seal(bad)
    path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"line 3 of the journal .*journal cannot be read: .*take"):
        known(path)
    assert path.read_bytes() == b"".join(lines)


def test_a_header_that_is_none(tmp_path):
    """A second header, one of other fields, one before which something stands; the same of a
    plan."""
    path = tmp_path / "journal"
    header, plan, record = write(path, [a_record()]).splitlines(keepends=True)
    for place, content in [
        (2, header + header + record),
        (2, header + sealed('{"plan": {}}') + record),
        (3, header + plan + sealed('{"plan": [1]}')),
        (1, sealed('{"skhalving journal": 3}') + record),
        (1, sealed('{"skhalving journal": 3, "seed": "7", "search": {}}') + record),
        (1, MAGIC + b"\n" + record),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"line {place} of the journal"):
            known(path)
        assert path.read_bytes() == content
    for content in [
        b"{",
        b"{}\n",
        b"precious\n",
        b"\0" * 50,
        record + header,
        plan + header,
        b"\xef\xbb" + header,
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="journal is not a journal of format 3; nothing"):
            known(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("version", [1, 2, 99])
def test_another_format(tmp_path, version):
    """Only its own is read; the error says what to do about another one."""
    path = tmp_path / "journal"
    content = b'{"skhalving journal": %d, "seed": 0}\n' % version
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not a journal of format 3; .* the version of skhalving"):
        Journal(path)
    assert path.read_bytes() == content


def test_nothing_is_made_before_it_begins(tmp_path):
    """Looking at a new journal or an empty file leaves everything as it is."""
    empty = tmp_path / "empty"
    empty.touch()
    for path in [tmp_path / "none", empty]:
        journal = Journal(path)
        assert journal.header is None
        journal.close()
    assert os.listdir(tmp_path) == ["empty"]
    assert empty.read_bytes() == b""
    assert list(read(empty)[1]) == []


@pytest.mark.parametrize(
    "score", [1, 10**400, True, Decimal(1), np.longdouble(1), "1", None, [0.5]]
)
def test_a_score_that_is_no_float(tmp_path, score):
    """It is refused with a clear error before anything is written."""
    journal = Journal(tmp_path / "journal")
    journal.begin(7, FINGERPRINT)
    with pytest.raises(ValueError, match=r"scores is .*, which no record may hold"):
        journal.write(a_record(score=score))
    journal.write(a_record(score=np.float64(0.1)))
    assert [record.outcome.scores for record in journal.known()] == [{"score": 0.1}]
    journal.close()


def test_parameters_of_any_kind(tmp_path):
    """JSON's values where it has them, the ``repr`` of others; none of them is an error."""
    deep = []
    for _ in range(3000):
        deep = [deep]
    params = {
        "C": np.float32(0.5), "n": np.int64(3), "flag": np.bool_(True), "name": "x", "none": None,
        "pair": (1, 2.5), "estimator": LogisticRegression(C=2), "long": np.longdouble(1),
        "array": np.arange(2), "keys": {(1, 2): 3}, "deep": deep, "nan": math.nan, "f": len,
    }  # fmt: skip
    path = tmp_path / "journal"
    write(path, [a_record(params=params)])
    (found,) = (record.params for record in read(path)[1])
    assert list(found) == list(params)
    exact = {"C": 0.5, "n": 3, "flag": True, "name": "x", "none": None, "pair": [1, 2.5]}
    assert {name: found[name] for name in exact} == exact
    assert found["estimator"] == "LogisticRegression(C=2)"
    assert found["array"] == "array([0, 1])"
    assert found["keys"] == "{(1, 2): 3}"
    assert math.isnan(found["nan"])


def test_a_search_that_goes_further_has_a_plan_of_its_own(tmp_path):
    """It is written where it differs from the last one, which counts; records of before stay."""
    path = tmp_path / "journal"
    whole, other = write(path, [a_record(0)]), {**PLAN, "brackets": [[2]]}
    assert write(path, []) == whole
    with closing(Journal(path)) as journal:
        journal.begin(7, FINGERPRINT)
        journal.plan(other)
        journal.write(a_record(1))
    header, records = read(path)
    assert (header.plan, list(records)) == (other, [a_record(0), a_record(1)])
    assert path.read_bytes().startswith(whole)
    assert write(path, []).count(b"\n") == 6


def test_what_was_ended_is_tried_again(tmp_path):
    """A resumed search does not know it, a reader does; and the later of two lines comes later."""
    ended = Outcome({}, error="it ran over its time limit", ended=True)
    path = tmp_path / "journal"
    write(path, [a_record(0), a_record(1, outcome=ended), a_record(0, 0.75)])
    assert [(r.text, r.outcome.scores["score"]) for r in known(path)] == [("0", 0.5), ("0", 0.75)]
    assert [record.outcome.ended for record in read(path)[1]] == [False, True, False]


def test_a_reader_beside_the_writer(tmp_path):
    """It sees every whole line at once, leaves out one that is being written, and locks nothing."""
    path = tmp_path / "journal"
    with pytest.raises(FileNotFoundError):
        read(path)
    journal = Journal(path)
    journal.begin(7, FINGERPRINT)
    for i in range(3):
        journal.write(a_record(i))
        header, records = read(path)
        assert header.seed == 7
        assert list(records) == [a_record(j) for j in range(i + 1)]
    with open(path, "ab") as file:
        file.write(b'{"text": "3')
    assert len(list(read(path)[1])) == 3
    journal.close()


def test_one_process_at_a_time_and_the_same_one_again(tmp_path):
    """Also a second search of the same process; whoever closes it frees it, also twice."""
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(7, FINGERPRINT)
    with pytest.raises(BlockingIOError, match="another process is using the journal") as error:
        known(path)
    assert error.value.filename == str(path)
    journal.close()
    journal.close()
    assert known(path) == []
    assert os.listdir(tmp_path) == ["journal"]


def test_two_that_begin_at_once(tmp_path):
    """Both found no file; the second to begin is told of the first."""
    path = tmp_path / "journal"
    first, second = Journal(path), Journal(path)
    first.begin(7, FINGERPRINT)
    with pytest.raises(BlockingIOError):
        second.begin(7, FINGERPRINT)
    first.write(a_record())
    first.close()
    second.begin(7, FINGERPRINT)
    assert list(second.known()) == [a_record()]
    second.close()


def no_flock(code):
    def flock(file, how):
        raise OSError(code, os.strerror(code))

    return SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4)


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_where_there_are_no_locks(tmp_path, monkeypatch, code):
    """A network file system without locks: a warning says what to take care of, and it works."""
    monkeypatch.setattr("skhalving.journal.fcntl", no_flock(getattr(errno, code)))
    path = tmp_path / "journal"
    with pytest.warns(UserWarning, match="journal has no locks; see to it that no other process"):
        write(path, [a_record()])
    with pytest.warns(UserWarning, match="no locks"):
        assert known(path) == [a_record()]
    assert os.listdir(tmp_path) == ["journal"]


def test_locks_on_windows(tmp_path, monkeypatch):
    """Its own kind of lock, on a byte that nobody reads, refuses the second writer alone."""
    held = set()

    def locking(file, how, n_bytes):
        assert os.lseek(file, 0, os.SEEK_CUR) > os.fstat(file).st_size
        if held:
            raise PermissionError(errno.EACCES, "Permission denied")
        held.add(file)

    fake = SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setattr("skhalving.journal.fcntl", None)
    monkeypatch.setattr("skhalving.journal.msvcrt", fake, raising=False)
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(7, FINGERPRINT)
    journal.write(a_record())
    with pytest.raises(BlockingIOError, match="another process is using the journal"):
        known(path)
    assert list(read(path)[1]) == [a_record()]
    journal.close()


def test_other_errors_of_locks(tmp_path, monkeypatch):
    """They are not taken for another process; the file is closed."""
    path = tmp_path / "journal"
    write(path, [])
    monkeypatch.setattr("skhalving.journal.fcntl", no_flock(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        known(path)
    assert os.listdir(tmp_path) == ["journal"]


def test_every_line_is_synced(tmp_path, monkeypatch):
    """After each write, the first line's as well, the whole file is on the disk."""
    path, sizes, sync = tmp_path / "journal", [], os.fsync

    def remember(file):
        sizes.append(os.fstat(file).st_size)
        sync(file)

    monkeypatch.setattr(os, "fsync", remember)
    whole = write(path, [a_record(i) for i in range(5)])
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    assert sizes == ends
    assert len(ends) == 7


def test_a_line_that_does_not_fit(tmp_path, monkeypatch):
    """It is an error; once there is room, the next line takes the place of what is torn."""
    path, real_write = tmp_path / "journal", os.write
    with closing(Journal(path)) as journal:
        journal.begin(7, FINGERPRINT)
        journal.write(a_record(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: real_write(file, data[:30]))
            with pytest.raises(OSError, match="the disk is full") as error:
                journal.write(a_record(1))
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
        assert list(read(path)[1]) == [a_record(0)]
        journal.write(a_record(2))
        assert list(journal.known()) == [a_record(0), a_record(2)]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_goes_away(tmp_path, replaced):
    """The next write says so, and whatever stands there now is left alone."""
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(7, FINGERPRINT)
    os.unlink(path)
    if replaced:
        path.write_text("new")
    with pytest.raises(OSError, match="journal was removed or replaced") as error:
        journal.write(a_record())
    assert error.value.filename == str(path)
    journal.close()
    assert path.exists() == replaced
    assert not replaced or path.read_text() == "new"


def test_a_folder_of_its_own(tmp_path, monkeypatch):
    """A relative path stays the same file when the process goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    journal = Journal(b"journal")
    journal.begin(7, FINGERPRINT)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir("sub")
    journal.write(a_record())
    journal.close()
    assert known(tmp_path / "journal") == [a_record()]


LOOK = """
import sys
from skhalving.journal import Journal, read

for path in sys.argv[1:]:
    for look in (Journal, lambda path: list(read(path)[1])):
        try:
            look(path)
        except ValueError as error:
            print(path in str(error), type(error).__name__)
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
def test_only_a_regular_file(tmp_path):
    """A pipe, a device or a folder is refused at once, whether or not somebody writes to it."""
    os.mkfifo(pipe := tmp_path / "pipe")
    paths = [str(pipe), str(tmp_path), "/dev/zero", "/dev/full", "/dev/null"]
    run = subprocess.run(
        [sys.executable, "-c", LOOK, *paths],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    lines = run.stdout.splitlines()
    assert lines == ["True ValueError"] * 2 * len(paths)


def test_a_file_without_end(tmp_path):
    """No file is read whole: neither a foreign one, nor one that starts like a journal."""
    path = tmp_path / "large"
    tracemalloc.start()
    for start, message in [(b"", "is not a journal"), (MAGIC, "line 1 of the journal .* longer")]:
        path.write_bytes(start)
        os.truncate(path, 1 << 35)
        with pytest.raises(ValueError, match=message):
            Journal(path)
    assert tracemalloc.get_traced_memory()[1] < 3 * LONGEST
    tracemalloc.stop()
    os.unlink(path)
    with pytest.raises(ValueError, match="bytes are too many for a line"):
        write(path, [a_record(text="x" * LONGEST)])
    assert known(path) == []


def test_memory_stays_flat(tmp_path):
    """Records are streamed: reading a large journal holds one of them at a time."""
    path = tmp_path / "journal"
    line = write(path, [a_record(text="x" * 1000)]).splitlines(keepends=True)[2]
    with open(path, "ab") as file:
        file.writelines(line for _ in range(5_000))
    journal = Journal(path)
    tracemalloc.start()
    assert sum(1 for _ in journal.known()) == 5_001
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    journal.close()


# -- searches ---------------------------------------------------------------------------------

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
    return {k: list(map(str, v)) for k, v in search.all_cv_results_.items() if "time" not in k}


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# Few candidates need not fill the ladder.
pytestmark = pytest.mark.filterwarnings("ignore:n_candidates=")


def search(path, **options):
    options = {"cv": 2, "min_resources": 20, "random_state": 0, "refit": False, **options}
    options = {"schedule": "published", **options}
    space = options.pop("space", {"quality": list(np.linspace(0, 1, 7))})
    return HyperbandSearchCV(Counted(), space, journal=path, **options)


@pytest.mark.slow
def test_cut_and_resumed(tmp_path):
    """At, before and after the end of every line, and within: the same results, and nothing that
    was whole runs again."""
    whole = tmp_path / "whole"
    options = {"space": {"quality": [0.1, 0.7, 0.4]}, "folds": "all"}
    expected = columns(search(whole, **options).fit(X, y))
    content, path = whole.read_bytes(), tmp_path / "cut"
    n_evaluations = content.count(b"\n") - 2
    assert n_evaluations == Counted.fits
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for size in sorted({0, len(MAGIC), *(end + step for end in ends for step in (-99, -1, 0))}):
        path.write_bytes(content[:size])
        Counted.fits = 0
        assert columns(search(path, **options).fit(X, y)) == expected
        assert Counted.fits == n_evaluations - max(0, content[:size].count(b"\n") - 2)
        assert len(lines(path)) == n_evaluations + 2


def test_a_finished_search_runs_nothing(tmp_path):
    """Run again it reads all from the journal, for every n_jobs, with a seed of its own or none."""
    path = tmp_path / "journal"
    first = search(path, random_state=None, cv=StratifiedKFold(2, shuffle=True)).fit(X, y)
    before, fits = path.read_bytes(), Counted.fits
    assert fits == len(lines(path)) - 2
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
    search(path, space={"quality": uniform(0, 1)}, n_candidates=7).fit(X, y)
    first, second, *rest = lines(path)
    assert second["plan"]["candidates"][0].startswith("{'quality': 0.")
    assert first["search"]["space"] == "{'quality': uniform([0, 1], {})}"
    assert first["search"]["estimator"].startswith("Counted ")
    assert first["search"]["estimator"].endswith("({'n_steps': 9, 'odd': None, 'quality': 0.5})")
    assert all(0 < entry["params"]["quality"] < 1 for entry in rest)
    assert all(entry["text"].startswith("{'quality': 0.") for entry in rest)


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
    options["schedule"] = "published"
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
        "j = Journal(sys.argv[1]); j.begin(j.header.seed, j.header.search); "
        "print('held', flush=True); time.sleep(60)"
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
    """A folder, another file, no such folder, damage: one clear error each, before any fit."""
    with pytest.raises(ValueError, match="a journal is a regular file"):
        search(tmp_path).fit(X, y)
    with pytest.raises(FileNotFoundError):
        search(tmp_path / "no" / "journal").fit(X, y)
    other = tmp_path / "data.csv"
    other.write_text("precious\n")
    with pytest.raises(ValueError, match=r"data\.csv is not a journal of format 3; nothing"):
        search(other).fit(X, y)
    assert other.read_text() == "precious\n"
    damaged = tmp_path / "damaged"
    search(damaged).fit(X, y)
    parts = damaged.read_bytes().splitlines(keepends=True)
    for number in (1, 2, 3):
        content = b"".join(
            [*parts[: number - 1], b"{" * 22 + parts[number - 1][22:], *parts[number:]]
        )
        damaged.write_bytes(content)
        with pytest.raises(ValueError, match=r"is not a journal|line [23] of the journal"):
            search(damaged).fit(X, y)
        assert damaged.read_bytes() == content
    assert Counted.fits == len(parts) - 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cv": 100}, ValueError),
        ({"scoring": "no such"}, ValueError),
        ({"space": {"quality": []}}, ValueError),
    ],
)
def test_nothing_is_made_before_every_check(tmp_path, options, error):
    """A search that cannot start leaves no file."""
    with pytest.raises(error):
        search(tmp_path / "journal", **options).fit(X, y)
    assert os.listdir(tmp_path) == []


def test_no_permission(tmp_path, monkeypatch):
    """The system's own error, before any fit."""
    path = tmp_path / "journal"
    path.touch()

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "journal")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match="journal"):
        search(path).fit(X, y)
    assert Counted.fits == 0


def test_a_full_disk(tmp_path, monkeypatch):
    """A line that does not fit raises; what is torn is written over by the next run."""
    path, real_write, left = tmp_path / "journal", os.write, [2500]
    expected = columns(search(None).fit(X, y))

    def little(file, data):
        left[0] -= len(data)
        return real_write(file, data if left[0] > 0 else data[:7])

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
    assert sizes == list(range(2, len(sizes) + 2))


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
    path = tmp_path / "journal"
    with kill["start"](path) as process:
        while not path.exists() or path.read_bytes().count(b"\n") < 20:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()  # the script alone, as an out-of-memory killer would
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # loky's workers may outlive it
    with kill["start"](path) as process:
        (result,) = kill["results_of"](process)
    assert result == kill["search"](None, n_jobs=1)


def test_damaged_and_started_again(tmp_path):
    """The same for flipped bits and cuts: equal or a clear error, never different."""
    kill = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "kill.py"))
    rng = random.Random(2)
    flips = list(kill["damaged"](tmp_path, [kill["flip"](rng)] * 10))
    assert set(flips) <= {"equal", "clear error"}
    (tmp_path / "damaged.jsonl").unlink()
    assert set(kill["damaged"](tmp_path, [kill["cut"](rng)] * 5)) <= {"equal", "clear error"}
