"""The lesions of masks: how large, how many, and of what form.

A lesion is a part of the mask whose voxels touch at a face, an edge or a corner. Form is the largest part's, in mm
through the grid's affine. In a picture it is measured at the rectangle of the smallest area that holds the part
(Saporta et al. 2022): its longer side over the shorter, and the share of it that the part leaves free. In a volume the
elongation is that of the principal axes (the root of the largest variance over the smallest), the irregularity the
share of the convex hull that the part leaves free. Voxels count as the bodies that they are, not as points.
"""

from collections.abc import Iterable
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from pipeline.evidence.metrics.parts import Pieces
from pipeline.findings.localisation.lesions import MaskShape
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask

__all__ = ["mask_shapes"]

Points = NDArray[np.float64]


def mask_shapes(masks: Iterable[tuple[Mask, Pieces]]) -> tuple[MaskShape, ...]:
    """Return what the lesions of each mask, given with its pieces, are like; of one without a label, nothing."""
    return tuple(_mask_shape(mask, pieces) for mask, pieces in masks if mask.label)


def _mask_shape(mask: Mask, pieces: Pieces) -> MaskShape:
    geometry, voxels = mask.geometry, int(pieces.voxels.sum())
    common = {
        "label": mask.label,
        "reader": mask.reader,
        "axes": len(geometry.shape),
        "image_share": voxels / mask.array.size,
        "size": voxels * _voxel_size(geometry) if geometry.scaled else None,
    }
    if not voxels:
        return MaskShape.model_validate({**common, "lesions": 0})
    part = pieces.numbers[pieces.box] == np.argmax(pieces.voxels)
    elongation, irregularity = _form(part, geometry)
    form = {"elongation": elongation, "irregularity": irregularity}
    return MaskShape.model_validate({**common, **form, "lesions": len(pieces.voxels) - 1})


def _voxel_size(geometry: Geometry) -> float:
    """Return a voxel's volume in mm3, of a picture its area in mm2."""
    return float(np.sqrt(np.linalg.det(_edges(geometry).T @ _edges(geometry))))


def _edges(geometry: Geometry) -> Points:
    """Return a voxel's edges in mm as columns (3, axes)."""
    return geometry.affine[:3, : len(geometry.shape)]


def _form(part: NDArray[np.bool_], geometry: Geometry) -> tuple[float, float]:
    """Return elongation and irregularity of a part that is not empty."""
    size = float(np.count_nonzero(part)) * _voxel_size(geometry)
    if part.ndim == 2:
        longer, shorter = _smallest_rectangle(_outline(part), geometry)
        return longer / shorter, max(0.0, 1 - size / (longer * shorter))
    hull = ConvexHull(_outer_corners(part)).volume * _voxel_size(geometry)
    return _principal_elongation(part, geometry), max(0.0, 1 - size / float(hull))


def _outline(part: NDArray[np.bool_]) -> Points:
    """Return the corners of a plane's pixels that span its convex hull, in its order, as indices (N, 2)."""
    rows = np.flatnonzero(part.any(axis=1))
    first = part[rows].argmax(axis=1)
    last = part.shape[1] - 1 - part[rows, ::-1].argmax(axis=1)
    corners = [np.stack([rows + side, column], axis=1) for side in (-0.5, 0.5) for column in (first - 0.5, last + 0.5)]
    points = np.concatenate(corners)
    return np.asarray(points[ConvexHull(points).vertices])


def _outer_corners(part: NDArray[np.bool_]) -> Points:
    """Return the corners of a volume's voxels that can span its convex hull.

    A corner that points up an axis can do so only where no other voxel lies further up that line: it would be between
    this voxel and that one.
    """
    ends = [_line_ends(part, axis) for axis in range(3)]
    rows, columns = np.nonzero(part.any(axis=2))
    corners = []
    for sides in product((0, 1), repeat=3):
        depths = ends[2][sides[2]][rows, columns]
        outer = (ends[0][sides[0]][columns, depths] == rows) & (ends[1][sides[1]][rows, depths] == columns)
        corners.append(np.stack([rows[outer], columns[outer], depths[outer]], axis=1) + np.array(sides) - 0.5)
    return np.concatenate(corners)


def _line_ends(part: NDArray[np.bool_], axis: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the last voxel of a part on each line along an axis; of a line with none any number."""
    return part.argmax(axis=axis), part.shape[axis] - 1 - np.flip(part, axis).argmax(axis=axis)


def _smallest_rectangle(outline: Points, geometry: Geometry) -> tuple[float, float]:
    """Return the sides in mm, the longer first, of the smallest rectangle around a convex outline in its order.

    One of its sides lies along a side of the outline (Freeman and Shapira 1975).
    """
    corners = outline @ np.linalg.qr(_edges(geometry))[1].T  # in the picture's own plane
    sides = np.roll(corners, -1, axis=0) - corners
    along = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    lengths = np.stack([np.ptp(corners @ directions.T, axis=0) for directions in (along, across)])
    chosen = lengths[:, np.argmin(lengths.prod(axis=0))]
    return float(chosen.max()), float(chosen.min())


def _principal_elongation(part: NDArray[np.bool_], geometry: Geometry) -> float:
    edges = _edges(geometry)
    places = np.argwhere(part)
    spread = np.cov(places.T, bias=True) + np.eye(3) / 12  # a voxel's own, as a body
    variances = np.linalg.eigvalsh(edges @ spread @ edges.T)
    return float(np.sqrt(variances[-1] / variances[0]))
