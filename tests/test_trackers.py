"""Searches in Optuna and other trackers, which show what the search did and nothing else."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy.stats import loguniform, uniform
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV, hyperband, to_optuna
from skhalving.unlogged import unlogged

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
X, Y = load_iris(return_X_y=True)

# Each search and what its runs hold, in a process of its own: autologging changes scikit-learn's
# classes for as long as a process lives.
MLFLOW = """
import itertools, json, runpy, sys, tempfile, warnings
warnings.simplefilter("ignore")
import mlflow
from pathlib import Path
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skhalving import HyperbandSearchCV

log_search = runpy.run_path(sys.argv[1])["log_search"]
X, y = load_iris(return_X_y=True)
X = X.astype("float64")
folder = tempfile.TemporaryDirectory()
mlflow.set_tracking_uri(f"sqlite:///{Path(folder.name) / 'mlflow.db'}")
for auto, inside, n_jobs in itertools.product([None, {}, {"silent": True}], [False, True], [1, 2]):
    saves = n_jobs == 1 and auto != {"silent": True} and inside  # a model takes seconds to save
    name = f"{auto} {inside} {n_jobs}"
    mlflow.create_experiment(name, (Path(folder.name) / name.replace(" ", "")).as_uri())
    mlflow.set_experiment(name)
    mlflow.sklearn.autolog(disable=auto is None, log_models=saves, **(auto or {}))
    grid = {"svc__C": [0.01, 0.1, 1, 10, 100, 1000], "svc__kernel": ["rbf", "linear"]}
    search = HyperbandSearchCV(
        make_pipeline(StandardScaler(), SVC()), grid, n_jobs=n_jobs, random_state=0, cv=3
    )
    if inside:
        with mlflow.start_run():
            search.fit(X, y)
            log_search(search, model=saves and auto is None, max_tuning_runs=3)
    else:
        search.fit(X, y)
    client, runs = mlflow.MlflowClient(), []
    for run in client.search_runs([mlflow.get_experiment_by_name(name).experiment_id]):
        history = client.get_metric_history(run.info.run_id, "score_by_resource")
        runs.append({
            "parent": run.data.tags.get("mlflow.parentRunId"), "id": run.info.run_id,
            "name": run.info.run_name,
            "params": run.data.params, "metrics": run.data.metrics,
            "steps": [[one.step, one.value] for one in history],
            "files": [one.path for one in client.list_artifacts(run.info.run_id)],
        })
    models = mlflow.search_logged_models(
        [mlflow.get_experiment_by_name(name).experiment_id], output_format="list")
    every = {k: search.all_cv_results_[k].tolist()
             for k in ("candidate", "n_resources", "mean_test_score", "level")}
    print("@", json.dumps({
        "auto": auto, "inside": inside, "saves": saves, "runs": runs, "n_models": len(models),
        "every": every,
        "best": search.best_params_, "best_score": search.best_score_,
        "params": search.all_cv_results_["params"]}))
"""


@pytest.fixture(scope="module")
def logged():
    """One for each of: autologging off, on, silent; outside and inside a run; n_jobs 1 and 2."""
    pytest.importorskip("mlflow", reason="needs mlflow")
    command = [sys.executable, "-c", MLFLOW, str(EXAMPLES / "mlflow_search.py")]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stderr[-3000:]
    lines = [line[2:] for line in child.stdout.splitlines() if line.startswith("@ ")]
    cases = [json.loads(line) for line in lines]
    assert len(cases) == 12
    return cases


def test_mlflow_logs_no_inner_fit(logged):
    """Nothing without autologging; with it, outside a run, the final fit alone."""
    for case in (case for case in logged if not case["inside"]):
        assert len(case["runs"]) == (0 if case["auto"] is None else 1)
        for run in case["runs"]:
            assert {k: run["params"][k] for k in case["best"]} == {
                k: str(v) for k, v in case["best"].items()
            }


def test_mlflow_run_of_a_search_holds_what_it_found(logged):
    """Inside a run: best_*, tables, schedule and one model; autologging adds the final fit's."""
    for case in (case for case in logged if case["inside"]):
        (run,) = (run for run in case["runs"] if run["parent"] is None)
        for name, value in case["best"].items():
            assert run["params"][f"best_{name}"] == str(value)
            assert run["params"].get(name, str(value)) == str(value)
        assert run["metrics"]["best_cv_score"] == case["best_score"]
        assert {"cv_results.csv", "all_cv_results.csv", "schedule.txt"} <= set(run["files"])
        assert case["n_models"] == case["saves"]


def test_mlflow_child_runs_are_the_best_candidates(logged):
    """Each has its parameters and its score at each amount, as all_cv_results_ has them."""
    for case in (case for case in logged if case["inside"]):
        (parent,) = (run for run in case["runs"] if run["parent"] is None)
        children = [run for run in case["runs"] if run["parent"] is not None]
        assert len(children) == 3
        every = case["every"]
        for run in children:
            assert run["parent"] == parent["id"]
            candidate = int(run["name"].removeprefix("candidate "))
            rows = [i for i, c in enumerate(every["candidate"]) if c == candidate]
            known = {every["n_resources"][i]: every["mean_test_score"][i] for i in rows}
            assert dict(run["steps"]) == known
            params = case["params"][rows[0]]
            assert run["params"] == {name: str(value) for name, value in params.items()}
            reached = every["level"][rows[-1]] == max(every["level"])
            top = every["mean_test_score"][rows[-1]]
            assert run["metrics"].get("mean_test_score") == (top if reached else None)


