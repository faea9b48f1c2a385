"""Pascal VOC XML: the boxes of one picture.

As the challenge defined it, ``bndbox`` names the first and the last pixel of each row and column, counted from 1, both
of them in the box. Programs that count from 0 write the same words: nothing in a file tells them apart, and their boxes
lie up to a pixel off. The facts say how pixels were counted.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import ANY_IMAGE, Annotations, Marks, Shape, box, drawn
from pipeline.studies.readers.regions.plain_numbers import plain_number
from pipeline.studies.readers.regions.xml_tree import root_name, text_in, xml_tree
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "annotations", "read_mask"]

FACTS = ReaderFacts(
    title="Pascal VOC XML: boxes",
    kind="pascal voc",
    reads="mask",
    endings=(".xml",),
    covers_many=True,
    mask=MaskNotes("pictures, projections", "`name` of the object", "first to last pixel, counted from 1"),
)

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FACTS = {"box pixels": "counted from 1, first and last included (Pascal VOC)"}


def accepts(path: Path) -> bool:
    """Tell by the ending and the outermost element whether the file is Pascal VOC's."""
    return FACTS.bears(path) and root_name(path) == "annotation"


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the wanted label's boxes; the file has to name the study's image, or none.

    Raises:
        StudyError: NOT_READABLE for what is not Pascal VOC's; as ``xml_tree`` and ``drawn``.
    """
    return drawn(wanted.kept.of(annotations, path), image, wanted)


def annotations(path: Path) -> Annotations:
    """Return what a file states of its picture.

    Raises:
        StudyError: NOT_READABLE for what is not Pascal VOC's; as ``xml_tree``.
    """
    content = xml_tree(path)
    shapes = tuple(_box(entry) for entry in content.findall("object"))
    size = content.find("size")
    name = text_in(content, "filename") or ANY_IMAGE
    facts = _FACTS if size is not None else {**_FACTS, "image size in the annotation": "not stated"}
    labels = frozenset(shape.label for shape in shapes if shape.label)
    return Annotations({name: Marks(None if size is None else _size(size), shapes)}, labels, facts=facts)


def _size(size: Element) -> tuple[int, int] | None:
    rows, columns = (int(_number(size, key)) for key in ("height", "width"))
    return (rows, columns) if rows or columns else None  # some programs write 0 where they know none


def _box(entry: Element) -> Shape:
    label, corners = text_in(entry, "name"), entry.find("bndbox")
    if not label or corners is None:
        raise refused(Reason.NOT_READABLE, "an object of the XML file states no name, or no bndbox")
    left, top, right, bottom = (_number(corners, key) for key in _CORNERS)
    if right < left or bottom < top:
        message = f"a bndbox ends at pixel {right:g}, {bottom:g} and begins at {left:g}, {top:g}"
        raise refused(Reason.NOT_READABLE, message)
    return Shape(label, "boxes", box(left - 1, top - 1, right, bottom))


def _number(element: Element, key: str) -> float:
    return plain_number(text_in(element, key), f"{element.tag} of the XML file: {key}")
