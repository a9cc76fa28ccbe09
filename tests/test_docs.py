"""The documentation: its code runs, its words are explained, its pages can be reached."""

import doctest
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if "```python" in page.read_text())
ENGINES = ["dask", "ray"]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

# Names that a page uses without defining them, since it shows no whole program.
GIVEN = {
    "choosing": """
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from skhalving import HyperbandSearchCV, SuccessiveHalvingSearchCV
pipeline, space = SVC(), {"C": [1, 2, 3], "gamma": [0.1, 0.2, 0.3]}
X, y = load_digits(return_X_y=True)
"""
}


def sections():
    """(page, the code of a section), in order."""
    for page in PAGES:
        for text in re.split(r"^## ", page.read_text(), flags=re.MULTILINE):
            if blocks := BLOCK.findall(text):
                title = text.lstrip("# ").partition("\n")[0]
                if title not in ENGINES:
                    yield pytest.param(page.stem, blocks, id=f"{page.stem}: {title}")


@pytest.fixture(scope="module")
def names_of():
    """The names of a page, which its sections share."""
    modules = {}

    def of(page):
        if page not in modules:
            modules[page] = ModuleType(f"page_{page}")
            patch.setitem(sys.modules, f"page_{page}", modules[page])  # so that pickle finds it
            exec(GIVEN.get(page, ""), vars(modules[page]))
        return vars(modules[page])

    with pytest.MonkeyPatch.context() as patch:
        yield of


def missing(block):
    """Packages that a block imports and that are not installed."""
    names = re.findall(r"^(?:>>> )?(?:import|from) (\w+)", block, re.MULTILINE)
    return [name for name in names if find_spec(name) is None]


def run(block, names):
    """Run a block of statements, or of doctests, whose output must be what the page says."""
    test = doctest.DocTestParser().get_doctest(block, names, "block", None, 0)
    if not test.examples:
        exec(compile(block, "block", "exec"), names)
        return
    runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, clear_globs=False)
    names.update(test.globs)


def skip_if_missing(blocks):
    if names := sorted({name for block in blocks for name in missing(block)}):
        pytest.skip(f"needs {', '.join(names)}")


@pytest.mark.parametrize(("page", "blocks"), list(sections()))
def test_code_of_pages_runs(page, blocks, names_of, tmp_path, monkeypatch):
    """Every section's code runs, with warnings as errors, and prints what the page says."""
    skip_if_missing(blocks)
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        run(block, names_of(page))
    plt.close("all")


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_code_of_engines_runs(engine, tmp_path):
    """In a process of its own: ray replaces a backend of joblib for as long as a process lives."""
    page = (DOCS / "scaling.md").read_text()
    section = page.partition(f"\n## {engine}\n")[2].partition("\n## ")[0]
    blocks = BLOCK.findall(page.partition("\n## ")[0]) + BLOCK.findall(section)
    skip_if_missing(blocks)
    subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, check=True)


def test_every_page_can_be_reached_from_the_first():
    """A page that is in no table of contents is found by nobody."""
    listed = set(re.findall(r"^(\w+)$", (DOCS / "index.md").read_text(), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} <= listed | {"index"}


def test_glossary_is_in_order_and_has_no_word_that_nobody_uses():
    """Each of its words is on some other page; the build checks the links into it."""
    words = re.findall(r"^   (\w.*)$", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    pages = [*DOCS.glob("*.md"), *(DOCS / "examples").glob("*.py"), DOCS.parent / "README.md"]
    pages.remove(DOCS / "glossary.md")
    text = " ".join(" ".join(page.read_text().lower().split()) for page in pages)
    assert [word for word in words if word.lower() not in text] == []


def test_layout_names_every_file():
    """Who looks for where something is done finds each file of the package on one page."""
    page = (DOCS / "layout.md").read_text()
    files = [path.name for path in (DOCS.parent / "skhalving").glob("[!_]*.py")]
    assert [name for name in files if f"`{name}`" not in page] == []
