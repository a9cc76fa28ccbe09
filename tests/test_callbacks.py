"""What a search shows while it runs: scikit-learn's callbacks (1.9 or newer) and ``verbose``."""

import contextlib
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections import Counter

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV

from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV

# scikit-learn warns so about any search whose estimator does not support callbacks.
pytestmark = pytest.mark.filterwarnings("ignore:The estimator .* does not support callbacks")

X = np.random.RandomState(0).normal(size=(90, 3))
y = (X[:, 0] > 0).astype(int)
SPACE = {"a": list(range(17))}  # what a ladder of three levels asks for


class Guess(ClassifierMixin, BaseEstimator):
    """Scores ``a``; fails for the values in ``bad``."""

    def __init__(self, a=0, bad=()):
        self.a = a
        self.bad = bad

    def fit(self, X, y, sample_weight=None):
        if self.a in self.bad:
            raise RuntimeError("bad guess")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y, sample_weight=None):
        return self.a / 100


class CannotRefit(Guess):
    """Fits as long as it does not see all rows."""

    def fit(self, X, y):
        if len(X) == 90:
            raise RuntimeError("no refit")
        return super().fit(X, y)


def hyperband(estimator=None, **options):
    """Three levels, (30, 1), (90, 1) and (90, 3), and a bracket from each of them."""
    options = {"min_resources": 30, "cv": 3, "random_state": 0, **options}
    return HyperbandSearchCV(estimator or Guess(), SPACE, **options)


@pytest.fixture
def callbacks():
    """scikit-learn's module of callbacks."""
    return pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")


@pytest.fixture
def recording(callbacks):
    """A callback that remembers every hook."""
    from sklearn.callback.tests._utils import RecordingCallback

    return RecordingCallback()


def names(recording, hook):
    """How often ``hook`` was called for the tasks of each name; levels go by one name."""
    return Counter(
        "level" if "candidates," in entry["context"].task_name else entry["context"].task_name
        for entry in recording.record
        if entry["name"] == hook
    )


def threads_of(search):
    """The kinds of threads that a fit leaves; how many workers came to talk is up to chance."""
    before = set(threading.enumerate())
    search.fit(X, y)
    left = set(threading.enumerate()) - before
    for thread in left:
        if type(thread) is not threading.Thread:
            thread.join(5)  # told to stop, `rich` takes a moment
    return {re.sub(r"-\d+", "", thread.name) for thread in left if thread.is_alive()}


# -- callbacks --------------------------------------------------------------------------------


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_hooks(recording, n_jobs, refit):
    """One root, a task for each level, a leaf for each fit, one refit; each begins and ends once,
    whatever ``n_jobs``."""
    search = hyperband(n_jobs=n_jobs, refit=refit).set_callbacks(recording).fit(X, y)
    assert len(search.n_resources_) == 3
    assert recording.count_hooks("setup") == recording.count_hooks("teardown") == 1
    expected = Counter(
        {
            "fit": 1,
            "level": 3,
            "candidate-split-evaluation": search.schedule_.n_fits,
            "refit-with-best-params": int(refit),
        }
    )
    assert names(recording, "on_fit_task_begin") == expected
    assert names(recording, "on_fit_task_end") == expected


def test_tasks_form_a_tree(recording):
    """Levels and the refit hang on the root, in the order in which they ran; fits on their level;
    each says beforehand how many tasks it has."""
    search = hyperband().set_callbacks(recording).fit(X, y)
    first = recording.record[1]["context"]
    root = first if first.parent is None else first.parent
    children = list(root._children_map.values())
    assert len(children) == root.max_subtasks == 4
    assert [len(child._children_map) for child in children] == [
        *(search.schedule_.fits_at(level) for level in range(3)),
        0,
    ]
    assert [child.max_subtasks for child in children[:3]] == [
        len(child._children_map) for child in children[:3]
    ]
    shown = [child.task_name for child in children[:3]]
    for name, n, amount, folds in zip(
        shown, search.n_candidates_, search.n_resources_, (1, 1, 3), strict=True
    ):
        assert name == f"{n} candidates, n_samples={amount}, {folds} of 3 folds"


