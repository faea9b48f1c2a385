"""What the methods at the input share: the explained scalar as a function of the image, in batches that fit."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from cam.finite import all_finite
from cam.inputs.targets import Scalar
from cam.network.graph import depends_on
from cam.procedures.perturb import halving
from cam.request import ExplanationRequest, widened

__all__ = ["Score", "attributed", "rows_together", "score_of"]

Score = Callable[[Tensor, Tensor], Tensor]
"""From rows (R, C, *S) and the samples that they show (R,) to the explained scalar of each row (R,)."""

_VOXELS = 2**20  # a gradient keeps about 2 kB a voxel in DenseNet121, 2D or 3D: this is 2 GB


def score_of(model: nn.Module, target: Scalar) -> Score:
    """Return the explained scalar as a function of rows, each for the target of the sample that it shows.

    Raises:
        ValueError: when a row asks for gradients and its score has none, or a score is NaN or infinite.
    """

    def score(rows: Tensor, samples: Tensor) -> Tensor:
        scores = target.select(samples).scores(model(rows))
        if rows.requires_grad and not depends_on(scores, rows):
            raise ValueError("the model's output does not depend on its input through operations with gradients")
        if not all_finite(scores):
            raise ValueError("the model's output holds NaN or infinity for this input")
        return scores

    return score


def attributed(request: ExplanationRequest, attribute: Callable[[Score, Tensor, Tensor, int], Tensor]) -> Tensor:
    """Return the maps (T, B, *S) of ``attribute``, put to a few samples at a time.

    ``attribute`` takes the score, images (b, C, *S) that are free to ask for gradients, the samples (b,) that they
    are, and the number of rows (at least b) that the model may be shown together; it returns maps (b, *S) and must
    give the same maps whatever that number is. ``request.max_batch`` bounds it; by default as many as make up a million
    values. It is halved when memory runs out.

    Raises:
        ValueError: when a map holds NaN or infinity.
    """
    return halving(rows_together(request), partial(_maps, request, attribute))


def rows_together(request: ExplanationRequest) -> int:
    """Return how many images a forward that keeps its graph may be shown together."""
    return request.max_batch or max(1, _VOXELS // request.x[0].numel())


def _maps(request: ExplanationRequest, attribute: Callable[[Score, Tensor, Tensor, int], Tensor], rows: int) -> Tensor:
    with torch.inference_mode(False), torch.enable_grad():
        x = request.x.detach()  # what the caller made it from is none of the model; each batch of it is a copy
        batches = torch.split(torch.arange(len(x), device=x.device), rows)
        scores = [score_of(request.model, target) for target in request.targets]
        maps = [torch.cat([attribute(score, x[some], some, rows).detach() for some in batches]) for score in scores]
    stacked = widened(torch.stack(maps))
    if not all_finite(stacked):
        raise ValueError("the gradients at the input hold NaN or infinity for this input")
    return stacked
