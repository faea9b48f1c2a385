"""RISE."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cam.procedures.perturb import default_rows, exact, rescored
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "rise",
    title="RISE",
    paper="Petsiuk et al., BMVC 2018, arXiv:1806.07421",
    formula="1/(N p) sum over random masks of logit(x seen through the mask) x mask",
    limits="A Monte Carlo estimate: compare seeds before reading details. The logit is taken, not the paper's softmax, "
    "so a map is made of differences around the mean logit.",
    signed=True,
    at="input",
    cost="1,000 (by default) for each sample, the same for all targets",
    forwards=lambda work, given: work.samples * given["count"],
)
def rise(
    request: ExplanationRequest, *, count: int = 1000, cells: int = 7, probability: float = 0.5, seed: int = 0
) -> RawMaps:
    """Return maps (T, B, *S) at the input's resolution.

    A mask is a grid of ``cells`` cells along each axis, each on with ``probability``, enlarged linearly to one cell
    more than the input takes and cut out at a random place (section 3.2; a cell is rounded up to whole voxels). The
    ``count`` masks are drawn on the CPU from ``seed`` and are the same for all samples.

    Raises:
        ValueError: when ``count`` or ``cells`` is less than 1 or ``probability`` is not above 0 and at most 1.
    """
    if count < 1 or cells < 1 or not 0 < probability <= 1:
        received = f"count {count}, cells {cells}, probability {probability}"
        rule = "rise.count and rise.cells must be at least 1, rise.probability above 0 and at most 1"
        raise ValueError(f"{rule}; received {received}")
    generator = torch.Generator().manual_seed(seed)
    shape, device = tuple(request.x.shape[2:]), request.x.device
    grids = torch.rand(count, *[cells] * len(shape), generator=generator) < probability
    axes = [_enlargements(side, cells, count, generator).to(request.x) for side in shape]
    masks = _Masks(grids.to(request.x), axes)
    return RawMaps(_mean_mask(request, masks, torch.arange(count, device=device)) / probability)


@dataclass(frozen=True)
class _Masks:
    """Grids (N, cells, ...), and for each axis the weights (N, side, cells) that enlarge and cut them."""

    grids: Tensor
    axes: list[Tensor]

    def __getitem__(self, number: Tensor) -> Tensor:
        masks = self.grids[number]
        with exact(masks):
            for weights in self.axes:  # an axis at a time: its cells give way, as the last axis, to its voxels
                masks = torch.einsum("nc...,nvc->n...v", masks, weights[number])
        return masks


def _enlargements(side: int, cells: int, count: int, generator: torch.Generator) -> Tensor:
    """Return the linear weights (N, side, cells) of the voxels of an axis, each mask moved by up to one cell."""
    size = -(-side // cells)
    moved = torch.randint(size, (count, 1), generator=generator) + torch.arange(side)
    place = ((moved + 0.5) * cells / ((cells + 1) * size) - 0.5).clamp(0, cells - 1)
    return (1 - (place[:, :, None] - torch.arange(cells)).abs()).clamp(min=0)


def _mean_mask(request: ExplanationRequest, masks: _Masks, number: Tensor) -> Tensor:
    """Return the mean (T, B, *S) of the masks, each weighted by the score of the inputs seen through it."""
    x = request.x
    samples = torch.arange(len(x), device=x.device).repeat(len(number))

    def build(chunk: slice) -> Tensor:
        shown = torch.arange(chunk.start, chunk.stop, device=x.device) // len(x)
        return x[samples[chunk]] * masks[shown][:, None]

    scores = rescored(request, samples, build).to(x.device).view(-1, len(number), len(x))
    total = scores.new_zeros(len(scores), len(x), *x.shape[2:])
    rows = request.max_batch or default_rows(x[0].numel(), x.device)
    for start in range(0, len(number), rows):
        some = number[start : start + rows]
        with exact(total):
            total += torch.einsum("tnb,n...->tb...", scores[:, some], masks[some].to(scores))
    return total / len(number)
