"""What a file needs to be read aloud at all: every mark has its element, every element its marks (level A)."""

import re
from collections.abc import Iterator, Mapping, Sequence

import pikepdf

from reports.pdf_objects.file_reader import FileReader
from reports.tagged.rule import BranchRule, FileRule, ObjectRule, Rule
from reports.tagged.tree import Node, Tree

__all__ = ["STRUCTURE_RULES"]

_STANDARD = frozenset({
    "Document", "Part", "Art", "Sect", "Div", "BlockQuote", "Caption", "TOC", "TOCI", "Index", "NonStruct", "Private",
    "P", "H", "H1", "H2", "H3", "H4", "H5", "H6", "L", "LI", "Lbl", "LBody", "Table", "TR", "TH", "TD", "THead",
    "TBody", "TFoot", "Span", "Quote", "Note", "Reference", "BibEntry", "Code", "Link", "Annot", "Ruby", "RB", "RT",
    "RP", "Warichu", "WT", "WP", "Figure", "Formula", "Form",
})  # fmt: skip
# what only holds other elements; words that stand in one of them belong to nothing
_GROUPS = frozenset({
    "Document", "Part", "Art", "Sect", "Div", "TOC", "TOCI", "L", "LI", "Table", "TR", "THead", "TBody", "TFoot",
})  # fmt: skip
_NO_CHARACTER = re.compile(rb">\s*<(?:0000|FEFF|FFFE)>", re.IGNORECASE)
_INSIDE = {
    "TR": ("Table", "THead", "TBody", "TFoot"),
    "TH": ("TR",),
    "TD": ("TR",),
    "LI": ("L",),
    "Lbl": ("LI", "Note", "Reference", "BibEntry", "Form"),
    "LBody": ("LI",),
    "TOCI": ("TOC",),
}


def _marked(file: FileReader, _tree: Tree) -> Iterator[str]:
    if file.pdf.Root.get("/MarkInfo", {}).get("/Marked") is not True:
        yield "the catalog does not say that the file is tagged (MarkInfo)"


def _whole(file: FileReader, tree: Tree) -> Iterator[str]:
    root = file.pdf.Root.get("/StructTreeRoot")
    if root is None or not tree.types:
        yield "there is no structure tree"
    elif "/ParentTree" not in root:
        yield "the structure tree has no tree of parents"
    yield from tree.faults


def _language(file: FileReader, _tree: Tree) -> Iterator[str]:
    if not str(file.pdf.Root.get("/Lang", "")).strip():
        yield "the catalog names no language"


def _content(_file: FileReader, tree: Tree) -> Iterator[str]:
    for number, page in enumerate(tree.pages, 1):
        if page.unmarked:
            yield f"page {number} paints {page.unmarked} times outside every mark"
        if page.nested:
            yield f"page {number} opens {page.nested} marks inside others"
        if page.crossed:
            yield f"page {number} has marks that cross a text or a path, or do not end"


def _marks(_file: FileReader, tree: Tree) -> Iterator[str]:
    for page, marks in enumerate(tree.pages, 1):
        for number in sorted(number for number, owner in zip(marks.numbers, marks.owners, strict=True) if not owner):
            yield f"mark {number} of page {page} belongs to no element"
        for number in sorted(set(marks.strays)):
            yield f"mark {number} of page {page} is in an element and not on the page"
        for number in sorted(set(marks.shared)):
            yield f"mark {number} of page {page} belongs to several elements"
        for number in marks.twice:
            yield f"page {page} has mark {number} twice"


def _parents(file: FileReader, tree: Tree) -> Iterator[str]:
    for place, (page, marks) in enumerate(zip(file.pages(), tree.pages, strict=True), 1):
        key = file.object(page).get("/StructParents")
        listed = tree.parents.get(int(key)) if key is not None else None
        if not marks.numbers:
            continue
        if listed is None or isinstance(listed, int):
            yield f"page {place} is not in the tree of parents"
            continue
        for number, owner in sorted(zip(marks.numbers, marks.owners, strict=True)):
            if owner and (number >= len(listed) or listed[number] != owner):
                yield f"the tree of parents gives mark {number} of page {place} to another element"


def _roles(_file: FileReader, tree: Tree) -> Iterator[str]:
    for name, many in tree.types.items():
        if name not in _STANDARD:
            yield f"{many} elements are of the type {name}, which is no standard type"


