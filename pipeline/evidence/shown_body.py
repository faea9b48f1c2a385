"""The body in what a model was shown, and on which side of its surface a place lies.

The work follows the body's size, not the picture's: what lies further off than the band at the surface is outside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from cc3d import connected_components
from numpy.typing import NDArray

from pipeline.evidence.metrics.parts import bounding_box
from pipeline.evidence.thresholds import otsu_of_unsorted
from pipeline.evidence.within_reach import at_boundary
from pipeline.studies.geometry import Geometry, nearest_index, nearest_values
from pipeline.vocabulary import BodyRegion

__all__ = ["ON_THE_LINE", "SURFACE_MM", "ShownBody", "bright_piece", "holes_filled"]

SURFACE_MM = 10.0
"""How far from the body's surface, to either side, still counts as at it: the skin, and what is taped to it."""

ON_THE_LINE = 1 + 1e-6
"""A distance that is the limit but for rounding is within it."""

_LONGEST = {2: 256, 3: 96}
"""Cells along an axis with which the body is outlined, at most."""

_FINEST_MM = SURFACE_MM / 5
"""Cells need be no finer: where the body ends is told to within the band at its surface."""

_FEWEST = {2: 256, 3: 32}
"""Cells along an axis that are not made coarser for that: a small animal is as well outlined as a patient."""


