"""Insertion and deletion against their second writing, and of a scorer whose right order is known."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from cam import Target
from pipeline.evidence.faithfulness.blocks import block_grid
from pipeline.evidence.faithfulness.curves import curves_of, step_ends
from pipeline.evidence.faithfulness.fills import blur_fill, blurred, mean_fill
from tests.pipeline.evidence.faithfulness import oracle
from tests.pipeline.evidence.faithfulness.scorers import Curved, Linear, rescore

CPU = torch.device("cpu")
SHAPES = [(8, 8), (5, 9), (9, 2), (4, 5, 6), (5, 1, 7), (3, 4, 4)]


def picture(shape, channels=2, batch=1, seed=0):
    return torch.randn(batch, channels, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scorer(x, kind=Curved, labels=2):
    weights = torch.randn(labels, *x.shape[1:], generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return kind(weights)


def some_orders(blocks, number, batch=1):
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randperm(blocks, generator=generator) for _ in range(number * batch)]
    return torch.stack(drawn).view(batch, number, blocks)


@pytest.mark.parametrize("shape", SHAPES)
def test_curves_are_those_of_the_second_writing(shape):
    x = picture(shape)
    model, grid = scorer(x), block_grid(shape, CPU)
    orders = some_orders(grid.blocks, 2)
    curves = curves_of(grid, orders, blur_fill(x), rescore(model, x, (Target(0), Target(1))))
    for target, number in product(range(2), range(2)):
        order = orders[0, number].tolist()
        insertion, deletion, area = oracle.curves(
            x[0].numpy(), order, lambda image, k=target: float(model(torch.from_numpy(image)[None])[0, k])
        )
        np.testing.assert_allclose(curves.insertion[target, 0, number], insertion, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(curves.deletion[target, 0, number], deletion, rtol=1e-9, atol=1e-9)
        assert float(curves.areas[target, 0, number]) == pytest.approx(area, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("shape", [(7, 5), (4, 5, 3)])
def test_the_blur_is_that_of_the_second_writing_and_leaves_a_constant(shape):
    x = picture(shape, channels=3, batch=2)
    for image, ours in zip(x.numpy(), blurred(x).numpy(), strict=True):
        np.testing.assert_allclose(ours, oracle.blurred(image), rtol=1e-9)
    flat = torch.full((1, 1, *shape), 3.25)
    torch.testing.assert_close(blurred(flat), flat)


@pytest.mark.parametrize("shape", [(9, 8), (5, 4, 6)])
def test_of_a_linear_scorer_the_right_order_is_best_and_backwards_worst(shape):
    """Each block adds its own part whatever the others do, so the order by those parts cannot be beaten."""
    x = picture(shape)
    model, grid = scorer(x, Linear), block_grid(shape, CPU)
    parts = (model.weights[0] * (x - blurred(x))[0]).sum(dim=0)
    by_block = torch.stack([parts[grid.index == number].sum() for number in range(grid.blocks)])
    right = by_block.argsort(descending=True)
    orders = torch.cat([right[None], right.flip(0)[None], some_orders(grid.blocks, 30)[0]])[None]
    areas = curves_of(grid, orders, blur_fill(x), rescore(model, x)).areas[0, 0]
    assert float(areas[0]) > float(areas[2:].max())
    assert float(areas[1]) < float(areas[2:].min())
    torch.testing.assert_close(areas[1], -areas[0])
    ends = np.array(step_ends(grid.blocks))
    gained = np.concatenate([[0], by_block[right].cumsum(0).numpy()])[ends]
    expected = np.trapezoid(2 * gained - by_block.sum().item(), ends / grid.blocks)
    assert float(areas[0]) == pytest.approx(expected)


def test_an_order_backwards_has_the_area_with_the_other_sign():
    for shape in [(8, 8), (3, 6), (4, 4, 5)]:  # 16, 12 and 64 blocks
        x = picture(shape)
        model, grid = scorer(x), block_grid(shape, CPU)
        orders = some_orders(grid.blocks, 3)
        both = torch.cat([orders, orders.flip(2)], dim=1)
        areas = curves_of(grid, both, blur_fill(x), rescore(model, x)).areas[0, 0]
        torch.testing.assert_close(areas[:3], -areas[3:])


@pytest.mark.parametrize(("blocks", "steps"), [(8, 8), (9, 8), (12, 8), (16, 8), (27, 8), (64, 8), (256, 10), (16, 7)])
def test_steps_go_from_none_to_all_and_are_alike_from_both_ends(blocks, steps):
    ends = step_ends(blocks, steps)
    assert len(ends) == steps + 1
    assert (ends[0], ends[-1]) == (0, blocks)
    assert all(later > earlier for earlier, later in pairwise(ends))
    if blocks % 2 == 0 or steps % 2:
        assert [blocks - end for end in reversed(ends)] == list(ends)


def test_too_few_blocks_are_refused():
    x = picture((2, 3))
    with pytest.raises(ValueError, match=r"shape \(2, 3\) has 6 blocks, and orders are told apart from 8"):
        curves_of(block_grid((2, 3), CPU), some_orders(6, 1), blur_fill(x), rescore(scorer(x), x))


def test_pictures_of_a_batch_do_not_mix_and_chunks_change_nothing():
    x = picture((8, 9), batch=3)
    model, grid = scorer(x), block_grid((8, 9), CPU)
    orders = some_orders(16, 2, batch=3)
    whole = curves_of(grid, orders, blur_fill(x), rescore(model, x))
    for size in (1, 5):
        again = curves_of(grid, orders, blur_fill(x), rescore(model, x, max_batch=size))
        torch.testing.assert_close(again.areas, whole.areas)
    for number in range(3):
        alone = curves_of(
            grid, orders[number : number + 1], blur_fill(x[number : number + 1]),
            rescore(model, x[number : number + 1]),
        )  # fmt: skip
        torch.testing.assert_close(alone.areas[:, 0], whole.areas[:, number])


def test_the_mean_fill_is_each_channels_own():
    x = picture((4, 4))
    keep = torch.zeros(1, 4, 4, dtype=torch.bool)
    keep[0, 0, 0] = True
    filled = mean_fill(x)(torch.tensor([0]), keep)
    for channel in range(2):
        assert float(filled[0, channel, 0, 0]) == float(x[0, channel, 0, 0])
        torch.testing.assert_close(filled[0, channel, 1:], x[0, channel].mean().expand(3, 4))
