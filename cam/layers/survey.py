"""One forward of one sample, and what its record tells of the layers: which of them all of the evidence passes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from cam.layers.axis_layout import Reader
from cam.layers.spatial import FinishedLayer, LayerReader, watched
from cam.layers.tokens import TokenGrid
from cam.network.graph import GradThroughout, Record, Vertex, inputs_of, saving_nothing, vertex_of
from cam.network.outputs import Output, as_logits

__all__ = ["LayerSurvey", "surveyed"]


@dataclass(frozen=True)
class LayerSurvey:
    """One forward of one sample (1, C, *S), what its record tells, and how its layers are laid out.

    A layer's place is the number of its call in ``finished``; ``stated`` are the layers whose grids the caller gave.
    """

    model: nn.Module
    x: Tensor
    output: Output
    stated: Sequence[str]
    logits: Tensor
    record: Record
    finished: Sequence[FinishedLayer]
    layers: LayerReader

    @cached_property
    def grids(self) -> dict[int, TokenGrid]:
        """The grids of the layers that a map can be taken from, by their place in ``finished``."""
        return {place: grid for place in range(len(self.finished)) if (grid := self._read(place))}

    def _read(self, place: int) -> TokenGrid | None:
        return self.layers.grid(self.finished[place])

    def grid(self, place: int) -> TokenGrid:
        """Return the grid of a layer that a map can be taken from."""
        grid = self._read(place)
        assert grid is not None
        return grid

    @cached_property
    def resampled(self) -> set[Vertex | None]:
        """What pooling, padding and upsampling returned: cells that are not the features' own."""
        return {self.values[place] for place, layer in enumerate(self.finished) if layer.resamples}

    def cuts(self, *, behind: bool) -> Iterator[int]:
        """Yield the layers with cells that all of the evidence passes, the last first; with weights behind, or any.

        A layer is read when its turn comes: where tokens lie may have to be measured.
        """
        for place in reversed(range(len(self.finished))):
            cut = self.record.is_cut(self.finished[place].vertex) and self.values[place] not in self.resampled
            if cut and (not behind or self.weights_behind(place)) and self._read(place):
                yield place

    def calls_of(self, name: str) -> list[int]:
        """Return the places of a layer's calls, in their order."""
        return [place for place, layer in enumerate(self.finished) if layer.name == name]

    def repeated(self, *, after: int) -> Iterator[tuple[int, ...]]:
        """Yield the calls of layers with weights that together are a cut, the layer that finishes last first.

        Those alone that no other call of the layer follows; down to a place behind which the last call lies.
        """
        counts = Counter(layer.name for layer in self.finished)
        for place in reversed(range(after + 1, len(self.finished))):
            name = self.finished[place].name
            if counts.pop(name, 0) > 1 and any(True for _ in self.model.get_submodule(name).parameters()):
                calls = self._frontier(name)
                if calls and all(map(self._is_feature, calls)):
                    yield calls

    def _frontier(self, name: str) -> tuple[int, ...]:
        calls = self.calls_of(name)
        met = self.record.frontier({self.finished[place].vertex for place in calls}) or set()
        return tuple(place for place in calls if self.finished[place].vertex in met)

    def _weighed(self, place: int) -> bool:
        """Tell whether what is made of this call, no cut by itself, passes weights."""
        vertex, value = self.finished[place].vertex, self.values[place]
        behind = self.record.behind(vertex) if vertex else frozenset()
        layers = (number for number in range(place + 1, len(self.finished)) if self.values[number] != value)
        given = (operand for made in behind for operand in inputs_of(made[0]))
        return any(
            self.finished[number].has_weights and self.finished[number].vertex in behind for number in layers
        ) or any(isinstance(getattr(operand[0], "variable", None), nn.Parameter) for operand in given)

    def _is_feature(self, place: int) -> bool:
        """Tell whether a map can be taken from this one of several calls of a layer."""
        layer = self.finished[place]
        if self.values[place] in self.resampled or not self._weighed(place):
            return False
        grid = self.layers.grid_of_call(layer)
        if grid is None or grid.prefix:
            return False
        return self.layers.slices(layer) is None or len(self._frontier(layer.name)) == len(self.calls_of(layer.name))

    @cached_property
    def values(self) -> list[Vertex | None]:
        """What each call returned: the same for a block and the layer in it that made it, copies or not."""
        original: dict[Vertex | None, Vertex | None] = {}
        for layer in self.finished:
            original[layer.vertex] = original.get(layer.made, layer.made)
        return [original[layer.vertex] for layer in self.finished]

    def weights_behind(self, place: int) -> bool:
        """Tell whether weights come after this cut: behind them alone is what the network returns."""
        vertex, value = self.finished[place].vertex, self.values[place]
        later = (number for number in range(place + 1, len(self.finished)) if self.values[number] != value)
        weighing = (self.finished[number].vertex for number in later if self.finished[number].has_weights)
        recorded = vertex is not None and self.record.weights_behind(vertex)
        return recorded or any(map(self.record.lies_between, weighing))

    def _parts(self, place: int) -> int:
        """Return how many slices or instances a layer sees, 0 where it sees the image as a whole."""
        slices, layer = self.layers.slices(self.finished[place]), self.finished[place]
        if slices is None:
            return 0
        return max(len(self.calls_of(layer.name)), (layer.shape or (0,))[0])

    def share_behind(self, place: int) -> float:
        """Return the share of the layers with weights and cells that come after this one.

        Behind tokens that stand for no place, those whose cells are known do not count: no evidence lies at them. Nor
        do those whose cells are not, of a network that answers an image in words, (B, T, vocabulary): they read text.
        Nor do those with a token for each slice or instance: they read all parts.
        """
        grid = self._read(place)
        tokens = grid is not None and bool(grid.prefix)
        value = self.values[place]
        working = [
            number
            for number, layer in enumerate(self.finished)
            if layer.has_weights and layer.has_cells and self.record.lies_between(layer.vertex)
        ]
        behind = [number for number in working if number > place and self.values[number] != value]
        behind = [number for number in behind if not (tokens and self._read(number))]
        if self.logits.ndim == 3 and self.x.ndim > 3:
            behind = [number for number in behind if self._read(number)]
        parts = self._parts(place)
        whole = ((1, parts), (parts, 1))
        behind = [number for number in behind if not (parts and (self.finished[number].shape or ())[:-1] in whole)]
        return len(behind) / max(len(working), 1)


def surveyed(
    model: nn.Module, x: Tensor, reading: Callable[[], Reader], stated: Sequence[str], output: Output
) -> LayerSurvey:
    """Run ``model`` once on ``x`` (1, C, *S) with a record that keeps no memory, and read it."""
    try:
        return _recorded(model, x, reading(), stated, output, GradThroughout())
    except RuntimeError:  # a model may need what it detaches: for numpy, for writing to a weight
        return _recorded(model, x, reading(), stated, output, nullcontext())


def _recorded(
    model: nn.Module,
    x: Tensor,
    reader: Reader,
    stated: Sequence[str],
    output: Output,
    passing: AbstractContextManager[object],
) -> LayerSurvey:
    with torch.inference_mode(False), torch.enable_grad(), watched(model) as finished, reader.watching():
        probe = x.detach().clone().requires_grad_()
        with saving_nothing(), passing:
            logits = as_logits(model(probe.clone()), 1, output)  # a copy: models may write to their input
        record = Record(vertex_of(logits), vertex_of(probe))
    return LayerSurvey(model, x, output, stated, logits, record, finished, LayerReader(reader, finished))
