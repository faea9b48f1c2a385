"""The structure of a document: headings, paragraphs, lists, tables, figures, and which marks on which page they are."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

__all__ = ["Annotation", "Artifact", "Element", "MarkedContent", "Step", "Structure"]


@dataclass(frozen=True, slots=True)
class MarkedContent:
    """A marked sequence of a page: the page's index and the sequence's number (MCID) on it, both from 0."""

    page: int
    number: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """A link or form field on a page: the page's index and its place among the page's annotations, both from 0."""

    page: int
    place: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """What belongs to the page and not to the document: rules, frames, headers, footers, repeated heads of tables.

    ``kind`` is Header or Footer for those, else nothing.
    """

    kind: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One level down the structure: an element's type, and the key by which parts of it on later pages find it again.

    ``alt`` is a figure's alternative text; ``attributes`` are those of a table's cell. ``kept`` elements stay though
    nothing is drawn in them: an empty cell is a cell. ``inline`` ones stand between the words of their surroundings.
    """

    tag: str
    key: object
    alt: str | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    kept: bool = False
    inline: bool = False


@dataclass(eq=False, slots=True)
class Element:
    """An element of the structure; ``kids`` are in reading order, ``parent`` is None above all of them.

    ``words`` are its own, in the order of reading; where the page has them in another, it is ``reordered``.
    ``number`` is the object's in the file, None as long as nothing needs it. ``written`` are the numbers of the first
    kids, those that are in the file and no longer among ``kids``.
    """

    tag: str
    alt: str | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    kept: bool = False
    parent: Union["Element", None] = None
    words: list[str] = field(default_factory=list)
    reordered: bool = False
    kids: list[Union["Element", MarkedContent, Annotation]] = field(default_factory=list)
    number: int | None = None
    written: "array[int]" = field(default_factory=lambda: array("L"))

    @property
    def empty(self) -> bool:
        """Whether nothing of it was drawn and nothing asks to keep it."""
        return not self.kept and not self.written and all(isinstance(kid, Element) and kid.empty for kid in self.kids)


class Structure:
    """The elements of one document while its pages are drawn."""

    def __init__(self) -> None:
        self.root = Element("Document", kept=True)
        # what was drawn on this page and on the one before: a thing that goes on does so on the next page
        self._known: dict[tuple[int, object], Element] = {}
        self._before: dict[tuple[int, object], Element] = {}
        self._inline: list[Element] = []
        self._section = self.root
        self._heading = 0

    def open(self, parent: Element | None, step: Step) -> Element:
        """Return the element of ``step`` under ``parent``, the present section unless given; made when it is new.

        A heading of the second level begins a section; ``H+`` is a heading one level below the last that has its own
        level. List items that follow each other make one list.
        """
        place = id(parent), step.key
        element = self._known.get(place) or self._before.get(place)
        if element is None:
            element = Element(self._level(step.tag), step.alt, step.attributes, step.kept, parent)
            if step.inline:
                self._inline.append(element)
            else:
                self._place(parent, element)
        self._known[place] = element
        return element

    def mark(self, element: Element, content: MarkedContent) -> None:
        """Add what was drawn to an element; one inside a text stands where its first words do."""
        if element in self._inline:
            self._inline.remove(element)
            self._place(element.parent, element)
        element.kids.append(content)

    def turn_page(self) -> None:
        """Place what has no words of its own, and forget the keys of what ended before this page."""
        for element in self._inline:
            self._place(element.parent, element)
        self._inline = []
        self._before, self._known = self._known, {}

    def open_elements(self) -> set[Element]:
        """Return what may go on, once the page is turned: what was drawn on the last page, and all that it is in."""
        going_on = {self.root}
        for element in (self._section, *self._before.values()):
            above: Element | None = element
            while above is not None and above not in going_on:
                going_on.add(above)
                above = above.parent
        return going_on

    def _level(self, tag: str) -> str:
        if tag == "H+":
            return f"H{min(self._heading + 1, 6)}"
        if len(tag) == 2 and tag[0] == "H":
            # no level is jumped over: a sheet without a title begins with its first heading
            self._heading = min(int(tag[1]), self._heading + 1)
            return f"H{self._heading}"
        return tag

    def _place(self, parent: Element | None, element: Element) -> None:
        if parent is None and element.tag == "H2":
            self._section = Element("Sect", parent=self.root)
            self.root.kids.append(self._section)
        place = self._section if parent is None else parent
        if element.tag == "LI" and place.tag != "L":
            last = place.kids[-1] if place.kids else None
            if not (isinstance(last, Element) and last.tag == "L"):
                last = Element("L", parent=place)
                place.kids.append(last)
            place = last
        element.parent = place
        place.kids.append(element)
