"""Every example of a docstring runs, and every public name has one."""

import doctest
import importlib
import pkgutil

import pytest

import skhalving

MODULES = [f"skhalving.{module.name}" for module in pkgutil.iter_modules(skhalving.__path__)]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    """What is printed in a docstring is what is printed."""
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0


@pytest.mark.parametrize("name", skhalving.__all__)
def test_public_names_are_documented(name):
    """Parameters, and an example of its own or of a method."""
    thing = getattr(skhalving, name)
    text = thing.__doc__ + "".join(
        getattr(thing, method).__doc__ or ""
        for method in dir(thing)
        if isinstance(thing, type)
        and not method.startswith("_")
        and callable(getattr(thing, method))
    )
    assert "Parameters\n" in text
    assert ">>> " in text
