"""A DICOM segmentation as a mask: each frame is put on the image's slice that it lies on.

Frames are placed one by one, by their own positions: they come in any order, empty ones are left out by the
writers, and a tilted gantry has no box-shaped volume. Nothing is allocated but the image's own grid.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.geometry import Affine, Geometry
from pipeline.studies.readers.base import ImageFile, MaskFile, Wanted, carry, check_frame, refused
from pipeline.studies.readers.dicom import (
    SEGMENTATIONS,
    file_class,
    is_dicom,
    number,
    open_whole,
    plane_affine,
)
from pipeline.studies.readers.dicom_frames import frames_of
from pipeline.studies.readers.dicom_references import check_references, items
from pipeline.studies.readers.labels import check_meant, matching

__all__ = ["accepts", "read_mask"]

_WHAT = "segments"

_Frame = tuple[int, NDArray[np.bool_]]


def accepts(path: Path) -> bool:
    """Tell whether the file is a DICOM segmentation."""
    return is_dicom(path) and file_class(path) in SEGMENTATIONS


def read_mask(path: Path, image: ImageFile, wanted: Wanted) -> MaskFile:
    """Read the segment that bears the wanted label, or the only segment, onto the image's grid.

    Raises:
        StudyError: excluded; MASK_MISSING_LABEL when none of several segments is the wanted one; OTHER_IMAGE,
            OTHER_FRAME_OF_REFERENCE or OTHER_GRID when it does not lie on the image.
    """
    dataset = open_whole(path)
    check_references(_referenced(dataset), image)
    segments = matching(_named(dataset), wanted.label, _WHAT)
    frames = _marked_frames(dataset, segments)
    on_plane = len(image.volume.geometry.shape) == 2
    marked = _project(dataset, frames, image) if on_plane else _stack(dataset, frames, image)
    check_meant(segments, wanted.label, bool(marked.any()), _WHAT)
    fractional = dataset.SegmentationType == "FRACTIONAL"
    return MaskFile(marked, {"mask threshold": "half of the maximum fractional value"} if fractional else {})


def _named(dataset: Dataset) -> list[tuple[str, int]]:
    """Return labels and numbers of the segments; a label map's background is none (PS3.3 C.8.20.2)."""
    background = int(dataset.get("PixelPaddingValue") or 0) if dataset.SegmentationType == "LABELMAP" else 0
    described = [(str(one.get("SegmentLabel", "")), int(one.SegmentNumber)) for one in dataset.SegmentSequence]
    return [(label, number) for label, number in described if number not in (0, background)]


def _marked_frames(dataset: Dataset, segments: frozenset[int]) -> Iterator[_Frame]:
    """Yield the index and the marked pixels (row, column) of each frame that shows a wanted segment."""
    kind = dataset.SegmentationType
    half = int(dataset.MaximumFractionalValue) / 2 if kind == "FRACTIONAL" else 0.5
    frames = frames_of(dataset)
    groups = len(dataset.PerFrameFunctionalGroupsSequence)
    if groups != len(frames):
        raise refused(Reason.NOT_READABLE, f"the mask has {len(frames)} frames and describes {groups}")
    for index, frame in enumerate(frames):
        if kind == "LABELMAP":
            yield index, np.isin(frame, sorted(segments))
        elif int(_group(dataset, index, "SegmentIdentificationSequence").ReferencedSegmentNumber) in segments:
            yield index, frame >= half


def _groups(dataset: Dataset, frame: int, name: str) -> list[Dataset]:
    """Return a functional group's items: the frame's own, or those that all frames share."""
    own: Dataset = dataset.PerFrameFunctionalGroupsSequence[frame]
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
    return next((list(holder.get(name)) for holder in (own, *shared) if holder.get(name)), [])


def _group(dataset: Dataset, frame: int, name: str) -> Dataset:
    return next(iter(_groups(dataset, frame, name)), Dataset())


def _stack(dataset: Dataset, frames: Iterable[_Frame], image: ImageFile) -> NDArray[np.bool_]:
    """Return the mask (the image's shape) of frames that state where they lie in the patient."""
    grid = image.volume.geometry
    check_frame(str(dataset.get("FrameOfReferenceUID") or ""), grid)
    marked = np.zeros(grid.shape, dtype=bool)
    for index, pixels in frames:
        plane = _frame_affine(dataset, index)
        axis, place = _nearest_slice(plane, pixels.shape, grid)
        if 0 <= place < grid.shape[axis]:
            marked[(slice(None),) * axis + (slice(place, place + 1),)] |= _on_slice(pixels, plane, grid, axis, place)
        elif pixels.any():
            message = f"a marked frame of the mask lies on slice {place + 1} of the image's {grid.shape[axis]}"
            raise refused(Reason.OTHER_GRID, message, excluded=True)
    return marked


