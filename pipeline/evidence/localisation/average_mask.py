"""The average mask as a map: the mean of the other patients' masks of a label, in one common frame.

The frame is that of normalised image coordinates: each image, its axes ordered and turned to right, anterior and
superior, is one unit square or cube, laid out in a fixed grid of cells. A mask becomes the share of each cell that it
fills, as a whole number; sums of whole numbers are exact, so taking a patient out of a sum leaves nothing of him.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from pipeline.evidence.planes import patient_axes
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask
from pipeline.vocabulary import CONSENSUS

__all__ = ["FEWEST_OTHERS", "TOO_FEW_OTHERS", "AverageMasks", "Kind", "filled_cells", "patients_mean", "study_cells"]

CELLS: Final[Mapping[int, int]] = {2: 64, 3: 32}
"""Cells along each axis of the common frame, by the number of axes."""

FEWEST_OTHERS: Final = 5
"""With fewer other patients who have a mask of the label there is no average."""

TOO_FEW_OTHERS: Final = "too_few_other_patients"

_FULL: Final = 65535  # a cell that is filled

Kind = tuple[str, int]
"""A label, and the number of axes: pictures and volumes have averages of their own."""

Cells = NDArray[np.uint16]
Sums = NDArray[np.int64]


def study_cells(masks: Iterable[Mask]) -> dict[str, Cells]:
    """Return for each label how much of each cell of the common frame a study's masks fill, 65535 all of it.

    It is the mean over the readers who decide: their consensus, or all whose mask is not empty. A label without such a
    mask is left out.
    """
    groups: dict[str, list[Mask]] = defaultdict(list)
    for mask in masks:
        if mask.label and mask.array.any():
            groups[mask.label].append(mask)
    return {
        label: np.rint(_FULL * np.mean([filled_cells(mask.array, mask.geometry) for mask in decisive], axis=0)).astype(
            np.uint16
        )
        for label, own in groups.items()
        if (decisive := [mask for mask in own if mask.reader.startswith(CONSENSUS)] or own)
    }


def filled_cells(mask: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.float64]:
    """Return the share of each cell of the common frame that a mask fills; the mask must not be empty."""
    (box,) = find_objects(mask.view(np.int8))
    part = mask[box]
    weights = [_shares(size, CELLS[mask.ndim])[:, side] for size, side in zip(mask.shape, box, strict=True)]
    if mask.ndim == 2:
        filled = weights[0] @ part @ weights[1].T
    else:  # plane by plane: a whole volume in float64 is large
        planes = np.stack([weights[1] @ plane @ weights[2].T for plane in part])
        filled = np.tensordot(weights[0], planes, axes=1)
    order, turned = _axes(geometry)
    common: NDArray[np.float64] = np.flip(filled, turned).transpose(order)
    return common


def _shares(size: int, cells: int) -> NDArray[np.float64]:
    """Return the share of each cell (cells, size) that each voxel along an axis takes up; rows sum to 1."""
    edges, borders = np.arange(size + 1) / size, np.arange(cells + 1) / cells
    low = np.maximum(edges[:-1], borders[:-1, None])
    high = np.minimum(edges[1:], borders[1:, None])
    return np.asarray(np.maximum(high - low, 0) * cells)


def _axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the order of a grid's axes by the patient's, and those that run against it."""
    axes = len(geometry.shape)
    orientation = patient_axes(geometry.affine[:, [*range(axes), 3]])
    order = tuple(int(axis) for axis in np.argsort(orientation[:, 0]))
    return order, tuple(axis for axis in range(axes) if orientation[axis, 1] < 0)


def patients_mean(studies: Sequence[Cells]) -> Sums:
    """Return a patient's cells: the mean over his studies, in whole numbers."""
    return np.rint(np.sum(studies, axis=0, dtype=np.int64) / len(studies)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class AverageMasks:
    """A cohort's masks in the common frame: sums over patients by label, and the patients who have one.

    ``own`` returns a patient's part of a sum (None: he has none).
    """

    totals: Mapping[Kind, Sums]
    patients: Mapping[Kind, int]
    own: Callable[[str, Kind], Sums | None]

    def without(self, patient: str, label: str, geometry: Geometry) -> NDArray[np.float32] | None:
        """Return the mean of all other patients' masks, its cells in the order of a grid's axes, edge to edge.

        None where fewer than ``FEWEST_OTHERS`` of them have a mask.
        """
        kind = (label, len(geometry.shape))
        own = self.own(patient, kind)
        others = self.patients.get(kind, 0) - (own is not None)
        if others < FEWEST_OTHERS:
            return None
        left = self.totals[kind] if own is None else self.totals[kind] - own
        order, turned = _axes(geometry)
        cells = np.flip(left.transpose(np.argsort(order)), turned)
        return (cells / (_FULL * others)).astype(np.float32)