def test_hooks_know_the_search(recording):
    """Every hook gets the search that the user made; root and refit get all of X and y, and a leaf
    the rows of its fit."""
    search = hyperband().set_callbacks(recording).fit(X, y)
    assert all(entry["estimator"] is search for entry in recording.record)
    seen = {"fit": set(), "candidate-split-evaluation": set(), "refit-with-best-params": set()}
    for entry in recording.record:
        name = entry["context"].task_name
        if name in seen and entry["name"].startswith("on_fit"):
            seen[name].add((len(entry["kwargs"]["X"]), len(entry["kwargs"]["y"])))
    assert seen == {
        "fit": {(90, 90)},
        "candidate-split-evaluation": {(20, 20), (60, 60)},
        "refit-with-best-params": {(90, 90)},
    }


def test_hooks_receive_sample_weight(recording):
    """``sample_weight`` reaches the hooks as metadata: whole at the root, cut at a leaf."""
    weight = np.arange(90.0)
    hyperband().set_callbacks(recording).fit(X, y, sample_weight=weight)
    for entry in recording.record:
        name = entry["context"].task_name
        if name == "candidate-split-evaluation":
            assert entry["kwargs"]["metadata"]["sample_weight"].shape == (
                len(entry["kwargs"]["X"]),
            )
        elif name == "refit-with-best-params":
            np.testing.assert_array_equal(entry["kwargs"]["metadata"]["sample_weight"], weight)


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_failed_fits_end_too(recording):
    """Fits that fail are tasks like others: as many begin as end."""
    search = hyperband(Guess(bad=(3, 4))).set_callbacks(recording)
    with pytest.warns(Warning, match="fits failed"):
        search.fit(X, y)
    begun, ended = (names(recording, f"on_fit_task_{when}") for when in ("begin", "end"))
    assert begun == ended
    assert begun["candidate-split-evaluation"] == search.schedule_.n_fits


@pytest.mark.parametrize(
    ("estimator", "message"), [(Guess(bad=(3,)), "bad guess"), (CannotRefit(), "no refit")]
)
def test_teardown_after_an_exception(recording, estimator, message):
    """Callbacks are torn down once when a fit or the refit raises, and the next ``fit`` of the same
    search starts anew."""
    search = hyperband(estimator, error_score="raise").set_callbacks(recording)
    with pytest.raises(RuntimeError, match=message):
        search.fit(X, y)
    assert recording.count_hooks("setup") == recording.count_hooks("teardown") == 1
    search.set_params(estimator=Guess()).fit(X, y)
    assert recording.count_hooks("setup") == recording.count_hooks("teardown") == 2
    assert names(recording, "on_fit_task_end")["fit"] == 1


def test_teardown_after_a_bad_argument(recording):
    """A refused argument leaves nothing set up."""
    with pytest.raises(ValueError, match="n_nothing"):
        hyperband(resource="n_nothing").set_callbacks(recording).fit(X, y)
    assert recording.count_hooks("setup") == recording.count_hooks("teardown")


def test_shared_evaluations_are_one_task(recording):
    """A point that the grid repeats is fitted once, and shown once."""
    search = SuccessiveHalvingSearchCV(Guess(), {"a": [1, 1, 2]}, cv=3, folds="all", factor=10**6)
    search.set_callbacks(recording).fit(X, y)
    assert names(recording, "on_fit_task_end")["candidate-split-evaluation"] == 6


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_propagation(callbacks, n_jobs):
    """A callback that goes down to the estimators sees the iterations of every fit."""
    from sklearn.callback.tests._utils import MaxIterEstimator, RecordingAutoPropagatedCallback

    recording = RecordingAutoPropagatedCallback()
    search = SuccessiveHalvingSearchCV(
        MaxIterEstimator(),
        {"max_iter": [2, 3, 4]},
        cv=2,
        scoring="r2",
        n_jobs=n_jobs,
        min_resources=90,
        factor=2,
    )
    search.set_callbacks(recording).fit(X, y)
    results = search.all_cv_results_
    one_fold_first = results["n_folds"] - (results["n_folds"] > 1)
    iterations = sum(
        params["max_iter"] * n for params, n in zip(results["params"], one_fold_first, strict=True)
    )
    n_tasks = 1 + 2 + search.schedule_.n_fits + 1  # root, levels, fits, refit
    expected = n_tasks + iterations + search.best_estimator_.n_iter_
    assert recording.count_hooks("on_fit_task_begin") == expected
    assert recording.count_hooks("on_fit_task_end") == expected


