"""ROAD's fill against a dense solve, one equation written out for each voxel."""

from itertools import product

import numpy as np
import pytest
import torch

from pipeline.evidence.faithfulness import road
from pipeline.evidence.faithfulness.fills import blurred
from pipeline.evidence.faithfulness.road import imputed, road_fill
from tests.pipeline.evidence.faithfulness.test_curves import picture


def solved_densely(image, keep):
    """Solve for the taken voxels of one channel (*S): u = sum_j w_j u_j / sum_j w_j over the neighbours that exist."""
    taken = [tuple(place) for place in np.argwhere(~keep)]
    number = {place: row for row, place in enumerate(taken)}
    matrix, right = np.zeros((len(taken), len(taken))), np.zeros(len(taken))
    for place, row in number.items():
        neighbours = []
        for offset in product((-1, 0, 1), repeat=image.ndim):
            there = tuple(np.add(place, offset))
            apart = sum(map(abs, offset))
            if apart and all(0 <= at < side for at, side in zip(there, image.shape, strict=True)):
                neighbours.append((there, {1: 1, 2: 1 / 2, 3: 1 / 3}[apart]))
        whole = sum(weight for _, weight in neighbours)
        matrix[row, row] += 1
        for there, weight in neighbours:
            if there in number:
                matrix[row, number[there]] -= weight / whole
            else:
                right[row] += weight / whole * image[there]
    out = image.copy()
    out[~keep] = np.linalg.solve(matrix, right)
    return out


@pytest.mark.parametrize("shape", [(7, 9), (12, 12), (4, 5, 6), (5, 1, 6)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_taken_voxels_are_the_means_of_their_neighbours(shape, share):
    x = picture(shape, channels=2, batch=2)
    keep = torch.rand(2, *shape, generator=torch.Generator().manual_seed(4)) > share
    keep[:, *[0] * len(shape)] = True
    filled = imputed(x, keep, blurred(x))
    for row, channel in product(range(2), range(2)):
        expected = solved_densely(x[row, channel].numpy(), keep[row].numpy())
        np.testing.assert_allclose(filled[row, channel], expected, atol=2e-3)  # of values around 1
    assert torch.equal(filled[keep[:, None].expand_as(x)], x[keep[:, None].expand_as(x)])


@pytest.mark.parametrize("shape", [(24, 24), (12, 12, 12)])
def test_a_large_hole_is_filled_as_well_as_a_small_one(shape):
    x = picture(shape, channels=1)
    keep = torch.zeros(1, *shape, dtype=torch.bool)
    keep[0, *[slice(0, side // 4) for side in shape]] = True  # one block of 4^d is left
    filled = imputed(x, keep, blurred(x))
    np.testing.assert_allclose(filled[0, 0], solved_densely(x[0, 0].numpy(), keep[0].numpy()), atol=2e-3)


@pytest.mark.parametrize("shape", [(8, 8), (16, 16, 16)])
def test_a_constant_picture_is_filled_with_itself(shape):
    """Quantus 0.6.0 fills a constant volume with NaN."""
    x = torch.full((1, 1, *shape), 3.5)
    keep = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) > 0.8
    torch.testing.assert_close(imputed(x, keep, blurred(x)), x, atol=1e-3, rtol=0)


def test_a_linear_ramp_between_two_kept_ends_is_drawn_again():
    x = torch.arange(8.0, dtype=torch.float64).expand(1, 1, 8, 8).clone()
    keep = torch.zeros(1, 8, 8, dtype=torch.bool)
    keep[..., [0, 7]] = True
    torch.testing.assert_close(imputed(x, keep, blurred(x)), x, atol=1e-2, rtol=0)


def test_a_picture_without_a_kept_voxel_becomes_the_start_and_one_with_all_stays():
    x = picture((6, 6), batch=2)
    keep = torch.stack([torch.zeros(6, 6, dtype=torch.bool), torch.ones(6, 6, dtype=torch.bool)])
    filled = imputed(x, keep, blurred(x))
    torch.testing.assert_close(filled, torch.stack([blurred(x)[0], x[1]]))


def test_noise_lies_on_taken_voxels_only_and_is_a_hundredth_of_the_range():
    x = picture((32, 32), channels=1)
    keep = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5
    fill = road_fill(x, torch.Generator().manual_seed(1))
    samples = torch.tensor([0])
    noise = (fill(samples, keep) - imputed(x, keep, blurred(x)))[0, 0]
    assert not noise[keep[0]].any()
    spread = float(x.max() - x.min())
    assert 0.008 * spread < float(noise[~keep[0]].std()) < 0.012 * spread
    torch.testing.assert_close(fill(samples, keep), fill(samples, keep))


def test_equations_that_are_not_solved_are_said_to_be(monkeypatch):
    monkeypatch.setattr(road, "_MOST_STEPS", 2)
    x = picture((16, 16))
    keep = torch.zeros(1, 16, 16, dtype=torch.bool)
    keep[0, 0, 0] = True
    with pytest.raises(ArithmeticError, match="not solved after 2 steps"):
        imputed(x, keep, blurred(x))
