"""All methods, targets and layers of a batch from one forward."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

import cam.methods  # noqa: F401 - fills the registry
from cam.capture import Capture, capture
from cam.inputs.arguments import (
    Options,
    checked_input,
    checked_settings,
    checkpoints_in_words,
    in_words,
    layer_names,
    method_options,
    output_and_kind,
    output_names,
)
from cam.inputs.keywords import in_our_words
from cam.inputs.target_keys import TargetKey, TargetLike, requested, resolve_targets
from cam.layers.auto import LayerChoice, find_layer
from cam.layers.calls import Slices
from cam.layers.spatial import refuse_training
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.graph import saving_nothing
from cam.network.outputs import Output, OutputKind, adapted, as_logits, refuse_squashed, saturated
from cam.network.steady import check_steady, mixes_samples
from cam.outcome.explanation import Explanation, MapKey
from cam.registry import METHODS, Method
from cam.request import ExplanationRequest, RawMaps, widened

__all__ = ["explain"]


@in_our_words
def explain(
    model: nn.Module,
    x: Tensor,
    targets: "Sequence[TargetLike] | TargetLike | Tensor | None" = None,
    *,
    target: "TargetLike | Tensor | None" = None,
    methods: Sequence[str] | str = ("gradcam",),
    layers: Sequence[str | nn.Module] | str | nn.Module = ("auto",),
    labels: Sequence[str] | None = None,
    options: Options | None = None,
    rows: int | None = None,
    rectify: bool = True,
    grids: Mapping[str, TokenGrid | Slices] | None = None,
    on_maps: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - the name is the documentation
    output: Output = None,
    output_kind: OutputKind | None = None,
    memory: Memory | None = None,
) -> Explanation:
    """Explain ``model`` on ``x`` (B, C, *S) with every method, target and layer from one forward.

    ``target`` is what is explained: an index, a label's name (with ``labels``, the outputs' names in their order), or a
    target of ``cam.inputs.targets``; ``targets`` are several of them. Without either it is each sample's predicted
    label. ``methods`` and ``layers`` may be one or several; a layer is its name or the module itself, ``"auto"`` the
    last that all of the evidence passes, ``"name#0"``, ``"name#1"`` the calls of one that is called several times in a
    forward.

    ``options`` sets a method's own parameters, by its name. ``rows`` bounds how many inputs a method that runs the
    model again shows it together; by default as many as is sensible for their size, halved when memory runs out.
    ``rectify=False`` leaves out the ReLU that ends a method's formula (``Method.rectified``), for maps that are carried
    to another grid and rectified there. ``grids`` states, by layer, where its tokens lie in the image when the network
    does not tell (``cam.layers.tokens``). ``on_maps`` is called after each method and layer with the number of maps
    made, one for each target and sample.

    ``output`` tells what the model returns: ``"logits"``, ``"probability"``, which is mapped back to log-odds
    (independent labels) or logarithms (those that sum to one), or ``"regression"``, of which a bare index is the output
    itself, of one output too. Or it names the logits in a dict, tuple or dataclass (a key, a field, a position) where
    they are not obvious; what they are is then ``output_kind``.

    ``memory`` keeps what is found out about the model from call to call: the layer that ``auto`` stands for, how a
    layer's tail can be run alone. Hand the same one to all calls of a run. Hooks are set on the model meanwhile, so
    one call at a time works on it: threads that share a ``memory`` wait for each other, others need a copy each.

    Raises:
        ValueError: for an argument that is not what it has to be, a layer that does not do, a target out of range (see
            ``capture``), an output that is no logit, a model that gives other logits in a second forward, or a method
            that this model does not allow.
    """
    chosen = method_options(methods, options)
    rows, grids = checked_settings(rows, rectify, grids, on_maps, memory)
    asked = requested(targets, target)
    output, kind = output_and_kind(output, output_kind)
    x, memory = checked_input(model, x), memory or Memory()
    refuse_training(model)
    labels = output_names(labels)
    wanted_layers = layer_names(model, layers)
    rows = 1 if mixes_samples(model, x) else rows  # it is refused for more samples than one
    with memory.alone_with(model), adapted(model, output, kind), checkpoints_in_words():
        with in_words(model, x):
            names, notes, passed = _run_once(model, x, wanted_layers, chosen, grids, memory)
        if kind == "logits":
            refuse_squashed(passed.logits)
        wanted = resolve_targets(asked, passed.logits, labels=labels, regression=kind == "regression")
        request = ExplanationRequest(
            model, x, tuple(wanted.values()), passed.logits.detach(), names, passed, rows, memory
        )
        maps, notes = _maps(request, tuple(wanted), chosen, notes, partial(_final, rectify=rectify), on_maps)
    return Explanation(
        request.logits,
        request.targets,
        maps,
        notes,
        tuple(wanted),
        tuple(labels or ()),
        {name: ~passed.activations[name].detach().flatten(1).any(dim=1) for name in names},
        saturated(request.logits, request.targets) if kind == "probability" else None,
    )


def _run_once(
    model: nn.Module,
    x: Tensor,
    layers: Sequence[str],
    chosen: Options,
    grids: Mapping[str, TokenGrid | Slices] | None,
    memory: Memory,
) -> tuple[tuple[str, ...], dict[tuple[str, str], str], Capture]:
    """Return the layers' names, why ``auto`` stands for the one that it does, and what one forward leaves."""
    names, notes = tuple[str, ...](), dict[tuple[str, str], str]()
    alone: list[Tensor] = []
    if any(METHODS[name].at != "input" for name in chosen):
        find = partial(find_layer, model, x, grids, memory=memory, on_logits=alone.append)
        names, notes = _layers(layers, find)
    recorded = partial(capture, model, x, names, grids=grids, memory=memory) if names else None
    passed = _passed(model, x, recorded, graph=any(METHODS[name].backward for name in chosen))
    passed = passed if names else replace(passed, grids=dict(grids or {}))
    check_steady(model, x, passed.logits, alone)
    return names, notes, passed