def _links(file: FileReader, tree: Tree) -> Iterator[str]:
    for number, page in enumerate(file.pages(), 1):
        for annotation in file.object(page).get("/Annots", []):
            tag, owner = tree.annotated.get(annotation.objgen, ("", 0))
            if not tag:
                yield f"an annotation of page {number} is in no element"
            elif annotation.get("/Subtype") == "/Link" and tag != "Link":
                yield f"a link of page {number} is in a {tag}"
            elif annotation.get("/Subtype") == "/Widget" and tag != "Form":
                yield f"a form field of page {number} is in a {tag}"
            elif tree.parents.get(int(annotation.get("/StructParent", -1))) != owner:
                yield f"the tree of parents gives an annotation of page {number} to another element"


def _tags(branch: Sequence[Node], tree: Tree) -> Iterator[str]:
    for node in branch:
        for page, number in node.marks:
            tag = tree.pages[page].tag(number)
            if tag is not None and tag != node.name.lstrip("/"):
                yield f"mark {number} of page {page + 1} is a {tag} on the page and a {node.tag} in the tree"


def _nesting(branch: Sequence[Node], _tree: Tree) -> Iterator[str]:
    for node in branch:
        above = node.parent.tag if node.parent is not None else "nothing"
        if node.tag in _INSIDE and above not in _INSIDE[node.tag]:
            yield f"a {node.tag} stands in {above}"
        if node.marks and node.tag in _GROUPS:
            yield f"a {node.tag} holds words or drawings of its own, which belong to nothing that is read"


def _figures(branch: Sequence[Node], _tree: Tree) -> Iterator[str]:
    for node in branch:
        if node.tag in ("Figure", "Formula") and not node.alt:
            page = next((f" on page {page + 1}" for page, _ in node.marks), "")
            yield f"a {node.tag.lower()}{page} has no alternative text"


def _cells(branch: Sequence[Node], _tree: Tree) -> Iterator[str]:
    for node in branch:
        if node.tag == "TH" and node.attributes.get("/Scope") not in ("/Row", "/Column", "/Both"):
            yield "a header cell does not say whether it heads a row or a column"


def _tables(branch: Sequence[Node], tree: Tree) -> Iterator[str]:
    tables = [node for node in branch if node.tag == "Table"]
    for number, table in enumerate(tables, tree.types["Table"] - len(tables) + 1):
        rows = [row for row in _rows(table) if row.kids]
        if not rows:
            yield f"table {number} has no row"
        widths = _widths(rows)
        if len(set(widths)) > 1:
            yield f"the rows of table {number} have {min(widths)} to {max(widths)} columns"
        if rows and not any(cell.tag == "TH" for row in rows for cell in row.kids):
            yield f"table {number} has no header cell"


def _rows(table: Node) -> Iterator[Node]:
    for kid in table.kids:
        if kid.tag == "TR":
            yield kid
        elif kid.tag in ("THead", "TBody", "TFoot"):
            yield from _rows(kid)


def _widths(rows: list[Node]) -> list[int]:
    """Return how many columns each row has, with those that cells of earlier rows reach down into."""
    widths = [0] * len(rows)
    for place, row in enumerate(rows):
        for cell in row.kids:
            columns, deep = (int(cell.attributes.get(name, 1)) for name in ("/ColSpan", "/RowSpan"))
            for reached in range(place, min(place + deep, len(rows))):
                widths[reached] += columns
    return widths


def _headings(_file: FileReader, tree: Tree) -> Iterator[str]:
    last = 0
    for level in tree.headings:
        if level > last + 1:
            yield f"a heading of level {level} follows one of level {last}" if last else f"the first is H{level}"
        last = level


def _unicode(font: pikepdf.Object, _file: FileReader) -> Iterator[str]:
    if not isinstance(font, pikepdf.Dictionary) or font.get("/Type") != "/Font" or "/Subtype" not in font:
        return
    if str(font.Subtype) in ("/CIDFontType0", "/CIDFontType2"):  # part of another
        return
    name = str(font.get("/BaseFont", ""))[:60]
    if "/ToUnicode" not in font:
        yield f"the font {name} does not say which characters it shows"
    elif _NO_CHARACTER.search(font.ToUnicode.read_bytes()):
        yield f"the font {name} says of a code that it shows no character"


STRUCTURE_RULES: Mapping[str, Rule] = {
    "marked": FileRule(_marked), "tree": FileRule(_whole), "language": FileRule(_language),
    "content": FileRule(_content), "marks": FileRule(_marks), "parents": FileRule(_parents), "tags": BranchRule(_tags),
    "roles": FileRule(_roles), "nesting": BranchRule(_nesting), "links": FileRule(_links),
    "figures": BranchRule(_figures), "header cells": BranchRule(_cells), "tables": BranchRule(_tables),
    "headings": FileRule(_headings), "unicode": ObjectRule(_unicode),
}  # fmt: skip
"""The rules by name."""
