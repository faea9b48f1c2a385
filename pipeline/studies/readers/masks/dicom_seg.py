"""A DICOM segmentation as a mask: each frame is put on the image's slice that it lies on.

Frames are placed one by one, by their own positions: they come in any order, empty ones are left out by the
writers, and a tilted gantry has no box-shaped volume. Nothing is allocated but the image's own grid.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import Affine, Geometry, GeometryError
from pipeline.studies.readers.dicom.data_set import file_kind, open_whole, plane_affine
from pipeline.studies.readers.dicom.frames import DEFLATED_FRAMES, frames_of
from pipeline.studies.readers.dicom.header import Header, Kind, header_of, whole
from pipeline.studies.readers.dicom.item_numbers import whole_number
from pipeline.studies.readers.dicom.pixel_format import check_syntax, format_of
from pipeline.studies.readers.dicom.planes import plane_of
from pipeline.studies.readers.dicom.references import check_references, derived, instances_named, items
from pipeline.studies.readers.masks.label_maps import named_values_facts, present
from pipeline.studies.readers.shared.base import (
    ImageFile,
    MaskFile,
    MaskRequest,
    carry,
    check_frame,
    refused,
    regridded,
)
from pipeline.studies.readers.shared.labels import check_distinct, check_meant, matching, name_facts
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.regrid import frames_as_volume

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="DICOM segmentation",
    kind="dicom segmentation",
    reads="mask",
    mask=MaskNotes("volumes; projections that it names", "`SegmentLabel`", "fractions from half of the maximum on"),
)

_WHAT = "segments"

_Frame = tuple[int, int, NDArray[np.bool_]]
"""A frame's index, its segment (0 for a label map's), and its marked pixels (row, column)."""


def accepts(path: Path) -> bool:
    """Tell whether the file is a DICOM segmentation."""
    return file_kind(path) is Kind.SEGMENTATION


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read the segment that bears the wanted label, or the only segment, onto the image's grid.

    Raises:
        StudyError: excluded; MASK_MISSING_LABEL when none of several segments is the wanted one; OTHER_IMAGE,
            OTHER_FRAME_OF_REFERENCE or OTHER_GRID when it does not lie on the image.
    """
    dataset, header = open_whole(path)
    check_references(instances_named(dataset), image)
    kind = str(dataset.get("SegmentationType") or "")
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise refused(Reason.NOT_READABLE, "SegmentationType is neither BINARY, FRACTIONAL nor LABELMAP")
    background = _background(dataset, header) if kind == "LABELMAP" else frozenset()
    named = _named(dataset, background)
    segments = matching(named, wanted, _WHAT)
    pixels = _pixels(dataset, header)
    facts = name_facts(named, wanted) if len(named) == 1 else {}
    shown = _shown(dataset, pixels, kind, background)
    facts |= named_values_facts(shown, frozenset(number for _, number in named), segments)
    frames = list(_marked_frames(dataset, pixels, segments, kind))
    marked, placing = _placed(dataset, frames, image, wanted)
    facts |= placing
    check_meant(segments, wanted, bool(marked.any()), _WHAT)
    half = {"mask threshold": "half of the maximum fractional value"} if kind == "FRACTIONAL" else {}
    return MaskFile(marked, facts | half)


def _pixels(dataset: Dataset, header: Header) -> NDArray[np.integer]:
    """Return the stored values (frame, row, column), one group of attributes a frame."""
    layout = format_of(header)
    syntax = header.get("transfer_syntax")
    if layout.samples != 1:
        raise refused(Reason.NOT_READABLE, f"SamplesPerPixel is {layout.samples}; a mask has 1")
    if syntax != DEFLATED_FRAMES:
        check_syntax(header, layout)
    pixels = frames_of(dataset, str(syntax), layout)
    groups = len(items(dataset, "PerFrameFunctionalGroupsSequence"))
    if groups != len(pixels):
        message = f"the mask has {len(pixels)} frames, and PerFrameFunctionalGroupsSequence describes {groups}"
        raise refused(Reason.NOT_READABLE, message)
    return pixels


def _background(dataset: Dataset, header: Header) -> frozenset[int]:
    """Return a label map's values that are no segments (PS3.3 C.8.20.2): PixelPaddingValue, and a 0 that is none."""
    stated = frozenset((whole(header, "padding"),)) if header.get("padding") else frozenset()
    zero = [segment for segment in items(dataset, "SegmentSequence") if whole_number(segment, "SegmentNumber") == 0]
    undescribed = not zero and not stated
    by_name = any("background" in str(segment.get("SegmentLabel") or "").lower() for segment in zero)
    return stated | ({0} if undescribed or by_name else set())


