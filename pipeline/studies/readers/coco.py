"""COCO JSON: images, categories, and annotations with polygons, run lengths or a box each.

An annotation's segmentation counts; its box only where there is none. ``bbox`` is x, y, width, height.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.studies.readers.annotations import Annotations, Marks, Shape, box, drawn, kept_by_file, text_of
from pipeline.studies.readers.base import ImageFile, MaskFile, Wanted, first_bytes

__all__ = ["accepts", "read_mask"]

_KEY = re.compile(rb'\s*\{\s*"(?:info|licenses|images|categories|annotations|type)"\s*:\s*[\[{"]')


def accepts(path: Path) -> bool:
    """Tell by the ending and the first key whether the file is COCO's."""
    return path.suffix.lower() == ".json" and _KEY.match(first_bytes(path, 256)) is not None


def read_mask(path: Path, image: ImageFile, wanted: Wanted) -> MaskFile:
    """Draw the wanted category of the image whose ``file_name`` is the study's.

    Raises:
        StudyError: as ``drawn``.
    """
    return drawn(_annotations(path), image, wanted)


@kept_by_file
def _annotations(path: Path) -> Annotations:
    content = json.loads(text_of(path))
    names = {one["id"]: str(one["name"]) for one in content["categories"]}
    shapes: dict[Any, list[Shape]] = defaultdict(list)
    for one in content["annotations"]:
        shapes[one["image_id"]] += _shapes(one, names[one["category_id"]])
    images = {
        str(one["file_name"]): Marks((int(one["height"]), int(one["width"])), tuple(shapes[one["id"]]))
        for one in content["images"]
    }
    return Annotations(images, frozenset(names.values()))


def _shapes(annotation: dict[str, Any], label: str) -> Iterator[Shape]:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        yield Shape(label, "run lengths", segmentation)
    elif segmentation:
        yield from (Shape(label, "polygons", outline) for outline in segmentation)
    else:
        left, top, width, height = annotation["bbox"]
        yield Shape(label, "boxes", box(left, top, left + width, top + height))
