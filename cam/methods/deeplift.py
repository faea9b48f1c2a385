"""DeepLIFT."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from cam.procedures.attribution import rows_together
from cam.procedures.differences import difference_rules
from cam.procedures.perturb import exact, halving
from cam.procedures.rewriting import rewritten
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened

__all__ = ["contributions"]

References = Callable[[Tensor], Iterable[Tensor]]
"""From images (b, C, *S) to their references, one after the other, each (b, C, *S)."""
_MUCH, _TOO_MUCH = 1e-3, 1e-2


@procedure(
    "deeplift",
    title="DeepLIFT (rescale rule)",
    paper="Shrikumar, Greenside and Kundaje, ICML 2017, arXiv:1704.02685",
    formula="sum over the input's channels of (x - baseline) x multiplier, the multipliers of all layers chained",
    limits="Sums to the score's change from the baseline, which decides what can be marked. Gates, attention and "
    "normalisation by the input's own statistics have no rule, and are refused.",
    signed=True,
    at="input",
    cost="2 that keep their graph, and a backward for each target",
    forwards=lambda work, _given: 2 * work.samples * (1 + 2 * work.targets),
)
def deeplift(request: ExplanationRequest, *, baseline: float = 0.0) -> RawMaps:
    """Return sum_c (x_c - b) m_c, m the multipliers from the reference, ``baseline`` everywhere: maps (T, B, *S).

    A linear layer's multiplier is its weight, that of a function of single values the quotient of the differences of
    output and input (the derivative where the input does not differ), and a maximum gives its difference to the value
    that is the largest. Modules, functions and layers that are called twice are alike.

    The map sums to the score's change from the reference; the note tells when rounding leaves more than 0.1 % out.

    Raises:
        ValueError: when an operation has no rule, which is named, or the map does not sum to the score's change.
    """
    reference = torch.full_like(request.x[0], float(baseline))[None]
    return RawMaps(*contributions(request, "deeplift", lambda images: [reference.expand_as(images)]))


def contributions(request: ExplanationRequest, method: str, references: References) -> tuple[Tensor, str]:
    """Return the maps (T, B, *S), means over references, and what they miss of the score's change where that is much.

    ``references`` gives for images (b, C, *S) one after the other the reference of each.

    Raises:
        ValueError: when an operation has no rule, a map is not finite, or it does not sum to the score's change.
    """

    def attempt(rows: int) -> tuple[Tensor, Tensor]:
        chunks = torch.split(torch.arange(len(request.x), device=request.x.device), max(1, rows // 2))
        parts = [_chunk(request, method, references, some) for some in chunks]
        maps, misses = zip(*parts, strict=True)
        return torch.cat(maps, dim=1), torch.stack(misses).amax()

    maps, missed = halving(rows_together(request), attempt)
    is_finite, miss = torch.stack([torch.isfinite(maps).all().to(missed), missed]).tolist()
    if not is_finite:
        raise ValueError(f"method {method!r} gives NaN or infinity for this input")
    if miss > _TOO_MUCH:
        raise ValueError(
            f"method {method!r} misses {miss:.1%} of a score's change from its reference: the target is no weighted "
            "sum of logits, or the model lets samples of a batch meet"
        )
    return maps, f"the map misses the score's change by up to {miss:.1%} of its size" if miss > _MUCH else ""


def _chunk(request: ExplanationRequest, method: str, references: References, some: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps (T, b, *S) of these samples, and the largest share of a score's change that one misses."""
    images, sums, misses = request.x.detach()[some], [], []
    targets = [target.select(some) for target in request.targets]
    for reference in references(images):
        with torch.inference_mode(False), torch.enable_grad(), exact(images):
            both = torch.cat([images, reference]).requires_grad_()
            with rewritten(method, request.model, difference_rules(), both):
                logits = request.model(both)
            own, other = logits.tensor_split(2)
            scores = [target.scores(own) for target in targets]
            gradients = [torch.autograd.grad(score.sum(), both, retain_graph=True)[0] for score in scores]
            changes = torch.stack(scores).detach() - torch.stack([target.scores(other) for target in targets]).detach()
        multipliers = torch.stack([gradient[: len(images)] for gradient in gradients])
        values = widened((images - reference) * multipliers)
        size = torch.maximum(values.flatten(2).abs().sum(dim=2), changes.abs())
        missed = (values.flatten(2).sum(dim=2) - changes).abs() / torch.where(size > 0, size, 1)
        sums.append(values.sum(dim=2))
        misses.append(missed.amax())
    return torch.stack(sums).mean(dim=0), torch.stack(misses).amax()
