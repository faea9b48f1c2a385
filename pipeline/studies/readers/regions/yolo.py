"""YOLO text: a line for each region of one picture, its class's number and where it lies as shares of the picture.

Five numbers are a box (class, centre x and y, width, height), more are an outline (class, x, y, x, y ...). Which class
has which number stands in another file: ``data.yaml`` (``names``) or ``classes.txt`` (a name a line), in the text's
folder or in one of the two above; or the manifest states it, for any but 0 (``mask:<reader>:<label>=<number>``). An
empty file is a picture in which nothing is marked. A turned box is an outline of four points. Predictions with a sixth
number, and sets of key points (``kpt_shape``), are refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import ANY_IMAGE, Annotations, Marks, Shape, box, drawn, text_of
from pipeline.studies.readers.regions.drawn_shapes import points_of
from pipeline.studies.readers.regions.plain_numbers import plain_number
from pipeline.studies.readers.regions.yolo_classes import class_names
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.labels import same_label
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "labels_of", "read_mask"]

FACTS = ReaderFacts(
    title="YOLO text: boxes, outlines",
    kind="yolo",
    reads="mask",
    endings=(".txt",),
    covers_many=True,
    may_be_empty=True,
    mask=MaskNotes(
        "pictures, projections",
        "the class's number, named by `data.yaml` or `classes.txt`",
        "pixel centres inside",
    ),
)

_FACTS = {"coordinates": "shares of the image's width and height"}
_EMPTY = {"annotation": "an empty file: nothing marked"}
_BOX = 5  # numbers of a box's line
_LEAST = 7  # numbers of an outline's
_ROUNDING = 1e-6  # shares that six decimals lose


def accepts(path: Path) -> bool:
    """Tell by the ending whether the file is text."""
    return path.is_file() and FACTS.bears(path)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the regions of the wanted class.

    Raises:
        StudyError: NOT_READABLE for lines that are no regions; MASK_MISSING_LABEL, excluded, when nothing tells the
            class's number; as ``drawn``.
    """
    lines = _lines(path)
    names = {} if wanted.value is not None else class_names(path)
    numbers = {number for number, _ in lines}
    if wanted.value is not None:
        lines = [(number, shares) for number, shares in lines if number == wanted.value]
        names = {wanted.value: wanted.label or ""}
    elif lines and not names and (wanted.label is not None or len(numbers) > 1):
        message = "neither data.yaml nor classes.txt tells which class has which number; the manifest can state it, as "
        raise refused(Reason.MASK_MISSING_LABEL, f"{message}in mask:<reader>:<label>=1, for any but 0", excluded=True)
    unnamed = numbers - names.keys() if names and wanted.value is None else set()
    if unnamed:
        message = f"the file holds {len(unnamed)} classes' numbers that its data.yaml or classes.txt does not name"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    rows, columns = image.volume.geometry.shape[:2]
    meant = None if wanted.label is None else _meant(names, wanted.label)
    shapes = tuple(_shape(shares, names.get(number), (rows, columns)) for number, shares in lines)
    marks = Marks(None, shapes if meant is None else tuple(shape for shape in shapes if shape.label in meant))
    mask = drawn(Annotations({ANY_IMAGE: marks}, frozenset(names.values()), facts=_FACTS), image, wanted)
    return mask if lines or path.stat().st_size else replace(mask, header={**mask.header, **_EMPTY})


def labels_of(path: Path) -> frozenset[str]:
    """Return the classes that a file's lines are of, as far as they are named.

    Raises:
        StudyError: NOT_READABLE for lines that are no regions, or a file that names no classes.
    """
    names = class_names(path)
    return frozenset(names[number] for number, _ in _lines(path) if number in names)


def _meant(names: dict[int, str], label: str) -> set[str]:
    return {name for name in names.values() if same_label(name, label)}


def _lines(path: Path) -> list[tuple[int, Sequence[float]]]:
    """Return each region's class number and its shares."""
    regions: list[tuple[int, Sequence[float]]] = []
    for place, line in enumerate(text_of(path).splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        numbers = [plain_number(part, f"line {place} of the text file") for part in parts]
        odd = len(numbers) % 2 == 1
        if not odd or (len(numbers) != _BOX and len(numbers) < _LEAST) or not _is_class(numbers[0]):
            message = f"line {place} of the text file has {len(numbers)} numbers: a class and a box take {_BOX}, "
            raise refused(Reason.NOT_READABLE, f"{message}a class and an outline an odd number from {_LEAST} on")
        low, high = min(numbers[1:]), max(numbers[1:])
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            message = f"line {place} of the text file reaches from {low:g} to {high:g}; these are shares, 0 to 1"
            raise refused(Reason.NOT_READABLE, message)
        regions.append((int(numbers[0]), numbers[1:]))
    return regions


def _is_class(number: float) -> bool:
    return number.is_integer() and 0 <= number < 2**31


def _shape(shares: Sequence[float], label: str | None, size: tuple[int, int]) -> Shape:
    rows, columns = size
    if len(shares) == _BOX - 1:
        across, down, width, height = shares[0] * columns, shares[1] * rows, shares[2] * columns, shares[3] * rows
        sides = (across - width / 2, down - height / 2, across + width / 2, down + height / 2)
        return Shape(label, "boxes", box(*sides))
    return Shape(label, "polygons", points_of(shares) * (columns, rows))
