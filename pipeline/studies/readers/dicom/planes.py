"""The geometry gate: planes that state where they lie become one volume, or are refused. Nothing is guessed.

Planes are ordered by their positions along the normal, never by a number or a name; the step is measured between
positions, never taken from a thickness; a gap, a repeated position or another orientation refuses them all. A
tilted gantry keeps its sheared affine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import CORNER_TOLERANCE_MM, Affine, lps_to_ras
from pipeline.studies.readers.dicom.data_set import check_plane, plane_affine
from pipeline.studies.readers.dicom.header import Header, floats, keyword, real
from pipeline.studies.readers.shared.base import refused

__all__ = ["Plane", "Stack", "check_placed", "plane_of", "stacked"]

_SAME_DIRECTION = 1e-4
_SAME_SPACING = 1e-4  # mm
_STEP_SHARE, _STEP_MM = 0.01, 0.01
_TILT_DEGREES = 0.1

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """Where a slice lies, in LPS+ mm (PS3.3 C.7.6.2): its first pixel's centre, two directions, two distances.

    ``orientation`` holds the direction of a row, then of a column; ``spacing`` the distance between rows, then
    between columns; ``thickness`` is 0 where it is not stated.
    """

    position: Vector
    orientation: Vector
    spacing: Vector
    thickness: float


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes as a volume: their order along the normal, the affine (RAS+ mm) of (column, row, slice), facts."""

    order: tuple[int, ...]
    affine: Affine
    facts: Mapping[str, str]


def plane_of(position: Header, orientation: Header, measures: Header) -> Plane:
    """Return a plane from the headers that hold its position, its orientation and its spacing.

    Raises:
        StudyError: NO_GEOMETRY when one of the three is absent, or is not what it should be.
        GeometryError: as ``check_plane``.
    """
    corner, directions, spacing = check_placed(position, orientation, measures)
    try:
        thickness = real(measures, "thickness", 0.0)
    except StudyError:
        thickness = 0.0  # it counts for a single slice only, and there 1 mm is taken, with a fact
    return Plane(np.array(corner), np.array(directions), np.array(spacing), thickness)


def check_placed(
    position: Header, orientation: Header, measures: Header
) -> tuple[list[float], list[float], list[float]]:
    """Return the numbers of a plane's position, orientation and spacing.

    Raises:
        StudyError: NO_GEOMETRY when one of the three is absent, or is not what it should be.
        GeometryError: as ``check_plane``.
    """
    corner = _placing(position, "position", 3)
    directions = _placing(orientation, "orientation", 6)
    spacing = _placing(measures, "spacing", 2)
    check_plane(directions, spacing)
    return corner, directions, spacing


def _placing(header: Header, name: str, count: int) -> list[float]:
    text = header.get(name)
    if text:
        try:
            return floats(text, name, count)
        except StudyError as error:
            message = str(error)
    else:
        message = f"a slice states no {keyword(name)}"
    raise refused(Reason.NO_GEOMETRY, f"{message}: nothing tells where it lies")


def stacked(planes: Sequence[Plane]) -> Stack:
    """Return the volume that the planes make up.

    Raises:
        StudyError: MIXED_SERIES for planes that are not parallel or not alike, SEVERAL_VOLUMES when every
            position is held as often, IRREGULAR_SERIES for gaps and single repetitions.
        GeometryError: when directions are not perpendicular unit vectors, or a spacing is not positive.
    """
    first = planes[0]
    for plane in planes:
        if np.abs(plane.orientation - first.orientation).max() > _SAME_DIRECTION:
            raise refused(Reason.MIXED_SERIES, "the slices have different orientations: is a localizer among them?")
        if np.abs(plane.spacing - first.spacing).max() > _SAME_SPACING:
            raise refused(Reason.MIXED_SERIES, "the slices have different pixel spacings")
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    heights = np.array([plane.position @ normal for plane in planes])
    order = np.argsort(heights)
    _check_regular(heights[order])
    affine, facts = _affine([planes[index] for index in order])
    return Stack(tuple(int(index) for index in order), affine, facts)


def _check_regular(heights: Vector) -> None:
    gaps = np.diff(heights)
    repeats = np.diff(np.flatnonzero([True, *(gaps > _STEP_MM), True]))  # slices at each position
    if repeats.max() > 1 and repeats.min() == repeats.max():
        message = f"each of {len(repeats)} positions is held by {repeats[0]} slices: several times, echoes or contrasts"
        raise refused(Reason.SEVERAL_VOLUMES, message)
    if repeats.max() > 1:
        message = f"{len(heights) - len(repeats)} of {len(heights)} slices repeat a position"
        raise refused(Reason.IRREGULAR_SERIES, message)
    step = float(np.median(gaps)) if gaps.size else 0.0
    if gaps.size and np.abs(gaps - step).max() > max(_STEP_SHARE * step, _STEP_MM):
        message = f"the slices lie {gaps.min():.3f} to {gaps.max():.3f} mm apart: is one missing?"
        raise refused(Reason.IRREGULAR_SERIES, message)


def _affine(planes: Sequence[Plane]) -> tuple[Affine, dict[str, str]]:
    """Return the affine (RAS+ mm); its third column is the measured step, sheared for a tilted gantry."""
    first = planes[0]
    affine = plane_affine(first.orientation, first.spacing, first.position)
    if len(planes) == 1:
        affine[:3, 2] *= first.thickness if first.thickness > 0 else 1.0
        return affine, {"slice step": "one slice; its thickness" if first.thickness > 0 else "one slice; 1 mm taken"}
    positions = np.array([plane.position for plane in planes])
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    even = positions[0] + np.arange(len(planes))[:, None] * step
    off_line = float(np.linalg.norm(positions - even, axis=1).max())
    if off_line > CORNER_TOLERANCE_MM:
        message = f"the slices' positions lie up to {off_line:.2f} mm off a straight, even row"
        raise refused(Reason.IRREGULAR_SERIES, message)
    normal = affine[:3, 2].copy()
    affine[:3, 2] = lps_to_ras(np.diag([*step, 1.0]))[:3, :3].sum(axis=1)
    tilt = float(np.degrees(np.arccos(np.clip(normal @ affine[:3, 2] / np.linalg.norm(step), -1, 1))))
    facts = {"slice step": "measured between positions"}
    return affine, {**facts, "tilt": f"{tilt:.1f} degrees, affine sheared"} if tilt > _TILT_DEGREES else facts
