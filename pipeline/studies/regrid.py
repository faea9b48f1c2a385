"""A mask on another grid than its image, carried over voxel by voxel; only where the user has asked for it.

Each voxel of the image takes what the mask holds at the nearest of its own voxels. Volumes change by that: both are
told. What would be cut off is refused.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.studies.geometry import CORNER_TOLERANCE_MM, Affine, Geometry, GeometryError

__all__ = ["frames_as_volume", "to_nearest"]

_EDGE = 0.5  # voxels between a voxel's centre and its side
_ROUNDING = 1e-6
_SAME_DIRECTION = 1e-4
_OFF_STEP = 0.01  # share of a step
_MOST_VOXELS = 2**31


def to_nearest(marked: NDArray[np.bool_], source: Geometry, target: Geometry) -> tuple[NDArray[np.bool_], str]:
    """Return a mask at the target's voxels, and how its volume (2D: area) changed.

    Raises:
        GeometryError: for grids of other axes or in other planes, or when a part of the mask lies outside the target,
            or nothing is left of it.
    """
    axes = len(target.shape)
    if len(source.shape) != axes:
        raise GeometryError(f"the mask has {len(source.shape)} axes, the image {axes}")
    _check_plane(source, target)
    into = np.linalg.inv(target.affine) @ source.affine
    inside = np.argwhere(marked) @ into[:axes, :axes].T + into[:axes, 3]
    outside = int(
        ((inside < -_EDGE - _ROUNDING) | (inside > np.array(target.shape) - _EDGE + _ROUNDING)).any(axis=1).sum()
    )
    if outside:
        raise GeometryError(f"{outside} of the mask's {len(inside)} marked voxels lie outside of the image")
    placed = _nearest(marked, np.linalg.inv(source.affine) @ target.affine, target.shape)
    if len(inside) and not placed.any():
        raise GeometryError(f"of the mask's {len(inside)} marked voxels none is the nearest of a voxel of the image")
    return placed, _change(_extent(marked, source), _extent(placed, target), f"{target.unit}{axes}")


def _check_plane(source: Geometry, target: Geometry) -> None:
    if len(target.shape) == 2:
        normal = np.cross(target.affine[:3, 0], target.affine[:3, 1])
        off = float(np.abs((source.corners - target.affine[:3, 3]) @ (normal / np.linalg.norm(normal))).max())
        if off > CORNER_TOLERANCE_MM:
            raise GeometryError(f"the mask lies up to {off:.2f} mm off the image's plane")


def _nearest(marked: NDArray[np.bool_], step: Affine, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return what ``marked`` holds at the voxels of a grid; ``step`` takes that grid's indices to its own."""
    axes = len(shape)
    placed = np.zeros(shape, dtype=bool)
    rest = np.stack(np.meshgrid(*(np.arange(size) for size in shape[1:]), indexing="ij"), -1).reshape(-1, axes - 1)
    along = rest @ step[:axes, 1:axes].T
    for first in range(shape[0]):
        index = np.floor(along + step[:axes, 0] * first + step[:axes, 3] + _EDGE + _ROUNDING).astype(np.intp)
        known = ((index >= 0) & (index < marked.shape)).all(axis=1)
        plane = np.zeros(len(rest), dtype=bool)
        plane[known] = marked[tuple(index[known].T)]
        placed[first] = plane.reshape(shape[1:])
    return placed


def _extent(marked: NDArray[np.bool_], grid: Geometry) -> float:
    axes = grid.affine[:3, : len(grid.shape)]
    size = abs(np.linalg.det(axes)) if len(grid.shape) == 3 else float(np.linalg.norm(np.cross(*axes.T)))
    return float(marked.sum()) * float(size)


def _change(before: float, after: float, unit: str) -> str:
    share = f" ({round(100 * (after / before - 1), 1) + 0.0:+.1f} %)" if before else ""  # no minus before a zero
    return f"{before:.4g} to {after:.4g} {unit}{share}"


def frames_as_volume(
    frames: Sequence[tuple[Affine, NDArray[np.bool_]]], step: float
) -> tuple[NDArray[np.bool_], Geometry]:
    """Return frames (row, column), each with its own plane's affine, as one volume (column, row, slice).

    ``step`` is the distance (mm) between neighbouring slices; frames that are left out are empty.

    Raises:
        GeometryError: for planes that are not parallel, of other sizes or spacings, or off a straight, even row.
    """
    first, pixels = frames[0]
    normal = first[:3, 2]
    heights = np.array([(plane[:3, 3] - first[:3, 3]) @ normal for plane, _ in frames]) / step
    lowest = float(heights.min())
    if (heights.max() - lowest + 1) * pixels.size > _MOST_VOXELS:
        raise GeometryError(
            f"the mask's frames span {heights.max() - lowest:.0f} steps of {step:g} mm: too large a volume"
        )
    places = np.rint(heights - lowest).astype(int)
    for (plane, own), height, place in zip(frames, heights, places, strict=True):
        off = plane[:3, 3] - first[:3, 3] - height * step * normal
        same = own.shape == pixels.shape and np.abs(plane[:3, :3] - first[:3, :3]).max() <= _SAME_DIRECTION
        if not same or abs(height - lowest - place) > _OFF_STEP or np.linalg.norm(off) > CORNER_TOLERANCE_MM:
            raise GeometryError("the mask's frames are no even row of parallel planes, and no volume of their own")
    affine = first.copy()
    affine[:3, 3] += lowest * step * normal
    affine[:3, 2] = step * normal
    marked = np.zeros((*pixels.shape[::-1], int(places.max()) + 1), dtype=bool)
    for (_, own), place in zip(frames, places, strict=True):
        marked[..., place] |= own.T
    return marked, Geometry(marked.shape, affine)
