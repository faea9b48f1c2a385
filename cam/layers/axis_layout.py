"""How a layer's output is laid out: which axis holds its channels, which place each token stands for.

Read from evidence, never guessed. A layer whose output may be read in two ways is refused, and the caller says which.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from cam.layers.calls import SlicedGrid, Slices, layer_call
from cam.layers.tokens import TokenGrid, measured

__all__ = ["Reader", "hookable"]

_Channels = Literal["last", "first"]
_FIRST = (_ConvNd, _NormBase, nn.GroupNorm, _AvgPoolNd, _MaxPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)
_LAST = (nn.LayerNorm, nn.RMSNorm, nn.Linear)  # these very types: a subclass may turn its input to and fro


@dataclass(frozen=True)
class _Seen:
    """The shape, without its batch axis, that a module of known layout returned."""

    channels: _Channels
    shape: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        return self.shape[:-1] if self.channels == "last" else self.shape[1:]


def hookable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return the modules that take hooks, by name: all but those compiled to TorchScript."""
    return ((name, module) for name, module in model.named_modules() if not isinstance(module, torch.jit.ScriptModule))


class Reader:
    """Watches one forward of ``model`` on ``x`` (B, C, *S) and tells how its layers' outputs are laid out.

    ``stated`` is what the caller knows, by layer. ``busy`` is set while the model runs a second time, inside the first,
    to measure a grid of tokens: hooks of the first run have to look away then.
    """

    def __init__(self, model: nn.Module, x: Tensor, stated: "Mapping[str, TokenGrid | Slices] | None" = None) -> None:
        self._model, self._x = model, x
        self._modules = dict(model.named_modules())
        self._stated = {
            name: grid.slices if isinstance(grid, SlicedGrid) else grid for name, grid in (stated or {}).items()
        }
        self._seen: list[_Seen] = []
        self._grids: dict[int, TokenGrid | None] = {}
        self.busy = False
        unknown = [name for name in self._stated if self._base(name) not in self._modules]
        if unknown:
            raise ValueError(f"grids must name layers of {type(model).__name__}, not {unknown}")

    def slices(self, name: str) -> Slices | None:
        """Return how the slices that a layer sees lie in the image, where the caller said that it sees slices."""
        stated = self._stated.get(name)
        return stated if isinstance(stated, Slices) else None

    def _base(self, name: str) -> str:
        return layer_call(name, self._modules).module

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Collect evidence while the model runs."""

        def note(module: nn.Module, _inputs: object, output: object) -> None:
            channels = _channels_of(module)
            if channels and isinstance(output, Tensor) and output.ndim > 2:
                self._seen.append(_Seen(channels, tuple(output.shape[1:])))

        known = [module for _, module in hookable(self._model) if _channels_of(module)]
        hooks = [module.register_forward_hook(note) for module in known]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def grid(self, name: str, shape: Sequence[int]) -> TokenGrid:
        """Return how the output of the layer ``name``, of this shape, is laid out, by what has been seen so far.

        Raises:
            ValueError: when the shape has no spatial extent or another batch size, may be read in two ways, or is not
                what was stated.
        """
        shape, axes = tuple(shape), self._x.ndim - 2
        sliced = self._sliced(name, shape)
        if sliced is not None:
            return sliced
        hint = f"; of slices or instances say grids={{{name!r}: Slices(axis)}}" if shape[0] > len(self._x) else ""
        if len(shape) not in (3, axes + 2):
            raise ValueError(f"layer {name!r} has no spatial extent: its output has shape {shape}{hint}")
        if shape[0] != len(self._x):
            raise ValueError(
                f"layer {name!r} returns shape {shape} for {len(self._x)} samples; a map needs one each{hint}"
            )
        grid = self._stated_for(name, shape) or (
            self._of_channels(name, shape) if len(shape) == axes + 2 else self._of_tokens(name, shape)
        )
        if prod(grid.shape) < 2:
            raise ValueError(f"layer {name!r} has no spatial extent: its output has shape {shape}")
        return grid

    def _sliced(self, name: str, shape: tuple[int, ...]) -> TokenGrid | None:
        """Return the grid of the rows of slices, or of the one slice that a call of a loop sees."""
        slices = self.slices(name)
        if slices is None:
            return None
        if shape[0] == len(self._x) and len(shape) > 2:
            return TokenGrid(shape[2:], channels="first")
        grid = slices.over(shape[0], shape[2:], len(self._x))
        if grid is None:
            raise ValueError(f"grids[{name!r}] is {slices}, which does not fit the layer's output of shape {shape}")
        return grid

    def _stated_for(self, name: str, shape: tuple[int, ...]) -> TokenGrid | None:
        grid = self._stated.get(name, self._stated.get(self._base(name)))
        if isinstance(grid, Slices):
            return None
        if grid and (len(grid.shape) != self._x.ndim - 2 or not grid.fits(shape)):
            raise ValueError(f"grids[{name!r}] is {grid}, which does not fit the layer's output of shape {shape}")
        return grid

    def _of_channels(self, name: str, shape: tuple[int, ...]) -> TokenGrid:
        channels = _channels_of(self._modules[self._base(name)]) or _by_evidence(shape[1:], self._seen)
        if channels is None:
            raise ValueError(
                f"layer {name!r} returns shape {shape}, whose channels may be first or last; state which: "
                f"grids={{{name!r}: TokenGrid(spatial shape, channels='first' or 'last')}}"
            )
        return TokenGrid(shape[1:-1] if channels == "last" else shape[2:], channels=channels)

    def _of_tokens(self, name: str, shape: tuple[int, ...]) -> TokenGrid:
        batch, tokens, channels = shape
        grid = None
        if tokens != channels and not (tokens == batch and _sequence_first(self._model)):
            grid = self._measured(tokens)
        if grid is None:
            raise ValueError(
                f"layer {name!r} returns tokens, shape {shape}, and their places in the image are not known; state "
                f"them: grids={{{name!r}: TokenGrid(spatial shape of the patches, tokens in front of them)}}"
            )
        return grid

    def _measured(self, tokens: int) -> TokenGrid | None:
        if tokens not in self._grids:
            self.busy = True
            try:
                self._grids[tokens] = measured(self._model, self._x, tokens)
            finally:
                self.busy = False
        return self._grids[tokens]


def _channels_of(module: nn.Module) -> _Channels | None:
    if isinstance(module, _FIRST):
        return "first"
    spread = isinstance(module, nn.LayerNorm | nn.RMSNorm) and len(module.normalized_shape) > 1
    return "last" if type(module) in _LAST and not spread else None


def _by_evidence(shape: tuple[int, ...], seen: Sequence[_Seen]) -> _Channels | None:
    """Return where an output of this shape, without its batch axis, has its channels; None when that stays open.

    The same shape seen at a module of known layout tells, unless it reads the same both ways; then the spatial grids
    seen; and in a network that nowhere works on a last axis, channels come first.
    """
    alike = len(set(shape)) == 1
    readings = {output.channels for output in seen if alike or output.shape == shape}
    if len(readings) != 1:
        grids = {output.grid for output in seen}
        both: tuple[tuple[_Channels, tuple[int, ...]], ...] = (("first", shape[1:]), ("last", shape[:-1]))
        readings = {channels for channels, grid in both if grid in grids}
    if len(readings) != 1 and all(output.channels == "first" for output in seen):
        return "first"
    return readings.pop() if len(readings) == 1 else None


def _sequence_first(model: nn.Module) -> bool:
    return any(isinstance(module, nn.MultiheadAttention) and not module.batch_first for module in model.modules())
