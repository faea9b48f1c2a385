"""What a reader with a screen reader needs beside the structure (PDF/UA-1)."""

from collections.abc import Iterator

import pikepdf

from reports.tagged.tree import Tree

__all__ = ["READING_RULES"]


def _title(pdf: pikepdf.Pdf, _tree: Tree) -> Iterator[str]:
    if pdf.Root.get("/ViewerPreferences", {}).get("/DisplayDocTitle") is not True:
        yield "a window would be named by the file and not by the title"
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        if not str(metadata.get("dc:title") or "").strip():
            yield "the metadata hold no title"


def _order(pdf: pikepdf.Pdf, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(pdf.pages, 1):
        if page.obj.get("/Tabs") != "/S":
            yield f"the tab key does not follow the structure on page {number}"


def _labels(pdf: pikepdf.Pdf, _tree: Tree) -> Iterator[str]:
    numbers = list(pdf.Root.get("/PageLabels", {}).get("/Nums", []))
    if not numbers or numbers[0] != 0:
        yield "the pages have no labels"


def _words_of_links(pdf: pikepdf.Pdf, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(pdf.pages, 1):
        for annotation in page.get("/Annots", []):
            if annotation.get("/Subtype") == "/Link" and not str(annotation.get("/Contents", "")).strip():
                yield f"a link of page {number} does not say where it leads"


def _words_of_fields(pdf: pikepdf.Pdf, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(pdf.pages, 1):
        for annotation in page.get("/Annots", []):
            if annotation.get("/Subtype") == "/Widget" and not str(annotation.get("/TU", "")).strip():
                yield f"a form field of page {number} does not say what it is for"


def _first_heading(_pdf: pikepdf.Pdf, tree: Tree) -> Iterator[str]:
    if not any(node.tag in ("H1", "H") for node in tree.nodes):
        yield "there is no heading of the first level"


READING_RULES = {
    "title": _title, "tab order": _order, "page labels": _labels, "link words": _words_of_links,
    "field words": _words_of_fields,
    "first heading": _first_heading,
}  # fmt: skip
"""The rules by name."""
