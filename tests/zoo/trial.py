"""One network: which layer ``auto`` takes, and whether evidence goes past it, measured without the code under test.

A layer is right when the gradient at the image is gone once the layer's output is detached: two forwards and two
backwards that share nothing with ``cam.layers.auto``, which reads autograd's record. Of a layer with a class token only
the patches are cells: some of the evidence must be at them, the token may carry the rest, and the gradient at the
patches that the layer reads must be gone. The image's own first convolution would pass all that, so most of the
layers with weights must not lie behind; and a layer that is the output explains nothing, so it must not be that. That
no later layer would do as well is not measured.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from cam import Memory, Region, explain, find_layer
from tests.zoo.candidate import Candidate

Verdict = Literal["right", "refused", "wrong", "crashed"]
PASSED = ("right", "refused")
METHODS = ("gradcam", "hirescam")
_MOST_BEHIND = 0.5
_MOST_PREFIX_TOKENS = 64


@dataclass(frozen=True)
class Row:
    """What came of one candidate; ``sentence`` is the refusal, the fault or the error."""

    candidate: Candidate
    verdict: Verdict
    layer: str = ""
    cells: tuple[int, ...] = ()
    past: float | None = None
    sentence: str = ""

    def __str__(self) -> str:
        cells = "x".join(map(str, self.cells))
        share = "" if self.past is None else f"{self.past:.3f}"
        facts = f"{self.verdict:8} {self.candidate.name:34} {self.layer:46} {cells:9} {share:6}"
        return f"{facts}{self.sentence}".rstrip()


def examine(candidate: Candidate) -> Row:
    """Make the network with the same weights each time, ask for ``auto``, and measure what goes past it."""
    torch.manual_seed(0)
    try:
        model = candidate.make().eval()
        x = torch.rand(1, *candidate.shape)
        with torch.no_grad():
            logits = logits_of(model(x))
    except Exception as error:
        return Row(candidate, "crashed", sentence=f"the network does not run: {_in_words(error)}")
    memory, layer = Memory(), ""
    try:
        layer = find_layer(model, x, memory=memory).name
        target = Region(1, torch.ones(1, *logits.shape[2:])) if candidate.is_dense else 1
        maps = explain(model, x, [target], methods=METHODS, memory=memory)
        return judged(candidate, model, x, layer, maps[METHODS[0], layer])
    except ValueError as error:
        return Row(candidate, "refused", layer, sentence=str(error))
    except Exception as error:
        return Row(candidate, "crashed", layer, sentence=_in_words(error))


def judged(candidate: Candidate, model: nn.Module, x: Tensor, layer: str, values: Tensor) -> Row:
    """Judge the layer of which ``values`` (1, *S) is a map."""
    cells = tuple(values.shape[1:])
    call = _called(model, x, layer)
    prefix = call.prefix(prod(cells))
    share = past(model, x, layer, prefix)
    fault = _passage_fault(model, x, layer, prefix, share) or call.fault
    if not fault and not bool(values.isfinite().all()):
        fault = "its map is not finite"
    return Row(candidate, "wrong" if fault else "right", layer, cells, share, fault)


def _passage_fault(model: nn.Module, x: Tensor, layer: str, prefix: int, share: float | None) -> str:
    if share is None:
        return "no gradient reaches the image, so nothing is measured"
    if not _is_read(model, x, layer, prefix):
        return "none of the evidence is at its cells"
    if share > 0 and not prefix:
        return "evidence goes past it"
    if share > 0 and _past_of_patches(model, x, layer, prefix) != 0:
        return "evidence of the patches that it reads goes past it"
    return ""


def logits_of(returned: object) -> Tensor:
    """Return the first tensor of what a network returned, or what it calls its logits."""
    value = getattr(returned, "logits", returned)
    while isinstance(value, tuple | list):
        value = value[0]
    if not isinstance(value, Tensor):
        raise TypeError(f"the network returns a {type(returned).__name__} without logits")
    return value


def past(model: nn.Module, x: Tensor, layer: str, prefix: int = 0) -> float | None:
    """Return the share of the image's gradient that is left when the layer's cells are detached; None where it is 0.

    ``prefix`` counts the tokens in front of the layer's cells that stand for no place, and are left as they are.
    """

    def size(*, is_cut: bool) -> float:
        probe = x.clone().requires_grad_()
        with _detached(model, layer, prefix) if is_cut else nullcontext():
            return _size(_score(model, probe), probe)

    whole = size(is_cut=False)
    return size(is_cut=True) / whole if whole > 0 else None


def _is_read(model: nn.Module, x: Tensor, layer: str, prefix: int) -> bool:
    """Tell whether the score depends on the layer's cells: its share may be 1 and more, as paths cancel."""
    outputs: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _module, _given, output: outputs.append(output))
    try:
        score = _score(model, x.clone().requires_grad_())
    finally:
        handle.remove()
    return _size(score, outputs[0], lambda gradient: gradient[:, prefix:]) > 0


