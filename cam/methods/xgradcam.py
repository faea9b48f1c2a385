"""XGrad-CAM."""

import torch
from torch import Tensor

from cam.registry import method


@method(
    "xgradcam",
    title="XGrad-CAM",
    paper="Fu et al., BMVC 2020, arXiv:2008.02312",
    formula="ReLU of the sum over channels of (sum of G x A / sum of A) x A",
    limits="A channel whose activations nearly cancel gets a weight of any size: meant for layers behind a ReLU.",
    signed=False,
    rectified=True,
    differs="1e-6 is added to the sum of A.",
)
def xgradcam(A: Tensor, G: Tensor) -> Tensor:
    """Return sum_k a_k A_k, whose ReLU is the map, a_k = sum(G_k A_k) / sum(A_k): A, G (B, C, *S), map (B, *S).

    A channel whose activations sum to 0 has weight 0; there is no epsilon, which would shrink weak channels.
    """
    axes = tuple(range(2, A.ndim))
    total = A.sum(dim=axes, keepdim=True)
    weights = torch.where(total == 0, 0, (G * A).sum(dim=axes, keepdim=True) / total)
    return (weights * A).sum(dim=1)
