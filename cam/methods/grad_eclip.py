"""Grad-ECLIP."""

import torch
from torch import Tensor
from torch.nn import functional

from cam.procedures.attention import attended, columns_onto_grid, image_attentions, tokens_read
from cam.procedures.masks import unit_range
from cam.procedures.perturb import exact
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened


@procedure(
    "grad_eclip",
    title="Grad-ECLIP",
    paper="Zhao et al., ICML 2024, arXiv:2502.18816",
    formula="ReLU of the sum over channels of (gradient at the class token's attention output) x (a patch's value), "
    "times how alike its key is to the class token's query, from 0 to 1",
    limits="Sees the last attention alone, and of it the class token's row: for networks that read one token. The "
    "likeness is scaled to each image's own range, so the least alike patch is always 0.",
    signed=False,
    rectified=True,
    at="input",
    cost="1 that keeps its graph, a backward for each target, and 1 of a single sample",
    forwards=lambda work, _given: work.samples * (1 + 2 * work.targets) + 1,
    differs="the last attention is run as one head, whatever it has, so another score than the network's is explained; "
    "for CLIP queries and keys are compared behind the output's projection.",
)
def grad_eclip(request: ExplanationRequest) -> RawMaps:
    """Return lambda_j sum_c w_c v_jc, whose ReLU is the map, on the grid of the patches j: maps (T, B, *S).

    w is the gradient of the score by the output o of the last attention at the class token, before its projection, v
    are the values, and lambda the cosine of the class token's query and a patch's key, heads side by side, brought to
    0..1 over the patches. As o = sum_j A_j v_j, sum_c w_c v_jc is the gradient by the weight A_j, summed over heads:
    it is taken so. The authors' code runs the last attention as one head and compares queries and keys behind the
    output's projection; this follows the paper's equations on the network as it is.

    Raises:
        ValueError: when an attention, its queries and keys, or where the tokens lie is not known, or the network reads
            more than one token.
    """
    only = image_attentions(request)
    samples = torch.split(torch.arange(len(request.x)), request.max_batch or len(request.x))
    chunks: list[Tensor] = []
    for some in samples:
        x = request.x[some.to(request.x.device)]
        passed = attended(request.model, x, differentiable=True, only=only)
        if passed.queries is None:
            raise ValueError(f"attention {passed.names[-1]!r} does not tell its queries and keys: take legrad")
        if not chunks:
            token = _class_token(tokens_read(request.model, request.x[:1], passed))
        with torch.inference_mode(False), torch.enable_grad(), exact(x):
            scores = [target.select(some).scores(passed.logits).sum() for target in request.targets]
            gradients = [torch.autograd.grad(score, passed.weights[-1], retain_graph=True)[0] for score in scores]
            worth = torch.stack([widened(gradient)[:, :, token].sum(dim=1) for gradient in gradients])
            likeness = columns_onto_grid(request, passed, _likeness(*passed.queries, token))
            chunks.append(columns_onto_grid(request, passed, worth) * unit_range(likeness))
    return RawMaps(torch.cat(chunks, dim=1), "row of the class token")


def _class_token(read: Tensor) -> int:
    if len(read) != 1:
        raise ValueError(
            f"method 'grad_eclip' needs a network that reads one token, and {len(read)} are read: take legrad"
        )
    return int(read[0])


def _likeness(query: Tensor, key: Tensor, token: int) -> Tensor:
    """Return the cosine (B, N) of one token's query and every key (B, heads, N, d), heads side by side."""
    queries, keys = (values.transpose(1, 2).flatten(2) for values in (widened(query), widened(key)))
    return functional.cosine_similarity(queries[:, token : token + 1], keys, dim=2)
