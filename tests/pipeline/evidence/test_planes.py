"""How a grid is turned for a reader: axes held against nibabel's, pictures and planes by hand."""

import numpy as np
import pytest
from nibabel.orientations import io_orientation

from pipeline.evidence.planes import along_the_page, patient_axes, plane_at, projection, through_plane, whole_picture
from pipeline.evidence.ranks import mean_ranks
from pipeline.studies.geometry import Geometry


def test_axes_are_those_of_nibabel_for_turned_sheared_and_flat_grids():
    generator = np.random.default_rng(5)
    grids = [np.eye(4), np.diag([-1.0, 1, -2, 1])[[1, 0, 2, 3]], np.eye(4)[[2, 0, 1, 3]]]
    for _ in range(300):
        grid = np.eye(4)
        grid[:3, :3] = generator.normal(size=(3, 3)) * generator.uniform(0.2, 8, 3)
        grids.append(grid)
    for grid in grids:
        for affine in (grid, grid[:, [0, 1, 3]]):
            assert np.array_equal(patient_axes(affine), io_orientation(affine))


def test_ranks_are_those_of_scipy():
    from scipy.stats import rankdata

    values = np.random.default_rng(1).integers(0, 9, (40, 3)).astype(float)
    assert np.array_equal(mean_ranks(values), rankdata(values))


def picture(first, second, step=1.0, **more):
    """Return a picture of 5 x 8 pixels whose axes run along these directions, ``step`` and twice that apart."""
    third = np.cross(first, second)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([np.multiply(first, step), np.multiply(second, 2 * step), third], axis=1)
    return Geometry((5, 8), affine, **more)


def world_of(geometry, plane_place, array):
    """Return the world place of the voxel that stands at a place of a page."""
    row, column = plane_place
    index = np.argwhere(array == projection(geometry).apply(array)[row, column])[0]
    return geometry.world(index[None])[0]


@pytest.mark.parametrize("step", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("first", [[1, 0, 0], [-1, 0, 0]])
@pytest.mark.parametrize("second", [[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [0, 0.8, 0.6], [0, -0.6, 0.8]])
def test_a_picture_whose_first_axis_runs_from_side_to_side_is_turned(step, first, second):
    """Its columns then run from the patient's right to the left, where x falls, its rows from the front or the head."""
    geometry = picture(first, second, step)
    cut = projection(geometry)
    array = np.arange(40).reshape(5, 8)
    assert cut.order == (1, 0)
    assert cut.apply(array).shape == (8, 5)
    assert cut.pixel_mm == pytest.approx((2 * step, step))
    top, bottom, other = (world_of(geometry, place, array) for place in ((0, 0), (7, 0), (0, 4)))
    across, down = other - top, bottom - top
    assert across[0] < 0, "the patient's right, where x is high, on the left"
    main = 1 if abs(second[1]) > abs(second[2]) else 2
    assert down[main] < 0, "the front, or the head, on top"
    for index in np.ndindex(5, 8):
        assert cut.apply(array)[cut.place(np.array(index), (5, 8))] == array[index]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0, 0, -1], [1, 0, 0]),  # rows from the head down
        ([0, 0, 1], [-1, 0, 0]),
        ([0.4, 0, -0.9165151389911679], [0, 1, 0]),  # less than half of its way is sideways
        ([0.6, 0, -0.8], [0.8, 0, 0.6]),  # the other axis runs sideways more than it
    ],
)
def test_any_other_picture_stays_as_it_is_stored(first, second):
    for step in (0.3, 1.0, 3.0):
        cut = projection(picture(first, second, step))
        assert (cut.order, cut.flips, cut.axis) == ((0, 1), (), None)
        assert cut.pixel_mm == pytest.approx((step, 2 * step))


def test_the_letters_of_a_picture_stand_where_its_sides_do():
    turned = projection(picture([1, 0, 0], [0, 0, 1]))
    plain = picture([0, 0, -1], [-1, 0, 0])
    assert turned.letters == ("R", "L", "S", "I") == projection(plain).letters
    assert projection(picture([-1, 0, 0], [0, -1, 0])).letters == ("R", "L", "A", "P")


def volume(shape, spacing, **more):
    return Geometry(shape, np.diag([*spacing, 1.0]), **more)


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 1), 2), ((1, 1.005, 1), 2), ((1, 1.05, 1), 1), ((3, 1, 1), 0), ((0.5, 0.5, 0.7), 2), ((0.7, 0.7, 0.5), 2)],
)
def test_planes_lie_across_the_coarsest_axis_and_axial_where_spacings_are_alike(spacing, axis):
    assert through_plane(volume((4, 5, 6), spacing)) == axis
    turned = Geometry((6, 4, 5), np.diag([1.0, 1, 1, 1])[:, [2, 0, 1, 3]])
    assert through_plane(turned) == 0


def test_all_of_a_volume_is_seen_at_once_as_its_brightest_voxels():
    geometry = volume((2, 2, 2), (1, 1, 4))
    array = np.array([[[1, 8], [2, 3]], [[7, 4], [5, 6]]])  # x, y, z; x rises to the right hand
    cut = whole_picture(geometry)
    assert (cut.axis, cut.index, cut.name) == (2, None, "axial")
    np.testing.assert_array_equal(cut.apply(array), [[6, 3], [7, 8]])  # front on top, the highest x on the left
    assert whole_picture(picture([0, 0, -1], [1, 0, 0])).axis is None


def test_planes_by_hand():
    array = np.arange(8).reshape(2, 2, 2)  # 4 x + 2 y + z
    geometry = volume((2, 2, 2), (1, 2, 4))
    axial, coronal, sagittal = (plane_at(geometry, axis, 1) for axis in (2, 1, 0))
    np.testing.assert_array_equal(axial.apply(array), [[7, 3], [5, 1]])
    np.testing.assert_array_equal(coronal.apply(array), [[7, 3], [6, 2]])
    np.testing.assert_array_equal(sagittal.apply(array), [[7, 5], [6, 4]])
    assert [cut.letters for cut in (axial, coronal, sagittal)] == [
        ("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I"),
    ]  # fmt: skip
    assert [cut.pixel_mm for cut in (axial, coronal, sagittal)] == [(2, 1), (4, 1), (4, 2)]
    assert plane_at(volume((2, 2, 2), (1, 1, 1), oriented=False), 2, 0).letters == ("", "", "", "")


def test_a_place_on_the_page_is_counted_from_the_middle_of_pixels():
    turned = picture([1, 0, 0], [0, 0, 1])
    assert along_the_page(turned, np.array([4, 7])) == pytest.approx((0.5 / 5, 0.5 / 8))
    plain = picture([0, 0, -1], [1, 0, 0])
    assert along_the_page(plain, np.array([1, 2])) == pytest.approx((2.5 / 8, 1.5 / 5))
    oblong = volume((2, 4, 5), (1, 1, 1))
    assert along_the_page(oblong, np.array([0, 1, 4])) == pytest.approx((0.75, 1 - 1.5 / 4, 0.1))
