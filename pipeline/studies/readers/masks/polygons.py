"""JSON that lists images, and for each its labels' polygons or run lengths, as CheXlocalize is published.

``{image: {"img_size": [rows, columns], label: [[[x, y], ...], ...]}}`` or
``{image: {label: {"size": [rows, columns], "counts": ...}}}`` (COCO's run lengths), in any mixture. An image's label
that is not listed is not marked.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import Annotations, Marks, Shape, drawn, text_of
from pipeline.studies.readers.masks.coco import FACTS as COCO
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.unique_keys import unique_json

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="JSON of polygons, by image and label",
    kind="polygons",
    reads="mask",
    covers_many=True,
    mask=MaskNotes("pictures, projections", "the entry's key", "pixel centres in the polygon; the runs"),
)

_SIZE = "img_size"


def accepts(path: Path) -> bool:
    """Tell by the ending whether the file is JSON."""
    return path.is_file() and COCO.bears(path)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the wanted label of the image's entry.

    Raises:
        StudyError: NOT_READABLE for JSON of another layout, NO_GEOMETRY for polygons without a size; or as ``drawn``.
    """
    return drawn(wanted.kept.of(_annotations, path), image, wanted)


def _annotations(path: Path) -> Annotations:
    content = unique_json(text_of(path))
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise refused(Reason.NOT_READABLE, "the JSON file is neither COCO nor a mapping of images to labels")
    labels = frozenset(label for entry in content.values() for label in entry) - {_SIZE}
    return Annotations({name: _marks(entry) for name, entry in content.items()}, labels)


def _marks(entry: dict[str, Any]) -> Marks:
    shapes = tuple(shape for label, stated in entry.items() if label != _SIZE for shape in _shapes(label, stated))
    if _SIZE in entry:
        size = entry[_SIZE]
        if not isinstance(size, list) or len(size) != 2 or not all(isinstance(axis, int) for axis in size):
            raise refused(Reason.NOT_READABLE, "img_size of an image is not rows and columns")
        return Marks((size[0], size[1]), shapes)
    if any(shape.form == "polygons" for shape in shapes):
        message = "polygons are listed without img_size: nothing tells which size of the image they were drawn on"
        raise refused(Reason.NO_GEOMETRY, message)
    return Marks(None, shapes)


def _shapes(label: str, stated: dict[str, Any] | list[Any]) -> Iterator[Shape]:
    if isinstance(stated, dict):
        yield Shape(label, "run lengths", stated)
    elif isinstance(stated, list):
        yield from (Shape(label, "polygons", outline) for outline in stated)
    else:
        raise refused(Reason.NOT_READABLE, "a label of an image holds neither polygons nor run lengths")
