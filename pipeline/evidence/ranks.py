"""Ranks from 1, ties with their mean rank. Scipy's own come with all of its statistics, which load slowly."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_ranks"]


def mean_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the ranks of values, flattened; ``values`` hold no NaN.

    >>> mean_ranks(np.array([3.0, 1.0, 3.0]))
    array([2.5, 1. , 2.5])
    """
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
