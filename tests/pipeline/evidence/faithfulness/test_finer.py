"""Halved blocks within those that a map ranks first, by hand and on a scorer whose answer is known."""

import pytest
import torch

from pipeline.evidence.faithfulness.blocks import block_grid
from pipeline.evidence.faithfulness.fills import blur_fill
from pipeline.evidence.faithfulness.finer import finer_areas, halved_blocks
from pipeline.evidence.faithfulness.picture import MapOfPicture
from tests.pipeline.evidence.faithfulness.scorers import Linear, rescore

CPU = torch.device("cpu")
CHANCE = (0, "a digest")


def test_the_first_eighth_of_the_blocks_is_halved_and_all_else_kept():
    """Two of 16 blocks of 4 x 4 voxels: the first and the last one, each four halves of 2 x 2."""
    grid = block_grid((16, 16), CPU)
    halves = halved_blocks(grid, torch.tensor([0, 15, *range(1, 15)]))
    assert (halves.blocks, halves.shape, halves.chosen.tolist()) == (8, (16, 16), [0, 1, 8, 9, 54, 55, 62, 63])
    left = halves.voxels(torch.zeros(1, 8, dtype=torch.bool))[0]
    assert int(left.sum()) == 256 - 32
    assert not left[:4, :4].any()
    assert not left[12:, 12:].any()
    one = torch.zeros(1, 8, dtype=torch.bool)
    one[0, 5] = True
    assert (halves.voxels(one)[0] & ~left).nonzero().tolist() == [[12, 14], [12, 15], [13, 14], [13, 15]]
    assert halves.means(torch.arange(256.0).view(1, 16, 16))[0, 0] == pytest.approx((0 + 1 + 16 + 17) / 4)


@pytest.mark.parametrize(("shape", "blocks"), [((8, 8, 8), 64), ((4, 4, 4), None), ((8, 8), 8), ((1, 16, 16), 8)])
def test_sides_of_single_voxels_are_not_halved(shape, blocks):
    """64 blocks of 2 x 2 x 2 give 8 with 8 halves each; of single voxels, 8 that cannot be halved are 8 blocks."""
    grid = block_grid(shape, CPU)
    halves = halved_blocks(grid, torch.arange(grid.blocks))
    assert (8 if shape == (4, 4, 4) else blocks) == halves.blocks


def test_too_few_halves_are_none():
    grid = block_grid((4, 4), CPU)
    assert halved_blocks(grid, torch.arange(16)) is None


def scored(x, weights):
    model = Linear(torch.stack([weights, -weights]))  # of a single logit, the first target would be its reverse
    return model, (blur_fill(x), rescore(model, x))


def test_a_map_that_is_right_within_a_block_beats_its_reverse_and_costs_72():
    """All evidence is one corner of one block; two maps point to the block, one of them to the wrong corner."""
    x, weights = torch.zeros(1, 1, 16, 16), torch.zeros(16, 16)
    x[0, 0, 4:6, 4:6] = weights[4:6, 4:6] = 1.0
    right, wrong = torch.zeros(16, 16), torch.zeros(16, 16)
    right[4:6, 4:6], wrong[6:8, 6:8] = 1.0, 1.0
    right[4:8, 4:8] += 0.5
    wrong[4:8, 4:8] += 0.5
    model, how = scored(x, weights)
    grid, blob = block_grid((16, 16), CPU), torch.ones(16, 16)
    areas = {name: finer_areas(grid, MapOfPicture(name, 0, values), blob, how, CHANCE)
             for name, values in (("right", right), ("wrong", wrong))}  # fmt: skip
    assert model.rows == 2 * 72
    assert areas["right"].own > max(areas["right"].random)
    assert areas["right"].own > areas["wrong"].own
    assert len(areas["right"].random) == 3


def test_a_map_without_an_order_is_looked_into_nowhere():
    x = torch.rand(1, 1, 16, 16)
    _, how = scored(x, torch.ones(16, 16))
    assert (
        finer_areas(block_grid((16, 16), CPU), MapOfPicture("m", 0, torch.ones(16, 16)), x[0, 0], how, CHANCE) is None
    )
