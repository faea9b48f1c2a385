"""The segments of a 3D Slicer file (.seg.nrrd): what its header names, and where each lies in the layers.

Since 4.11 each segment states its label value and its layer. Files of 4.10 and before state neither: each segment is
then a layer of its own, of zeros and ones. Slicer crops what it stores to the segments' extent; all voxels are the
image's, and the origin says where they begin.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, GeometryError, place_on
from pipeline.studies.readers.masks.label_maps import holding, named_values_facts, present, whole_values
from pipeline.studies.readers.shared.base import MaskRequest, check_frame, refused, regridded, thin
from pipeline.studies.readers.shared.labels import check_distinct, check_meant, matching, name_facts

__all__ = ["Segment", "placed", "segments_of", "union"]

_KEY = re.compile(r"(Segment\d+)_(?:ID|Name|LabelValue|Layer)")
_OFFSET = "Segmentation_ReferenceImageExtentOffset"
_WHAT = "segments"


@dataclass(frozen=True)
class Segment:
    """A segment: its name, its value in its layer, and that layer's number."""

    name: str
    value: int
    layer: int


def segments_of(header: dict[str, Any], layers: int) -> tuple[Segment, ...]:
    """Return what a header names; nothing for a plain label map.

    Raises:
        StudyError: NOT_READABLE when values and layers are stated in part, not as numbers, or twice.
    """
    stems = sorted({match[1] for match in map(_KEY.fullmatch, header) if match}, key=lambda stem: int(stem[7:]))
    stated = [f"{stem}_LabelValue" in header for stem in stems]
    if any(stated) and not all(stated):
        message = f"{stated.count(False)} of the mask's {len(stems)} segments state no LabelValue, and others do"
        raise refused(Reason.NOT_READABLE, message)
    old = not any(stated)
    if old and len(stems) > 1 and layers != len(stems):
        message = f"the mask's {len(stems)} segments state no LabelValue, and it has {layers} layers for them"
        raise refused(Reason.NOT_READABLE, message)
    segments = tuple(
        Segment(
            str(header.get(f"{stem}_Name", "")),
            1 if old else _whole(header, f"{stem}_LabelValue"),
            number if old else _whole(header, f"{stem}_Layer", 0),
        )
        for number, stem in enumerate(stems)
    )
    check_distinct(((segment.layer, segment.value) for segment in segments), "the segments' LabelValue within a layer")
    if any(not 0 <= segment.layer < layers for segment in segments):
        raise refused(Reason.NOT_READABLE, f"a segment states a Layer that is none of the mask's {layers}")
    return segments


def _whole(header: dict[str, Any], key: str, default: int | None = None) -> int:
    text = str(header.get(key, "" if default is None else default)).strip()
    if not re.fullmatch(r"\d{1,9}", text):
        raise refused(Reason.NOT_READABLE, f"a segment's {key.partition('_')[2]} is no whole number")
    return int(text)


def union(
    layers: NDArray[np.generic], segments: Sequence[Segment], wanted: MaskRequest
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return where the segments of the wanted name are (several may bear it) and what should be known of it.

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded, when none bears it, or a layer holds what no segment is.
    """
    wanted_numbers = {number for number, segment in enumerate(segments) if segment.value == wanted.value}
    if wanted.value is not None and len(wanted_numbers) != 1:
        message = f"{len(wanted_numbers)} of the mask's {len(segments)} segments bear the wanted number {wanted.value}"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    named = [(segment.name, number) for number, segment in enumerate(segments)]
    by_name = MaskRequest(wanted.label, by_reference=wanted.by_reference)
    numbers = frozenset(wanted_numbers) if wanted_numbers else matching(named, by_name, _WHAT)
    marked, facts = np.zeros(layers.shape[1:], dtype=bool), dict[str, str]()
    for place, layer in enumerate(layers):
        meant = frozenset(segments[number].value for number in numbers if segments[number].layer == place)
        if meant:
            whole = whole_values(layer)
            named_here = frozenset(segment.value for segment in segments if segment.layer == place)
            facts |= named_values_facts(present(whole), named_here, meant)
            marked |= holding(whole, meant)
    check_meant(numbers, wanted, bool(marked.any()), _WHAT)
    return marked, facts if wanted_numbers or len(segments) > 1 else facts | name_facts(named, wanted)


def placed(
    marked: NDArray[np.bool_], source: Geometry, image: Geometry, header: dict[str, Any], wanted: MaskRequest
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return a mask on the image's grid, of which it may cover a part; the voxels are the image's own.

    Raises:
        StudyError: excluded, OTHER_GRID when they are not, or lie elsewhere than the header says.
    """
    check_frame(source.frame_of_reference, image)
    _check_offset(source, image, header)
    try:
        whole = place_on(marked, thin(source), thin(image), partial=True)
    except GeometryError as error:
        message = f"{error} (3D Slicer may have cropped the mask to its segments' extent)"
    else:
        cropped = marked.size < whole.size
        return whole, {"mask extent": f"cropped to {source.shape} of {image.shape} voxels"} if cropped else {}
    if wanted.regrid == "nearest":
        return regridded(marked, source, image, message)
    raise refused(Reason.OTHER_GRID, message, excluded=True)


def _check_offset(source: Geometry, image: Geometry, header: dict[str, Any]) -> None:
    """Compare the offset that a cropped file states with where its origin lies, when its axes are the image's."""
    text = str(header.get(_OFFSET, "")).split()
    if len(text) != 3 or len(image.shape) != 3 or not all(re.fullmatch(r"-?\d{1,9}", part) for part in text):
        return
    step = np.linalg.inv(image.affine) @ source.affine
    if np.array_equal(np.rint(step[:3, :3]), np.eye(3)):
        stated, lies = [int(part) for part in text], np.rint(step[:3, 3]).astype(int).tolist()
        if any(stated) and stated != lies:
            message = f"the cropped mask states that it begins at voxel {stated} of its image, and its origin {lies}"
            raise refused(Reason.OTHER_GRID, message, excluded=True)
