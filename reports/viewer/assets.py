"""The page's program and style: the files of ``static/`` behind each other, and the hash that lets them run."""

import base64
import hashlib
from importlib.resources import files
from typing import Final

__all__ = ["program", "source_hash", "style"]

_SCRIPTS: Final = (
    "elements", "payload", "grid", "heatmap", "planes", "colours", "contours", "counts", "pane", "panes", "controls",
    "readout", "review", "sending", "case_view", "cohort", "answers", "keys", "main",
)  # fmt: skip
"""The program's files in the order in which they are joined: each uses those before it."""


def program() -> str:
    """Return the whole program as one function, in strict mode."""
    parts = [_text(f"{name}.js") for name in _SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def style() -> str:
    """Return the style sheet."""
    return _text("page.css")


def source_hash(source: str) -> str:
    """Return what a content security policy names a source by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return files("reports.viewer").joinpath("static", name).read_text(encoding="utf-8")
