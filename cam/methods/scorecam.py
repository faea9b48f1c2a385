"""Score-CAM."""

from cam.procedures.masks import distinct_masks, scored_masks, weighted
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
)
def scorecam(request: ExplanationRequest) -> RawMaps:
    """Return maps (T, B, *S) whose weights are the softmax over channels of the masked inputs' logits.

    A channel is resized to the input and then brought to [0, 1]; a constant channel's mask is 0. The baseline's score
    is left out: it is the same for all channels, so the softmax does not see it.
    """
    masks = distinct_masks(request.A)
    return weighted(request.A, scored_masks(request, masks))
