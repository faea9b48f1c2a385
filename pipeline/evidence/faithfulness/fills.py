"""What stands in place of blocks that are taken away."""

from collections.abc import Callable

import torch
from torch import Tensor

from cam.procedures.perturb import exact

__all__ = ["SIGMA_SHARE", "Fill", "blur_fill", "blurred", "mean_fill"]

Fill = Callable[[Tensor, Tensor], Tensor]
"""Returns the pictures (rows, C, *S) of these samples (rows,) in which only the voxels of ``keep`` (rows, *S) are left:
``fill(samples, keep)``."""

SIGMA_SHARE = 1 / 8
"""The blur's standard deviation, as a share of each side."""


def blurred(x: Tensor) -> Tensor:
    """Return pictures (B, C, *S) behind a Gaussian blur along each axis, cut off at the border and made to sum to one.

    So a constant picture stays as it is, and nothing from beyond the border comes in.
    """
    values = x.double()
    with exact(values):
        for side in x.shape[2:]:
            place = torch.arange(side, device=x.device, dtype=torch.float64)
            weights = torch.exp(-0.5 * ((place[:, None] - place) / (SIGMA_SHARE * side)).square())
            weights = weights / weights.sum(dim=1, keepdim=True)
            values = torch.tensordot(values, weights, dims=([2], [1]))  # the axis comes last, so all come round once
    return values.to(x)


def blur_fill(x: Tensor) -> Fill:
    """Return what fills taken voxels of pictures (B, C, *S) with those of the blurred picture."""
    return _filled_from(x, blurred(x))


def mean_fill(x: Tensor) -> Fill:
    """Return what fills taken voxels of pictures (B, C, *S) with each channel's mean.

    Scattered holes of one grey are unlike any picture that the model knows: kept for those who ask for it.
    """
    mean = x.double().flatten(2).mean(dim=2).to(x)
    return _filled_from(x, mean.view(*mean.shape, *[1] * (x.ndim - 2)).expand_as(x))


def _filled_from(x: Tensor, other: Tensor) -> Fill:
    return lambda samples, keep: torch.where(keep[:, None], x[samples], other[samples])
