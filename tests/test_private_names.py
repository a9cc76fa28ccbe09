"""Every private name of scikit-learn and joblib that is used exists; a missing one is named."""

import ast
import importlib
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection._search import BaseSearchCV

import skhalving

PACKAGE = Path(skhalving.__file__).parent


def private_imports():
    """(file, module, name) of every private import from outside the package, at any depth."""
    for path in sorted(PACKAGE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and "skhalving" not in node.module:
                for alias in node.names:
                    if "._" in node.module or alias.name.startswith("_"):
                        yield path.name, node.module, alias.name


IMPORTS = sorted(private_imports())


@pytest.mark.parametrize(("file", "module", "name"), IMPORTS, ids=str)
def test_private_imports_are_there(file, module, name):
    """What is imported from a private module, or under a private name."""
    found = hasattr(importlib.import_module(module), name)
    assert found, (
        f"{module}.{name} is gone from this version; find what took its place, and change "
        f"skhalving/{file}, which alone knows it"
    )


def test_private_imports_of_scikit_learn_are_in_one_file():
    """And they are in ``__all__`` there, each once."""
    ours = [name for file, module, name in IMPORTS if module.startswith("sklearn")]
    assert {file for file, module, _ in IMPORTS if module.startswith("sklearn")} == {
        "sklearn_private.py"
    }
    assert len(ours) >= 8


ATTRIBUTES = [
    (BaseSearchCV, "_get_scorers", "resolves scoring"),
    (BaseSearchCV, "_check_refit_for_multimetric", "checks refit against several metrics"),
    (BaseSearchCV, "_select_best_index", "chooses best_index_"),
    (BaseSearchCV, "_get_routed_params_for_fit", "routes metadata"),
    (BaseSearchCV, "_validate_params", "checks arguments"),
    (BaseSearchCV, "_parameter_constraints", "says what arguments may be"),
    (HistGradientBoostingClassifier, "_should_stop", "is the rule of early stopping"),
    (joblib.Parallel, "_effective_n_jobs", "counts workers"),
    (joblib.Parallel, "_initialize_backend", "starts a pool again"),
]


@pytest.mark.parametrize(("owner", "name", "purpose"), ATTRIBUTES, ids=str)
def test_private_attributes_are_there(owner, name, purpose):
    """What is called on classes of scikit-learn and joblib, and why."""
    assert hasattr(owner, name), (
        f"{owner.__name__}.{name}, which {purpose}, is gone from this version; find what took its "
        "place"
    )


def test_private_attributes_of_instances_are_there():
    """Those that exist only on an instance, or after a fit."""
    model = HistGradientBoostingClassifier(max_iter=2, early_stopping=True)
    model.fit(np.arange(40.0).reshape(-1, 1), np.arange(40) % 2)
    for name in ("do_early_stopping_", "validation_score_", "train_score_"):
        assert hasattr(model, name), f"{name} of HistGradientBoosting is gone; see would_stop"
    parallel = joblib.Parallel(n_jobs=2)
    for name in ("_backend", "_id"):
        assert hasattr(parallel, name), f"joblib.Parallel has no {name} any more; see engines.py"
