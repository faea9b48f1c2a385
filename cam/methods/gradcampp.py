"""Grad-CAM++."""

import torch
from torch import Tensor

from cam.registry import method


@method(
    "gradcampp",
    title="Grad-CAM++",
    paper="Chattopadhay et al., WACV 2018, arXiv:1710.11063",
    formula="ReLU of the sum over channels of (sum over space of ReLU(G) / (2 + (sum of A) G)) x A",
    limits="Where a channel's activations sum to less than 0 its weight has a pole, and can be of any size and sign.",
    signed=False,
    rectified=True,
    differs="alpha is divided, channel by channel, by its sum over the places of positive gradient, and everything is "
    "multiplied by exp(score); the equation has neither.",
)
def gradcampp(A: Tensor, G: Tensor) -> Tensor:
    """Return sum_k w_k A_k, whose ReLU is the map, w_k = sum_{g > 0} g / (2 + S_k g), S_k = sum A_k.

    A and G are (B, C, *S), the map is (B, *S).
    These are the paper's alpha = g^2 / (2 g^2 + S_k g^3) and w_k = sum alpha ReLU(g), with g^2 cancelled: no epsilon is
    needed, which would be as large as g^2 itself behind pooling over a volume. The paper's score is exp(y), whose
    factor exp(y) scales the whole map of a sample and is left out. As in the paper, y is taken to be piecewise linear.
    Where 2 + S_k g is 0, alpha is 0; that needs S_k < 0, and so a layer without a ReLU.
    """
    axes = tuple(range(2, A.ndim))
    denominator = 2 + A.sum(dim=axes, keepdim=True) * G
    alpha = torch.where(denominator == 0, 0, 1 / denominator)
    weights = (alpha * G.relu()).sum(dim=axes, keepdim=True)
    return (weights * A).sum(dim=1)
