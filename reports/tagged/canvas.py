"""A canvas that keeps whose each mark on a page is, and writes it into the page as marked content."""

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFStream, PDFString
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.textobject import PDFTextObject

from reports.tagged.elements import Annotation, Artifact, Element, MarkedContent, Step, Structure

__all__ = ["MarkedCanvas"]

Owner = Element | Artifact

_PAGE = Artifact()
# operators that leave something on the page; all others only prepare it and need no owner
_PAINTS = re.compile(r"(?:^|[\s\])>])(?:Tj|TJ|'|\"|Do|S|s|f\*?|F|B\*?|b\*?|sh|EI)(?=\s|$)")
_SWITCH = re.compile("\x00(\\d+)\x00")


@dataclass(frozen=True)
class _Place:
    """Where in the structure drawing is: below which element, whose the marks are, and whether all was read before."""

    element: Element | None
    owner: Owner
    repeated: bool = False


class _MarkedText(PDFTextObject):  # type: ignore[misc]  # ReportLab has no types
    """A text object inside which the owner changes where a link begins and ends, and whose lines end with a space.

    What the canvas puts into another order for the page is read in its own.
    """

    def _formatText(self, text: str) -> str:  # noqa: N802  # ReportLab's name
        shown = self._canvas.ordered(text)
        self._canvas.note_words(text, reordered=shown != text)
        return str(super()._formatText(shown))

    def _textOut(self, text: str, TStar: int = 0) -> None:  # noqa: N802, N803  # ReportLab's names
        # a paragraph's lines would be read as if the words at their ends were one
        super()._textOut(f"{text} " if TStar and text.strip() and not text.endswith(" ") else text, TStar)

    def _linkRecord(self, link: tuple[int, str], event: str) -> None:  # noqa: N802  # ReportLab's name
        # ReportLab reports a link's beginning after its first words, and its end before the next
        canvas = self._canvas
        mark = canvas.link_mark(link[1]) if event == "start" else canvas.owner_mark()
        self._code.insert(len(self._code) - (event == "start"), mark)


