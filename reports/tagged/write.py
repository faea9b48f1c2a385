"""The structure of the drawn pages, written into the finished file."""

from collections.abc import Iterator, Mapping
from itertools import count

import pikepdf
from pikepdf import Array, Dictionary, Name

from reports.tagged.elements import Annotation, Element, MarkedContent, Structure

__all__ = ["write_structure"]


def write_structure(pdf: pikepdf.Pdf, structure: Structure, titles: Mapping[str, str]) -> None:
    """Give a file the structure tree of its pages, and what readers need beside it.

    ``titles`` are the words of each bookmark: a link says where it leads. The structure is empty afterwards.
    """
    writer = _Writer(pdf, titles)
    root = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    root.K = Array([writer.element(structure.root, root)])
    root.ParentTree = pdf.make_indirect(Dictionary(Nums=writer.parents()))
    root.ParentTreeNextKey = writer.next_key
    pdf.Root.StructTreeRoot = root
    pdf.Root.MarkInfo = Dictionary(Marked=True)
    pdf.Root.PageLabels = Dictionary(Nums=Array([0, Dictionary(S=Name.D)]))
    if "/ViewerPreferences" not in pdf.Root:
        pdf.Root.ViewerPreferences = Dictionary()
    pdf.Root.ViewerPreferences.DisplayDocTitle = True
    for page in pdf.pages:
        page.Tabs = Name.S


class _Writer:
    """Makes elements from the top down; keeps which element each marked sequence and link belongs to."""

    def __init__(self, pdf: pikepdf.Pdf, titles: Mapping[str, str]) -> None:
        self._pdf, self._titles = pdf, titles
        self._pages = [page.obj for page in pdf.pages]
        self._marked: list[dict[int, pikepdf.Object]] = [{} for _ in self._pages]
        self._links: list[pikepdf.Object] = []
        self._attributes: dict[tuple[tuple[str, str | int], ...], pikepdf.Object] = {}

    @property
    def next_key(self) -> int:
        return len(self._pages) + len(self._links)

    def element(self, element: Element, parent: pikepdf.Object) -> pikepdf.Object:
        made = self._pdf.make_indirect(Dictionary(S=Name(f"/{element.tag}"), P=parent))
        if element.alt is not None:
            made.Alt = element.alt
        elif element.reordered:
            made.ActualText = "".join(element.words).strip()
        if element.attributes:
            made.A = self._attributes_of(element)
        home = next((kid.page for kid in element.kids if isinstance(kid, MarkedContent)), None)
        if home is not None:
            made.Pg = self._pages[home]
        # what is in the file is let go: a report of many cases would hold every element twice
        held, element.kids = element.kids, []
        kids = [self._kid(kid, made, home) for kid in held if not (isinstance(kid, Element) and kid.empty)]
        if kids:
            made.K = kids[0] if len(kids) == 1 else Array(kids)
        return made

    def _attributes_of(self, element: Element) -> pikepdf.Object:
        """Return a cell's attributes: an object that all cells with the same ones share, as there are thousands."""
        key = tuple(element.attributes.items())
        if key not in self._attributes:
            values = {f"/{name}": _value(value) for name, value in key}
            self._attributes[key] = self._pdf.make_indirect(Dictionary({"/O": Name.Table, **values}))
        return self._attributes[key]

    def _kid(self, kid: Element | MarkedContent | Annotation, owner: pikepdf.Object, home: int | None) -> object:
        if isinstance(kid, Element):
            return self.element(kid, owner)
        if isinstance(kid, Annotation):
            return self._link(kid, owner)
        self._marked[kid.page][kid.number] = owner
        if kid.page == home:
            return kid.number
        return Dictionary(Type=Name.MCR, Pg=self._pages[kid.page], MCID=kid.number)

    def _link(self, link: Annotation, owner: pikepdf.Object) -> pikepdf.Object:
        page = self._pages[link.page]
        annotation = self._pdf.make_indirect(page.Annots[link.place])
        page.Annots[link.place] = annotation
        annotation.StructParent = self.next_key
        if annotation.Subtype == Name.Link:
            annotation.Contents = self._titles.get(link.destination, link.destination)
        self._links.append(owner)
        return Dictionary(Type=Name.OBJR, Pg=page, Obj=annotation)

    def parents(self) -> Array:
        """Return the number tree from each page and link to the elements that own what is on them."""
        numbers = Array()
        keys = count()
        for page, owners in zip(self._pages, self._marked, strict=True):
            key = next(keys)
            page.StructParents = key
            numbers.extend([key, self._pdf.make_indirect(Array(self._in_order(owners)))])
        for owner in self._links:
            numbers.extend([next(keys), owner])
        return numbers

    @staticmethod
    def _in_order(owners: Mapping[int, pikepdf.Object]) -> Iterator[pikepdf.Object]:
        return (owners[number] for number in range(len(owners)))


def _value(value: str | int) -> pikepdf.Object | int:
    return value if isinstance(value, int) else Name(f"/{value}")