def _frame_affine(dataset: Dataset, frame: int) -> Affine:
    orientation = number(_group(dataset, frame, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    spacing = number(_group(dataset, frame, "PixelMeasuresSequence"), "PixelSpacing", 2)
    position = number(_group(dataset, frame, "PlanePositionSequence"), "ImagePositionPatient", 3)
    if orientation is None or spacing is None or position is None:
        message = "a frame of the mask states no position, orientation or spacing: nothing tells where it lies"
        raise refused(Reason.NO_GEOMETRY, message)
    return plane_affine(orientation, spacing, position)


def _nearest_slice(plane: Affine, size: tuple[int, ...], grid: Geometry) -> tuple[int, int]:
    """Return the image's axis that a frame lies across, and the index on it that is nearest."""
    into = np.linalg.inv(grid.affine) @ plane
    turn = np.abs(np.rint(into[:3, :2]))
    across = np.flatnonzero(turn.sum(axis=1) == 0)
    if len(across) != 1 or turn.max() != 1 or (turn.sum(axis=0) != 1).any():
        spacing = np.linalg.norm(plane[:3, :2], axis=0).round(3)
        message = (
            f"the mask's frames of {size[1]} x {size[0]} pixels at {spacing[0]} x {spacing[1]} mm do not lie "
            f"in planes of the image {grid.shape} at {' x '.join(f'{step:.3f}' for step in grid.spacing)} mm: "
            "another spacing or orientation"
        )
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    axis = int(across[0])
    return axis, int(np.rint(into[axis, 3]))


def _on_slice(pixels: NDArray[np.bool_], plane: Affine, grid: Geometry, axis: int, place: int) -> NDArray[np.bool_]:
    """Return a frame's pixels (row, column) on a slice of the image: the image's shape with 1 on ``axis``."""
    source, target = plane.copy(), grid.affine.copy()
    source[:3, 2] = target[:3, axis]
    target[:3, 3] += place * target[:3, axis]
    shape = (*grid.shape[:axis], 1, *grid.shape[axis + 1 :])
    frame = pixels.T[..., None]
    return carry(frame, Geometry(frame.shape, source), Geometry(shape, target))


def _project(dataset: Dataset, frames: Iterable[_Frame], image: ImageFile) -> NDArray[np.bool_]:
    """Return the mask (rows, columns) of the frames that were drawn on this projection."""
    shape = image.volume.geometry.shape
    marked = np.zeros(shape, dtype=bool)
    _check_chosen_frame(dataset, image)
    for index, pixels in frames:
        sources = _sources(_groups(dataset, index, "DerivationImageSequence"))
        own = [one for one in sources if _names(one, image) and _shows(one, image)]
        if sources and not own:
            continue
        preserved = {str(one.get("SpatialLocationsPreserved", "YES")) for one in own}
        if pixels.shape != shape or preserved - {"YES"}:
            message = f"the mask's frames of {pixels.shape} do not cover the image {shape} pixel by pixel"
            raise refused(Reason.OTHER_GRID, message, excluded=True)
        marked |= pixels
    return marked


def _check_chosen_frame(dataset: Dataset, image: ImageFile) -> None:
    """Refuse a mask of which every frame names other frames of this image: the chosen one was not looked at."""
    own = [one for one in _derived(dataset) if _names(one, image)]
    if own and not any(_shows(one, image) for one in own):
        message = f"the mask was drawn on other frames of the image than frame {image.frame}, which is read"
        raise refused(Reason.OTHER_IMAGE, message, excluded=True)


def _names(source: Dataset, image: ImageFile) -> bool:
    return str(source.ReferencedSOPInstanceUID) in image.instances


def _shows(source: Dataset, image: ImageFile) -> bool:
    """Tell whether a source that names the image is, of its frames, the one that is read; none stated means all."""
    stated = source.get("ReferencedFrameNumber")
    if image.frame is None or stated is None:
        return True
    return image.frame in {int(one) for one in ([stated] if isinstance(stated, int) else stated)}


def _referenced(dataset: Dataset) -> set[str]:
    """Return the UIDs of all instances that the mask names as its source."""
    listed = [
        one
        for series in items(dataset, "ReferencedSeriesSequence")
        for one in items(series, "ReferencedInstanceSequence")
    ]
    return {str(one.ReferencedSOPInstanceUID) for one in (*listed, *_derived(dataset))}


def _derived(dataset: Dataset) -> list[Dataset]:
    """Return the sources that frames name, each for itself or for all."""
    groups = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
    frames = [frame for name in groups for frame in items(dataset, name)]
    return [one for frame in frames for one in _sources(items(frame, "DerivationImageSequence"))]


def _sources(derivations: Iterable[Dataset]) -> list[Dataset]:
    return [one for derivation in derivations for one in items(derivation, "SourceImageSequence")]
