"""ROAD's fill: each voxel taken away becomes the weighted mean of its neighbours, all of them solved for together.

Rong et al., ICML 2022 (arXiv:2202.00449), in 2D with 8 neighbours and in 3D with 26, weighted 1, 1/2, 1/3 by whether
they share a face, an edge or a corner. The equations are symmetric and positive, so conjugate gradients solve those of
all pictures at once, by convolution; no matrix is built. A second look beside the blur: it leaves no edge that tells
which voxels went.
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv3d

from cam.procedures.perturb import exact
from pipeline.evidence.faithfulness.fills import Fill, blurred

__all__ = ["NOISE", "imputed", "road_fill"]

NOISE = 0.01
"""The standard deviation of the noise on filled voxels, as a share of each channel's range in the picture."""

_TOLERANCE = 1e-4
_MOST_STEPS = 2_000


def road_fill(x: Tensor, generator: torch.Generator) -> Fill:
    """Return what fills taken voxels of pictures (B, C, *S) from their neighbours, with noise drawn on the CPU.

    A picture that is taken away as a whole has no neighbours left: it becomes the blurred one.
    """
    whole = blurred(x)
    low, high = x.flatten(2).aminmax(dim=2)
    # one field for each picture, so that the fill does not depend on how many rows go through the model together
    noise = torch.randn(x.shape, generator=generator).to(x) * (NOISE * (high - low)).view(
        *high.shape, *[1] * (x.ndim - 2)
    )

    def fill(samples: Tensor, keep: Tensor) -> Tensor:
        filled = imputed(x[samples], keep, whole[samples])
        return torch.where(keep[:, None], filled, filled + noise[samples])

    return fill


def imputed(x: Tensor, keep: Tensor, start: Tensor) -> Tensor:
    """Return pictures (rows, C, *S) whose voxels outside ``keep`` (rows, *S) are means of their neighbours.

    ``start`` is what the search begins with, and what a row without a kept voxel becomes. Neighbours beyond the border
    do not exist. In double precision.

    Raises:
        ArithmeticError: when the equations are not solved to a ten-thousandth, which no picture should bring about.
    """
    taken = (~keep)[:, None].double()
    solvable = keep.flatten(1).any(dim=1).view(-1, *[1] * (x.ndim - 1))
    known = torch.where(keep[:, None], x.double(), 0.0)
    weights = _neighbour_sums(torch.ones_like(taken[:1]))

    def apply(values: Tensor) -> Tensor:
        return taken * (weights * values - _neighbour_sums(values))

    right = taken * _neighbour_sums(known) * solvable
    solved = _conjugate_gradients(apply, right, taken * start.double() * solvable)
    return torch.where(keep[:, None], x, torch.where(solvable, solved.to(x), start))


def _neighbour_sums(values: Tensor) -> Tensor:
    """Return the weighted sums over each voxel's neighbours of values (rows, C, *S); nothing lies beyond the border."""
    axes = values.ndim - 2
    apart = torch.tensor([sum(map(abs, offset)) for offset in product((-1, 0, 1), repeat=axes)], device=values.device)
    kernel = torch.where(apart > 0, 1 / apart.clamp(min=1), 0.0).to(values).view(1, 1, *[3] * axes)
    convolve = {2: conv2d, 3: conv3d}[axes]
    with exact(values):
        return convolve(values.flatten(0, 1)[:, None], kernel, padding=1).view_as(values)


def _conjugate_gradients(apply: Callable[[Tensor], Tensor], right: Tensor, start: Tensor) -> Tensor:
    """Solve apply(u) = right for each row and channel by itself, from ``start``."""
    solution, residual = start, right - apply(start)
    direction, size = residual, _dot(residual, residual)
    enough = (_TOLERANCE**2) * _dot(right, right)
    for _ in range(_MOST_STEPS):
        going = size > enough
        if not bool(going.any()):
            return solution
        applied = apply(direction)
        step = torch.where(going, size / _dot(direction, applied).clamp(min=1e-300), 0.0)
        solution, residual = solution + step * direction, residual - step * applied
        grown = _dot(residual, residual)
        direction = residual + torch.where(going, grown / size.clamp(min=1e-300), 0.0) * direction
        size = grown
    raise ArithmeticError(f"ROAD's equations are not solved after {_MOST_STEPS} steps")


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Return the products (rows, C, 1, ...) over the spatial axes."""
    total = (first * second).flatten(2).sum(dim=2)
    return total.view(*total.shape, *[1] * (first.ndim - 2))
