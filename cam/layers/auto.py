"""Which layer ``auto`` stands for: the last one that all of the evidence passes.

A map of a layer that part of the evidence goes round shows that layer, not the network: one branch beside a residual
path, one of two views, an attention's weights. Whether a layer is a **cut** is read from autograd's own record of one
forward, which holds every path from the image to the logits.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from cam.layers.axis_layout import Reader
from cam.layers.calls import Slices, remedy
from cam.layers.passage import Passage
from cam.layers.spatial import refuse_training
from cam.layers.survey import LayerSurvey, surveyed
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.outputs import Output, eagerly, plain

__all__ = ["LayerChoice", "choose_layer", "find_layer"]

_NAMED = 6  # candidates that a refusal names
_MEASURED = 16  # out of so many, the last
_MOST_BEHIND = 0.5  # share of the layers with weights

Grids = Mapping[str, TokenGrid | Slices] | None


@dataclass(frozen=True)
class LayerChoice:
    """The layer that ``auto`` stands for, or the calls of one, and why.

    ``past`` is the share of the input's gradient that does not pass their cells: 0 for a cut, None where the gradient
    is 0 throughout.
    """

    names: tuple[str, ...]
    past: float | None
    reason: str

    @property
    def name(self) -> str:
        """The one layer's name.

        Raises:
            ValueError: when the choice is several calls.
        """
        if len(self.names) > 1:
            module = self.names[0].rsplit("#", 1)[0]
            raise ValueError(
                f"layer 'auto' stands for {len(self.names)} calls here: name one of {', '.join(self.names)}, or their "
                f"sum, '{module}#sum', where all see the same places"
            )
        return self.names[0]

    @property
    def note(self) -> str:
        """The choice in a sentence."""
        share = "no share is known, as the input's gradient is 0" if self.past is None else f"{self.past:.3f}"
        what = "it" if len(self.names) == 1 else "them"
        return f"auto took {self.reason}; share of the input's gradient that goes past {what}: {share}"


def choose_layer(
    model: nn.Module, x: Tensor, grids: Grids = None, *, output: Output = None, memory: Memory | None = None
) -> str:
    """Return the name of the layer that ``auto`` stands for: see ``find_layer``.

    Raises:
        ValueError: as ``find_layer``, or when it stands for several calls of a layer.
    """
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

    A layer with weights that is called several times is taken by the calls that nothing of it follows: the last one, or
    those of all views together, of which all of the evidence passes one or another. Slices of a volume and instances
    of a bag are one layer, once their order is measured (``cam.layers.slice_order``).

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
        with eagerly(model):
            survey = surveyed(model, x, partial(Reader, model, x, grids, memory), tuple(grids or ()), output)
            if on_logits is not None:
                on_logits(survey.logits)
            return _chosen(survey)

    return (memory or Memory()).recall(model, key, choose)


def _chosen(survey: LayerSurvey) -> LayerChoice:
    name = type(survey.model).__name__
    if not survey.record.connected and survey.grids:
        raise ValueError(f"layer 'auto' needs gradients, and the output of {name} {_why_without(survey)}")
    fit = next(survey.cuts(behind=True), None)
    calls = next(survey.repeated(after=-1 if fit is None else fit), None)
    if fit is None and calls is None and survey.logits.ndim == 2:  # what is pooled is the output: class maps
        fit = next(survey.cuts(behind=False), None)
    if calls is not None:
        choice, place = _of_calls(survey, calls), calls[-1]
    elif fit is not None:
        choice = _among_tokens(survey) if survey.grid(fit).prefix else _cut(survey, fit)
        place = survey.calls_of(choice.name)[-1]
    else:
        raise _refusal(survey, f"layer 'auto' found no layer in {name} that all of the evidence passes")
    if survey.share_behind(place) > _MOST_BEHIND and choice.names[0] not in survey.stated:
        fault = (
            f"layer 'auto' is refused: {choice.names[0]!r} is the last in {name} that all of the evidence passes and "
            f"whose cells are known, but {survey.share_behind(place):.0%} of the layers with weights lie behind it"
        )
        unread = _last_unread(survey, place)
        raise ValueError(f"{fault}; {unread}") if unread else _refusal(survey, fault)
    return choice


def _last_unread(survey: LayerSurvey, place: int) -> str:
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


def _cut(survey: LayerSurvey, place: int) -> LayerChoice:
    layer = survey.finished[place]
    reason = "the last layer that all of the evidence passes" + _in_parts(survey.layers.slices(layer))
    return LayerChoice((layer.name,), 0.0, reason)


def _in_parts(slices: Slices | None) -> str:
    if slices is None:
        return ""
    what = "the instances of a bag" if slices.axis is None else f"slices along spatial axis {slices.axis}"
    return f"; it sees {what}, as measured"


def _of_calls(survey: LayerSurvey, places: Sequence[int]) -> LayerChoice:
    """Return the choice of these calls of one layer: as slices, the last alone, or each."""
    calls = [survey.finished[place] for place in places]
    name, slices = calls[0].name, survey.layers.slices(calls[0])
    if slices is not None:
        reason = f"{name!r}, called for each part, the last layer that all of the evidence passes"
        return LayerChoice((name,), 0.0, reason + _in_parts(slices))
    numbers = survey.calls_of(name)
    names = tuple(f"{name}#{numbers.index(place)}" for place in places)
    if len(names) == 1:
        return LayerChoice(names, 0.0, f"the last call of {name!r}, which all of the evidence passes")
    reason = f"the {len(names)} calls of {name!r}, one or another of which all of the evidence passes: a map of each"
    if len(places) == len(numbers) and len({call.shape for call in calls}) == 1:
        reason += f" (where all see the same places, '{name}#sum' is their sum)"
    return LayerChoice(names, 0.0, reason)


def _among_tokens(survey: LayerSurvey) -> LayerChoice:
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
    return LayerChoice((name,), passage.past(name), reason)


def _refusal(survey: LayerSurvey, fault: str) -> ValueError:
    if not survey.grids:
        name = type(survey.model).__name__
        return ValueError(
            f"layer 'auto' found no layer with spatial extent in {name}{_fewer_axes(survey)}{_repeated(survey)}"
            f"{_rows(survey)}"
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


def _repeated(survey: LayerSurvey) -> str:
    axes = (3, survey.x.ndim)  # a call of fewer has no map of its own
    counts = Counter(layer.name for layer in survey.finished if layer.has_cells and len(layer.shape or ()) in axes)
    names = [name for name, count in counts.items() if count > 1]
    if not names:
        return ""
    last = names[-1]
    return f"; called more than once in a forward: {', '.join(names[-_NAMED:])}: {remedy(last, counts[last])}"


def _rows(survey: LayerSurvey) -> str:
    """Return what to do where layers have several rows for the one sample: slices, or instances."""
    rows = [layer for layer in survey.finished if layer.has_cells and layer.shape and layer.shape[0] > 1]
    if not rows:
        return ""
    name, number = rows[-1].name, (rows[-1].shape or ())[0]
    return (
        f"; {name!r} has {number} rows for one sample: of slices say grids={{{name!r}: Slices(axis)}}, of instances or "
        f"copies of the image grids={{{name!r}: Slices(None)}}"
    )


def _fewer_axes(survey: LayerSurvey) -> str:
    """Return what to do where layers with cells have fewer axes than the image, in parts that were not measured."""
    shapes = [layer.shape for layer in survey.finished if layer.has_cells and layer.shape and layer.shape[0] == 1]
    if not any(3 < len(shape) < survey.x.ndim for shape in shapes):
        return ""
    return (
        "; its layers have fewer axes than the image: take a method at the input, as occlusion or rise, or, where its "
        "slices are their channels, a wrapper that is given them so, x[:, 0]"
    )


def _why_without(survey: LayerSurvey) -> str:
    if any(layer.is_inference for layer in survey.finished):
        return (
            "is made in its own torch.inference_mode() block, whose tensors never have gradients: write "
            "torch.no_grad() there instead"
        )
    return (
        "does not depend on its input through operations with gradients (quantised weights, argmax, rounding): use the "
        "network as it was trained, or methods at the input that only run the model again, such as occlusion and rise"
    )
