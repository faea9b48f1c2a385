"""A canvas that keeps whose each mark on a page is, and writes it into the page as marked content."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary, PDFName, PDFObject, PDFString
from reportlab.pdfgen.canvas import Canvas
from reportlab.pdfgen.textobject import PDFTextObject

from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.page_document import PageDocument
from reports.pdf_objects.values import array_of, reference, text_string
from reports.tagged.elements import Annotation, Artifact, Element, MarkedContent, Step, Structure
from reports.tagged.write import StructureWriter

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

    Pages, and what of the structure is finished, are written to ``file`` at once: to an open file, or anything like it.
    """

    def __init__(self, file: BinaryIO, *arguments: Any, lang: str | None = None, **options: Any) -> None:  # noqa: ANN401
        self._structure = Structure()
        self._titles: dict[str, str] = {}
        self._places = [_Place(None, _PAGE)]
        self._switches: list[tuple[int, Owner]] = []
        self._marked: list[Owner] = []
        super().__init__(file, *arguments, **options)
        self._doc = PageDocument(ObjectFile(file), invariant=1, lang=lang)
        self._make_preamble()  # names the fonts of the document that it replaces
        self._writer = StructureWriter(self._doc.objects)
        self._fields: list[int] = []
        self._page_key = 0

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
            element = self._structure.open(element, step)
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
        return self._link_around() or self._structure.open(self.owner, step)

    def _addAnnotation(self, annotation: Any, name: str | None = None, addtopage: int = 1) -> None:  # noqa: ANN401, N802
        """Add an annotation, with the element that it is a part of."""
        marked = _MarkedAnnotation(annotation, self._titles)
        super()._addAnnotation(marked, name, addtopage)

    def linkRect(self, contents: str, destinationname: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N802
        """Draw a link to a bookmark, as a part of the present element."""
        super().linkRect(contents, destinationname, *arguments, **options)
        self._place_link(destinationname.lstrip("#"))

    def linkURL(self, url: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N802
        """Draw a link to an address, as a part of the present element."""
        super().linkURL(url, *arguments, **options)
        self._place_link(url.lstrip("#"))

    def _place_link(self, destination: str) -> None:
        self._last_annotation.destination = destination
        link = self._link(destination)
        if isinstance(link, Element):
            self._place_annotation(link)

    def _place_annotation(self, owner: Element) -> None:
        """Make the annotation that was added last a part of an element."""
        annotation = Annotation(self._pageNumber - 1, len(self._annotationrefs) - 1)
        owner.kids.append(annotation)
        number = self._doc.number_of(self._annotationrefs[-1].name)
        self._last_annotation.key = self._writer.add_annotation(annotation, number, owner)

    @property
    def _last_annotation(self) -> "_MarkedAnnotation":
        marked: _MarkedAnnotation = self._doc.idToObject[self._annotationrefs[-1].name]
        return marked

    def signature_field(self, name: str, words: str, area: tuple[float, float, float, float]) -> None:
        """Add an empty form field for a signature, as a part of the present element.

        ``area`` is left, bottom, right and top in points of the page; ``words`` say what the field is for.
        """
        facts = {"Type": "Annot", "Subtype": "Widget", "FT": "Sig"}
        entries = {key: PDFName(value) for key, value in facts.items()}
        entries |= {"T": PDFString(name), "TU": PDFString(words), "Rect": PDFArray(list(area))}
        left, bottom, right, top = area
        nothing = self._doc.objects.reserve()
        box = f"/Type/XObject/Subtype/Form/BBox[0 0 {right - left:.4f} {top - bottom:.4f}]"
        self._doc.objects.write_stream(nothing, box.encode(), b"")  # it shows nothing until somebody fills it
        entries |= {"AP": PDFDictionary({"N": reference(nothing)}), "P": self._doc.thisPageRef()}
        self._addAnnotation(PDFDictionary(entries))
        self._fields.append(self._doc.number_of(self._annotationrefs[-1].name))
        if isinstance(self.owner, Element):
            self._place_annotation(self._structure.open(self.owner, Step("Form", ("field", name))))

    def addOutlineEntry(self, title: str, key: str, *arguments: Any, **options: Any) -> None:  # noqa: ANN401, N802
        """List a bookmark, and keep its words for the links that lead to it."""
        self._titles[key] = title
        super().addOutlineEntry(title, key, *arguments, **options)

    def showPage(self) -> None:  # noqa: N802
        """Close the page: its operators go out as marked content, to the file with all that is finished."""
        marker = _Marker(self._structure, self._pageNumber - 1, self._marked)
        self._code = marker.marked(self._owned())
        self._page_key = self._writer.add_page(marker.owners)
        name = self._doc.thisPageName()
        super().showPage()
        self._writer.turn_page(self._structure, self._doc.number_of(name))
        self._switches = [(0, self.owner)]
        self._marked = []

    def _setAnnotations(self, page: Any) -> None:  # noqa: ANN401, N802  # ReportLab's name
        super()._setAnnotations(page)
        page.entries = {"StructParents": self._page_key, "Tabs": PDFName("S")}

    def save(self) -> None:
        """Write what is left; nothing is drawn afterwards."""
        if self._code:
            self.showPage()
        catalog = {
            "StructTreeRoot": reference(self._writer.finish(self._structure)),
            "MarkInfo": b"<</Marked true>>",
            "PageLabels": b"<</Nums[0 <</S/D>>]>>",
            "ViewerPreferences": b"<</DisplayDocTitle true>>",
            **self.catalog_entries(),
        }
        if self._fields:
            fields = array_of(map(reference, self._fields))
            catalog["AcroForm"] = reference(self._doc.objects.add(b"<</Fields%b/SigFlags 1>>" % fields))
        self._doc.finish(self, catalog)

    def catalog_entries(self) -> Mapping[str, bytes]:
        """Write what belongs to the document as a whole; return the catalog's entries that name it."""
        return {}

    def _owned(self) -> Iterator[tuple[Owner, str]]:
        """Yield each piece of the page's code with its owner."""
        owner: Owner = _PAGE
        start = 0
        for place, following in [*self._switches, (len(self._code), _PAGE)]:
            for code in self._code[start:place]:
                yield owner, code
            owner, start = following, place


class _MarkedAnnotation(PDFObject):  # type: ignore[misc]
    """An annotation of ReportLab's, with its place in the tree of parents; a link says where it leads.

    It is written when all bookmarks are known.
    """

    def __init__(self, annotation: Any, titles: Mapping[str, str]) -> None:  # noqa: ANN401
        self._annotation, self._titles = annotation, titles
        self.destination: str | None = None
        self.key: int | None = None

    def format(self, document: PageDocument) -> bytes:
        """Return the annotation as it stands in the file."""
        own = self._annotation
        entries = dict((own if isinstance(own, PDFDictionary) else own.Dict()).dict)
        entries["F"] = 4  # it prints too, as archives demand
        if self.key is not None:
            entries["StructParent"] = self.key
        if self.destination is not None:
            entries["Contents"] = text_string(self._titles.get(self.destination, self.destination))
        return bytes(PDFDictionary(entries).format(document))


class _Marker:
    """Writes one page's operators as marked content; every sequence that paints has exactly one owner.

    ``switches`` are the owners that the marks inside a text name by their place, ``owners`` those of each mark.
    """

    def __init__(self, structure: Structure, page: int, switches: list[Owner]) -> None:
        self._structure, self._page, self._switches = structure, page, switches
        self.owners: list[Element] = []
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
        number = len(self.owners)
        self.owners.append(owner)
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
