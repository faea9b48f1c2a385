"""A finished file's structure tree, read back branch by branch as it stands there."""

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from types import MappingProxyType
from typing import Any, TypeAlias

import pikepdf

from reports.pdf_objects.file_reader import FileReader, Place, references
from reports.tagged.page_marks import PageMarks, marks_of

__all__ = ["Node", "Tree", "TreeReader"]

_DEEPEST = 60
_DIRECT = 2**32 - 1
"""What stands for the number of an element that stands inside another object."""

_DIVISIONS = frozenset({"Document", "Part", "Art", "Sect", "Div", "NonStruct"})
"""Elements that hold as much as a document does: each is a branch by itself, and does not keep its kids."""

_PAIR = re.compile(rb"(\d+) (\d+) (\d+) R")
_KID = re.compile(rb"(\d+) (\d+) R|(\d+)")


@dataclass(slots=True)
class Node:
    """An element: its type as the role map leaves it, its kids, its own marks as (page, MCID), and its annotations.

    ``name`` is the type as it is written, ``number`` the element's object. Cells with the same ``attributes`` share
    them. What only divides the document keeps no kids.
    """

    tag: str
    name: str
    number: int
    page: int | None
    alt: str
    attributes: Mapping[str, str]
    parent: "Node | None"
    kids: list["Node"] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    annotations: tuple[Place, ...] = ()


@dataclass
class Tree:
    """What a structure tree says as a whole, in some bytes an element, once all of its branches are read.

    ``pages`` are the marks of each page with their elements, ``types`` how many elements there are of each,
    ``headings`` the levels of the headings in their order, ``annotated`` the type and object of each annotation's
    element.
    ``parents`` is the tree of parents: an element's object by its key, or those of a page's marks. ``faults`` are those
    that keep the tree from being read whole.
    """

    pages: list[PageMarks] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    headings: bytearray = field(default_factory=bytearray)
    annotated: dict[Place, tuple[str, int]] = field(default_factory=dict)
    parents: dict[int, "int | array[int]"] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


Kid: TypeAlias = "Place | pikepdf.Object"
"""An element by its place, or where it has none of its own."""


