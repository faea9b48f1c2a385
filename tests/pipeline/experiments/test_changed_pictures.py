"""Pictures that are changed: what stays, and what does not."""

import numpy as np
import pytest
import torch

from pipeline.experiments.changed_pictures import compressed, narrower, noisy, shifted, shuffled


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 18, 21), (1, 8, 9, 12), (1, 16, 16, 2)])
def test_shuffling_moves_every_block_and_keeps_every_value(shape):
    x = torch.arange(int(np.prod(shape)), dtype=torch.float32).view(shape)
    y = shuffled(x, np.random.default_rng(0))
    assert torch.equal(y.flatten().sort().values, x.flatten())
    sizes = [max(length // 4, 1) for length in shape[1:]]
    inner = tuple(slice(0, min(4, length) * size) for length, size in zip(shape[1:], sizes, strict=True))
    assert not torch.eq(x, y)[(slice(None), *inner)].any()
    outside = torch.ones(shape[1:], dtype=torch.bool)
    outside[inner] = False
    assert torch.equal(x[:, outside], y[:, outside])


def test_blocks_stay_whole():
    x = torch.arange(16.0).view(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
    y = shuffled(x, np.random.default_rng(1))[0]
    blocks = y.view(4, 2, 4, 2).permute(0, 2, 1, 3).reshape(16, 4)
    assert (blocks == blocks[:, :1]).all()


def test_noise_is_a_hundredth_of_the_range():
    x = torch.linspace(-3, 7, 10_000).view(1, 100, 100)
    gap = noisy(x, np.random.default_rng(0)) - x
    assert float(gap.std()) == pytest.approx(0.1, rel=0.03)
    assert float(gap.mean()) == pytest.approx(0, abs=0.005)


def test_a_shift_by_one_voxel():
    x = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    assert torch.equal(shifted(x), torch.tensor([[[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]]]))


def test_a_narrower_window_cuts_both_ends():
    x = torch.tensor([[[0.0, 0.5, 1.0, 0.75]]])
    assert torch.allclose(narrower(x), torch.tensor([[[0.0, 0.5, 1.0, 0.5 + 0.25 / 0.9]]]))


def test_compression_leaves_256_values():
    x = torch.rand(1, 100, 100, generator=torch.Generator().manual_seed(0)) * 3 - 1
    y = compressed(x)
    assert len(y.unique()) <= 256
    assert float((x - y).abs().max()) <= 3 / 255 / 2 + 1e-6
    assert torch.equal(compressed(torch.ones(1, 2, 2)), torch.ones(1, 2, 2))
