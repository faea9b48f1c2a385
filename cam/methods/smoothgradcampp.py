"""Smooth Grad-CAM++."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cam.capture import capture
from cam.methods.smoothgrad import gaussian_fields
from cam.procedures.perturb import default_rows, halving
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened

_Moments = tuple[Tensor, Tensor, Tensor]  # means of g, g^2 and g^3 over the noisy copies, each (T, b, C, *S)


@procedure(
    "smoothgradcampp",
    title="Smooth Grad-CAM++",
    paper="Omeiza et al., 2019, arXiv:1908.01224",
    formula="Grad-CAM++ from the means of G, G^2 and G^3 over noisy copies of the image",
    limits="The noise makes images that the model was not trained on; the weights have the pole of Grad-CAM++.",
    signed=False,
    rectified=True,
    at="layer",
    cost="samples (10)",
    forwards=lambda work, given: work.samples * given["samples"],
)
def smoothgradcampp(request: ExplanationRequest, *, samples: int = 10, noise: float = 0.15, seed: int = 0) -> RawMaps:
    """Return maps (T, B, *S), before their ReLU: sum_k w_k A_k, w_k = sum alpha ReLU(D1), alpha = D2 / (2 D2 + S_k D3).

    D_p is the mean of g^p over ``samples`` noisy copies of the image, A and S_k = sum A_k are the image's own. alpha is
    0 where its denominator is. The paper prints D1 as alpha's numerator; this is D2, as its derivation from Grad-CAM++
    has it: without noise the map is that of Grad-CAM++. The factor exp(y) of Grad-CAM++ is left out of D_p, so that no
    copy outweighs the others. The noise is Gaussian with standard deviation ``noise`` x (max x - min x) of the sample,
    drawn from ``seed`` and the same for every sample of a batch.

    Raises:
        ValueError: when there are no samples, or the noise is negative.
    """
    if samples < 1 or noise < 0:
        raise ValueError(f"smoothgradcampp.samples must be at least 1 and noise at least 0, not {samples} and {noise}")
    rows = request.max_batch or default_rows(request.x[0].numel(), request.x.device)

    def moments(rows: int) -> list[_Moments]:
        return [
            _moments(request, some, gaussian_fields(request.x, samples, seed, max(1, rows // len(some))), noise)
            for some in torch.split(torch.arange(len(request.x), device=request.x.device), rows)
        ]

    d1, d2, d3 = (torch.cat(parts, dim=1) for parts in zip(*halving(rows, moments), strict=True))
    return RawMaps(_map(request.A, d1, d2, d3))


def _moments(request: ExplanationRequest, some: Tensor, batches: Iterator[Tensor], noise: float) -> _Moments:
    """Return D1, D2 and D3 of these samples (b,), from batches of standard normal images (n, C, *S)."""
    x = request.x[some]
    spread = noise * (x.flatten(1).amax(1) - x.flatten(1).amin(1)).view(-1, *[1] * x.ndim)
    sums: list[Tensor] = []
    number = 0
    for fields in batches:
        noisy = (x[:, None] + spread * fields).flatten(0, 1)
        shown = [target.select(some.repeat_interleave(len(fields))) for target in request.targets]
        passed = capture(request.model, noisy, [request.layer], grids=request.capture.grids)
        gradient = passed.gradients(shown)[request.layer]
        g = widened(gradient).reshape(len(gradient), len(some), len(fields), *gradient.shape[2:])
        powers = [(g**power).sum(dim=2) for power in (1, 2, 3)]
        sums = [total + power for total, power in zip(sums, powers, strict=True)] if sums else powers
        number += len(fields)
    d1, d2, d3 = (total / number for total in sums)
    return d1, d2, d3


def _map(A: Tensor, d1: Tensor, d2: Tensor, d3: Tensor) -> Tensor:
    axes = tuple(range(2, A.ndim))
    denominator = 2 * d2 + A.sum(dim=axes, keepdim=True) * d3
    alpha = torch.where(denominator == 0, 0, d2 / denominator)
    weights = (alpha * d1.relu()).flatten(3).sum(dim=3)
    return torch.einsum("tbc,bc...->tb...", weights, A)
