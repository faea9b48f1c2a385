import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, GeometryError
from pipeline.studies.readers.shared.base import ReadOptions, chosen, volume_of
from tests.pipeline.studies.writers import refusal

GRID = Geometry((2, 3), np.eye(4))


def test_what_is_not_finite_is_counted_and_another_fault_is_not_called_that():
    assert refusal(Reason.NOT_FINITE, lambda: volume_of(np.array([[np.nan, 1, np.inf], [0, 1e300, 2]]), GRID)) == (
        "3 of 6 voxels are NaN or infinite"
    )
    with pytest.raises(GeometryError, match="shape"):
        volume_of(np.zeros((3, 2)), GRID)


def test_a_volume_is_kept_in_the_order_in_which_it_was_read():
    """A copy into another order would cost more than reading the file."""
    array = np.zeros((3, 2), np.float32).T
    assert np.shares_memory(volume_of(array, GRID).array, array)


@pytest.mark.parametrize(("count", "volume", "expected"), [(1, None, 0), (1, 9, 0), (4, 3, 3), (4, 0, 0)])
def test_a_choice_counts_from_nothing_and_matters_among_several_only(count, volume, expected):
    assert chosen(count, ReadOptions(volume=volume), "frames")[0] == expected


@pytest.mark.parametrize("volume", [None, -1, 4])
def test_no_volume_is_taken_that_was_not_chosen(volume):
    refusal(Reason.SEVERAL_VOLUMES, lambda: chosen(4, ReadOptions(volume=volume), "volumes"))
