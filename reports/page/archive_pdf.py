"""From ReportLab's pages to a file for the archive: structure, attachments, metadata, colour space, fixed identity.

What the file claims to be is what the preflight of its own pages allows.
"""

import io
import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pikepdf
from PIL import ImageCms

from reports.page.paper import Paper
from reports.page.pictures import place_pictures
from reports.tagged.elements import Structure
from reports.tagged.metadata import claim_in_file, write_metadata
from reports.tagged.preflight import Conformance, claim_of, preflight
from reports.tagged.write import write_structure

__all__ = ["DrawnPages", "archive", "list_used_characters"]

# what each file is to the report: its source, data beside it, or a supplement
_RELATION = {"results.json": "/Source", "per_study.csv": "/Data"}
_ABOUT = {
    "results.json": "Every number of the report",
    "per_study.csv": "One row for each study, map and expert",
    "run.json": "What made the results, and the hashes of all files of the run",
}
_MIME = {".json": "application/json", ".csv": "text/csv", ".yaml": "application/yaml"}
_CHARACTER = re.compile(rb"<([0-9A-Fa-f]{2})> <([0-9A-Fa-f]{4})>")
_BLOCK = 100  # characters that one list of a font's characters may hold


@dataclass(frozen=True)
class DrawnPages:
    """What drawing leaves: a file of ``pages`` that holds their pictures, and what is on them.

    ``pictures`` are the numbers of the pictures' objects in that file, by the names that pages call them; ``placed``
    are the names that each page calls. ``structure`` and ``titles`` are the elements and the bookmarks' words.
    """

    pages: Path
    pictures: Mapping[str, int]
    placed: Mapping[int, set[str]]
    structure: Structure
    titles: Mapping[str, str]


def archive(drawn: DrawnPages, target: Path, paper: Paper, files: Mapping[str, bytes], made: datetime) -> None:
    """Write the PDF, tagged, with ``files`` embedded, metadata dated ``made`` and an sRGB output intent.

    The same input gives the same bytes. There is no document information dictionary: XMP is the only
    metadata, so a later signature cannot make the two disagree. It claims what the preflight of the file allows.
    """
    description = paper.described(made)
    with _opened(drawn.pages) as pdf:
        place_pictures(pdf, drawn.pictures, drawn.placed)
        _attach(pdf, files, made)
        _colour_space(pdf)
        _tidy(pdf)
        _form(pdf)
        write_structure(pdf, drawn.structure, drawn.titles)
        write_metadata(pdf, description, Conformance(None, universal=False))
        _save(pdf, target)
    with _opened(target) as pdf:
        claim = claim_of(preflight(pdf))
    claim_in_file(target, description, claim)


def _opened(path: Path) -> pikepdf.Pdf:
    """Open a file so that its streams stay on disk until they are written."""
    return pikepdf.open(path, access_mode=pikepdf.AccessMode.stream)


def _save(pdf: pikepdf.Pdf, target: Path) -> None:
    with target.open("wb") as file:
        held = _HeldErrors(file)
        pdf.save(
            held,
            deterministic_id=True,
            min_version="1.7",
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            fix_metadata_version=False,  # the metadata stay as they were written, byte for byte
        )
        if held.error is not None:
            raise held.error


class _HeldErrors(io.RawIOBase):
    """Writes to a file and holds the first error: qpdf, told of a full disk while it hashes, ends the process."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = file

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, content: Any, /) -> int:  # noqa: ANN401 - whatever is a buffer
        """Write, or nothing more once a write has failed."""
        if self.error is None:
            try:
                self._file.write(content)
            except OSError as error:
                self.error = error
        return len(content)


def _attach(pdf: pikepdf.Pdf, files: Mapping[str, bytes], made: datetime) -> None:
    """Embed the files; pikepdf also lists them as the document's associated files and adds size and checksum."""
    date = f"{made:D:%Y%m%d%H%M%S}Z"
    for name, data in files.items():
        suffix = "." + name.rpartition(".")[2]
        pdf.attachments[name] = pikepdf.AttachedFileSpec(
            pdf,
            data,
            filename=name,
            description=_ABOUT.get(name, name),
            mime_type=_MIME.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream",
            creation_date=date,
            mod_date=date,
            relationship=pikepdf.Name(_RELATION.get(name, "/Supplement")),
        )


def _tidy(pdf: pikepdf.Pdf) -> None:
    """Take away what ReportLab writes and an archive does not want."""
    if "/ID" in pdf.trailer:  # it holds the clock
        del pdf.trailer["/ID"]
    pdf.Root.PageMode = pikepdf.Name.UseOutlines
    for page in pdf.pages:
        if "/Trans" in page.obj:
            del page.obj["/Trans"]
        for annotation in page.get("/Annots", []):
            annotation.F = 4  # links print too, as archives demand
    list_used_characters(pdf)


def list_used_characters(pdf: pikepdf.Pdf) -> None:
    """Take away from each font's list of characters the codes that it does not use."""
    for item in pdf.objects:
        if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/Font" and "/ToUnicode" in item:
            item.ToUnicode.write(_characters(item.ToUnicode.read_bytes()))


def _form(pdf: pikepdf.Pdf) -> None:
    """List the form fields of all pages; each shows nothing until somebody fills it."""
    fields = pikepdf.Array()
    for page in pdf.pages:
        annotations = page.get("/Annots", pikepdf.Array())
        for place, annotation in enumerate(annotations):
            if annotation.get("/Subtype") == "/Widget":
                field = annotations[place] = pdf.make_indirect(annotation)
                left, bottom, right, top = (float(edge) for edge in field.Rect)
                nothing = pikepdf.Stream(pdf, b"", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form)
                nothing.BBox = pikepdf.Array([0, 0, right - left, top - bottom])
                field.AP = pikepdf.Dictionary(N=pdf.make_indirect(nothing))
                field.P = page.obj
                fields.append(field)
    if fields:
        pdf.Root.AcroForm = pdf.make_indirect(pikepdf.Dictionary(Fields=fields, SigFlags=1))


def _characters(listed: bytes) -> bytes:
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


def _colour_space(pdf: pikepdf.Pdf) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # the profile's date and id change from call to call
    profile[84:100] = bytes(16)
    stream = pikepdf.Stream(pdf, bytes(profile), N=3)
    intent = pikepdf.Dictionary(
        Type=pikepdf.Name.OutputIntent,
        S=pikepdf.Name.GTS_PDFA1,
        OutputConditionIdentifier="sRGB",
        DestOutputProfile=pdf.make_indirect(stream),
    )
    pdf.Root.OutputIntents = pikepdf.Array([pdf.make_indirect(intent)])
