"""What one file states of many images: boxes, polygons and run lengths, in pixels, drawn on one of them.

x runs along a row to the right, y down; the first pixel covers 0 to 1 of each, its centre lies at 0.5. A pixel is
marked when its centre lies inside a shape (``even_odd``): a box from 2 to 5 holds three pixels. Several shapes of one
label are united.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.even_odd import filled
from pipeline.studies.readers.shared.labels import same_label
from pipeline.studies.readers.shared.run_length import expanded
from pipeline.studies.readers.shared.unique_keys import stated

__all__ = [
    "Annotations",
    "Marks",
    "Shape",
    "box",
    "drawn",
    "image_key",
    "text_of",
]

_CAP = 256 * 1024**2
_CENTRE = 0.5
_BEYOND = 1.0  # pixels that a shape may reach over the image's edge


@dataclass(frozen=True)
class Shape:
    """One shape: points (x, y) of an outline, or COCO's run lengths. ``label`` None: the file tells none."""

    label: str | None
    form: Literal["boxes", "polygons", "run lengths"]
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

    ``stray`` counts shapes of images that the file does not list.
    """

    images: Mapping[str, Marks]
    labels: frozenset[str]
    stray: int = 0


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
        inside, without = (
            _runs(drawn_shape, shape) if drawn_shape.form == "run lengths" else _outline(drawn_shape, shape)
        )
        marked |= inside
        lost += without
    if lost and not marked.any():
        message = f"the mask's {lost} shapes enclose no pixel's centre"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    facts = {"mask drawn from": " and ".join(sorted({drawn_shape.form for drawn_shape in shapes}))} if shapes else {}
    facts |= {"shapes smaller than a pixel": f"{lost} of {len(shapes)}"} if lost else {}
    facts |= {"shapes of images that the file does not list": str(annotations.stray)} if annotations.stray else {}
    return MaskFile(marked, facts)


def _entry(annotations: Annotations, wanted: MaskRequest) -> Marks:
    images, key = annotations.images, wanted.key or ""
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


def _outline(drawn_shape: Shape, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], int]:
    points = _points(drawn_shape.content)
    low, high = points.min(axis=0, initial=0), points.max(axis=0, initial=0)
    if (low < -_BEYOND).any() or (high > np.array(shape[::-1]) + _BEYOND).any():
        message = f"the mask reaches from {low.tolist()} to {high.tolist()}, the image to {list(shape[::-1])} (x, y)"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    return filled([points[:, ::-1] - _CENTRE], (shape[0], shape[1]))


def _points(content: Sequence[Any]) -> NDArray[np.float64]:
    """Return points (n, 2), given as pairs or one after the other."""
    try:
        points = np.asarray(content, dtype=np.float64)
    except (ValueError, TypeError):
        points = np.full((1, 1), np.nan)
    if (
        points.ndim not in (1, 2)
        or points.size % 2
        or (points.ndim == 2 and points.shape[1] != 2)
        or not np.isfinite(points).all()
    ):
        raise refused(Reason.NOT_READABLE, f"an outline's {points.size} numbers are no points in a plane")
    return points.reshape(-1, 2)
