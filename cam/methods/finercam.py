"""Finer-CAM."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cam.inputs.targets import Scalar, Target
from cam.methods.gradcam import gradcam
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "finercam",
    title="Finer-CAM",
    paper="Zhang et al., CVPR 2025, arXiv:2501.11309",
    formula="Grad-CAM of y - gamma x (mean of the logits of the most similar other labels)",
    limits="Tells what sets the label apart from its rivals; what they share is left out, however much it matters.",
    signed=False,
    rectified=True,
    at="layer",
    cost="none; a backward of the tail of its own",
    backward=True,
)
def finercam(request: ExplanationRequest, *, gamma: float = 0.6, compare: int = 3) -> RawMaps:
    """Return Grad-CAM, before its ReLU, of y_c - gamma mean_t y_{d_t}: maps (T, B, *S).

    The d_t are the ``compare`` other labels with the sample's largest logits, or all where there are fewer; for the
    predicted label these are the closest ones, the paper's most similar. They are chosen first and then fixed, with
    equal weights: no gradient flows through the choice.

    Raises:
        ValueError: when the model has one logit or no single row of them, a target is not a label, or ``compare`` < 1.
    """
    if request.logits.ndim != 2 or request.logits.shape[1] < 2:
        raise ValueError(
            f"method 'finercam' compares a label's logit with those of others, so the model must return logits of "
            f"shape (batch, at least 2), not {tuple(request.logits.shape)}"
        )
    if compare < 1:
        raise ValueError(f"finercam.compare must be at least 1, not {compare}")
    with torch.inference_mode(False):  # what is made in it cannot be differentiated through
        weighted = [_Weighted(_weights(request.logits, target, gamma, compare)) for target in request.targets]
    return RawMaps(torch.stack([gradcam(request.A, G) for G in request.gradients(weighted)]))


def _weights(logits: Tensor, target: Scalar, gamma: float, compare: int) -> Tensor:
    """Return the weight (B, K) of every logit."""
    if not isinstance(target, Target):
        raise ValueError(f"method 'finercam' explains a label, not {type(target).__name__}")  # noqa: TRY004 - callers expect one error type
    target.scores(logits)  # its own check of the labels
    own = torch.as_tensor(target.label, device=logits.device).expand(len(logits))[:, None]
    rivals = logits.scatter(1, own, -torch.inf).topk(min(compare, logits.shape[1] - 1), dim=1).indices
    weights = torch.zeros_like(logits).scatter(1, rivals, -gamma / rivals.shape[1])
    return weights.scatter(1, own, 1.0)


@dataclass(frozen=True)
class _Weighted:
    """A weighted sum of the logits, ``weights`` (B, K)."""

    weights: Tensor

    def scores(self, logits: Tensor) -> Tensor:
        return (self.weights * logits).sum(dim=1)

    def select(self, samples: Tensor) -> "_Weighted":
        return _Weighted(self.weights[samples])
