"""Which layers a map can be taken from, and how their outputs are laid out."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cam.reading import Reader, hookable
from cam.tokens import TokenGrid

__all__ = ["readable", "refuse_training", "resolve", "spatial_layers"]

Grids = Mapping[str, TokenGrid]


def refuse_training(model: nn.Module) -> None:
    """Refuse a model in training mode: a forward would change its statistics and draw random numbers.

    Raises:
        ValueError: naming the first module that is in training mode.
    """
    for name, module in model.named_modules():
        if module.training:
            where = name or type(model).__name__
            raise ValueError(f"the model must be in evaluation mode (call model.eval()); in training mode: {where}")


def spatial_layers(model: nn.Module, x: Tensor, grids: Grids | None = None) -> dict[str, tuple[int, ...]]:
    """Run one forward and list the layers that a map can be taken from, in the order in which they finished.

    A layer is listed when it is called once and returns one tensor that reads as (B, C, *S) in one way only, with
    more than one element in S and as many axes as the input's: (B, C, *S) itself, channels last, or the tokens of a
    grid (see ``cam.tokens``). ``x`` has shape (B, C, *S); its first sample suffices. ``grids`` states what no
    evidence tells.

    Returns:
        The layer's name to its spatial shape S.

    Raises:
        ValueError: when the model is in training mode or takes no hooks, or ``grids`` names no layer of it.
    """
    return {name: grid.shape for name, grid in readable(model, x, grids).items()}


def readable(model: nn.Module, x: Tensor, grids: Grids | None = None) -> dict[str, TokenGrid]:
    """Return the layers that ``spatial_layers`` lists, each with how its output is laid out."""
    refuse_training(model)
    _refuse_unwatchable(model)
    reader = Reader(model, x[:1], grids)
    # shapes alone: the outputs themselves would hold the whole trunk in memory
    finished: list[tuple[str, tuple[int, ...] | None]] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: finished.append((name, _shape(out))))
        for name, module in hookable(model)
        if name
    ]
    try:
        with reader.watching(), torch.no_grad():
            model(x[:1])
    finally:
        for hook in hooks:
            hook.remove()
    calls = [name for name, _ in finished]
    found = {name: _grid(reader, name, shape) for name, shape in finished if shape and calls.count(name) == 1}
    return {name: grid for name, grid in found.items() if grid}


def _shape(output: object) -> tuple[int, ...] | None:
    return tuple(output.shape) if isinstance(output, Tensor) else None


def _grid(reader: Reader, name: str, shape: tuple[int, ...]) -> TokenGrid | None:
    try:
        return reader.grid(name, shape)
    except ValueError:
        return None


def resolve(model: nn.Module, name: str, x: Tensor) -> nn.Module:
    """Return the module called ``name``.

    Raises:
        ValueError: when there is none (the message lists the layers that would do), or when it takes no hooks.
    """
    _refuse_unwatchable(model)
    module: nn.Module | None = dict(model.named_modules()).get(name) if name else None
    if module is None:
        raise ValueError(f"layer {name!r} does not exist in {type(model).__name__}; {_would_do(model, x)}")
    _refuse_unwatchable(module, f"layer {name!r}")
    return module


def _refuse_unwatchable(module: nn.Module, what: str = "the model") -> None:
    kinds = {
        torch.jit.ScriptModule: "is TorchScript, which takes no hooks; pass the nn.Module that it was made from, or "
        "ask for methods at the input, which need no layer",
        nn.DataParallel: "is wrapped in nn.DataParallel, which calls a layer once a device; pass its .module, and a "
        "part of the batch to a process of its own on each device",
    }
    fault = next((text for kind, text in kinds.items() if isinstance(module, kind)), "")
    if fault:
        raise ValueError(f"{what} {fault}")


def _would_do(model: nn.Module, x: Tensor) -> str:
    names = list(spatial_layers(model, x))
    shown = names if len(names) <= 24 else ["...", *names[-24:]]
    return f"layers that would do: {', '.join(shown) or 'none'}"
