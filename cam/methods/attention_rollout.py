"""Attention rollout."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cam.procedures.attention import attended, image_attentions, onto_grid
from cam.procedures.perturb import exact
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened


@procedure(
    "attention_rollout",
    title="Attention rollout",
    paper="Abnar and Zuidema, ACL 2020, arXiv:2005.00928",
    formula="product over attentions of (A + I) / 2, A the mean over heads, rows summing to 1; "
    "row of the class token, or mean over the rows of a network that pools",
    limits="Blind to the target: the same map for every label. Tells how information could flow, not what it was "
    "used for.",
    signed=False,
    at="input",
    cost="1, and 1 of a single sample",
    forwards=lambda work, _given: work.samples + 1,
)
def attention_rollout(request: ExplanationRequest) -> RawMaps:
    """Return prod_l (0.5 A_l + 0.5 I), rows normalised, later attentions on the left; maps on the grid of the tokens.

    Raises:
        ValueError: when an attention, or where the tokens lie in the image, is not known.
    """
    passed = attended(request.model, request.x, differentiable=False, only=image_attentions(request))
    with exact(request.x):
        rollout = _rollout([widened(weight).mean(dim=1) for weight in passed.weights])
    maps, note = onto_grid(request, passed, rollout)
    return RawMaps(maps.expand(len(request.targets), *maps.shape), note)


def _rollout(weights: Sequence[Tensor]) -> Tensor:
    rollout = identity = torch.eye(weights[0].shape[2]).to(weights[0])
    for weight in weights:
        step = 0.5 * weight + 0.5 * identity
        rollout = (step / step.sum(dim=2, keepdim=True)) @ rollout
    return rollout
