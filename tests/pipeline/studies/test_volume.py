"""Arrays that know where they lie: of their grid's shape, finite, and not to be changed."""

import numpy as np
import pytest

from pipeline.studies.geometry import Geometry, GeometryError
from pipeline.studies.volume import Heatmap, Mask, Volume

GRID = Geometry((2, 3), np.eye(4))


def volume(array):
    return Volume(array, GRID)


def mask(array):
    return Mask(array, GRID, "nodule", "reader-1")


def heatmap(array, seen=None):
    seen = np.ones(GRID.shape, dtype=bool) if seen is None else seen
    return Heatmap(array, GRID, seen, "gradcam", "layer4", "nodule")


@pytest.mark.parametrize("make", [volume, mask, heatmap])
def test_an_array_of_another_shape_is_refused(make):
    with pytest.raises(GeometryError, match=r"array must have the grid's shape \(2, 3\), not \(3, 2\)"):
        make(np.zeros((3, 2)))


@pytest.mark.parametrize("make", [volume, heatmap])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(make, value):
    with pytest.raises(GeometryError, match="array holds NaN or infinity"):
        make(np.full((2, 3), value))


@pytest.mark.parametrize("value", [0.5, 2, -1, np.nan])
def test_a_mask_holds_nothing_between_and_beyond_true_and_false(value):
    with pytest.raises(GeometryError, match="array must hold True and False"):
        mask(np.full((2, 3), value))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, float])
def test_a_mask_of_zeros_and_ones_is_a_mask(dtype):
    array = np.array([[0, 1, 0], [1, 1, 0]], dtype=dtype)
    assert mask(array).array.dtype == bool
    assert np.array_equal(mask(array).array, array == 1)


def test_what_was_seen_has_the_grids_shape():
    with pytest.raises(GeometryError, match=r"seen must have the grid's shape \(2, 3\), not \(2, 2\)"):
        heatmap(np.zeros((2, 3)), np.ones((2, 2), dtype=bool))


@pytest.mark.parametrize("make", [volume, mask, heatmap])
def test_arrays_are_read_only_and_the_callers_own_stays_writable(make):
    own = np.zeros((2, 3), dtype=np.bool_ if make is mask else np.float32)
    held = make(own)
    for name in ("array", "seen") if make is heatmap else ("array",):
        with pytest.raises(ValueError, match="read-only"):
            getattr(held, name)[0, 0] = 1
    own[0, 0] = 1


def test_a_heatmap_stays_signed_and_becomes_float32():
    held = heatmap(np.array([[-1.5, 0, 2], [3, -4, 5]]))
    assert held.array.dtype == np.float32
    assert held.array.tolist() == [[-1.5, 0, 2], [3, -4, 5]]
