"""The network run on from a layer, for changed activations.

The trunk's work is the same for every change, so it is left out where that can be shown to give the same logits: no
way below is trusted, each is compared with full forwards before it is used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn

from cam.layers.calls import layer_call
from cam.network.affine import affine_by_record
from cam.network.stem_and_head import Split, split
from cam.out_of_memory import is_out_of_memory
from cam.procedures.perturb import Build, Forward, default_rows, logits_of, rescored
from cam.request import ExplanationRequest

__all__ = ["Tail", "is_affine", "tail"]

_RESUMED = 256  # rows: each chunk of a resumed tail costs the trunk once more
_STEPS = (4, 4, 100)  # of the largest activation: near bends and far ones
_TRIALS = len(_STEPS)


@dataclass(frozen=True)
class Tail:
    """A way to the logits of changed activations; ``rows`` is how many are sensible together along it."""

    run: Forward
    rows: int
    note: str

    def rescored(self, request: ExplanationRequest, samples: Tensor, build: Build) -> Tensor:
        """Return every target's score (T, rows) of the layer's outputs (rows, C, *S) that ``build`` makes."""
        return rescored(request, samples, build, self.run, self.rows)

    def logits(self, request: ExplanationRequest, samples: Tensor, build: Build) -> Tensor:
        """Return their logits (rows, K, ...)."""
        return torch.cat(list(logits_of(request, samples, build, self.run, self.rows)))


def tail(request: ExplanationRequest) -> Tail:
    """Return the cheapest way that gives the same logits as full forwards, tried on two changes of every sample.

    First the model is resumed at the layer: the trunk sees one image, the tail all rows. Where a skip connection
    bypasses the layer, ``torch.export`` cuts the model in two. Where it refuses, full forwards remain.
    """
    whole, (samples, build) = _whole(request), _trial(request)
    expected = whole.logits(request, samples, build)
    cut: Split | None = None
    for way in (_resumed, _exported):
        candidate = way(request)
        if candidate is not None and _agrees(candidate, request, expected):
            return candidate
    cut = _split_of(request)
    reason = "torch.export refused" if cut is None else "the exported tail disagreed"
    return Tail(whole.run, whole.rows, f"full forwards: {reason}")


def is_affine(request: ExplanationRequest) -> bool:
    """Tell whether the logits are an affine function of the layer's output; of a sum of calls, of each by itself.

    Autograd's record of the tail tells, where it holds only operations that are known: no forward is needed. Where it
    holds another, it is tried, by forwards of the batch whose answer is remembered (``request.memory``) for the model,
    the layer and the input's shape, until a module or a weight is another.
    """
    groups = request.capture.groups(request.layer)
    known = [affine_by_record(request.capture.logits, *activations) for _, activations in groups]
    if False in known or None not in known:
        return False not in known
    activation = _activation(request)
    key = ("affine", request.layer, request.x.shape[1:], activation.dtype)
    return request.memory.recall(request.model, key, partial(_adds_up, request), weights=True)


def _adds_up(request: ExplanationRequest) -> bool:
    """Try f(A + D + E) - f(A) = (f(A + D) - f(A)) + (f(A + E) - f(A)) for random D and E.

    They are several times as large as A, so that they cross a rectifier behind the layer, and half of each is one
    value for a whole channel: what differs from cell to cell alone, pooling by the mean takes away.
    """
    groups = request.capture.groups(request.layer)
    return all(_adds_up_for(request, seed, channels) for channels, _ in groups for seed in range(_TRIALS))


def _adds_up_for(request: ExplanationRequest, seed: int, channels: slice) -> bool:
    activation, batch = _activation(request), len(request.x)
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randn(2, *activation.shape[1:], generator=generator).to(activation)
    whole = torch.randn(2, activation.shape[1], *[1] * (activation.ndim - 2), generator=generator).to(activation)
    peak = activation.abs().amax()
    changes = torch.zeros_like(cells)
    changes[:, channels] = (cells + whole)[:, channels]
    steps = _STEPS[seed] * torch.where(peak > 0, peak, 1) * changes
    steps = torch.cat([steps, steps.sum(dim=0, keepdim=True)])
    samples = torch.arange(3 * batch, device=activation.device)
    logits = _whole(request).logits(
        request, samples % batch, lambda rows: activation[samples[rows] % batch] + steps[samples[rows] // batch]
    )
    first, second, both = (logits.double() - request.logits.double().repeat(3, *[1] * (logits.ndim - 1))).chunk(3)
    return _same(first + second, both, _precision(activation, request.logits))


def _trial(request: ExplanationRequest) -> tuple[Tensor, Build]:
    """Return two rows of every sample: without the even channels, and without the odd ones."""
    activation, batch = _activation(request), len(request.x)
    rows = torch.arange(2 * batch, device=activation.device)
    channels = torch.arange(activation.shape[1], device=activation.device).view(-1, *[1] * (activation.ndim - 2))

    def build(chunk: slice) -> Tensor:
        drawn = rows[chunk].view(-1, *[1] * (activation.ndim - 1))
        return activation[rows[chunk] % batch] * ((channels + drawn // batch) % 2)

    return rows % batch, build


def _agrees(way: Tail, request: ExplanationRequest, expected: Tensor) -> bool:
    samples, build = _trial(request)
    try:
        logits = way.logits(request, samples, build)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False  # whatever a tail makes of a batch that its trunk never saw
    return logits.shape == expected.shape and _same(logits, expected, _precision(_activation(request), logits))


def _same(first: Tensor, second: Tensor, precision: float) -> bool:
    scale = torch.maximum(first.abs().amax(), second.abs().amax())
    return bool((first - second).abs().amax() <= precision * scale)


def _precision(*tensors: Tensor) -> float:
    """Return the root of the coarsest rounding: far above what sums lose, far below what a rectifier changes."""
    rounding = max(torch.finfo(tensor.dtype).eps for tensor in tensors)
    if tensors[0].is_cuda and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32):
        rounding = max(rounding, 2.0**-10)  # TensorFloat-32 rounds float32 so inside convolutions
    return float(rounding**0.5)


def _whole(request: ExplanationRequest) -> Tail:
    def run(rows: Tensor, samples: Tensor) -> Tensor:
        with _replaced(request, rows, samples):
            return _logits(request.model(request.x[samples.to(request.x.device)]))

    return Tail(run, default_rows(request.x[0].numel(), request.x.device), "full forwards")


def _resumed(request: ExplanationRequest) -> Tail:
    def run(rows: Tensor, samples: Tensor) -> Tensor:
        with _replaced(request, rows, samples):
            return _logits(request.model(request.x[:1]))

    activation = _activation(request)
    return Tail(run, default_rows(activation[0].numel(), activation.device, _RESUMED), "tail resumed")


def _exported(request: ExplanationRequest) -> Tail | None:
    parts = _split_of(request)
    if parts is None:
        return None
    with torch.no_grad():
        carried = parts.trunk(request.x)

    def run(rows: Tensor, samples: Tensor) -> Tensor:
        shown = [
            value[samples.to(value.device)] if by_sample else value.clone()
            for value, by_sample in zip(carried, parts.by_sample, strict=True)
        ]
        (output,) = request.capture.as_outputs(request.layer, rows, samples)
        (logits,) = parts.tail(output, *shown)
        return _logits(logits)

    kept = sum(value[0].numel() for value, by_sample in zip(carried, parts.by_sample, strict=True) if by_sample)
    activation = _activation(request)
    return Tail(run, default_rows(activation[0].numel() + kept, activation.device), "tail exported")


def _split_of(request: ExplanationRequest) -> Split | None:
    key = ("split", request.layer, request.x.shape[1:], request.x.dtype)
    return request.memory.recall(
        request.model, key, lambda: split(request.model, request.layer, request.x), weights=True
    )


def _activation(request: ExplanationRequest) -> Tensor:
    """Return the layer's activation (B, C, *S) in the precision in which the model goes on with it."""
    return request.capture.activations[request.layer].detach()


def _logits(output: object) -> Tensor:
    assert isinstance(output, Tensor)  # ``capture`` has seen that it is
    return output


@contextmanager
def _replaced(request: ExplanationRequest, rows: Tensor, samples: Tensor) -> Iterator[None]:
    layer = layer_call(request.layer, dict(request.model.named_modules()))
    values = iter(request.capture.as_outputs(request.layer, rows, samples))
    number = count()

    def replace(_module: nn.Module, _given: object, _output: object) -> Tensor | None:
        return next(values) if layer.number in (None, next(number)) else None

    hook = request.model.get_submodule(layer.module).register_forward_hook(replace, prepend=True)
    try:
        yield
    finally:
        hook.remove()
