"""Rows by group: their numbers in the order in which they come, and means that add up in the order of the rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "group_means", "group_sums"]

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]

_PAIRWISE = 8
"""From so many values on NumPy adds a column up in another order than one after the other."""


@dataclass(frozen=True, eq=False)
class Groups:
    """(rows,) the number of each row's group, groups in the order in which they first come; ``count`` of them."""

    number: Numbers
    count: int

    @classmethod
    def of(cls, keys: NDArray[np.integer]) -> Self:
        """Number the groups of rows with equal keys."""
        distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.empty(len(distinct), dtype=np.intp)
        order[np.argsort(first)] = np.arange(len(distinct))
        return cls(order[inverse], len(distinct))


def group_means(number: Numbers, count: int, values: Floats) -> Floats:
    """Return the mean of each group that has a row, in the order of their numbers.

    Each is the mean that NumPy computes of the group's own values (rows,) or rows of them (rows, columns), to the bit.
    """
    order, sizes, starts = _ordered(number, count)
    known = sizes > 0
    means = group_sums(number, count, values)
    means[known] /= sizes[known] if values.ndim == 1 else sizes[known][:, None]
    for group in np.flatnonzero(sizes >= _PAIRWISE).tolist() if values.ndim == 1 else ():
        means[group] = np.mean(values[order[starts[group] : starts[group] + sizes[group]]])
    return means[known]


def group_sums(number: Numbers, count: int, values: Floats) -> Floats:
    """Return (groups, ...) sums that add the rows of a group one after the other; 0 where there is none."""
    order, sizes, starts = _ordered(number, count)
    sums = np.zeros((count, *values.shape[1:]))
    for turn in range(int(sizes.max(initial=0))):
        groups = np.flatnonzero(sizes > turn)
        rows = values[order[starts[groups] + turn]]
        sums[groups] = rows if turn == 0 else sums[groups] + rows
    return sums


def _ordered(number: Numbers, count: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return the rows group by group, how many each group has, and where it starts among them."""
    sizes = np.bincount(number, minlength=count)
    return np.argsort(number, kind="stable"), sizes, np.cumsum(sizes) - sizes
