"""VGG Image Annotator (VIA 1 and 2): a project, or its exported JSON; the regions of many pictures, in pixels.

``rect`` is a box. The class of a region is its attribute ``label``, ``class``, ``name``, ``type`` or ``category``, or
the only attribute that regions have; a group of check boxes may name several. The file states no size of a picture.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import Reason
from pipeline.studies.readers.masks.annotations import Annotations, Marks, Shape, box, drawn, text_of
from pipeline.studies.readers.masks.coco import FACTS as COCO
from pipeline.studies.readers.regions.drawn_shapes import ellipse, points_of
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, first_bytes, refused
from pipeline.studies.readers.shared.labels import check_distinct
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.unique_keys import stated, unique_json

__all__ = ["FACTS", "accepts", "annotations", "read_mask"]

FACTS = ReaderFacts(
    title="VIA 1 and 2 JSON: polygon, rect, circle, ellipse",
    kind="via",
    reads="mask",
    covers_many=True,
    mask=MaskNotes("pictures, projections", "the region's attribute", "pixel centres inside"),
)

_KEY = re.compile(
    rb'\s*\{\s*"(?:_via_[a-z_]+"\s*:|[^"]*"\s*:\s*\{\s*"(?:filename|fileref)"\s*:|project"\s*:\s*\{\s*"pid"\s*:)'
)
_NAMING = ("label", "class", "name", "type", "category")
_REGION = "a region"
_NUMBER = (int, float)
_UNLABELLED = ""
_FACTS = {"image size in the annotation": "not stated"}


def accepts(path: Path) -> bool:
    """Tell by the ending and the first keys whether the file is VIA's."""
    return path.is_file() and COCO.bears(path) and _KEY.match(first_bytes(path, 4096)) is not None


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the wanted class of the picture whose ``filename`` is the study's.

    Raises:
        StudyError: NOT_READABLE for a file name that stands twice, or what is not VIA's; UNSUPPORTED_FORMAT for VIA 3,
            and for a polyline; as ``drawn``.
    """
    return drawn(wanted.kept.of(annotations, path), image, wanted)


def annotations(path: Path) -> Annotations:
    """Return what a file states of its pictures.

    Raises:
        StudyError: NOT_READABLE for what is not VIA's; UNSUPPORTED_FORMAT for VIA 3.
    """
    content = unique_json(text_of(path))
    if isinstance(content, dict) and "project" in content:
        message = "the file is a project of VIA 3; export its annotations as COCO, or use VIA 2"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    listed = content.get("_via_img_metadata", content) if isinstance(content, dict) else None
    if not isinstance(listed, dict):
        raise refused(Reason.NOT_READABLE, "_via_img_metadata of the JSON file is no mapping of pictures")
    entries = list(listed.values())
    names = [stated(entry, "filename", str, "a picture") for entry in entries]
    check_distinct(names, "the pictures' filename")
    regions = [_regions(entry) for entry in entries]
    attribute = _attribute([region for listed_regions in regions for region in listed_regions])
    marks = {
        name: Marks(None, tuple(shape for region in listed_regions for shape in _shapes(region, attribute)))
        for name, listed_regions in zip(names, regions, strict=True)
    }
    labels = frozenset(shape.label for entry in marks.values() for shape in entry.shapes if shape.label)
    return Annotations(marks, labels, facts=_FACTS)


def _regions(entry: dict[str, Any]) -> list[Any]:
    """Return a picture's regions; VIA 1 numbers them by keys."""
    listed = stated(entry, "regions", (list, dict), "a picture")
    return list(listed.values()) if isinstance(listed, dict) else listed


def _attribute(regions: list[Any]) -> str | None:
    """Return which attribute of the regions names their class; None where they have none.

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded, when several might.
    """
    names = {name for region in regions for name in _attributes(region)}
    for name in sorted(names):
        if len(names) == 1:
            return name
    fitting = [name for name in sorted(names) if name.strip().lower() in _NAMING]
    if len(fitting) == 1 or not names:
        return next(iter(fitting), None)
    message = f"the regions have {len(names)} attributes, and {len(fitting)} of them are called label, class or name"
    raise refused(Reason.MASK_MISSING_LABEL, f"{message}: nothing tells which is the class", excluded=True)


def _attributes(region: object) -> Mapping[str, Any]:
    given: Mapping[str, Any] = stated(region, "region_attributes", dict, _REGION)
    return given


def _shapes(region: dict[str, Any], attribute: str | None) -> Iterator[Shape]:
    form, content = _drawn_form(stated(region, "shape_attributes", dict, _REGION))
    if attribute is None:
        yield Shape(None, form, content)
        return
    value = _attributes(region).get(attribute)
    chosen = [name for name, is_on in value.items() if is_on] if isinstance(value, dict) else [str(value or "").strip()]
    for label in chosen or [_UNLABELLED]:
        yield Shape(label, form, content)


def _drawn_form(shape: dict[str, Any]) -> tuple[Any, Any]:
    kind = stated(shape, "name", str, _REGION)
    if kind in ("polygon", "polyline"):
        along, down = (stated(shape, key, list, _REGION) for key in ("all_points_x", "all_points_y"))
        if len(along) != len(down):
            raise refused(Reason.NOT_READABLE, f"a region has {len(along)} x and {len(down)} y: these are no points")
        return "polygons" if kind == "polygon" else "lines", points_of(list(zip(along, down, strict=True)))
    if kind == "rect":
        left, top, width, height = _numbers(shape, "x", "y", "width", "height")
        return "boxes", box(left, top, left + width, top + height)
    if kind == "circle":
        across, down, radius = _numbers(shape, "cx", "cy", "r")
        return "ellipses", ellipse((across, down), (radius, radius))
    if kind == "ellipse":
        turn = float(shape.get("theta") or 0) if isinstance(shape.get("theta", 0), _NUMBER) else 0.0
        across, down, first, second = _numbers(shape, "cx", "cy", "rx", "ry")
        return "ellipses", ellipse((across, down), (first, second), turn)
    if kind == "point":
        return "points", None
    raise refused(Reason.UNSUPPORTED_FORMAT, "a region's shape is none that is read: polygon, rect, circle, ellipse")


def _numbers(shape: dict[str, Any], *keys: str) -> list[float]:
    return [float(stated(shape, key, _NUMBER, _REGION)) for key in keys]
