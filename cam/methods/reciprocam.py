"""Recipro-CAM."""

import torch
from torch import Tensor

from cam.network.last_layers import Tail, is_affine, tail
from cam.procedures.perturb import own_scores
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "reciprocam",
    title="Recipro-CAM (single positions)",
    paper="Byun and Lee, CVPR Workshops 2024, arXiv:2209.14074",
    formula="at each position the logit of a layer that keeps A there and is 0 elsewhere",
    limits="The model never met a layer that is empty but for one cell. The logit is taken, not its softmax, and the "
    "mask is one cell, not the paper's Gaussian of three; only differences within a map mean something.",
    signed=True,
    at="layer",
    cost="none behind an affine tail; else the tail alone, once for each position of each sample",
    backward=True,
    forwards=lambda work, _given: work.samples * work.cells,
)
def reciprocam(request: ExplanationRequest) -> RawMaps:
    """Return maps (T, B, *S): at each position the target's logit when all other positions of the layer are 0.

    Behind an affine tail that is the logit with an empty layer plus the sum over channels of G A, and nothing is run.
    Of the sum of a layer's calls it is the sum of the maps of each, in which the other calls are as they are.
    """
    groups = [channels for channels, _ in request.capture.groups(request.layer)]
    if is_affine(request):
        shares = request.gradients() * request.A
        empty = len(groups) * own_scores(request).to(shares.device) - shares.flatten(2).sum(dim=2)
        maps = shares.sum(dim=2) + empty.view(*empty.shape, *[1] * (shares.ndim - 3))
        return RawMaps(maps, "affine tail: no further forward")
    way = tail(request)
    return RawMaps(torch.stack([_kept_alone(request, channels, way) for channels in groups]).sum(dim=0), way.note)


def _kept_alone(request: ExplanationRequest, channels: slice, way: Tail) -> Tensor:
    A = request.A
    cells = A.flatten(2)
    samples = torch.arange(len(A), device=A.device).repeat_interleave(cells.shape[2])
    positions = torch.arange(cells.shape[2], device=A.device).repeat(len(A))

    def build(chunk: slice) -> Tensor:
        shown, kept = samples[chunk], positions[chunk]
        rows = cells[shown]
        rows[:, channels] = 0
        number = torch.arange(len(rows), device=A.device)
        rows[number, :, kept] = cells[shown, :, kept]
        return rows.view(-1, *A.shape[1:])

    scores = way.rescored(request, samples, build).to(A.device)
    return scores.view(-1, len(A), *A.shape[2:])
