"""Which of many vectors of length 1 are close, without the whole product of all with all.

Of two vectors, the product of their parts along a few directions plus the product of the lengths of what is left is
never less than their own product (Cauchy and Schwarz). Where that bound is below what is asked, they are not close,
and that is so of nearly all pairs; the others are looked at whole.

Few vectors are all held against each other by that bound, which misses nothing. Many are looked up in bands: a band is
a number of directions drawn at random, and two vectors meet in it that lie on the same side of each. Vectors at an
angle t lie on the same side of a direction with probability 1 - t / pi (Charikar, STOC 2002), so close ones meet in
some band but with the probability ``_MISSED``; of those that are not close, few meet at all. Where so many meet that
it would not pay, all are held against each other.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["close_pairs"]

Floats = NDArray[np.float64]
Parts = NDArray[np.float32]
Numbers = NDArray[np.intp]
Codes = NDArray[np.uint32]
Vectors = Callable[[], Iterator[Floats]]

_DIRECTIONS: Final = 48
_SAMPLE: Final = 512  # vectors that tell along which directions they differ most
_ROWS, _COLUMNS = 1024, 8192  # vectors that are held against each other at a time: 32 MiB
_LOOKED_AT: Final = 8192  # pairs whose vectors are in memory at a time
_ROUNDING: Final = 1e-4
"""More than single precision loses of a sum of some fifty products."""

_FEW: Final = 32_768
"""Vectors up to which it is quicker to hold all against all."""
_MISSED: Final = 1e-12
"""The probability, over the directions that are drawn, that two close vectors meet in no band."""
_DEARER: Final = 30
"""How much longer it takes to look at a pair that met than at one of all."""
_CODES_AT_ONCE: Final = 32 * 2**20  # codes in memory: 128 MiB
_SEED: Final = 20_261_129


def close_pairs(
    vectors: Vectors, some: Callable[[Sequence[int]], Floats], least: float
) -> Iterator[tuple[int, int, float]]:
    """Yield the numbers of two vectors (the smaller first) and their product, to three digits, if ``least`` or more.

    Args:
        vectors: goes through all of them, one by one: each (numbers,), of length 1 or 0.
        some: returns those of ascending numbers, (n, numbers).
        least: to three digits, above 0.
    """
    parts, lowest = _parts(vectors), least - 0.0005
    bound = np.float32(lowest - _ROUNDING)
    pairs = _all_with_all(parts, bound) if len(parts) <= _FEW else _of_bands(vectors, parts, lowest, bound)
    for first, second in pairs:
        numbers, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        whole, count = some(numbers.tolist()), len(first)
        products = np.round(np.einsum("ij,ij->i", whole[places[:count]], whole[places[count:]]), 3)
        for pair in np.flatnonzero(products >= least).tolist():
            yield int(first[pair]), int(second[pair]), float(products[pair])


def _parts(vectors: Vectors) -> Parts:
    """Return (n, directions + 1): each vector along the directions, and the length of what is left of it."""
    sample = np.array(list(islice(vectors(), _SAMPLE)))
    directions = np.linalg.svd(sample, full_matrices=False)[2][:_DIRECTIONS]
    kind = np.dtype((np.float32, len(directions) + 1))
    return np.fromiter((_part(vector, directions) for vector in vectors()), dtype=kind)


def _part(vector: Floats, directions: Floats) -> Parts:
    along = directions @ vector
    left = np.sqrt(max(float(vector @ vector) - float(along @ along), 0.0))
    return np.append(along, left).astype(np.float32)


def _all_with_all(parts: Parts, least: np.float32) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the pairs whose bound is ``least`` or more, some at a time: smaller and larger numbers."""
    for start in range(0, len(parts), _ROWS):
        for left in range(start, len(parts), _COLUMNS):
            bounds = parts[start : start + _ROWS] @ parts[left : left + _COLUMNS].T
            first, second = np.nonzero(bounds >= least)
            first, second = first + start, second + left
            first, second = first[first < second], second[first < second]
            for begin in range(0, len(first), _LOOKED_AT):
                yield first[begin : begin + _LOOKED_AT], second[begin : begin + _LOOKED_AT]


