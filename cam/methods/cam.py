"""CAM."""

from torch import Tensor

from cam.network.last_layers import is_affine
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

_TOLERANCE = 1e-4  # of the largest gradient


@procedure(
    "cam",
    title="CAM",
    paper="Zhou et al., CVPR 2016, arXiv:1512.04150",
    formula="sum over channels of (the classifier's weight) x A, signed, without the bias",
    limits="Only for pooling by the mean and one linear layer, where Grad-CAM and HiResCAM are the same evidence.",
    signed=True,
    at="layer",
    cost="none; the tail's backward, and 9 forwards once where an operation behind the layer is not known",
    backward=True,
)
def cam(request: ExplanationRequest) -> RawMaps:
    """Return sum_k w_k A_k, equation 2 of the paper: A is (B, C, *S), the maps are (T, B, *S).

    The weight of a linear layer behind the spatial mean is the sum of the gradient over space, w_k = sum G_k, so no
    layer has to be found by its name.

    Raises:
        ValueError: when the layer is not followed by pooling and a linear layer alone.
    """
    G = request.gradients()
    fault = "" if _constant_in_space(G) else "the gradient varies in space"
    fault = fault or ("" if is_affine(request) else "the logits are not an affine function of A")
    if fault:
        raise ValueError(
            f"method 'cam' needs a layer that only pooling by the mean and one linear layer follow; at layer "
            f"{request.layer!r} {fault}, so no channel has its own weight in the logit: use 'hirescam' or 'gradcam'"
        )
    weights = G.sum(dim=tuple(range(3, G.ndim)), keepdim=True)
    return RawMaps((weights * request.A).sum(dim=2))


def _constant_in_space(G: Tensor) -> bool:
    flat = G.flatten(3)
    return bool((flat.amax(3) - flat.amin(3)).amax() <= _TOLERANCE * flat.abs().amax())
