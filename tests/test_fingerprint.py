"""Fingerprints: equal in every process for equal code and values, and different otherwise."""

import json
import os
import re
import runpy
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import scipy
import sklearn
from scipy.stats import loguniform, uniform
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skhalving.fingerprint import stable, versions


def plain(x):
    return x


def test_values():
    """Equal values read the same, different ones do not, and no address is in the text."""
    values = [
        None, 1, 1.0, True, "1", [1], {"a": 1}, {1}, np.arange(3), np.arange(4), -0.0, 0.0,
        StandardScaler(), StandardScaler(with_mean=False), LogisticRegression, np.add, np.multiply,
        loguniform(1e-3, 1), loguniform(1e-2, 1), plain, lambda x: x + 1, lambda x: x + x, np.mean,
        partial(plain, 3), partial(plain, 4), len, "abc".join, "abd".join, np, json,
        make_scorer(f1_score), make_scorer(accuracy_score), make_scorer(f1_score, average="macro"),
        make_pipeline(StandardScaler(), FunctionTransformer(plain)), FunctionTransformer(np.log1p),
        LogisticRegression(C=2).fit, LogisticRegression(C=3).fit, object(), range(3), range(4),
        re.compile("a"), re.compile("b"),
    ]  # fmt: skip
    texts = [stable(value) for value in values]
    assert len(set(texts)) == len(texts)
    assert stable(np.float64(0.1)) == stable(0.1)
    assert stable((1, 2)) == stable([1, 2])
    assert stable({"b": plain, "a": 1}) == stable({"a": 1, "b": plain})
    assert not any(" at 0x" in text for text in texts)


def test_a_person_can_read_it():
    """What is installed is named, with its parameters as the user wrote them."""
    assert stable({"quality": uniform(0, 1)}) == "{'quality': uniform([0, 1], {})}"
    assert stable(StandardScaler()).endswith(
        ".StandardScaler({'copy': True, 'with_mean': True, 'with_std': True})"
    )


