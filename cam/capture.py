"""One pass through the model: activations, logits, and gradients of the tail alone.

The part of the network before the earliest requested layer (the trunk) runs without a graph, so it keeps nothing for
backward; the layer's output becomes a new leaf, and only what comes after it (the tail) is differentiated.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cam.layers import resolve
from cam.targets import Target

__all__ = ["Capture", "capture"]


@dataclass(frozen=True)
class Capture:
    """What one forward left behind.

    ``activations`` maps a layer's name to its output (B, C, *S); ``logits`` is (B, K). Both hang on the tail's graph,
    which lives as long as this object.
    """

    activations: Mapping[str, Tensor]
    logits: Tensor

    def gradients(self, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Return d score / d activation for every target in one batched backward through the tail.

        Samples do not mix in evaluation mode, so the sum over the batch gives each sample its own gradient.

        Returns:
            The layer's name to gradients of shape (T, B, C, *S).
        """
        scores = torch.stack([target.scores(self.logits).sum() for target in targets])
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
            raise ValueError(f"layers {unused} do not influence the model's output")
        return dict(zip(names, gradients, strict=True))


def capture(model: nn.Module, x: Tensor, layers: Sequence[str]) -> Capture:
    """Run ``model`` once on ``x`` (B, C, *S) and capture the named layers.

    The model is left as it was found: hooks are removed, no mode, parameter, ``.grad`` or flag is touched, also
    when the forward raises. Frozen parameters and in-place operations after the layer are fine.

    Raises:
        ValueError: when the model is in training mode, a layer does not exist, is not reached, is called more than
            once, has no spatial extent or holds NaN or infinity, or the output is not (B, K).
    """
    if not layers:
        raise ValueError("layers must name at least one layer")
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(f"the model must be in evaluation mode (call model.eval()); in training mode: {training[0]}")
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}
    with _recording({name: resolve(model, name, x) for name in layers}, seen), torch.no_grad():
        logits = model(x)
    _check_output(logits, x)
    return Capture({name: _check_layer(name, calls, x) for name, calls in seen.items()}, logits)


@contextmanager
def _recording(modules: Mapping[str, nn.Module], seen: dict[str, list[Tensor]]) -> Iterator[None]:
    def hook_for(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> Tensor | None:
            if not isinstance(output, Tensor):
                raise ValueError(f"layer {name!r} must return one tensor, not {type(output).__name__}")  # noqa: TRY004 - callers expect one error type for an unfit layer
            torch.set_grad_enabled(True)  # the tail begins; the caller's no_grad block restores the mode
            leaf = output if output.requires_grad else output.detach().requires_grad_()
            seen[name].append(leaf)
            return leaf.clone()  # an in-place operation behind the layer must not overwrite the activation

        return hook

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name, module in modules.items():
            hooks.append(module.register_forward_hook(hook_for(name)))  # type: ignore[arg-type]  # noqa: PERF401 - a failed registration must leave the earlier handles in the list
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_output(logits: object, x: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(x):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model's output must have shape ({len(x)}, labels), not {shape}")


def _check_layer(name: str, calls: list[Tensor], x: Tensor) -> Tensor:
    if len(calls) != 1:
        fault = "is never reached" if not calls else f"is called {len(calls)} times"
        raise ValueError(f"layer {name!r} {fault} in one forward; a map needs a layer that is called once")
    activation = calls[0]
    if activation.ndim != x.ndim or activation.shape[2:].numel() < 2:
        raise ValueError(f"layer {name!r} has no spatial extent: its output has shape {tuple(activation.shape)}")
    if not bool(torch.isfinite(activation).all()):
        raise ValueError(f"layer {name!r} holds NaN or infinity for this input")
    return activation
