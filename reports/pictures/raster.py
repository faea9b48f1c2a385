"""What lies over an image so that it is told without colour: hatching for evidence against, and for agreement."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.findings.panels import View
from reports.page import draw

__all__ = ["AGAINST", "BOTH", "image_raster", "map_raster", "reduced"]

Region = NDArray[np.bool_]
Crop = tuple[int, int, int, int]

AGAINST, BOTH = "evidence against", "region within outline"
"""What the two hatchings mean, for the legend."""

_SEEN_AGAINST = 0.05  # of the largest value: weaker evidence against is drawn by its colour alone
_PITCH = 9
_DPI = 220.0


def image_raster(view: View, window: tuple[float, float], crop: Crop | None = None) -> Image.Image:
    """Return the image alone, in grey; ``crop`` is (row from, row to, column from, column to)."""
    return draw.fit(draw.grey(_cut(view.image, crop), window), view.pixel_mm).convert("L")


def map_raster(
    view: View,
    window: tuple[float, float],
    method: str,
    limits: draw.Range,
    threshold: float | None,
    crop: Crop | None = None,
) -> Image.Image:
    """Return a map over the image. Evidence against the label is dotted, what lies in region and outline has lines."""
    values, seen = _cut(view.maps[method], crop), _cut(view.seen, crop)
    over = draw.map_over(draw.grey(_cut(view.image, crop), window), values, limits, seen)
    picture = np.asarray(draw.fit(over, view.pixel_mm, ~seen)).copy()
    against = values < -_SEEN_AGAINST * max(abs(limits.low), abs(limits.high))
    both = _region(values, threshold, seen) & _expert(view.masks, crop, values.shape)
    _hatch(picture, _enlarged(against & seen, picture.shape), dots=True)
    _hatch(picture, _enlarged(both, picture.shape), dots=False)
    return Image.fromarray(picture)


def reduced(picture: Image.Image, width_points: float) -> Image.Image:
    """Return a picture with no more pixels than its width on paper (in points) can show."""
    most = max(1, round(width_points / 72 * _DPI))
    if picture.width <= most:
        return picture
    return picture.resize((most, max(1, round(picture.height * most / picture.width))), Image.Resampling.BOX)


def _cut(plane: NDArray[np.generic], crop: Crop | None) -> NDArray:  # type: ignore[type-arg]
    return plane if crop is None else plane[crop[0] : crop[1], crop[2] : crop[3]]


def _region(values: NDArray[np.float32], threshold: float | None, seen: Region) -> Region:
    return np.zeros(values.shape, np.bool_) if threshold is None else (values > threshold) & seen


def _expert(masks: Mapping[str, Region], crop: Crop | None, shape: tuple[int, ...]) -> Region:
    """Return the first reader's mask: the one that the page's other readers are drawn beside."""
    first = next(iter(masks.values()), None)
    return np.zeros(shape, np.bool_) if first is None else _cut(first, crop)


def _enlarged(where: Region, shape: tuple[int, ...]) -> Region:
    picture = Image.fromarray(where.astype(np.uint8) * 255).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(picture) > 127


def _hatch(picture: NDArray[np.uint8], where: Region, *, dots: bool) -> None:
    """Draw dark and light marks over ``where``: both show on any ground."""
    rows, columns = np.indices(where.shape, dtype=np.int32)
    falling = (rows + columns) % _PITCH
    if dots:
        rising = (rows - columns) % _PITCH
        dark, light = (falling < 3) & (rising < 3), (falling < 2) & (rising < 2)
    else:
        dark, light = falling < 3, falling < 1
    picture[where & dark] = 20
    picture[where & light] = 245
