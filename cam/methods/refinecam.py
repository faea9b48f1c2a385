"""RefineCAM."""

import torch

from cam.methods.gradcampp import gradcampp
from cam.procedures.masks import unit_range
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened
from cam.resize import resize


@procedure(
    "refinecam",
    title="RefineCAM (over layers)",
    paper="Domeniconi, Stramiglio, Lombardi and Salti, 2026, arXiv:2605.14641",
    formula="product over layers of Grad-CAM++, each brought to 0..1, on the finest layer's grid",
    limits="A place is left only where every layer marks it: a layer that misses the finding takes it out of the map, "
    "and one whose map is the same everywhere empties the whole.",
    signed=False,
    at="layers",
    cost="none",
    backward=True,
    differs="each map is resized to the image before the product; Grad-CAM++ there has an epsilon.",
)
def refinecam(request: ExplanationRequest) -> RawMaps:
    """Return prod_l (M_l - min M_l) / (max M_l - min M_l), M_l = ReLU(Grad-CAM++) at layer l: maps (T, B, *S).

    Each map is brought to 0..1, then resized linearly to the layer with the most cells, the first of equals.

    Raises:
        ValueError: for fewer than two layers, or when one sees instances that are no axis of the image.
    """
    capture = request.capture
    if len(request.layers) < 2:
        raise ValueError(f"method 'refinecam' needs at least two layers, not {list(request.layers)}")
    outside = [layer for layer in request.layers if capture.sees_instances(layer, request.x.ndim - 2)]
    if outside:
        raise ValueError(f"layer {outside[0]!r} sees instances that are no axis of the image: take gradcampp")
    gradients = capture.gradients(request.targets)
    maps = []
    for layer in request.layers:
        A = widened(capture.activations[layer].detach())
        raw = torch.stack([gradcampp(A, widened(G)).relu() for G in gradients[layer]])
        maps.append(unit_range(raw.flatten(0, 1)).view(raw.shape))
    shape = max((tuple(values.shape[2:]) for values in maps), key=lambda sizes: torch.Size(sizes).numel())
    onto = [resize(values.flatten(0, 1), shape).view(*values.shape[:2], *shape) for values in maps]
    return RawMaps(torch.stack(onto).prod(dim=0))
