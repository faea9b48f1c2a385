"""Insertion and deletion: what the scores do while a picture's blocks come back, or are taken away, in an order.

Both curves of every order of every picture are rows of one line, and so are the two pictures at their ends, which all
orders of a picture share: 14 forwards an order at 8 steps, and 2 a picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cam.procedures.perturb import Build
from pipeline.evidence.faithfulness.fills import Fill

__all__ = ["FEWEST_BLOCKS", "STEPS", "Blocks", "Curves", "Rescore", "curves_of", "step_ends"]

STEPS = 8
FEWEST_BLOCKS = 8
"""Of fewer blocks there are too few orders to tell a right one from chance."""

Rescore = Callable[[Tensor, Build], Tensor]
"""Returns every target's scores (T, rows) of the rows that a function makes, told which sample each shows."""


class Blocks(Protocol):
    """Parts of a picture of ``shape`` (*S) that are taken away and come back."""

    @property
    def blocks(self) -> int:
        """How many there are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The picture's (*S)."""

    def voxels(self, of_blocks: Tensor, /) -> Tensor:
        """Return which voxels (rows, *S) rows (rows, blocks) of kept blocks leave."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The scores along orders of blocks, each (T, B, N, steps + 1): targets, pictures, orders.

    ``insertion`` begins with the filled picture, ``deletion`` with the picture itself. ``shares`` (steps + 1,) is how
    much of the blocks came back, or is gone.
    """

    insertion: Tensor
    deletion: Tensor
    shares: Tensor

    @property
    def areas(self) -> Tensor:
        """The area under insertion minus that under deletion (trapezia), (T, B, N): in units of the score.

        The ends cancel. An order backwards has the same area with the other sign, where the steps are alike from both
        ends.
        """
        return torch.trapezoid(self.insertion - self.deletion, self.shares, dim=-1)


def step_ends(blocks: int, steps: int = STEPS) -> tuple[int, ...]:
    """Return how many blocks are done after each step, from none to all of them; alike from both ends."""
    steps = min(steps, blocks)
    ends = [number * blocks // steps for number in range(steps // 2 + 1)]
    return (*ends, *(blocks - end for end in reversed(ends[: (steps + 1) // 2])))


def curves_of(grid: Blocks, orders: Tensor, fill: Fill, rescore: Rescore, steps: int = STEPS) -> Curves:
    """Return the curves of orders (B, N, blocks), each from its first block to its last.

    Raises:
        ValueError: when the picture has fewer than 8 blocks.
    """
    if grid.blocks < FEWEST_BLOCKS:
        raise ValueError(
            f"a picture of shape {grid.shape} has {grid.blocks} blocks, and orders are told apart from {FEWEST_BLOCKS}"
        )
    batch, number, blocks = orders.shape
    ends = step_ends(blocks, steps)
    kept = _kept(orders, ends)
    edges = torch.stack([torch.zeros_like(kept[:, 0, 0]), torch.ones_like(kept[:, 0, 0])], dim=1)
    rows = torch.cat([edges, kept.flatten(1, 2)], dim=1)
    samples = torch.arange(batch, device=orders.device).repeat_interleave(rows.shape[1])
    flat = rows.flatten(0, 1)
    scores = rescore(samples, lambda chunk: fill(samples[chunk], grid.voxels(flat[chunk]))).double()
    scores = scores.view(len(scores), batch, -1)
    filled, whole = (scores[:, :, end, None, None].expand(-1, -1, number, 1) for end in (0, 1))
    inserted, deleted = scores[:, :, 2:].view(len(scores), batch, number, 2, -1).unbind(dim=3)
    shares = torch.tensor(ends, dtype=torch.float64, device=scores.device) / blocks
    return Curves(torch.cat([filled, inserted, whole], dim=-1), torch.cat([whole, deleted, filled], dim=-1), shares)


def _kept(orders: Tensor, ends: tuple[int, ...]) -> Tensor:
    """Return which blocks are left at each step between the ends, (B, N, 2 x (steps - 1), blocks).

    First those of the insertion, in which the first blocks are left, then those of the deletion, in which they go.
    """
    place = orders.argsort(dim=-1)  # an order's inverse: when a block's turn comes
    inner = torch.tensor(ends[1:-1], device=orders.device)
    inserted = place[:, :, None, :] < inner[:, None]
    return torch.cat([inserted, ~inserted], dim=2)
