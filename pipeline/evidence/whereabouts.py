"""Where the peak of a map lies: in a lesion, in the body or beside it, and in which part of the picture.

A map that misses the lesion looks somewhere else, and where that is tells a reader more than that it missed: a marker
in a corner, the skin, the edge of the picture. The body is found in what the model was shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence
from pipeline.evidence.metrics.parts import nearest, pieces_of
from pipeline.evidence.planes import along_the_page
from pipeline.evidence.thresholds import threshold_of
from pipeline.findings.scores import MapPeak
from pipeline.studies.geometry import Geometry
from pipeline.vocabulary import BodyRegion, PeakRegion

__all__ = ["SURFACE_MM", "RegionAt", "ShownBody", "peak_of", "picture_border"]

SURFACE_MM = 10.0
"""How far from the body's surface, to either side, still counts as at it: the skin, and what is taped to it."""

_BORDER = 0.02
"""The share of an axis at each of its ends that is the picture's border."""

_LONGEST = {2: 256, 3: 96}
"""Cells along an axis with which the body is outlined: its place need be no finer than the band at its surface."""

_ON_THE_LINE = 1 + 1e-6  # a distance that is the tolerance but for rounding is within it


@dataclass(frozen=True, eq=False)
class ShownBody:
    """The body in a model's input ``x`` (channels, *S) that lies on ``grid``."""

    x: NDArray[np.float32]
    grid: Geometry

    @cached_property
    def _steps(self) -> tuple[int, ...]:
        longest = _LONGEST[len(self.grid.shape)]
        return tuple(-(-size // longest) for size in self.grid.shape)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each cell is of the body: the largest bright piece, and what it encloses in any plane.

        Lungs are dark and open to the outside where a volume ends, so holes are filled plane by plane. Nothing where
        the input is the same everywhere.
        """
        cells = self.x[(slice(None), *(slice(None, None, step) for step in self._steps))]
        image = cells.mean(axis=0, dtype=np.float64).astype(np.float32)
        ordered = np.sort(image, axis=None)
        if ordered[0] == ordered[-1]:
            return np.zeros(image.shape, np.bool_)
        pieces = pieces_of(image > threshold_of("otsu", ordered))
        return _filled(pieces.numbers == np.argmax(pieces.voxels))

    def numbers_at(self, index: NDArray[np.intp], geometry: Geometry, names: Sequence[BodyRegion]) -> NDArray[np.uint8]:
        """Return where voxels (..., axes) of a geometry lie, as places in ``names``: as the nearest cell does."""
        inside = self.inside
        shape = index.shape[:-1]
        if not inside.any():
            return np.full(shape, names.index("outside"), np.uint8)
        axes = inside.ndim
        carried = (np.linalg.inv(self.grid.affine) @ geometry.affine)[:axes]
        cells = (index @ carried[:, : index.shape[-1]].T + carried[:, 3]) / self._steps
        nearest_cell = np.clip(np.rint(cells), 0, np.array(inside.shape) - 1).astype(np.intp)
        return np.asarray(self._cell_numbers(names)[tuple(np.moveaxis(nearest_cell, -1, 0))])

    def _cell_numbers(self, names: Sequence[BodyRegion]) -> NDArray[np.uint8]:
        spacing = np.array(self.grid.spacing) * self._steps
        reach = max(SURFACE_MM, 1.5 * float(spacing.max()))
        inside = self.inside
        numbers = np.where(inside, names.index("body"), names.index("outside")).astype(np.uint8)
        for side in (inside, ~inside):  # from each cell to the nearest of the other kind
            if not side.all():
                near = side & (distance_transform_edt(side, sampling=spacing) <= reach)
                numbers[near] = names.index("surface")
        return numbers

    def region(self, position: NDArray[np.float64]) -> BodyRegion:
        """Return on which side of the body's surface a position (3,) in mm lies, or that it lies at it."""
        inside = self.inside
        if not inside.any():
            return "outside"
        index = (np.linalg.inv(self.grid.affine) @ np.append(position, 1.0))[: inside.ndim] / self._steps
        at = np.clip(np.rint(index), 0, np.array(inside.shape) - 1).astype(int)
        spacing = np.array(self.grid.spacing) * self._steps
        reach = max(SURFACE_MM, 1.5 * float(spacing.max()))
        box = tuple(
            slice(max(0, here - far), here + far + 1)
            for here, far in zip(at.tolist(), np.ceil(reach / spacing).astype(int).tolist(), strict=True)
        )
        others = np.argwhere(inside[box] != inside[tuple(at)]) + [side.start for side in box]
        if len(others) and np.linalg.norm((others - index) * spacing, axis=1).min() <= reach:
            return "surface"
        return "body" if inside[tuple(at)] else "outside"


def _filled(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a part with what it encloses within a plane across any axis; a picture is one plane."""
    filled = part.copy()
    for across in range(part.ndim) if part.ndim == 3 else (None,):
        structure = np.zeros((3,) * part.ndim, np.bool_)  # neighbours at a face, within the plane alone
        structure[(1,) * part.ndim] = True
        for axis in range(part.ndim):
            if axis != across:
                for side in (0, 2):
                    structure[tuple(side if other == axis else 1 for other in range(part.ndim))] = True
        numbers, _ = label(~part, structure)
        open_ = [np.take(numbers, end, axis).ravel() for axis in range(part.ndim) if axis != across for end in (0, -1)]
        filled |= ~part & ~np.isin(numbers, np.unique(np.concatenate(open_)))
    return filled


RegionAt = Callable[[NDArray[np.float64]], BodyRegion | None]
"""What tells the region of a position (3,) in mm where nothing is marked; None where it cannot be told."""


def peak_of(evidence: MaskedEvidence, region_at: RegionAt, marked: MarkedVoxels | None) -> MapPeak | None:
    """Return where a map's peak lies, seen from one mask (None: there is none).

    Of voxels that are tied for the highest value, the one nearest to their middle. None for a constant map, and where
    ``region_at`` cannot tell the region.
    """
    if evidence.degenerate:
        return None
    geometry = evidence.heatmap.geometry
    tied = np.stack(np.unravel_index(evidence.maxima, geometry.shape), axis=1)
    index = tied[np.argmin(np.square(tied - tied.mean(axis=0)).sum(axis=1))]
    position = geometry.world(index[None])[0]
    region = _of_picture(index, geometry) or region_at(position)
    if region is None:
        return None
    shares = along_the_page(geometry, index)
    return MapPeak(
        region=_of_lesion(index, evidence, marked) or region,
        body_region=region,
        place=_named(shares),
        position_mm=(float(position[0]), float(position[1]), float(position[2])),
        normalised=shares,
        value=float(evidence.positive[tuple(index)]),
    )


def _of_lesion(index: NDArray[np.intp], evidence: MaskedEvidence, marked: MarkedVoxels | None) -> PeakRegion | None:
    if marked is None or not len(marked.indices):
        return None
    if marked.mask[tuple(index)]:
        return "lesion"
    if not marked.geometry.scaled:  # a tolerance in mm says nothing of pixels
        return None
    away = nearest(index[None], marked.surface.voxels, marked.geometry)[0]
    return "near" if away <= evidence.limits.tolerance_mm * _ON_THE_LINE else None


def picture_border(index: NDArray[np.intp], geometry: Geometry) -> NDArray[np.bool_]:
    """Tell which voxels (..., axes) lie at the picture's border."""
    sizes = np.array(geometry.shape)
    band = (_BORDER * sizes).astype(int)  # none along an axis of few voxels: each of them may show anything
    return np.asarray(((index < band) | (index >= sizes - band)).any(axis=-1))


def _of_picture(index: NDArray[np.intp], geometry: Geometry) -> BodyRegion | None:
    return "border" if bool(picture_border(index, geometry)) else None


def _named(shares: tuple[float, ...]) -> str:
    """Return a place by thirds: ``upper left`` of a picture, ``upper front left`` of a patient; ``middle`` of both."""
    sides: tuple[tuple[float, str, str], ...]
    if len(shares) == 2:
        sides = ((shares[1], "upper", "lower"), (shares[0], "left", "right"))
    else:
        sides = ((shares[2], "upper", "lower"), (shares[1], "front", "back"), (shares[0], "right", "left"))
    words = [low if share < 1 / 3 else high for share, low, high in sides if not 1 / 3 <= share <= 2 / 3]
    return " ".join(words) or "middle"
