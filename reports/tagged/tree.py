"""A finished file's structure tree, read back as it stands there."""

from dataclasses import dataclass, field

import pikepdf

from reports.tagged.page_marks import PageMarks, marks_of

__all__ = ["Node", "Tree", "read_tree"]

_DEEPEST = 60


@dataclass
class Node:
    """An element: its type as the role map leaves it, its kids, its own marks as (page, MCID), and its annotations."""

    tag: str
    object: pikepdf.Object
    parent: "Node | None"
    kids: list["Node"] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    annotations: list[tuple[int, int]] = field(default_factory=list)

    def attribute(self, name: str) -> pikepdf.Object | None:
        """Return an attribute of the element, whichever of its attribute objects holds it."""
        attributes = self.object.get("/A", [])
        listed = [attributes] if isinstance(attributes, pikepdf.Dictionary) else list(attributes)
        return next((each.get(name) for each in listed if isinstance(each, pikepdf.Dictionary) and name in each), None)


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
        self._seen: set[tuple[int, int]] = set()

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
        name = str(item.S)
        node = Node(self._roles.get(name, name).lstrip("/"), item, parent)
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
            node.annotations.append(kid.Obj.objgen)
        else:
            self.element(kid, node, depth + 1)

    def _mark(self, node: Node, page: int | None, number: int) -> None:
        if page is None:
            self._tree.faults.append(f"a {node.tag} holds mark {number} of no page of the file")
        else:
            node.marks.append((page, number))

    def _page(self, page: pikepdf.Object | None) -> int | None:
        return None if page is None else self._pages.get(page.objgen)
