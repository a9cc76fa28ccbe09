"""Sphinx, with ``sphinx-build -W -b html docs docs/_build``: a warning is an error."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import skhalving

project = "skhalving"
author = "The skhalving developers"
copyright = author  # noqa: A001
version = release = skhalving.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]  # the cards of the first page

# The public names have a page of their own, where each is shown with its methods.
autosummary_generate = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"
numpydoc_show_class_members = False

# Every example is run, not only those named plot_*, and an example that fails makes the build fail.
# Without torch the torch example would end the whole build, so it is shown but not run; the same
# holds for the trackers.
absent = [name for name in ("mlflow", "torch", "wandb") if not find_spec(name)]
run_examples = rf"/(?!({'|'.join(absent)})_)\w+\.py$" if absent else r"\.py$"
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": run_examples,
    "abort_on_example_error": True,
    "default_thumb_file": str(Path(__file__).parent / "images" / "scores.png"),
    "show_memory": False,
    "min_reported_time": 0,
    "download_all_examples": False,
}
# The gallery would draw into a window, which a build does not have.
warnings.filterwarnings("ignore", message=".*non-interactive.*")

html_theme = "pydata_sphinx_theme"
html_title = "skhalving"
html_show_sourcelink = False
smartquotes_action = "De"  # quotes stay as they are: most are code

# All pages are listed on the left, and none in the bar above, since they are few and have no
# sections.
html_sidebars = {"**": ["globaltoc.html"]}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_center": [],
    # The tables of the benchmarks need the room.
    "secondary_sidebar_items": {"**": ["page-toc"], "benchmarks": []},
}