@dataclass(frozen=True)
class _Banding:
    """So many bands of so many directions each."""

    bands: int
    directions: int

    @classmethod
    def of(cls, count: int, lowest: float) -> Self:
        """Return bands in which of ``count`` vectors those meet whose product is ``lowest`` or more."""
        directions = max(1, round(math.log2(count)))
        meet = (1 - math.acos(lowest) / math.pi) ** directions
        return cls(math.ceil(math.log(_MISSED) / math.log1p(-meet)), directions)


def _of_bands(vectors: Vectors, parts: Parts, lowest: float, bound: np.float32) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the pairs that meet in a band and whose bound is ``bound`` or more, each once, as ``_all_with_all``."""
    shown, known = np.flatnonzero(parts.any(axis=1)), np.empty(0, dtype=np.int64)  # one of length 0 is close to none
    banding = _Banding.of(len(parts), lowest)
    for turn, codes in enumerate(_codes(vectors, len(parts), banding)):
        if turn == 0 and _DEARER * _meetings(codes[shown]) * banding.bands > codes.shape[1] * len(parts) ** 2 / 2:
            yield from _all_with_all(parts, bound)
            return
        for band in codes.T:
            pairs = [_kept(parts, first, second, bound) for first, second in _met(band, shown)]
            fresh = np.setdiff1d(np.concatenate([known[:0], *pairs]), known)
            known = np.union1d(known, fresh)
            for begin in range(0, len(fresh), _LOOKED_AT):
                first, second = np.divmod(fresh[begin : begin + _LOOKED_AT], len(parts))
                yield first, second


def _codes(vectors: Vectors, count: int, banding: _Banding) -> Iterator[Codes]:
    """Yield (vectors, some of the bands) on which sides of a band's directions each vector lies, a bit each."""
    generator = np.random.Generator(np.random.PCG64(_SEED))
    size, bits = len(next(vectors())), np.uint32(1) << np.arange(banding.directions, dtype=np.uint32)
    at_once = max(1, _CODES_AT_ONCE // count)
    for start in range(0, banding.bands, at_once):
        bands = min(at_once, banding.bands - start)
        drawn = generator.standard_normal((size, bands * banding.directions), dtype=np.float32)
        codes, left = np.empty((count, bands), dtype=np.uint32), vectors()
        for row in range(0, count, _ROWS):
            block = np.array(list(islice(left, _ROWS)), dtype=np.float32)
            sides = (block @ drawn > 0).reshape(len(block), bands, banding.directions)
            codes[row : row + len(block)] = sides @ bits
        yield codes


def _meetings(codes: Codes) -> int:
    """Return how many pairs meet, over all bands."""
    counts = (np.unique(band, return_counts=True)[1] for band in codes.T)
    return sum(int((count * (count - 1) // 2).sum()) for count in counts)


def _met(band: Codes, shown: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the pairs of vectors with the same code, some at a time: smaller and larger numbers."""
    order = shown[np.argsort(band[shown], kind="stable")]
    ordered = band[order]
    ends = np.searchsorted(ordered, ordered, side="right")
    places, ahead = np.arange(len(order)), 1
    while len(places := places[places + ahead < ends[places]]):
        for begin in range(0, len(places), _LOOKED_AT):
            some = places[begin : begin + _LOOKED_AT]
            yield order[some], order[some + ahead]
        ahead += 1


def _kept(parts: Parts, first: Numbers, second: Numbers, bound: np.float32) -> NDArray[np.int64]:
    """Return the pairs whose bound is ``bound`` or more, a number each."""
    kept = np.einsum("ij,ij->i", parts[first], parts[second]) >= bound
    numbers: NDArray[np.int64] = first[kept].astype(np.int64) * len(parts) + second[kept]
    return numbers
