"""Pictures that are changed before the model sees them: shuffled by blocks, or a little noisier, shifted, coarser."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["compressed", "narrower", "noisy", "shifted", "shuffled"]

_BLOCKS: Final = 4
"""Blocks along each axis of a shuffled picture."""
_NOISE: Final = 0.01
_NARROWER: Final = 0.9
_GREYS: Final = 255


def shuffled(x: Tensor, random: np.random.Generator) -> Tensor:
    """Return a picture (C, *S) whose blocks, four along each axis, have changed places; none stays where it was.

    Blocks are whole voxels and equal, so that the picture keeps its values: what is left over at the far end of an axis
    stays there.
    """
    sizes = [max(size // _BLOCKS, 1) for size in x.shape[1:]]
    blocks = list(_blocks(tuple(x.shape[1:]), sizes))
    result = x.clone()
    for to, source in zip(blocks, _cycled(len(blocks), random), strict=True):
        result[(slice(None), *to)] = x[(slice(None), *blocks[source])]
    return result


def _blocks(shape: tuple[int, ...], sizes: list[int]) -> Iterator[tuple[slice, ...]]:
    starts = [range(0, min(_BLOCKS, length) * size, size) for length, size in zip(shape, sizes, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))


def _cycled(count: int, random: np.random.Generator) -> list[int]:
    """Return a permutation of so many numbers that is a single cycle: none is at its own place."""
    order = random.permutation(count)
    places = np.empty(count, dtype=np.int64)
    places[order] = np.roll(order, 1)
    return [int(place) for place in places]


def noisy(x: Tensor, random: np.random.Generator) -> Tensor:
    """Return a picture with normal noise of a hundredth of its range."""
    noise = torch.from_numpy(random.standard_normal(tuple(x.shape)).astype(np.float32))
    return x + noise.to(x) * _NOISE * (x.max() - x.min())


def shifted(x: Tensor, by: int = 1) -> Tensor:
    """Return a picture (C, *S) moved by a voxel along each axis; what comes in at the border is its neighbour."""
    for axis in range(1, x.ndim):
        length = x.shape[axis]
        places = (torch.arange(length, device=x.device) - by).clamp(0, length - 1)
        x = x.index_select(axis, places)
    return x


def narrower(x: Tensor) -> Tensor:
    """Return a picture in a window a tenth narrower about the middle of its range; what lies outside is cut off."""
    low, high = x.min(), x.max()
    middle = (low + high) / 2
    return ((x - middle) / _NARROWER + middle).clamp(low, high)


def compressed(x: Tensor) -> Tensor:
    """Return a picture whose values are rounded to 256 levels of its range."""
    low, high = x.min(), x.max()
    if high == low:
        return x.clone()
    return torch.round((x - low) / (high - low) * _GREYS) / _GREYS * (high - low) + low
