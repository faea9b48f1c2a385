"""Which layers a map can be taken from, and how their outputs are laid out."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cam.layers.axis_layout import Reader
from cam.layers.calls import Slices, layer_call
from cam.layers.hooks import hookable
from cam.layers.tokens import TokenGrid
from cam.network.graph import Vertex, vertex_of
from cam.network.outputs import plain

__all__ = ["FinishedLayer", "LayerReader", "refuse_training", "resolve", "spatial_layers", "watched"]

Grids = Mapping[str, TokenGrid | Slices]


def refuse_training(model: nn.Module) -> None:
    """Refuse a model in training mode: a forward would change its statistics and draw random numbers.

    Raises:
        ValueError: naming the first module that is in training mode.
    """
    for name, module in () if _is_exported(model) else model.named_modules():
        if module.training:
            where = name or type(model).__name__
            raise ValueError(f"the model must be in evaluation mode (call model.eval()); in training mode: {where}")


def spatial_layers(model: nn.Module, x: Tensor, grids: Grids | None = None) -> dict[str, tuple[int, ...]]:
    """Run one forward and list the layers that a map can be taken from, in the order in which they finished.

    A layer is listed when it is called once and returns one tensor that reads as (B, C, *S) in one way only, with
    more than one element in S and as many axes as the input's: (B, C, *S) itself, channels last, or the tokens of a
    grid (see ``cam.layers.tokens``). ``x`` has shape (B, C, *S); its first sample suffices. ``grids`` states what no
    evidence tells.

    Returns:
        The layer's name to its spatial shape S.

    Raises:
        ValueError: when the model is in training mode or takes no hooks, or ``grids`` names no layer of it.
    """
    return {name: grid.shape for name, grid in _readable(model, x, grids).items()}


@dataclass(frozen=True)
class FinishedLayer:
    """A module's call, noted when it returned.

    ``shape`` is that of the tensor it returned (None for anything else), ``made`` that tensor's place in autograd's
    record, and ``vertex`` that of the copy which went on in its stead: a module that returns its input is no cut for
    what else reads that input. ``has_weights`` tells whether the module has any of its own, ``has_cells`` whether its
    output has more than one place, and ``resamples`` whether it only changes the cells: pooling, padding, upsampling.
    ``is_inference`` tells of a tensor from inference mode, which has no record.
    """

    name: str
    shape: tuple[int, ...] | None = None
    made: Vertex | None = None
    vertex: Vertex | None = None
    has_weights: bool = False
    has_cells: bool = False
    resamples: bool = False
    is_inference: bool = False


@contextmanager
def watched(model: nn.Module) -> Iterator[list[FinishedLayer]]:
    """Note every module's call, in the order in which they finish; where a record is kept, each goes on with a copy.

    Raises:
        ValueError: when the model takes no hooks.
    """
    _refuse_unwatchable(model)
    finished: list[FinishedLayer] = []

    def hook_for(name: str) -> Callable[[nn.Module, tuple[object, ...], object], Tensor | None]:
        def hook(module: nn.Module, given: tuple[object, ...], output: object) -> Tensor | None:
            copy = output.clone() if isinstance(output, Tensor) and output.requires_grad else None
            finished.append(_noted(name, module, given, output, copy))
            return copy

        return hook

    hooks = [module.register_forward_hook(hook_for(name), prepend=True) for name, module in hookable(model) if name]
    try:
        yield finished
    finally:
        for hook in hooks:
            hook.remove()


class LayerReader:
    """Tells how the layers of one watched forward are laid out."""

    def __init__(self, reader: Reader, finished: Iterable[FinishedLayer]) -> None:
        self._reader, self._calls = reader, Counter(layer.name for layer in finished)

    def slices(self, layer: FinishedLayer) -> Slices | None:
        """Return how the slices that a layer sees lie in the image, where that was measured."""
        return self._reader.slices(layer.name) if self._reader.is_measured(layer.name) else None

    def grid(self, layer: FinishedLayer) -> TokenGrid | None:
        """Return the layer's grid, or None for one that no map can be taken from, or that is called several times."""
        return self.grid_of_call(layer) if self._calls[layer.name] == 1 else None

    def grid_of_call(self, layer: FinishedLayer) -> TokenGrid | None:
        """Return the grid of this call of the layer, or None where no map can be taken from it."""
        if layer.shape is None:
            return None
        try:
            return self._reader.grid(layer.name, layer.shape)
        except ValueError:
            return None


def _readable(model: nn.Module, x: Tensor, grids: Grids | None) -> dict[str, TokenGrid]:
    refuse_training(model)
    x = plain(x[:1])
    reader = Reader(model, x, grids)
    with watched(model) as finished, reader.watching(), torch.no_grad():
        model(x)
    layers = LayerReader(reader, finished)
    return {layer.name: grid for layer in finished if (grid := layers.grid(layer))}


def _noted(
    name: str, module: nn.Module, given: tuple[object, ...], output: object, copy: Tensor | None
) -> FinishedLayer:
    value = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(value, Tensor):
        return FinishedLayer(name)
    return FinishedLayer(
        name,
        tuple(output.shape) if isinstance(output, Tensor) else None,  # shapes alone: outputs would hold the memory
        vertex_of(value),
        vertex_of(value if copy is None else copy),
        has_weights=any(True for _ in module.parameters(recurse=False)),
        has_cells=value.ndim > 2 and sum(size > 1 for size in value.shape[1:]) > 1,
        resamples=_resamples(module, given, value),
        is_inference=value.is_inference(),
    )


def _resamples(module: nn.Module, given: tuple[object, ...], output: Tensor) -> bool:
    """Tell whether a module without weights changes the number of cells: a permutation of the axes does not."""
    if any(True for _ in module.parameters()):
        return False
    first = given[0] if given else None
    changed = isinstance(first, Tensor) and first.ndim == output.ndim and sorted(first.shape) != sorted(output.shape)
    return changed or bool(re.search("pool|pad|upsample|interpolate|blur", type(module).__name__, re.IGNORECASE))


def resolve(model: nn.Module, name: str, x: Tensor, modules: Mapping[str, nn.Module] | None = None) -> nn.Module:
    """Return the module called ``name``, or that one of whose calls is.

    Raises:
        ValueError: when there is none (the message lists the layers that would do), or when it takes no hooks.
    """
    _refuse_unwatchable(model)
    modules = modules or dict(model.named_modules())
    module: nn.Module | None = modules.get(layer_call(name, modules).module) if name else None
    if module is None:
        raise ValueError(f"layer {name!r} does not exist in {type(model).__name__}; {_would_do(model, x)}")
    _refuse_unwatchable(module, f"layer {name!r}")
    return module


def _is_exported(module: nn.Module) -> bool:
    """Tell whether a module is a program of ``torch.export``: it has no modes, and its operations no modules."""
    return isinstance(module, torch.fx.GraphModule) and "eval" in vars(module)


def _refuse_unwatchable(module: nn.Module, what: str = "the model") -> None:
    if _is_exported(module):
        raise ValueError(
            f"{what} is a torch.export program, which has no layers that take hooks; pass the nn.Module that it was "
            "made from, or ask for methods at the input, which need no layer"
        )
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
