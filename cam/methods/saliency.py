"""Saliency."""

from torch import Tensor

from cam.extra import methods_extra
from cam.procedures.attribution import Score, attributed
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["input_gradient", "magnitude"]


@procedure(
    "saliency",
    title="Saliency",
    paper="Simonyan, Vedaldi and Zisserman, ICLR 2014 workshop, arXiv:1312.6034",
    formula="largest magnitude, over the input's channels, of the target's gradient at the image",
    limits="Tells where a small change would matter, not what the score is made of; noisy, and blind where ReLUs or "
    "softmax have saturated.",
    signed=False,
    at="input",
    cost="3 a target: a forward and a backward through the whole model",
    forwards=lambda work, _given: 3 * work.samples * work.targets,
)
def saliency(request: ExplanationRequest) -> RawMaps:
    """Return max_c |dy / dx_c|: section 3.1 of the paper, with its maximum over colour channels."""

    def attribute(score: Score, x: Tensor, samples: Tensor, _rows: int) -> Tensor:
        return magnitude(input_gradient(score, x, samples))

    return RawMaps(attributed(request, attribute))


def input_gradient(score: Score, rows: Tensor, samples: Tensor) -> Tensor:
    """Return the gradient (R, C, *S) of each row's score at that row (R, C, *S)."""
    with methods_extra("saliency", "smoothgrad", "gradient_shap"):
        from captum.attr import Saliency  # loads matplotlib, which nothing else here needs

    gradient = Saliency(score).attribute(rows.requires_grad_(), abs=False, additional_forward_args=(samples,))
    assert isinstance(gradient, Tensor)
    return gradient


def magnitude(gradient: Tensor) -> Tensor:
    """Return the largest |gradient| over the input's channels: from (B, C, *S) to (B, *S)."""
    return gradient.abs().amax(dim=1)
