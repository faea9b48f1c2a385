"""Guided Grad-CAM."""

import torch

from cam.methods.gradcam import gradcam
from cam.methods.guided_backprop import guided_gradient
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps
from cam.resize import resize


@procedure(
    "guided_gradcam",
    title="Guided Grad-CAM",
    paper="Selvaraju et al., ICCV 2017, arXiv:1610.02391, section 3.2",
    formula="Grad-CAM, resized to the input's grid, x guided backpropagation",
    limits="As both: fine detail from the image's edges, placed no better than Grad-CAM is. Lies on the input's grid.",
    signed=True,
    at="layer",
    cost="3 a target: a forward and a backward through the whole model",
    backward=True,
    forwards=lambda work, _given: 3 * work.samples * work.targets,
)
def guided_gradcam(request: ExplanationRequest) -> RawMaps:
    """Return up(Grad-CAM) * sum_c guided gradient, on the input's grid; up is linear (captum's is nearest).

    Raises:
        ValueError: as ``guided_backprop``.
    """
    if request.capture.sees_instances(request.layer, request.x.ndim - 2):
        raise ValueError(f"layer {request.layer!r} sees instances that are no axis of the image: take gradcam")
    guided, note = guided_gradient(request)
    coarse = [gradcam(request.A, gradient).relu() for gradient in request.gradients()]
    shape = tuple(request.x.shape[2:])
    return RawMaps(torch.stack([resize(heatmap, shape) for heatmap in coarse]).to(guided.dtype) * guided, note)
