"""What a reader with a screen reader needs beside the structure (PDF/UA-1)."""

from collections.abc import Iterator, Mapping

from reports.pdf_objects.file_reader import FileReader
from reports.tagged.rule import FileRule, Rule
from reports.tagged.tree import Tree

__all__ = ["READING_RULES"]


def _title(file: FileReader, _tree: Tree) -> Iterator[str]:
    if file.pdf.Root.get("/ViewerPreferences", {}).get("/DisplayDocTitle") is not True:
        yield "a window would be named by the file and not by the title"
    with file.pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        if not str(metadata.get("dc:title") or "").strip():
            yield "the metadata hold no title"


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
