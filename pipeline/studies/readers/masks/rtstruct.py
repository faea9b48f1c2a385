"""A DICOM RT structure set as a mask: closed contours in the patient, drawn by our own rasteriser.

Contours are laid on the image by their positions alone, whatever images they name. A contour belongs to the slice
whose plane it lies in, within half a slice; on oblique and tilted volumes as well. Several contours of one structure
on one slice combine by even-odd (PS3.3 C.8.8.6.3 leaves CLOSED_PLANAR open; writers draw holes as inner contours or
keyholes, and both come out right). INTERPOLATED_PLANAR, which OsiriX writes between drawn ones, is closed too. Points
and open contours enclose nothing and are left out, which is recorded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.geometry import CORNER_TOLERANCE_MM, Geometry
from pipeline.studies.readers.dicom.data_set import file_kind, open_whole
from pipeline.studies.readers.dicom.header import Kind
from pipeline.studies.readers.dicom.item_numbers import whole_number
from pipeline.studies.readers.dicom.references import check_references, items
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, check_frame, refused
from pipeline.studies.readers.shared.even_odd import filled, united
from pipeline.studies.readers.shared.labels import check_distinct, check_meant, matching, name_facts
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="DICOM RT structure set",
    kind="rtstruct",
    reads="mask",
    mask=MaskNotes("volumes", "`ROIName`", "even-odd at voxel centres"),
)

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "INTERPOLATED_PLANAR")
_OTHERS = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")
_UNKNOWN = "of another type"
_TO_RAS = (-1.0, -1.0, 1.0)
_TOLERANCE = 0.501  # of a slice: half of it, and what rounding millimetres takes
_SAME_HEIGHT = 0.1  # of a slice: contours further apart were drawn on other slices than the image's
_BEYOND = 1.0  # voxels beyond the outermost centres
_DECIMALS = 6
_WHAT = "structures"

Points = NDArray[np.float64]


@dataclass(frozen=True)
class _OnGrid:
    """A structure's closed contours as indices of the image's voxels, and the image's axis that they lie across."""

    contours: tuple[Points, ...]
    axis: int
    heights: NDArray[np.float64]
    slices: NDArray[np.intp]


