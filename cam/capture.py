"""One pass through the model: activations, logits, and gradients of the tail alone.

The part of the network before the earliest requested layer (the trunk) runs without a graph, so it keeps
nothing for backward; the layer's output becomes a new leaf, and only what comes after it (the tail) is
differentiated.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cam.layers import refuse_training, resolve
from cam.targets import Scalar

__all__ = ["Capture", "capture"]

_Calls = dict[str, list[tuple[Tensor, int]]]  # a layer's outputs, one a call, each with its write count
_NO_PATH = "do not influence the model's output by a path with gradients"


@dataclass(frozen=True)
class Capture:
    """What one forward left behind.

    ``activations`` maps a layer's name to its output (B, C, *S); ``logits`` is (B, K). Both hang on the
    tail's graph, which lives as long as this object. For a segmentation network ``logits`` is (B, K, *S).
    """

    activations: Mapping[str, Tensor]
    logits: Tensor

    def gradients(self, targets: Sequence[Scalar]) -> dict[str, Tensor]:
        """Return d score / d activation for every target in one batched backward through the tail.

        Samples do not mix in evaluation mode, so the sum over the batch gives each sample its own gradient.

        Returns:
            The layer's name to gradients of shape (T, B, C, *S).

        Raises:
            ValueError: for a target out of range, a layer that the output does not depend on, or gradients
                that hold NaN or infinity.
        """
        with torch.inference_mode(False), torch.enable_grad():
            scores = torch.stack([target.scores(self.logits).sum() for target in targets])
        if not scores.requires_grad:
            raise ValueError(f"layers {list(self.activations)} {_NO_PATH}")
        names, layers = zip(*self.activations.items(), strict=True)
        gradients = torch.autograd.grad(
            scores,
            layers,
            grad_outputs=torch.eye(len(targets), dtype=scores.dtype, device=scores.device),
            is_grads_batched=True,
            retain_graph=True,
            allow_unused=True,
        )
        unused = [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]
        if unused:
            raise ValueError(f"layers {unused} {_NO_PATH}")
        for name, gradient in zip(names, gradients, strict=True):
            if not bool(torch.isfinite(gradient).all()):
                raise ValueError(f"the gradients at layer {name!r} hold NaN or infinity for this input")
        return dict(zip(names, gradients, strict=True))


def capture(model: nn.Module, x: Tensor, layers: Sequence[str]) -> Capture:
    """Run ``model`` once on ``x`` (B, C, *S) and capture the named layers.

    The model is left as it was found: hooks are removed, no mode, parameter, ``.grad`` or flag is touched,
    also when the forward raises. Frozen parameters and in-place operations after the layer are fine.

    Raises:
        ValueError: when the model is in training mode, a layer does not exist, is not reached, is called more
            than once, has no spatial extent, holds NaN or infinity or is overwritten by another name, or the
            output is not (B, K).
    """
    refuse_training(model)
    seen: _Calls = {name: [] for name in layers}
    modules = {name: resolve(model, name, x) for name in layers}
    with _recording(modules, seen), torch.inference_mode(False), torch.no_grad():
        logits = model(x)
    _check_output(logits, x)
    return Capture({name: _check_layer(name, calls, x) for name, calls in seen.items()}, logits)


@contextmanager
def _recording(modules: Mapping[str, nn.Module], seen: _Calls) -> Iterator[None]:
    def hook_for(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> Tensor | None:
            if not isinstance(output, Tensor):
                raise ValueError(f"layer {name!r} must return one tensor, not {type(output).__name__}")  # noqa: TRY004 - callers expect one error type for an unfit layer
            torch.set_grad_enabled(True)  # the tail begins; the caller's no_grad block restores the mode
            leaf = output if output.requires_grad else output.detach().requires_grad_()
            seen[name].append((leaf, leaf._version))  # noqa: SLF001 - the only count of in-place writes there is
            return leaf.clone()  # an in-place operation behind the layer must not overwrite the activation

        return hook

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name, module in modules.items():
            hooks.append(module.register_forward_hook(hook_for(name)))  # type: ignore[arg-type]
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_output(logits: object, x: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.ndim < 2 or len(logits) != len(x):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model's output must have shape ({len(x)}, labels), not {shape}")


def _check_layer(name: str, calls: list[tuple[Tensor, int]], x: Tensor) -> Tensor:
    if len(calls) != 1:
        fault = "is never reached" if not calls else f"is called {len(calls)} times"
        raise ValueError(f"layer {name!r} {fault} in one forward; a map needs a layer that is called once")
    ((activation, version),) = calls
    if activation._version != version:  # noqa: SLF001
        raise ValueError(f"layer {name!r} passes on a tensor that is overwritten later; take the layer before it")
    shape = tuple(activation.shape)
    if activation.ndim != x.ndim or activation.shape[2:].numel() < 2:
        raise ValueError(f"layer {name!r} has no spatial extent: its output has shape {shape}")
    if len(activation) != len(x):
        raise ValueError(f"layer {name!r} returns shape {shape} for {len(x)} samples; a map needs one each")
    if not bool(torch.isfinite(activation).all()):
        raise ValueError(f"layer {name!r} holds NaN or infinity for this input")
    return activation
