"""What a file needs to look the same in thirty years: it holds all that it takes, and does nothing (PDF/A-3)."""

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

import pikepdf

from reports.pdf_objects.file_reader import FileReader
from reports.tagged.rule import FileRule, ObjectRule, Rule
from reports.tagged.tree import Tree

__all__ = ["ARCHIVE_RULES"]

_FORBIDDEN_ACTIONS = frozenset({
    "Launch", "Sound", "Movie", "ResetForm", "ImportData", "Hide", "SetOCGState", "Rendition", "Trans", "GoTo3DView",
    "JavaScript",
})  # fmt: skip
_ANNOTATIONS = frozenset({
    "Text", "Link", "FreeText", "Line", "Square", "Circle", "Polygon", "PolyLine", "Highlight", "Underline",
    "Squiggly", "StrikeOut", "Stamp", "Caret", "Ink", "Popup", "FileAttachment", "Widget", "PrinterMark", "TrapNet",
    "Watermark", "Redact",
})  # fmt: skip
_PRINT, _NEVER = 4, 1 | 2 | 32 | 256  # bits of an annotation: prints; invisible, hidden, not viewed, toggled


def _encryption(file: FileReader, _tree: Tree) -> Iterator[str]:
    if file.pdf.is_encrypted or "/Encrypt" in file.pdf.trailer:
        yield "the file is encrypted"


def _identity(file: FileReader, _tree: Tree) -> Iterator[str]:
    if len(file.pdf.trailer.get("/ID", [])) != 2:
        yield "the trailer has no identity"


def _information(file: FileReader, _tree: Tree) -> Iterator[str]:
    """Without an information dictionary, or with one that says what the metadata say."""
    information = file.pdf.trailer.get("/Info")
    if information is None or not information.keys() - {"/ModDate"}:
        return
    with file.pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        said = {
            "/Title": metadata.get("dc:title"),
            "/Author": ", ".join(metadata.get("dc:creator", [])),
            "/Subject": metadata.get("dc:description"),
            "/Producer": metadata.get("pdf:Producer"),
            "/Creator": metadata.get("xmp:CreatorTool"),
        }
    for name, value in said.items():
        if name in information and str(information[name]) != str(value or ""):
            yield f"the information dictionary and the metadata disagree on {name[1:]}"


def _metadata(file: FileReader, _tree: Tree) -> Iterator[str]:
    metadata = file.pdf.Root.get("/Metadata")
    if not isinstance(metadata, pikepdf.Stream) or metadata.get("/Subtype") != "/XML":
        yield "the catalog has no metadata (XMP)"
        return
    if "/Filter" in metadata:
        yield "the metadata are compressed, so that not everything that looks for them reads them"
    try:
        ElementTree.fromstring(metadata.read_bytes().decode("utf-8-sig").strip())
    except (ElementTree.ParseError, UnicodeDecodeError):
        yield "the metadata are no XML"


def _colour(file: FileReader, tree: Tree) -> Iterator[str]:
    intents = [each for each in file.pdf.Root.get("/OutputIntents", []) if each.get("/S") == "/GTS_PDFA1"]
    if len(intents) != 1:
        yield f"there are {len(intents)} output intents for an archive, not one"
    for intent in intents:
        profile = intent.get("/DestOutputProfile")
        data = profile.read_bytes() if isinstance(profile, pikepdf.Stream) else b""
        if data[36:40] != b"acsp" or data[16:20] != b"RGB " or profile.get("/N") != 3:
            yield "the output intent holds no profile of red, green and blue"
    for number, page in enumerate(tree.pages, 1):
        if page.cmyk:
            yield f"page {number} sets colours for four inks, for which the output intent says nothing"


def _fonts(font: pikepdf.Object, _file: FileReader) -> Iterator[str]:
    if not isinstance(font, pikepdf.Dictionary) or font.get("/Type") != "/Font" or "/Subtype" not in font:
        return
    if str(font.Subtype) in ("/Type0", "/Type3"):  # their glyphs are in a descendant, or drawn in place
        return
    descriptor = font.get("/FontDescriptor", {})
    if not any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3")):
        yield f"the font {str(font.get('/BaseFont', ''))[:60]} is not embedded"


