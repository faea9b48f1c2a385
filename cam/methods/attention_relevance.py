"""Gradient-weighted attention relevance."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cam.inputs.targets import Scalar
from cam.procedures.attention import Attended, attended, image_attentions, onto_grid
from cam.procedures.perturb import exact
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened


@procedure(
    "attention_relevance",
    title="Gradient-weighted attention relevance",
    paper="Chefer, Gur and Wolf, ICCV 2021, arXiv:2103.15679 (the rule for self-attention)",
    formula="R = I, then for each attention R + mean over heads of ReLU(dA x A) R, dA the target's gradient; "
    "row of the class token, or mean over the rows of a network that pools",
    limits="Only what attention mixes is traced: the value projections, norms and perceptrons between are passed over. "
    "Evidence against the target is dropped.",
    signed=False,
    at="input",
    cost="1 that keeps its graph, a backward for each target, and 1 of a single sample",
    forwards=lambda work, _given: work.samples * (1 + 2 * work.targets) + 1,
)
def attention_relevance(request: ExplanationRequest) -> RawMaps:
    """Return R after R <- R + mean_h ReLU(dA_l x A_l) R over the attentions l in their order; maps on the tokens' grid.

    Raises:
        ValueError: when an attention, or where the tokens lie in the image, is not known.
    """
    only = image_attentions(request)
    samples = torch.split(torch.arange(len(request.x)), request.max_batch or len(request.x))
    chunks = []
    for chosen in samples:
        passed = attended(request.model, request.x[chosen.to(request.x.device)], differentiable=True, only=only)
        chunks.append(torch.stack([_relevance(passed, target.select(chosen)) for target in request.targets]))
    relevance = torch.cat(chunks, dim=1)
    maps, note = onto_grid(request, passed, relevance.flatten(0, 1))
    return RawMaps(maps.reshape(*relevance.shape[:2], *maps.shape[1:]), note)


def _relevance(passed: Attended, target: Scalar) -> Tensor:
    """Return R (B, N, N) of each sample."""
    with torch.inference_mode(False), torch.enable_grad(), exact(passed.logits):
        score = target.scores(passed.logits).sum()
        gradients = torch.autograd.grad(score, passed.weights, retain_graph=True)
        return _product(
            [widened(weight.detach()) for weight in passed.weights], [widened(gradient) for gradient in gradients]
        )


def _product(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    relevance = torch.eye(weights[0].shape[3]).to(weights[0])
    for weight, gradient in zip(weights, gradients, strict=True):
        flow = (gradient * weight).relu().mean(dim=1)
        relevance = relevance + flow @ relevance
    return relevance
