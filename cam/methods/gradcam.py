"""Grad-CAM."""

import torch
from torch import Tensor

from cam.registry import method


@method(
    "gradcam",
    title="Grad-CAM",
    paper="Selvaraju et al., ICCV 2017, arXiv:1610.02391",
    formula="ReLU of the sum over channels of (spatial mean of G) x A",
    limits="The gradient is averaged over space, so the map can mark places that the model did not use.",
    signed=False,
    rectified=True,
)
def gradcam(A: Tensor, G: Tensor) -> Tensor:
    """Return sum_k mean(G_k) A_k, whose ReLU is the map: A and G are (B, C, *S), the map is (B, *S).

    The mean is taken in float64, so that the mean of equal gradients is that gradient: where G is constant in space
    this is HiResCAM to the last bit, its sum taken in the same order whatever the tensors' layout.
    """
    weights = G.mean(dim=tuple(range(2, G.ndim)), keepdim=True, dtype=torch.float64).to(G.dtype)
    return (weights * A).contiguous().sum(dim=1)
