"""LabelMe JSON: the shapes of one picture; polygons, rectangles, circles and small masks, in pixels.

A rectangle is a box. A circle is stored as its centre and a point of its rim, a mask as a PNG of 0 and 1 (or 0 and 255)
between the pixels of two corners, both of them included. Points enclose nothing; a line of the wanted label is refused.
"""

import base64
import binascii
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import ANY_IMAGE, Annotations, Marks, Shape, box, drawn, text_of
from pipeline.studies.readers.masks.coco import FACTS as COCO
from pipeline.studies.readers.regions.drawn_shapes import Bitmap, circle, points_of
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, check_size, first_bytes, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.unique_keys import stated, unique_json

__all__ = ["FACTS", "accepts", "annotations", "read_mask"]

FACTS = ReaderFacts(
    title="LabelMe JSON: polygon, rectangle, circle, mask",
    kind="labelme",
    reads="mask",
    covers_many=True,
    mask=MaskNotes("pictures, projections", "`label`", "pixel centres inside; the mask's pixels"),
)

_KEY = re.compile(
    rb'\s*\{\s*"(?:version|flags|shapes|lineColor|fillColor|imagePath|imageData|imageHeight|imageWidth)"\s*:'
)
_WHAT = "a shape"
_LINES = ("line", "linestrip")
_POINTS = ("point", "points")


def accepts(path: Path) -> bool:
    """Tell by the ending and the first key whether the file is LabelMe's."""
    return path.is_file() and COCO.bears(path) and _KEY.match(first_bytes(path, 256)) is not None


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the wanted label's shapes; the file has to name the study's image, or none.

    Raises:
        StudyError: NOT_READABLE for what is not LabelMe's; UNSUPPORTED_FORMAT for a line; as ``drawn``.
    """
    return drawn(wanted.kept.of(annotations, path), image, wanted)


def annotations(path: Path) -> Annotations:
    """Return what a file states of its image.

    Raises:
        StudyError: NOT_READABLE for what is not LabelMe's.
    """
    content = unique_json(text_of(path))
    listed = stated(content, "shapes", list, "the head")
    shapes = tuple(_shape(entry) for entry in listed)
    size = _size(content)
    name = str(content.get("imagePath") or "").strip() or ANY_IMAGE
    facts = {} if size else {"image size in the annotation": "not stated"}
    labels = frozenset(shape.label for shape in shapes if shape.label is not None)
    return Annotations({name: Marks(size, shapes)}, labels, facts=facts)


def _size(content: dict[str, Any]) -> tuple[int, int] | None:
    sides = [content.get(key) for key in ("imageHeight", "imageWidth")]
    if all(side is None for side in sides):
        return None
    rows, columns = (stated(content, key, int, "the head") for key in ("imageHeight", "imageWidth"))
    return rows, columns


def _shape(entry: dict[str, Any]) -> Shape:
    label = stated(entry, "label", str, _WHAT)
    points = points_of(stated(entry, "points", list, _WHAT))
    kind = entry.get("shape_type") or "polygon"
    if kind == "polygon":
        return Shape(label, "polygons", points)
    if kind == "rectangle":
        return Shape(label, "boxes", _box(points))
    if kind == "circle":
        centre, rim = _two(points, "circle")
        return Shape(label, "ellipses", circle(centre, rim))
    if kind == "mask":
        return Shape(label, "bitmaps", _bitmap(stated(entry, "mask", str, "a shape of the type mask"), points))
    if kind in _LINES:
        return Shape(label, "lines", points)
    if kind in _POINTS:
        return Shape(label, "points", points)
    raise refused(
        Reason.UNSUPPORTED_FORMAT, "a shape's shape_type is none that is read: polygon, rectangle, circle ..."
    )


def _two(points: NDArray[np.float64], kind: str) -> tuple[tuple[float, float], tuple[float, float]]:
    if len(points) != 2:
        raise refused(Reason.NOT_READABLE, f"a {kind} has {len(points)} points and takes 2")
    (left, top), (right, bottom) = points.tolist()
    return (left, top), (right, bottom)


def _box(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return a rectangle's outline from two opposite corners, in any order, or from all four."""
    (left, top), (right, bottom) = points.min(axis=0, initial=math.inf), points.max(axis=0, initial=-math.inf)
    upright = {(left, top), (right, top), (right, bottom), (left, bottom)}
    if len(points) not in (2, 4) or (len(points) == 4 and set(map(tuple, points.tolist())) != upright):
        raise refused(Reason.NOT_READABLE, f"a rectangle's {len(points)} points are no corners of an upright one")
    return box(left, top, right, bottom)


def _bitmap(encoded: str, points: NDArray[np.float64]) -> Bitmap:
    corners = _two(points, "mask")
    columns, rows = (_whole(end) - _whole(begin) + 1 for begin, end in zip(*corners, strict=True))
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=("PNG",)) as picture:
            check_size(picture.width * picture.height * 4)
            size = (picture.height, picture.width)
            values = np.asarray(picture) if size == (rows, columns) else None
    except (binascii.Error, OSError, ValueError, SyntaxError):
        size, values = (0, 0), None
    if values is None:
        message = f"a mask's picture has {size[0]} x {size[1]} pixels, and its corners enclose {rows} x {columns}"
        raise refused(Reason.NOT_READABLE, message)
    inside = set(np.unique(values).tolist()) - {0}
    if values.ndim != 2 or inside - {1, 255} or len(inside) > 1:
        raise refused(Reason.NOT_READABLE, "a mask's picture holds more than 0 and one of 1 and 255")
    return Bitmap(values != 0, _whole(corners[0][1]), _whole(corners[0][0]))


def _whole(number: float) -> int:
    if not number.is_integer():
        raise refused(Reason.NOT_READABLE, f"a mask's corner lies at {number:g}, and is a pixel's number")
    return int(number)