def _passed(model: nn.Module, x: Tensor, recorded: Callable[[], Capture] | None, *, graph: bool) -> Capture:
    """Return what one forward leaves; its logits are always on a record, by which a squashing end is known."""
    if recorded is not None:
        with nullcontext() if graph else saving_nothing():
            return recorded()
    if isinstance(model, torch.jit.ScriptModule):
        return capture(model, x, ())
    with torch.inference_mode(False), torch.enable_grad(), saving_nothing():
        return Capture({}, as_logits(model(x.detach().clone().requires_grad_()), len(x)))


def _maps(
    request: ExplanationRequest,
    keys: Sequence[TargetKey],
    chosen: Options,
    notes: Mapping[tuple[str, str], str],
    final: Callable[[Tensor, str], Tensor],
    on_maps: Callable[[int], None],
) -> tuple[dict[MapKey, Tensor], dict[tuple[str, str], str]]:
    """Return the maps of every method, layer and target, and the notes with what the methods add."""
    maps: dict[MapKey, Tensor] = {}
    notes = dict(notes)
    if request.targets:
        for (method, layer), raw in _answers(request, chosen):
            made = final(raw.maps.detach(), method)
            maps |= {(method, layer, key): values for key, values in zip(keys, made, strict=True)}
            notes |= {(method, layer): raw.note} if raw.note else {}
            on_maps(len(request.targets) * len(request.x))
    return maps, notes


def _final(maps: Tensor, method: str, *, rectify: bool) -> Tensor:
    """Return maps of any shape with the last step of the method's formula, where that is a ReLU and it is asked for."""
    return maps.relu() if rectify and METHODS[method].rectified else maps


def _layers(
    layers: Sequence[str], find: Callable[[], LayerChoice]
) -> tuple[tuple[str, ...], dict[tuple[str, str], str]]:
    """Return the layers' names, ``auto`` resolved, and the note of why it stands for the one that it does."""
    if not layers:
        raise ValueError("layers must name at least one layer")
    if "auto" not in layers:
        return tuple(dict.fromkeys(layers)), {}
    choice = find()
    names = [name for asked in layers for name in (choice.names if asked == "auto" else (asked,))]
    return tuple(dict.fromkeys(names)), {("auto", name): choice.note for name in choice.names}


def _answers(request: ExplanationRequest, chosen: Options) -> Iterator[tuple[tuple[str, str], RawMaps]]:
    gradients: dict[str, Tensor] = {}
    if any(METHODS[name].is_formula for name in chosen):
        gradients = request.capture.gradients(request.targets)
    request = replace(request, known_gradients=gradients)
    for name, options in chosen.items():
        method = METHODS[name]
        for place, layers in method.places(request.layers).items():
            if method.is_formula:
                activation = widened(request.capture.activations[place].detach())
                maps = [method.function(activation, widened(gradient), **options) for gradient in gradients[place]]
                yield (name, place), RawMaps(torch.stack(maps))  # type: ignore[arg-type]
            else:
                yield (name, place), _run_procedure(method, request, layers, options)


def _run_procedure(
    method: Method, request: ExplanationRequest, layers: tuple[str, ...], options: Mapping[str, object]
) -> RawMaps:
    kept = replace(request.capture, activations={layer: request.capture.activations[layer] for layer in layers})
    raw = method.function(replace(request, layers=layers, capture=kept), **options)
    assert isinstance(raw, RawMaps)
    return raw
