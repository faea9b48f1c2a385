"""How alike two maps are: the order of their cells, by Spearman's correlation."""

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.ranks import mean_ranks
from pipeline.findings.experiments.map_pair import Outcome

__all__ = ["compared", "in_cells", "spearman"]


def spearman(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return Spearman's rank correlation of two arrays of one shape, ties with their mean rank; neither is constant.

    Raises:
        ValueError: when the shapes differ, or an array is constant and so has no order.
    """
    if a.shape != b.shape:
        raise ValueError(f"maps of different shapes cannot be compared: {a.shape} and {b.shape}")
    first, second = _centred_ranks(a), _centred_ranks(b)
    scale = float(np.sqrt((first @ first) * (second @ second)))
    if scale == 0:
        raise ValueError("a map whose cells are all equal has no order")
    return float(np.clip(first @ second / scale, -1.0, 1.0))


def _centred_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    ranks = mean_ranks(values)
    centred: NDArray[np.float64] = ranks - ranks.mean()
    return centred


def compared(before: NDArray[np.floating], after: NDArray[np.floating]) -> tuple[Outcome, float | None]:
    """Return what became of a map, and how alike the two are.

    A map whose cells are all equal shows nothing. Where that is the study's own there is nothing to compare; where it
    is the changed one the map did change, and counts as 0: leaving it out would leave the lucky draws.
    """
    if np.ptp(before) == 0:
        return "no_map", None
    if np.ptp(after) == 0:
        return "empty_after", 0.0
    return "compared", spearman(before, after)


def in_cells(values: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the mean absolute value within each of ``shape`` cells, of a map that is finer along every axis.

    Cells are as equal as whole voxels allow. An axis of the map that is no finer keeps its own cells; a map of another
    number of axes is returned as it is.
    """
    cells: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if cells.ndim != len(shape) or all(size <= count for size, count in zip(cells.shape, shape, strict=True)):
        return cells
    cells = np.abs(cells)
    for axis, count in enumerate(shape):
        size = cells.shape[axis]
        starts = np.arange(min(count, size)) * size // min(count, size)
        widths = np.diff([*starts, size])
        sums = np.add.reduceat(cells, starts, axis=axis)
        cells = sums / widths.reshape([-1 if at == axis else 1 for at in range(cells.ndim)])
    return cells
