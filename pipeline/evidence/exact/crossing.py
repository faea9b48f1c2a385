"""Where a p-value that rises with its bound crosses a level: approached from a start that is nearly there.

The start is where the third-order normal approximation of the weighted mean crosses it (Cornish and Fisher), from there
on a parabola through the last three points leads on. A dozen steps of a search that knows nothing become three or four.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["approximate_crossing", "zeros_nearby"]

_NEAR = 1e-6
"""Of a step: the next would be far shorter, so the zero is told."""
_CLOSE = 1e-12
_MOST = 60
_SLIGHT = 1e-6

Floats = NDArray[np.float64]


def zeros_nearby(height: Callable[[float], float], start: float, slope: float) -> Iterator[float]:
    """Yield ever closer places of the zero of ``height``, a function of (0, 1) that is below 0 first and above it last.

    None is yielded before two of them in a row are within a millionth, and none behind two within 1e-12. Whoever is
    content asks no further.
    """
    low, high = 0.0, 1.0
    points: list[tuple[float, float]] = []
    place = start if low < start < high else 0.5
    for _ in range(_MOST):
        points = [*points[-2:], (place, height(place))]
        low, high = (place, high) if points[-1][1] <= 0 else (low, place)
        following = _zero_through(points, slope)
        if not low < following < high:
            following = (low + high) / 2
        moved = abs(following - place)
        if moved <= _NEAR:
            yield following
        if moved <= _CLOSE:
            return
        place = following


def _zero_through(points: Sequence[tuple[float, float]], slope: float) -> float:
    """Return where the line of a slope, or the line or the parabola x(y) through points (x, y), has y = 0; or NaN."""
    (x, y), *before = reversed(points)
    if not before:
        return x - y / slope if slope > 0 else math.nan
    (x1, y1), *first = before
    if y == y1:
        return math.nan
    rise = (x - x1) / (y - y1)
    following = x - y * rise
    if first:
        x2, y2 = first[0]
        if y2 not in (y, y1):
            following += y * y1 * (rise - (x1 - x2) / (y1 - y2)) / (y - y2)
    return following


def approximate_crossing(values: Floats, masses: Floats, worst: float, level: float) -> tuple[float, float]:
    """Return about where the p-value of a mean reaches a level, and how fast its quantile rises there.

    Args:
        values: (patients,) scores within 0 and 1.
        masses: (patients,) what each weighs.
        worst: what weighs besides, with score 0.
        level: a quantile of the normal distribution, that of the p-value.
    """

    def quantile(bound: float) -> float:
        terms = masses * (values - bound)
        squares = terms**2
        spread = math.sqrt(float(squares.sum()) + (worst * bound) ** 2) or 1.0
        place = (worst * bound - float(terms.sum())) / spread
        skewness = 2 * (float((squares * terms).sum()) - (worst * bound) ** 3) / spread**3
        return place - skewness * (place**2 - 1) / 6

    total = float(masses.sum()) + worst
    middle = float(masses @ values) / total
    spread = math.sqrt(float((masses**2 * (values - middle) ** 2).sum()) + (worst * middle) ** 2)
    slope = total / spread if spread else 0.0
    start = next(zeros_nearby(lambda bound: quantile(bound) - level, middle, slope), middle)
    return start, (quantile(start + _SLIGHT) - quantile(start - _SLIGHT)) / (2 * _SLIGHT)
