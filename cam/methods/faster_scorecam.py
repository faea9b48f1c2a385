"""Faster Score-CAM."""

from cam.procedures.masks import distinct_masks, most_varied, scored_masks, weighted
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "faster_scorecam",
    title="Faster Score-CAM (approximate)",
    paper="code only: https://github.com/tabayashi0117/Score-CAM, after Wang et al., arXiv:1910.01279",
    formula="Score-CAM of the N channels whose activation varies most over space",
    limits="Approximate: every other channel is left out, and a channel that varies little may matter most.",
    signed=False,
    rectified=True,
    at="layer",
    cost="at most N for each sample (10 by default), the same for all targets",
    forwards=lambda work, given: work.samples * min(work.channels, given["count"]),
)
def faster_scorecam(request: ExplanationRequest, *, count: int = 10) -> RawMaps:
    """Return Score-CAM's maps (T, B, *S) of each sample's ``count`` channels of largest variance, the first of equals.

    Raises:
        ValueError: when ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"faster_scorecam.count must be at least 1, not {count}")
    chosen, _ = most_varied(request.A, count, "faster_scorecam")
    return weighted(chosen, scored_masks(request, distinct_masks(chosen)))
