"""Which layer a map is taken from: by name, or the last one that still has spatial extent."""

import torch
from torch import Tensor, nn

__all__ = ["choose_layer", "resolve", "spatial_layers"]


def spatial_layers(model: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Run one forward and list the layers that a map can be taken from, in the order in which they finished.

    A layer is listed when it is called once and returns one tensor (B, C, *S) whose spatial shape S has more than
    one element and as many axes as the input's. ``x`` has shape (B, C, *S); its first sample suffices.

    Returns:
        The layer's name to its spatial shape S.
    """
    finished: list[tuple[str, object]] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: finished.append((name, output)))
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
        name: tuple(output.shape[2:])
        for name, output in finished
        if isinstance(output, Tensor)
        and output.ndim == x.ndim
        and output.shape[2:].numel() > 1
        and calls.count(name) == 1
    }


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
    module = dict(model.named_modules()).get(name) if name else None
    if module is None:
        raise ValueError(f"layer {name!r} does not exist in {type(model).__name__}; {_would_do(model, x)}")
    return module


def _would_do(model: nn.Module, x: Tensor) -> str:
    names = list(spatial_layers(model, x))
    shown = names if len(names) <= 24 else ["...", *names[-24:]]
    return f"layers that would do: {', '.join(shown) or 'none'}"
