"""Faithfulness numbers that reviewers ask for and that are known to mislead: computed on request, never in a verdict.

Against the true order of blocks, average drop and increase say the opposite of the truth or nothing at all, and holes
of one grey are so unlike a picture that a random order destroys as much as a right one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.evidence.faithfulness.blocks import BlockGrid, block_grid, ranked
from pipeline.evidence.faithfulness.curves import Curves, Rescore, curves_of
from pipeline.evidence.faithfulness.fills import mean_fill

__all__ = [
    "CELLS_PER_AXIS",
    "DELETION_STEPS",
    "SETS",
    "DropAndIncrease",
    "drop_and_increase",
    "mean_fill_deletion",
    "sensitivity_n",
    "shown_by_map",
]

CELLS_PER_AXIS = 16
DELETION_STEPS = 10
SETS = 50
_SET_SHARE = 0.5
_CONSTANT = 1e-9
"""What varies by less than this share of its size says the same of every set."""


@dataclass(frozen=True)
class DropAndIncrease:
    """How far the probability falls when only what the map marks is left, in percent of it; and whether it rises.

    Chattopadhay et al., WACV 2018, arXiv:1710.11063.
    """

    drop_percent: float
    increases: bool


def shown_by_map(x: Tensor, heatmap: Tensor) -> Tensor:
    """Return the picture (C, *S) times its map (*S), the map brought to 0 to 1; a constant map shows nothing."""
    low, high = heatmap.min(), heatmap.max()
    scaled = (heatmap - low) / (high - low) if bool(high > low) else torch.zeros_like(heatmap)
    return x * scaled.to(x)


def drop_and_increase(before: float, after: float) -> DropAndIncrease:
    """Return what showing only the marked part does to the probability, which was ``before`` and is ``after``.

    Raises:
        ValueError: when ``before`` is not above 0 and at most 1, or ``after`` no probability.
    """
    if not 0 < before <= 1 or not 0 <= after <= 1:
        raise ValueError(f"probabilities lie within 0 and 1, and a drop needs one above 0; received {before}, {after}")
    return DropAndIncrease(100 * max(0.0, before - after) / before, after > before)


def mean_fill_deletion(x: Tensor, heatmap: Tensor, rescore: Rescore, generator: torch.Generator) -> Tensor | None:
    """Return the scores (T, 11) while a picture (1, C, *S) loses its cells to grey, the map's highest (*S) first.

    Petsiuk et al., BMVC 2018 (deletion), of 16 cells along each axis and in 10 steps. None where the map has no order.
    """
    grid = block_grid(x.shape[2:], x.device, CELLS_PER_AXIS)
    order = ranked(grid.means(heatmap[None])[0], generator)
    if order is None:
        return None
    curves: Curves = curves_of(grid, order[None, None], mean_fill(x), rescore, DELETION_STEPS)
    return curves.deletion[:, 0, 0]


def sensitivity_n(
    x: Tensor, heatmaps: Tensor, grid: BlockGrid, rescore: Rescore, generator: torch.Generator
) -> tuple[tuple[float | None, ...], ...]:
    """Return the correlations (T, N) of what maps (N, *S) say of sets of blocks with what taking the sets away does.

    Ancona et al., ICLR 2018, arXiv:1711.06104: 50 random sets of half of the blocks of one picture (1, C, *S), grey
    instead; the sets serve every map. None where a map or the scores say the same of every set.
    """
    size = max(1, round(_SET_SHARE * grid.blocks))
    drawn = torch.stack([torch.randperm(grid.blocks, generator=generator)[:size] for _ in range(SETS)])
    keep = torch.ones(SETS + 1, grid.blocks, dtype=torch.bool)
    keep[torch.arange(1, SETS + 1)[:, None], drawn] = False
    keep, fill = keep.to(x.device), mean_fill(x)
    samples = torch.zeros(SETS + 1, dtype=torch.long, device=x.device)
    scores = rescore(samples, lambda chunk: fill(samples[chunk], grid.voxels(keep[chunk]))).double()
    drops = scores[:, :1] - scores[:, 1:]
    evidence = grid.means(heatmaps) * grid.sizes
    return _correlations(drops, (evidence @ (~keep[1:]).double().T).to(drops))


def _correlations(first: Tensor, second: Tensor) -> tuple[tuple[float | None, ...], ...]:
    """Return Pearson's correlations (T, N) of rows (T, sets) and (N, sets); None where either is constant."""
    centred = [values - values.mean(dim=1, keepdim=True) for values in (first, second)]
    lengths = [values.norm(dim=1) for values in centred]
    defined = [
        length > _CONSTANT * values.abs().amax(dim=1) for length, values in zip(lengths, (first, second), strict=True)
    ]
    whole = (centred[0] @ centred[1].T) / (lengths[0][:, None] * lengths[1])
    both = defined[0][:, None] & defined[1]
    rows = zip(whole.tolist(), both.tolist(), strict=True)
    return tuple(tuple(value if is_defined else None for value, is_defined in zip(*row, strict=True)) for row in rows)
