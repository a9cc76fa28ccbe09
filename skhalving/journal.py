"""The journal: what a search knows, on disk, one JSON object a line.

The first line, the *header*, says which search it is: a fingerprint of everything that its scores
depend on, and the frozen seed. The second is the *plan*: the schedule and the candidates. A search
that goes further than the one before adds a plan of its own; the last one counts. Each of the other
lines is one finished evaluation, a *record*. Each line ends with a checksum of what stands before
it. A file that is no sound journal is refused, and not changed. One thing only is ever cut off, by
the search that goes on with the journal: a last line without its newline, whose writing was
interrupted. There is no pickle in a journal.

The journal knows nothing of estimators. The keys of a line are known in this file alone; another
program, in this process or not, may ``read`` a journal at any time.
"""

import errno
import json
import os
import reprlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from skhalving.task import Outcome

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None  # type: ignore[assignment]

FORMAT = 3
MAGIC = b'{"skhalving journal": %d, ' % FORMAT
Fields = Mapping[str, Any]  # for each key a test of its value, or the Fields of an object there
LONGEST = 1 << 26  # bytes of a line, so that no file is read into memory whole


class Header(NamedTuple):
    """Which search a journal belongs to, and what that search is going to do.

    Attributes
    ----------
    seed : int
        The frozen seed.

    search : mapping of str to object
        All that the scores of the search depend on.

    plan : mapping of str to list, or None
        ``levels``, each with its amount and number of folds; ``brackets``, the numbers of
        candidates on their rungs; ``folds`` in the order in which levels use them; ``candidates``,
        the text of each. None if the search was interrupted before it wrote a plan.
    """

    seed: int
    search: Mapping[str, Any]
    plan: Mapping[str, list[Any]] | None = None


class Record(NamedTuple):
    """One finished evaluation.

    Attributes
    ----------
    text : str
        The configuration for comparison: a text that is the same in every process, as in the plan.

    params : mapping of str to object
        The configuration for readers: values that JSON can hold, and the ``repr`` of all others.

    amount, fold : int
        The amount of the resource, and the number of the fold.

    score : float
        The score that counts in the race; higher is better.

    outcome : Outcome
        What the evaluation returned. Its ``fault`` is not recorded.
    """

    text: str
    params: Mapping[str, Any]
    amount: int
    fold: int
    score: float
    outcome: Outcome


