"""SS-CAM."""

import torch
from torch import Tensor

from cam.procedures.masks import distinct_masks, most_varied, scored_masks, weighted
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "sscam",
    title="SS-CAM (noise on the masks)",
    paper="Wang, Naidu et al., 2020, arXiv:2006.14255",
    formula="Score-CAM whose score is the mean over noisy masks A_k + d, d normal",
    limits="With the paper's noise (standard deviation 2 on masks in [0, 1]) the inputs are mostly noise. All channels "
    "see the same noises here, so that they differ by their masks alone.",
    signed=False,
    rectified=True,
    at="layer",
    cost="35 (by default) for each distinct channel of each sample, the same for all targets",
    forwards=lambda work, given: (
        work.samples * given["samples"] * min(work.channels, given["max_channels"] or work.channels)
    ),
)
def sscam(
    request: ExplanationRequest,
    *,
    samples: int = 35,
    deviation: float = 2.0,
    seed: int = 0,
    max_channels: int | None = None,
) -> RawMaps:
    """Return Score-CAM's maps (T, B, *S) with each channel's logit a mean over ``samples`` noisy masks.

    Noise of standard deviation ``deviation`` is added to the mask after it was brought to [0, 1]; the sum is used as it
    is. The noises are drawn on the CPU from ``seed``, one after the other, and shared by all channels and samples.

    ``max_channels`` takes those of largest variance alone, sample by sample: an approximation, which the note tells.

    Raises:
        ValueError: when ``samples`` is less than 1 or ``deviation`` is negative.
    """
    if samples < 1 or deviation < 0:
        raise ValueError(f"sscam.samples must be at least 1 and deviation at least 0, not {samples} and {deviation}")
    noise = deviation * torch.randn(samples, *request.x.shape[2:], generator=torch.Generator().manual_seed(seed))
    noise = noise.to(request.x.device)

    def noisy(masks: Tensor, number: Tensor) -> Tensor:
        return masks + noise[number]

    A, noted = most_varied(request.A, max_channels, "sscam")
    return noted(weighted(A, scored_masks(request, distinct_masks(A), noisy, samples)))
