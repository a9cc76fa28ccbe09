"""Fingerprints: texts that are equal for equal values in every process, and differ where code
differs.

``stable`` reads a value. A function or class of an installed package is represented by its name,
and ``versions`` tells the package's version. Any other is the user's own, may change from day to
day, and is represented by what it does: byte code, constants, default arguments and closure of a
function, bases and members of a class, and whatever functions, classes and constants of its module
it refers to. Comments, line numbers, files and addresses in memory do not count. Neither does the
name of the user's module, which is ``__main__`` when it runs as a script and another name when it
is imported.
"""

import copyreg
import dis
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import PurePath
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import joblib
import numpy as np


def stable(value: Any) -> str:
    """A text that is the same for equal values in every process.

    Parameters
    ----------
    value : object
        Numbers, containers, arrays, estimators, distributions, functions, classes.

    Returns
    -------
    text : str
        Readable where possible; code and arrays are hashed.
    """
    return _Reading().text(value)


def versions(*values: Any) -> dict[str, str]:
    """The versions that values depend on.

    Parameters
    ----------
    *values : object
        Estimators, scorers, functions, spaces.

    Returns
    -------
    versions : dict of str to str
        Those of Python (the minor version, since byte code depends on it), NumPy, SciPy,
        scikit-learn, and the packages whose functions and classes are in the values; by the names
        that are imported.
    """
    reading = _Reading()
    reading.text(values)
    packages = sorted({"numpy", "scipy", "sklearn"} | reading.packages)
    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python, **{package: _version(package) for package in packages}}


@dataclass
class _Reading:
    """One reading of a value: its text, and what was met on the way.

    Attributes
    ----------
    met : dict of int to (str, object)
        The texts of objects, functions and classes that were met, by their ids. An object that is
        met again while it is being read, as in a recursion, is represented by a number. The objects
        are held here too, so that none is deleted and its id given to another.

    packages : set of str
        The packages of all installed functions, classes and modules that were met.
    """

    met: dict[int, tuple[str, Any]] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)

    def text(self, value: Any) -> str:
        if isinstance(value, np.generic):
            return repr(value.item())
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, Mapping):
            items = sorted((self.text(key), key) for key in value)
            return "{" + ", ".join(f"{text}: {self.text(value[key])}" for text, key in items) + "}"
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(self.text, value)) + "]"
        if isinstance(value, (set, frozenset)):
            # Each member is read as if it were the first: their order differs in every process.
            texts = [replace(self, met=dict(self.met)).text(member) for member in value]
            return "{" + ", ".join(sorted(texts)) + "}"
        if isinstance(value, (type, FunctionType, ModuleType)) and (name := self._name(value)):
            return name
        if not isinstance(value, type) and hasattr(value, "rvs") and hasattr(value, "dist"):
            of = type(value.dist)
            name = value.dist.name if _is_installed(of.__module__) else self.text(of)
            return f"{name}({self.text(value.args)}, {self.text(value.kwds)})"
        if id(value) in self.met:
            return self.met[id(value)][0]
        self.met[id(value)] = f"#{len(self.met)}", value
        text = self.text(_parts(value))
        if isinstance(value, (type, FunctionType)):
            text = f"{value.__qualname__} {joblib.hash(text)[:16]}"
        else:
            text = f"{self.text(type(value))}({text})"
        self.met[id(value)] = text, value
        return text

    def _name(self, value: type | FunctionType | ModuleType) -> str | None:
        """The name of what is installed; None for the user's own."""
        module = value.__name__ if isinstance(value, ModuleType) else value.__module__
        name = getattr(value, "__qualname__", "")
        # Functions that were made within another, and lambdas, share their names.
        if not _is_installed(module) or "<" in name:
            return None
        self.packages |= {module.partition(".")[0]} - sys.stdlib_module_names
        return f"{module}.{name}".rstrip(".")


_PLAIN = (str, bytes, bool, int, float, complex, type(None), type(...))

# Objects that hold functions, by the attributes that these have: `functools.partial`, methods,
# `property`, and whatever a decorator made (a cache, a compiled function, `classmethod`).
_HOLDERS = [
    ("func", "args", "keywords"),
    ("__func__", "__self__"),
    ("fget", "fset", "fdel"),
    ("__wrapped__",),
]


