"""Planes of a grid as a reader expects them: turned by whole voxels, the patient's right on the left.

Axial planes have anterior on top, coronal and sagittal ones superior; a picture stays as it is stored, but for one
whose first axis runs from side to side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.studies.geometry import Geometry

__all__ = [
    "ACROSS",
    "PlaneCut",
    "along_the_page",
    "patient_axes",
    "plane_at",
    "projection",
    "through_plane",
    "whole_picture",
]

ACROSS = {0: "sagittal", 1: "coronal", 2: "axial"}
"""What a plane is called by the world axis (RAS) that it lies across."""


@dataclass(frozen=True)
class PlaneCut:
    """A plane of a grid: ``index`` along ``axis`` (None in 2D), then the axes for (rows, columns), then flips.

    ``axis`` without ``index``: all planes along it, the highest value of each line.
    """

    axis: int | None
    index: int | None
    order: tuple[int, int]
    flips: tuple[int, ...]
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    name: str = "projection"

    def apply(self, array: NDArray[np.generic]) -> NDArray:  # type: ignore[type-arg]
        """Return the plane of an array, rows from the top."""
        plane = array
        if self.axis is not None:
            plane = array.max(axis=self.axis) if self.index is None else np.take(array, self.index, axis=self.axis)
        if self.order[0] > self.order[1]:
            plane = plane.T
        return np.ascontiguousarray(np.flip(plane, self.flips))

    def place(self, index: NDArray[np.integer], shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the (row, column) at which a voxel of the grid stands on the page."""
        at = [int(index[axis]) for axis in self.order]
        sizes = [shape[axis] for axis in self.order]
        row, column = (
            size - 1 - here if way in self.flips else here
            for way, (here, size) in enumerate(zip(at, sizes, strict=True))
        )
        return row, column


def projection(geometry: Geometry) -> PlaneCut:
    """Return a picture as it is stored: its rows from the top.

    One whose first axis runs from side to side, as of arrays laid out (x, y), is turned so that it does on the page.
    """
    along = geometry.affine[:3, :2] / geometry.spacing
    sideways = abs(along[0, 0]) > max(abs(along[0, 1]), 0.5)
    rows, columns = (1, 0) if sideways else (0, 1)
    letters = geometry.letters()
    flips: tuple[int, ...] = ()
    if sideways:  # the patient's right on the left; the top is in front, or above
        downwards = along[1 if abs(along[1, rows]) > abs(along[2, rows]) else 2, rows]
        flips = tuple(axis for axis, turned in enumerate((downwards > 0, along[0, columns] > 0)) if turned)
    (top, bottom), (left, right) = (
        letters[axis][::-1] if number in flips else letters[axis] for number, axis in enumerate((rows, columns))
    )
    return PlaneCut(
        None, None, (rows, columns), flips, (geometry.spacing[rows], geometry.spacing[columns]),
        (left, right, top, bottom),
    )  # fmt: skip


def patient_axes(affine: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return (array axes, 2): the patient's axis that each runs along, each once, and which way, 1 or -1.

    Of an oblique grid the nearest, as nibabel's ``io_orientation`` has it, which takes a fifth of a second to load.

    Args:
        affine: (4, array axes + 1), of a grid whose axes differ in direction.
    """
    sides = affine[:3, :-1]
    left, _, right = np.linalg.svd(sides / np.linalg.norm(sides, axis=0), full_matrices=False)
    turned = left @ right  # the nearest axes at right angles
    axes = np.zeros((sides.shape[1], 2), dtype=np.intp)
    for number in np.argsort(-np.square(turned).max(axis=0), kind="stable"):  # the surest first
        column = turned[:, number]
        along = int(np.abs(column).argmax())
        axes[number] = along, 1 if column[along] >= 0 else -1
        turned[along] = 0  # taken: no other axis runs along it
    return axes


def through_plane(geometry: Geometry) -> int:
    """Return the coarsest axis; when spacings are alike, the one nearest to head-foot."""
    spacing = np.array(geometry.spacing)
    if spacing.max() > 1.01 * np.median(spacing):
        return int(spacing.argmax())
    return int(np.flatnonzero(patient_axes(geometry.affine)[:, 0] == 2)[0])


def plane_at(geometry: Geometry, axis: int, index: int | None) -> PlaneCut:
    """Return the plane of a volume at an index along an axis; without an index, the projection along it."""
    world_axes = patient_axes(geometry.affine)  # for each array axis: (world axis, +1 or -1)
    across = int(world_axes[axis, 0])
    row_world, column_world = {0: (2, 1), 1: (2, 0), 2: (1, 0)}[across]
    place = {int(world): number for number, (world, _) in enumerate(world_axes)}
    rows, columns = place[row_world], place[column_world]
    # rows run from superior (anterior) down, columns from right (anterior) on: all against the RAS+ directions
    flips = tuple(number for number, array_axis in enumerate((rows, columns)) if world_axes[array_axis, 1] > 0)
    ends = {0: ("L", "R"), 1: ("P", "A"), 2: ("I", "S")}
    (bottom, top), (right, left) = ends[row_world], ends[column_world]
    names = (left, right, top, bottom) if geometry.oriented else ("", "", "", "")
    spacing = (geometry.spacing[rows], geometry.spacing[columns])
    return PlaneCut(axis, index, (rows, columns), flips, spacing, names, ACROSS[across])


def whole_picture(geometry: Geometry) -> PlaneCut:
    """Return how all of a grid is seen at once: a picture as it is, a volume projected across its slices."""
    return projection(geometry) if len(geometry.shape) == 2 else plane_at(geometry, through_plane(geometry), None)


def along_the_page(geometry: Geometry, index: NDArray[np.integer]) -> tuple[float, ...]:
    """Return where a voxel stands, 0 to 1: of a picture across from the left and down from the top.

    Of a volume from the patient's right, from the front and from the head.
    """
    if len(geometry.shape) == 2:
        cut = projection(geometry)
        row, column = cut.place(index, geometry.shape)
        rows, columns = (geometry.shape[axis] for axis in cut.order)
        return (column + 0.5) / columns, (row + 0.5) / rows
    shares = [0.0] * 3
    for axis, (world, way) in enumerate(patient_axes(geometry.affine)):
        share = (int(index[axis]) + 0.5) / geometry.shape[axis]
        shares[int(world)] = 1 - share if way > 0 else share
    return tuple(shares)
