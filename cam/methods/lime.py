"""LIME."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cam.methods.supervoxels import Surrogate, supervoxel_maps
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["random_coalitions"]

_WIDTH = 0.25  # of the kernel, and the penalty below: as in the authors' explainer of images
_PENALTY = 1.0


@procedure(
    "lime",
    title="LIME",
    paper="Ribeiro, Singh and Guestrin, KDD 2016, arXiv:1602.04938",
    formula="each supervoxel's coefficient in a ridge regression of the score on which supervoxels are on",
    limits="One number a supervoxel: nothing smaller is resolved. Holds for images with switched-off parts, which the "
    "model was not trained on; changes with supervoxels, baseline and seed.",
    signed=True,
    at="input",
    cost="samples (1000) a target, for each sample of the batch",
    forwards=lambda work, given: work.samples * work.targets * given["samples"],
)
def lime(
    request: ExplanationRequest,
    *,
    segments: int = 50,
    samples: int = 1000,
    spacing: Sequence[float] | None = None,
    baseline: float = 0.0,
    seed: int = 0,
) -> RawMaps:
    """Return the weighted ridge regression's coefficients over SLIC supervoxels.

    Of ``samples`` coalitions the first has every supervoxel on, the others each with chance 1/2
    (``random_coalitions``). Weights: the exponential kernel of the paper, sqrt(exp(-d^2 / 0.25^2)), d the cosine
    distance from all on; penalty 1 on the squared coefficients, none on the intercept; no supervoxel is left out:
    as in the authors' explainer of images, where the paper has a lasso of K features. ``segments`` and ``spacing`` are
    those of ``supervoxels``.

    Raises:
        ValueError: when there are no samples, or as ``supervoxels``.
    """
    if samples < 1:
        raise ValueError(f"lime.samples must be at least 1, not {samples}")
    surrogate = Surrogate(lambda number: random_coalitions(samples, number, seed), _ridge)
    maps, (least, most) = supervoxel_maps(request, surrogate, segments=segments, spacing=spacing, baseline=baseline)
    return RawMaps(maps, f"{least} to {most} supervoxels")


def random_coalitions(samples: int, number: int, seed: int) -> Tensor:
    """Return coalitions (samples, number) of 0 and 1: the first all on, the others on with chance 1/2."""
    generator = torch.Generator().manual_seed(seed)
    coalitions = torch.randint(0, 2, (samples, number), generator=generator)
    coalitions[0] = 1
    return coalitions


def _ridge(coalitions: Tensor, scores: Tensor) -> Tensor:
    distance = 1 - coalitions.mean(dim=1).sqrt()  # the cosine of z and all on is sqrt(|z| / M)
    weights = torch.exp(-(distance**2) / _WIDTH**2).sqrt()
    share = weights / weights.sum()
    centred = coalitions - share @ coalitions
    gram = centred.T @ (weights[:, None] * centred) + _PENALTY * torch.eye(coalitions.shape[1], dtype=scores.dtype)
    solved: Tensor = torch.linalg.solve(gram, centred.T @ (weights * (scores - share @ scores)))
    return solved
