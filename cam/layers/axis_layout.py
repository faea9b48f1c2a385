"""How a layer's output is laid out: which axis holds its channels, which place each token stands for.

Read from evidence, never guessed. A layer whose output may be read in two ways is refused, and the caller says which.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from cam.layers.calls import SlicedGrid, Slices, layer_call
from cam.layers.slice_order import measured_slices
from cam.layers.tokens import TokenGrid, measured
from cam.memory import Memory
from cam.network.graph import saving_all

__all__ = ["Reader"]

Answer = TypeVar("Answer")
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


class Reader:
    """Watches one forward of ``model`` on ``x`` (B, C, *S) and tells how its layers' outputs are laid out.

    ``stated`` is what the caller knows, by layer. ``busy`` is set while the model runs a second time, inside the first,
    to measure a grid of tokens or the order of slices: hooks of the first run have to look away then. ``memory`` keeps
    what was measured from one forward to the next, and ``modules`` are the model's, by name.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        stated: "Mapping[str, TokenGrid | Slices] | None" = None,
        memory: Memory | None = None,
    ) -> None:
        self._model, self._x = model, x
        self._memory = memory or Memory()
        self.modules = dict(model.named_modules())
        self._stated = {
            name: grid.slices if isinstance(grid, SlicedGrid) else grid for name, grid in (stated or {}).items()
        }
        self._seen: list[_Seen] = []
        self._slices: Mapping[str, Slices] = {}
        self._known: dict[object, Any] = {}
        self.busy = False
        unknown = [name for name in self._stated if self._base(name) not in self.modules]
        if unknown:
            raise ValueError(f"grids must name layers of {type(model).__name__}, not {unknown}")

    def slices(self, name: str) -> Slices | None:
        """Return how the slices that a layer sees lie in the image: as the caller said, or as it was measured."""
        stated = self._stated.get(name)
        if name in self._stated:
            return stated if isinstance(stated, Slices) else None
        return self._slices.get(name)

    def is_measured(self, name: str) -> bool:
        """Tell whether it was measured, not said, that the layer sees slices."""
        return name not in self._stated and name in self._slices

    def _base(self, name: str) -> str:
        return layer_call(name, self.modules).module

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Collect evidence while the model runs."""

        def note(module: nn.Module, _inputs: object, output: object) -> None:
            channels = _channels_of(module)
            if channels and isinstance(output, Tensor) and output.ndim > 2:
                self._seen.append(_Seen(channels, tuple(output.shape[1:])))

        known = [module for module in self.modules.values() if _channels_of(module)]  # none of them is TorchScript
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
        self._look_for_slices(name, shape)
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
        if self.is_measured(name) and len(shape) == 3 and _channels_of(self.modules[self._base(name)]) != "first":
            return None
        if self._reads_last(name, shape):
            raise ValueError(
                f"layer {name!r} returns tokens, or channels last, of slices, shape {shape}, which is not supported: "
                "name a layer in front of them, as the convolution that makes the patches"
            )
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
        channels = _channels_of(self.modules[self._base(name)]) or _by_evidence(shape[1:], self._seen)
        if channels is None:
            raise ValueError(
                f"layer {name!r} returns shape {shape}, whose channels may be first or last; state which: "
                f"grids={{{name!r}: TokenGrid(spatial shape, channels='first' or 'last')}}"
            )
        return TokenGrid(shape[1:-1] if channels == "last" else shape[2:], channels=channels)

    def _of_tokens(self, name: str, shape: tuple[int, ...]) -> TokenGrid:
        batch, tokens, channels = shape
        grid = None
        own = _channels_of(self.modules[self._base(name)])
        if (tokens != channels or own == "last") and not (tokens == batch and _sequence_first(self._model)):
            grid = self._measured(("tokens", tokens), lambda: measured(self._model, self._x, tokens, self._memory))
        if grid is None:
            raise ValueError(
                f"layer {name!r} returns tokens, shape {shape}, and their places in the image are not known; state "
                f"them: grids={{{name!r}: TokenGrid(spatial shape of the patches, tokens in front of them)}}"
            )
        return grid

    def _look_for_slices(self, name: str, shape: tuple[int, ...]) -> None:
        """Measure which layers see slices, once a layer has rows, or axes, as only those do."""
        fewer_axes = 3 < len(shape) == self._x.ndim - 1
        several_rows = shape[0] > len(self._x) and shape[0] % len(self._x) == 0 and len(shape) > 2
        if not self._slices and (fewer_axes or several_rows) and name not in self._stated:
            self._slices = self._measured("slices", self._measure_slices)

    def _measure_slices(self) -> Mapping[str, Slices]:
        key = ("slices", tuple(self._x.shape[1:]), self._x.dtype)
        return self._memory.recall(self._model, key, lambda: measured_slices(self._model, self._x))

    def _reads_last(self, name: str, shape: tuple[int, ...]) -> bool:
        channels = _channels_of(self.modules[self._base(name)])
        return (channels or (_by_evidence(shape[1:], self._seen) if len(shape) > 3 else "first")) == "last"

    def _measured(self, what: object, measure: Callable[[], Answer]) -> Answer:
        if what not in self._known:
            self.busy = True
            try:
                with saving_all():
                    self._known[what] = measure()
            finally:
                self.busy = False
        answer: Answer = self._known[what]
        return answer


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
        if any(output.channels == "first" and output.shape == shape[1:] for output in seen):
            return None  # slices that were put together, before their channels
        grids = {output.grid for output in seen}
        both: tuple[tuple[_Channels, tuple[int, ...]], ...] = (("first", shape[1:]), ("last", shape[:-1]))
        readings = {channels for channels, grid in both if grid in grids}
    like_it = not seen or any(len(output.shape) == len(shape) for output in seen)
    if len(readings) != 1 and like_it and all(output.channels == "first" for output in seen):
        return "first"
    return readings.pop() if len(readings) == 1 else None


def _sequence_first(model: nn.Module) -> bool:
    return any(isinstance(module, nn.MultiheadAttention) and not module.batch_first for module in model.modules())
