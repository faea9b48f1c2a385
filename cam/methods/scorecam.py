"""Score-CAM."""

from cam.procedures.masks import distinct_masks, most_varied, scored_masks, weighted
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "scorecam",
    title="Score-CAM",
    paper="Wang et al., CVPR Workshops 2020, arXiv:1910.01279, algorithm 1",
    formula="ReLU of the sum over channels of softmax_k(logit of x seen through A_k) x A",
    limits="A masked image is unlike any that the model was trained on; the softmax over channels makes the weights "
    "almost equal when the logits are small and almost one-hot when they are large (the note gives their entropy).",
    signed=False,
    rectified=True,
    at="layer",
    cost="one for each distinct channel of each sample, the same for all targets",
    forwards=lambda work, given: work.samples * min(work.channels, given["max_channels"] or work.channels),
    differs="the weight is the softmax probability of the label, without a softmax over channels; constant "
    "channels are skipped.",
)
def scorecam(request: ExplanationRequest, *, max_channels: int | None = None) -> RawMaps:
    """Return maps (T, B, *S) whose weights are the softmax over channels of the masked inputs' logits.

    A channel is resized to the input and then brought to [0, 1]; a constant channel's mask is 0. The baseline's score
    is left out: it is the same for all channels, so the softmax does not see it.

    ``max_channels`` takes those of largest variance alone, sample by sample: an approximation, which the note tells.

    Raises:
        ValueError: when ``max_channels`` is less than 1.
    """
    A, noted = most_varied(request.A, max_channels, "scorecam")
    return noted(weighted(A, scored_masks(request, distinct_masks(A))))
