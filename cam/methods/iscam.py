"""IS-CAM."""

from torch import Tensor

from cam.procedures.masks import distinct_masks, most_varied, scored_masks, weighted
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "iscam",
    title="IS-CAM (masks within [0, 1])",
    paper="Naidu et al., 2020, arXiv:2010.03023",
    formula="Score-CAM whose score is the mean over masks (i/N) A_k, i = 1..N",
    limits="Masks are scaled by i/N and stay within [0, 1]; implementations that add the scaled masks up leave that "
    "range and give other maps.",
    signed=False,
    rectified=True,
    at="layer",
    cost="10 (by default) for each distinct channel of each sample, the same for all targets",
    forwards=lambda work, given: (
        work.samples * given["steps"] * min(work.channels, given["max_channels"] or work.channels)
    ),
)
def iscam(request: ExplanationRequest, *, steps: int = 10, max_channels: int | None = None) -> RawMaps:
    """Return Score-CAM's maps (T, B, *S) with each channel's logit a mean over its mask times i/N, i = 1..N.

    ``max_channels`` takes those of largest variance alone, sample by sample: an approximation, which the note tells.

    Raises:
        ValueError: when ``steps``, N, is less than 1.
    """
    if steps < 1:
        raise ValueError(f"iscam.steps must be at least 1, not {steps}")

    def dimmed(masks: Tensor, number: Tensor) -> Tensor:
        return masks * ((number + 1) / steps).view(-1, *[1] * (masks.ndim - 1))

    A, noted = most_varied(request.A, max_channels, "iscam")
    return noted(weighted(A, scored_masks(request, distinct_masks(A), dimmed, steps)))
