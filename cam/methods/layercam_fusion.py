"""Layer-CAM, fused over layers."""

import torch
from torch import Tensor

from cam.methods.layercam import layercam
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened
from cam.resize import resize


@procedure(
    "layercam_fusion",
    title="Layer-CAM, fused",
    paper="Jiang et al., IEEE Transactions on Image Processing 30, 2021",
    formula="largest, over the layers, of tanh(2 M / max M), M the layer's Layer-CAM on the finest layer's grid",
    limits="Every layer's map is scaled to the same height, so a layer that says little speaks as loud as the rest.",
    signed=False,
    at="layers",
    cost="none; the tail's backward, from the earliest layer",
    backward=True,
)
def layercam_fusion(request: ExplanationRequest) -> RawMaps:
    """Return max_l tanh(2 M_l / max M_l), on the grid of the layer with the most cells: maps (T, B, *S).

    The maximum is that of a sample's map at the layer's own resolution; a map that is empty stays so. The paper scales
    the maps of shallow layers; here all are, as otherwise those of deep layers would have no common scale with them.

    Raises:
        ValueError: for fewer than two layers.
    """
    if len(request.layers) < 2:
        raise ValueError(f"method 'layercam_fusion' needs at least two layers, not {list(request.layers)}")
    gradients = request.capture.gradients(request.targets)
    activations = {name: widened(request.capture.activations[name].detach()) for name in request.layers}
    shape = max(
        (tuple(activation.shape[2:]) for activation in activations.values()),
        key=lambda sizes: torch.Size(sizes).numel(),
    )
    maps = [
        torch.stack([resize(_scaled(layercam(A, widened(G)).relu()), shape) for G in gradients[name]])
        for name, A in activations.items()
    ]
    return RawMaps(torch.stack(maps).amax(dim=0))


def _scaled(maps: Tensor) -> Tensor:
    peak = maps.flatten(1).amax(dim=1).view(-1, *[1] * (maps.ndim - 1))
    return torch.tanh(2 * maps / torch.where(peak > 0, peak, 1))
