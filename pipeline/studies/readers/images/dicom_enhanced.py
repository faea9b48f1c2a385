"""Enhanced multi-frame DICOM (CT, MR, PET; PS3.3 C.7.6.16): one file of many frames as one volume.

Each frame states its position, orientation, spacing and pixel value transformation, itself or for all frames
together. Frames go through the geometry gate as the slices of a classic series do, by where they lie and not by
their number in the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.pseudonyms import allowed_header
from pipeline.studies.readers.dicom.data_set import (
    check_encoding,
    check_grey,
    check_kind,
    file_kind,
    open_whole,
    rescale_told,
    rescaled,
)
from pipeline.studies.readers.dicom.header import Header, Kind, header_of
from pipeline.studies.readers.dicom.pixel_format import PixelFormat, Rescale, format_of, padding_of, rescale_of
from pipeline.studies.readers.dicom.pixel_values import pixels_of, stored_values
from pipeline.studies.readers.dicom.planes import Stack, plane_of, stacked
from pipeline.studies.readers.shared.base import ImageFile, ReadOptions, check_size, refused, volume_of
from pipeline.studies.readers.shared.reader_facts import ImageNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "checked_frames", "read"]

FACTS = ReaderFacts(
    title="enhanced CT, MR, PET: one DICOM file",
    kind="dicom frames",
    reads="image",
    image=ImageNotes(
        "column, row, slice",
        "after each frame's own pixel value transformation",
        "functional groups, each frame's own or shared",
    ),
)

_FRAME_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
_PLACE = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
_FLOAT = 4

# what may differ from frame to frame within one volume: the place along the stack, and when a slice was taken
_WITHIN_A_VOLUME = (
    0x00200032,  # image position
    0x00209057,  # in-stack position
    0x00201041,  # slice location
    0x00200013,  # instance number of the slices that were converted
    0x00209156,  # frame acquisition number
    0x00189074,  # frame acquisition date and time
    0x00189151,  # frame reference date and time
)


def accepts(path: Path) -> bool:
    """Tell by its class whether the file is an enhanced CT, MR or PET image."""
    return file_kind(path) is Kind.FRAMES


@dataclass(frozen=True)
class _Frame:
    """One frame's functional groups: its own, and those that all frames share."""

    own: Dataset
    shared: Dataset

    def group(self, keyword: str) -> Dataset:
        items = self.own.get(keyword) or self.shared.get(keyword)
        return items[0] if items else Dataset()


def read(path: Path, options: ReadOptions) -> ImageFile:  # noqa: ARG001 - several volumes are refused
    """Read an enhanced image: array (column, row, slice) after each frame's own transform.

    Raises:
        StudyError: SEVERAL_VOLUMES when frames differ in more than place, MIXED_SERIES for several stacks,
            UNSUPPORTED_FORMAT for a part of a concatenation, LOCALIZER, NOT_A_SINGLE_CHANNEL, as ``stacked`` or
            as ``decoded``.
    """
    dataset, header = open_whole(path)
    layout, stack, transforms = checked_frames(dataset, header)
    reference = header.get("frame_of_reference")
    geometry = Geometry((layout.columns, layout.rows, layout.frames), stack.affine, reference or None)
    array, padding = _voxels(dataset, header, layout, stack.order, transforms)
    facts = {**stack.facts, "rescale": rescale_told(transforms), "voi lut": "not applied", **padding}
    instances = frozenset({str(header["instance"])})
    return ImageFile(volume_of(array, geometry), {**allowed_header(dataset), **facts}, instances)


def checked_frames(
    dataset: Dataset, header: Header, *, from_file: bool = True
) -> tuple[PixelFormat, Stack, list[Rescale]]:
    """Return what the header says of the pixels, of the volume that the frames make up, and of each frame's values.

    Raises:
        StudyError: for whatever in the header keeps the file from being read.
    """
    if "ConcatenationUID" in dataset or str(dataset.get("InConcatenationTotalNumber") or 1) != "1":
        raise refused(Reason.UNSUPPORTED_FORMAT, "the file is one part of a concatenation, which is not read")
    layout = format_of(header)
    frames = _frames(dataset, layout.frames)
    check_kind([header.get("image_type"), *(_type(frame, keyword) for frame in frames for keyword in _FRAME_TYPES)])
    check_grey(layout)
    check_encoding(header, layout, from_file=from_file)
    padding_of(header, layout)
    _check_one_volume(dataset, frames)
    stack = stacked([plane_of(*(header_of(frame.group(keyword)) for keyword in _PLACE)) for frame in frames])
    check_size(layout.values * _FLOAT)
    return layout, stack, [_transform(header, frame) for frame in frames]


def _type(frame: _Frame, keyword: str) -> str:
    value = frame.group(keyword).get("FrameType")
    return value if isinstance(value, str) else "\\".join(map(str, value or ()))


def _frames(dataset: Dataset, announced: int) -> list[_Frame]:
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if len(own) != announced:
        message = f"NumberOfFrames is {announced}, and PerFrameFunctionalGroupsSequence describes {len(own)}"
        raise refused(Reason.NOT_READABLE, message)
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    return [_Frame(groups, shared) for groups in own]


def _check_one_volume(dataset: Dataset, frames: Sequence[_Frame]) -> None:
    """Refuse frames that differ by stack, or along a dimension (PS3.3 C.7.6.17) that is not the place in a stack."""
    contents = [frame.group("FrameContentSequence") for frame in frames]
    stacks = len({str(content.get("StackID", "")) for content in contents})
    if stacks > 1:
        raise refused(Reason.MIXED_SERIES, f"the file holds {stacks} stacks of frames")
    pointers = [item.get("DimensionIndexPointer") for item in dataset.get("DimensionIndexSequence") or ()]
    values = np.array([_indices(content, len(pointers)) for content in contents])
    for pointer, along in zip(pointers, values.T, strict=True):
        count = len(np.unique(along))
        if count > 1 and pointer not in _WITHIN_A_VOLUME:
            message = f"the file's {len(frames)} frames hold {count} times, echoes or contrasts"
            raise refused(Reason.SEVERAL_VOLUMES, message)


def _indices(content: Dataset, count: int) -> list[int]:
    value = content.get("DimensionIndexValues") or []
    try:
        indices = [int(index) for index in ([value] if isinstance(value, int) else value)]
    except (ValueError, TypeError):
        indices = []
    return indices if len(indices) == count else [0] * count


def _transform(header: Header, frame: _Frame) -> Rescale:
    """Return a frame's rescale; some writers state it once for the file."""
    own = header_of(frame.group("PixelValueTransformationSequence"))
    return rescale_of(own if own.get("slope") else header)


def _voxels(
    dataset: Dataset, header: Header, layout: PixelFormat, order: Sequence[int], transforms: Sequence[Rescale]
) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Return the voxels (column, row, slice) of the frames in this order, each after its own transform; facts."""
    stored = stored_values(pixels_of(dataset, str(header["transfer_syntax"]), layout), layout)
    stored = stored.reshape(len(order), layout.rows, layout.columns)
    array = np.empty(stored.shape, dtype=np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is refused
        for plane, index in zip(array, order, strict=True):
            plane[:] = rescaled(dataset, transforms[index], stored[index], layout.ends[0])
    padding = padding_of(header, layout)
    if padding is None:
        return array.transpose(2, 1, 0), {}
    share = np.count_nonzero((stored >= padding[0]) & (stored <= padding[1])) / stored.size
    return array.transpose(2, 1, 0), {"pixel padding": f"{100 * share:.1f} % of the voxels"}