def _named(dataset: Dataset, background: frozenset[int]) -> list[tuple[str, int]]:
    """Return labels and numbers of the segments, without a label map's background."""
    described = [
        (str(segment.get("SegmentLabel") or ""), whole_number(segment, "SegmentNumber"))
        for segment in items(dataset, "SegmentSequence")
    ]
    check_distinct((number for _, number in described), "SegmentNumber")
    return [(label, number) for label, number in described if number not in background]


def _shown(dataset: Dataset, pixels: NDArray[np.integer], kind: str, background: frozenset[int]) -> frozenset[int]:
    """Return the segments' numbers that the frames bear."""
    if kind == "LABELMAP":
        zero = {0} if (pixels == 0).any() else set()
        return (present(pixels) | zero) - background
    return frozenset(_segment(dataset, index) for index in range(len(pixels)))


def _segment(dataset: Dataset, frame: int) -> int:
    return whole_number(_group(dataset, frame, "SegmentIdentificationSequence"), "ReferencedSegmentNumber")


def _marked_frames(
    dataset: Dataset, pixels: NDArray[np.integer], segments: frozenset[int], kind: str
) -> Iterator[_Frame]:
    """Yield each frame that shows a wanted segment."""
    half = _maximum(dataset, pixels) / 2 if kind == "FRACTIONAL" else 0.5
    for index, frame in enumerate(pixels):
        if kind == "LABELMAP":
            yield index, 0, np.isin(frame, sorted(segments))
        elif (segment := _segment(dataset, index)) in segments:
            yield index, segment, frame >= half


def _maximum(dataset: Dataset, pixels: NDArray[np.integer]) -> int:
    """Return the stored value that stands for all of a voxel; no voxel holds more."""
    maximum, highest = whole_number(dataset, "MaximumFractionalValue"), int(pixels.max(initial=0))
    if maximum < max(highest, 1):
        message = f"MaximumFractionalValue is {maximum}, and the mask's frames hold up to {highest}"
        raise refused(Reason.NOT_READABLE, f"{message}: nothing tells what a value's share of a voxel is")
    return maximum


def _groups(dataset: Dataset, frame: int, name: str) -> list[Dataset]:
    """Return a functional group's items: the frame's own, or those that all frames share."""
    own: Dataset = dataset.PerFrameFunctionalGroupsSequence[frame]
    shared = items(dataset, "SharedFunctionalGroupsSequence")
    return next((group for holder in (own, *shared) if (group := items(holder, name))), [])


def _group(dataset: Dataset, frame: int, name: str) -> Dataset:
    return next(iter(_groups(dataset, frame, name)), Dataset())


