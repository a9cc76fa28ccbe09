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
# scikit-learn's conftest gives linear algebra a thread for each core, whatever OMP_NUM_THREADS
# says; on data as small as these, two threads that wait for each other take 30 times the processor
# time.
ENV = {
    **os.environ,
    "PYTHONPATH": str(PLUGINS),
    "PYTEST_ADDOPTS": "",
    "LOKY_MAX_CPU_COUNT": "1",
}

# What is expected to differ, and why.
DIFFERS = {
    # 1.6 to 1.8 say "returned inconsistent results" where 1.9, and we, say "return".
    "test_random_search_bad_cv": parse_version(sklearn.__version__) < parse_version("1.9"),
}


# Of `test_search` alone, with the stock classes.
PASSED_AND_SKIPPED = {"1.9.1": (141, 30)}


def pytest_run(chosen, *suites):
    """{"passed": 141, "skipped": 30} of the tests chosen by name, and what the run printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    command += ["-c", os.devnull, "-p", "instead_of_sklearn", "-k", chosen, "--pyargs", *suites]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=ENV)
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", run.stdout)
    return {outcome: int(n) for n, outcome in found}, run.stdout + run.stderr


@pytest.mark.slow
def test_the_tests_of_the_searches_pass():
    """None fails, and as many pass and are skipped as with the stock classes."""
    chosen = " and ".join(f"not {name}" for name, differs in DIFFERS.items() if differs)
    outcomes, output = pytest_run(chosen, "sklearn.model_selection.tests.test_search")
    assert outcomes.get("passed", 0) > 100, output
    assert not outcomes.keys() & {"failed", "error"}, output
    if sklearn.__version__ in PASSED_AND_SKIPPED:
        assert tuple(outcomes.values()) == PASSED_AND_SKIPPED[sklearn.__version__]


@pytest.mark.slow
def test_the_tests_of_meta_estimators_pass():
    """Delegation, data validation and metadata routing of the two searches: none fails, none is
    skipped. The other meta-estimators of these suites are scikit-learn's own."""
    suites = ["test_metaestimators", "test_metaestimators_metadata_routing"]
    chosen = "test_metaestimator_delegation or (SearchCV and not Halving)"
    outcomes, output = pytest_run(chosen, *(f"sklearn.tests.{name}" for name in suites))
    assert outcomes.keys() == {"passed"}, output
    assert outcomes["passed"] > 15, output