def _parts(value: Any) -> Any:
    """What an object, a function or a class is made of, in values to be read in their turn."""
    if isinstance(value, CodeType):
        used = value.co_names, value.co_varnames, value.co_freevars
        return value.co_code, value.co_exceptiontable, value.co_consts, used
    if isinstance(value, FunctionType):
        # A cell that nothing was assigned to yet equals any other such cell.
        cells = [None if c == CellType() else c.cell_contents for c in value.__closure__ or ()]
        return value.__code__, value.__defaults__, value.__kwdefaults__, cells, _used(value)
    if isinstance(value, type):
        return value.__bases__, _members(value)
    if isinstance(value, ModuleType):
        return value.__name__
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    for names in _HOLDERS:
        if all(hasattr(value, name) for name in names):
            return [getattr(value, name) for name in names]
    kind = type(value)
    has_own = any(getattr(kind, name) is not getattr(object, name) for name in _PICKLING)
    if has_own or kind in copyreg.dispatch_table:
        return _hash(value)
    return value.__getstate__()


# A class that defines none of these pickles its attributes and nothing else, so they can be read
# one by one. An object of any other class is hashed as it pickles.
_PICKLING = ("__reduce__", "__reduce_ex__", "__getstate__")

# Members of a class that say where and how it was written.
_ASIDE = {
    "__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
}  # fmt: skip


def _members(kind: type) -> dict[str, Any]:
    """The members of a class that say what it does. What its own methods assign is left out, since
    it changes as they are called: a number of calls, for example."""
    members = {n: m for n, m in vars(kind).items() if n not in _ASIDE and _is_fixed(m)}
    codes = [m.__code__ for m in members.values() if isinstance(m, FunctionType)]
    assigned = _names(codes, "STORE_ATTR")
    return {name: member for name, member in members.items() if name not in assigned}


def _is_fixed(value: Any) -> bool:
    """Whether a global, or a member of a class, is code or a constant. A list or an array is
    neither: it may change at any time."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_fixed, value))
    is_code = callable(value) or hasattr(type(value), "__get__") or hasattr(value, "get_params")
    return is_code or isinstance(value, (*_PLAIN, ModuleType))


def _used(function: FunctionType) -> dict[str, Any]:
    """What a function refers to by names of its module, and of the user's modules named there."""
    code, module = [function.__code__], function.__globals__
    names = _names(code, "LOAD_GLOBAL", "LOAD_NAME") - _names(code, "STORE_GLOBAL")
    used = {name: module[name] for name in names if name in module and _is_fixed(module[name])}
    attributes = _names(code, "LOAD_ATTR", "LOAD_METHOD")
    for name, value in used.items():
        if isinstance(value, ModuleType) and not _is_installed(value.__name__):
            own = vars(value)
            used[name] = {a: own[a] for a in attributes if a in own and _is_fixed(own[a])}
    return used


def _names(codes: Iterable[Any], *operations: str) -> set[str]:
    """The names that some byte code operations use, in code objects and in those nested in them."""
    names: set[str] = set()
    for code in codes:
        names |= {step.argval for step in dis.get_instructions(code) if step.opname in operations}
        names |= _names((c for c in code.co_consts if isinstance(c, CodeType)), *operations)
    return names


def _hash(value: Any) -> str:
    try:
        return joblib.hash(value)
    except Exception:  # it cannot be pickled
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


_STANDARD_LIBRARY = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


def _is_installed(module: str | None) -> bool:
    """Whether a module is of the standard library or of an installed package."""
    if module is None or module == "__main__":
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module.partition(".")[0] in sys.stdlib_module_names
    of_packages = {"site-packages", "dist-packages"} & set(PurePath(file).parts)
    return bool(of_packages) or file.startswith(_STANDARD_LIBRARY)


def _version(package: str) -> str:
    version = getattr(sys.modules.get(package), "__version__", None)
    if version is None:
        distributions = metadata.packages_distributions().get(package, [])
        version = ", ".join(map(metadata.version, sorted(set(distributions))))
    return str(version)
