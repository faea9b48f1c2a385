"""Grad-CAM."""

from torch import Tensor

from cam.registry import method


@method(
    "gradcam",
    title="Grad-CAM",
    paper="Selvaraju et al., ICCV 2017, arXiv:1610.02391",
    formula="ReLU of the sum over channels of (spatial mean of G) x A",
    limits="The gradient is averaged over space, so the map can mark places that the model did not use.",
    signed=False,
)
def gradcam(A: Tensor, G: Tensor) -> Tensor:
    """Return ReLU(sum_k mean(G_k) A_k): A and G are (B, C, *S), the map is (B, *S)."""
    weights = G.mean(dim=tuple(range(2, G.ndim)), keepdim=True)
    return (weights * A).sum(dim=1).relu()
