"""A part of a grid: its pieces, and its surface in mm, as voxels with a face at the border or as elements with an area.

Places go through the grid's affine, so unequal spacings, oblique and sheared grids are measured as they lie.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from edt import edt as distance_transform
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, label
from scipy.spatial import cKDTree

from pipeline.studies.geometry import Geometry

__all__ = ["Pieces", "Surface", "bounding_box", "nearest", "pieces_of", "right_angled"]

Lattice = NDArray[np.intp]
_FEW = 1000  # points for which a tree is quicker than a transform of the box around them


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of a part: voxels that touch at a face, an edge or a corner are of one.

    ``numbers`` has each voxel's piece, from 1 (0: not of the part); ``voxels`` the size of each, that of 0 taken as 0.
    ``box`` is the smallest that holds them all; empty where there is none.
    """

    numbers: NDArray[np.int32]
    voxels: NDArray[np.intp]
    box: tuple[slice, ...]


def pieces_of(part: NDArray[np.bool_]) -> Pieces:
    """Return the pieces of a part, which may be empty."""
    numbers = np.zeros(part.shape, np.int32)
    if not part.any():
        return Pieces(numbers, np.zeros(1, np.intp), (slice(0),) * part.ndim)
    box = bounding_box(part)
    numbers[box], count = label(part[box], np.ones((3,) * part.ndim))
    voxels = np.bincount(numbers[box].ravel(), minlength=count + 1)
    voxels[0] = 0
    return Pieces(numbers, voxels, box)


def bounding_box(part: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that holds a part, which must not be empty."""
    places, rest = [], part
    while rest.ndim > 1:  # an axis at a time, the rest folded along it: short rows are never looked at one by one
        places.append(np.flatnonzero(rest.any(axis=tuple(range(1, rest.ndim)))))
        rest = np.asarray(rest.any(axis=0))
    places.append(np.flatnonzero(rest))
    return tuple(slice(int(place[0]), int(place[-1]) + 1) for place in places)


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of a part that is not empty; computed once, for whatever it is compared with."""

    part: NDArray[np.bool_]
    geometry: Geometry

    @cached_property
    def voxels(self) -> Lattice:
        """The voxels with a face that is the part's border, or the grid's, as indices (N, axes)."""
        box = bounding_box(self.part)
        cropped = self.part[box]
        index = np.argwhere(cropped & ~binary_erosion(cropped))
        return np.asarray(index + [side.start for side in box], dtype=np.intp)

    @cached_property
    def elements(self) -> tuple[Lattice, NDArray[np.float64]]:
        """The surface's elements: corners of voxels as indices (N, axes), and areas (N,) in mm2 (2D: lengths in mm).

        An element lies between the 8 voxels (2D: 4) at a corner, where some are of the part and some are not. A corner
        has the index of the voxel behind it.
        """
        box, axes = bounding_box(self.part), self.part.ndim
        padded = np.pad(self.part[box], 1)
        codes = np.zeros([size - 1 for size in padded.shape], np.uint8)
        for bit, corner in enumerate(product((0, 1), repeat=axes)):
            sides = tuple(slice(at, at + size) for at, size in zip(corner, codes.shape, strict=True))
            codes |= padded[sides].astype(np.uint8) << bit
        areas = _areas(self.geometry)[codes]
        index = np.argwhere(areas > 0)
        return index + [side.start for side in box], areas[tuple(index.T)]


def right_angled(geometry: Geometry) -> bool:
    """Tell whether the axes of a grid are at right angles to each other, however they lie."""
    axes = geometry.affine[:3, : len(geometry.shape)] / geometry.spacing
    return np.allclose(axes.T @ axes, np.eye(len(geometry.shape)), atol=1e-9)


def nearest(points: Lattice, others: Lattice, geometry: Geometry) -> NDArray[np.float64]:
    """Return the distance in mm from each point to the nearest of the others; both are indices (N, axes) on a lattice.

    Many points of a grid at right angles are looked up in a distance transform, exact but for float32's rounding; a
    few, and those of a sheared grid, are compared in float64.
    """
    if len(points) <= _FEW or not right_angled(geometry):
        tree = cKDTree(geometry.world(others), balanced_tree=False, compact_nodes=False)  # quick to build: asked once
        distances: NDArray[np.float64] = tree.query(geometry.world(points))[0]
        return distances
    low = np.minimum(points.min(axis=0), others.min(axis=0))
    free = np.ones(np.maximum(points.max(axis=0), others.max(axis=0)) - low + 1, dtype=bool)
    free[tuple((others - low).T)] = False
    away = distance_transform(free, anisotropy=geometry.spacing, black_border=False, parallel=1)
    return np.asarray(away[tuple((points - low).T)], dtype=np.float64)


def _areas(geometry: Geometry) -> NDArray[np.float64]:
    """Return the area in mm2 (2D: the length in mm) of the element of each code; bit n is the n-th corner.

    Where a code and its complement would be parted by different elements, the smaller counts, so that it does not
    matter which side is called inside.
    """
    axes = geometry.affine[:3, : len(geometry.shape)]
    areas = _lengths(axes) if len(geometry.shape) == 2 else _triangle_areas(axes)
    return np.minimum(areas, areas[::-1])


def _lengths(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length of the line around the marked corners, for the 16 codes of a square with these sides."""
    falling, rising = np.linalg.norm(axes[:, 0] - axes[:, 1]) / 2, np.linalg.norm(axes[:, 0] + axes[:, 1]) / 2
    along_first, along_second = np.linalg.norm(axes, axis=0)
    lengths = np.zeros(16)
    lengths[[0b0001, 0b1000]] = lengths[[0b1110, 0b0111]] = falling  # one corner cut off: (0, 0) or (1, 1)
    lengths[[0b0010, 0b0100]] = lengths[[0b1101, 0b1011]] = rising
    lengths[[0b0011, 0b1100]] = along_second  # the corners (0, 0) and (0, 1)
    lengths[[0b0101, 0b1010]] = along_first
    lengths[0b1001], lengths[0b0110] = 2 * falling, 2 * rising
    return lengths


def _triangle_areas(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of the triangles of marching cubes (Lorensen and Cline 1987), for the 256 codes of a cell."""
    from skimage.measure import marching_cubes  # here: nothing else that a verification runs needs it

    corner = np.arange(8).reshape(1, 2, 2, 2)
    cells = (np.arange(256).reshape(-1, 1, 1, 1) >> corner) & 1  # one behind the other along the first axis
    vertices, faces, _, _ = marching_cubes(
        cells.reshape(512, 2, 2).astype(np.float32), 0.5, method="lorensen", allow_degenerate=False
    )
    triangles = vertices[faces].astype(np.float64)
    place = triangles[..., 0].mean(axis=1)
    sides = triangles @ axes.T
    areas = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1) / 2
    own = place % 2 <= 1  # the others lie between two cells
    return np.bincount((place[own] // 2).astype(int), weights=areas[own], minlength=256).astype(np.float64)
