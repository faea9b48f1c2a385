"""Blocks of a picture, and the order in which a map ranks them."""

from itertools import product

import numpy as np
import pytest
import torch

from pipeline.evidence.faithfulness.blocks import block_grid, ranked
from tests.pipeline.evidence.faithfulness import oracle

CPU = torch.device("cpu")


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (9, 3), (1, 13), (4, 5, 6), (9, 1, 7), (5, 3, 2)])
def test_blocks_are_those_that_are_counted_out_one_voxel_at_a_time(shape):
    grid = block_grid(shape, CPU)
    for place in product(*map(range, shape)):
        assert int(grid.index[place]) == oracle.block_of(place, shape)
    sizes = torch.bincount(grid.index.flatten())
    assert len(sizes) == grid.blocks
    assert int(sizes.min()) >= 1
    assert torch.equal(grid.sizes, sizes.double())
    for count, side in zip(grid.counts, shape, strict=True):  # as even as the side allows
        along = torch.bincount(torch.arange(side) * count // side)
        assert int(along.max() - along.min()) <= 1


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (4, 5, 6), (9, 1, 7)])
def test_a_blocks_mean_is_that_of_its_voxels(shape):
    grid, maps = block_grid(shape, CPU), torch.randn(2, *shape, generator=chance())
    means = grid.means(maps)
    for number in range(grid.blocks):
        expected = maps.double()[:, grid.index == number].mean(dim=1)
        torch.testing.assert_close(means[:, number], expected)
    assert torch.equal(grid.voxels(means)[:, *[0] * len(shape)], means[:, 0])


def test_the_highest_block_comes_first():
    means = torch.tensor([0.1, 3.0, -2.0, 0.5])
    assert ranked(means, chance()).tolist() == [1, 3, 0, 2]
    assert ranked(-means, chance()).tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
def test_a_constant_map_has_no_order(value):
    assert ranked(torch.full((16,), value), chance()) is None


def test_tied_blocks_come_in_an_order_by_chance_and_not_by_place():
    means = torch.zeros(16)
    means[5] = 1.0
    orders = [ranked(means, chance(seed)).tolist() for seed in range(200)]
    assert all(order[0] == 5 for order in orders)
    assert orders[0] == ranked(means, chance(0)).tolist()
    mean_place = np.mean([[order.index(block) for block in range(16) if block != 5] for order in orders], axis=0)
    assert np.abs(mean_place - 8).max() < 1.5  # the mean of 1 to 15; 4 standard errors are 1.2


def test_a_difference_by_rounding_is_a_tie():
    means = torch.ones(16, dtype=torch.float64)
    means[0] = 2.0
    nudged = means + 1e-12 * torch.arange(16)
    assert ranked(nudged, chance(3)).tolist() == ranked(means, chance(3)).tolist()
