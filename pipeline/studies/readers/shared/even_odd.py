"""Contours to pixels: even-odd at pixel centres.

A pixel is marked when its centre lies inside an odd number of times: holes, nested and keyhole contours need no
special case. A centre exactly on an outline belongs to the region on its right, or below it where the outline is
horizontal (rows downwards, columns to the right), so that regions which share an outline share no pixel and leave
none out. Positions count to a millionth of a pixel: the noise of reading millimetres decides nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["filled", "united"]

_DECIMALS = 6
_EDGES_AT_ONCE = 4096

Points = NDArray[np.float64]


def filled(contours: Sequence[Points], shape: tuple[int, int]) -> tuple[NDArray[np.bool_], int]:
    """Return the pixels (rows, columns) inside an odd number of contours, and how many contours hold no centre.

    Each contour is closed by itself: points (n, 2) as (row, column), whole numbers at the pixels' centres. What
    lies outside of ``shape`` is cut off.
    """
    turns = np.zeros((shape[0], shape[1] + 1), dtype=bool)
    without_centre = 0
    for contour in contours:
        own = _turns(contour, shape)
        without_centre += own.size == 0
        turns.ravel()[own] ^= True
    marked: NDArray[np.bool_] = np.logical_xor.accumulate(turns, axis=1)[:, :-1]
    return marked, without_centre


def united(contours: Sequence[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (rows, columns) inside contours that do not cancel out: holes are holes all the same.

    A contour that is stored twice counts once, and where two overlap and neither lies within the other is inside.
    """
    regions = [filled([contour], shape)[0] for contour in contours]
    distinct: list[NDArray[np.bool_]] = []
    for region in regions:
        if not any(np.array_equal(region, other) for other in distinct):
            distinct.append(region)
    lost = np.zeros(shape, dtype=bool)
    once = np.zeros(shape, dtype=bool)
    for place, region in enumerate(distinct):
        once ^= region
        for other in distinct[:place]:
            both = region & other
            if both.any() and (region & ~other).any() and (other & ~region).any():
                lost |= both
    inside: NDArray[np.bool_] = once | lost
    return inside


def _turns(contour: Points, shape: tuple[int, int]) -> NDArray[np.intp]:
    """Return the pixels, as flat indices of (rows, columns + 1), from which on a row changes side."""
    ends = np.stack([contour, np.roll(contour, -1, axis=0)], axis=1).round(_DECIMALS)
    upper = ends[:, :, 0].argmin(axis=1)  # each edge in one direction: there and back it crosses at the same places
    edges = np.concatenate([ends[range(len(ends)), upper], ends[range(len(ends)), 1 - upper]], axis=1)
    changes = np.zeros(shape[0] * (shape[1] + 1), dtype=bool)  # of a fixed size, however many edges there are
    for start in range(0, len(edges), _EDGES_AT_ONCE):
        places, counts = np.unique(_crossings(edges[start : start + _EDGES_AT_ONCE], shape), return_counts=True)
        changes[places] ^= counts % 2 == 1
    once: NDArray[np.intp] = np.flatnonzero(changes)
    return once


def _crossings(edges: Points, shape: tuple[int, int]) -> NDArray[np.intp]:
    """Return where edges (upper row, column, lower row, column) cross the rows: the first centre not left of it."""
    rows, columns = shape
    top, left, bottom, right = edges.T
    first, end = (np.ceil(row).clip(0, rows).astype(np.intp) for row in (top, bottom))
    count = end - first
    edge = np.repeat(np.arange(len(edges)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row - top[edge]) / (bottom - top)[edge]
    column = np.ceil((left[edge] + share * (right - left)[edge]).round(_DECIMALS)).clip(0, columns)
    flat: NDArray[np.intp] = row * (columns + 1) + column.astype(np.intp)
    return flat
