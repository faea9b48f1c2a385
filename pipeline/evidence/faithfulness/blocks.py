"""Blocks of a picture: which voxels each holds, what a map says of each, and the order in which a map ranks them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

__all__ = ["PER_AXIS", "BlockGrid", "block_grid", "ranked"]

PER_AXIS = 4
"""Blocks along each axis: smaller holes are themselves unlike any picture that the model knows."""

_TIED = 1e-6
"""Means that differ by less than this share of the largest are tied: rounding is no evidence."""


@dataclass(frozen=True, eq=False)
class BlockGrid:
    """Blocks as even as the sides allow; a side of fewer voxels than blocks has a block for each voxel.

    ``shape`` is the picture's (*S), ``counts`` the blocks along each axis. Blocks are numbered in the order of their
    axes, the last one fastest.
    """

    shape: tuple[int, ...]
    counts: tuple[int, ...]
    device: torch.device

    @property
    def blocks(self) -> int:
        """How many there are."""
        return prod(self.counts)

    @cached_property
    def index(self) -> Tensor:
        """Each voxel's block, (*S)."""
        number = torch.zeros((), dtype=torch.long, device=self.device)
        for place, count in zip(self._places, self.counts, strict=True):
            number = number[..., None] * count + place
        return number

    @property
    def sizes(self) -> Tensor:
        """How many voxels each block has, (blocks,)."""
        return torch.bincount(self.index.flatten().cpu(), minlength=self.blocks).double().to(self.device)

    @property
    def _places(self) -> list[Tensor]:
        """Along each axis, (side,): which of the axis' blocks a voxel lies in."""
        sides = zip(self.shape, self.counts, strict=True)
        return [torch.arange(side, device=self.device) * count // side for side, count in sides]

    def means(self, maps: Tensor) -> Tensor:
        """Return the mean of maps (N, *S) over each block, (N, blocks), in double precision."""
        values = maps.to(self.device, torch.float64)
        for place, count in zip(self._places, self.counts, strict=True):
            member = (place == torch.arange(count, device=self.device)[:, None]).double()
            share = member / member.sum(dim=1, keepdim=True)
            values = torch.tensordot(values, share, dims=([1], [1]))  # the axis' blocks come last, in the axes' order
        return values.flatten(1)

    def voxels(self, of_blocks: Tensor) -> Tensor:
        """Return what rows (rows, blocks) say of each block at its voxels, (rows, *S)."""
        return of_blocks[:, self.index]


def block_grid(shape: Sequence[int], device: torch.device, per_axis: int = PER_AXIS) -> BlockGrid:
    """Return the blocks of pictures of spatial ``shape``, ``per_axis`` along each axis."""
    return BlockGrid(tuple(shape), tuple(min(per_axis, side) for side in shape), device)


def ranked(means: Tensor, generator: torch.Generator) -> Tensor | None:
    """Return the blocks from the highest mean to the lowest, (blocks,); None where all are tied: there is no order.

    Tied blocks, as the empty ones of a rectified map, come in an order drawn from ``generator`` (on the CPU): one by
    place would favour whatever lies in a corner.
    """
    scale = means.abs().max()
    if not bool(scale > 0):
        return None
    steps = torch.round(means / (scale * _TIED))
    if bool((steps == steps[0]).all()):
        return None
    shuffled = torch.randperm(len(means), generator=generator).to(means.device)
    return shuffled[steps[shuffled].sort(descending=True, stable=True).indices]
