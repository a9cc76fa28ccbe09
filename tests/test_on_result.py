"""What ``on_result`` is told, and what happens when it raises."""

import json

import numpy as np
import pytest
from scipy.stats import loguniform, uniform
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.svm import SVC

from skhalving import HyperbandSearchCV, hyperband, successive_halving
from skhalving.journal import read

X, Y = load_iris(return_X_y=True)
SPACE = {"C": loguniform(1e-3, 1e3)}


def searched(on_result, **params):
    return HyperbandSearchCV(
        SVC(), SPACE, n_candidates=12, random_state=0, on_result=on_result, **params
    ).fit(X, Y)


def of(told, event):
    return [one for one in told if one["event"] == event]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_evaluation_is_told_once(n_jobs):
    """The evaluations told make up all_cv_results_: who, where, with what, and the score."""
    told = []
    search = searched(told.append, n_jobs=n_jobs)
    every = search.all_cv_results_
    keys = [(e["candidate"], e["n_resources"], e["fold"]) for e in of(told, "evaluation")]
    assert len(set(keys)) == len(keys)
    for e in of(told, "evaluation"):
        here = (every["candidate"] == e["candidate"]) & (every["level"] == e["level"])
        (row,) = np.flatnonzero(here)
        assert every[f"split{e['fold']}_test_score"][row] == e["scores"]["score"]
        assert every["params"][row] == e["params"]
        assert every["bracket"][row] == e["bracket"]
        assert every["iter"][row] == e["rung"]
        assert every["n_resources"][row] == e["n_resources"]
        assert e["error"] is None
        assert not e["continued"]
        assert e["seconds"] > 0
    scored = {(c, a) for c, a, _ in keys}
    assert scored == set(zip(every["candidate"], every["n_resources"], strict=True))


def test_levels_and_the_end_are_told_as_the_log_prints_them(capsys):
    """A level's dict has the numbers of its line, the end those of the highest level."""
    told = []
    search = searched(told.append, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    levels = of(told, "level")
    assert [one["level"] for one in levels] == list(range(len(search.schedule_.levels)))
    for one, line in zip(levels, lines, strict=True):
        assert f"{one['n_candidates']} candidates, n_samples={one['n_resources']}" in line
        assert f"{one['n_evaluations']} evaluations; best {one['best']:.4g}" in line
    assert sum(one["n_evaluations"] for one in levels) == len(of(told, "evaluation"))
    assert told[-1]["event"] == "end"
    assert told[-1]["best"] == search.best_score_
    assert told[-1]["left"] == 0


def test_a_failed_fit_is_told_with_its_traceback():
    """It has no scores, and the error's text."""
    told = []
    space = {"strategy": ["prior", "uniform", "stratified", "no such"]}
    with pytest.warns(FitFailedWarning):
        HyperbandSearchCV(
            DummyClassifier(random_state=0),
            space,
            error_score=0.0,
            random_state=0,
            on_result=told.append,
        ).fit(X, Y)
    failed = [e for e in of(told, "evaluation") if e["error"]]
    assert failed
    assert all(e["scores"] == {} and "InvalidParameterError" in e["error"] for e in failed)


@pytest.mark.parametrize("event", ["evaluation", "level"])
def test_what_it_raises_ends_the_search_and_costs_nothing_known(event, tmp_path):
    """The journal has every evaluation that was told, also the last, and the table those before; a
    search without on_result goes on with it, since the two are the same search."""
    told, path = [], tmp_path / "search.jsonl"

    def stop(one):
        told.append(one)
        if one["event"] == event and len(told) > 10:
            raise RuntimeError("enough")

    search = HyperbandSearchCV(
        SVC(), SPACE, n_candidates=12, random_state=0, on_result=stop, journal=path
    )
    with pytest.raises(RuntimeError, match="enough"):
        search.fit(X, Y)
    n_known = len(of(told, "evaluation"))
    assert len(list(read(path)[1])) == n_known
    assert len(search.all_cv_results_["params"]) > 0
    after = []
    resumed = searched(after.append, journal=path)
    assert len(of(after, "evaluation")) + n_known == len(list(read(path)[1]))
    assert resumed.best_score_ == searched(None).best_score_


def test_params_told_are_a_copy():
    """Whoever changes the dict changes nothing of the search."""
    search = searched(lambda one: one.get("params", {}).clear())
    assert all(params for params in search.cv_results_["params"])


@pytest.mark.parametrize("maximize", [True, False])
def test_plain_functions_tell_the_same(maximize):
    """The configuration, the objective's own number, and the best in the direction asked for."""
    told = []
    result = hyperband(
        lambda configuration, resource: configuration["x"] + 1 / resource,
        {"x": uniform(0, 4)},
        max_resources=9,
        maximize=maximize,
        random_state=0,
        on_result=told.append,
    )
    history = result.history
    evaluations = of(told, "evaluation")
    key = [(e["level"], e["candidate"]) for e in evaluations]
    level = np.searchsorted([n for n, _ in result.schedule.levels], history["n_resources"])
    assert sorted(key) == sorted(zip(level, history["candidate"], strict=True))
    assert all(e["params"] == result.configurations[e["candidate"]] for e in evaluations)
    assert sorted(e["scores"]["score"] for e in evaluations) == sorted(history["score"])
    assert told[-1]["best"] == result.best_score
    json.dumps(told)


def test_successive_halving_takes_it_too():
    """A configuration may be any object."""
    told = []
    successive_halving(lambda x, r: x, range(9), max_resources=9, on_result=told.append)
    assert {e["params"] for e in of(told, "evaluation")} == set(range(9))
    with pytest.raises(TypeError, match="not callable"):
        successive_halving(lambda x, r: x, range(9), max_resources=9, on_result=3)
    with pytest.raises(ValueError, match="'on_result' parameter"):
        HyperbandSearchCV(SVC(), SPACE, on_result=3).fit(X, Y)


def test_plain_functions_print_evaluations_too(capsys):
    """``verbose=2``, whatever a configuration is."""
    successive_halving(lambda x, r: x, range(3), max_resources=3, verbose=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bracket")]
    assert [line.partition("; score")[0] for line in lines] == [
        *(f"bracket 0, level 1 of 2, resource=1, fold 0: {x}" for x in range(3)),
        "bracket 0, level 2 of 2, resource=3, fold 0: 0",
    ]


def test_the_end_is_told_when_time_is_over():
    """With the highest level that has a score, which is not the top."""
    told = []
    with pytest.warns(UserWarning, match="max_time"):
        search = searched(told.append, max_time=1e-9)
    assert told[-1]["event"] == "end"
    assert told[-1]["level"] == search.all_cv_results_["level"].max() == 0
    assert told[-1]["n_candidates"] == 1
