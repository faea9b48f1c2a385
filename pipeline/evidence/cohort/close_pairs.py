"""Which of many vectors of length 1 are close, exactly, without the whole product of all with all.

Of two vectors, the product of their parts along a few directions plus the product of the lengths of what is left is
never less than their own product (Cauchy and Schwarz). Where that bound is below what is asked, they are not close,
and that is so of nearly all pairs; the others are looked at whole. All pairs are still held against each other, at a
tenth to a twentieth of the cost.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["close_pairs"]

Floats = NDArray[np.float64]

_DIRECTIONS: Final = 48
_SAMPLE: Final = 512  # vectors that tell along which directions they differ most
_ROWS, _COLUMNS = 1024, 8192  # vectors that are held against each other at a time: 32 MiB
_LOOKED_AT: Final = 8192  # pairs whose vectors are in memory at a time
_ROUNDING: Final = 1e-4
"""More than single precision loses of a sum of some fifty products."""


def close_pairs(
    vectors: Callable[[], Iterator[Floats]], some: Callable[[Sequence[int]], Floats], least: float
) -> Iterator[tuple[int, int, float]]:
    """Yield the numbers of two vectors (the smaller first) and their product, to three digits, if ``least`` or more.

    Args:
        vectors: goes through all of them, one by one: each (numbers,), of length 1 or 0.
        some: returns those of ascending numbers, (n, numbers).
        least: to three digits.
    """
    parts = _parts(vectors)
    for first, second in _candidates(parts, np.float32(least - 0.0005 - _ROUNDING)):
        numbers, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        whole, count = some(numbers.tolist()), len(first)
        products = np.round(np.einsum("ij,ij->i", whole[places[:count]], whole[places[count:]]), 3)
        for pair in np.flatnonzero(products >= least).tolist():
            yield int(first[pair]), int(second[pair]), float(products[pair])


def _parts(vectors: Callable[[], Iterator[Floats]]) -> NDArray[np.float32]:
    """Return (n, directions + 1): each vector along the directions, and the length of what is left of it."""
    sample = np.array(list(islice(vectors(), _SAMPLE)))
    directions = np.linalg.svd(sample, full_matrices=False)[2][:_DIRECTIONS]
    kind = np.dtype((np.float32, len(directions) + 1))
    return np.fromiter((_part(vector, directions) for vector in vectors()), dtype=kind)


def _part(vector: Floats, directions: Floats) -> NDArray[np.float32]:
    along = directions @ vector
    left = np.sqrt(max(float(vector @ vector) - float(along @ along), 0.0))
    return np.append(along, left).astype(np.float32)


def _candidates(parts: NDArray[np.float32], least: np.float32) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pairs whose bound is ``least`` or more, some at a time: smaller and larger numbers."""
    for start in range(0, len(parts), _ROWS):
        for left in range(start, len(parts), _COLUMNS):
            bounds = parts[start : start + _ROWS] @ parts[left : left + _COLUMNS].T
            first, second = np.nonzero(bounds >= least)
            first, second = first + start, second + left
            first, second = first[first < second], second[first < second]
            for begin in range(0, len(first), _LOOKED_AT):
                yield first[begin : begin + _LOOKED_AT], second[begin : begin + _LOOKED_AT]
