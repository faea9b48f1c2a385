"""Bounding boxes in CSV: one box a line, for any number of images.

Columns: ``image`` (or ``image_id``, ``patientId``), ``x_min``, ``y_min``, ``x_max``, ``y_max`` or ``x``, ``y``,
``width``, ``height``, in pixels; where there are several, ``label`` (or ``class_name``) and ``reader`` (or
``rad_id``); ``image_width`` and ``image_height`` are checked where they are given. A line without a box says that
the image was looked at and nothing was marked, as in the sets of RSNA and VinDr. Other columns are passed over.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import Annotations, Marks, Shape, box, drawn, text_of
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.labels import check_distinct
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="CSV of boxes",
    kind="boxes",
    reads="mask",
    endings=(".csv",),
    covers_many=True,
    mask=MaskNotes("pictures, projections", "column `label`", "pixel centres in the box"),
)

_IMAGE, _LABEL, _READER = ("image", "image_id", "patientId"), ("label", "class_name"), ("reader", "rad_id")
_CORNERS, _EXTENT = ("x_min", "y_min", "x_max", "y_max"), ("x", "y", "width", "height")
_SIZE = ("image_height", "image_width")

Row = Mapping[str, str]


def accepts(path: Path) -> bool:
    """Tell by the ending whether the file is CSV."""
    return path.is_file() and FACTS.bears(path)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the boxes of the image's lines.

    Raises:
        StudyError: NOT_READABLE for a table without the columns or with cells that are no numbers; or as ``drawn``.
    """
    return drawn(wanted.kept.of(_annotations, path), image, wanted)


def _annotations(path: Path) -> Annotations:
    table = csv.DictReader(io.StringIO(text_of(path), newline=""), restval="")
    columns = table.fieldnames or ()
    check_distinct((name for name in columns if name), "the table's columns")
    corners = _CORNERS if set(_CORNERS) <= set(columns) else _EXTENT
    if not set(corners) <= set(columns) or _first(_IMAGE, columns) is None:
        message = "the table of boxes has no column image, or not x_min, y_min, x_max, y_max or x, y, width, height"
        raise refused(Reason.NOT_READABLE, message)
    rows: dict[str, list[Row]] = defaultdict(list)
    image, label = str(_first(_IMAGE, columns)), _first(_LABEL, columns)
    for row in table:
        if None in row:
            raise refused(Reason.NOT_READABLE, f"line {table.line_num} of the table has more cells than its head")
        rows[row[image].strip()].append(row)
    labels = (
        frozenset(row[label].strip() for image_rows in rows.values() for row in image_rows) if label else frozenset()
    )
    return Annotations({name: _marks(image_rows, corners) for name, image_rows in rows.items()}, labels)


def _first(names: tuple[str, ...], columns: object) -> str | None:
    return next((name for name in names if name in columns), None)  # type: ignore[operator]


def _marks(rows: list[Row], corners: tuple[str, ...]) -> Marks:
    """Return one image's boxes, and whose lines there are."""
    label, reader = _first(_LABEL, rows[0]), _first(_READER, rows[0])
    sizes = {tuple(int(_number(row, name)) for name in _SIZE) for row in rows if all(row.get(name) for name in _SIZE)}
    if len(sizes) > 1:
        raise refused(Reason.NOT_READABLE, f"the lines of one image state {len(sizes)} different sizes of it")
    shapes = tuple(
        Shape(label and row[label].strip(), "boxes", _box(row, corners), reader and row[reader].strip())
        for row in rows
        if any(row[name].strip() for name in corners)
    )
    readers = frozenset(row[reader].strip() for row in rows) if reader else frozenset()
    size = next(((rows, columns) for rows, columns in sizes), None)
    return Marks(size, shapes, readers)


def _number(row: Row, name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise refused(Reason.NOT_READABLE, f"a line of the table has no number in its column {name}")
    return value


def _box(row: Row, corners: tuple[str, ...]) -> list[tuple[float, float]]:
    left, top, third, fourth = (_number(row, name) for name in corners)
    return box(left, top, third, fourth) if corners == _CORNERS else box(left, top, left + third, top + fourth)