def test_inside_another_search(callbacks):
    """A search around ours hands its callbacks down as it does to GridSearchCV: one set-up, and a
    task for each search and each refit."""
    from sklearn.callback.tests._utils import RecordingAutoPropagatedCallback

    def tasks(inner, space):
        recording = RecordingAutoPropagatedCallback()
        GridSearchCV(inner, space, cv=2).set_callbacks(recording).fit(X, y)
        assert recording.count_hooks("setup") == recording.count_hooks("teardown") == 1
        begun, ended = (names(recording, f"on_fit_task_{when}") for when in ("begin", "end"))
        assert begun == ended
        return begun

    ours = tasks(hyperband(), {"factor": [2, 3]})
    theirs = tasks(GridSearchCV(Guess(), {"a": [1]}, cv=3), {"cv": [2, 3]})
    for name in ("fit", "refit-with-best-params"):
        assert ours[name] == theirs[name] > 0


def test_without_callbacks_there_are_no_contexts(callbacks, monkeypatch):
    """Nobody listens: no context is made, since each would be pickled with every task."""

    def fail(*args, **kwargs):
        raise AssertionError("a context was made")

    monkeypatch.setattr(HyperbandSearchCV, "_init_callback_context", fail)
    hyperband().fit(X, y)


def test_results_do_not_depend_on_callbacks(recording):
    """Watching changes nothing."""
    watched = hyperband().set_callbacks(recording).fit(X, y)
    alone = hyperband().fit(X, y)
    assert watched.best_index_ == alone.best_index_
    assert watched.all_cv_results_["params"] == alone.all_cv_results_["params"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bar(callbacks, capsys, n_jobs):
    """ProgressBar shows the search and each of its levels, all at 100 %, and leaves no threads but
    those that scikit-learn leaves after GridSearchCV."""
    grid = GridSearchCV(Guess(), {"a": [1, 2]}, cv=3, n_jobs=n_jobs)
    grid.set_callbacks(callbacks.ProgressBar())
    grid.fit(X, y)  # starts the workers, whose threads stay for the next call
    theirs = threads_of(grid)
    capsys.readouterr()

    search = hyperband(n_jobs=n_jobs).set_callbacks(callbacks.ProgressBar())
    ours = threads_of(search)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(search.n_resources_)
    assert all("HyperbandSearchCV" in line and "100%" in line for line in lines)
    assert [line for line in lines[1:] if "candidates" not in line] == []
    assert ours <= theirs
    assert "RichProgressMonitor" not in {type(thread).__name__ for thread in threading.enumerate()}


def test_process_exits(callbacks):
    """A script with a ProgressBar ends by itself: after searches on one process and on two, after
    an error of a fit and after a bad argument."""
    script = """
        import numpy as np
        from sklearn.callback import ProgressBar
        from sklearn.dummy import DummyClassifier
        from skhalving import HyperbandSearchCV

        def search(strategies, **options):
            HyperbandSearchCV(
                DummyClassifier(), {"strategy": strategies}, cv=3, error_score="raise", **options
            ).set_callbacks(ProgressBar()).fit(np.zeros((90, 1)), np.arange(90) % 2)

        for bad, options in (["prior", "none"], {}), (["prior"], {"resource": "n_nothing"}):
            try:
                search(bad, **options)
            except ValueError as error:
                print("ended by", error)
        for n_jobs in (1, 2):
            search(["prior", "uniform"], n_jobs=n_jobs)
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.search("(?s)ended by .*'none'.*ended by .*'n_nothing'.*done\n$", done.stdout)


# -- verbose ----------------------------------------------------------------------------------


LINE = re.compile(
    r"level (?P<level>\d) of 3: (?P<n>\d+) candidates, n_samples=(?P<amount>\d+), "
    r"(?P<folds>\d) folds?, (?P<fits>\d+) (fits|evaluations); best (?P<best>[\d.]+|nan); "
    r"(?P<elapsed>[\d.]+) s elapsed(, about (?P<left>[\d.]+) s left)?"
)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_verbose_prints_a_line_a_level(capsys, n_jobs):
    """``verbose=1``: candidates, resource, folds, fits, best, elapsed and left."""
    search = hyperband(verbose=1, n_jobs=n_jobs).fit(X, y)
    shown = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]
    assert len(shown) == 3
    assert None not in shown
    assert [int(line["n"]) for line in shown] == search.n_candidates_
    assert [int(line["amount"]) for line in shown] == search.n_resources_
    assert [int(line["folds"]) for line in shown] == [1, 1, 3]
    assert [int(line["fits"]) for line in shown] == [search.schedule_.fits_at(i) for i in range(3)]
    assert float(shown[-1]["best"]) == search.best_score_
    elapsed = [float(line["elapsed"]) for line in shown]
    assert elapsed == sorted(elapsed)
    assert [line["left"] is None for line in shown] == [False, False, True]


def test_verbose_2_prints_a_line_an_evaluation(capsys):
    """Each says the bracket, the level, the amount, the fold, the parameters, score and seconds."""
    search = hyperband(verbose=2).fit(X, y)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bracket")]
    assert len(lines) == search.n_fits_
    form = r"bracket \d, level \d of 3, n_samples=\d+, fold \d: a=\S+; score=[\d.e-]+; \d+\.\d\d s"
    assert [line for line in lines if not re.fullmatch(form, line)] == []


def test_verbose_0_is_silent(capsys):
    """By default nothing is printed."""
    hyperband().fit(X, y)
    assert capsys.readouterr() == ("", "")


def test_verbose_with_failures(capsys):
    """A level where all fits fail prints nan as its best."""
    with pytest.raises(ValueError, match="fits failed"):
        hyperband(FailsOnFewRows(), verbose=1).fit(X, y)
    best = [LINE.fullmatch(line)["best"] for line in capsys.readouterr().out.splitlines()]
    assert best == ["nan"]


class FailsOnFewRows(Guess):
    def fit(self, X, y):
        if len(X) < 50:
            raise RuntimeError("too few")
        return super().fit(X, y)


@pytest.mark.filterwarnings("ignore:n_candidates=")
def test_verbose_shows_a_parameter_as_resource(capsys):
    """The line names the resource by what the user called it."""
    hyperband(resource="a", estimator=Guess(a=9), min_resources=1, verbose=1).set_params(
        param_distributions={"bad": [(1000,), (1001,), (1002,)]}
    ).fit(X, y)
    assert "a=9, 3 folds" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_progress_in_a_terminal(tmp_path):
    """What a person sees: a bar for each level with its candidates and resource, all full."""
    import pty

    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "from sklearn.callback import ProgressBar\n"
        "from sklearn.dummy import DummyClassifier\n"
        "from skhalving import SuccessiveHalvingSearchCV\n"
        "search = SuccessiveHalvingSearchCV(\n"
        "    DummyClassifier(), {'constant': list(range(9))}, min_resources=30, cv=3\n"
        ").set_callbacks(ProgressBar())\n"
        "search.fit(np.zeros((90, 2)), np.arange(90) % 3)\n"
    )
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    with subprocess.Popen(
        [sys.executable, script], stdout=child, stderr=child, env=environment
    ) as process:
        os.close(child)
        seen = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(parent, 4096):
                seen += part
    os.close(parent)
    assert process.returncode == 0, seen
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    for level in ("9 candidates, n_samples=30, 1 of 3", "3 candidates, n_samples=90, 1 of 3"):
        assert level in text
    assert "100%" in text.splitlines()[-1] or text.count("100%") >= 3
