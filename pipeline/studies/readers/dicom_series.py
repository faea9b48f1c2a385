"""A classic DICOM series (CT, MR, PT): a folder of slices, or one slice, as one volume. The geometry gate.

Nothing is guessed: slices are ordered by their positions along the plane's normal, never by InstanceNumber or
name; the step is measured between positions, never taken from SliceThickness; a gap, a repeated position, a
second series or another orientation refuses the folder. A tilted gantry keeps its sheared affine.
"""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.geometry import CORNER_TOLERANCE_MM, Affine, Geometry
from pipeline.studies.privacy import allowed_header
from pipeline.studies.readers.base import ImageFile, check_size, refused, series_files, volume_of
from pipeline.studies.readers.dicom import (
    file_class,
    grey,
    is_dicom,
    number,
    open_header,
    open_whole,
    plane_affine,
    real_values,
)

__all__ = ["accepts", "read"]

# segmentations and registrations; reports; presentation states; RT; documents; waveforms; parametric maps
_NOT_SLICES = tuple(f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("66", "88", "11", "481", "104", "9", "30"))
_DIRECTORY = "1.2.840.10008.1.3.10"
_SAME_DIRECTION = 1e-4
_SAME_SPACING = 1e-4  # mm
_STEP_SHARE, _STEP_MM = 0.01, 0.01
_TILT_DEGREES = 0.1
_FLOAT = 4


@dataclass(frozen=True)
class _Slice:
    path: Path
    header: Dataset
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: NDArray[np.float64]


def accepts(path: Path) -> bool:
    """Tell whether the path is a folder, or a DICOM file that is an image."""
    return path.is_dir() or (is_dicom(path) and _is_slice(path))


def read(path: Path) -> ImageFile:
    """Read a series: array (column, row, slice) after each slice's own rescale, slices along the normal.

    Raises:
        StudyError: MISSING_FILE, MIXED_SERIES, IRREGULAR_SERIES, NO_GEOMETRY, or as ``grey``.
    """
    slices = _distinct([_open(file) for file in _slice_files(path)])
    _check_one_series(slices)
    slices, heights = _ordered(slices)
    _check_regular(heights)
    affine, facts = _affine(slices)
    columns, rows = int(slices[0].header.Columns), int(slices[0].header.Rows)
    check_size(columns * rows * len(slices) * _FLOAT)
    frame = slices[0].header.get("FrameOfReferenceUID")
    geometry = Geometry((columns, rows, len(slices)), affine, str(frame) if frame else None)
    array, rescales = _voxels(slices)
    header = {**allowed_header(slices[0].header), **facts, "rescale": _told(rescales)}
    return ImageFile(volume_of(array, geometry), header, frozenset(str(one.header.SOPInstanceUID) for one in slices))


def _is_slice(path: Path) -> bool:
    """Tell by the class in the meta group; a file that states none is a slice, so that it is not lost."""
    kind = file_class(path)
    return kind != _DIRECTORY and not any(kind == other or kind.startswith(f"{other}.") for other in _NOT_SLICES)


def _slice_files(path: Path) -> list[Path]:
    found = []
    for file in series_files(path):
        if is_dicom(file):
            if _is_slice(file):
                found.append(file)
        elif file.suffix.lower() in (".dcm", ".ima"):
            raise refused(Reason.NOT_READABLE, "a file of the series is named as DICOM and is none")
    if not found:
        raise refused(Reason.MISSING_FILE, "the folder holds no DICOM slice")
    return found


