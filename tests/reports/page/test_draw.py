"""Pictures: every pixel where it was, every colour what it says."""

import numpy as np
import pytest
from matplotlib import colormaps

from reports.page import draw
from reports.page.draw import CATEGORIES, Range, colours_of, fit, grey, map_over, outline, overlap, overlap_over

SHAPES = [((7, 11), (1.0, 1.0)), ((40, 100), (6.5, 0.78)), ((900, 1300), (0.2, 0.2)), ((30, 900), (5.0, 0.3))]


def marked(shape, row, column):
    image = np.zeros(shape, np.float32)
    image[row, column] = 1
    return image


@pytest.mark.parametrize(("shape", "pixel_mm"), SHAPES)
@pytest.mark.parametrize("where", [(0, 0), (2, 5), (-1, 0), (0, -1)])
def test_a_marked_block_stays_where_it_was(shape, pixel_mm, where):
    size = (max(1, shape[0] // 7), max(1, shape[1] // 11))
    rows = np.arange(shape[0])[size[0] * where[0] : size[0] * (where[0] + 1) or None]
    columns = np.arange(shape[1])[size[1] * where[1] : size[1] * (where[1] + 1) or None]
    image = np.zeros(shape, np.float32)
    image[np.ix_(rows, columns)] = 1
    drawn = np.asarray(fit(grey(image, (0, 1)), pixel_mm))[..., 0] > 127
    at = np.argwhere(drawn)
    scale = np.divide(drawn.shape, shape)
    np.testing.assert_allclose(at.min(0), np.array([rows[0], columns[0]]) * scale, atol=1.01)
    np.testing.assert_allclose(at.max(0) + 1, np.array([rows[-1] + 1, columns[-1] + 1]) * scale, atol=1.01)


def test_small_images_are_enlarged_by_whole_blocks():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    picture = grey(image, (0, 11))
    drawn = np.asarray(fit(picture, (2.0, 1.0)))
    down, right = drawn.shape[0] // 3, drawn.shape[1] // 4
    assert (down * 3, right * 4) == drawn.shape[:2]
    np.testing.assert_array_equal(drawn, picture.repeat(down, 0).repeat(right, 1))


@pytest.mark.parametrize(("shape", "pixel_mm"), SHAPES)
def test_no_raster_is_larger_than_a_page_needs(shape, pixel_mm):
    assert max(fit(grey(np.zeros(shape, np.float32), (0, 1)), pixel_mm).size) <= draw.LONGEST


def test_the_window_clips_and_a_closed_one_is_black():
    image = np.array([[-2000.0, -1000.0, -300.0, 400.0, 900.0]], np.float32)
    np.testing.assert_array_equal(grey(image, (-1000, 400))[0, :, 0], [0, 0, 128, 255, 255])
    assert not grey(image, (5.0, 5.0)).any()


def test_the_ends_of_a_range_have_the_ends_of_the_colours():
    ends = colours_of(np.array([0.5, 3.0]), Range(0.5, 3.0))
    np.testing.assert_array_equal(ends, colormaps["inferno"]([0.0, 1.0], bytes=True)[:, :3])


def test_a_signed_range_is_neutral_at_zero_and_red_for_evidence():
    against, none, evidence = colours_of(np.array([-1.0, 0.0, 4.0]), Range(-1.0, 4.0)).astype(int)
    np.testing.assert_array_equal(none, np.array(colormaps["RdBu_r"](0.5, bytes=True)[:3]))
    assert evidence[0] > evidence[2]
    assert against[2] > against[0]
    # the scale is the same on both sides, so a weak value against is pale
    assert np.abs(against - none).sum() < np.abs(evidence - none).sum()


def test_a_constant_range_has_one_colour():
    assert len(np.unique(colours_of(np.full((3, 3), 2.0), Range(2.0, 2.0)).reshape(-1, 3), axis=0)) == 1


def test_a_map_colours_seen_pixels_only():
    image = grey(np.full((4, 4), 0.5, np.float32), (0, 1))
    seen = np.ones((4, 4), bool)
    seen[:, 0] = False
    over = map_over(image, np.ones((4, 4), np.float32), Range(0, 1), seen)
    np.testing.assert_array_equal(over[:, 0], image[:, 0])
    expected = np.rint(0.4 * image[0, 1] + 0.6 * colours_of(np.array(1.0), Range(0, 1)))
    np.testing.assert_array_equal(over[2, 3], expected)


def test_categories_are_the_sets():
    make = np.random.default_rng(0)
    values, mask, seen = make.normal(size=(20, 30)), make.random((20, 30)) < 0.3, make.random((20, 30)) < 0.9
    categories = overlap(values.astype(np.float32), 0.25, mask, seen)
    region = (values > 0.25) & seen
    assert (categories == 1).sum() == (region & ~mask).sum()
    assert (categories == 2).sum() == (mask & ~region).sum()
    assert (categories == 3).sum() == (region & mask).sum()
    assert (categories == 0).sum() == (~region & ~mask).sum()


def test_category_names_fit_their_numbers():
    values = np.array([[1.0, 0.0, 1.0, 0.0]], np.float32)
    mask = np.array([[False, True, True, False]])
    categories = overlap(values, 0.5, mask, np.ones((1, 4), bool))
    assert [CATEGORIES[number][0] for number in categories[0, :3]] == ["map only", "expert only", "both"]
    black = np.zeros((1, 4, 3), np.uint8)
    shown = overlap_over(black, categories)
    for column in range(3):
        colour = np.array(CATEGORIES[categories[0, column]][1])
        np.testing.assert_array_equal(shown[0, column], np.rint(draw.ALPHA * colour))
    assert not shown[0, 3].any()


def test_no_region_and_no_mask():
    values, seen = np.ones((2, 2), np.float32), np.ones((2, 2), bool)
    assert not overlap(values, None, None, seen).any()
    assert (overlap(values, 0.5, None, seen) == 1).all()
    assert (overlap(values, None, seen, seen) == 2).all()


def test_a_threshold_is_not_part_of_the_region():
    values = np.array([[0.5, 0.6]], np.float32)
    assert overlap(values, 0.5, None, np.ones((1, 2), bool)).tolist() == [[0, 1]]


def filled(polygons, shape):
    """Return the pixels whose centres the polygons enclose, by counting edges to the left of each."""
    inside = np.zeros(shape, int)
    for polygon in polygons:
        for (row, column), (end_row, end_column) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            assert (row == end_row) != (column == end_column)
            if column == end_column:
                inside[min(row, end_row) : max(row, end_row), column:] += 1 if row > end_row else -1
    return inside


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_outlines_enclose_exactly_the_mask(share):
    for seed in range(8):
        mask = np.random.default_rng(seed).random((9, 13)) < share
        np.testing.assert_array_equal(filled(outline(mask), mask.shape), mask.astype(int))


def test_outlines_of_a_pixel_a_ring_and_two_that_touch():
    touching = outline(np.eye(2, dtype=bool))
    assert touching == [[(0, 0), (0, 1), (1, 1), (1, 0)], [(1, 1), (1, 2), (2, 2), (2, 1)]]
    assert outline(np.eye(1, dtype=bool)) == [[(0, 0), (0, 1), (1, 1), (1, 0)]]
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert [len(polygon) for polygon in outline(ring)] == [4, 4]
    assert [len(polygon) for polygon in outline(np.eye(2, dtype=bool))] == [4, 4]


def test_unseen_pixels_are_hatched_and_no_others_change():
    picture = grey(np.full((10, 10), 0.5, np.float32), (0, 1))
    unseen = np.zeros((10, 10), bool)
    unseen[2:4, 5:9] = True
    plain, hatched = (np.asarray(fit(picture, (1, 1), hidden)) for hidden in (None, unseen))
    step = plain.shape[0] // 10
    where = unseen.repeat(step, 0).repeat(step, 1)
    np.testing.assert_array_equal(plain[~where], hatched[~where])
    assert len(np.unique(hatched[where])) == 2


@pytest.mark.parametrize(("width", "bar"), [(100.0, 20), (90.0, 20), (350.0, 100), (3.1, 1), (0.02, 0.005)])
def test_the_scale_bar_is_a_round_length_of_at_most_a_third(width, bar):
    assert draw.scale_bar_mm(width) == pytest.approx(bar)
