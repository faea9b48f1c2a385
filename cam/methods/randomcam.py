"""Random-CAM."""

import torch

from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "randomcam",
    title="Random-CAM",
    paper="no paper; a null that knows the activations but neither target nor classifier",
    formula="sum over channels of w x A, w uniform in (-1, 1) from a seed, signed",
    limits="Evidence of nothing: what another map must beat before it says more than the activations alone.",
    signed=True,
    at="layer",
    cost="none",
)
def randomcam(request: ExplanationRequest, *, seed: int = 0) -> RawMaps:
    """Return sum_k w_k A_k, w_k ~ U(-1, 1), once for each target: maps (T, B, *S).

    The weights are drawn from ``seed`` alone, on the CPU, so every sample, target and device gets the same ones; the
    global generators are not touched.
    """
    A = request.A
    weights = torch.rand(A.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(A) * 2 - 1
    return RawMaps(torch.stack([torch.einsum("c,bc...->b...", weights, A)] * len(request.targets)))
