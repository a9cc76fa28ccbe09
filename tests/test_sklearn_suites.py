"""scikit-learn's own tests, run on our search in the place of GridSearchCV and RandomizedSearchCV.

See ``plugins/instead_of_sklearn.py``. They run in a process of their own, because the names must be
replaced before the tests import them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

PLUGINS = Path(__file__).parent / "plugins"
ENV = {**os.environ, "PYTHONPATH": str(PLUGINS), "PYTEST_ADDOPTS": ""}
SUITES = [
    "sklearn.model_selection.tests.test_search",
    "sklearn.tests.test_metaestimators",
    "sklearn.tests.test_metaestimators_metadata_routing",
]

# What is expected to differ, and why.
DIFFERS = {
    # 1.6 to 1.8 say "returned inconsistent results" where 1.9, and we, say "return".
    "test_random_search_bad_cv": parse_version(sklearn.__version__) < parse_version("1.9"),
}


def counts(*arguments):
    """{"passed": 141, "skipped": 30} of a pytest run."""
    deselected = " and ".join(f"not {name}" for name, differs in DIFFERS.items() if differs)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    command += ["-c", "/dev/null", *arguments, "-k", deselected, "--pyargs", *SUITES]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=ENV)
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", run.stdout)
    assert found, run.stdout + run.stderr
    return {outcome: int(n) for n, outcome in found}, run.stdout


@pytest.mark.slow
def test_as_many_pass_as_with_the_stock_classes():
    """The same tests pass and the same are skipped; none fails."""
    ours, output = counts("-p", "instead_of_sklearn")
    stock, _ = counts()
    assert "failed" not in ours, output
    assert ours == stock
