"""Arrays to pictures: the only place with colour maps, display windows and outlines.

A picture is an RGB raster of a plane's pixels, row 0 at the top and column 0 at the left, never flipped.
``fit`` scales it for the page without moving a pixel's edge; outlines are polygons along those edges, drawn
as lines by ``reports.panels``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "ALPHA",
    "CATEGORIES",
    "READERS",
    "Range",
    "colours_of",
    "fit",
    "grey",
    "map_over",
    "outline",
    "overlap",
    "overlap_over",
    "scale_bar_mm",
    "wanted_size",
]

Plane = NDArray[np.float32]
Region = NDArray[np.bool_]
Raster = NDArray[np.uint8]

ALPHA = 0.6
LONGEST = 620
_HATCH = 7
_COLOURS = {
    signed: colormaps[name](np.arange(256), bytes=True)[:, :3]
    for signed, name in ((True, "RdBu_r"), (False, "inferno"))
}

# colours that differ in lightness as well as in hue, so they stay apart for colour-blind readers and in grey
CATEGORIES: Mapping[int, tuple[str, tuple[int, int, int]]] = {
    1: ("map only", (213, 94, 0)),
    2: ("expert only", (86, 180, 233)),
    3: ("both", (247, 235, 90)),
}

# each expert's outline: colour, and dashes (on, off, ...) in points, so that the line tells them apart in
# grey
READERS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("#00e5ff", ()),
    ("#ff7ad9", (3.2, 1.6)),
    ("#b8ff4d", (1.1, 1.3)),
    ("#ffb000", (4.5, 1.3, 1.1, 1.3)),
)


@dataclass(frozen=True)
class Range:
    """The raw values (low, high) that a colour bar spans.

    A range that reaches below 0 is drawn with a diverging map whose middle is 0; any other with a sequential
    one.
    """

    low: float
    high: float

    @property
    def signed(self) -> bool:
        """Whether the map holds evidence against the target too."""
        return self.low < 0

    @property
    def constant(self) -> bool:
        """Whether every value is the same."""
        return self.low == self.high


def grey(image: Plane, window: tuple[float, float]) -> Raster:
    """Return an image (H, W) as RGB (H, W, 3), black at the window's low end and white at its high end."""
    low, high = window
    shown = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return np.repeat(np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def colours_of(values: NDArray[np.floating], limits: Range) -> Raster:
    """Return the colour (..., 3) of raw map values (...): the colour bar's and the map's."""
    if limits.signed:
        place = 0.5 + values / (2 * max(abs(limits.low), abs(limits.high)))
    else:
        place = (values - limits.low) / (limits.high - limits.low) if not limits.constant else np.zeros_like(values)
    return np.asarray(_COLOURS[limits.signed][np.clip(place * 256, 0, 255).astype(np.uint8)])


def map_over(image: Raster, values: Plane, limits: Range, seen: Region) -> Raster:
    """Return the map's colours over the image (H, W, 3); unseen pixels keep the image alone."""
    return _blend(image, colours_of(values, limits), seen)


def overlap(values: Plane, threshold: float | None, mask: Region | None, seen: Region) -> Raster:
    """Return categories (H, W): 0 neither, 1 the map's region only, 2 the expert's mask only, 3 both.

    The region is where the raw map is above ``threshold`` and the model saw the pixel; None: there is no
    region.
    """
    region = np.zeros(values.shape, bool) if threshold is None else (values > threshold) & seen
    expert = np.zeros(values.shape, bool) if mask is None else mask
    return region.astype(np.uint8) + 2 * expert.astype(np.uint8)


def overlap_over(image: Raster, categories: Raster) -> Raster:
    """Return the categories' colours over the image (H, W, 3); pixels in neither keep the image alone."""
    table = np.zeros((4, 3), np.uint8)
    for category, (_, colour) in CATEGORIES.items():
        table[category] = colour
    return _blend(image, table[categories], categories > 0)


def _blend(image: Raster, colour: Raster, where: Region) -> Raster:
    over = round(ALPHA * 255)
    # whole numbers: several times faster than floats, and rounded the same
    mixed = image * np.uint16(255 - over) + colour * np.uint16(over) + np.uint16(127)
    result = image.copy()
    np.copyto(result, mixed // 255, where=where[..., None], casting="unsafe")
    return result


def fit(
    picture: Raster, pixel_mm: tuple[float, float], unseen: Region | None = None, longest: int = LONGEST
) -> Image.Image:
    """Return a picture (H, W, 3) for the page, about ``longest`` pixels along its physically longer side.

    Along each side it is enlarged by a whole number, so a pixel stays a crisp block, or averaged down. Both
    keep every edge where it was: the result spans the same rectangle, H x ``pixel_mm[0]`` by W x
    ``pixel_mm[1]``. ``unseen`` pixels (H, W) are greyed and hatched.
    """
    wanted = wanted_size(picture.shape[:2], pixel_mm, longest)
    height, width = (_steps(size, goal) for size, goal in zip(picture.shape[:2], wanted, strict=True))
    # by whole numbers upwards, the box filter repeats pixels exactly
    large = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    if unseen is None or not unseen.any():
        return large
    share = Image.fromarray(unseen.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    return Image.fromarray(_hatched(np.asarray(large), np.asarray(share) > 127))


def wanted_size(shape: Sequence[int], pixel_mm: tuple[float, float], longest: int) -> list[float]:
    """Return the rows and columns of a raster with square pixels, ``longest`` along the physically longer side."""
    extent = [size * length for size, length in zip(shape, pixel_mm, strict=True)]
    return [longest * side / max(extent) for side in extent]


def _steps(size: int, wanted: float) -> int:
    """Return the raster's length for ``size`` pixels: a whole multiple, or fewer when there are too many."""
    return size * int(wanted // size) if wanted >= size else max(1, round(wanted))


def _hatched(picture: Raster, where: Region) -> Raster:
    """Return the picture greyed and crossed by diagonal lines where the model did not see it."""
    line = np.add.outer(np.arange(where.shape[0]), np.arange(where.shape[1])) % (2 * _HATCH) < 2
    hatched = picture.copy()
    hatched[where] = 0.55 * picture[where] + 0.45 * 128
    hatched[where & line] = 225
    return hatched


def outline(mask: Region) -> list[list[tuple[int, int]]]:
    """Return closed polygons of (row, column) corners, along pixel edges, that enclose exactly the mask.

    Outer edges run clockwise as seen on the page and holes the other way round. Pixels that touch at a corner
    only belong to different polygons.
    """
    corners, across, along = _corners(mask)
    (rows, columns), beside, below = corners.T.tolist(), across.tolist(), along.tolist()
    left, polygons = bytearray(b"\1" * len(rows)), []
    for start in range(len(rows)):  # sorted by row and column: a polygon begins with its uppermost corner
        if not left[start]:
            continue
        # below and right of that corner lies the mask, where it is an outer one
        first, second = (beside, below) if mask[rows[start], columns[start]] else (below, beside)
        polygon, at = [], start
        while left[at]:
            then = first[at]
            left[at] = left[then] = 0
            polygon += [(rows[at], columns[at]), (rows[then], columns[then])]
            at = second[then]
        polygons.append(polygon)
    return polygons


Lattice = NDArray[np.intp]


def _corners(mask: Region) -> tuple[Lattice, Lattice, Lattice]:
    """Return the corners (N, 2) of a mask's outline in rising order, and the next of each across and along the plane.

    At each corner one edge goes left or right and one up or down. Where two pixels touch there are two of them.
    """
    padded = np.pad(mask, 1)
    above_left, above_right, below_left, below_right = (
        padded[rows, columns] for rows in (slice(-1), slice(1, None)) for columns in (slice(-1), slice(1, None))
    )
    parts = []
    for pixel, beside, over, opposite, sides in (  # the pixel that a corner belongs to, or that is missing there
        (above_left, above_right, below_left, below_right, (0, 0)),
        (above_right, above_left, below_right, below_left, (1, 0)),
        (below_left, below_right, above_left, above_right, (0, 1)),
        (below_right, below_left, above_right, above_left, (1, 1)),
    ):
        outer = pixel & ~beside & ~over
        inner = ~pixel & beside & over & opposite
        places = np.argwhere(outer | inner)
        parts.append(np.column_stack([places, np.tile(sides, (len(places), 1))]))
    corners = np.concatenate(parts)
    corners = corners[np.lexsort(corners.T[::-1])]
    row, column, right, down = corners.T
    return corners[:, :2], _partners(np.lexsort((right, column, row))), _partners(np.lexsort((down, row, column)))


def _partners(order: Lattice) -> Lattice:
    """Return each corner's neighbour at the other end of its edge; in this ``order`` the two follow each other."""
    partners = np.empty_like(order)
    partners[order[::2]], partners[order[1::2]] = order[1::2], order[::2]
    return partners


def scale_bar_mm(width_mm: float) -> float:
    """Return the longest of 1, 2, 5, 10, 20, 50 ... mm that is at most a third of the picture's width."""
    steps = [base * 10.0**power for power in range(-3, 5) for base in (1, 2, 5)]
    return max((step for step in steps if step <= width_mm / 3), default=steps[0])
