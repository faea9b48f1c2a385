"""What lies over an image so that it is told without colour: hatching for evidence against, and for agreement."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.findings.panels import View
from reports.page import draw

__all__ = ["AGAINST", "BOTH", "image_raster", "map_raster", "reduced"]

Region = NDArray[np.bool_]
Plane = NDArray[np.float32]
Crop = tuple[int, int, int, int]

AGAINST, BOTH = "evidence against", "region within outline"
"""What the two hatchings mean, for the legend."""

_SEEN_AGAINST = 0.05  # of the largest value: weaker evidence against is drawn by its colour alone
_PITCH = 9
_LARGEST = 900
"""Pixels along the longer side of a plane before colours are laid over it: a page shows no more of them."""

_DPI = 220.0


def image_raster(view: View, window: tuple[float, float], crop: Crop | None = None) -> Image.Image:
    """Return the image alone, in grey; ``crop`` is (row from, row to, column from, column to)."""
    image, pixel_mm = _thinned(_cut(view.image, crop), view.pixel_mm)
    return draw.fit(draw.grey(image, window), pixel_mm).convert("L")


def map_raster(
    view: View,
    window: tuple[float, float],
    method: str,
    limits: draw.Range,
    threshold: float | None,
    crop: Crop | None = None,
) -> Image.Image:
    """Return a map over the image. Evidence against the label is dotted, what lies in region and outline has lines."""
    image, pixel_mm = _thinned(_cut(view.image, crop), view.pixel_mm)
    values, _ = _thinned(_cut(view.maps[method], crop), view.pixel_mm)
    seen = _thinned(_cut(view.seen, crop).astype(np.float32), view.pixel_mm)[0] > 0.5
    expert = _thinned(_expert(view.masks, crop, view.image.shape), view.pixel_mm)[0] > 0.5
    over = draw.map_over(draw.grey(image, window), values, limits, seen)
    picture = np.asarray(draw.fit(over, pixel_mm, ~seen)).copy()
    against = values < -_SEEN_AGAINST * max(abs(limits.low), abs(limits.high))
    _hatch(picture, _enlarged(against & seen, picture.shape), dots=True)
    _hatch(picture, _enlarged(_region(values, threshold, seen) & expert, picture.shape), dots=False)
    return Image.fromarray(picture)


def _thinned(
    plane: NDArray[np.float32], pixel_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return a plane averaged down to what a page can show, with the size of its pixels; a small one as it is."""
    tall, wide = plane.shape
    if max(tall, wide) <= _LARGEST:
        return plane, pixel_mm
    by = _LARGEST / max(tall, wide)
    rows, columns = max(1, round(tall * by)), max(1, round(wide * by))
    fewer = np.asarray(Image.fromarray(plane).resize((columns, rows), Image.Resampling.BOX))
    return fewer, (pixel_mm[0] * tall / rows, pixel_mm[1] * wide / columns)


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


def _expert(masks: Mapping[str, Region], crop: Crop | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the first reader's mask, 0 or 1: the one that the page's other readers are drawn beside."""
    first = next(iter(masks.values()), None)
    whole = np.zeros(shape, np.float32) if first is None else first.astype(np.float32)
    return np.asarray(_cut(whole, crop))


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
