"""The page's program and style: the files of ``static/`` behind each other, and the hash that lets them run.

NiiVue, which draws in space, is the one library: a file of its own, as its makers released it (``vendored/``).
"""

import base64
import hashlib
from importlib.resources import files
from typing import Final

from pipeline.errors import OutputError

__all__ = ["LIBRARY_FILE", "LIBRARY_SHA256", "library", "library_hash", "program", "source_hash", "style"]

LIBRARY_FILE: Final = "niivue-0.69.0.umd.js"
LIBRARY_SHA256: Final = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"

_SCRIPTS: Final = (
    "elements", "payload", "case_files", "grid", "heatmap", "planes", "colours", "contours", "counts", "pane", "panes",
    "controls", "readout", "review", "sending", "case_view", "space_view", "cohort", "answers", "keys", "main",
)  # fmt: skip
"""The program's files in the order in which they are joined: each uses those before it."""

_SERVED_ALONE: Final = "space_view"
"""The file that asks for the library: a page that lies on a disk could not."""


def program(*, served: bool) -> str:
    """Return the whole program as one function, in strict mode; a ``served`` page's also draws in space."""
    parts = [_text(f"{name}.js") for name in _SCRIPTS if served or name != _SERVED_ALONE]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def style() -> str:
    """Return the style sheet."""
    return _text("page.css")


def source_hash(source: str) -> str:
    """Return what a content security policy names a source by."""
    return _named(hashlib.sha256(source.encode()).digest())


def library_hash() -> str:
    """Return what a content security policy names the library by."""
    return _named(bytes.fromhex(LIBRARY_SHA256))


def _named(digest: bytes) -> str:
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def library() -> bytes:
    """Return NiiVue as it was released.

    Raises:
        OutputError: when the installed file is another.
    """
    content = files("reports.viewer").joinpath("vendored", LIBRARY_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != LIBRARY_SHA256:
        raise OutputError(
            f"reports/viewer/vendored/{LIBRARY_FILE}: is not the file of this release; reinstall camaudit"
        )
    return content


def _text(name: str) -> str:
    return files("reports.viewer").joinpath("static", name).read_text(encoding="utf-8")
