"""Which layer a map is taken from: by name, or the last one that still has spatial extent."""

from math import prod

import torch
from torch import Tensor, nn

__all__ = ["choose_layer", "refuse_training", "resolve", "spatial_layers"]


def refuse_training(model: nn.Module) -> None:
    """Refuse a model in training mode: a forward would change its statistics and draw random numbers.

    Raises:
        ValueError: naming the first module that is in training mode.
    """
    for name, module in model.named_modules():
        if module.training:
            where = name or type(model).__name__
            raise ValueError(f"the model must be in evaluation mode (call model.eval()); in training mode: {where}")


def spatial_layers(model: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Run one forward and list the layers that a map can be taken from, in the order in which they finished.

    A layer is listed when it is called once and returns one tensor (B, C, *S) whose spatial shape S has more
    than one element and as many axes as the input's. ``x`` has shape (B, C, *S); its first sample suffices.

    Returns:
        The layer's name to its spatial shape S.

    Raises:
        ValueError: when the model is in training mode.
    """
    refuse_training(model)
    # shapes alone: the outputs themselves would hold the whole trunk in memory
    finished: list[tuple[str, tuple[int, ...] | None]] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: finished.append((name, _shape(out))))
        for name, module in model.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            model(x[:1])
    finally:
        for hook in hooks:
            hook.remove()
    calls = [name for name, _ in finished]
    return {
        name: shape[2:]
        for name, shape in finished
        if shape and len(shape) == x.ndim and shape[0] == 1 and prod(shape[2:]) > 1 and calls.count(name) == 1
    }


def _shape(output: object) -> tuple[int, ...] | None:
    return tuple(output.shape) if isinstance(output, Tensor) else None


def choose_layer(model: nn.Module, x: Tensor) -> str:
    """Return the layer that ``auto`` stands for: the last to finish that still has spatial extent.

    Raises:
        ValueError: when no layer has spatial extent.
    """
    layers = spatial_layers(model, x)
    if not layers:
        raise ValueError(f"layer 'auto' found no layer with spatial extent in {type(model).__name__}")
    return next(reversed(layers))


def resolve(model: nn.Module, name: str, x: Tensor) -> nn.Module:
    """Return the module called ``name``.

    Raises:
        ValueError: when there is none; the message lists the layers that would do.
    """
    module: nn.Module | None = dict(model.named_modules()).get(name) if name else None
    if module is None:
        raise ValueError(f"layer {name!r} does not exist in {type(model).__name__}; {_would_do(model, x)}")
    return module


def _would_do(model: nn.Module, x: Tensor) -> str:
    names = list(spatial_layers(model, x))
    shown = names if len(names) <= 24 else ["...", *names[-24:]]
    return f"layers that would do: {', '.join(shown) or 'none'}"
