"""Planes of many pixels, averaged down: everything stays where it lies, and nothing that was marked is lost."""

import numpy as np
import pytest

from pipeline.conclusions.shown_cases.page_pixels import PAGE_PIXELS, with_page_pixels
from pipeline.findings.pictures.panels import View

SHAPES = [(2048, 2048), (901, 300), (1000, 3000), (1250, 902)]


def view(shape, pixel, zoom):
    """Return a picture that is 1 at a pixel, which is the map's peak and all that the expert marked."""
    image = np.zeros(shape, np.float32)
    image[pixel] = 1
    return View(image, (0.2, 0.1), ("R", "L", "A", "P"), "projection", {"a": image > 0}, {"cam": image},
                np.ones(shape, bool), peaks={"cam": pixel}, zoom=zoom)  # fmt: skip


def test_a_plane_that_a_page_shows_whole_stays_as_it_is():
    small = view((PAGE_PIXELS, 40), (3, 4), (0, 20, 0, 20))
    assert with_page_pixels(small) is small


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", [(0, 0), (-1, -1), (0.3, 0.8)])
def test_a_pixel_lies_where_it_lay(shape, where):
    pixel = tuple(int(at * size) if at >= 0 else size - 1 for at, size in zip(where, shape, strict=True))
    top, left = (max(0, min(at - 20, size - 40)) for at, size in zip(pixel, shape, strict=True))
    kept = with_page_pixels(view(shape, pixel, (top, top + 40, left, left + 40)))
    assert max(kept.image.shape) == PAGE_PIXELS
    steps = np.divide(kept.image.shape, shape)
    expected = np.floor((np.array(pixel) + 0.5) * steps)
    np.testing.assert_array_equal(kept.peaks["cam"], expected)
    assert kept.masks["a"][kept.peaks["cam"]], "a lesion of one pixel is still outlined"
    assert kept.masks["a"].sum() == 1
    row, column = kept.peaks["cam"]
    assert kept.image[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].any()
    np.testing.assert_allclose(np.multiply(kept.image.shape, kept.pixel_mm), np.multiply(shape, (0.2, 0.1)))
    first, last = np.array(kept.zoom[::2]) / steps, np.array(kept.zoom[1::2]) / steps
    assert np.all(first <= (top, left))
    assert np.all(last >= (top + 40, left + 40))
    assert np.all(np.array(kept.zoom[1::2]) <= kept.image.shape)


@pytest.mark.parametrize("size", [901, 1111, 1250, 2048])
def test_no_pixel_that_was_marked_is_lost(size):
    diagonal = view((size, size), (0, 0), None)
    diagonal.masks["a"][np.diag_indices(size)] = True
    kept = with_page_pixels(diagonal).masks["a"]
    assert kept[np.diag_indices(PAGE_PIXELS)].all()
    assert kept.sum() == PAGE_PIXELS
    for row in range(size):
        lines = view((size, 4), (row, 2), None)
        assert with_page_pixels(lines).image.any(), "nor one of the image"


def test_what_is_shown_close_keeps_every_pixel():
    kept = with_page_pixels(view((1500, 2048), (700, 900), (690, 730, 880, 920)))
    assert kept.close.image.shape == (40, 40)
    assert np.argwhere(kept.close.image).tolist() == [[10, 20]]
    assert np.argwhere(kept.close.masks["a"]).tolist() == [[10, 20]]
    assert kept.close.pixel_mm == (0.2, 0.1)
    assert not kept.close.maps
    assert with_page_pixels(view((1500, 2048), (700, 900), None)).close is None


def test_a_close_part_that_is_large_itself_is_averaged_too():
    kept = with_page_pixels(view((3000, 3000), (700, 900), (0, 1800, 0, 1800)))
    assert max(kept.close.image.shape) == PAGE_PIXELS
    assert kept.close.close is None
