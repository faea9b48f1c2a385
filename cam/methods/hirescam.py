"""HiResCAM."""

from torch import Tensor

from cam.registry import method


@method(
    "hirescam",
    title="HiResCAM",
    paper="Draelos and Carin, 2020, arXiv:2011.08891",
    formula="sum over channels of G x A, signed",
    limits="Exact for a tail that is linear in the layer; a first-order account of any other.",
    signed=True,
)
def hirescam(A: Tensor, G: Tensor) -> Tensor:
    """Return sum_k G_k A_k, signed: A and G are (B, C, *S), the map is (B, *S)."""
    return (G * A).contiguous().sum(dim=1)
