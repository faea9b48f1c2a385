"""Layer-CAM."""

from torch import Tensor

from cam.registry import method


@method(
    "layercam",
    title="Layer-CAM",
    paper="Jiang et al., IEEE Transactions on Image Processing 30, 2021",
    formula="ReLU of the sum over channels of ReLU(G) x A",
    limits="Evidence against the target is dropped before the sum, so the map can look broader than it is.",
    signed=False,
    rectified=True,
    differs="the last ReLU is left out, which changes nothing where A is behind a ReLU.",
)
def layercam(A: Tensor, G: Tensor) -> Tensor:
    """Return sum_k ReLU(G_k) A_k, whose ReLU is the map: A and G are (B, C, *S), the map is (B, *S)."""
    return (G.relu() * A).sum(dim=1)
