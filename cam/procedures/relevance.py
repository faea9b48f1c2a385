"""The relevance of every input value, sent back from the score by rules, and the account of where it went."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

__all__ = ["Propagation", "channel_relevance", "relevance"]

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
    operation does not hand on (the share of a bias, of a stabiliser) is entered in an account: what reached the image
    and what stayed on the way sum to the score. One forward for all targets, and a pass back for each.

    Raises:
        ValueError: when an operation has no rule, a target is no weighted sum of logits, the logits are not those of
            the plain forward, or relevance is missing from the account.
    """
    (values,), right = _in_chunks(request, partial(_whole, request, way))
    scores = torch.stack([widened(target.scores(request.logits)) for target in request.targets])
    arrived = values.flatten(2).sum(dim=2) / torch.where(scores == 0, torch.inf, scores)
    low, high = _checked(way, values, right, torch.stack(arrived.aminmax()))
    note = f"{low:.0%} to {high:.0%} of the score reach the image"
    return values, f"{note}; biases, and outputs without a term that the rule counts, keep the rest"


def channel_relevance(
    request: ExplanationRequest, way: Propagation, channel: int | None
) -> tuple[Tensor, list[list[int]]]:
    """Return the relevance (T, B, C, *S) that passes one channel of the request's layer, and which one (T, B) that is.

    Without a channel it is each sample's with the largest sum of relevance, the first of equals. What does not pass the
    layer, or passes another of its channels, is left out.

    Raises:
        ValueError: as ``relevance``, or when the layer is called more than once or has no such channel.
    """
    (values, channels), right = _in_chunks(request, partial(_through, request, way, channel))
    flat = _checked(way, values, right, channels.to(values).flatten())
    rows = iter(flat)
    return values, [[int(next(rows)) for _ in range(channels.shape[1])] for _ in range(channels.shape[0])]


_Chunk = tuple[
    tuple[Tensor, ...], Tensor
]  # values of targets and samples (T, b, ...), and which faults are absent (3,)


def _in_chunks(request: ExplanationRequest, chunk: Callable[[Tensor], _Chunk]) -> _Chunk:
    """Return what ``chunk`` gives for a few samples (b,) at a time, together."""

    def attempt(rows: int) -> _Chunk:
        some = torch.split(torch.arange(len(request.x), device=request.x.device), rows)
        values, right = zip(*map(chunk, some), strict=True)
        return tuple(torch.cat(parts, dim=1) for parts in zip(*values, strict=True)), torch.stack(right).all(dim=0)

    return halving(rows_together(request), attempt)


def _checked(way: Propagation, values: Tensor, right: Tensor, others: Tensor) -> list[float]:
    """Refuse what is not right, and return some other numbers: the host waits once for all."""
    checks = torch.cat([right, torch.isfinite(values).all()[None]]).to(others)
    kept = torch.cat([checks, others]).tolist()
    for holds, fault in zip(kept, _FAULTS, strict=False):
        if not holds:
            raise ValueError(f"method {way.method!r} {fault}")
    return kept[len(_FAULTS) :]


_ONE_GRID = "must be called once and return channels on a grid (B, C, *S)"
_FAULTS = (
    "changes the model's logits: a value is written to in place where it is read elsewhere",
    "needs a target that is a weighted sum of logits",
    "loses relevance on a path that no rule follows",
    "gives NaN or infinity for this input",
)


def _whole(request: ExplanationRequest, way: Propagation, some: Tensor) -> _Chunk:
    books = _Books()
    with _forward(request, way, books, some) as (x, logits):
        parts = [_back(logits, x, books, target.select(some)) for target in request.targets]
        as_before = _close(logits, request.logits[some], logits)
    values, sums, accounts = zip(*parts, strict=True)
    return (torch.stack(values),), torch.stack([as_before, torch.stack(sums).all(), torch.stack(accounts).all()])