def _scripts(file: FileReader, _tree: Tree) -> Iterator[str]:
    if "/JavaScript" in file.pdf.Root.get("/Names", {}):
        yield "the file holds JavaScript"


def _actions(item: pikepdf.Object, _file: FileReader) -> Iterator[str]:
    if not isinstance(item, pikepdf.Dictionary):
        return
    if "/AA" in item:
        yield "something acts by itself (AA)"
    for action in (item.get("/A"), item.get("/OpenAction"), item):
        kind = str(action.get("/S", ""))[1:] if isinstance(action, pikepdf.Dictionary) else ""
        if kind in _FORBIDDEN_ACTIONS and (action is not item or item.get("/Type") == "/Action"):
            yield f"there is an action {kind}"


def _streams(item: pikepdf.Object, _file: FileReader) -> Iterator[str]:
    if not isinstance(item, pikepdf.Stream):
        return
    filters = item.get("/Filter", [])
    names = {str(filters)} if isinstance(filters, pikepdf.Name) else {str(name) for name in filters}
    if names & {"/LZWDecode", "/LZW", "/Crypt"}:
        yield f"a stream is packed by {', '.join(sorted(names))}"
    if "/F" in item:
        yield "a stream lies outside of the file"


def _annotations(file: FileReader, _tree: Tree) -> Iterator[str]:
    for number, page in enumerate(file.pages(), 1):
        for annotation in file.object(page).get("/Annots", []):
            kind = str(annotation.get("/Subtype", ""))[1:]
            flags = int(annotation.get("/F", 0))
            if kind not in _ANNOTATIONS:
                yield f"page {number} has an annotation {kind}"
            elif kind != "Popup" and (not flags & _PRINT or flags & _NEVER):
                yield f"an annotation of page {number} does not print or is hidden"
            elif kind not in ("Link", "Popup") and "/AP" not in annotation and _extent(annotation):
                yield f"an annotation of page {number} has no appearance"


def _extent(annotation: pikepdf.Object) -> bool:
    left, bottom, right, top = (float(edge) for edge in annotation.get("/Rect", [0, 0, 0, 0]))
    return left != right and bottom != top


def _attachments(item: pikepdf.Object, file: FileReader) -> Iterator[str]:
    if not isinstance(item, pikepdf.Dictionary) or "/EF" not in item:
        return
    associated = {each.objgen for each in file.pdf.Root.get("/AF", [])}
    name = str(item.get("/UF", item.get("/F", "")))[:60]
    if "/AFRelationship" not in item or item.objgen not in associated:
        yield f"the attachment {name} does not say what it is to the document"
    if "/F" not in item or "/UF" not in item:
        yield f"the attachment {name} has not both of its names"
    if any("/Subtype" not in stream for _, stream in item.EF.items()):
        yield f"the attachment {name} does not say of what kind it is"


def _images(item: pikepdf.Object, _file: FileReader) -> Iterator[str]:
    if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Image":
        if item.get("/Interpolate") is True:
            yield "a picture is smoothed by whoever shows it"
        if "/Alternates" in item or "/OPI" in item:
            yield "a picture has another in its place"
        if item.get("/ColorSpace") == "/DeviceCMYK":
            yield "a picture is made for four inks"


def _forms(file: FileReader, _tree: Tree) -> Iterator[str]:
    form = file.pdf.Root.get("/AcroForm", {})
    if form.get("/NeedAppearances") is True or "/XFA" in form:
        yield "a form is drawn by whoever shows it"


ARCHIVE_RULES: Mapping[str, Rule] = {
    "encryption": FileRule(_encryption), "identity": FileRule(_identity), "information": FileRule(_information),
    "metadata": FileRule(_metadata), "colour": FileRule(_colour), "fonts": ObjectRule(_fonts),
    "scripts": FileRule(_scripts), "actions": ObjectRule(_actions), "streams": ObjectRule(_streams),
    "annotations": FileRule(_annotations), "attachments": ObjectRule(_attachments), "images": ObjectRule(_images),
    "forms": FileRule(_forms),
}  # fmt: skip
"""The rules by name."""
