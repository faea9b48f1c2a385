import numpy as np
import pytest
from skimage.measure import points_in_poly

from pipeline.studies.readers.shared import even_odd
from pipeline.studies.readers.shared.even_odd import filled

SHAPE = (64, 70)


def circle(row, column, radius, points=2000):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([row + radius * np.sin(angle), column + radius * np.cos(angle)], axis=1)


def disc(row, column, radius, shape=SHAPE):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def box(top, left, bottom, right):
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)


def test_a_circle_marks_the_centres_inside_it():
    marked, lost = filled([circle(31.2, 32.25, 30.25)], SHAPE)
    assert (int(marked.sum()), lost) == (2872, 0)
    np.testing.assert_array_equal(marked, disc(31.2, 32.25, 30.25))


def test_rings_and_islands_in_their_holes():
    radii = (25.3, 17.2, 9.1)
    marked, _ = filled([circle(30.2, 33.3, radius) for radius in radii], SHAPE)
    outer, hole, island = (disc(30.2, 33.3, radius) for radius in radii)
    np.testing.assert_array_equal(marked, outer & ~hole | island)


@pytest.mark.parametrize("seed", range(5))
def test_crossing_outlines_are_another_programs(seed):
    """Scikit-image's answer for each centre; no random corner lies on a centre."""
    random = np.random.default_rng(seed)
    shape = (23, 31)
    polygon = random.uniform(-9, 40, (11, 2))
    marked, _ = filled([polygon], shape)
    centres = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(marked, points_in_poly(centres, polygon).reshape(shape))


def test_a_keyhole_is_a_hole():
    outer, inner = circle(30.2, 33.3, 25.3, 400), circle(30.2, 33.3, 9.1, 100)
    walked = np.concatenate([outer, outer[:1], inner, inner[:1]])  # in along a line, round the hole, and back
    marked, _ = filled([walked], SHAPE)
    np.testing.assert_array_equal(marked, disc(30.2, 33.3, 25.3) & ~disc(30.2, 33.3, 9.1))


def test_a_centre_on_an_outline_belongs_to_the_right_and_below():
    marked, _ = filled([box(2, 3, 5, 7)], (8, 9))
    expected = np.zeros((8, 9), bool)
    expected[2:5, 3:7] = True
    np.testing.assert_array_equal(marked, expected)


def test_neighbours_share_no_pixel_and_leave_none_out():
    corner = np.array([6.0, 5.0])
    outline = box(1, 1, 12, 14)
    parts = [np.stack([outline[i], outline[(i + 1) % 4], corner]) for i in range(4)]
    counts = sum(filled([part], (14, 16))[0].astype(int) for part in parts)
    whole, _ = filled([outline], (14, 16))
    np.testing.assert_array_equal(counts, whole)
    np.testing.assert_array_equal(filled(parts, (14, 16))[0], whole)


def test_noise_of_a_billionth_decides_nothing():
    random = np.random.default_rng(0)
    exact, _ = filled([box(2, 3, 5, 7)], (8, 9))
    for _ in range(50):
        noisy = box(2, 3, 5, 7) + random.uniform(-1e-9, 1e-9, (4, 2))
        np.testing.assert_array_equal(filled([noisy], (8, 9))[0], exact)


def test_a_slanted_outline_through_centres_follows_the_rule():
    """The divisions on the way are not exact; without rounding some of these centres change sides."""
    for size in range(2, 60):
        for right in (size, 3 * size, 7 * size):
            marked, _ = filled([np.array([[0.0, 0.0], [size, right], [size, 0.0]])], (size + 1, right + 1))
            rows, columns = np.mgrid[: size + 1, : right + 1]
            np.testing.assert_array_equal(marked, (columns * size < rows * right) & (rows < size))


def test_what_holds_no_centre_is_counted():
    specks = [box(2.1, 2.1, 2.9, 2.9), circle(5.5, 5.5, 0.6), np.array([[3.0, 3.0]]), np.empty((0, 2))]
    marked, lost = filled([box(0, 0, 3, 3), *specks], (8, 9))
    assert (int(marked.sum()), lost) == (9, 4)


def test_what_lies_outside_is_cut_off():
    marked, lost = filled([box(-5, -5, 100, 4), box(2, 40, 6, 50)], (8, 9))
    expected = np.zeros((8, 9), bool)
    expected[:, :4] = True
    np.testing.assert_array_equal(marked, expected)
    assert lost == 1


def test_many_edges_are_taken_in_blocks(monkeypatch):
    polygon = np.random.default_rng(0).uniform(-9, 70, (40, 2))
    expected, _ = filled([polygon], SHAPE)
    for size in (1, 3, 40):
        monkeypatch.setattr(even_odd, "_EDGES_AT_ONCE", size)
        np.testing.assert_array_equal(filled([polygon], SHAPE)[0], expected)