@dataclass(frozen=True, eq=False)
class ShownBody:
    """The body in a model's input ``x`` (channels, *S) that lies on ``grid``."""

    x: NDArray[np.float32]
    grid: Geometry

    @cached_property
    def _steps(self) -> tuple[int, ...]:
        longest, fewest = _LONGEST[len(self.grid.shape)], _FEWEST[len(self.grid.shape)]
        return tuple(
            max(-(-size // longest), min(int(_FINEST_MM * ON_THE_LINE / spacing), size // fewest))
            for size, spacing in zip(self.grid.shape, self.grid.spacing, strict=True)
        )

    @property
    def _spacing(self) -> NDArray[np.float64]:
        """Distance in mm between neighbouring cells along each axis."""
        return np.array(self.grid.spacing) * self._steps

    @property
    def _reach(self) -> float:
        """How far from the surface in mm is at it: no nearer than the cells can tell."""
        return max(SURFACE_MM, 1.5 * float(self._spacing.max())) * ON_THE_LINE

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each cell is of the body: the largest bright piece, and what it encloses in any plane.

        Lungs are dark and open to the outside where a volume ends, so holes are filled plane by plane. Nothing where
        the input is the same everywhere.
        """
        bright = self.bright
        return _filled(bright, range(3) if bright.ndim == 3 else (None,)) if bright.any() else bright

    @cached_property
    def bright(self) -> NDArray[np.bool_]:
        """Whether each cell is of the largest bright piece."""
        return bright_piece(self.x[(slice(None), *(slice(None, None, step) for step in self._steps))])

    @property
    def in_full(self) -> bool:
        """Whether every voxel of the input is a cell."""
        return set(self._steps) == {1}

    @cached_property
    def _to_index(self) -> NDArray[np.float64]:
        """The matrix (4, 4) that takes a position in mm to an index of the input's grid."""
        return np.asarray(np.linalg.inv(self.grid.affine), np.float64)

    def numbers_on(self, geometry: Geometry, steps: Sequence[int], names: Sequence[BodyRegion]) -> NDArray[np.uint8]:
        """Return where every ``steps``-th voxel of a geometry lies, by place in ``names``: as its nearest cell does."""
        shape = tuple(-(-size // step) for size, step in zip(geometry.shape, steps, strict=True))
        if not self.inside.any():
            return np.full(shape, names.index("outside"), np.uint8)
        step = _scaled(1 / np.array(self._steps)) @ self._to_index @ geometry.affine @ _scaled(steps)
        return nearest_values(self._cell_numbers(names), step, shape)

    def _cell_numbers(self, names: Sequence[BodyRegion]) -> NDArray[np.uint8]:
        """Return each cell's place in ``names``."""
        numbers = np.full(self.inside.shape, names.index("outside"), np.uint8)
        box = _grown(bounding_box(self.inside), np.ceil(self._reach / self._spacing))
        inside = self.inside[box]
        numbers[box][inside] = names.index("body")
        numbers[box][at_boundary(inside, self._spacing.tolist(), self._reach)] = names.index("surface")
        return numbers

    def region(self, position: NDArray[np.float64]) -> BodyRegion:
        """Return on which side of the body's surface a position (3,) in mm lies, or that it lies at it."""
        inside, reach, spacing = self.inside, self._reach, self._spacing
        if not inside.any():
            return "outside"
        index = (self._to_index @ np.append(position, 1.0))[: inside.ndim] / self._steps
        at = tuple(int(nearest_index(along, size)) for along, size in zip(index, inside.shape, strict=True))
        box = _grown([slice(here, here + 1) for here in at], np.ceil(reach / spacing))
        others = inside[box] != inside[at]
        along = [
            np.square((np.arange(side.start, side.start + size) - place) * step)
            for side, size, place, step in zip(box, others.shape, index, spacing, strict=True)
        ]
        away = reduce(np.add.outer, along)  # squared, of each cell of the box
        if others.any() and np.sqrt(away[others].min()) <= reach:
            return "surface"
        return "body" if inside[at] else "outside"


def _scaled(factors: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix (4, 4) that multiplies an index along each of its axes."""
    return np.diag([*factors, *[1.0] * (4 - len(factors))])


def _grown(box: Sequence[slice], by: NDArray[np.float64]) -> tuple[slice, ...]:
    """Return a box with so many cells more at each side of each axis; at the low side as many as there are."""
    return tuple(
        slice(max(0, side.start - far), side.stop + far) for side, far in zip(box, by.astype(int).tolist(), strict=True)
    )


def bright_piece(x: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the largest piece of what is brighter than Otsu's threshold in the mean over the channels of (C, *S).

    Nothing where that is the same everywhere.
    """
    image = x[0] if len(x) == 1 else x.mean(axis=0, dtype=np.float64).astype(np.float32)
    if image.min() == image.max():
        return np.zeros(image.shape, np.bool_)
    bright = image > otsu_of_unsorted(image)
    box = bounding_box(bright)
    largest = np.zeros(image.shape, np.bool_)
    largest[box] = _largest_piece(bright[box])
    return largest


def _largest_piece(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest piece of a part (not empty); of several that large the one that comes first."""
    numbers = connected_components(np.ascontiguousarray(part), connectivity=3**part.ndim - 1)
    voxels = np.bincount(numbers.ravel())
    voxels[0] = 0
    largest = np.flatnonzero(voxels == voxels.max())
    first = np.isin(numbers, largest).argmax() if len(largest) > 1 else None  # in whatever order they are numbered
    return np.asarray(numbers == (largest[0] if first is None else numbers.flat[first]))


def holes_filled(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a part, which may be empty, with what it encloses on all sides."""
    return _filled(part, (None,)) if part.any() else part


def _filled(part: NDArray[np.bool_], planes: Iterable[int | None]) -> NDArray[np.bool_]:
    """Return a part (not empty) with what it encloses within a plane across any of these axes; None: on all sides.

    Looked at is the box around the part: what reaches the box's border within a plane is open there, as beyond the box
    nothing is in its way.
    """
    box = bounding_box(part)
    cropped, filled = part[box], part.copy()
    for across in planes:
        filled[box] |= _enclosing(cropped) if across is None else _enclosing_in_planes(cropped, across)
    return filled


def _enclosing(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a part with what it encloses on all sides; cells touch at a face, in a picture at a side."""
    free = np.pad(~part, 1, constant_values=True)
    numbers = connected_components(free, connectivity=2 * part.ndim)
    within = (slice(1, -1),) * part.ndim
    return np.asarray(numbers[within] != numbers.flat[0])


def _enclosing_in_planes(part: NDArray[np.bool_], across: int) -> NDArray[np.bool_]:
    """Return a volume's part with what it encloses within any plane across an axis.

    The planes are laid out as one picture, each in a frame that joins whatever is open in any of them.
    """
    planes = np.moveaxis(part, across, 0)
    count, rows, columns = planes.shape
    free = np.ones((1 + count * (rows + 1), columns + 2), np.bool_)
    framed = count, rows + 1, columns + 2
    free[1:].reshape(framed)[:, :-1, 1:-1] = ~planes
    numbers = connected_components(free, connectivity=4)
    closed = numbers[1:].reshape(framed)[:, :-1, 1:-1] != numbers[0, 0]
    return np.moveaxis(closed, 0, across)