def _through(request: ExplanationRequest, way: Propagation, channel: int | None, some: Tensor) -> _Chunk:
    outputs: list[Tensor] = []
    layer = dict(request.model.named_modules()).get(request.layer)
    if layer is None:  # one call of several, by its number
        raise ValueError(f"layer {request.layer!r} {_ONE_GRID}")
    hook = layer.register_forward_hook(lambda _module, _given, output: outputs.append(output))
    try:
        with _forward(request, way, _Books(), some) as (x, logits):
            output = _only(request, outputs, channel)
            parts = [_back_through(logits, output, x, channel, target.select(some)) for target in request.targets]
            as_before = _close(logits, request.logits[some], logits)
    finally:
        hook.remove()
    values, channels, sums = zip(*parts, strict=True)
    right = torch.stack([as_before, torch.stack(sums).all(), torch.ones_like(as_before)])
    return (torch.stack(values), torch.stack(channels)), right


@contextmanager
def _forward(
    request: ExplanationRequest, way: Propagation, books: _Books, some: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Run the model on these samples by the rules; give the images and the logits that hang on them."""
    with torch.inference_mode(False), torch.enable_grad(), exact(request.x):
        x = request.x.detach()[some].requires_grad_()
        with rewritten(way.method, request.model, way.rules(x, lambda: books.account), x) as mode:
            logits = request.model(x).clone()  # is read, as a value that another operation is given
        if not mode.is_made_of_the_image(logits):
            raise ValueError(f"method {way.method!r} does not see what the logits are made of")
        yield x, logits


def _only(request: ExplanationRequest, outputs: Sequence[Tensor], channel: int | None) -> Tensor:
    if len(outputs) != 1 or outputs[0].ndim != request.x.ndim:
        raise ValueError(f"layer {request.layer!r} {_ONE_GRID}")
    count = outputs[0].shape[1]
    if channel is not None and not 0 <= channel < count:
        raise ValueError(f"concept_relevance.channel must lie within 0 and {count - 1}, not {channel}")
    return outputs[0]


def _start(logits: Tensor, target: Scalar) -> tuple[Tensor, Tensor]:
    """Return the relevance (b, K) of the logits, and whether it sums to the target's score."""
    probe = logits.detach().requires_grad_()
    scores = target.scores(probe)
    start = probe.detach() * torch.autograd.grad(scores.sum(), probe)[0]
    return start, _close(start.flatten(1).sum(dim=1), scores.detach(), start)


def _back_through(
    logits: Tensor, output: Tensor, x: Tensor, channel: int | None, target: Scalar
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the relevance (b, C, *S) that passes a channel, the channel (b,), and whether the start is the score."""
    start, is_score = _start(logits, target)
    (arrived,) = torch.autograd.grad(logits, output, start, retain_graph=True, allow_unused=False)
    sums = arrived.flatten(2).sum(dim=2)
    chosen = sums.argmax(dim=1) if channel is None else torch.full_like(sums[:, 0], channel, dtype=torch.long)
    kept = torch.zeros_like(sums).scatter(1, chosen[:, None], 1).view(*sums.shape, *[1] * (output.ndim - 2))
    return torch.autograd.grad(output, x, arrived * kept, retain_graph=True)[0], chosen, is_score


def _back(logits: Tensor, x: Tensor, books: _Books, target: Scalar) -> tuple[Tensor, Tensor, Tensor]:
    """Return a target's relevance (b, C, *S), whether what started is its score, and whether the account is closed."""
    start, is_score = _start(logits, target)
    books.open(start)
    (arrived,) = torch.autograd.grad(logits, x, start, retain_graph=True)
    total, account = start.sum(), books.account
    return arrived, is_score, _close(arrived.sum() + account.taken, total, torch.maximum(account.most, total.abs()))


def _close(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Tell whether two tensors are equal but for rounding, relative to the largest magnitude of a third."""
    rounding = max(torch.finfo(first.dtype).eps, torch.finfo(second.dtype).eps) ** 0.5
    allowed: Tensor = 8 * rounding * scale.detach().abs().amax()
    return (first - second).abs().amax() <= allowed
