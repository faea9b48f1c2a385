"""A file's metadata (XMP): what it is, who made it when, and what it claims to be.

Written as text here and not by a library: a claim of accessibility in an archive file needs a description of its own
schema, and what is signed later must find it as it stands.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape

import pikepdf

from reports.tagged.preflight import Conformance

__all__ = ["Description", "claim_in_file", "metadata_of", "read_claim"]

_BLOCK = 1 << 16  # bytes read at a time; the metadata are shorter
_NOTHING = Conformance(None, universal=False)
_ARCHIVE = "http://www.aiim.org/pdfa/ns/id/"
_UNIVERSAL = "http://www.aiim.org/pdfua/ns/id/"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
{descriptions}
</rdf:RDF>
</x:xmpmeta>
{room}<?xpacket end="w"?>"""
# PDF/A knows the schemas of PDF/A only: any other has to be described where it is used
_SCHEMA = f"""<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
 xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
<pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>{_UNIVERSAL}</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">
<pdfaProperty:name>part</pdfaProperty:name>
<pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category>
<pdfaProperty:description>Part of ISO 14289 that the file follows</pdfaProperty:description>
</rdf:li></rdf:Seq></pdfaSchema:property>
</rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>"""


@dataclass(frozen=True)
class Description:
    """What a file says of itself in words; ``made`` is a date and time as ISO 8601 writes it."""

    title: str
    creator: str
    subject: str
    tool: str
    made: str
    language: str


def claim_in_file(path: Path, description: Description, claim: Conformance) -> None:
    """Let a finished file that claims nothing claim this, where its metadata stand: nothing else of it moves.

    Raises:
        ValueError: where the file does not hold the metadata of ``description``, unclaimed and in clear, just once.
    """
    before, after = metadata_of(description, _NOTHING), metadata_of(description, claim)
    with path.open("r+b") as file:
        starts = list(_places(file, before))
        if len(starts) != 1:
            raise ValueError("the file does not hold its unclaimed metadata in clear, just once")
        file.seek(starts[0])
        file.write(after)


def _places(file: BinaryIO, wanted: bytes) -> Iterator[int]:
    """Yield where bytes stand in a file, which is never in memory whole."""
    start, held = 0, b""
    while block := file.read(_BLOCK):
        held += block
        place = held.find(wanted)
        while place >= 0:
            yield start + place
            place = held.find(wanted, place + 1)
        kept = len(held) - len(wanted) + 1  # what may begin here and end in the next block
        if kept > 0:
            start, held = start + kept, held[kept:]


def metadata_of(description: Description, claim: Conformance) -> bytes:
    """Return the metadata's bytes, as long whatever is claimed: a packet may end with white space."""
    made, longest = ("\n".join(_descriptions(description, each)) for each in (claim, Conformance("A", universal=True)))
    room = " " * (len(longest) - len(made))
    return _PACKET.format(descriptions=made, room=room).encode()


def read_claim(pdf: pikepdf.Pdf) -> Conformance:
    """Return what a file claims to be."""
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        part, level = (str(metadata.get(f"{{{_ARCHIVE}}}{name}", "")) for name in ("part", "conformance"))
        universal = str(metadata.get(f"{{{_UNIVERSAL}}}part", "")) == "1"
    archive = level if part == "3" and level in ("A", "B") else None
    return Conformance(archive, universal)  # type: ignore[arg-type]  # one of the two, by the line above


def _descriptions(description: Description, claim: Conformance) -> Iterable[str]:
    yield _about(
        "dc",
        "http://purl.org/dc/elements/1.1/",
        f"<dc:format>application/pdf</dc:format>{_alternative('title', description.title)}"
        f"<dc:creator><rdf:Seq><rdf:li>{escape(description.creator)}</rdf:li></rdf:Seq></dc:creator>"
        f"{_alternative('description', description.subject)}"
        f"<dc:language><rdf:Bag><rdf:li>{escape(description.language)}</rdf:li></rdf:Bag></dc:language>",
    )
    dates = "".join(
        f"<xmp:{name}>{escape(description.made)}</xmp:{name}>" for name in ("CreateDate", "ModifyDate", "MetadataDate")
    )
    tool = f"<xmp:CreatorTool>{escape(description.tool)}</xmp:CreatorTool>"
    yield _about("xmp", "http://ns.adobe.com/xap/1.0/", dates + tool)
    if claim.archive is not None:
        level = f"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>{claim.archive}</pdfaid:conformance>"
        yield _about("pdfaid", _ARCHIVE, level)
    if claim.universal:
        yield _about("pdfuaid", _UNIVERSAL, "<pdfuaid:part>1</pdfuaid:part>")
        yield _SCHEMA


def _about(prefix: str, namespace: str, properties: str) -> str:
    return f'<rdf:Description rdf:about="" xmlns:{prefix}="{namespace}">{properties}</rdf:Description>'


def _alternative(name: str, words: str) -> str:
    return f'<dc:{name}><rdf:Alt><rdf:li xml:lang="x-default">{escape(words)}</rdf:li></rdf:Alt></dc:{name}>'
