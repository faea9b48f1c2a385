"""What a file for the archive carries beside its pages: attachments, metadata and the colour space.

What the file claims to be is what the preflight of its own pages allows.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from PIL import ImageCms

from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.values import array_of, reference, text_string
from reports.tagged.metadata import Description, claim_in_file, metadata_of
from reports.tagged.preflight import Conformance, claim_of, preflight_file

__all__ = ["ArchiveParts", "claim_what_holds"]

# what each file is to the report: its source, data beside it, or a supplement
_RELATION = {"results.json": "Source", "per_study.csv": "Data"}
_ABOUT = {
    "results.json": "Every number of the report",
    "per_study.csv": "One row for each study, map and expert",
    "run.json": "What made the results, and the hashes of all files of the run",
}
_BLOCK = 1 << 18  # bytes of a file that are read at a time
_checksum = partial(hashlib.md5, usedforsecurity=False)  # what the format asks for
# our own list: what `mimetypes` says follows from Python and machine, and a report is the same bytes on all
_MIME = {".json": "application/json", ".csv": "text/csv", ".yaml": "application/yaml"}


@dataclass(frozen=True)
class ArchiveParts:
    """The ``files`` that a document embeds, open, by name, and what its metadata say of it; ``made`` is its date."""

    files: Mapping[str, io.BufferedIOBase]
    description: Description
    made: datetime

    def write(self, objects: ObjectFile) -> Mapping[str, bytes]:
        """Write files, metadata (which claim nothing) and the colour space; return the catalog's entries for them.

        XMP is the only metadata: without a document information dictionary no later signature can make the two
        disagree.
        """
        metadata = objects.reserve()
        packet = metadata_of(self.description, Conformance(None, universal=False))
        objects.write_stream(metadata, b"/Type/Metadata/Subtype/XML", packet)
        entries = {"Metadata": reference(metadata), "OutputIntents": array_of([reference(_colour_space(objects))])}
        attached = {name: reference(self._attached(objects, name)) for name in sorted(self.files)}
        if not attached:
            return entries
        names = array_of(part for name, file in attached.items() for part in (text_string(name), file))
        listed = {"Names": b"<</EmbeddedFiles<</Names%b>>>>" % names, "AF": array_of(attached.values())}
        return entries | listed

    def _attached(self, objects: ObjectFile, name: str) -> int:
        """Embed a file; return the number of what names it and says what it is to the document."""
        content = self.files[name]
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
        suffix = "." + name.rpartition(".")[2]
        kind = _MIME.get(suffix, "application/octet-stream")
        digest = hashlib.file_digest(content, _checksum).hexdigest()
        content.seek(0)
        date = f"(D:{self.made:%Y%m%d%H%M%S}Z)"
        facts = f"/Params<</CheckSum<{digest}>/CreationDate{date}/ModDate{date}/Size {size}>>"
        file = objects.reserve()
        head = f"/Type/EmbeddedFile/Subtype/{kind.replace('/', '#2f')}{facts}"
        objects.write_packed(file, head.encode(), iter(partial(content.read, _BLOCK), b""))
        words = b"/F%b/UF%b/Desc%b" % (text_string(name), text_string(name), text_string(_ABOUT.get(name, name)))
        relation = _RELATION.get(name, "Supplement").encode()
        stream = reference(file)
        return objects.add(
            b"<</Type/Filespec%b/AFRelationship/%b/EF<</F %b/UF %b>>>>" % (words, relation, stream, stream)
        )


def claim_what_holds(path: Path, description: Description) -> None:
    """Let a file that claims nothing claim what its own preflight allows."""
    claim_in_file(path, description, claim_of(preflight_file(path)))


def _colour_space(objects: ObjectFile) -> int:
    """Write the output intent of an archive: red, green and blue as screens show them; return its number."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # the profile's date and id change from call to call
    profile[84:100] = bytes(16)
    stream = objects.reserve()
    objects.write_packed(stream, b"/N 3", [bytes(profile)])
    return objects.add(
        b"<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/DestOutputProfile %b>>" % reference(stream)
    )
