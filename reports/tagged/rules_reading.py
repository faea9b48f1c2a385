"""What a reader with a screen reader needs beside the structure (PDF/UA-1)."""

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

import pikepdf

from reports.pdf_objects.file_reader import FileReader
from reports.tagged.rule import FileRule, Rule
from reports.tagged.tree import Tree

__all__ = ["READING_RULES"]

_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def _title(file: FileReader, _tree: Tree) -> Iterator[str]:
    if file.pdf.Root.get("/ViewerPreferences", {}).get("/DisplayDocTitle") is not True:
        yield "a window would be named by the file and not by the title"
    if not _said_title(file):
        yield "the metadata hold no title"


def _said_title(file: FileReader) -> str:
    """Return the title that the metadata say; pikepdf's own way to them reads the whole file."""
    metadata = file.pdf.Root.get("/Metadata")
    if not isinstance(metadata, pikepdf.Stream):
        return ""
    try:
        root = ElementTree.fromstring(metadata.read_bytes().decode("utf-8-sig").strip())
    except (ElementTree.ParseError, UnicodeDecodeError):
        return ""
    return next(("".join(title.itertext()).strip() for title in root.iter(_TITLE)), "")


def _order(file: FileReader, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(file.pages(), 1):
        if file.object(page).get("/Tabs") != "/S":
            yield f"the tab key does not follow the structure on page {number}"


def _labels(file: FileReader, _tree: Tree) -> Iterator[str]:
    numbers = list(file.pdf.Root.get("/PageLabels", {}).get("/Nums", []))
    if not numbers or numbers[0] != 0:
        yield "the pages have no labels"


def _words_of_links(file: FileReader, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(file.pages(), 1):
        for annotation in file.object(page).get("/Annots", []):
            if annotation.get("/Subtype") == "/Link" and not str(annotation.get("/Contents", "")).strip():
                yield f"a link of page {number} does not say where it leads"


def _words_of_fields(file: FileReader, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(file.pages(), 1):
        for annotation in file.object(page).get("/Annots", []):
            if annotation.get("/Subtype") == "/Widget" and not str(annotation.get("/TU", "")).strip():
                yield f"a form field of page {number} does not say what it is for"


def _first_heading(_file: FileReader, tree: Tree) -> Iterator[str]:
    if not tree.types["H1"] and not tree.types["H"]:
        yield "there is no heading of the first level"


READING_RULES: Mapping[str, Rule] = {
    "title": FileRule(_title), "tab order": FileRule(_order), "page labels": FileRule(_labels),
    "link words": FileRule(_words_of_links), "field words": FileRule(_words_of_fields),
    "first heading": FileRule(_first_heading),
}  # fmt: skip
"""The rules by name."""
