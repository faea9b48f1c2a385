"""The layer's grid against the input's: edge to edge, never corner to corner."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from cam import resize


def test_two_cells_over_four_pixels_by_hand():
    row = resize(torch.tensor([[[0.0, 1.0]]]), (1, 4))[0, 0]
    assert row.tolist() == [0.0, 0.25, 0.75, 1.0]  # corner to corner would give 0, 1/3, 2/3, 1


@pytest.mark.parametrize(("cells", "shape"), [((3, 4), (12, 10)), ((2, 3, 4), (7, 9, 8)), ((5, 5), (3, 4))])
def test_resize_equals_linear_interpolation_at_the_voxels_centres(cells, shape):
    maps = torch.randn(2, *cells, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratio = np.array(cells) / np.array(shape)
    places = [(np.arange(size) + 0.5) * step - 0.5 for size, step in zip(shape, ratio, strict=True)]
    for one, found in zip(maps, resize(maps, shape), strict=True):
        grid = np.meshgrid(*places, indexing="ij")
        np.testing.assert_allclose(found, map_coordinates(one.numpy(), grid, order=1, mode="nearest"), atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_hot_cell_keeps_its_place(axes):
    hot, cells, shape = (0, 2, 1)[:axes], (4, 4, 3)[:axes], (16, 20, 9)[:axes]
    maps = torch.zeros(1, *cells)
    maps[(0, *hot)] = 1
    found = resize(maps, shape)[0]
    peak = np.unravel_index(int(found.argmax()), shape)
    for at, cell, size, count in zip(peak, hot, shape, cells, strict=True):
        assert cell * size / count <= at < (cell + 1) * size / count
