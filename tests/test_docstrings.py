"""Every example of a docstring runs, and every public docstring says all that a user needs."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import skhalving
from skhalving import Bracket, Level, Result, Rung, Schedule

MODULES = [f"skhalving.{module.name}" for module in pkgutil.iter_modules(skhalving.__path__)]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Classes whose instances users get rather than make: their attributes are documented, not their
# parameters.
HOLDERS = {thing.__name__: thing for thing in (Result, Schedule, Bracket, Rung, Level)}
TOP = {name: getattr(skhalving, name) for name in skhalving.__all__}
METHODS = {
    f"{name}.{method}": getattr(thing, method)
    for name, thing in TOP.items()
    if isinstance(thing, type) and name not in HOLDERS
    for method in dir(thing)
    if not method.startswith("_")
    and getattr(getattr(thing, method), "__module__", "").startswith("skhalving")
}
PUBLIC = TOP | METHODS
CALLED = [name for name in PUBLIC if name not in HOLDERS]
ALGORITHMS = [name for name in skhalving.__all__ if re.search("halving|hyperband", name.lower())]
ALGORITHMS.remove("HalvingDisplay")


def sections(name):
    """The text of each section of a docstring in numpydoc's style; the summary is under ""."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(PUBLIC[name]), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(text):
    """(name, type) of what a section lists, several of one type on one line."""
    lines = re.findall(r"^(\S.*?)(?: : (.+))?$", text, re.MULTILINE)
    return [(name, kind) for names, kind in lines for name in names.split(", ")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    """What is printed in a docstring is what is printed."""
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0


def test_public_methods_are_found():
    """Those that this package adds to what users make, not those of scikit-learn."""
    assert {"HyperbandSearchCV.fit", "HalvingDisplay.plot"} <= set(METHODS)
    assert "HyperbandSearchCV.predict" not in METHODS


@pytest.mark.parametrize("name", PUBLIC)
def test_summary_version_and_example(name):
    """One line says what it is, then since when, and there is an example."""
    found = sections(name)
    assert re.match(r"\S.*\.\n(\n|$)", found[""])
    assert ".. versionadded:: 0." in found[""]
    assert ">>> " in found["Examples"]


@pytest.mark.parametrize("name", CALLED)
def test_parameters_are_those_of_the_signature(name):
    """All of them, in order, each with its type and the default that it has."""
    given = [p for p in inspect.signature(PUBLIC[name]).parameters.values() if p.name != "self"]
    listed = entries(sections(name).get("Parameters", ""))
    stars = {inspect.Parameter.VAR_KEYWORD: "**"}
    assert [n for n, _ in listed] == [stars.get(p.kind, "") + p.name for p in given]
    for parameter, (_, kind) in zip(given, listed, strict=True):
        assert kind
        if callable(parameter.default) and parameter.default is not inspect.Parameter.empty:
            assert "default=" in kind
        elif parameter.default is not inspect.Parameter.empty:
            default = repr(parameter.default).replace("'", '"')
            assert kind.endswith(f"default={default}")


@pytest.mark.parametrize("name", HOLDERS)
def test_attributes_are_those_it_holds(name):
    """Every field and every property, each with its type."""
    thing = HOLDERS[name]
    held = set(thing.__annotations__)
    held |= {n for n, v in vars(thing).items() if isinstance(v, property) and n[0] != "_"}
    listed = dict(entries(sections(name)["Attributes"]))
    assert held <= set(listed)
    assert all(listed.values())


@pytest.mark.parametrize("name", [n for n in CALLED if n in METHODS or n[0].islower()])
def test_what_comes_back(name):
    """Everything that returns something says what."""
    nothing = inspect.signature(PUBLIC[name]).return_annotation in (None, "None")
    assert ("Returns" in sections(name)) != nothing


@pytest.mark.parametrize("name", [*ALGORITHMS, "HyperbandSearchCV.fit", "HyperbandSearchCV.plan"])
def test_what_it_raises(name):
    """What takes arguments that can be wrong says what happens then."""
    assert "ValueError" in sections(name)["Raises"]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_where_it_is_from(name):
    """What was published names the paper, and the place in it."""
    assert re.search(r"\(20\d\d\).* (Algorithm|Section)\s\d", sections(name)["References"], re.S)


@pytest.mark.parametrize(
    ("one", "other", "its_own"),
    [
        ("HyperbandSearchCV", "SuccessiveHalvingSearchCV", {"schedule"}),
        (
            "hyperband",
            "successive_halving",
            {"space", "n_candidates", "random_state", "configurations"}
            | {"max_resources", "min_resources", "stateful"},
        ),
    ],
)
def test_twins_say_the_same_of_what_they_share(one, other, its_own):
    """Of each parameter and attribute but those that each has in its own way, and of errors."""
    for section in sections(one).keys() & {"Parameters", "Attributes", "Returns", "Raises"}:
        told = [re.split(r"\n(?=\S)", sections(name)[section].strip()) for name in (one, other)]
        shared = [[text for text in texts if text.split(" :")[0] not in its_own] for texts in told]
        assert shared[0] == shared[1]
        assert shared[0]
