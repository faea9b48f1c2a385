"""SmoothGrad."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cam.methods.saliency import input_gradient, magnitude
from cam.procedures.attribution import Score, attributed
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened

__all__ = ["gaussian_fields"]


@procedure(
    "smoothgrad",
    title="SmoothGrad",
    paper="Smilkov et al., 2017, arXiv:1706.03825",
    formula="largest magnitude, over the input's channels, of the mean gradient at noisy copies of the image",
    limits="As saliency, less noisy; the noise makes images that the model was not trained on.",
    signed=False,
    at="input",
    cost="3 x samples (50) a target: forwards and backwards through the whole model",
    forwards=lambda work, given: 3 * work.samples * work.targets * given["samples"],
)
def smoothgrad(request: ExplanationRequest, *, samples: int = 50, noise: float = 0.15, seed: int = 0) -> RawMaps:
    """Return max_c |mean_i dy/dx_c (x + e_i)|, i to ``samples``.

    e_i is Gaussian, with standard deviation ``noise`` x (max x - min x) of the sample, as in section 3.2 of the paper
    (0.1 to 0.2 there). It is ``gaussian_fields`` of ``seed``, the same for every sample of a batch, so that a map does
    not depend on its neighbours; captum's NoiseTunnel draws from the global generator, other noise for other batches.

    Raises:
        ValueError: when there are no samples, or the noise is negative.
    """
    if samples < 1 or noise < 0:
        raise ValueError(f"smoothgrad.samples must be at least 1 and noise at least 0, not {samples} and {noise}")

    def attribute(score: Score, x: Tensor, batch: Tensor, rows: int) -> Tensor:
        spread = noise * (x.flatten(1).amax(1) - x.flatten(1).amin(1))
        total = widened(torch.zeros_like(x))
        for fields in gaussian_fields(x, samples, seed, max(1, rows // len(x))):
            noisy = x[:, None] + spread.view(-1, *[1] * x.ndim) * fields
            gradient = input_gradient(score, noisy.flatten(0, 1), batch.repeat_interleave(len(fields)))
            total += gradient.reshape(noisy.shape).sum(dim=1)
        return magnitude(total / samples)

    return RawMaps(attributed(request, attribute))


def gaussian_fields(x: Tensor, number: int, seed: int, together: int) -> Iterator[Tensor]:
    """Yield ``number`` standard normal images (C, *S) for x (B, C, *S), ``together`` at a time.

    One is drawn after the other, in float32 on the CPU, so they are the same on every device and in every grouping.
    """
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, number, together):
        some = range(start, min(start + together, number))
        yield torch.stack([torch.randn(x.shape[1:], generator=generator, dtype=torch.float32) for _ in some]).to(x)
