"""The structure of the drawn pages, written into the file while they are drawn: what is finished leaves memory."""

from collections.abc import Iterator, Sequence

from reports.pdf_objects.number_tree import NumberTree
from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.values import array_of, reference, text_string
from reports.tagged.elements import Annotation, Element, MarkedContent, Structure

__all__ = ["StructureWriter"]


class StructureWriter:
    """Writes elements to a file from the bottom up, those that no later page can add to.

    ``pages`` are the objects' numbers of the pages that are finished.
    """

    def __init__(self, objects: ObjectFile) -> None:
        self.pages: list[int] = []
        self._objects = objects
        self._parents = NumberTree(objects)
        self._root = objects.reserve()
        self._annotations: dict[tuple[int, int], int] = {}
        self._attributes: dict[tuple[tuple[str, str | int], ...], int] = {}

    def add_annotation(self, annotation: Annotation, number: int, owner: Element) -> int:
        """Note an annotation's object and its element; return its place in the tree of parents."""
        self._annotations[annotation.page, annotation.place] = number
        return self._parents.add(reference(self._number(owner)))

    def add_page(self, owners: Sequence[Element]) -> int:
        """Note whose each mark of the page is, in the order of their numbers; return its place in that tree."""
        number = self._objects.reserve()
        self._objects.write(number, array_of(reference(self._number(owner)) for owner in owners), "owners")
        return self._parents.add(reference(number))

    def turn_page(self, structure: Structure, page: int) -> None:
        """Write what is finished now that the page, an object of this number, is."""
        self.pages.append(page)
        structure.turn_page()
        self._settle(structure.root, structure.open_elements())

    def finish(self, structure: Structure) -> int:
        """Write all that is left; return the number of the tree's root."""
        document = self._write(structure.root)
        tree = self._objects.add(self._parents.root())
        entries = b"/Type/StructTreeRoot/K[%b]/ParentTree %b/ParentTreeNextKey %d" % (
            reference(document), reference(tree), self._parents.next_key,
        )  # fmt: skip
        self._objects.write(self._root, b"<<%b>>" % entries)
        return self._root

    def _settle(self, element: Element, going_on: set[Element]) -> None:
        """Write the first kids of an element that goes on, up to the first that goes on too."""
        finished = 0
        for kid in element.kids:
            if not isinstance(kid, Element) or kid in going_on or _may_grow(kid, element):
                break
            finished += 1
            if not kid.empty:
                element.written.append(self._write(kid))
        del element.kids[:finished]
        for kid in element.kids:
            if isinstance(kid, Element) and (kid in going_on or _may_grow(kid, element)):
                self._settle(kid, going_on)

    def _number(self, element: Element) -> int:
        if element.number is None:
            element.number = self._objects.reserve()
        return element.number

    def _write(self, element: Element) -> int:
        number = self._number(element)
        home = next((kid.page for kid in element.kids if isinstance(kid, MarkedContent)), None)
        kids = [*map(reference, element.written), *self._kids(element, home)]
        entries = b"".join(self._entries(element))
        if home is not None:
            entries += b"/Pg %b" % reference(self.pages[home])
        if kids:
            entries += b"/K %b" % kids[0] if len(kids) == 1 else b"/K%b" % array_of(kids)
        self._objects.write(number, b"<<%b>>" % entries)
        element.kids = []
        return number

    def _entries(self, element: Element) -> Iterator[bytes]:
        above = self._root if element.parent is None else self._number(element.parent)
        yield b"/S/%b/P %b" % (element.tag.encode(), reference(above))
        if element.alt is not None:
            yield b"/Alt%b" % text_string(element.alt)
        elif element.reordered:
            yield b"/ActualText%b" % text_string("".join(element.words).strip())
        if element.attributes:
            yield b"/A %b" % reference(self._attributes_of(element))

    def _kids(self, element: Element, home: int | None) -> Iterator[bytes]:
        for kid in element.kids:
            if isinstance(kid, Element):
                if not kid.empty:
                    yield reference(self._write(kid))
            elif isinstance(kid, Annotation):
                number = self._annotations.pop((kid.page, kid.place))
                yield b"<</Type/OBJR/Pg %b/Obj %b>>" % (reference(self.pages[kid.page]), reference(number))
            elif kid.page == home:
                yield b"%d" % kid.number
            else:
                yield b"<</Type/MCR/Pg %b/MCID %d>>" % (reference(self.pages[kid.page]), kid.number)

    def _attributes_of(self, element: Element) -> int:
        """Return a cell's attributes: an object that all cells with the same ones share, as there are thousands."""
        key = tuple(element.attributes.items())
        if key not in self._attributes:
            values = b"".join(b"/%b %b" % (name.encode(), _value(value)) for name, value in key)
            self._attributes[key] = self._objects.add(b"<</O/Table%b>>" % values)
        return self._attributes[key]


def _may_grow(kid: Element, above: Element) -> bool:
    """Tell whether a kid is a list that the next item joins."""
    return kid.tag == "L" and kid is above.kids[-1]


def _value(value: str | int) -> bytes:
    return b"%d" % value if isinstance(value, int) else b"/%b" % value.encode()
