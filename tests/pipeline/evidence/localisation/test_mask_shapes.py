"""Forms that can be computed by hand: boxes, bars, crosses, turned and anisotropic grids."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.evidence.localisation.mask_shapes import mask_shapes
from pipeline.evidence.metrics.parts import pieces_of
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask


def shape_of(array, spacing=None, turn=None, scaled=True):
    array = np.asarray(array, bool)
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag([*(spacing or (1.0,) * array.ndim), 1.0][:3])
    (shape,) = mask_shapes(
        [(Mask(array, Geometry(array.shape, affine, scaled=scaled), "nodule", "anna"), pieces_of(array))]
    )
    return shape


def box(shape, *sides):
    array = np.zeros(shape, bool)
    array[tuple(slice(start, stop) for start, stop in sides)] = True
    return array


def test_a_bar_in_a_picture():
    shape = shape_of(box((20, 30), (3, 5), (4, 12)), spacing=(2.0, 0.5))
    assert (shape.label, shape.reader, shape.axes, shape.lesions) == ("nodule", "anna", 2, 1)
    assert shape.image_share == 16 / 600
    assert shape.size == pytest.approx(16)  # 2 x 8 pixels of 1 mm2
    assert shape.elongation == pytest.approx(1)  # 4 mm x 4 mm
    assert shape.irregularity == pytest.approx(0)
    assert shape_of(box((20, 30), (3, 5), (4, 12))).elongation == pytest.approx(4)


def test_a_single_voxel_and_an_empty_mask():
    for spacing in ((1.0, 3.0), (1.0, 3.0, 2.0)):
        shape = shape_of(box((9,) * len(spacing), *((4, 5),) * len(spacing)), spacing)
        assert (shape.elongation, shape.irregularity) == pytest.approx((3, 0))
    shape = shape_of(np.zeros((4, 4)))
    assert (shape.lesions, shape.size, shape.elongation, shape.irregularity) == (0, 0, None, None)


def test_a_diamond_lies_in_a_turned_square():
    rows, columns = np.indices((41, 41)) - 20
    shape = shape_of(np.abs(rows) + np.abs(columns) <= 10)
    assert shape.elongation == pytest.approx(1)
    # 221 pixels; their corners reach from one diagonal at 10.5 + 0.5 to the other
    assert shape.irregularity == pytest.approx(1 - 221 / (2 * 11**2))


def test_a_cross_fills_little_of_its_rectangle():
    cross = box((9, 9), (4, 5), (0, 9)) | box((9, 9), (0, 9), (4, 5))
    square, turned = 81, 2 * 5**2  # the upright square, and that on its corner
    assert shape_of(cross).irregularity == pytest.approx(1 - 17 / min(square, turned))


def test_a_box_in_a_volume():
    shape = shape_of(box((8, 9, 10), (1, 3), (2, 6), (1, 9)), spacing=(1.0, 1.0, 2.0))
    assert shape.size == pytest.approx(2 * 4 * 8 * 2)
    assert shape.elongation == pytest.approx(16 / 2)  # the variance of a box goes with the square of its sides
    assert shape.irregularity == pytest.approx(0, abs=1e-9)


def test_two_beams_at_a_right_angle_leave_half_of_their_hull_free():
    beams = box((20, 20, 4), (0, 20), (0, 2), (0, 4)) | box((20, 20, 4), (0, 2), (0, 20), (0, 4))
    hull = 20 * 20 - 18 * 18 / 2  # a square without the triangle that no beam reaches
    for spacing in ((1.0, 1.0, 1.0), (0.5, 1.0, 3.0)):
        assert shape_of(beams, spacing).irregularity == pytest.approx(1 - (2 * 20 * 2 - 4) / hull)


@pytest.mark.parametrize("axes", [2, 3])
def test_form_does_not_depend_on_how_the_grid_lies(axes):
    array = np.random.default_rng(2).random((9, 11, 8)[:axes]) < 0.35
    array[:5, :4] = True
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    spacing = (0.7, 1.3, 2.5)[:axes]
    straight, turned = shape_of(array, spacing), shape_of(array, spacing, turn)
    flipped = shape_of(np.flip(array, 0), spacing)
    swapped = shape_of(array.swapaxes(0, 1), (spacing[1], spacing[0], *spacing[2:]))
    for other in (turned, flipped, swapped):
        assert other.lesions == straight.lesions
        for name in ("size", "image_share", "elongation", "irregularity"):
            assert getattr(other, name) == pytest.approx(getattr(straight, name), rel=1e-9)


def test_form_is_the_largest_parts_and_parts_touch_at_corners():
    array = box((20, 20), (1, 3), (1, 3)) | box((20, 20), (3, 4), (3, 9)) | box((20, 20), (12, 14), (2, 4))
    shape = shape_of(array)
    assert shape.lesions == 2
    assert shape.elongation > 1.5
    assert shape.image_share == 14 / 400


def test_without_a_physical_size_there_is_none():
    shape = shape_of(box((9, 9), (2, 4), (2, 8)), scaled=False)
    assert shape.size is None
    assert shape.elongation == pytest.approx(3)


def test_the_rectangle_is_the_smallest_of_all_directions():
    """Against a search over a thousand directions, on ragged parts."""
    generator = np.random.default_rng(5)
    for _ in range(5):
        array = np.cumsum(np.cumsum(generator.normal(size=(15, 17)), 0), 1) > 1
        array[7, 7] = True
        shape = shape_of(array, spacing=(1.0, 1.7))
        from scipy.ndimage import label

        numbers, _ = label(array, np.ones((3, 3)))
        sizes = np.bincount(numbers.ravel())
        sizes[0] = 0
        places = np.argwhere(numbers == sizes.argmax())
        corners = np.concatenate([places + np.array([a, b]) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]) * [1.0, 1.7]
        angles = np.linspace(0, np.pi / 2, 2001)
        areas = [np.ptp(corners @ [np.cos(t), np.sin(t)]) * np.ptp(corners @ [-np.sin(t), np.cos(t)]) for t in angles]
        assert 1 - sizes.max() * 1.7 / min(areas) == pytest.approx(shape.irregularity, abs=2e-3)
        assert 1 - sizes.max() * 1.7 / min(areas) >= shape.irregularity - 1e-12
