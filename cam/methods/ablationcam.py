"""Ablation-CAM."""

import torch
from torch import Tensor

from cam.network.last_layers import is_affine, tail
from cam.procedures.masks import channel_sum
from cam.procedures.perturb import own_scores
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "ablationcam",
    title="Ablation-CAM",
    paper="Desai and Ramaswamy, WACV 2020",
    formula="ReLU of the sum over channels of ((y - y without A_k) / y) x A",
    limits="Where the target's logit y is negative every weight changes its sign, and where it is 0 there is no map "
    "(the note counts both).",
    signed=False,
    rectified=True,
    at="layer",
    cost="none behind an affine tail; else the tail alone, once for each channel of each sample that is not 0",
    backward=True,
    forwards=lambda work, _given: work.samples * work.channels,
)
def ablationcam(request: ExplanationRequest) -> RawMaps:
    """Return maps (T, B, *S), before their ReLU, of weights (y - y_k) / y, y_k the logit y with channel k set to 0.

    Where y is 0 the map is empty. Behind an affine tail y - y_k is the sum over space of G_k A_k, and nothing is run.
    """
    A = request.A
    if is_affine(request):
        drops, way = (request.gradients() * A).flatten(3).sum(dim=3), "affine tail: no further forward"
    else:
        drops, way = _drops(request)
    y = own_scores(request).to(A.device)
    weights = drops / torch.where(y == 0, torch.inf, y)[:, :, None]
    return RawMaps(channel_sum(weights, A), way + _signs(y))


def _drops(request: ExplanationRequest) -> tuple[Tensor, str]:
    """Return y - y_k (T, B, C); a channel that is 0 already takes nothing away, so it is not run."""
    A, way = request.A, tail(request)
    samples, channels = torch.nonzero(A.flatten(2).any(dim=2), as_tuple=True)

    def build(chunk: slice) -> Tensor:
        rows = A[samples[chunk]]
        rows[torch.arange(len(rows), device=A.device), channels[chunk]] = 0
        return rows

    y = own_scores(request).to(A.device)
    drops = y.new_zeros(len(y), *A.shape[:2])
    if len(samples):
        drops[:, samples, channels] = y[:, samples] - way.rescored(request, samples, build).to(A.device)
    return drops, way.note


def _signs(y: Tensor) -> str:
    below, none = int((y < 0).sum()), int((y == 0).sum())
    notes = [f"; y is negative, which turns every sign, in {below} of {y.numel()} maps"] if below else []
    return "".join([*notes, *([f"; y is 0, so there is no map, in {none} of {y.numel()}"] if none else [])])