class TreeReader:
    """Reads a file's structure: first its pages' marks, then the ``branches``; ``tree`` is whole after the last."""

    def __init__(self, file: FileReader) -> None:
        self.tree = Tree()
        self._file = file
        self._pages: dict[Place, int] = {}
        self._roles: dict[str, str] = {}
        self._seen = bytearray()
        self._attributes: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def branches(self) -> Iterator[Sequence[Node]]:
        """Yield the elements in reading order: a heading, a paragraph, a table with its cells; divisions alone."""
        for place in self._file.pages():
            self._pages[place] = len(self.tree.pages)
            self.tree.pages.append(marks_of(self._file.object(place)))
        root = self._file.pdf.Root.get("/StructTreeRoot")
        if root is None:
            return
        self._roles = {str(name): str(role) for name, role in root.get("/RoleMap", {}).items()}
        kids, parents = root.get("/K"), root.get("/ParentTree")
        top, places = _listed(kids), [] if parents is None else [parents.objgen]
        del root, kids, parents  # the file may be opened anew
        for kid in top:
            if isinstance(kid, int):
                self.tree.faults.append("the structure tree holds something that is no element")
            else:
                yield from self._walk(kid, None, 0)
        self._parents(places, 0)

    def _walk(self, kid: Kid, parent: Node | None, depth: int) -> Iterator[Sequence[Node]]:
        node, kids = self._element(kid, parent, depth)
        if node is None:
            return
        if node.tag in _DIVISIONS:
            yield [node]
            for below in kids:
                yield from self._walk(below, node, depth + 1)
        else:
            branch = [node]
            self._grow(branch, node, kids, depth)
            yield branch

    def _grow(self, branch: list[Node], above: Node, kids: Sequence[Kid], depth: int) -> None:
        for kid in kids:
            node, below = self._element(kid, above, depth + 1)
            if node is not None:
                above.kids.append(node)
                branch.append(node)
                self._grow(branch, node, below, depth + 1)

    def _element(self, kid: Kid, parent: Node | None, depth: int) -> tuple[Node | None, Sequence[Kid]]:
        """Return an element and the elements below it; nothing for what is a mark of its parent, or a fault."""
        item = self._file.object(kid) if isinstance(kid, tuple) else kid
        if parent is not None and isinstance(item, pikepdf.Dictionary) and ("/MCID" in item or "/Obj" in item):
            self._content(item, parent)
            return None, ()
        fault = self._fault(item, depth)
        if fault is not None:
            self.tree.faults.append(fault)
            return None, ()
        name = intern(str(item.S))
        tag = intern(self._roles.get(name, name).lstrip("/"))
        page = self._page(item.get("/Pg"))
        number = item.objgen[0] or _DIRECT
        node = Node(tag, name, number, page, str(item.get("/Alt", "")).strip(), self._attributes_of(item), parent)
        self._count(node)
        below: list[Kid] = []
        for each in _listed(item.get("/K")):
            if isinstance(each, int):
                self._mark(node, page, each)
            else:
                below.append(each)
        return node, below

    def _fault(self, item: pikepdf.Object | None, depth: int) -> str | None:
        """Return why something is no element that can be read."""
        if not isinstance(item, pikepdf.Dictionary) or "/S" not in item:
            return "the structure tree holds something that is no element"
        number = item.objgen[0]
        if number >= len(self._seen):
            self._seen.extend(bytes(number + 1 - len(self._seen)))
        if number and self._seen[number]:
            return "an element stands in the structure tree twice"
        self._seen[number] = 1
        return f"the structure tree is deeper than {_DEEPEST}" if depth > _DEEPEST else None

    def _count(self, node: Node) -> None:
        self.tree.types[node.tag] += 1
        if len(node.tag) == 2 and node.tag[0] == "H" and node.tag[1].isdigit():
            self.tree.headings.append(int(node.tag[1]))

    def _content(self, item: pikepdf.Object, node: Node) -> None:
        if "/MCID" in item:
            self._mark(node, self._page(item.get("/Pg")) if "/Pg" in item else node.page, int(item.MCID))
        else:
            place = item.Obj.objgen
            node.annotations += (place,)
            self.tree.annotated[place] = node.tag, node.number

    def _mark(self, node: Node, page: int | None, number: int) -> None:
        if page is None:
            self.tree.faults.append(f"a {node.tag} holds mark {number} of no page of the file")
            return
        node.marks.append((page, number))
        self.tree.pages[page].own(number, node.number)

    def _attributes_of(self, item: pikepdf.Object) -> Mapping[str, str]:
        """Return an element's attributes, whichever of its attribute objects holds them; the first one counts."""
        value = item.get("/A")
        if value is None:
            return _NONE
        listed = list(value) if isinstance(value, pikepdf.Array) else [value]
        holders = [each for each in listed if isinstance(each, pikepdf.Dictionary)]
        pairs = {str(name): str(value) for each in reversed(holders) for name, value in each.items()}
        return self._attributes.setdefault(tuple(sorted(pairs.items())), pairs)

    def _page(self, page: pikepdf.Object | None) -> int | None:
        return None if page is None else self._pages.get(page.objgen)

    def _parents(self, places: Sequence[Place], depth: int) -> None:
        """Read the tree of parents: what refers to what, and nothing of the elements."""
        if depth > _DEEPEST:
            return
        for place in places:
            node = self._file.object(place)
            if not isinstance(node, pikepdf.Dictionary):
                continue
            numbers, kids = node.get("/Nums"), node.get("/Kids")
            below = [] if kids is None else references(kids)
            values = {} if numbers is None else _numbered(numbers)
            del node, numbers, kids  # they would keep the file as it is open now
            for key, value in values.items():
                self.tree.parents[key] = self._owners(value)
            self._parents(below, depth + 1)

    def _owners(self, value: Any) -> "int | array[int]":  # noqa: ANN401 - a place, or whatever stands in its stead
        """Return the object of an element, or those of the marks of a page; 0 for what is neither."""
        item = self._file.object(value) if isinstance(value, tuple) else value
        if isinstance(item, pikepdf.Array):
            owners = array("I", [number for number, _ in references(item)])
            self._file.note_references(len(owners))
            return owners
        return int(item.objgen[0]) if isinstance(item, pikepdf.Dictionary) else 0


_NONE: Mapping[str, str] = MappingProxyType({})


def _listed(value: pikepdf.Object | int | None) -> list[Any]:
    """Return what an element holds: marks by their numbers, elements by their places, what has none as it stands."""
    if value is None:
        return []
    if not isinstance(value, pikepdf.Array):
        if isinstance(value, int) or value.objgen == (0, 0):
            return [value]
        return [value.objgen]
    text = value.unparse(resolved=True)
    if b"<" in text or b"/" in text or b"(" in text:
        return [each for part in value for each in _listed(part)]
    return [int(mark) if mark else (int(number), int(again)) for number, again, mark in _KID.findall(text)]


def _numbered(pairs: pikepdf.Object) -> dict[int, Any]:
    """Return the values of a number tree's leaf by their keys: places, or what has none as it stands."""
    text = pairs.unparse(resolved=True)
    if any(sign in text[1:] for sign in (b"[", b"<", b"(")):
        return {int(pairs[at]): pairs[at + 1] for at in range(0, len(pairs) - 1, 2)}
    return {int(key): (int(number), int(again)) for key, number, again in _PAIR.findall(text)}
