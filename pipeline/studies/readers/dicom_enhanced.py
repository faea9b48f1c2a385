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
from pipeline.studies.privacy import allowed_header
from pipeline.studies.readers.base import ImageFile, ReadOptions, check_size, refused, volume_of
from pipeline.studies.readers.dicom import (
    check_grey,
    check_kind,
    decoded,
    file_class,
    is_dicom,
    open_whole,
    real_values,
    rescale_told,
)
from pipeline.studies.readers.planes import plane_of, stacked

__all__ = ["accepts", "read"]

# enhanced CT, MR and PET, and what was converted into them
_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2.1", "2.2", "4.1", "4.4", "130", "128.1"))
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
    """Tell by the class in the meta group whether the file is an enhanced CT, MR or PET image."""
    return is_dicom(path) and file_class(path) in _CLASSES


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
    dataset = open_whole(path)
    if int(dataset.get("InConcatenationTotalNumber") or 1) > 1 or "ConcatenationUID" in dataset:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the file is one part of a concatenation, which is not read")
    frames = _frames(dataset)
    check_kind(dataset, (frame.group(keyword).get("FrameType") for frame in frames for keyword in _FRAME_TYPES))
    check_grey(dataset)
    _check_one_volume(dataset, frames)
    stack = stacked([plane_of(*map(frame.group, _PLACE)) for frame in frames])
    reference = dataset.get("FrameOfReferenceUID")
    shape = (int(dataset.Columns), int(dataset.Rows), len(frames))
    check_size(int(np.prod(shape, dtype=object)) * _FLOAT)
    geometry = Geometry(shape, stack.affine, str(reference) if reference else None)
    transforms = [_transform(dataset, frame) for frame in frames]
    volume = volume_of(_voxels(dataset, stack.order, transforms), geometry)
    facts = {**stack.facts, "rescale": rescale_told(transforms), "voi lut": "not applied"}
    return ImageFile(volume, {**allowed_header(dataset), **facts}, frozenset({str(dataset.SOPInstanceUID)}))


def _frames(dataset: Dataset) -> list[_Frame]:
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    announced = int(dataset.get("NumberOfFrames") or 1)
    if len(own) != announced:
        message = f"the file announces {announced} frames and describes {len(own)}"
        raise refused(Reason.NOT_READABLE, message)
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    return [_Frame(one, shared) for one in own]


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
    value = content.get("DimensionIndexValues", [])
    indices = [int(one) for one in ([value] if isinstance(value, int) else value)]
    return indices if len(indices) == count else [0] * count


def _transform(dataset: Dataset, frame: _Frame) -> Dataset:
    """Return what holds a frame's rescale; some writers state it once for the file."""
    found = frame.group("PixelValueTransformationSequence")
    return found if "RescaleSlope" in found else dataset


def _voxels(dataset: Dataset, order: Sequence[int], transforms: Sequence[Dataset]) -> NDArray[np.float32]:
    """Return the voxels (column, row, slice) of the frames in this order, each after its own transform."""
    stored = decoded(dataset).reshape(len(order), int(dataset.Rows), int(dataset.Columns))
    array = np.empty(stored.shape, dtype=np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is refused
        for plane, index in zip(array, order, strict=True):
            plane[:] = real_values(transforms[index], stored[index])
    return array.transpose(2, 1, 0)