def accepts(path: Path) -> bool:
    """Tell whether the file is a DICOM RT structure set."""
    return file_kind(path) is Kind.STRUCTURES


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the structure that bears the wanted label, or the only one, on the image's grid.

    Several structures of that label are one mask; a structure without contours is an empty one.

    Raises:
        StudyError: TRUNCATED or NOT_READABLE for contours that are no points; excluded: MASK_MISSING_LABEL when
            none of several structures is the wanted one, OTHER_IMAGE, OTHER_FRAME_OF_REFERENCE or OTHER_GRID when
            it does not lie on the image, MASK_WITHOUT_AREA when its contours enclose no voxel's centre.
    """
    grid = image.volume.geometry
    if len(grid.shape) != 3:
        message = f"a structure set is drawn in a volume; the image {grid.shape} is none"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    dataset, _ = open_whole(path)
    structures = _structures(dataset, grid)
    names = [(str(structure.get("ROIName") or ""), number) for number, structure in structures.items()]
    numbers = matching(names, wanted, _WHAT)
    drawn = {number: _contours(dataset, number) for number in sorted(numbers)}
    check_meant(numbers, wanted, any(drawn.values()), _WHAT)
    _check_references(dataset, [contour for contours in drawn.values() for contour in contours], image)
    facts = _missing(dataset, drawn)
    mask = _draw(list(drawn.values()), grid, union=wanted.contours == "union")
    facts |= name_facts(names, wanted) if len(names) == 1 else {}
    return replace(mask, header={**mask.header, **facts})


def _missing(dataset: Dataset, drawn: Mapping[int, Sequence[Dataset]]) -> dict[str, str]:
    """Return the fact of structures without contours, or of contours of none; a structure may be listed without any.

    Raises:
        StudyError: NOT_READABLE when both are there: the contours may be those of the structure.
    """
    listed = {whole_number(structure, "ROINumber") for structure in items(dataset, "StructureSetROISequence")}
    sets = items(dataset, "ROIContourSequence")
    stray = sum(whole_number(holder, "ReferencedROINumber") not in listed for holder in sets)
    bare = sum(not contours for contours in drawn.values())
    if stray and bare:
        message = f"the structure has no contours, and {stray} sets of contours state a ReferencedROINumber of none"
        raise refused(Reason.NOT_READABLE, f"{message}: nothing tells whether they are its own")
    facts = {"contours of no structure": f"{stray} sets"} if stray else {}
    return facts | ({"structures without contours": f"{bare} of {len(drawn)}"} if bare else {})


def _structures(dataset: Dataset, grid: Geometry) -> dict[int, Dataset]:
    """Return the structures that lie in the image's frame of reference, or state none, by their numbers.

    Raises:
        StudyError: NOT_READABLE for a number that stands twice; OTHER_FRAME_OF_REFERENCE, excluded, when all lie in
            another one.
    """
    listed = items(dataset, "StructureSetROISequence")
    numbers = [whole_number(structure, "ROINumber") for structure in listed]
    check_distinct(numbers, "ROINumber")
    holders = [whole_number(contour_set, "ReferencedROINumber") for contour_set in items(dataset, "ROIContourSequence")]
    check_distinct(holders, "ReferencedROINumber")
    frames = {number: _frame(dataset, structure) for number, structure in zip(numbers, listed, strict=True)}
    own = {
        number: structure
        for number, structure in zip(numbers, listed, strict=True)
        if not frames[number] or not grid.frame_of_reference or frames[number] == grid.frame_of_reference
    }
    if listed and not own:
        check_frame(frames[numbers[0]], grid)
    return own


def _contours(dataset: Dataset, number: int) -> list[Dataset]:
    sets = items(dataset, "ROIContourSequence")
    holders = [contour_set for contour_set in sets if whole_number(contour_set, "ReferencedROINumber") == number]
    return [contour for holder in holders for contour in items(holder, "ContourSequence")]


def _frame(dataset: Dataset, structure: Dataset) -> str | None:
    """Return the frame of reference of a structure, or of the whole set when that states just one."""
    stated = structure.get("ReferencedFrameOfReferenceUID")
    of_set = {
        str(frame.get("FrameOfReferenceUID") or "") for frame in items(dataset, "ReferencedFrameOfReferenceSequence")
    }
    return str(stated) if stated else of_set.pop() or None if len(of_set) == 1 else None


def _check_references(dataset: Dataset, contours: Iterable[Dataset], image: ImageFile) -> None:
    """Compare the images that the contours name, or that the whole set does; neither has to name any."""
    own = [source for contour in contours for source in items(contour, "ContourImageSequence")]
    listed = [
        source
        for frame in items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
        for source in items(series, "ContourImageSequence")
    ]
    check_references({str(source.get("ReferencedSOPInstanceUID") or "") for source in own or listed} - {""}, image)


def _draw(structures: Sequence[Sequence[Dataset]], grid: Geometry, *, union: bool) -> MaskFile:
    """Return the structures' contours as one mask, each structure by even-odd, with what was left out."""
    marked, lost, count, facts = np.zeros(grid.shape, dtype=bool), 0, 0, dict[str, str]()
    cancelling = 0
    for contours in structures:
        closed = [_points(contour) for contour in contours if _kind(contour) in _CLOSED]
        if closed:
            placed = _placed(closed, grid)
            without, overlapping = _fill(marked, placed, union=union)
            lost, cancelling = lost + without, cancelling + overlapping
            count += len(closed)
            facts |= _contour_facts(placed, grid)
    kinds = Counter(_kind(contour) for contours in structures for contour in contours)
    if _UNKNOWN in kinds:
        message = f"{kinds[_UNKNOWN]} contours state no ContourGeometricType that the standard knows"
        raise refused(Reason.NOT_READABLE, f"{message}: nothing tells whether they enclose anything")
    skipped = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()) if kind not in _CLOSED)
    if kinds and not marked.any():
        message = f"{count} closed contours enclose no voxel's centre; left out: {skipped or 'none'}"
        if cancelling:
            message = f"{count} closed contours cancel out by even-odd in all of their {cancelling} voxels"
            message += ": are they stored twice? archive.contours: union counts them as inside"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    facts |= {"contours left out": skipped} if skipped else {}
    done = "counted as inside" if union else "left out by even-odd"
    facts |= {"voxels where contours overlap": f"{cancelling}, {done}"} if cancelling else {}
    return MaskFile(marked, facts | ({"contours smaller than a voxel": f"{lost} of {count}"} if lost else {}))


def _kind(contour: Dataset) -> str:
    """Return the contour's type from the closed list of them: header text does not leave."""
    stated = str(contour.get("ContourGeometricType", "")).strip().upper()
    return stated if stated in (*_CLOSED, *_OTHERS) else _UNKNOWN


