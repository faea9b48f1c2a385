"""What lies over an image so that it is told without colour: hatching for evidence against, and for agreement."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.findings.pictures.panels import View
from reports.page import draw

__all__ = ["AGAINST", "BOTH", "PagePlane", "image_raster", "map_raster", "pixels_for"]

Region = NDArray[np.bool_]
Plane = NDArray[np.float32]
Crop = tuple[int, int, int, int]

AGAINST, BOTH = "evidence against", "region within outline"
"""What the two hatchings mean, for the legend."""

_SEEN_AGAINST = 0.05  # of the largest value: weaker evidence against is drawn by its colour alone
_PITCH = 9
_DPI = 220.0


def pixels_for(longest_points: float) -> int:
    """Return how many pixels the longer side of a picture shows that takes so many points of paper."""
    return max(1, min(draw.LONGEST, round(longest_points / 72 * _DPI)))


@dataclass(frozen=True, eq=False)
class PagePlane:
    """A view, or its ``crop`` (row from, row to, column from, column to), with no more pixels than its place shows.

    ``longest`` is how many pixels the physically longer side has at most: averaged down before anything is coloured.
    Made once for all the panels that show it: image, what the model saw, and the first expert's mask.
    """

    view: View
    crop: Crop | None = None
    longest: int = draw.LONGEST

    @cached_property
    def image(self) -> Plane:
        """The image."""
        return self.thinned(self.view.image)

    @cached_property
    def seen(self) -> Region:
        """What the model saw."""
        return self._region(self.view.seen)

    @cached_property
    def expert(self) -> Region:
        """The first reader's mask: the one that the page's other readers are drawn beside."""
        first = next(iter(self.view.masks.values()), None)
        return np.zeros(self.image.shape, np.bool_) if first is None else self._region(first)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Height and width of a pixel."""
        rows, columns = self.view.image.shape if self.crop is None else _size(self.crop)
        tall, wide = self.view.pixel_mm
        return tall * rows / self.image.shape[0], wide * columns / self.image.shape[1]

    def thinned(self, plane: Plane) -> Plane:
        """Return what is shown of a plane of the view, averaged down where it has more pixels; a small one as it is."""
        shown = plane if self.crop is None else plane[self.crop[0] : self.crop[1], self.crop[2] : self.crop[3]]
        wanted = draw.wanted_size(shown.shape, self.view.pixel_mm, self.longest)
        rows, columns = (min(size, max(1, round(goal))) for size, goal in zip(shown.shape, wanted, strict=True))
        if (rows, columns) == shown.shape:
            return shown
        # a box as filter leaves out some rows where the ratio is no whole number
        return np.asarray(Image.fromarray(shown).resize((columns, rows), Image.Resampling.HAMMING))

    def _region(self, region: Region) -> Region:
        if region.all() or not region.any():
            return np.full(self.image.shape, region.flat[0])
        return self.thinned(region.astype(np.float32)) > 0.5


def image_raster(plane: PagePlane, window: tuple[float, float]) -> Image.Image:
    """Return the image alone, in grey."""
    return draw.fit(draw.grey(plane.image, window), plane.pixel_mm, longest=plane.longest).convert("L")


def map_raster(
    plane: PagePlane, window: tuple[float, float], method: str, limits: draw.Range, threshold: float | None
) -> Image.Image:
    """Return a map over the image. Evidence against the label is dotted, what lies in region and outline has lines."""
    values, seen = plane.thinned(plane.view.maps[method]), plane.seen
    over = draw.map_over(draw.grey(plane.image, window), values, limits, seen)
    picture = np.asarray(draw.fit(over, plane.pixel_mm, ~seen, plane.longest)).copy()
    against = values < -_SEEN_AGAINST * max(abs(limits.low), abs(limits.high))
    _hatch(picture, _enlarged(against & seen, picture.shape), dots=True)
    _hatch(picture, _enlarged(_region(values, threshold, seen) & plane.expert, picture.shape), dots=False)
    return Image.fromarray(picture)


def _size(crop: Crop) -> tuple[int, int]:
    return crop[1] - crop[0], crop[3] - crop[2]


def _region(values: NDArray[np.float32], threshold: float | None, seen: Region) -> Region:
    return np.zeros(values.shape, np.bool_) if threshold is None else (values > threshold) & seen


def _enlarged(where: Region, shape: tuple[int, ...]) -> Region:
    picture = Image.fromarray(where.astype(np.uint8) * 255).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(picture) > 127


def _hatch(picture: NDArray[np.uint8], where: Region, *, dots: bool) -> None:
    """Draw dark and light marks over ``where``: both show on any ground."""
    if not where.any():
        return
    rows, columns = np.ogrid[: where.shape[0], : where.shape[1]]
    falling = (rows + columns) % _PITCH
    if dots:
        rising = (rows - columns) % _PITCH
        dark, light = (falling < 3) & (rising < 3), (falling < 2) & (rising < 2)
    else:
        dark, light = falling < 3, falling < 1
    picture[where & dark] = 20
    picture[where & light] = 245
