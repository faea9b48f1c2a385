"""The documentation as a site: ``make docs``. Markdown of this folder, examples that run, and the API of the packages.

Nothing is fetched: no intersphinx, no fonts or scripts of other hosts.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

from pipeline.program import camaudit_version

HERE = Path(__file__).parent
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE / "gallery")])  # examples start programs

project = "camaudit"
author = copyright = "the camaudit authors"
release = camaudit_version()
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery", "examples", "auto_examples/*.py.md5", "**/README.txt", "sg_execution_times.rst"]
html_theme = "furo"
html_title = f"camaudit {release}"
html_extra_path = ["../build/samples"] if (HERE / "../build/samples").is_dir() else []
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["config.cache", "myst.strikethrough"]

REPOSITORY = "https://github.com/camaudit/camaudit/blob/main/"


def pictures(_block: object, variables: Mapping[str, Any], gallery: Mapping[str, Any]) -> str:
    """Take the picture of an expression that ends a block, as a notebook would show it."""
    value = variables["example_globals"].get("___")
    draw = getattr(value, "_repr_png_", None)
    if draw is None:
        return ""
    variables["example_globals"]["___"] = None  # else the next block, which ends in no expression, would show it again
    path = Path(next(variables["image_path_iterator"]))
    path.write_bytes(draw())
    return str(figure_rst([str(path)], gallery["src_dir"]))


EXAMPLES = ("radiograph", "ultrasound", "magnetic_resonance", "ct", "real_mr", "real_ct", "one_formula", "audit")


class Order:
    """Where an example stands in the gallery: simple ones first."""

    def __init__(self, _folder: str) -> None:
        pass

    def __call__(self, name: str) -> int:
        """Return the place of a file."""
        return EXAMPLES.index(name.removeprefix("plot_").removesuffix(".py"))


sphinx_gallery_conf = {
    "within_subsection_order": Order,
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"phantoms\.py",
    "image_scrapers": (pictures, matplotlib_scraper),
    "capture_repr": ("_repr_html_",),
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "download_all_examples": False,
}


def _outward(_app: Sphinx, name: str, text: list[str]) -> None:
    """Let links that leave this folder lead to the repository: README, code, schemas, pictures of the first page."""
    if not name.startswith("auto_examples"):
        text[0] = re.sub(r"\]\(\.\./(?!docs/)", f"]({REPOSITORY}", text[0])
        text[0] = re.sub(r"\]\((examples|notebook\.ipynb)", rf"]({REPOSITORY}docs/\1", text[0])


def _shapes(_app: Sphinx, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Let the star of a shape (B, C, *S) be a star."""
    lines[:] = [re.sub(r"(?<![*`\\])\*(?=\w)", r"\\*", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Register what the pages need before they are read."""
    app.connect("source-read", _outward)
    app.connect("autodoc-process-docstring", _shapes)