def _past_of_patches(model: nn.Module, x: Tensor, layer: str, prefix: int) -> float | None:
    """Return ``past``, of the patches (1, prefix + N, C) that the layer is given; None where they have no gradient."""

    def size(*, is_cut: bool) -> float:
        given: list[Tensor] = []

        def keep(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            given.append(next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)))

        handle = model.get_submodule(layer).register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with _detached(model, layer) if is_cut else nullcontext():
                score = _score(model, x.clone().requires_grad_())
        finally:
            handle.remove()
        return _size(score, given[0], lambda gradient: gradient[:, prefix:])

    whole = size(is_cut=False)
    return size(is_cut=True) / whole if whole > 0 else None


def _score(model: nn.Module, x: Tensor) -> Tensor:
    logits = logits_of(model(x)).flatten()
    return (logits * torch.linspace(1, 2, len(logits))).sum()  # those of a softmax would sum to a constant


def _size(score: Tensor, value: Tensor, part: Callable[[Tensor], Tensor] = lambda gradient: gradient) -> float:
    gradient = torch.autograd.grad(score, value, allow_unused=True)[0] if score.requires_grad else None
    return 0.0 if gradient is None else float(part(gradient).double().abs().sum())


@contextmanager
def _detached(model: nn.Module, layer: str, prefix: int = 0) -> Iterator[None]:
    def hook(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
        if not prefix:
            return output.detach()
        return torch.cat([output[:, :prefix], output[:, prefix:].detach()], dim=1)

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class _Call:
    """What the layer returned, the network's logits, and the share of the layers with weights that finish later."""

    output: Tensor
    logits: Tensor
    behind: float

    def prefix(self, cells: int) -> int:
        """Return how many tokens stand in front of those of the cells in an output (1, prefix + cells, C)."""
        surplus = self.output.shape[1] - cells if self.output.ndim == 3 else 0
        return surplus if 0 < surplus <= _MOST_PREFIX_TOKENS else 0

    @property
    def fault(self) -> str:
        if self.behind > _MOST_BEHIND:
            return f"{self.behind:.0%} of the layers with weights lie behind it"
        if self.output.shape == self.logits.shape and torch.equal(self.output, self.logits):
            return "it is the output"
        return ""


def _called(model: nn.Module, x: Tensor, layer: str) -> _Call:
    finished: list[str] = []
    outputs: list[Tensor] = []
    weighing = {name for name, part in model.named_modules() if any(True for _ in part.parameters(recurse=False))}
    handles = [
        part.register_forward_hook(lambda _module, _given, _output, name=name: finished.append(name))
        for name, part in model.named_modules()
    ]
    handles.append(
        model.get_submodule(layer).register_forward_hook(lambda _module, _given, output: outputs.append(output.clone()))
    )
    try:
        with torch.no_grad():
            logits = logits_of(model(x))
    finally:
        for handle in handles:
            handle.remove()
    later = [name for name in finished[finished.index(layer) + 1 :] if name in weighing]
    return _Call(outputs[0], logits, len(later) / max(sum(name in weighing for name in finished), 1))


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