def _placed(
    dataset: Dataset, frames: Sequence[_Frame], image: ImageFile, wanted: MaskRequest
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return the mask (the image's shape) of frames on the image's pixels or, where asked for, resampled; facts."""
    if len(image.volume.geometry.shape) == 2:
        marked, twice = _project(dataset, frames, image)
        return marked, _twice_facts(twice)
    try:
        marked, twice = _stack(dataset, frames, image)
    except StudyError as error:
        if wanted.regrid != "nearest" or error.reason is not Reason.OTHER_GRID or not frames:
            raise
        message = str(error)
    else:
        return marked, _twice_facts(twice)
    planes = [(_frame_affine(dataset, index), pixels) for index, _, pixels in frames]
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    try:
        marked, source = frames_as_volume(planes, _slice_step(dataset))
    except GeometryError as error:
        message = str(error)
    else:
        return regridded(marked, replace(source, frame_of_reference=frame or None), image.volume.geometry, message)
    raise refused(Reason.OTHER_GRID, message, excluded=True)


def _twice_facts(twice: int) -> dict[str, str]:
    return {"frames of one segment in one place": f"{twice}, united with the first there"} if twice else {}


def _slice_step(dataset: Dataset) -> float:
    """Return the distance (mm) between the slices of a segmentation, whatever frames are left out.

    Raises:
        StudyError: OTHER_GRID, excluded, when neither it nor a thickness is stated.
    """
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            step = abs(float(_group(dataset, 0, "PixelMeasuresSequence").get(keyword) or 0))
        except (ValueError, TypeError):
            step = 0.0
        if np.isfinite(step) and step > 0:
            return step
    message = "the mask's frames state neither SpacingBetweenSlices nor SliceThickness: it cannot be resampled"
    raise refused(Reason.OTHER_GRID, message, excluded=True)


def _stack(dataset: Dataset, frames: Iterable[_Frame], image: ImageFile) -> tuple[NDArray[np.bool_], int]:
    """Return the mask (the image's shape) of frames that state where they lie in the patient.

    The second is how many frames lie where another one of their segment lies: nothing tells which of them counts.
    """
    grid = image.volume.geometry
    check_frame(str(dataset.get("FrameOfReferenceUID") or ""), grid)
    marked, places = np.zeros(grid.shape, dtype=bool), Counter[tuple[int, int]]()
    for index, segment, pixels in frames:
        plane = _frame_affine(dataset, index)
        axis, place = _nearest_slice(plane, pixels.shape, grid)
        if 0 <= place < grid.shape[axis]:
            marked[(slice(None),) * axis + (slice(place, place + 1),)] |= _on_slice(pixels, plane, grid, axis, place)
            places[segment, place] += 1
        elif pixels.any():
            message = f"a marked frame of the mask lies on slice {place + 1} of the image's {grid.shape[axis]}"
            raise refused(Reason.OTHER_GRID, message, excluded=True)
    return marked, places.total() - len(places)


def _frame_affine(dataset: Dataset, frame: int) -> Affine:
    places = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
    plane = plane_of(*(header_of(_group(dataset, frame, name)) for name in places))
    return plane_affine(plane.orientation, plane.spacing, plane.position)


def _nearest_slice(plane: Affine, size: tuple[int, ...], grid: Geometry) -> tuple[int, int]:
    """Return the image's axis that a frame lies across, and the index on it that is nearest."""
    into = np.linalg.inv(grid.affine) @ plane
    turn = np.abs(np.rint(into[:3, :2]))
    across = np.flatnonzero(turn.sum(axis=1) == 0)
    if len(across) != 1 or turn.max() != 1 or (turn.sum(axis=0) != 1).any():
        spacing = np.linalg.norm(plane[:3, :2], axis=0)
        message = (
            f"the mask's frames of {size[1]} x {size[0]} pixels at {spacing[0]:.7g} x {spacing[1]:.7g} mm do not lie "
            f"in planes of the image {grid.shape} at {' x '.join(f'{step:.7g}' for step in grid.spacing)} mm: "
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


def _project(dataset: Dataset, frames: Iterable[_Frame], image: ImageFile) -> tuple[NDArray[np.bool_], int]:
    """Return the mask (rows, columns) of the frames that were drawn on this projection, and how many as ``_stack``."""
    shape = image.volume.geometry.shape
    marked, places = np.zeros(shape, dtype=bool), Counter[int]()
    _check_chosen_frame(dataset, image)
    for index, segment, pixels in frames:
        sources = _sources(_groups(dataset, index, "DerivationImageSequence"))
        own = [source for source in sources if _names(source, image) and _shows(source, image)]
        if sources and not own:
            continue
        preserved = {str(source.get("SpatialLocationsPreserved", "YES")) for source in own}
        if pixels.shape != shape or preserved - {"YES"}:
            message = f"the mask's frames of {pixels.shape} do not cover the image {shape} pixel by pixel"
            raise refused(Reason.OTHER_GRID, message, excluded=True)
        marked |= pixels
        places[segment] += 1
    return marked, places.total() - len(places)


def _check_chosen_frame(dataset: Dataset, image: ImageFile) -> None:
    """Refuse a mask of which every frame names other frames of this image: the chosen one was not looked at."""
    own = [source for source in derived(dataset) if _names(source, image)]
    if own and not any(_shows(source, image) for source in own):
        message = f"the mask was drawn on other frames of the image than frame {image.frame}, which is read"
        raise refused(Reason.OTHER_IMAGE, message, excluded=True)


def _names(source: Dataset, image: ImageFile) -> bool:
    return str(source.get("ReferencedSOPInstanceUID") or "") in image.instances


def _shows(source: Dataset, image: ImageFile) -> bool:
    """Tell whether a source that names the image is, of its frames, the one that is read; none stated means all."""
    stated = source.get("ReferencedFrameNumber")
    if image.frame is None or stated is None:
        return True
    return image.frame in {int(number) for number in ([stated] if isinstance(stated, int) else stated)}


def _sources(derivations: Iterable[Dataset]) -> list[Dataset]:
    return [source for derivation in derivations for source in items(derivation, "SourceImageSequence")]
