"""Eigen-CAM."""

import torch
from torch import Tensor

from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["first_component"]


@procedure(
    "eigencam",
    title="Eigen-CAM",
    paper="Muhammad and Yeasin, IJCNN 2020, arXiv:2008.00299",
    formula="A projected on its first right singular vector over channels, not centred; sign as the sum of A",
    limits="Knows no target: the same map for every label. Arbitrary where the two largest singular values are equal.",
    signed=True,
    at="layer",
    cost="none",
)
def eigencam(request: ExplanationRequest) -> RawMaps:
    """Return ``first_component`` of A (B, C, *S), once for each target: maps (T, B, *S)."""
    return RawMaps(torch.stack([first_component(request.A)] * len(request.targets)))


def first_component(values: Tensor) -> Tensor:
    """Return X v_1 of values (B, C, *S) as (B, *S): X is cells by channels, v_1 its first right singular vector.

    X is not centred, as in the paper. The smaller of X'X and XX' is decomposed, so what is needed beyond the values is
    the square of the number of channels or of cells, whichever is less. A singular vector has no sign of its own: the
    map takes the one with which its inner product with the sum over channels is positive. For values that are not
    negative the map then is not negative either. Where the two largest singular values are equal any vector between
    theirs would do, and the solver picks one.
    """
    flat = values.flatten(2)
    if flat.shape[1] <= flat.shape[2]:
        _, vectors = torch.linalg.eigh(flat @ flat.mT)
        component = torch.einsum("bcz,bc->bz", flat, vectors[..., -1])
    else:
        squares, vectors = torch.linalg.eigh(flat.mT @ flat)
        component = vectors[..., -1] * squares[:, -1:].clamp(min=0).sqrt()
    along = (component * flat.sum(dim=1)).sum(dim=1, keepdim=True)
    return torch.where(along < 0, -component, component).view(len(values), *values.shape[2:])
