"""COCO JSON: images, categories, and annotations with polygons, run lengths or a box each.

An annotation's segmentation counts; its box only where there is none. ``bbox`` is x, y, width, height. Ids of images
and of categories, and files' names, stand once each: in files that were merged without new numbers nothing tells whose
a shape is.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import Annotations, Marks, Shape, box, drawn, text_of
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, first_bytes, refused
from pipeline.studies.readers.shared.labels import check_distinct
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.unique_keys import stated, unique_json

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="COCO JSON",
    kind="coco",
    reads="mask",
    endings=(".json",),
    covers_many=True,
    mask=MaskNotes("pictures, projections", "category", "pixel centres in the polygon or box; the runs"),
)

_KEY = re.compile(rb'\s*\{\s*"(?:info|licenses|images|categories|annotations|type)"\s*:\s*[\[{"]')
_ID = (int, str)


def accepts(path: Path) -> bool:
    """Tell by the ending and the first key whether the file is COCO's."""
    return FACTS.bears(path) and _KEY.match(first_bytes(path, 256)) is not None


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the wanted category of the image whose ``file_name`` is the study's.

    Raises:
        StudyError: NOT_READABLE for an id or a file's name that stands twice, or for what is not COCO's; as ``drawn``.
    """
    return drawn(wanted.kept.of(_annotations, path), image, wanted)


def _annotations(path: Path) -> Annotations:
    content = unique_json(text_of(path))
    listed = [stated(content, key, list, "the head") for key in ("categories", "images", "annotations")]
    labels = [
        (stated(category, "id", _ID, "a category"), stated(category, "name", str, "a category"))
        for category in listed[0]
    ]
    images = [
        (stated(image, "id", _ID, "an image"), stated(image, "file_name", str, "an image")) for image in listed[1]
    ]
    check_distinct((number for number, _ in labels), "the categories' id")
    check_distinct((number for number, _ in images), "the images' id")
    check_distinct((name for _, name in images), "the images' file_name")
    shapes = _by_image(listed[2], dict(labels))
    marks = {
        name: Marks(_size(entry), tuple(shapes.pop(number, ())))
        for (number, name), entry in zip(images, listed[1], strict=True)
    }
    return Annotations(marks, frozenset(name for _, name in labels), sum(map(len, shapes.values())))


def _by_image(annotations: list[Any], labels: dict[int | str, str]) -> dict[int | str, list[Shape]]:
    shapes: dict[int | str, list[Shape]] = defaultdict(list)
    for annotation in annotations:
        category = stated(annotation, "category_id", _ID, "an annotation")
        if category not in labels:
            raise refused(Reason.NOT_READABLE, "an annotation's category_id is that of no category of the JSON file")
        shapes[stated(annotation, "image_id", _ID, "an annotation")] += _shapes(annotation, labels[category])
    return shapes


def _size(entry: object) -> tuple[int, int]:
    rows, columns = (stated(entry, key, (int, float), "an image") for key in ("height", "width"))
    return int(rows), int(columns)


def _shapes(annotation: dict[str, Any], label: str) -> Iterator[Shape]:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        yield Shape(label, "run lengths", segmentation)
    elif isinstance(segmentation, list) and segmentation:
        yield from (Shape(label, "polygons", outline) for outline in segmentation)
    else:
        numbers = stated(annotation, "bbox", list, "an annotation without a segmentation")
        if len(numbers) != 4 or not all(isinstance(number, (int, float)) for number in numbers):
            raise refused(Reason.NOT_READABLE, "an annotation's bbox is not x, y, width, height")
        left, top, width, height = numbers
        yield Shape(label, "boxes", box(left, top, left + width, top + height))