# Pairs of sources of one thing; a reader of byte code alone would not tell some of them apart.
CHANGED = {
    "a constant": ("def it(x): return x + 1", "def it(x): return x + 2"),
    "its type": ("def it(x): return x + 1", "def it(x): return x + 1.0"),
    "a global name": ("def it(a, b): return f1(a, b)", "def it(a, b): return accuracy(a, b)"),
    "a default": ("def it(x, by=1): return x", "def it(x, by=2): return x"),
    "a keyword's default": ("def it(x, *, by=1): return x", "def it(x, *, by=2): return x"),
    "an argument's name": ("def it(a, b): return a", "def it(b, a): return b"),
    "a lambda": ("it = lambda x: x * 2", "it = lambda x: x * 3"),
    "a closure": (
        "def make(k):\n def f(x): return x + k\n return f\nit = make(1)",
        "def make(k):\n def f(x): return x + k\n return f\nit = make(2)",
    ),
    "a function within": (
        "def it(x):\n def f(y): return y + 1\n return f(x)",
        "def it(x):\n def f(y): return y + 2\n return f(x)",
    ),
    "which errors are caught": (
        "def it(x):\n try: return f(x)\n except ValueError: return 0",
        "def it(x):\n try: return f(x)\n except TypeError: return 0",
    ),
    "how far errors are caught": (
        "def it(x):\n try:\n  f(x)\n  g(x)\n except ValueError:\n  pass",
        "def it(x):\n try:\n  f(x)\n except ValueError:\n  pass\n else:\n  g(x)",
    ),
    "a set of constants": ("def it(x): return x in {1, 2}", "def it(x): return x in {1, 3}"),
    "a constant of the module": (
        "K = 1\ndef it(x): return x * K",
        "K = 2\ndef it(x): return x * K",
    ),
    "a constant that a function within uses": (
        "K = 1\ndef it(x):\n def f(y): return y * K\n return f(x)",
        "K = 2\ndef it(x):\n def f(y): return y * K\n return f(x)",
    ),
    "a function that it calls": (
        "def f(x): return x + 1\ndef it(x): return f(x)",
        "def f(x): return x + 2\ndef it(x): return f(x)",
    ),
    "one that that one calls": (
        "def g(x): return x + 1\ndef f(x): return g(x)\ndef it(x): return f(x)",
        "def g(x): return x + 2\ndef f(x): return g(x)\ndef it(x): return f(x)",
    ),
    "an alias": (
        "from sklearn.metrics import f1_score as m\ndef it(a, b): return m(a, b)",
        "from sklearn.metrics import accuracy_score as m\ndef it(a, b): return m(a, b)",
    ),
    "an alias of a module": (
        "import math as m\ndef it(x): return m.sqrt(x)",
        "import cmath as m\ndef it(x): return m.sqrt(x)",
    ),
    "a method": (
        "class it:\n def fit(self): return 1",
        "class it:\n def fit(self): return 2",
    ),
    "a method of a base": (
        "class B:\n def fit(self): return 1\nclass it(B): pass",
        "class B:\n def fit(self): return 2\nclass it(B): pass",
    ),
    "which base": (
        "from sklearn.base import *\nclass it(ClassifierMixin, BaseEstimator): pass",
        "from sklearn.base import *\nclass it(RegressorMixin, BaseEstimator): pass",
    ),
    "a constant of a class": ("class it:\n k = 1", "class it:\n k = 2"),
    "a property": (
        "class it:\n @property\n def p(self): return 1",
        "class it:\n @property\n def p(self): return 2",
    ),
    "a static method": (
        "class it:\n @staticmethod\n def p(): return 1",
        "class it:\n @staticmethod\n def p(): return 2",
    ),
    "a class method": (
        "class it:\n @classmethod\n def p(cls): return 1",
        "class it:\n @classmethod\n def p(cls): return 2",
    ),
    "a cached property": (
        "from functools import *\nclass it:\n @cached_property\n def p(self): return 1",
        "from functools import *\nclass it:\n @cached_property\n def p(self): return 2",
    ),
    "what is cached": (
        "from functools import *\n@cache\ndef it(x): return 1",
        "from functools import *\n@cache\ndef it(x): return 2",
    ),
    "an object's class": (
        "class C:\n def __call__(self): return 1\nit = C()",
        "class C:\n def __call__(self): return 2\nit = C()",
    ),
    "an object's function": (
        "class C:\n def __init__(self, f): self.f = f\nit = C(lambda: 1)",
        "class C:\n def __init__(self, f): self.f = f\nit = C(lambda: 2)",
    ),
    "a bound method": (
        "class C:\n def f(self): return 1\nit = C().f",
        "class C:\n def f(self): return 2\nit = C().f",
    ),
    "a scorer's function": (
        "from sklearn.metrics import *\nit = make_scorer(lambda a, b: 1)",
        "from sklearn.metrics import *\nit = make_scorer(lambda a, b: 2)",
    ),
    "a partial's function": (
        "from functools import *\nit = partial(lambda a, b: 1, 0)",
        "from functools import *\nit = partial(lambda a, b: 2, 0)",
    ),
    "a transformer's function": (
        "from sklearn.preprocessing import *\nit = FunctionTransformer(lambda x: x)",
        "from sklearn.preprocessing import *\nit = FunctionTransformer(lambda x: -x)",
    ),
    "a transformer of one's own": (
        "from sklearn.base import *\nclass it(TransformerMixin, BaseEstimator):\n"
        " def transform(self, X): return X",
        "from sklearn.base import *\nclass it(TransformerMixin, BaseEstimator):\n"
        " def transform(self, X): return -X",
    ),
    "a distribution of one's own": (
        "from scipy.stats import *\nclass D(rv_continuous):\n def _pdf(self, x): return 1.0\n"
        "it = D(a=0, b=1)()",
        "from scipy.stats import *\nclass D(rv_continuous):\n def _pdf(self, x): return 2 * x\n"
        "it = D(a=0, b=1)()",
    ),
}


def defined(source):
    scope = {"__name__": "__main__"}
    exec(source, scope)
    return scope["it"]


@pytest.mark.parametrize("name", CHANGED)
def test_changed_code_reads_differently(name):
    """And code that is defined again, with other comments and on other lines, reads the same."""
    one, other = CHANGED[name]
    assert stable(defined(one)) != stable(defined(other))
    for source in (one, other):
        assert stable(defined(source)) == stable(defined(f"# a remark\n\n{source}  # and another"))


