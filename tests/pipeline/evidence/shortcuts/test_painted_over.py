"""Regions painted over and moved, and the lengths that they are measured in: small pictures, by hand."""

import numpy as np
import pytest

from pipeline.evidence.shortcuts.filling import fill, move
from pipeline.evidence.shortcuts.study import BatteryStudy, Ruler

PLAIN = Ruler((1.0, 1.0))


def rng():
    return np.random.Generator(np.random.PCG64(0))


def marked(shape, *places):
    region = np.zeros(shape, bool)
    for place in places:
        region[place] = True
    return region


# Lengths.


@pytest.mark.parametrize(
    ("shape", "spacing", "steps"),
    [
        ((1, 64, 64), (0.1, 1.0, 1.0), (10.0, 1.0, 1.0)),  # an axis of one voxel gives no length
        ((256, 64), None, (2.0, 2.0)),  # the geometric mean of 256 and 64 is 128
        ((32, 32), (1.0, 4.0), (1.0, 0.25)),  # that of 32 and 128 is 64: a unit is the finest voxel, and no coarser
        ((1, 1), (3.0, 3.0), (1 / 3, 1 / 3)),
    ],
)
def test_a_unit_by_hand(shape, spacing, steps):
    assert Ruler.of(shape, spacing).steps == pytest.approx(steps)


def test_lengths_in_voxels_are_rounded_and_at_least_one():
    ruler = Ruler((2.0, 0.5))
    assert ruler.voxels(1.3) == (3, 1)
    assert ruler.voxels(0.1) == (1, 1)
    assert ruler.sigmas(1.3) == (2.6, 0.65)
    assert ruler.count(3) == 6, "along the axis with the most voxels"


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(ValueError, match="mask 'lesion' must be bool"):
        BatteryStudy(np.zeros((1, 4, 4), np.float32), np.zeros((4, 4), np.uint8), True, "p")


# Painting over.


def test_the_nearest_tissue_is_the_nearest_in_mm():
    """Rows lie 5 mm apart, columns 1: two columns to the left is nearer than the next row."""
    x = np.ones((1, 40, 40), np.float32)
    x[0, 21, 20] = 9
    hole = marked((40, 40), (20, 20))
    tissue = marked((40, 40), (21, 20), (20, slice(0, 19)))
    filled = fill(x, hole, tissue, Ruler.of((40, 40), (5.0, 1.0)), rng())
    assert filled[0, 20, 20] == pytest.approx(1, abs=0.5)


def test_what_two_sides_give_is_smoothed_once_more():
    """0 to the left and 10 to the right of four columns: 0, 0, 10, 10, and smoothed by a voxel 0.6, 3.0, 7.0, 9.4."""
    x = np.zeros((1, 24, 24), np.float32)
    x[:, :, 14:] = 10
    hole = marked((24, 24), (slice(None), slice(10, 14)))
    x[0, hole] = 77
    filled = fill(x, hole, ~hole, PLAIN, rng())
    np.testing.assert_allclose(filled[0, 12, 10:14], [0.585, 3.005, 6.995, 9.415], atol=0.01)


def test_only_the_tissue_gives_its_value():
    """Beside the tissue lies what is no tissue, as bright: the sum is over the tissue, as its weight is."""
    x = np.ones((1, 24, 24), np.float32)
    hole = marked((24, 24), (slice(None), slice(10, 13)))
    tissue = marked((24, 24), (slice(None), slice(0, 6)))
    np.testing.assert_allclose(fill(x, hole, tissue, PLAIN, rng()), x, atol=1e-5)


def test_without_tissue_the_picture_beside_the_hole_is_taken():
    x = np.ones((1, 20, 20), np.float32)
    hole = marked((20, 20), (slice(8, 12), slice(8, 12)))
    x[0, hole] = 50
    np.testing.assert_allclose(fill(x, hole, ~hole & False, PLAIN, rng())[0][hole], 1, atol=0.01)
    assert np.isfinite(fill(x, hole | True, hole, PLAIN, rng())).all()


def test_neither_what_was_in_the_hole_nor_single_strong_voxels_come_back_as_noise():
    x = np.random.default_rng(2).normal(0, 1, (1, 64, 64)).astype(np.float32)
    hole = marked((64, 64), (slice(20, 44), slice(20, 44)))
    x[0, hole] = 50
    x[0, 13, 14:50:9] = x[0, 50, 14:50:9] = 60
    filled = fill(x, hole, ~hole, PLAIN, rng())
    np.testing.assert_array_equal(filled[0][~hole], x[0][~hole])
    inside = filled[0][hole]
    assert 0.7 < inside.std() < 1.25
    assert np.abs(inside).max() < 6


# Moving.


def test_the_24_largest_pieces_are_moved_and_the_rest_stays_in_neither():
    region = np.zeros((40, 40), bool)
    places = [(4 * (number // 5), 4 * (number % 5)) for number in range(25)]
    for row, column in places:
        region[row, column : column + 2] = True
    region[places[7][0], places[7][1] + 1] = False  # the only piece of one voxel
    moved = move(region, np.ones((40, 40), bool), np.zeros((40, 40), np.float32), rng())
    assert not moved.where[places[7]]
    assert moved.where.sum() == moved.moved.sum() == 48


def test_of_darker_and_brighter_places_the_most_alike_is_taken():
    image = np.repeat([0.0, 0.5, 1.0], 16)[None].repeat(12, axis=0).astype(np.float32)
    region = marked((12, 48), (slice(4, 8), slice(22, 26)))
    moved = move(region, np.ones((12, 48), bool), image, rng())
    np.testing.assert_array_equal(image[moved.moved], 0.5)


def test_two_pieces_never_share_a_place():
    """Both would rather lie at the place that is as bright as they are."""
    region = marked((1, 12), (0, 0), (0, 3))
    image = np.zeros((1, 12), np.float32)
    image[0, 11] = 5
    moved = move(region, marked((1, 12), (0, 8), (0, 11)), image, rng())
    np.testing.assert_array_equal(np.flatnonzero(moved.moved), [8, 11])


def test_a_piece_that_fits_nowhere_is_heaped_up_far_from_the_region():
    """A column of four where three rows are free: the four free places at the corner farthest away."""
    region = marked((4, 12), (slice(None), 0))
    allowed = marked((4, 12), (slice(0, 3), slice(None)))
    moved = move(region, allowed, np.zeros((4, 12), np.float32), rng())
    np.testing.assert_array_equal(np.argwhere(moved.moved), [[0, 10], [0, 11], [1, 10], [1, 11]])


def test_as_many_free_places_as_voxels_are_enough():
    region = marked((3, 9), (0, slice(0, 2)))
    moved = move(region, marked((3, 9), (2, 4), (2, 8)), np.zeros((3, 9), np.float32), rng())
    np.testing.assert_array_equal(np.argwhere(moved.moved), [[2, 4], [2, 8]])
    assert move(region, marked((3, 9), (2, 4)), np.zeros((3, 9), np.float32), rng()) is None


def test_a_piece_does_not_go_round_the_edge():
    region = marked((2, 12), (0, slice(5, 8)))
    allowed = marked((2, 12), (slice(None), slice(0, 2)), (slice(None), 11))
    moved = move(region, allowed, np.zeros((2, 12), np.float32), rng())
    np.testing.assert_array_equal(np.argwhere(moved.moved), [[0, 0], [1, 0], [1, 1]])
