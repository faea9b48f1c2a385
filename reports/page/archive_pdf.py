"""From ReportLab's pages to a file for the archive: attachments, metadata, colour space, fixed identity.

The rules of PDF/A-3 are followed as far as they are checked here; no conformance is claimed.
"""

import io
import mimetypes
from collections.abc import Mapping
from datetime import datetime

import pikepdf
from PIL import ImageCms

from pipeline.findings.results import Results
from reports.page.document import ReportDocument
from reports.page.text import clean
from reports.tagged.write import write_structure

__all__ = ["archivable"]

# what each file is to the report: its source, data beside it, or a supplement
_RELATION = {"results.json": "/Source", "per_study.csv": "/Data"}
_MIME = {".json": "application/json", ".csv": "text/csv", ".yaml": "application/yaml"}


def archivable(
    pages: bytes, document: ReportDocument, results: Results, files: Mapping[str, bytes], made: datetime
) -> bytes:
    """Return the PDF with ``files`` embedded, XMP metadata dated ``made`` and an sRGB output intent.

    The same input gives the same bytes. There is no document information dictionary: XMP is the only
    metadata, so a later signature cannot make the two disagree.
    """
    with pikepdf.open(io.BytesIO(pages)) as pdf:
        _attach(pdf, files, made)
        _describe(pdf, results, made)
        _colour_space(pdf)
        write_structure(pdf, document.structure, document.titles)
        for page in pdf.pages:
            for annotation in page.get("/Annots", []):
                annotation.F = 4  # links print too, as archives demand
        target = io.BytesIO()
        pdf.save(
            target,
            deterministic_id=True,
            min_version="1.7",
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
        )
    return target.getvalue()


def _attach(pdf: pikepdf.Pdf, files: Mapping[str, bytes], made: datetime) -> None:
    """Embed the files; pikepdf also lists them as the document's associated files and adds size and checksum."""
    date = f"{made:D:%Y%m%d%H%M%S}Z"
    for name, data in files.items():
        suffix = "." + name.rpartition(".")[2]
        pdf.attachments[name] = pikepdf.AttachedFileSpec(
            pdf,
            data,
            filename=name,
            mime_type=_MIME.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream",
            creation_date=date,
            mod_date=date,
            relationship=pikepdf.Name(_RELATION.get(name, "/Supplement")),
        )


def _describe(pdf: pikepdf.Pdf, results: Results, made: datetime) -> None:
    for key in ("/Info", "/ID"):  # the first stage's identity holds its clock
        if key in pdf.trailer:
            del pdf.trailer[key]
    date = made.isoformat(timespec="seconds")
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        metadata["dc:title"] = clean(results.title)
        metadata["dc:creator"] = [clean(results.prepared_by)]
        metadata["dc:description"] = f"Saliency audit {clean(results.audit)}, run {clean(results.run)}"
        metadata["dc:language"] = ["en"]
        metadata["xmp:CreateDate"] = date
        metadata["xmp:ModifyDate"] = date
        metadata["xmp:MetadataDate"] = date
        metadata["xmp:CreatorTool"] = f"camaudit {clean(results.provenance.camaudit)}"
    pdf.Root.PageMode = pikepdf.Name.UseOutlines


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
