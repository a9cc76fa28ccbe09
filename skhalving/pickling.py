"""Pickles that also hold what was defined in ``__main__``, in a notebook or within a function."""

from __future__ import annotations

from typing import Any

try:
    import cloudpickle
except ImportError:  # joblib before 1.6 carries its own
    from joblib.externals import cloudpickle


def dumps(value: Any) -> bytes:
    """Protocol 5: large arrays are not copied on their way into the bytes."""
    return cloudpickle.dumps(value, protocol=5)


loads = cloudpickle.loads


class Carried:
    """A value on its way between processes, as bytes of its own.

    joblib hands large arrays over as read-only memory maps, on which training cannot go on; it
    leaves bytes alone. Within one process nothing is pickled, and in passing nothing unpickled.
    """

    def __init__(self, value: Any, packed: bytes | None = None) -> None:
        self._value, self._packed = value, packed

    def __reduce__(self) -> tuple[Any, ...]:
        if self._packed is None:
            self._packed = dumps(self._value)
        return Carried, (None, self._packed)

    def open(self) -> Any:
        return self._value if self._packed is None else loads(self._packed)
