"""ReportLab's document, whose pages go to a file as soon as they are drawn; the rest follows when all of them are."""

import re
import zlib
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFDocument, PDFName, PDFObjectReference, PDFString, format

from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.values import reference

__all__ = ["PageDocument"]

_CHARACTERS = "toUnicodeCMap:"
"""How ReportLab's names of a font's lists of characters begin."""

_CHARACTER = re.compile(rb"<([0-9A-Fa-f]{2})> <([0-9A-Fa-f]{4})>")
_BLOCK = 100  # characters that one list of a font's characters may hold
_LENGTH = re.compile(rb"/Length \d+")


class PageDocument(PDFDocument):  # type: ignore[misc]  # ReportLab has no types
    """Gives its objects the numbers of a file, and hands it each page once; fonts and bookmarks wait for the last."""

    def __init__(self, objects: ObjectFile, **options: Any) -> None:  # noqa: ANN401
        self.objects = objects
        super().__init__(**options)

    @property
    def objectcounter(self) -> int:
        """The last number that was given out: the file's own."""
        return self.objects.last

    @objectcounter.setter
    def objectcounter(self, number: int) -> None:
        self.objects.last = number

    def number_of(self, name: str) -> int:
        """Return the number of an object that ReportLab knows by name."""
        return int(self.idToObjectNumberAndVersion[name][0])

    def addPage(self, page: Any) -> None:  # noqa: ANN401, N802  # ReportLab's name
        """Write a page and its operators; ``page.entries`` are those of its dictionary that are not ReportLab's."""
        name = self.thisPageName()
        super().addPage(page)
        content = self.objects.reserve()
        page.Contents = reference(content)
        self.objects.write_stream(content, b"/Filter/FlateDecode", zlib.compress(page.stream.encode("latin-1")))
        page.check_format(self)
        # apart from the page: who opens a file reads every page, and few of them what it draws with
        resources = self.objects.reserve()
        self.objects.write(resources, format(page.Resources, self), "resources")
        entries = {"Type": PDFName("Page"), "Contents": page.Contents, "Resources": reference(resources)}
        entries |= {key: getattr(page, key) for key in ("MediaBox", "Parent", "Annots")} | page.entries
        entries = {key: value for key, value in entries.items() if value is not None}
        self.objects.write(self.number_of(name), format(PDFDictionary(entries), self), "page")
        self.Pages.pages[-1] = PDFObjectReference(name)
        del self.numberToId[self.number_of(name)]
        self.idToObject[name] = None

    def finish(self, canvas: Any, catalog: Mapping[str, bytes]) -> None:  # noqa: ANN401
        """Write what is left, and the catalog with these entries beside ReportLab's own."""
        for font in self.delayedFonts:
            font.addObjects(self)
        self.Outlines.prepare(self, canvas)
        entries = {"Type": PDFName("Catalog"), "Pages": self.Reference(self.Pages), **catalog}
        if self.Outlines.ready > 0:
            entries |= {"Outlines": self.Reference(self.Outlines), "PageMode": PDFName("UseOutlines")}
        if language := getattr(self.Catalog, "Lang", None):
            entries["Lang"] = PDFString(language)
        root = self.Reference(PDFDictionary(entries), "Catalog")
        for number in count(1):  # writing a thing may register others
            if number > self.objects.last:
                break
            if name := self.numberToId.get(number):
                self._write(name, number)
        self.objects.finish(self.number_of(root.name))

    def _write(self, name: str, number: int) -> None:
        item = self.idToObject[name]
        if name.startswith(_CHARACTERS):
            item.content = _used_characters(item.content.encode())
        content = format(item, self, toplevel=1)
        entries, stream, data = content.partition(b"\nstream\n")
        if stream and data.endswith(b"endstream\n"):
            entries = entries.strip().removeprefix(b"<<").removesuffix(b">>")
            self.objects.write_stream(number, _LENGTH.sub(b"", entries), data.removesuffix(b"endstream\n"))
        else:
            self.objects.write(number, content)
        self.idToObject[name] = None


_LENGTH = re.compile(rb"/Length \d+")


def _used_characters(listed: bytes) -> bytes:
    """Return a font's list of characters without the codes that it does not use, in blocks as long as may be."""
    before, _, rest = listed.partition(b"1 begincodespacerange")
    span, _, _ = rest.partition(b"endcodespacerange")
    used = [(code, point) for code, point in _CHARACTER.findall(listed) if int(point, 16)]
    blocks = [used[start : start + _BLOCK] for start in range(0, len(used), _BLOCK)]
    return b"".join(
        [
            before,
            b"1 begincodespacerange",
            span,
            b"endcodespacerange\n",
            *(_block(block) for block in blocks),
            b"endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend",
        ]
    )


def _block(characters: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = [b"<%s> <%s>\n" % pair for pair in characters]
    return b"%d beginbfchar\n%sendbfchar\n" % (len(lines), b"".join(lines))