def _points(contour: Dataset) -> Points:
    """Return a contour's points (n, 3) in RAS mm; its text is parsed here because pydicom's way takes seconds."""
    stated = contour.get_item("ContourData")
    value = b"" if stated is None or stated.value is None else stated.value
    parts = value.strip(b" \0").split(b"\\") if isinstance(value, bytes) else list(np.atleast_1d(value))
    try:
        numbers = np.array([part for part in parts if part != b""], dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.array([np.nan])
    if numbers.size % 3 or not np.isfinite(numbers).all():
        raise refused(Reason.NOT_READABLE, f"a contour's {numbers.size} numbers are no points in space")
    stated_count = contour.get("NumberOfContourPoints") is not None and contour.NumberOfContourPoints != ""
    announced = whole_number(contour, "NumberOfContourPoints") if stated_count else numbers.size // 3
    if announced != numbers.size // 3:
        message = f"a contour holds {numbers.size // 3} points of the {announced} that it announces"
        raise refused(Reason.TRUNCATED, message)
    return numbers.reshape(-1, 3) * _TO_RAS


def _placed(closed: Sequence[Points], grid: Geometry) -> _OnGrid:
    """Return contours in the image's indices, each on the slice whose plane it lies in.

    Raises:
        StudyError: OTHER_GRID, excluded, for contours that lie in no plane of the image or outside of it, or that
            were drawn on other slices.
    """
    into = np.linalg.inv(grid.affine)
    contours = tuple(points @ into[:3, :3].T + into[:3, 3] for points in closed if len(points))
    spreads = np.array([np.ptp(contour, axis=0) for contour in contours]).reshape(-1, 3).max(axis=0, initial=0)
    axis = int(2 - spreads[::-1].argmin())  # of equals the last: across which slices are mostly stored
    step = 1 / float(np.linalg.norm(into[axis, :3]))
    heights = np.array([(contour[:, axis].min() + contour[:, axis].max()) / 2 for contour in contours]).round(_DECIMALS)
    slices = np.floor(heights + 0.5).astype(np.intp)
    _check_planes(contours, axis, slices, step)
    _check_slices(heights, slices, grid.shape[axis], step)
    _check_inside(contours, axis, grid)
    return _OnGrid(contours, axis, heights, slices)


def _check_planes(contours: Sequence[Points], axis: int, slices: NDArray[np.intp], step: float) -> None:
    gaps = [np.abs(contour[:, axis] - place).max() for contour, place in zip(contours, slices, strict=True)]
    far = float(max(gaps, default=0))
    if far > _TOLERANCE:
        message = (
            f"a contour's points lie up to {far * step:.2f} mm from the slice of the image that is nearest to it, "
            f"where {step / 2:.2f} mm is half a slice: it was drawn in other planes"
        )
        raise refused(Reason.OTHER_GRID, message, excluded=True)


def _check_slices(heights: NDArray[np.float64], slices: NDArray[np.intp], count: int, step: float) -> None:
    outside = int(((slices < 0) | (slices >= count)).sum())
    if outside:
        message = (
            f"{outside} of {len(heights)} contours lie on no slice: they reach from {heights.min() * step:.2f} to "
            f"{heights.max() * step:.2f} mm, the image's {count} slices from 0 to {(count - 1) * step:.2f} mm"
        )
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    for place in np.unique(slices):
        apart = float(np.ptp(heights[slices == place]))
        if apart > _SAME_HEIGHT:
            message = (
                f"contours {apart * step:.2f} mm apart fall on one slice of the image, whose slices lie {step:.2f} mm "
                "apart: they were drawn on other slices"
            )
            raise refused(Reason.OTHER_GRID, message, excluded=True)


def _check_inside(contours: Sequence[Points], axis: int, grid: Geometry) -> None:
    """Refuse contours that leave the image by more than a voxel within its planes: they would be cut off."""
    size = np.delete(grid.shape, axis)
    for contour in contours:
        index = np.delete(contour, axis, axis=1)
        low, high = index.min(axis=0), index.max(axis=0)
        if (low < -_BEYOND).any() or (high > size - 1 + _BEYOND).any():
            reach = " x ".join(f"{start:.1f} to {end:.1f}" for start, end in zip(low, high, strict=True))
            message = f"a contour reaches over voxels {reach} of an image plane of {size[0]} x {size[1]}"
            raise refused(Reason.OTHER_GRID, message, excluded=True)


def _fill(marked: NDArray[np.bool_], placed: _OnGrid, *, union: bool) -> tuple[int, int]:
    """Mark what the contours enclose; return how many hold no voxel's centre, and the voxels where they cancel out.

    With ``union`` they do not (``united``).
    """
    lost, cancelling, planes = 0, 0, np.moveaxis(marked, placed.axis, 0)
    for place in np.unique(placed.slices):
        on_slice = [placed.contours[number] for number in np.flatnonzero(placed.slices == place)]
        outlines = [np.delete(contour, placed.axis, axis=1) for contour in on_slice]
        inside, without = filled(outlines, planes.shape[1:])
        if len(outlines) > 1:
            whole = united(outlines, planes.shape[1:])
            cancelling += int((whole != inside).sum())
            inside = whole if union else inside
        planes[place] |= inside
        lost += without
    return lost, cancelling


def _contour_facts(placed: _OnGrid, grid: Geometry) -> dict[str, str]:
    """Return what a reader of the report should know of the contours' places."""
    step = 1 / float(np.linalg.norm(np.linalg.inv(grid.affine)[placed.axis, :3]))
    off = float(np.abs(placed.heights - placed.slices).max(initial=0)) * step
    reached = np.unique(placed.slices)
    gaps = int(np.ptp(reached)) + 1 - len(reached) if len(reached) else 0
    facts = {"contours off their slices": f"up to {off:.2f} mm"} if off > CORNER_TOLERANCE_MM else {}
    return {**facts, "slices without a contour": f"{gaps} between the first and the last"} if gaps else facts
