"""What one file states of many images: boxes, polygons and run lengths, in pixels, drawn on one of them.

x runs along a row to the right, y down; the first pixel covers 0 to 1 of each, its centre lies at 0.5. A pixel is
marked when its centre lies inside a shape (``even_odd``): a box from 2 to 5 holds three pixels. Several shapes of one
label are united.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.regions.drawn_shapes import bitmap_marks, ellipse_marks, outline_marks
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.labels import same_label
from pipeline.studies.readers.shared.run_length import expanded
from pipeline.studies.readers.shared.unique_keys import stated

__all__ = [
    "ANY_IMAGE",
    "Annotations",
    "Marks",
    "Shape",
    "box",
    "drawn",
    "image_key",
    "text_of",
]

ANY_IMAGE = ""
"""The name of the image in a file of one image that does not name it: whoever pairs the two has to know."""

_CAP = 256 * 1024**2
_BOXES = "boxes"


@dataclass(frozen=True)
class Shape:
    """One shape: points (x, y) of an outline, an ``Ellipse``, a ``Bitmap``, or COCO's run lengths.

    ``label`` None: the file tells none.
    """

    label: str | None
    form: Literal["boxes", "polygons", "ellipses", "bitmaps", "run lengths", "points", "lines"]
    content: Any
    reader: str | None = None


@dataclass(frozen=True)
class Marks:
    """What is stated of one image: its size (rows, columns) if any, the shapes, and who looked if that is told."""

    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    readers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Annotations:
    """What is stated of all images, by their names in the file, and every label that the file knows.

    ``stray`` counts shapes of images that the file does not list. ``facts`` are what a report should know of the
    format's way of counting pixels.
    """

    images: Mapping[str, Marks]
    labels: frozenset[str]
    stray: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)


def image_key(name: str, endings: Sequence[str]) -> str:
    """Return an image's name in such files: its file's name without folder and without one of these endings."""
    plain = re.split(r"[/\\]", name)[-1]
    borne = max((ending for ending in endings if plain.lower().endswith(ending)), key=len, default="")
    return plain[: len(plain) - len(borne)]


def text_of(path: Path) -> str:
    """Return a file's text.

    Raises:
        StudyError: TOO_LARGE above the cap.
    """
    size = path.stat().st_size
    if size > _CAP:
        raise refused(Reason.TOO_LARGE, f"the file has {size / 2**20:.0f} MiB; the cap is {_CAP / 2**20:.0f} MiB")
    return path.read_text(encoding="utf-8-sig")


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """Return the outline of a box.

    Raises:
        StudyError: NOT_READABLE for a box that ends before it begins.
    """
    if right < left or bottom < top:
        raise refused(Reason.NOT_READABLE, f"a box of {right - left:g} x {bottom - top:g} pixels ends before it begins")
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def drawn(annotations: Annotations, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Return the wanted label's shapes on the image's pixels; an image that is listed without any is empty.

    Raises:
        StudyError: NOT_READABLE; excluded: MASK_MISSING_ENTRY when the file does not list the image (or not by this
            reader), MASK_MISSING_LABEL, OTHER_GRID for another size, MASK_WITHOUT_AREA when shapes hold no
            pixel's centre.
    """
    shape = image.volume.geometry.shape
    if len(shape) != 2:
        message = f"the mask is drawn on a picture; the image {shape} is a volume"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    marks = _entry(annotations, wanted)
    _check_size(marks.size or (shape[0], shape[1]), shape)
    shapes = _wanted_shapes(annotations, marks, wanted)
    marked, lost = np.zeros(shape, dtype=bool), 0
    for drawn_shape in shapes:
        inside, without = _MARKS[drawn_shape.form](drawn_shape, shape)
        marked |= inside
        lost += without
    if lost and not marked.any():
        message = f"the mask's {lost} shapes enclose no pixel's centre"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    forms = sorted({drawn_shape.form for drawn_shape in shapes})
    facts = {**annotations.facts, "mask drawn from": " and ".join(forms)} if shapes else {}
    facts |= {"annotation": "box" if forms == [_BOXES] else "box and outline"} if _BOXES in forms else {}
    facts |= {"shapes smaller than a pixel": f"{lost} of {len(shapes)}"} if lost else {}
    facts |= {"shapes of images that the file does not list": str(annotations.stray)} if annotations.stray else {}
    return MaskFile(marked, facts)


def _entry(annotations: Annotations, wanted: MaskRequest) -> Marks:
    images, key = annotations.images, wanted.key or ""
    key = ANY_IMAGE if ANY_IMAGE in images else key
    named = [images[key]] if key in images else None
    fitting = named or [marks for name, marks in images.items() if image_key(name, wanted.endings) == key]
    if len(fitting) != 1:
        message = (
            f"the mask's file lists {len(images)} images, and {len(fitting)} of them bear this image's name; "
            "the manifest can state it as path#name"
        )
        raise refused(Reason.MASK_MISSING_ENTRY, message, excluded=True)
    readers = fitting[0].readers
    if readers and not any(same_label(reader, wanted.reader or "") for reader in readers):
        message = f"the mask's file lists {len(readers)} readers for this image, and the wanted one is none of them"
        raise refused(Reason.MASK_MISSING_ENTRY, message, excluded=True)
    return fitting[0]


def _wanted_shapes(annotations: Annotations, marks: Marks, wanted: MaskRequest) -> list[Shape]:
    own = [shape for shape in marks.shapes if shape.reader is None or same_label(shape.reader, wanted.reader or "")]
    count = len(annotations.labels)
    if wanted.label is None:
        if count > 1 and own:
            message = f"the mask's file knows {count} labels, and nothing tells which is meant"
            raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
        return own
    if count and not any(same_label(label, wanted.label) for label in annotations.labels):
        message = f"none of the {count} labels of the mask's file is the wanted one"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    return [shape for shape in own if shape.label is None or same_label(shape.label, wanted.label)]


def _check_size(stated: tuple[int, int], shape: tuple[int, ...]) -> None:
    if stated != shape:
        raise refused(Reason.OTHER_GRID, f"the mask was drawn on {stated} pixels, the image has {shape}", excluded=True)


def _runs(drawn_shape: Shape, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], int]:
    size = stated(drawn_shape.content, "size", list, "a mask of run lengths")
    if len(size) != 2 or not all(isinstance(axis, int) for axis in size):
        raise refused(Reason.NOT_READABLE, "a mask of run lengths states a size that is not rows and columns")
    _check_size((size[0], size[1]), shape)
    return expanded((size[0], size[1]), stated(drawn_shape.content, "counts", (str, list), "a mask of run lengths")), 0


def _nothing(_: Shape, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], int]:
    return np.zeros(shape, dtype=bool), 1


def _refuse_line(_: Shape, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], int]:  # noqa: ARG001 - one of several
    message = "the wanted label is drawn as a line, which encloses nothing; store it as a polygon, or leave it out"
    raise refused(Reason.UNSUPPORTED_FORMAT, message)


_MARKS: Mapping[str, Callable[[Shape, tuple[int, ...]], tuple[NDArray[np.bool_], int]]] = {
    "boxes": lambda drawn_shape, shape: outline_marks(drawn_shape.content, shape),
    "polygons": lambda drawn_shape, shape: outline_marks(drawn_shape.content, shape),
    "ellipses": lambda drawn_shape, shape: ellipse_marks(drawn_shape.content, shape),
    "bitmaps": lambda drawn_shape, shape: bitmap_marks(drawn_shape.content, shape),
    "run lengths": _runs,
    "points": _nothing,
    "lines": _refuse_line,
}
