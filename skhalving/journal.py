"""The journal: what a search knows, on disk, one JSON object a line.

The first line says which search it is: a fingerprint of everything that its scores depend on, and
the frozen seed. Every other line is one finished evaluation. The parent alone writes, each line
with one ``write`` to an append-only descriptor and an ``fsync``; a last line that was torn is
dropped and written over. Opened again with the same search, the journal answers what was done. It
holds no pickle.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import joblib
import numpy as np

try:
    import fcntl
except ImportError:  # Windows has no such locks: nothing stops a second process there
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
MAGIC = b'{"skhalving journal": '


class Journal:
    """Open a journal file, or make it.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    OSError
        If it cannot be read and written.
    BlockingIOError
        If another process has it open.
    ValueError
        If it is not a journal, or one of a newer format, or a line within it cannot be read.
    """

    def __init__(self, path: Any) -> None:
        self.path = os.fspath(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
            self.header: dict[str, Any] | None = self._read_header()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BlockingIOError(
                error.errno, "another process is using the journal; give each its own", self.path
            ) from None

    def _read_header(self) -> dict[str, Any] | None:
        with open(self.path, "rb") as file:
            line = file.readline()
        if not line.startswith(MAGIC[: len(line)]):
            raise ValueError(
                f"{self.path} is not a journal; nothing was changed, pass another path"
            )
        try:
            header = json.loads(line)
        except ValueError:
            os.ftruncate(self._file, 0)  # torn before anything was known
            return None
        if header["skhalving journal"] > FORMAT:
            raise ValueError(
                f"{self.path} is of format {header['skhalving journal']}, and this version of "
                f"skhalving reads up to {FORMAT}; upgrade skhalving, or pass another path"
            )
        return header

    def begin(self, seed: int, fingerprint: Mapping[str, Any]) -> None:
        """Check that it is of this search, or start it with this one's first line.

        Raises
        ------
        ValueError
            That names every field that differs; nothing is changed on disk.
        """
        if self.header is None:
            header = {"skhalving journal": FORMAT, "seed": seed, "search": dict(fingerprint)}
            self._write(header)
            self.header = header
            return
        then = {"seed": self.header["seed"], **self.header["search"]}
        now = {"seed": seed, **json.loads(json.dumps(fingerprint))}
        different = [
            f"  {name}: {_short(then.get(name))} then, {_short(now.get(name))} now"
            for name in {**then, **now}
            if not _same(name, then.get(name), now.get(name))
        ]
        if different:
            raise ValueError(
                f"{self.path} is the journal of another search; pass another path, or delete it if "
                "it is not needed. What differs:\n" + "\n".join(different)
            )

    def entries(self) -> Iterator[dict[str, Any]]:
        """The finished evaluations, streamed; a torn last line is dropped."""
        with open(self.path, "rb") as file:
            end = len(file.readline())
            for number, line in enumerate(file, start=2):
                try:
                    entry = json.loads(line)
                except ValueError:
                    if file.read(1):
                        raise ValueError(
                            f"line {number} of the journal {self.path} cannot be read; take it out "
                            "to go on without it, or pass another path"
                        ) from None
                    os.ftruncate(self._file, end)
                    return
                end += len(line)
                yield entry
        self._end_last_line()

    def _end_last_line(self) -> None:
        size = os.fstat(self._file).st_size
        if os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def write(self, entry: dict[str, Any]) -> None:
        """Record one finished evaluation; on return it is on the disk."""
        self._write(entry)

    def _write(self, value: dict[str, Any]) -> None:
        line = json.dumps(value, default=_plain).encode() + b"\n"
        written = os.write(self._file, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, "the disk is full; free some and run again", self.path)
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file, which frees it for others."""
        with suppress(OSError):
            os.close(self._file)


# A search may be extended: what was scored with less stays valid.
_MAY_GROW = ("n_candidates", "max_resources")


def _same(name: str, then: Any, now: Any) -> bool:
    if name in _MAY_GROW and isinstance(then, int) and isinstance(now, int):
        return then <= now
    return then == now


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be written to a journal")


def stable(value: Any) -> str:
    """A text that is the same for equal values in every process, as close to the code as can be."""
    if isinstance(value, np.generic):
        return repr(value.item())
    if value is None or isinstance(value, (str, bool, int, float, complex, bytes)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{stable(k)}: {stable(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(stable, value)) + "]"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "get_params"):
        return f"{stable(type(value))}({stable(value.get_params(deep=False))})"
    if hasattr(value, "rvs") and hasattr(value, "dist"):
        return f"{value.dist.name}({stable(value.args)}, {stable(value.kwds)})"
    if hasattr(value, "__code__"):
        return f"{value.__module__}.{value.__qualname__} {_hash(value.__code__.co_code)}"
    return f"{stable(type(value))} {_hash(value)}"


def _hash(value: Any) -> str:
    try:
        return joblib.hash(value)
    except Exception:  # it cannot be pickled
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def fingerprint_of_data(*parts: Any) -> str:
    """One hash of X, y, splits, fit parameters."""
    return joblib.hash(parts)