class MarkedCanvas(Canvas):  # type: ignore[misc]
    """Draws like any canvas; what is drawn inside ``inside`` belongs to that element, all else to the page.

    ``structure`` is what has been drawn so far; ``titles`` the bookmarks' words by their key.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        self.structure = Structure()
        self.titles: dict[str, str] = {}
        self._places = [_Place(None, _PAGE)]
        self._switches: list[tuple[int, Owner]] = []
        self._marked: list[Owner] = []
        super().__init__(*arguments, **options)

    @property
    def owner(self) -> Owner:
        """Whose the next mark is."""
        return self._places[-1].owner

    @contextmanager
    def inside(self, *steps: Step) -> Iterator[None]:
        """Let what is drawn belong to the element at the end of ``steps``, from the present one downwards."""
        place = self._places[-1]
        if place.repeated or not steps:
            yield
            return
        element = place.element
        for step in steps:
            element = self.structure.open(element, step)
        with self._at(_Place(element, element or _PAGE)):
            yield

    def describe(self, alternative_text: str) -> None:
        """Give the present figure the text that is read in its place, where that is known only as it is drawn."""
        if isinstance(self.owner, Element):
            self.owner.alt = alternative_text

    @contextmanager
    def beside(self, kind: str = "") -> Iterator[None]:
        """Let what is drawn belong to the page, but for what is again inside something.

        ``kind`` is Header, Footer, or nothing that has a name.
        """
        place = self._places[-1]
        with self._at(_Place(place.element, Artifact(kind), place.repeated)):
            yield

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Let all that is drawn belong to the page: it stands on an earlier one and was read there."""
        with self._at(_Place(None, Artifact(), repeated=True)):
            yield

    @contextmanager
    def _at(self, place: "_Place") -> Iterator[None]:
        self._places.append(place)
        self._switches.append((len(self._code), place.owner))
        try:
            yield
        finally:
            self._places.pop()
            self._switches.append((len(self._code), self.owner))

    def beginText(self, x: float = 0, y: float = 0, direction: str | None = None) -> PDFTextObject:  # noqa: N802
        """Return a text object that knows where links begin and end."""
        return _MarkedText(self, x, y, direction=direction)

    def ordered(self, text: str) -> str:
        """Return one line of text as it stands on the page from the left."""
        return text

    def note_words(self, text: str, *, reordered: bool) -> None:
        """Keep the words of the present element in the order of reading, where the page has them in another."""
        if isinstance(self.owner, Element):
            self.owner.words.append(text)
            self.owner.reordered = self.owner.reordered or reordered

    def link_mark(self, destination: str) -> str:
        """Return what stands in a text where its words begin to belong to a link."""
        return self._mark(self.owner if self._link_around() else self._link(destination))

    def owner_mark(self) -> str:
        """Return what stands in a text where its words belong to its element again."""
        return self._mark(self.owner)

    def _mark(self, owner: Owner) -> str:
        self._marked.append(owner)
        return f"\x00{len(self._marked) - 1}\x00"

    def _link_around(self) -> Element | None:
        above = self.owner if isinstance(self.owner, Element) else None
        while above is not None and above.tag != "Link":
            above = above.parent
        return above

    def _link(self, destination: str) -> Owner:
        """Return the link around the present element, or a new one inside it."""
        if isinstance(self.owner, Artifact):
            return self.owner
        step = Step("Link", ("link", destination.lstrip("#")), inline=True)
        return self._link_around() or self.structure.open(self.owner, step)

    def linkRect(self, contents: str, destinationname: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N802
        """Draw a link to a bookmark, as a part of the present element."""
        self._record_link(destinationname)
        super().linkRect(contents, destinationname, *arguments, **options)

    def linkURL(self, url: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N802
        """Draw a link to an address, as a part of the present element."""
        self._record_link(url)
        super().linkURL(url, *arguments, **options)

    def _record_link(self, destination: str) -> None:
        link = self._link(destination)
        if isinstance(link, Element):
            page, place = self._pageNumber - 1, len(self._annotationrefs)
            link.kids.append(Annotation(page, place, destination.lstrip("#")))

    def signature_field(self, name: str, words: str, area: tuple[float, float, float, float]) -> None:
        """Add an empty form field for a signature, as a part of the present element.

        ``area`` is left, bottom, right and top in points of the page; ``words`` say what the field is for.
        """
        if isinstance(self.owner, Element):
            form = self.structure.open(self.owner, Step("Form", ("field", name)))
            form.kids.append(Annotation(self._pageNumber - 1, len(self._annotationrefs), name))
        facts = {"Type": "Annot", "Subtype": "Widget", "FT": "Sig"}
        entries = {key: PDFName(value) for key, value in facts.items()}
        texts = {"T": PDFString(name), "TU": PDFString(words)}
        self._addAnnotation(PDFDictionary({**entries, **texts, "Rect": PDFArray(list(area))}))

    def addOutlineEntry(self, title: str, key: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N802
        """List a bookmark, and keep its words for the links that lead to it."""
        self.titles[key] = title
        super().addOutlineEntry(title, key, *arguments, **options)

    def showPage(self) -> None:  # noqa: N802
        """Close the page: its operators go out as marked content."""
        self._code = _Marker(self.structure, self._pageNumber - 1, self._marked).marked(self._owned())
        super().showPage()
        _packed(self._doc.Pages.pages[-1])
        self._switches = [(0, self.owner)]
        self._marked = []
        self.structure.turn_page()

    def _owned(self) -> Iterator[tuple[Owner, str]]:
        """Yield each piece of the page's code with its owner."""
        owner: Owner = _PAGE
        start = 0
        for place, following in [*self._switches, (len(self._code), _PAGE)]:
            for code in self._code[start:place]:
                yield owner, code
            owner, start = following, place


def _packed(page: Any) -> None:  # noqa: ANN401
    """Compress a page's operators now: ReportLab would keep them as they are until the last page is drawn."""
    stream = PDFStream(PDFDictionary({"Filter": PDFName("FlateDecode")}), zlib.compress(page.stream.encode("latin-1")))
    page.Contents, page.stream = stream, None


class _Marker:
    """Writes one page's operators as marked content; every sequence that paints has exactly one owner.

    ``switches`` are the owners that the marks inside a text name by their place.
    """

    def __init__(self, structure: Structure, page: int, switches: list[Owner]) -> None:
        self._structure, self._page, self._switches = structure, page, switches
        self._numbers = 0
        self._open: Owner | None = None
        self._code: list[str] = []

    def marked(self, owned: Iterable[tuple[Owner, str]]) -> list[str]:
        waiting: list[tuple[Owner, str]] = []
        for owner, code in owned:
            if not _PAINTS.search(code):
                waiting.append((owner, code))
                continue
            several = "\x00" in code
            if several or self._open is not owner:
                self._close()
            # a path belongs to the operator that paints it: no mark may come between the two
            own = len(waiting)
            while own and waiting[own - 1][0] is owner:
                own -= 1
            self._code += [prepared for _, prepared in waiting[:own]]
            if not several and self._open is None:
                self._code.append(self._opening(owner))
                self._open = owner
            self._code += [prepared for _, prepared in waiting[own:]]
            self._code.append(self._text(owner, code) if several else code)
            waiting = []
        self._close()
        return self._code + [prepared for _, prepared in waiting]

    def _close(self) -> None:
        if self._open is not None:
            self._code.append("EMC")
            self._open = None

    def _opening(self, owner: Owner) -> str:
        if isinstance(owner, Artifact):
            if not owner.kind:
                return "/Artifact BMC"
            return f"/Artifact <</Type /Pagination /Subtype /{owner.kind}>> BDC"
        number = self._numbers
        self._numbers += 1
        self._structure.mark(owner, MarkedContent(self._page, number))
        return f"/{owner.tag} <</MCID {number}>> BDC"

    def _text(self, owner: Owner, code: str) -> str:
        """Return a text object whose parts have several owners, each marked inside it."""
        before, _, words = code.partition("BT")
        words, _, after = words.rpartition("ET")
        first, *parts = _SWITCH.split(words)
        pieces = [(owner, first)]
        pieces += [(self._switches[int(place)], part) for place, part in zip(parts[::2], parts[1::2], strict=True)]
        marked = [f"{self._opening(whose)} {part} EMC" if _PAINTS.search(part) else part for whose, part in pieces]
        return " ".join([before, "BT", *marked, "ET", after])