def test_a_module_of_ones_own(tmp_path, monkeypatch):
    """What is called by the name of a module that is not installed counts, what is not does not."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def text(helped, other):
        sys.modules.pop("helpers_of_mine", None)
        body = f"def metric(): return {helped}\ndef other(): return {other}"
        (tmp_path / "helpers_of_mine.py").write_text(body)
        return stable(defined("import helpers_of_mine as h\ndef it(): return h.metric()"))

    assert text(1, 1) == text(1, 2) != text(2, 1)
    sys.modules.pop("helpers_of_mine")


def test_an_installed_module(tmp_path, monkeypatch):
    """It goes by its names and its version, but what it makes has no name of its own."""
    (site := tmp_path / "site-packages").mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    body = "__version__ = '{0}'\ndef metric(): return {0}\ndef make(k): return lambda: k\n"

    def texts(version):
        sys.modules.pop("an_installed_one", None)
        (site / "an_installed_one.py").write_text(body.format(version))
        it = defined("import an_installed_one as it")
        assert versions(it.metric)["an_installed_one"] == f"{version}"
        return stable(it.metric), stable(it.make(1)), stable(it.make(2))

    before, after = texts(1), texts(2)
    assert before == after
    assert before[0] == "an_installed_one.metric"
    assert before[1] != before[2]
    sys.modules.pop("an_installed_one")


def test_cycles_end():
    """Functions, classes and objects may refer to themselves and to each other."""
    cyclic = [
        "def it(n): return it(n - 1)",
        "def f(n): return it(n)\ndef it(n): return f(n)",
        "class it:\n def f(self): return it()",
        "class it:\n def __init__(self): super().__init__()",
        "class C: pass\nit = C()\nit.me = it",
        "class C: pass\nit = C()\nit.f = lambda: it",
    ]
    texts = [stable(defined(source)) for source in cyclic]
    assert texts == [stable(defined(source)) for source in cyclic]
    assert len(set(texts)) == len(texts)


def test_what_counts_calls_is_not_code():
    """A number that a class or a function assigns to itself does not make it another."""
    counting = defined("class it:\n calls = 0\n seen = []\n def fit(self): it.calls += 1")
    before = stable(counting)
    counting().fit()
    counting.seen.append(1)
    assert stable(counting) == before
    counting = defined("n = 0\ndef it():\n global n\n n += 1")
    before = stable(counting)
    counting()
    assert stable(counting) == before


def test_chains_are_read_once():
    """A hundred functions, each of which calls the next two, take no time exponential in that."""
    source = "".join(f"def f{i}(): return f{i + 1}() + f{i + 2}()\n" for i in range(100))
    assert stable(defined(source + "it = f0")) == stable(defined(source + "it = f0"))


def test_sharing_is_not_seen():
    """An object in two places reads as two that are equal, since a clone has two of them."""
    Scale = defined("class it:\n def __init__(self, by): self.by = by")
    scaler, scale = StandardScaler(), Scale(1)
    assert stable([scaler, scaler]) == stable([scaler, StandardScaler()])
    assert stable([scale, scale]) == stable([scale, Scale(1)]) != stable([scale, Scale(2)])
    shared = make_pipeline(scaler, FunctionTransformer(scale), scaler)
    assert stable(clone(shared)) == stable(shared)


def test_an_unassigned_closure():
    """A cell may be empty yet."""

    def outer():
        def inner():
            return later

        text = stable(inner)
        later = 1
        return text, later

    assert outer()[0].startswith("test_an_unassigned_closure")


SCRIPT = """
from functools import partial
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
import numpy as np

NAMES = frozenset("abcdefgh")


def helper(x):
    return x if x in {"one", "two", "three"} else metric


def metric(y, z):
    return f1_score(y, z) + accuracy_score(y, z), helper(y), NAMES


class Mine(ClassifierMixin, BaseEstimator):
    names = NAMES
    def __init__(self, f=None):
        self.f = f
    def fit(self, X, y):
        return [metric for word in {"one", "two"}]


VALUES = [
    make_scorer(metric), Mine(lambda x: x + 1), {"f": [metric, partial(metric, 1)]}, NAMES,
    make_pipeline(StandardScaler(), FunctionTransformer(metric), Mine()), loguniform(1, 2),
    np.arange(3), {helper, metric, Mine}, Mine().fit, np.add,
]
if __name__ == "__main__":
    from skhalving.fingerprint import stable, versions
    print(*map(stable, VALUES), versions(*VALUES), sep="\\n")
"""


def test_the_same_in_every_process(tmp_path):
    """Whatever the seed of hashes, and run as a script, as a module or by ``runpy``."""
    path = tmp_path / "my_script.py"
    path.write_text(SCRIPT)
    ways = [[str(path)], ["-m", "my_script"]]
    texts = {
        subprocess.run(
            [sys.executable, *way],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, way in enumerate(ways)
    }
    values = runpy.run_path(str(path))["VALUES"]
    here = "\n".join([*map(stable, values), str(versions(*values)), ""])
    assert texts == {here}


def test_versions():
    """Of Python and what we stand on always, and of each package whose code is in the values."""
    import pandas

    found = versions(LogisticRegression())
    assert found == {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "sklearn": sklearn.__version__,
    }
    uses = defined("import pandas\ndef it(x): return pandas.DataFrame(x)")
    deep = make_pipeline(StandardScaler(), FunctionTransformer(uses))
    assert versions(deep)["pandas"] == pandas.__version__
    assert versions({"scorer": make_scorer(uses)})["pandas"] == pandas.__version__


def test_versions_of_packages_that_do_not_say(monkeypatch):
    """Then the installer's records are asked."""
    monkeypatch.delattr(sklearn, "__version__")
    from importlib.metadata import version

    assert versions()["sklearn"] == version("scikit-learn")
