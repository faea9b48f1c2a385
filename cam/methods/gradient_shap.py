"""GradientSHAP."""

import torch
from torch import Tensor

from cam.methods.saliency import input_gradient
from cam.procedures.attribution import Score, attributed
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened

__all__ = ["uniform_pairs"]


@procedure(
    "gradient_shap",
    title="GradientSHAP",
    paper="Lundberg and Lee, NeurIPS 2017, arXiv:1705.07874; as expected gradients in Erion et al., Nature Machine "
    "Intelligence 3, 2021, arXiv:1906.10670",
    formula="sum over the input's channels of the mean of (x - b) x gradient at b + a (x - b), b and a drawn at random",
    limits="Sums to the score less its mean over the baselines, in expectation; Shapley values only where the model is "
    "linear between them and the input's values are independent.",
    signed=True,
    at="input",
    cost="3 x samples (50) a target: forwards and backwards through the whole model",
    forwards=lambda work, given: 3 * work.samples * work.targets * given["samples"],
)
def gradient_shap(
    request: ExplanationRequest, *, samples: int = 50, baselines: Tensor | None = None, seed: int = 0
) -> RawMaps:
    """Return sum_c mean_i (x_c - b_ic) dy/dx_c (b_i + a_i (x - b_i)), i to ``samples``, a_i uniform in 0..1.

    b_i is one of ``baselines`` (N, C, *S), images to compare with, drawn with equal chance. Without any it is a blank
    image: each channel at the same random height between the sample's darkest and brightest value. The draws are
    ``uniform_pairs`` of ``seed``, the same for every sample of a batch; captum's GradientShap takes them from the
    global generators of torch and numpy, and shows the model all rows at once.

    Raises:
        ValueError: when there are no samples, or baselines of another shape than the images.
    """
    if samples < 1:
        raise ValueError(f"gradient_shap.samples must be at least 1, not {samples}")
    if baselines is not None and (baselines.shape[1:] != request.x.shape[1:] or not len(baselines)):
        shapes = f"(N, {', '.join(map(str, request.x.shape[1:]))}), not {tuple(baselines.shape)}"
        raise ValueError(f"gradient_shap.baselines must have shape {shapes}")

    def attribute(score: Score, x: Tensor, batch: Tensor, rows: int) -> Tensor:
        total = widened(torch.zeros_like(x))
        for pairs in torch.split(uniform_pairs(samples, seed).to(x), max(1, rows // len(x))):
            along, heights = pairs.view(len(pairs), 2, *[1] * (x.ndim - 1)).unbind(1)
            compared = _blank(x, heights) if baselines is None else _chosen(baselines, pairs[:, 1]).to(x)
            away = x[:, None] - compared
            shown = (compared + along * away).flatten(0, 1)
            gradient = input_gradient(score, shown, batch.repeat_interleave(len(pairs)))
            total += (away * gradient.reshape(away.shape)).sum(dim=1)
        return (total / samples).sum(dim=1)

    return RawMaps(attributed(request, attribute))


def uniform_pairs(number: int, seed: int) -> Tensor:
    """Return (number, 2) draws from 0..1 in float64: how far along the line, and which baseline."""
    return torch.rand(number, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _blank(x: Tensor, heights: Tensor) -> Tensor:
    """Return blank images (B, n, C, 1, ..) for x (B, C, *S) and heights (n, 1, 1, ..) in 0..1."""
    space = tuple(range(2, x.ndim))
    low, high = x.amin(space, keepdim=True), x.amax(space, keepdim=True)
    return low[:, None] + heights * (high - low)[:, None]


def _chosen(baselines: Tensor, draws: Tensor) -> Tensor:
    return baselines.detach()[(draws * len(baselines)).long().to(baselines.device)]
