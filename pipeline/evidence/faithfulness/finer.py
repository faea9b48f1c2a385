"""A second pass inside the blocks that a map ranks first, halved along each axis: for lesions smaller than a block.

All else of the picture stays as it is. Each map points elsewhere, so its opponents are drawn within its own blocks.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pipeline.evidence.faithfulness.blocks import BlockGrid, ranked
from pipeline.evidence.faithfulness.curves import FEWEST_BLOCKS, Rescore, curves_of
from pipeline.evidence.faithfulness.fills import Fill
from pipeline.evidence.faithfulness.opponents import RANDOM_ORDERS, generator_for
from pipeline.evidence.faithfulness.picture import MapOfPicture

__all__ = ["FinerAreas", "HalvedBlocks", "finer_areas", "halved_blocks"]

_FIRST = 8  # one of so many blocks is looked into, those that the map ranks first


@dataclass(frozen=True, eq=False)
class HalvedBlocks:
    """The halves of some blocks of a picture; ``chosen`` are their numbers in the ``fine`` grid. All else is kept."""

    fine: BlockGrid
    chosen: Tensor

    @property
    def blocks(self) -> int:
        """How many halves there are."""
        return len(self.chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        """The picture's (*S)."""
        return self.fine.shape

    @cached_property
    def index(self) -> Tensor:
        """Each voxel's half, (*S); beside them a number of its own."""
        number = torch.full((self.fine.blocks,), self.blocks, dtype=torch.long, device=self.fine.device)
        number[self.chosen] = torch.arange(self.blocks, device=self.fine.device)
        return number[self.fine.index]

    def means(self, maps: Tensor) -> Tensor:
        """Return the mean of maps (N, *S) over each half, (N, blocks), in double precision."""
        return self.fine.means(maps)[:, self.chosen]

    def voxels(self, of_blocks: Tensor) -> Tensor:
        """Return which voxels (rows, *S) rows (rows, blocks) of kept halves leave: all beside them, too."""
        return torch.cat([of_blocks, torch.ones_like(of_blocks[:, :1])], dim=1)[:, self.index]


@dataclass(frozen=True)
class FinerAreas:
    """Insertion minus deletion within the blocks that a map ranks first; ``own`` is None where it has no order there.

    ``centre`` is that of a blob in the middle of the picture, ``random`` are those of random orders of the same halves.
    """

    own: float | None
    random: tuple[float, ...]
    centre: float


def halved_blocks(grid: BlockGrid, order: Tensor) -> HalvedBlocks | None:
    """Return the halves of the first eighth of an order's blocks, one at least; None where there are fewer than 8.

    A side is halved where its blocks have two voxels or more.
    """
    sides = zip(grid.shape, grid.counts, strict=True)
    factors = [2 if side >= 2 * count else 1 for side, count in sides]
    fine = BlockGrid(
        grid.shape, tuple(count * factor for count, factor in zip(grid.counts, factors, strict=True)), grid.device
    )
    halves = torch.cartesian_prod(*(torch.arange(count, device=grid.device) for count in fine.counts))
    halves = halves.view(-1, len(fine.counts))
    whole = torch.zeros(len(halves), dtype=torch.long, device=grid.device)
    for axis, (count, factor) in enumerate(zip(grid.counts, factors, strict=True)):
        whole = whole * count + halves[:, axis] // factor
    chosen = torch.isin(whole, order[: max(1, grid.blocks // _FIRST)]).nonzero()[:, 0]
    return HalvedBlocks(fine, chosen) if len(chosen) >= FEWEST_BLOCKS else None


def finer_areas(
    grid: BlockGrid, given: MapOfPicture, blob: Tensor, scored: tuple[Fill, Rescore], chance: tuple[int, str]
) -> FinerAreas | None:
    """Return the areas within the blocks that a map ranks first, at 72 forwards; None where it ranks none.

    ``blob`` (*S) is that of the picture's middle, ``scored`` how taken voxels are filled and the model asked.
    """
    order = ranked(grid.means(given.values[None])[0], generator_for(*chance, f"ties of {given.name}"))
    halves = None if order is None else halved_blocks(grid, order)
    if halves is None:
        return None
    source = generator_for(*chance, f"halved blocks of {given.name}")
    drawn = [torch.randperm(halves.blocks, generator=source).to(grid.device) for _ in range(RANDOM_ORDERS)]
    centre = ranked(halves.means(blob[None])[0], source)
    own = ranked(halves.means(given.values[None])[0], source)
    orders = [drawn[0] if centre is None else centre, *drawn, *([] if own is None else [own])]
    areas = curves_of(halves, torch.stack(orders)[None], *scored).areas[given.target, 0].tolist()
    return FinerAreas(
        areas[1 + RANDOM_ORDERS] if own is not None else None, tuple(areas[1 : 1 + RANDOM_ORDERS]), areas[0]
    )
