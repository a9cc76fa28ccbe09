"""Pickles that also hold what was defined in ``__main__``, in a notebook or within a function."""

from __future__ import annotations

from typing import Any

try:
    import cloudpickle
except ImportError:  # joblib before 1.6 carries its own
    from joblib.externals import cloudpickle


def dump(value: Any, file: Any) -> None:
    """Protocol 5, straight into the file: large arrays are not copied on the way."""
    cloudpickle.dump(value, file, protocol=5)


load = cloudpickle.load


class Carried:
    """A value on its way between processes, as bytes of its own.

    joblib hands large arrays over as read-only memory maps, on which training cannot go on; it
    leaves bytes alone. Within one process nothing is pickled, and in passing nothing unpickled.
    """

    def __init__(self, value: Any, packed: bytes | None = None) -> None:
        self._value, self._packed = value, packed

    def __reduce__(self) -> tuple[Any, ...]:
        if self._packed is None:
            self._packed = cloudpickle.dumps(self._value, protocol=5)
        return Carried, (None, self._packed)

    def open(self) -> Any:
        return self._value if self._packed is None else cloudpickle.loads(self._packed)