def _open(path: Path) -> _Slice:
    header = open_header(path)
    if int(header.get("NumberOfFrames") or 1) > 1 or "SharedFunctionalGroupsSequence" in header:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the image has several frames in one file, which is not read yet")
    if "Rows" not in header or "Columns" not in header:
        raise refused(Reason.NOT_READABLE, "a DICOM file of the series holds no image")
    if "MOSAIC" in (header.get("ImageType") or ()):
        raise refused(Reason.UNSUPPORTED_FORMAT, "the image is a mosaic of slices, which is not read")
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the image is in colour; one grey value a pixel is read")
    position = number(header, "ImagePositionPatient", 3)
    orientation = number(header, "ImageOrientationPatient", 6)
    spacing = number(header, "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        message = "a slice states no position, orientation or pixel spacing: nothing tells where it lies"
        raise refused(Reason.NO_GEOMETRY, message)
    return _Slice(path, header, position, orientation, spacing)


def _distinct(slices: list[_Slice]) -> list[_Slice]:
    """Return one slice for each SOP instance; copies must be identical to the byte."""
    kept: dict[str, _Slice] = {}
    for one in slices:
        first = kept.setdefault(str(one.header.SOPInstanceUID), one)
        if first is not one and _content(first.path) != _content(one.path):
            raise refused(Reason.MIXED_SERIES, "two files bear the same instance UID and differ in content")
    return list(kept.values())


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _check_one_series(slices: list[_Slice]) -> None:
    same: dict[str, Callable[[_Slice], Hashable]] = {
        "series": lambda one: one.header.get("SeriesInstanceUID"),
        "frames of reference": lambda one: one.header.get("FrameOfReferenceUID"),
        "modalities": lambda one: one.header.get("Modality"),
        "sizes": lambda one: (one.header.Rows, one.header.Columns),
    }
    for what, value in same.items():
        count = len({value(one) for one in slices})
        if count > 1:
            raise refused(Reason.MIXED_SERIES, f"the folder's {len(slices)} slices have {count} different {what}")
    first = slices[0]
    for one in slices:
        if np.abs(one.orientation - first.orientation).max() > _SAME_DIRECTION:
            raise refused(Reason.MIXED_SERIES, "the slices have different orientations: is a localizer among them?")
        if np.abs(one.spacing - first.spacing).max() > _SAME_SPACING:
            raise refused(Reason.MIXED_SERIES, "the slices have different pixel spacings")


def _ordered(slices: list[_Slice]) -> tuple[list[_Slice], NDArray[np.float64]]:
    """Return the slices along the plane's normal, with their heights (mm) on it."""
    normal = np.cross(slices[0].orientation[:3], slices[0].orientation[3:])
    heights = np.array([one.position @ normal for one in slices])
    order = np.argsort(heights)
    return [slices[index] for index in order], heights[order]


def _check_regular(heights: NDArray[np.float64]) -> None:
    gaps = np.diff(heights)
    repeated = int((gaps <= _STEP_MM).sum())
    if repeated:
        message = f"{repeated} of {len(heights)} slices repeat a position: several times or echoes in one folder?"
        raise refused(Reason.IRREGULAR_SERIES, message)
    step = float(np.median(gaps)) if gaps.size else 0.0
    if gaps.size and np.abs(gaps - step).max() > max(_STEP_SHARE * step, _STEP_MM):
        message = f"the slices lie {gaps.min():.3f} to {gaps.max():.3f} mm apart: is one missing?"
        raise refused(Reason.IRREGULAR_SERIES, message)


def _affine(slices: list[_Slice]) -> tuple[Affine, dict[str, str]]:
    """Return the affine (RAS+ mm); its third column is the measured step, sheared for a tilted gantry."""
    first = slices[0]
    affine = plane_affine(first.orientation, first.spacing, first.position)
    normal = affine[:3, 2].copy()
    if len(slices) == 1:
        thickness = float(first.header.get("SliceThickness") or 0)
        affine[:3, 2] *= thickness if thickness > 0 else 1.0
        return affine, {"slice step": "one slice; its thickness" if thickness > 0 else "one slice; 1 mm taken"}
    origins = np.array([plane_affine(one.orientation, one.spacing, one.position)[:3, 3] for one in slices])
    affine[:3, 2] = (origins[-1] - origins[0]) / (len(slices) - 1)
    expected = origins[0] + np.arange(len(slices))[:, None] * affine[:3, 2]
    off_line = float(np.linalg.norm(origins - expected, axis=1).max())
    if off_line > CORNER_TOLERANCE_MM:
        message = f"the slices' positions lie up to {off_line:.2f} mm off a straight, even row"
        raise refused(Reason.IRREGULAR_SERIES, message)
    tilt = float(np.degrees(np.arccos(np.clip(normal @ affine[:3, 2] / np.linalg.norm(affine[:3, 2]), -1, 1))))
    facts = {"slice step": "measured between positions"}
    return affine, {**facts, "tilt": f"{tilt:.1f} degrees, affine sheared"} if tilt > _TILT_DEGREES else facts


def _voxels(slices: list[_Slice]) -> tuple[NDArray[np.float32], set[tuple[str, str]]]:
    """Return the voxels (column, row, slice) after each slice's own transform, and the transforms met."""
    rows, columns = int(slices[0].header.Rows), int(slices[0].header.Columns)
    array = np.empty((len(slices), rows, columns), dtype=np.float32)
    rescales = set()
    for plane, one in zip(array, slices, strict=True):
        dataset = open_whole(one.path)
        plane[:] = real_values(dataset, grey(dataset))
        rescales.add((f"{dataset.get('RescaleSlope', 1):g}", f"{dataset.get('RescaleIntercept', 0):g}"))
    return array.transpose(2, 1, 0), rescales


def _told(rescales: set[tuple[str, str]]) -> str:
    if len(rescales) > 1:
        return "differs by slice, each applied"
    slope, intercept = rescales.pop()
    return f"slope {slope}, intercept {intercept}"