class Switch:
    """What mlflow's module of that name does: leaving it turns autologging on, whoever left."""

    def __init__(self):
        self._AUTOLOGGING_GLOBALLY_DISABLED = False

    @contextmanager
    def disable_autologging(self):
        self._AUTOLOGGING_GLOBALLY_DISABLED = True
        yield
        self._AUTOLOGGING_GLOBALLY_DISABLED = False


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_autologging_is_off_during_every_fit_and_on_for_the_last(monkeypatch, n_jobs):
    """Also while one thread has ended its fit and another is still at it."""
    switch, seen, begun, ended = Switch(), [], threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "mlflow.utils.autologging_utils", switch)

    class Watched(SVC):
        def fit(self, X, y):
            if n_jobs > 1 and self.C == 1:
                begun.wait(10)
            elif n_jobs > 1:
                begun.set()
                ended.wait(10)
                time.sleep(0.2)  # the other one is scored
            seen.append(switch._AUTOLOGGING_GLOBALLY_DISABLED)
            ended.set()
            return super().fit(X, y)

    rows = np.arange(len(X))
    with joblib.parallel_backend("threading"):
        HyperbandSearchCV(
            Watched(), {"C": [1, 10]}, n_jobs=n_jobs, cv=[(rows[::2], rows[1::2])]
        ).fit(X, Y)
    assert seen == [True, True, False]
    with switch.disable_autologging():
        with unlogged():
            pass
        assert switch._AUTOLOGGING_GLOBALLY_DISABLED


# -- Optuna -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def optuna():
    optuna = pytest.importorskip("optuna", reason="needs Optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


SPACE = {"C": loguniform(1e-3, 1e3), "gamma": [0.1, "scale", "auto"], "degree": [1, 2, 3, 4]}


def test_a_study_has_a_trial_for_each_candidate(optuna):
    """Finalists are complete, others pruned where they dropped out; values, scores and levels are
    those of the search, and Optuna's best is the search's."""
    search = HyperbandSearchCV(SVC(), SPACE, n_candidates=20, random_state=0).fit(X, Y)
    study, every = to_optuna(search), search.all_cv_results_
    assert [t.user_attrs["candidate"] for t in study.trials] == list(range(20))
    for trial in study.trials:
        rows = np.flatnonzero(every["candidate"] == trial.user_attrs["candidate"])
        last = rows[-1]
        params = every["params"][last]
        assert trial.params["C"] == params["C"]
        assert trial.params["degree"] == params["degree"]
        assert trial.params["gamma"].strip("'") == str(params["gamma"])
        scores = every["mean_test_score"][rows]
        levels = dict(zip(every["level"][rows], scores, strict=True))
        assert trial.intermediate_values == levels
        reached = every["level"][last] == every["level"].max()
        assert trial.state.name == ("COMPLETE" if reached else "PRUNED")
        assert trial.value == scores[-1]
    assert study.best_value == search.best_score_
    assert study.trials[0].distributions["C"].log
    importances = optuna.importance.get_param_importances(study)
    assert set(importances) == set(SPACE)


def test_a_study_of_a_plain_function_minimizes_and_may_be_stored(optuna, tmp_path):
    """Failed configurations are failed trials; a study of the other direction is refused."""

    def objective(configuration, resource):
        if configuration["x"] > 0.9:
            raise ValueError("too large")
        return configuration["x"] + 1 / resource

    with pytest.warns(FitFailedWarning):
        result = hyperband(objective, {"x": uniform(0, 1)}, max_resources=9, random_state=0)
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    stored = optuna.create_study(storage=storage, direction="minimize")
    to_optuna(result, stored)
    again = optuna.load_study(study_name=stored.study_name, storage=storage)
    assert again.best_value == result.best_score
    failed = [t for t in again.trials if t.state.name == "FAIL"]
    assert {t.params["x"] > 0.9 for t in failed} == {True}
    with pytest.raises(ValueError, match="study has direction MAXIMIZE; give one to minimize"):
        to_optuna(result, optuna.create_study(direction="maximize"))


def test_a_study_of_several_dicts_has_conditional_parameters(optuna):
    """A trial has the parameters of its own dict and no other."""
    space = [{"kernel": ["rbf"], "gamma": [0.1, 1.0]}, {"kernel": ["linear"], "C": [0.1, 1, 10]}]
    search = HyperbandSearchCV(SVC(), space, random_state=0).fit(X, Y)
    names = {frozenset(t.params) for t in to_optuna(search).trials}
    assert names == {frozenset({"kernel", "gamma"}), frozenset({"kernel", "C"})}


# -- Weights & Biases -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlflow_search", "wandb_search"])
def test_examples_run(name, tmp_path, monkeypatch):
    """As a script, with nothing but the local disk."""
    pytest.importorskip(name.partition("_")[0], reason=f"needs {name.partition('_')[0]}")
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert child.returncode == 0, child.stderr[-3000:]
    assert "best" in child.stdout
