"""Planes with more pixels than a page can show, averaged down once, so that every report of the run is spared them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.findings.pictures.panels import Plane, View

__all__ = ["PAGE_PIXELS", "with_page_pixels"]

PAGE_PIXELS = 900
"""Pixels along a plane's longer side: on a page they are a tenth of a millimetre each."""

Region = NDArray[np.bool_]
Shape = tuple[int, int]


def with_page_pixels(view: View) -> View:
    """Return a view whose plane has at most ``PAGE_PIXELS`` along a side; a smaller one as it is.

    Values are averaged. What an expert marked stays marked, were it a single pixel. The part that is shown close keeps
    every pixel, in ``close``.
    """
    rows, columns = view.image.shape
    by = PAGE_PIXELS / max(rows, columns)
    if by >= 1:
        return view
    shape = (max(1, round(rows * by)), max(1, round(columns * by)))
    tall, wide = view.pixel_mm
    steps = np.array([shape[0] / rows, shape[1] / columns])
    return replace(
        view,
        image=_averaged(view.image, shape),
        seen=_averaged(view.seen.astype(np.float32), shape) > 0.5,
        masks={reader: _marked(mask, shape) for reader, mask in view.masks.items()},
        maps={name: _averaged(plane, shape) for name, plane in view.maps.items()},
        pixel_mm=(tall * rows / shape[0], wide * columns / shape[1]),
        peaks={
            name: (int(_moved(row, rows, shape[0])), int(_moved(column, columns, shape[1])))
            for name, (row, column) in view.peaks.items()
        },
        zoom=None if view.zoom is None else _around(view.zoom, steps, shape),
        close=_close(view),
    )


def _averaged(plane: Plane, shape: Shape) -> Plane:
    """Return a plane averaged down; a box as filter would leave out some rows where the ratio is no whole number."""
    return np.asarray(Image.fromarray(plane).resize((shape[1], shape[0]), Image.Resampling.HAMMING))


def _marked(mask: Region, shape: Shape) -> Region:
    """Return where any pixel is marked: averaging would lose some of them."""
    for axis, size in enumerate(shape):
        places = _moved(np.arange(mask.shape[axis]), mask.shape[axis], size)
        mask = np.logical_or.reduceat(mask, np.searchsorted(places, np.arange(size)), axis=axis)
    return mask


def _moved(place: Any, before: int, after: int) -> Any:  # noqa: ANN401  # a number, or an array of them
    """Return the pixel of ``after`` along an axis in which the middle of a pixel of ``before`` lies."""
    return (2 * place + 1) * after // (2 * before)


def _around(zoom: tuple[int, int, int, int], steps: NDArray[np.float64], shape: Shape) -> tuple[int, int, int, int]:
    first, last = np.floor(np.array(zoom[::2]) * steps), np.ceil(np.array(zoom[1::2]) * steps)
    (top, left), (bottom, right) = first.astype(int), np.minimum(last, shape).astype(int)
    return int(top), int(bottom), int(left), int(right)


def _close(view: View) -> View | None:
    """Return the zoom's part of the image and the experts' masks, every pixel; without maps, which it does not show."""
    if view.zoom is None:
        return None
    top, bottom, left, right = view.zoom
    part = (slice(top, bottom), slice(left, right))
    close = replace(
        view,
        image=view.image[part],
        seen=view.seen[part],
        masks={reader: mask[part] for reader, mask in view.masks.items()},
        maps={},
        peaks={},
        zoom=None,
    )
    return close if max(close.image.shape) <= PAGE_PIXELS else with_page_pixels(close)
