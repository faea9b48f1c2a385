"""ShapleyCAM."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cam.inputs.targets import Scalar, Target
from cam.procedures.masks import channel_sum
from cam.procedures.perturb import exact
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened


@procedure(
    "shapleycam",
    title="ShapleyCAM",
    paper="Cai, 2025, arXiv:2501.06261",
    formula="ReLU of the sum over channels of (spatial mean of G - H A / 2) x A, G and H the gradient and the Hessian "
    "of y + log softmax(y)",
    limits="A second-order expansion, of the logit and its log-probability together: where the softmax has saturated "
    "there is no curvature, and it is Grad-CAM. The mean over space is Grad-CAM's.",
    signed=False,
    rectified=True,
    at="layer",
    cost="none; two backwards of the tail for each target",
    backward=True,
    differs="the score is what the caller states, by default the logit, whose Hessian is 0 behind ReLUs: Grad-CAM.",
)
def shapleycam(request: ExplanationRequest) -> RawMaps:
    """Return maps (T, B, *S), before their ReLU, of weights mean(G - H A / 2), H A the product of Hessian and A.

    The utility is the paper's ReST, y_c + log softmax(y)_c; of a single logit, y + log sigmoid(y), which is the same
    with a second logit of 0. Samples do not mix, so the products of the whole batch are each sample's own.

    Raises:
        ValueError: when a target is no label, or the model has no single row of logits.
    """
    parts = request.capture.parts(request.layer)
    if len(parts) > 1:
        raise ValueError(f"method 'shapleycam' needs one call of layer {request.layer!r}, not {len(parts)}: name one")
    weights = [_weights(request, target, parts) for target in request.targets]
    return RawMaps(channel_sum(torch.stack(weights), request.A))


def _weights(request: ExplanationRequest, target: Scalar, parts: Sequence[Tensor]) -> Tensor:
    """Return the weight (B, C) of every channel."""
    (A,) = parts
    with torch.inference_mode(False), torch.enable_grad(), exact(request.x):
        utility = _utility(request.capture.logits, target).sum()
        (G,) = torch.autograd.grad(utility, A, create_graph=True)
        product = (G * A.detach()).sum()
        HA = torch.autograd.grad(product, A, retain_graph=True, allow_unused=True)[0] if product.requires_grad else None
    curved = widened(G.detach()) if HA is None else widened(G.detach()) - 0.5 * widened(HA)
    return curved.flatten(2).mean(dim=2)


def _utility(logits: Tensor, target: Scalar) -> Tensor:
    """Return y_c + log softmax(y)_c of each sample (B,)."""
    if not isinstance(target, Target) or logits.ndim != 2:
        raise ValueError(f"method 'shapleycam' explains a label of one row of logits, not {type(target).__name__}")
    y = widened(target.scores(logits))
    if logits.shape[1] == 1:
        return y + functional.logsigmoid(y)
    return y + y - widened(logits).logsumexp(dim=1)
