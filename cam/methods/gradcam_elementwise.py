"""Grad-CAM element-wise."""

from torch import Tensor

from cam.registry import method


@method(
    "gradcam_elementwise",
    title="Grad-CAM element-wise",
    paper="no paper; defined by the package grad-cam 1.5 (GradCAMElementWise)",
    formula="sum over channels of ReLU(G x A)",
    limits="Evidence against the target is dropped in each channel, so nothing is ever weighed against anything.",
    signed=False,
)
def gradcam_elementwise(A: Tensor, G: Tensor) -> Tensor:
    """Return sum_k ReLU(G_k A_k): A and G are (B, C, *S), the map is (B, *S)."""
    return (G * A).relu().sum(dim=1)
