"""The rooms of the code: imports run one way, and what is heavy is not loaded."""

import ast
import subprocess
import sys
from pathlib import Path

import skhalving

PACKAGE = Path(skhalving.__file__).parent
# Each file may import those below it, and no other.
ORDER = [
    "__main__", "__init__", "search", "display", "trackers", "trials", "functions", "session",
    "progress", "loop", "evaluate", "results", "engines", "pace", "journal", "timeout", "unlogged",
    "pipelines", "store", "validation", "families", "resource", "space", "fingerprint",
    "sklearn_private", "race", "schedule", "task",
]  # fmt: skip
STANDARD_LIBRARY_ONLY = ["schedule", "race", "task"]


def imports(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "skhalving"
                else [node.module]
            )
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def ours(name):
    return {m.split(".")[1] for m in imports(name) if m.startswith("skhalving.")}


def test_imports_run_downward():
    """Every file is in the list, and imports only files below it."""
    assert sorted(ORDER) == sorted(path.stem for path in PACKAGE.glob("*.py"))
    for place, name in enumerate(ORDER):
        below = set(ORDER[place + 1 :])
        assert ours(name) & set(ORDER) <= below, name


def test_decisions_are_pure():
    """The schedule and the race know the standard library alone, and no clock, file or chance."""
    for name in STANDARD_LIBRARY_ONLY:
        others = {m.split(".")[0] for m in imports(name)} - {"skhalving", "__future__"}
        assert others <= sys.stdlib_module_names
        assert not others & {"time", "os", "io", "random", "pathlib"}


def test_one_file_knows_joblibs_parallel():
    """``Parallel`` is in ``engines.py``; scikit-learn's private names in the file for them."""
    for path in PACKAGE.glob("*.py"):
        text = path.read_text()
        assert ("Parallel(" in text) == (path.stem == "engines"), path
        if path.stem != "sklearn_private":
            private = [m for m in imports(path.stem) if m.startswith("sklearn") and "._" in m]
            assert not private, path


def test_import_loads_nothing_else():
    """Beyond what GridSearchCV loads: the package itself, and at most of the standard library."""
    code = (
        "import sys; from sklearn.model_selection import GridSearchCV; "
        "before = set(sys.modules); import skhalving; "
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) - sys.stdlib_module_names == {"skhalving"}
