"""The network run on from a layer, for changed activations.

The trunk's work is the same for every change, so it is left out where that can be shown to give the same logits: no
way below is trusted, each is compared with full forwards before it is used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cam.affine import affine_by_record
from cam.perturb import Build, Forward, default_rows, logits_of, rescored
from cam.question import Question
from cam.split import Split, split

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

    def rescored(self, question: Question, samples: Tensor, build: Build) -> Tensor:
        """Return every target's score (T, rows) of the layer's outputs (rows, C, *S) that ``build`` makes."""
        return rescored(question, samples, build, self.run, self.rows)

    def logits(self, question: Question, samples: Tensor, build: Build) -> Tensor:
        """Return their logits (rows, K, ...)."""
        return torch.cat(list(logits_of(question, samples, build, self.run, self.rows)))


def tail(question: Question) -> Tail:
    """Return the cheapest way that gives the same logits as full forwards, tried on two changes of every sample.

    First the model is resumed at the layer: the trunk sees one image, the tail all rows. Where a skip connection
    bypasses the layer, ``torch.export`` cuts the model in two. Where it refuses, full forwards remain.
    """
    whole, (samples, build) = _whole(question), _trial(question)
    expected = whole.logits(question, samples, build)
    cut: Split | None = None
    for way in (_resumed, _exported):
        found = way(question)
        if found is not None and _agrees(found, question, expected):
            return found
    cut = _split_of(question)
    reason = "torch.export refused" if cut is None else "the exported tail disagreed"
    return Tail(whole.run, whole.rows, f"full forwards: {reason}")


def is_affine(question: Question) -> bool:
    """Tell whether the logits are an affine function of the layer's output.

    Autograd's record of the tail tells, where it holds only operations that are known: no forward is needed. Where it
    holds another, it is tried, by forwards of the batch whose answer is remembered (``question.memory``) for the model,
    the layer and the input's shape, until a module or a weight is another.
    """
    known = affine_by_record(question.passed.logits, question.passed.activations[question.layer])
    if known is not None:
        return known
    activation = _activation(question)
    key = ("affine", question.layer, question.x.shape[1:], activation.dtype)
    return question.memory.recall(question.model, key, partial(_adds_up, question), weights=True)


def _adds_up(question: Question) -> bool:
    """Try f(A + D + E) - f(A) = (f(A + D) - f(A)) + (f(A + E) - f(A)) for random D and E.

    They are several times as large as A, so that they cross a rectifier behind the layer, and half of each is one
    value for a whole channel: what differs from cell to cell alone, pooling by the mean takes away.
    """
    return all(_adds_up_for(question, seed) for seed in range(_TRIALS))


def _adds_up_for(question: Question, seed: int) -> bool:
    activation, batch = _activation(question), len(question.x)
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randn(2, *activation.shape[1:], generator=generator).to(activation)
    whole = torch.randn(2, activation.shape[1], *[1] * (activation.ndim - 2), generator=generator).to(activation)
    peak = activation.abs().amax()
    steps = _STEPS[seed] * torch.where(peak > 0, peak, 1) * (cells + whole)
    steps = torch.cat([steps, steps.sum(dim=0, keepdim=True)])
    samples = torch.arange(3 * batch, device=activation.device)
    logits = _whole(question).logits(
        question, samples % batch, lambda rows: activation[samples[rows] % batch] + steps[samples[rows] // batch]
    )
    one, other, both = (logits.double() - question.logits.double().repeat(3, *[1] * (logits.ndim - 1))).chunk(3)
    return _same(one + other, both, _precision(activation, question.logits))


def _trial(question: Question) -> tuple[Tensor, Build]:
    """Return two rows of every sample: without the even channels, and without the odd ones."""
    activation, batch = _activation(question), len(question.x)
    rows = torch.arange(2 * batch, device=activation.device)
    channels = torch.arange(activation.shape[1], device=activation.device).view(-1, *[1] * (activation.ndim - 2))

    def build(chunk: slice) -> Tensor:
        drawn = rows[chunk].view(-1, *[1] * (activation.ndim - 1))
        return activation[rows[chunk] % batch] * ((channels + drawn // batch) % 2)

    return rows % batch, build


def _agrees(way: Tail, question: Question, expected: Tensor) -> bool:
    samples, build = _trial(question)
    try:
        found = way.logits(question, samples, build)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever a tail makes of a batch that its trunk never saw
        return False
    return found.shape == expected.shape and _same(found, expected, _precision(_activation(question), found))


def _same(one: Tensor, other: Tensor, precision: float) -> bool:
    scale = torch.maximum(one.abs().amax(), other.abs().amax())
    return bool((one - other).abs().amax() <= precision * scale)


def _precision(*tensors: Tensor) -> float:
    """Return the root of the coarsest rounding: far above what sums lose, far below what a rectifier changes."""
    rounding = max(torch.finfo(one.dtype).eps for one in tensors)
    if tensors[0].is_cuda and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32):
        rounding = max(rounding, 2.0**-10)  # TensorFloat-32 rounds float32 so inside convolutions
    return float(rounding**0.5)


def _whole(question: Question) -> Tail:
    def run(rows: Tensor, samples: Tensor) -> Tensor:
        with _replaced(question, rows, samples):
            return _logits(question.model(question.x[samples.to(question.x.device)]))

    return Tail(run, default_rows(question.x[0].numel(), question.x.device), "full forwards")


def _resumed(question: Question) -> Tail:
    def run(rows: Tensor, samples: Tensor) -> Tensor:
        with _replaced(question, rows, samples):
            return _logits(question.model(question.x[:1]))

    activation = _activation(question)
    return Tail(run, default_rows(activation[0].numel(), activation.device, _RESUMED), "tail resumed")


def _exported(question: Question) -> Tail | None:
    parts = _split_of(question)
    if parts is None:
        return None
    with torch.no_grad():
        carried = parts.trunk(question.x)

    def run(rows: Tensor, samples: Tensor) -> Tensor:
        shown = [
            value[samples.to(value.device)] if by_sample else value.clone()
            for value, by_sample in zip(carried, parts.by_sample, strict=True)
        ]
        (logits,) = parts.tail(question.passed.as_output(question.layer, rows, samples), *shown)
        return _logits(logits)

    kept = sum(value[0].numel() for value, by_sample in zip(carried, parts.by_sample, strict=True) if by_sample)
    activation = _activation(question)
    return Tail(run, default_rows(activation[0].numel() + kept, activation.device), "tail exported")


def _split_of(question: Question) -> Split | None:
    key = ("split", question.layer, question.x.shape[1:], question.x.dtype)
    return question.memory.recall(
        question.model, key, lambda: split(question.model, question.layer, question.x), weights=True
    )


def _activation(question: Question) -> Tensor:
    """Return the layer's activation (B, C, *S) in the precision in which the model goes on with it."""
    return question.passed.activations[question.layer].detach()


def _logits(output: object) -> Tensor:
    assert isinstance(output, Tensor)  # ``capture`` has seen that it is
    return output


@contextmanager
def _replaced(question: Question, rows: Tensor, samples: Tensor) -> Iterator[None]:
    values = question.passed.as_output(question.layer, rows, samples)
    hook = question.model.get_submodule(question.layer).register_forward_hook(lambda _m, _i, _o: values)
    try:
        yield
    finally:
        hook.remove()
