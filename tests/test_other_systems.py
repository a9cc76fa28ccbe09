"""Searches without what Windows and macOS lack or do differently, which these tests take away."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV, store

X = np.random.RandomState(0).normal(size=(90, 3))
y = np.arange(90) % 2
GRID = {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5, 9]}


def test_without_alarm_signals(monkeypatch):
    """``fit_timeout`` is refused by ``plan`` and ``fit``; a search without it needs no signal."""
    monkeypatch.delattr(signal, "setitimer")
    monkeypatch.delattr(signal, "SIGALRM")
    search = HyperbandSearchCV(DecisionTreeClassifier(random_state=0), GRID)
    search.fit(X, y)
    for method in (search.plan, search.fit):
        search.set_params(fit_timeout=3)
        with pytest.raises(ValueError, match=r"fit_timeout=3.0 needs .* alarm signals; pass None"):
            method(X, y)


def test_where_no_process_can_be_looked_for(tmp_path, monkeypatch):
    """On Windows signal 0 would end the process: nothing is swept there, and nothing is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with store.temporary_folder() as folder:
            name = os.path.basename(folder).replace(f"-{os.getpid()}-", f"-{other.pid}-")
            os.mkdir(tmp_path / name)
        with monkeypatch.context() as patch:
            patch.setattr(store.os, "name", "nt")
            with store.temporary_folder():
                assert (tmp_path / name).exists()
        assert other.poll() is None
        other.communicate(b"\n")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_paths_with_blanks_and_letters_of_other_languages(tmp_path, monkeypatch, n_jobs):
    """Of the journal and of the temporary folder; models go on through the latter."""
    folder = tmp_path / "a folder, of Jürgen's"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    search = SuccessiveHalvingSearchCV(
        RandomForestClassifier(random_state=0),
        {"max_depth": list(range(1, 10))},
        resource="n_estimators",
        max_resources=9,
        journal=folder / "my jöurnal.jsonl",
        cv=2,
        n_jobs=n_jobs,
    )
    assert search.fit(X, y).all_cv_results_["continued"].any()
    assert search.fit(X, y).n_fits_ == 0


def test_a_journal_goes_by_the_file_and_not_by_the_letters(tmp_path):
    """Where upper and lower case are one file, as a link stands for here, a second writer is
    refused by either name."""
    from skhalving.journal import Journal

    path, other = tmp_path / "journal", tmp_path / "JOURNAL"
    first = Journal(path)
    first.begin(0, {})
    os.link(path, other)
    with pytest.raises(BlockingIOError, match="another process"):
        Journal(other).begin(0, {})
    first.close()


def test_processes_that_are_spawned(tmp_path):
    """As on Windows and macOS: a script with a main guard, its classes defined in it."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing
            import joblib
            import numpy as np
            from sklearn.tree import DecisionTreeClassifier
            from skhalving import HyperbandSearchCV

            class Tree(DecisionTreeClassifier):
                pass

            if __name__ == "__main__":
                multiprocessing.set_start_method("spawn")
                X, y = np.random.RandomState(0).normal(size=(90, 3)), np.arange(90) % 2
                search = HyperbandSearchCV(
                    Tree(random_state=0), {"max_depth": [1, 2, 3, 4, 5]}, random_state=0, n_jobs=2
                )
                with joblib.parallel_config(backend="multiprocessing"):
                    found = search.fit(X, y).cv_results_["mean_test_score"].tolist()
                alone = search.set_params(n_jobs=1).fit(X, y)
                assert found == alone.cv_results_["mean_test_score"].tolist()
            """
        )
    )
    subprocess.run([sys.executable, script], check=True, timeout=240)
