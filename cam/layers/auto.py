"""Which layer ``auto`` stands for: the last one that all of the evidence passes.

A map of a layer that part of the evidence goes round shows that layer, not the network: one branch beside a residual
path, one of two views, an attention's weights. Whether a layer is a **cut** is read from autograd's own record of one
forward, which holds every path from the image to the logits.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from cam.layers.axis_layout import Reader
from cam.layers.calls import Slices, remedy
from cam.layers.passage import Passage
from cam.layers.spatial import FinishedLayer, LayerReader, refuse_training, watched
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.graph import GradThroughout, Record, Vertex, saving_nothing, vertex_of
from cam.network.outputs import Output, as_logits, plain

__all__ = ["LayerChoice", "choose_layer", "find_layer"]

_NAMED = 6  # candidates that a refusal names
_MEASURED = 16  # out of so many, the last
_MOST_BEHIND = 0.5  # share of the layers with weights

Grids = Mapping[str, TokenGrid | Slices] | None


@dataclass(frozen=True)
class LayerChoice:
    """The layer that ``auto`` stands for, and why.

    ``past`` is the share of the input's gradient that does not pass the layer's cells: 0 for a cut, None where the
    gradient is 0 throughout.
    """

    name: str
    past: float | None
    reason: str

    @property
    def note(self) -> str:
        """The choice in a sentence."""
        share = "no share is known, as the input's gradient is 0" if self.past is None else f"{self.past:.3f}"
        return f"auto took {self.reason}; share of the input's gradient that goes past it: {share}"


def choose_layer(
    model: nn.Module, x: Tensor, grids: Grids = None, *, output: Output = None, memory: Memory | None = None
) -> str:
    """Return the name of the layer that ``auto`` stands for: see ``find_layer``."""
    return find_layer(model, x, grids, output=output, memory=memory).name


def find_layer(
    model: nn.Module,
    x: Tensor,
    grids: Grids = None,
    *,
    output: Output = None,
    memory: Memory | None = None,
    on_logits: Callable[[Tensor], object] | None = None,
) -> LayerChoice:
    """Return the layer that ``auto`` stands for, and why.

    It is the last layer to finish that has cells and that every path from the image to the logits passes; that is
    neither pooling, padding nor upsampling, nor the output itself (nothing with weights follows it); and that most of
    the network does not lie behind. Behind the last attention of a transformer with a class token only that token
    reaches the output: there it is what the last attention reads of the patches, a normalisation where there is one.

    ``x`` has shape (B, C, *S); its first sample suffices. ``output`` names the logits in what the model returns, where
    they are not obvious. One forward, a second for a class token. ``memory`` remembers the choice for as long as the
    model consists of the same modules, by the shape of ``x`` and ``grids``; when it is made anew, ``on_logits`` is
    handed the logits of the one sample.

    Raises:
        ValueError: when no layer does, naming those that come nearest with the share that goes past each; or as
            ``cam.capture``.
    """
    refuse_training(model)
    x = plain(x[:1])
    stated = tuple(sorted((grids or {}).items(), key=lambda item: item[0]))
    key = ("auto", tuple(x.shape[1:]), x.dtype, stated, output)

    def choose() -> LayerChoice:
        survey = _surveyed(model, x, grids, output)
        if on_logits is not None:
            on_logits(survey.logits)
        return _chosen(survey)

    return (memory or Memory()).recall(model, key, choose)


@dataclass(frozen=True)
class _Survey:
    """One forward of one sample (1, C, *S), what its record tells, and how its layers are laid out."""

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

    def share_behind(self, place: int) -> float:
        """Return the share of the layers with weights and cells that come after this one.

        Behind tokens that stand for no place, those whose cells are known do not count: no evidence lies at them.
        """
        tokens = bool(self.grid(place).prefix)
        value = self.values[place]
        working = [
            number
            for number, layer in enumerate(self.finished)
            if layer.has_weights and layer.has_cells and self.record.lies_between(layer.vertex)
        ]
        behind = [number for number in working if number > place and self.values[number] != value]
        behind = [number for number in behind if not (tokens and self._read(number))]
        return len(behind) / max(len(working), 1)


def _surveyed(model: nn.Module, x: Tensor, grids: Grids, output: Output) -> _Survey:
    try:
        return _recorded(model, x, grids, output, GradThroughout())
    except RuntimeError:  # a model may need what it detaches: for numpy, for writing to a weight
        return _recorded(model, x, grids, output, nullcontext())


def _recorded(
    model: nn.Module, x: Tensor, grids: Grids, output: Output, passing: AbstractContextManager[object]
) -> _Survey:
    reader = Reader(model, x, grids)
    with torch.inference_mode(False), torch.enable_grad(), watched(model) as finished, reader.watching():
        probe = x.detach().clone().requires_grad_()
        with saving_nothing(), passing:
            logits = as_logits(model(probe.clone()), 1, output)  # a copy: models may write to their input
        record = Record(vertex_of(logits), vertex_of(probe))
    return _Survey(model, x, output, tuple(grids or ()), logits, record, finished, LayerReader(reader, finished))


def _chosen(survey: _Survey) -> LayerChoice:
    name = type(survey.model).__name__
    if not survey.record.connected and survey.grids:
        raise ValueError(f"layer 'auto' needs gradients, and the output of {name} {_why_without(survey)}")
    fit = next(survey.cuts(behind=True), None)
    if fit is None and survey.logits.ndim == 2:  # what is pooled is the output: class maps
        fit = next(survey.cuts(behind=False), None)
    if fit is None:
        raise _refusal(survey, f"layer 'auto' found no layer in {name} that all of the evidence passes")
    choice = _among_tokens(survey) if survey.grid(fit).prefix else _cut(survey, fit)
    place = max(number for number, layer in enumerate(survey.finished) if layer.name == choice.name)
    if survey.share_behind(place) > _MOST_BEHIND and choice.name not in survey.stated:
        fault = (
            f"layer 'auto' is refused: {choice.name!r} is the last in {name} that all of the evidence passes and whose "
            f"cells are known, but {survey.share_behind(place):.0%} of the layers with weights lie behind it"
        )
        unread = _last_unread(survey, place)
        raise ValueError(f"{fault}; {unread}") if unread else _refusal(survey, fault)
    return choice


def _last_unread(survey: _Survey, place: int) -> str:
    """Return what to do about the last layer behind this one that is a cut whose cells are not known, if there is one.

    Naming a layer in front of most of the network would be no remedy.
    """
    for number in reversed(range(place + 1, len(survey.finished))):
        layer = survey.finished[number]
        is_cut = layer.has_cells and layer.shape and survey.record.is_cut(layer.vertex)
        if is_cut and survey.weights_behind(number) and number not in survey.grids:
            return (
                f"{layer.name!r} is the last that all of it passes, of shape {layer.shape}, and where its cells lie in "
                "the image the network does not tell: state it, "
                f"grids={{{layer.name!r}: TokenGrid(spatial shape)}}, or, where they are sorted by windows and so lie "
                "in no grid, take a method at the input, as occlusion or rise"
            )
    return ""


def _cut(survey: _Survey, place: int) -> LayerChoice:
    return LayerChoice(survey.finished[place].name, 0.0, "the last layer that all of the evidence passes")


def _among_tokens(survey: _Survey) -> LayerChoice:
    """Return the choice among layers with tokens that stand for no place: they may carry all that is read."""
    fit = sorted(survey.cuts(behind=True)) or sorted(survey.cuts(behind=False))
    norms = [
        place
        for place in survey.grids
        if re.search("norm", type(survey.model.get_submodule(survey.finished[place].name)).__name__, re.IGNORECASE)
    ]
    watched_names = {survey.finished[place].name: survey.grids[place] for place in sorted({*fit, *norms})}
    passage = Passage(survey.model, survey.x, watched_names, survey.output)
    read = next((place for place in reversed(fit) if passage.reached(survey.finished[place].name)), None)
    if read is None:
        raise ValueError(
            f"layer 'auto' found no layer in {type(survey.model).__name__} whose patches reach the output: only tokens "
            "without a place in the image do (class, registers); name a layer inside an attention, or use "
            "attention_rollout"
        )
    name, reason = survey.finished[read].name, "the last layer whose patches the output depends on"
    for place in reversed([place for place in norms if place > read]):
        inside = survey.finished[place].name
        if passage.reached(inside) and not passage.reached(name, without=inside):
            name, reason = inside, "what the last attention reads of the patches"
            break
    return LayerChoice(name, passage.past(name), reason)


def _refusal(survey: _Survey, fault: str) -> ValueError:
    if not survey.grids:
        name = type(survey.model).__name__
        return ValueError(
            f"layer 'auto' found no layer with spatial extent in {name}{_repeated(survey)}{_rows(survey)}"
        )
    by_value = {survey.values[place]: place for place in survey.grids if survey.values[place] not in survey.resampled}
    between = [place for place in by_value.values() if survey.record.lies_between(survey.finished[place].vertex)]
    near = {survey.finished[place].name: survey.grids[place] for place in sorted(between)[-_MEASURED:]}
    passage = Passage(survey.model, survey.x, near, survey.output)
    shares = {name: passage.past(name) for name in near}
    known = {round(share, 3): name for name, share in shares.items() if share is not None}  # the last of one branch
    listed = ", ".join(f"{name} ({share:.2f})" for share, name in sorted(known.items())[:_NAMED])
    cure = f"name a layer, of which (share of the input's gradient that goes past) {listed} come nearest"
    if not listed:
        cure = (
            "none of its layers has a gradient: name one, or give torch.utils.checkpoint use_reentrant=False where the "
            "network uses it"
        )
    return ValueError(f"{fault}; {cure}{_repeated(survey)}{_rows(survey)}")


def _repeated(survey: _Survey) -> str:
    counts = Counter(layer.name for layer in survey.finished if layer.has_cells)
    names = [name for name, count in counts.items() if count > 1]
    if not names:
        return ""
    last = names[-1]
    return f"; called more than once in a forward: {', '.join(names[-_NAMED:])}: {remedy(last, counts[last])}"


def _rows(survey: _Survey) -> str:
    """Return what to do where layers have several rows for the one sample: slices, or instances."""
    rows = [layer for layer in survey.finished if layer.has_cells and layer.shape and layer.shape[0] > 1]
    if not rows:
        return ""
    name, number = rows[-1].name, (rows[-1].shape or ())[0]
    return f"; {name!r} has {number} rows for one sample: of slices or instances say grids={{{name!r}: Slices(axis)}}"


def _why_without(survey: _Survey) -> str:
    if any(layer.is_inference for layer in survey.finished):
        return (
            "is made in its own torch.inference_mode() block, whose tensors never have gradients: write "
            "torch.no_grad() there instead"
        )
    return (
        "does not depend on its input through operations with gradients (quantised weights, argmax, rounding): use the "
        "network as it was trained, or methods at the input that only run the model again, such as occlusion and rise"
    )
