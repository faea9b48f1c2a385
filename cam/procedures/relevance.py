"""The relevance of every input value, sent back from the score by rules, and the account of where it went."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from cam.inputs.targets import Scalar
from cam.procedures.attribution import rows_together
from cam.procedures.perturb import exact, halving
from cam.procedures.relevance_rules import RelevanceAccount
from cam.procedures.rewriting import Rule, rewritten
from cam.request import ExplanationRequest, widened

__all__ = ["Propagation", "relevance"]

_Tables = Callable[[Tensor, Callable[[], RelevanceAccount]], Mapping[str, Rule]]


@dataclass(frozen=True)
class Propagation:
    """A method that sends relevance back: its name, for what it refuses, and its rules for one forward."""

    method: str
    rules: _Tables


@dataclass
class _Books:
    """The account of the pass back that runs."""

    account: RelevanceAccount = field(default_factory=lambda: RelevanceAccount(torch.zeros(()), torch.zeros(())))

    def open(self, like: Tensor) -> None:
        zero = like.new_zeros(())
        self.account = RelevanceAccount(zero, zero)


def relevance(request: ExplanationRequest, way: Propagation) -> tuple[Tensor, str]:
    """Return the relevance (T, B, C, *S) of the image's values for every target, and how much of the score it is.

    What starts at the logits is each logit times the score's derivative by it, which sums to the score. What an
    operation does not hand on (the share of a bias, of a stabiliser) is entered in a account, and all is accounted for:
    what reached the image and what stayed on the way sum to the score. One forward for all targets, and a pass back for
    each.

    Raises:
        ValueError: when an operation has no rule, a target is no weighted sum of logits, the logits are not those of
            the plain forward, or relevance is missing from the account.
    """
    rows = rows_together(request)

    def attempt(rows: int) -> tuple[Tensor, Tensor]:
        parts = [_chunk(request, way, some) for some in torch.split(torch.arange(len(request.x)), rows)]
        return torch.cat([values for values, _ in parts], dim=1), torch.stack([right for _, right in parts])

    values, right = halving(rows, attempt)
    scores = torch.stack([widened(target.scores(request.logits)) for target in request.targets])
    arrived = values.flatten(2).sum(dim=2) / torch.where(scores == 0, torch.inf, scores)
    checks = torch.cat([right.all(dim=0).to(arrived), torch.isfinite(values).all()[None].to(arrived)])
    *kept, low, high = torch.cat([checks, torch.stack(arrived.aminmax())]).tolist()  # the host waits once
    for holds, fault in zip(kept, _FAULTS, strict=True):
        if not holds:
            raise ValueError(f"method {way.method!r} {fault}")
    note = f"{low:.0%} to {high:.0%} of the score reach the image"
    return values, f"{note}; biases, and outputs without a term that the rule counts, keep the rest"


_FAULTS = (
    "changes the model's logits: a value is written to in place where it is read elsewhere",
    "needs a target that is a weighted sum of logits",
    "loses relevance on a path that no rule follows",
    "gives NaN or infinity for this input",
)


def _chunk(request: ExplanationRequest, way: Propagation, some: Tensor) -> tuple[Tensor, Tensor]:
    """Return the relevance (T, b, C, *S) of these samples, and which of the first three faults are absent (3,)."""
    books = _Books()
    some = some.to(request.x.device)
    with torch.inference_mode(False), torch.enable_grad(), exact(request.x):
        x = request.x.detach()[some].requires_grad_()
        with rewritten(way.method, request.model, way.rules(x, lambda: books.account), x) as mode:
            logits = request.model(x)
        if not mode.is_made_of_the_image(logits):
            raise ValueError(f"method {way.method!r} does not see what the logits are made of")
        as_before = _close(logits, request.logits[some], logits)
        back = partial(_back, logits, x, books)
        parts = [back(target.select(some)) for target in request.targets]
    sums, accounts = (torch.stack([part[place] for part in parts]).all() for place in (1, 2))
    return torch.stack([part[0] for part in parts]), torch.stack([as_before, sums, accounts])


def _back(logits: Tensor, x: Tensor, books: _Books, target: Scalar) -> tuple[Tensor, Tensor, Tensor]:
    """Return a target's relevance (b, C, *S), whether what started is its score, and whether the account is closed."""
    probe = logits.detach().requires_grad_()
    scores = target.scores(probe)
    start = probe.detach() * torch.autograd.grad(scores.sum(), probe)[0]
    books.open(start)
    (arrived,) = torch.autograd.grad(logits, x, start, retain_graph=True)
    total, account = start.sum(), books.account
    is_score = _close(start.flatten(1).sum(dim=1), scores.detach(), start)
    return arrived, is_score, _close(arrived.sum() + account.taken, total, torch.maximum(account.most, total.abs()))


def _close(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Tell whether two tensors are equal but for rounding, relative to the largest magnitude of a third."""
    rounding = max(torch.finfo(first.dtype).eps, torch.finfo(second.dtype).eps) ** 0.5
    allowed: Tensor = 8 * rounding * scale.detach().abs().amax()
    return (first - second).abs().amax() <= allowed