class Journal:
    """The journal of one search, to go on with it. ``begin`` makes the file if there is none, and
    locks it.

    Parameters
    ----------
    path : str or path-like
        The file. It need not exist yet.

    Attributes
    ----------
    path : str
        The absolute path.

    header : Header or None
        None if the journal is new.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not a journal of this format, or its first line is damaged. The file is as it was.
    """

    def __init__(self, path: Any) -> None:
        self.path = os.path.abspath(os.fsdecode(path))
        self.header = _header(self.path) if os.path.exists(self.path) else None
        self._file: int | None = None

    def begin(self, seed: int, fingerprint: Mapping[str, Any]) -> None:
        """Check that the journal belongs to this search; a new one gets this search's first line.

        Parameters
        ----------
        seed : int
            The frozen seed.

        fingerprint : mapping of str to object
            All that the scores depend on, in values that JSON can hold.

        Raises
        ------
        OSError
            If it cannot be written.
        BlockingIOError
            If another process or thread is using the journal.
        ValueError
            If the journal is that of another search; the message names every field that differs.
            The file is as it was.
        """
        search = json.loads(json.dumps(fingerprint, default=_plain))  # as it will be read
        self._file = _open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        _lock(self._file, self.path)
        # Read again, since from now on nobody else writes. A damaged line raises an error here,
        # before anything is cut off below.
        self.header = _header(self.path)
        header = self.header or Header(seed, search)
        then, now = {"seed": header.seed, **header.search}, {"seed": seed, **search}
        different = [
            f"  {name}: {then.get(name)!s:.200} then, {now.get(name)!s:.200} now"
            for name in {**then, **now}
            if not _same(name, then.get(name), now.get(name))
        ]
        if different:
            raise ValueError(
                f"{self.path} is the journal of another search; pass another path, or delete it if "
                "it is not needed. What differs:\n" + "\n".join(different)
            )
        whole = sum(len(line) for _, line in _lines(self.path))
        if whole < os.fstat(self._file).st_size:
            os.ftruncate(self._file, whole)
        if self.header is None:
            self._append(_sealed({"skhalving journal": FORMAT, "seed": seed, "search": search}))
        self.header = header

    def plan(self, plan: Mapping[str, list[Any]]) -> None:
        """Write down what the search is going to do, unless the last plan says the same.

        Parameters
        ----------
        plan : mapping of str to list
            As in :class:`Header`, in values that JSON can hold.
        """
        if self.header is None or plan != self.header.plan:
            self._append(_sealed({"plan": plan}))

    def known(self) -> Iterator[Record]:
        """The records, streamed in the order in which they were written. Where two records are of
        one task, the later one counts.

        Evaluations that a time limit or a dying worker ended are left out: they may succeed when
        run again.

        Raises
        ------
        ValueError
            If a line is damaged; the file is as it was.
        """
        return (record for record in _records(self.path) if not record.outcome.ended)

    def write(self, record: Record) -> None:
        """Record one finished evaluation; on return it is on the disk.

        Raises
        ------
        ValueError
            If a field is not what a record may hold, such as a score that is no float.
        OSError
            If it cannot be written, or the file was removed or replaced since it was opened.
        """
        entry = {
            **record._asdict(),
            "params": {str(name): _readable(value) for name, value in record.params.items()},
            "outcome": {name: getattr(record.outcome, name) for name in _OUTCOME},
        }
        _check(entry, _RECORD)
        self._append(_sealed(entry))

    def _append(self, line: bytes) -> None:
        """One line with one write, safe on the disk on return."""
        assert self._file is not None
        before = os.fstat(self._file)
        if not (os.path.exists(self.path) and os.path.samestat(os.stat(self.path), before)):
            raise FileNotFoundError(
                errno.ENOENT,
                "the journal was removed or replaced while it was open, and what is known since "
                "then cannot be kept; put it back, or pass another path",
                self.path,
            )
        if os.write(self._file, line) < len(line):
            os.ftruncate(self._file, before.st_size)
            raise OSError(errno.ENOSPC, "the disk is full; free some and run again", self.path)
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file, which frees it for others."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read(path: Any) -> tuple[Header | None, Iterator[Record]]:
    """The header and the records of a journal, for any reader.

    It changes nothing and locks nothing, so it may be called while a search writes. A last line
    that is not whole yet is left out.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    header : Header or None
        None if nothing is written yet.

    records : iterator of Record
        Streamed in the order written, also those of evaluations that were ended from outside.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not a journal, or a line of it is damaged.
    """
    path = os.path.abspath(os.fsdecode(path))
    return _header(path), _records(path)


# -- lines ------------------------------------------------------------------------------------


def _header(path: str) -> Header | None:
    said: dict[str, Any] = {}
    for entry in _entries(path):
        if "outcome" not in entry:
            said |= entry
    # None if the file is empty, or if writing its first line was interrupted.
    return Header(said["seed"], said["search"], said.get("plan")) if said else None


def _records(path: str) -> Iterator[Record]:
    for entry in _entries(path):
        if "outcome" in entry:
            yield Record(**{**entry, "outcome": Outcome(**entry["outcome"])})


