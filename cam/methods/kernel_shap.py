"""KernelSHAP."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cam.methods.supervoxels import Surrogate, supervoxel_maps
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["shapley_coalitions"]


@procedure(
    "kernel_shap",
    title="KernelSHAP",
    paper="Lundberg and Lee, NeurIPS 2017, arXiv:1705.07874",
    formula="each supervoxel's Shapley value, by least squares over coalitions of supervoxels",
    limits="One number a supervoxel: nothing smaller is resolved. The values sum to the score's change from the "
    "baseline; exact where the note says so, else with the noise of the coalitions drawn.",
    signed=True,
    at="input",
    cost="samples (1000) a target, for each sample of the batch; 2^supervoxels where that is less",
    forwards=lambda work, given: work.samples * work.targets * given["samples"],
)
def kernel_shap(
    request: ExplanationRequest,
    *,
    segments: int = 50,
    samples: int = 1000,
    spacing: Sequence[float] | None = None,
    baseline: float = 0.0,
    seed: int = 0,
) -> RawMaps:
    """Return Shapley values over SLIC supervoxels, from theorem 2 of the paper.

    Where all 2^M coalitions of the M supervoxels are at most ``samples``, each is shown once and weighed by the
    Shapley kernel: the values are exact. Else they are drawn by that kernel (``shapley_coalitions``). That the values
    sum to the score's change from all off to all on is a constraint, not a large weight. ``segments`` and ``spacing``
    are those of ``supervoxels``.

    Raises:
        ValueError: when the samples are too few for the supervoxels, or as ``supervoxels``.
    """
    surrogate = Surrogate(lambda number: shapley_coalitions(samples, number, seed), _shapley)
    maps, (least, most) = supervoxel_maps(request, surrogate, segments=segments, spacing=spacing, baseline=baseline)
    return RawMaps(maps, f"{least} to {most} supervoxels{', all coalitions' if 2**most <= samples else ''}")


def shapley_coalitions(samples: int, number: int, seed: int) -> Tensor:
    """Return coalitions (N, number) of 0 and 1, N at most ``samples``: first all off, last all on.

    All 2^number of them where these fit. Else each has k of M on with chance proportional to 1 / (k (M - k)), which
    k of them with equal chance, and is followed by its complement, which takes out the first order of the noise.

    Raises:
        ValueError: when there is not room for one pair beside all off and all on.
    """
    if 2**number <= samples:
        return (torch.arange(2**number)[:, None] >> torch.arange(number)) & 1
    if samples < 4:
        raise ValueError(f"kernel_shap.samples must be at least 4, not {samples}")
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.arange(1, number, dtype=torch.float64)
    pairs = (samples - 2) // 2
    chosen = torch.multinomial(1 / (sizes * (number - sizes)), pairs, replacement=True, generator=generator) + 1
    ranks = torch.rand(pairs, number, generator=generator).argsort(dim=1).argsort(dim=1)
    drawn = (ranks < chosen[:, None]).long()
    both = torch.stack([drawn, 1 - drawn], dim=1).flatten(0, 1)
    return torch.cat([torch.zeros(1, number).long(), both, torch.ones(1, number).long()])


def _shapley(coalitions: Tensor, scores: Tensor) -> Tensor:
    """Solve the least squares under the constraint on the sum, by writing the last value as what is left of it."""
    number, change = coalitions.shape[1], scores[-1] - scores[0]
    between, answers = coalitions[1:-1], scores[1:-1] - scores[0]
    root = _kernel(between, number, every=len(coalitions) == 2**number).sqrt()
    design = (between[:, :-1] - between[:, -1:]) * root[:, None]
    solved = torch.linalg.lstsq(design, ((answers - between[:, -1] * change) * root)[:, None], driver="gelsd")
    if int(solved.rank) < number - 1:
        raise ValueError(f"kernel_shap.samples must be more than {len(coalitions)} for {number} supervoxels")
    values = solved.solution[:, 0]
    return torch.cat([values, (change - values.sum())[None]])


def _kernel(coalitions: Tensor, number: int, *, every: bool) -> Tensor:
    """Return each coalition's weight: the Shapley kernel, or 1 where the drawing has weighed them already."""
    if not every:
        return torch.ones(len(coalitions), dtype=coalitions.dtype)
    sizes = [int(size) for size in coalitions.sum(dim=1)]
    return coalitions.new_tensor([(number - 1) / (math.comb(number, k) * k * (number - k)) for k in sizes])
