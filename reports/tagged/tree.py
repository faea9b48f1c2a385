"""A finished file's structure tree, read back as it stands there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern

import pikepdf

from reports.tagged.page_marks import PageMarks, marks_of

__all__ = ["Node", "Tree", "read_tree"]

_DEEPEST = 60


Place = tuple[int, int]
"""An object's number and generation."""


@dataclass(slots=True)
class Node:
    """An element: its type as the role map leaves it, its kids, its own marks as (page, MCID), and its annotations.

    ``name`` is the type as it is written, ``place`` where the element stands in the file; a report has a hundred of
    them a page, so none keeps an object of the file alive. Cells with the same ``attributes`` share them.
    """

    tag: str
    name: str
    place: Place
    alt: str
    attributes: Mapping[str, str]
    parent: "Node | None"
    kids: list["Node"] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    annotations: tuple[Place, ...] = ()


@dataclass
class Tree:
    """All elements in reading order, what each page's stream marks, and the tree of parents by its keys.

    ``faults`` are those that keep the tree from being read whole.
    """

    nodes: list[Node] = field(default_factory=list)
    pages: list[PageMarks] = field(default_factory=list)
    parents: dict[int, pikepdf.Object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read_tree(pdf: pikepdf.Pdf) -> Tree:
    """Read the structure tree and the marks of every page."""
    tree = Tree(pages=[marks_of(page) for page in pdf.pages])
    root = pdf.Root.get("/StructTreeRoot")
    if root is None:
        return tree
    reader = _Reader(pdf, tree, root)
    for kid in _listed(root.get("/K")):
        reader.element(kid, None, 0)
    _parents(root.get("/ParentTree"), tree, 0)
    return tree


def _listed(value: pikepdf.Object | None) -> list[pikepdf.Object]:
    if value is None:
        return []
    return list(value) if isinstance(value, pikepdf.Array) else [value]


def _parents(node: pikepdf.Object | None, tree: Tree, depth: int) -> None:
    if node is None or depth > _DEEPEST:
        return
    numbers = list(node.get("/Nums", []))
    tree.parents.update({int(key): value for key, value in zip(numbers[::2], numbers[1::2], strict=False)})
    for kid in node.get("/Kids", []):
        _parents(kid, tree, depth + 1)


class _Reader:
    def __init__(self, pdf: pikepdf.Pdf, tree: Tree, root: pikepdf.Object) -> None:
        self._tree = tree
        self._roles = {str(name): str(role) for name, role in root.get("/RoleMap", {}).items()}
        self._pages = {page.obj.objgen: place for place, page in enumerate(pdf.pages)}
        self._seen: set[Place] = set()
        self._attributes: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def element(self, item: pikepdf.Object, parent: Node | None, depth: int) -> None:
        if not isinstance(item, pikepdf.Dictionary) or "/S" not in item:
            self._tree.faults.append("the structure tree holds something that is no element")
            return
        if item.objgen in self._seen and item.objgen != (0, 0):
            self._tree.faults.append("an element stands in the structure tree twice")
            return
        if depth > _DEEPEST:
            self._tree.faults.append(f"the structure tree is deeper than {_DEEPEST}")
            return
        self._seen.add(item.objgen)
        name = intern(str(item.S))
        tag = intern(self._roles.get(name, name).lstrip("/"))
        node = Node(tag, name, item.objgen, str(item.get("/Alt", "")).strip(), self._attributes_of(item), parent)
        self._tree.nodes.append(node)
        if parent is not None:
            parent.kids.append(node)
        page = self._page(item.get("/Pg"))
        for kid in _listed(item.get("/K")):
            self._kid(kid, node, page, depth)

    def _kid(self, kid: pikepdf.Object | int, node: Node, page: int | None, depth: int) -> None:
        if isinstance(kid, int):
            self._mark(node, page, kid)
        elif not isinstance(kid, pikepdf.Dictionary):
            self._tree.faults.append(f"a {node.tag} holds what is neither an element nor a mark")
        elif "/MCID" in kid:
            self._mark(node, self._page(kid.get("/Pg")) if "/Pg" in kid else page, int(kid.MCID))
        elif "/Obj" in kid:
            node.annotations += (kid.Obj.objgen,)
        else:
            self.element(kid, node, depth + 1)

    def _mark(self, node: Node, page: int | None, number: int) -> None:
        if page is None:
            self._tree.faults.append(f"a {node.tag} holds mark {number} of no page of the file")
            return
        node.marks.append((page, number))
        on_page = self._tree.pages[page]
        if on_page.owners.setdefault(number, node.place) != node.place:
            on_page.shared.append(number)

    def _attributes_of(self, item: pikepdf.Object) -> Mapping[str, str]:
        """Return an element's attributes, whichever of its attribute objects holds them; the first one counts."""
        listed = [each for each in _listed(item.get("/A")) if isinstance(each, pikepdf.Dictionary)]
        pairs = {str(name): str(value) for each in reversed(listed) for name, value in each.items()}
        return self._attributes.setdefault(tuple(sorted(pairs.items())), pairs)

    def _page(self, page: pikepdf.Object | None) -> int | None:
        return None if page is None else self._pages.get(page.objgen)