def _entries(path: str) -> Iterator[dict[str, Any]]:
    """The object on each line, after a check that the line is whole and has the right fields."""
    for number, line in _lines(path):
        is_plan = line.startswith(b'{"plan": ')
        fields = _HEADER if number == 1 else _PLAN if is_plan else _RECORD
        try:
            entry = _opened(line)
            _check(entry, fields)
        except (ValueError, RecursionError) as error:
            raise _damage(path, number, error) from None
        yield entry


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines and their numbers, without a last one that lacks its newline."""
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        if file.read(len(MAGIC)) not in (b"", MAGIC):
            raise ValueError(
                f"{path} is not a journal of format {FORMAT}; nothing was changed, pass another "
                "path, or use the version of skhalving that wrote it"
            )
        file.seek(0)
        for number in count(1):
            line = file.readline(LONGEST)
            if len(line) == LONGEST:
                raise _damage(path, number, f"it is longer than the {LONGEST} bytes that it may be")
            if not line.endswith(b"\n"):
                return
            yield number, line


def _damage(path: str, number: int, why: object) -> ValueError:
    remedy = "put it right from a copy" if number == 1 else "take it out to have it evaluated again"
    return ValueError(
        f"line {number} of the journal {path} cannot be read: {why}. Nothing was changed; "
        f"{remedy}, or pass another path"
    )


def _sealed(entry: Mapping[str, Any]) -> bytes:
    """A line, with its checksum as the last key."""
    body = json.dumps(entry, default=_plain).encode()[:-1]
    line = body + _seal(body)
    if len(line) >= LONGEST:
        raise ValueError(f"{len(line)} bytes are too many for a line; {LONGEST} is the limit")
    return line


def _opened(line: bytes) -> Any:
    body = line[: -len(_seal(b""))]
    if line[len(body) :] != _seal(body):
        raise ValueError("its checksum does not match")
    return json.loads(body + b"}")


def _seal(body: bytes) -> bytes:
    return b', "crc32": "%08x"}\n' % crc32(body)


# -- what a line may hold ---------------------------------------------------------------------


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 0


def _is_scores(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(score, float) for score in value.values())


def _is_a(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


_HEADER: Fields = {
    "skhalving journal": _is_count,
    "seed": _is_a(int),
    "search": _is_a(dict),
}
_PLAN: Fields = {
    "plan": dict.fromkeys(("levels", "brackets", "folds", "candidates"), _is_a(list)),
}
_OUTCOME: Fields = {
    "scores": _is_scores,
    "fit_time": _is_a(float),
    "score_time": _is_a(float),
    "train_scores": lambda value: value is None or _is_scores(value),
    "error": _is_a(str, type(None)),
    "ended": _is_a(bool),
    "continued": _is_a(bool),
    "n_iter": _is_a(float, type(None)),
    "stopped": _is_a(bool),
}
_RECORD: Fields = {
    "text": _is_a(str),
    "params": _is_a(dict),
    "amount": _is_count,
    "fold": _is_count,
    "score": _is_a(float),
    "outcome": _OUTCOME,
}


def _check(entry: Any, fields: Fields) -> None:
    if not isinstance(entry, dict) or set(entry) != set(fields):
        raise ValueError(f"it is {reprlib.repr(entry)}, and not made of {', '.join(fields)}")
    for name, may_be in fields.items():
        if isinstance(may_be, Mapping):
            _check(entry[name], may_be)
        elif not may_be(entry[name]):
            raise ValueError(f"{name} is {reprlib.repr(entry[name])}, which no record may hold")


def _readable(value: Any) -> Any:
    """A parameter's value as JSON has it, or its ``repr``."""
    try:
        return json.loads(json.dumps(value, default=_plain))
    except (TypeError, ValueError, RecursionError):
        return reprlib.repr(value)


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, (bool, int, float, str)) else repr(value)


# A search may be extended: what was scored with less stays valid.
_MAY_GROW = ("n_candidates", "max_resources")


def _same(name: str, then: Any, now: Any) -> bool:
    if name in _MAY_GROW and isinstance(then, int) and isinstance(now, int):
        return then <= now
    return then == now


# -- one regular file, one process ------------------------------------------------------------


def _open(path: str, flags: int) -> int:
    """The descriptor of a regular file. Anything else is refused before it is opened: opening a
    pipe would wait, and some devices act on being opened."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(
            f"{path} is a folder, a pipe or a device, and a journal is a regular file; "
            "nothing was changed, pass another path"
        )
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)


# Network file systems that have no locks say so in one of these ways.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.ENOSYS)}


def _lock(file: int, path: str) -> None:
    """Lock the file for as long as it is open."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            # On Windows, locked bytes cannot be read either. So the byte that is locked lies behind
            # all that anybody reads.
            os.lseek(file, (1 << 31) - 2, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):  # as Linux and as Windows say it
        message = "another process is using the journal, or another thread; give each its own"
        raise BlockingIOError(errno.EWOULDBLOCK, message, path) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"the file system of {path} has no locks; see to it that no other process uses this "
            "journal at the same time, since two would ruin it",
            UserWarning,
            stacklevel=5,
        )
