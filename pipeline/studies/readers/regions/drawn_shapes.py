"""Shapes on a picture's pixels by their centres: outlines, circles and ellipses, small pictures laid on it.

x runs along a row to the right, y down; the first pixel covers 0 to 1 of each, its centre lies at 0.5. A pixel is
marked when its centre lies inside: for outlines by even-odd, for a circle or an ellipse also on its rim. A shape may
reach over the picture's edge by one pixel; further it was drawn on another picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, isfinite, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused
from pipeline.studies.readers.shared.even_odd import filled

__all__ = ["Bitmap", "Ellipse", "bitmap_marks", "circle", "ellipse", "ellipse_marks", "outline_marks", "points_of"]

_CENTRE = 0.5
_BEYOND = 1.0  # pixels that a shape may reach over the image's edge
_RIM = 1e-9  # share of a radius: rounding decides nothing

Marked = tuple[NDArray[np.bool_], int]
"""Pixels (rows, columns), and how many shapes hold no centre (0 or 1)."""


@dataclass(frozen=True)
class Ellipse:
    """Centre (x, y), half axes, and the angle in radians by which the first is turned from x towards y."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    turn: float = 0.0


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A small picture of what is marked (rows, columns), and where its first pixel lies: row and column."""

    marked: NDArray[np.bool_]
    row: int
    column: int


def circle(centre: tuple[float, float], rim: tuple[float, float]) -> Ellipse:
    """Return the circle through a point of its rim.

    Raises:
        StudyError: as ``ellipse``.
    """
    radius = hypot(rim[0] - centre[0], rim[1] - centre[1])
    return ellipse(centre, (radius, radius))


def ellipse(centre: tuple[float, float], radii: tuple[float, float], turn: float = 0.0) -> Ellipse:
    """Return an ellipse.

    Raises:
        StudyError: NOT_READABLE for numbers that are not finite, or a radius below 0.
    """
    if not all(map(isfinite, (*centre, *radii, turn))) or min(radii) < 0:
        message = f"a circle or an ellipse has the centre {list(centre)} and the radii {list(radii)}"
        raise refused(Reason.NOT_READABLE, f"{message}: that encloses nothing")
    return Ellipse(centre, radii, turn)


def points_of(content: Sequence[Any]) -> NDArray[np.float64]:
    """Return points (n, 2), given as pairs or one after the other.

    Raises:
        StudyError: NOT_READABLE for what is none.
    """
    try:
        points = np.asarray(content, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        points = np.full((1, 1), np.nan)
    if (
        points.ndim not in (1, 2)
        or points.size % 2
        or (points.ndim == 2 and points.shape[1] != 2)
        or not np.isfinite(points).all()
    ):
        raise refused(Reason.NOT_READABLE, f"an outline's {points.size} numbers are no points in a plane")
    return points.reshape(-1, 2)


def outline_marks(content: Sequence[Any], shape: tuple[int, ...]) -> Marked:
    """Return the pixels inside an outline.

    Raises:
        StudyError: NOT_READABLE for what is no outline; OTHER_GRID, excluded, when it leaves the picture.
    """
    points = points_of(content)
    _check_reach(points.min(axis=0, initial=0), points.max(axis=0, initial=0), shape)
    return filled([points[:, ::-1] - _CENTRE], (shape[0], shape[1]))


def ellipse_marks(drawn: Ellipse, shape: tuple[int, ...]) -> Marked:
    """Return the pixels inside an ellipse.

    Raises:
        StudyError: OTHER_GRID, excluded, when it leaves the picture.
    """
    (x, y), (first, second), along, across = drawn.centre, drawn.radii, cos(drawn.turn), sin(drawn.turn)
    reach = np.array([hypot(first * along, second * across), hypot(first * across, second * along)])
    low, high = np.array(drawn.centre) - reach, np.array(drawn.centre) + reach
    _check_reach(low, high, shape)
    marked = np.zeros(shape, dtype=bool)
    left, top = np.clip(np.floor(low), 0, shape[::-1]).astype(int)
    right, bottom = np.clip(np.ceil(high), 0, shape[::-1]).astype(int)
    if min(first, second) > 0:
        right_of = np.arange(left, right)[None, :] + _CENTRE - x
        below = np.arange(top, bottom)[:, None] + _CENTRE - y
        share = ((right_of * along + below * across) / first) ** 2 + ((below * along - right_of * across) / second) ** 2
        marked[top:bottom, left:right] = share <= 1 + _RIM
    return marked, int(not marked.any())


def bitmap_marks(drawn: Bitmap, shape: tuple[int, ...]) -> Marked:
    """Return the pixels that a small picture marks.

    Raises:
        StudyError: OTHER_GRID, excluded, when it leaves the picture.
    """
    rows, columns = drawn.marked.shape
    inside = 0 <= drawn.row <= shape[0] - rows and 0 <= drawn.column <= shape[1] - columns
    if not inside:
        message = f"a mask of {rows} x {columns} pixels from row {drawn.row} and column {drawn.column} on leaves the "
        raise refused(Reason.OTHER_GRID, f"{message}image of {shape[0]} x {shape[1]}", excluded=True)
    marked = np.zeros(shape, dtype=bool)
    marked[drawn.row : drawn.row + rows, drawn.column : drawn.column + columns] = drawn.marked
    return marked, int(not drawn.marked.any())


def _check_reach(low: NDArray[np.float64], high: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if (low < -_BEYOND).any() or (high > np.array(shape[::-1]) + _BEYOND).any():
        message = f"the mask reaches from {low.tolist()} to {high.tolist()}, the image to {list(shape[::-1])} (x, y)"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
