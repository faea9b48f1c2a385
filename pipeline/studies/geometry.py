"""Where voxels lie, and how values get from one grid to another.

One convention everywhere: an affine maps a voxel's index (of its centre, axes in the array's own order) to
millimetres in RAS+, as NIfTI does. DICOM and NRRD files speak LPS+; ``lps_to_ras`` is the only place that
turns it. A 2D grid has two axes and still a 4x4 affine: its third column is the plane's unit normal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CORNER_TOLERANCE_MM",
    "Geometry",
    "GeometryError",
    "Resampling",
    "cells",
    "described_apart",
    "lps_to_ras",
    "nearest_index",
    "nearest_values",
    "place_on",
    "plan",
    "same_grid",
]

Affine = NDArray[np.float64]
AxisWeights = tuple[int, NDArray[np.float32]]
"""An axis of the target, and the matrix (its size, the source axis's size) of linear interpolation along it."""

CORNER_TOLERANCE_MM = 0.05
"""Two grids are the same when no corners lie further apart than this, or than a tenth of a voxel."""

_SAME_DIRECTION = 1e-6
_AT_EDGE = 1e-6  # of a voxel: so far outside a field of view is still at its edge
_SPARSE = 0.02  # of a mask's voxels: up to here placing those that are marked is quicker than turning them all
_MIDWAY = 0.5 + 1e-6  # of a voxel: what lies midway between two belongs to the lower one, whatever rounding does


class GeometryError(ValueError):
    """Two grids do not belong together, or a grid is impossible."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid in the patient: spatial shape (2 or 3 axes), affine (4, 4) to RAS+ mm, frame of reference.

    ``oriented`` is False when the anatomical directions are unknown (a projection without a patient
    orientation): distances hold, letters do not. ``scaled`` is False when no physical size is known (a photograph, a
    screenshot): distances are in pixels then, and nothing may call them mm.

    Raises:
        GeometryError: for a shape of another number of axes, or an affine that is not (4, 4), finite and
            regular.
    """

    shape: tuple[int, ...]
    affine: Affine
    frame_of_reference: str | None = None
    oriented: bool = True
    scaled: bool = True

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        shape = tuple(int(size) for size in self.shape)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise GeometryError(f"shape must have 2 or 3 positive axes, not {shape}")
        regular = affine.shape == (4, 4) and np.isfinite(affine).all()
        if not regular or not np.array_equal(affine[3], (0, 0, 0, 1)):
            raise GeometryError(f"affine must be a finite 4x4 matrix with last row 0 0 0 1, not {affine.tolist()}")
        scale = np.prod(np.linalg.norm(affine[:3, :3], axis=0))
        if scale == 0 or abs(np.linalg.det(affine[:3, :3])) < 1e-6 * scale:
            raise GeometryError(f"affine must not be singular, but its columns are {affine[:3, :3].T.tolist()}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @property
    def unit(self) -> str:
        """The unit of distances: ``mm``, or ``px`` where no physical size is known."""
        return "mm" if self.scaled else "px"

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Distance in mm between neighbours along each axis."""
        return tuple(float(step) for step in np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0))

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """World positions (mm) of the outermost voxels' centres, shape (2**axes, 3)."""
        ends = [(0, size - 1) for size in self.shape]
        return self.world(np.array(list(product(*ends))))

    def world(self, index: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return positions (mm) of indices (N, axes), shape (N, 3)."""
        axes = len(self.shape)
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :axes].T + self.affine[:3, 3]

    def letters(self) -> tuple[tuple[str, str], ...]:
        """Return, for each axis, the anatomical letters at its low and its high end; empty when unknown."""
        if not self.oriented:
            return (("", ""),) * len(self.shape)
        ends = (("L", "R"), ("P", "A"), ("I", "S"))
        axes = len(self.shape)
        directions = self.affine[:3, :axes] / self.spacing
        # the assignment as a whole, so that in an oblique grid no two axes claim the same letters
        nearest = max(permutations(range(3), axes), key=lambda worlds: np.abs(directions[worlds, range(axes)]).sum())
        return tuple(
            ends[world] if directions[world, axis] > 0 else ends[world][::-1] for axis, world in enumerate(nearest)
        )


def lps_to_ras(affine: NDArray[np.floating]) -> Affine:
    """Turn an affine to LPS+ mm (DICOM, NRRD, ITK) into one to RAS+ mm."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, dtype=np.float64)


def same_grid(first: Geometry, second: Geometry) -> bool:
    """Tell whether two grids have the same voxels: shape equal, corners within ``CORNER_TOLERANCE_MM``.

    Where a voxel is smaller than half a millimetre (mammography), within a tenth of it.
    """
    tolerance = min(CORNER_TOLERANCE_MM, 0.1 * min(first.spacing + second.spacing))
    return first.shape == second.shape and bool(
        np.linalg.norm(first.corners - second.corners, axis=1).max() <= tolerance
    )


def place_on(mask: NDArray[np.bool_], source: Geometry, target: Geometry, *, partial: bool) -> NDArray[np.bool_]:
    """Carry a mask to a grid that shares its voxels, by reordering axes alone; nothing is interpolated.

    With ``partial`` the source may cover a part of the target (a sparse DICOM SEG); the rest is background.

    Raises:
        GeometryError: when the frames of reference differ, when a voxel of the source does not fall on a
            voxel of the target, when a marked voxel falls outside it, or when (not ``partial``) the two do
            not coincide.
    """
    frames = (source.frame_of_reference, target.frame_of_reference)
    if None not in frames and frames[0] != frames[1]:
        raise GeometryError("the mask lies in another frame of reference than the image")
    if mask.shape != source.shape:
        raise GeometryError(f"the mask's array has shape {mask.shape}, its grid {source.shape}")
    axes = len(target.shape)
    if len(source.shape) != axes:
        raise GeometryError(f"the mask has {len(source.shape)} axes, the image {axes}")
    step = np.linalg.inv(target.affine) @ source.affine
    turn, offset = np.rint(step[:axes, :axes]).astype(int), np.rint(step[:axes, 3]).astype(int)
    exact = np.eye(4)
    exact[:axes, :axes], exact[:axes, 3] = turn, offset
    snapped = Geometry(source.shape, target.affine @ exact) if _is_reordering(turn) else None
    if snapped is None or not same_grid(snapped, source):
        own, others = described_apart(source, target)
        raise GeometryError(f"the mask's grid {own} is not the image's {others}")
    if not partial and sorted(source.shape) != sorted(target.shape):
        raise GeometryError(f"the mask's shape {source.shape} is not the image's {target.shape}")
    if (turn == np.eye(axes)).all() and not offset.any() and source.shape == target.shape:
        return _in_rows(mask)  # the grids are one: what follows would put each voxel where it is
    marked = np.argwhere(mask) @ turn.T + offset
    outside = int(((marked < 0) | (marked >= target.shape)).any(axis=1).sum())
    if outside or (not partial and not _covers(source, turn, offset, target)):
        own, others = described_apart(source, target)
        raise GeometryError(f"the mask's grid {own} is shifted against the image's {others}")
    placed = np.zeros(target.shape, dtype=bool)
    placed[tuple(marked.T)] = True
    return placed


def _in_rows(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a copy of a mask with its last axis contiguous; of a sparse one only what is marked is carried over."""
    if not mask.flags.f_contiguous or np.count_nonzero(mask) > mask.size * _SPARSE:
        return np.array(mask, dtype=bool, order="C")
    placed = np.zeros(mask.shape, dtype=bool)
    placed[np.unravel_index(np.flatnonzero(mask.ravel(order="F")), mask.shape, order="F")] = True
    return placed


def _is_reordering(turn: NDArray[np.integer]) -> bool:
    return bool((np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all())


def _covers(source: Geometry, turn: NDArray[np.integer], offset: NDArray[np.integer], target: Geometry) -> bool:
    ends = np.stack([offset, turn @ (np.array(source.shape) - 1) + offset])
    return bool((ends.min(axis=0) == 0).all() and (ends.max(axis=0) == np.array(target.shape) - 1).all())


def described_apart(first: Geometry, second: Geometry) -> tuple[str, str]:
    """Return two grids in words, with as many digits as it takes to see that they differ."""
    turned = (
        len(first.shape) == len(second.shape)
        and np.abs(_directions(first) - _directions(second)).max() > _SAME_DIRECTION
    )
    for digits in range(2, 16):
        texts = _describe(first, digits, turned=turned), _describe(second, digits, turned=turned)
        if texts[0] != texts[1]:
            break
    return texts


def _directions(geometry: Geometry) -> NDArray[np.float64]:
    """Return the axes' directions, unit vectors as columns (3, axes)."""
    axes: NDArray[np.float64] = geometry.affine[:3, : len(geometry.shape)] / geometry.spacing
    return axes + 0.0  # no minus before a zero


def _describe(geometry: Geometry, digits: int, *, turned: bool) -> str:
    spacing = " x ".join(f"{step:.{digits + 1}f}" for step in geometry.spacing)
    origin = ", ".join(f"{value:.{digits}f}" for value in geometry.affine[:3, 3])
    text = f"{geometry.shape} at {spacing} mm from ({origin})"
    along = ", ".join(f"({' '.join(f'{part:.{digits}f}' for part in axis)})" for axis in _directions(geometry).T)
    return f"{text} along {along}" if turned else text


def cells(grid: Geometry, shape: Sequence[int]) -> Geometry:
    """Return a layer's grid: ``shape`` cells that tile the field of view of ``grid`` edge to edge."""
    axes = len(grid.shape)
    if len(shape) != axes:
        raise GeometryError(f"a layer with {len(shape)} axes cannot tile a grid with {axes}")
    ratio = np.array(grid.shape) / np.array(shape)
    scale = np.eye(4)
    scale[range(axes), range(axes)] = ratio
    scale[:axes, 3] = (ratio - 1) / 2
    return replace(grid, shape=tuple(shape), affine=grid.affine @ scale)


@dataclass(frozen=True, eq=False)
class Resampling:
    """A plan, made once and used for every map of a layer: values from one grid at the voxels of another.

    Interpolation is linear. ``seen`` tells which target voxels lie inside the source's field of view (edge to
    edge); the others get 0. Between the border cells' centres and their edges the border cell's value holds.
    """

    shape: tuple[int, ...]
    step: NDArray[np.float64]
    source_shape: tuple[int, ...]
    seen: NDArray[np.bool_]

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return values (source shape) at the target's voxels, float32 (target shape), 0 where unseen."""
        if values.shape != self.source_shape:
            raise GeometryError(f"values must have the plan's source shape {self.source_shape}, not {values.shape}")
        field = self._general(values) if self.separable is None else self._separable(values, self.separable)
        if not self.seen.all():
            field[~self.seen] = 0
        return field

    @cached_property
    def separable(self) -> tuple[AxisWeights, ...] | None:
        """For each source axis in turn the target axis that it depends on alone, and the weights along that one.

        None where an axis depends on several (``places``).
        """
        axes = _axes_along(self.step, self.shape)
        if axes is None:
            return None
        steps = ((self.step[source, target], self.step[source, 3]) for source, target in enumerate(axes))
        return tuple(
            (target, _linear_weights(scale * np.arange(self.shape[target]) + shift, size))
            for target, (scale, shift), size in zip(axes, steps, self.source_shape, strict=True)
        )

    def places(self) -> Iterator[list[NDArray[np.float64]]]:
        """Yield, for each index along the target's first axis, its voxels' places along the source's axes."""
        return _slabs(self.step, self.shape)

    def _separable(self, values: NDArray[np.floating], along: tuple[AxisWeights, ...]) -> NDArray[np.float32]:
        order = np.argsort([axis for axis, _ in along])
        field = np.asarray(values, dtype=np.float32).transpose(order)  # the target's order, while it is small
        for axis, weights in along:
            if not _leaves_as_is(weights):
                field = _along(weights, field, axis)
        field = np.ascontiguousarray(field)
        return field.copy() if np.may_share_memory(field, values) else field

    def _general(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        from scipy.ndimage import map_coordinates  # few grids are oblique, and who only reads studies needs none

        field = np.empty(self.shape, dtype=np.float32)
        exact = values.astype(np.float64)
        for first, position in enumerate(self.places()):
            field[first] = map_coordinates(exact, position, order=1, mode="nearest")
        return field


def nearest_values(values: NDArray[np.uint8], step: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return values of one grid at the nearest of its voxels to each voxel (``shape``) of another.

    ``step`` (4, 4) takes an index of the other grid to one of the values' own. Beyond the border its value holds.
    """
    axes = _axes_along(step, shape)
    if axes is None:
        return np.stack([values[tuple(map(nearest_index, position, values.shape))] for position in _slabs(step, shape)])
    for source, target in enumerate(axes):
        along = step[source, target] * np.arange(shape[target]) + step[source, 3]
        nearest = nearest_index(along, values.shape[source])
        if not np.array_equal(nearest, np.arange(values.shape[source])):
            values = values.take(nearest, axis=source)
    return np.array(values.transpose(np.argsort(axes)), order="C")


def nearest_index(position: NDArray[np.float64], size: int) -> NDArray[np.intp]:
    """Return the index (0 to ``size`` - 1) along an axis that is nearest to each position, given in voxels."""
    return np.clip(np.ceil(position - _MIDWAY), 0, size - 1).astype(np.intp)


def _axes_along(step: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return which axis of a target (``shape``) each source axis depends on, or None when one depends on several."""
    axes = len(shape)
    reach = np.abs(step[:axes, :axes]) * (np.array(shape) - 1)
    main = reach.argmax(axis=1)
    rest = reach.sum(axis=1) - reach[range(axes), main]
    if (rest > 1e-4).any() or len(set(main.tolist())) < axes:
        return None
    return tuple(int(axis) for axis in main)


def plan(source: Geometry, target: Geometry) -> Resampling:
    """Plan how values on ``source`` (a layer's grid) are read at the voxels of ``target`` (the mask's grid).

    Raises:
        GeometryError: when one is 2D and the other 3D, two 2D grids do not lie in one plane, or the frames of
            reference differ.
    """
    axes = len(target.shape)
    if len(source.shape) != axes:
        raise GeometryError(f"a {len(source.shape)}D grid cannot be read at the voxels of a {axes}D grid")
    if source.frame_of_reference != target.frame_of_reference:
        raise GeometryError("source and target lie in different frames of reference")
    if axes == 2 and _out_of_plane(source, target) > CORNER_TOLERANCE_MM:
        raise GeometryError("source and target lie in different planes")
    step = np.linalg.inv(source.affine) @ target.affine
    seen = np.ones(target.shape, dtype=bool)
    if not _covers_corners(step, source.shape, target.shape):
        for first, position in enumerate(_slabs(step, target.shape)):
            for along, size in zip(position, source.shape, strict=True):
                seen[first] &= (along >= -0.5 - _AT_EDGE) & (along <= size - 0.5 + _AT_EDGE)
    seen.setflags(write=False)
    return Resampling(target.shape, step, source.shape, seen)


def _covers_corners(step: NDArray[np.float64], source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Tell whether the target's corners lie in the source's field of view, and with them all of its voxels."""
    axes = len(target)
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in target], indexing="ij"), -1).reshape(-1, axes)
    places = corners @ step[:axes, :axes].T + step[:axes, 3]
    within = (places >= -0.5 - _AT_EDGE / 2) & (places <= np.array(source) - 0.5 + _AT_EDGE / 2)
    return bool(within.all())


def _out_of_plane(source: Geometry, target: Geometry) -> float:
    """Return how far (mm) the corners of a 2D grid lie from the plane of another."""
    normal = np.cross(source.affine[:3, 0], source.affine[:3, 1])
    heights = (target.corners - source.affine[:3, 3]) @ (normal / np.linalg.norm(normal))
    return float(np.abs(heights).max())


def _slabs(step: NDArray[np.float64], shape: tuple[int, ...]) -> Iterator[list[NDArray[np.float64]]]:
    """Yield, for each index along the first axis of ``shape``, its voxels' places along the source's axes.

    Slab by slab, because the positions of a whole volume would take as much memory as a dozen volumes.
    """
    axes = len(shape)
    rest = np.ogrid[tuple(slice(size) for size in shape[1:])]
    for first in range(shape[0]):
        yield [
            sum((row[1 + axis] * rest[axis] for axis in range(axes - 1)), row[0] * first + row[axes])
            for row in step[:axes, [*range(axes), 3]]
        ]


def _along(weights: NDArray[np.float32], field: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return a field with the weights (new size, size) applied along one axis, in memory's order: nothing is turned."""
    before, after = field.shape[:axis], field.shape[axis + 1 :]
    if after:
        flat = np.ascontiguousarray(field).reshape(*before, field.shape[axis], -1)
        carried: NDArray[np.float32] = np.matmul(weights, flat).reshape(*before, len(weights), *after)
        return carried
    last: NDArray[np.float32] = np.matmul(field, weights.T)
    return last


def _leaves_as_is(weights: NDArray[np.float32]) -> bool:
    """Tell whether every value along an axis is taken over: a product with such weights is the values themselves."""
    return weights.shape[0] == weights.shape[1] and np.array_equal(weights, np.eye(len(weights)))


def _linear_weights(position: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the matrix (len(position), size) of linear interpolation, the border value held outside."""
    clamped = np.clip(position, 0, size - 1)
    low = np.minimum(clamped.astype(int), max(size - 2, 0))
    high = np.minimum(low + 1, size - 1)
    weights = np.zeros((len(position), size), dtype=np.float32)
    rows = np.arange(len(position))
    np.add.at(weights, (rows, low), 1 - (clamped - low))
    np.add.at(weights, (rows, high), clamped - low)
    return weights
