"""What a scan doubts of a row of its manifest, in plain words of our own: for a person to look at before the audit.

A doubt excludes nothing. None of them quotes a path, a name or a header.
"""

import json
import re
from collections.abc import Iterator, Sequence

from pipeline.studies.index.catalogue import Entry
from pipeline.studies.index.file_content import is_few
from pipeline.studies.index.headers import Kind

__all__ = ["SEPARATOR", "doubts_of_image", "doubts_of_masks"]

SEPARATOR = "; "
"""Stands between the doubts of one row."""

_FEW_SLICES = 8
_VOLUME_AXES = 3
_DEVICES = re.compile(
    r"(?<![a-z])(caliper|catheter|clip|device|drain|electrode|marker|pacemaker|ruler|tube|wire)s?(?![a-z])"
)
_HOW = {
    "name": "mask paired by its file's name",
    "folder": "mask told by its folder, paired by its file's name",
    "content": "mask told by its few values, paired by its file's name",
    "reference": "mask paired by the file name that it states",
    "patient": "mask paired by the number behind its PatientID",
}


def doubts_of_image(image: Entry, files: Sequence[Entry]) -> Iterator[str]:
    """Yield what is to be doubted of an image, by its row and its files' rows of the catalogue."""
    first = files[0]
    stated = {value.strip() for value in (first["image_type"] or "").upper().split("\\")}
    for value in ("DERIVED", "SECONDARY", "LOCALIZER"):
        if value in stated:
            yield f"ImageType says {value}"
    if image["kind"] == Kind.SLICE and len(files) < _FEW_SLICES:
        yield f"only {len(files)} slice{'s' if len(files) > 1 else ''}"
    shape = json.loads(first["shape"] or "[]")
    if len(shape) == _VOLUME_AXES and min(shape) < _FEW_SLICES:
        yield f"only {min(shape)} slice{'s' if min(shape) > 1 else ''}"
    if image["kind"] == Kind.PROJECTION and not any(first[name] for name in _SPACINGS):
        yield "no spacing is stated: distances in pixels"
    if is_few(first["content"]) and _values(first) <= 2:
        yield "image of two values: is it a mask?"


_SPACINGS = ("spacing", "imager_spacing", "scanned_spacing")


def doubts_of_masks(masks: Sequence[Entry], image: Sequence[Entry], readers: int) -> Iterator[str]:
    """Yield what is to be doubted of an image's masks; ``readers``: the columns that stand for a reader each."""
    for mask in masks:
        yield from _of_mask(mask, image[0] if len(image) == 1 else None)
    if readers > 1:
        yield f"{readers} masks of one image whose readers nothing tells: parts of one mask go into one cell, a;b"


def _of_mask(mask: Entry, image: Entry | None) -> Iterator[str]:
    role = json.loads(mask["role"] or "{}")
    if role.get("by") in _HOW:
        yield _HOW[role["by"]]
    if role.get("words"):
        yield "mask and image share only a part of their names"
    if _DEVICES.search(f"{role.get('stem', '')} {role.get('reader', '')}".lower()):
        yield "mask's name tells of a device or a mark: what must not be leaned on goes into a column avoid:<region>"
    if role.get("far"):
        yield "mask lies far from its image"
    if is_few(mask["content"]) is False:
        yield "mask holds many values, or none that are whole: is it an image?"
    elif mask["content"] == "{}":
        yield "mask could not be read"
    elif mask["content"] is not None and not json.loads(mask["content"])["marked"]:
        yield "mask marks nothing"
    if image is not None and not _same_size(mask, image):
        yield "mask has another size than its image"


def _values(file: Entry) -> int:
    return int(json.loads(file["content"])["values"])


def _same_size(mask: Entry, image: Entry) -> bool:
    """Tell whether the sizes are the same, or one of them is not known; axes may be in another order."""
    sizes = [sorted(_size(file)) for file in (mask, image)]
    return not all(sizes) or sizes[0] == sizes[1]


def _size(file: Entry) -> list[int]:
    if file["shape"]:
        return [int(axis) for axis in json.loads(file["shape"])]
    flat = file["kind"] == Kind.PROJECTION and file["rows"] and file["columns"]
    return [file["rows"], file["columns"]] if flat else []
