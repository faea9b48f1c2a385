"""A report read back: the files that it carries, and the words on its pages."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pikepdf

from pipeline.errors import OutputError

__all__ = ["PrintedReport", "read_report", "shown_words"]

_CHARACTER = re.compile(rb"<([0-9A-Fa-f]{2})> <([0-9A-Fa-f]{4})>")
_LARGEST = 2**31  # bytes of a report


@dataclass(frozen=True)
class PrintedReport:
    """``files`` are the attachments by name; ``pages`` holds the words of each page, without any white space."""

    files: Mapping[str, bytes]
    pages: tuple[str, ...]


def read_report(path: Path) -> PrintedReport:
    """Read a report's attachments and pages.

    Raises:
        OutputError: when it is missing or is no PDF that can be read.
    """
    with _reading(path), pikepdf.open(path) as pdf:
        files = {name: bytes(file.get_file().read_bytes()) for name, file in pdf.attachments.items()}
        return PrintedReport(files, tuple(_words(page) for page in pdf.pages))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        if path.stat().st_size > _LARGEST:
            raise OutputError(f"{path.name}: is larger than any report")
        yield
    except OSError as error:
        raise OutputError(f"{path.name}: cannot be read: {error.strerror or error}") from error
    except (pikepdf.PdfError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise OutputError(f"{path.name}: is no PDF that can be read") from error


def _words(page: pikepdf.Page) -> str:
    return shown_words(page.obj, page.resources)


def shown_words(drawn: pikepdf.Object, resources: pikepdf.Object) -> str:
    """Return what a page or a form shows, without white space; its fonts say which character each byte is."""
    fonts = {name: _characters(font) for name, font in resources.get("/Font", {}).items()}
    words, characters = [], {}
    for operation in pikepdf.parse_content_stream(drawn, "Tf Tj"):
        if str(operation.operator) == "Tf":
            characters = fonts.get(str(operation.operands[0]), {})
        else:
            words += [characters.get(code, "") for code in bytes(operation.operands[0])]
    return "".join("".join(words).split())


def _characters(font: pikepdf.Object) -> dict[int, str]:
    cmap = font.get("/ToUnicode")
    if cmap is None:
        return {}
    return {int(code, 16): chr(int(point, 16)) for code, point in _CHARACTER.findall(cmap.read_bytes())}
