"""All methods, targets and layers of a batch from one forward."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

import cam.methods  # noqa: F401 - fills the registry
from cam.capture import Capture, capture
from cam.equivalence import equivalent
from cam.layers.auto import LayerChoice, find_layer
from cam.layers.spatial import refuse_training
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.graph import saving_nothing
from cam.network.outputs import Output, OutputKind, adapted, as_logits, plain, refuse_squashed
from cam.network.steady import check_steady, mixes_samples
from cam.registry import METHODS, Method
from cam.request import ExplanationRequest, RawMaps, widened
from cam.targets import PerSample, Scalar, TargetLike, resolve_targets

__all__ = ["Explanation", "explain"]

Options = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Explanation:
    """The maps of one batch, raw.

    ``maps`` goes from (method, layer, number of the target) to a detached tensor (B, *S) at the layer's own resolution;
    the layer is ``"input"`` for a method at the input, and ``"one+other"`` for one across layers. ``logits`` is
    (B, K). ``targets`` are those explained, by number. ``notes`` tells, by method and layer, how maps were got where
    there was more than one way; under the method ``"auto"`` it tells why this layer was taken, and what goes past it.
    ``equivalent`` holds, by layer, groups of methods whose maps are one and the same up to a positive factor and a
    final ReLU: one piece of evidence, not several.
    """

    logits: Tensor
    targets: tuple[Scalar, ...]
    maps: Mapping[tuple[str, str, int], Tensor]
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[tuple[str, str, int], Tensor]]:
        return iter(self.maps.items())

    @property
    def equivalent(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """Groups of methods, by layer, that give the same map for every sample and target of this batch."""
        return equivalent(self.maps)

    @property
    def empty(self) -> tuple[tuple[str, str, int, int], ...]:
        """The maps that hold nothing but 0, as (method, layer, number of the target, sample): say so, don't draw them.

        A dead layer gives one, and so does a rectified method where all evidence speaks against the target.
        """
        return tuple(
            (*key, sample)
            for key, maps in self.maps.items()
            for sample, values in enumerate(_final(maps, key[0], rectify=True))
            if not bool(values.any())
        )


def explain(
    model: nn.Module,
    x: Tensor,
    targets: Sequence[TargetLike] | PerSample,
    *,
    methods: Sequence[str] = ("gradcam",),
    layers: Sequence[str] = ("auto",),
    options: Options | None = None,
    rows: int | None = None,
    rectify: bool = True,
    grids: Mapping[str, TokenGrid] | None = None,
    on_maps: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - the name is the documentation
    output: Output = None,
    output_kind: OutputKind = "logits",
    memory: Memory | None = None,
) -> Explanation:
    """Explain ``model`` on ``x`` (B, C, *S) with every method, target and layer from one forward.

    ``options`` sets a method's own parameters, by its name. ``rows`` bounds how many inputs a method that runs the
    model again shows it together; by default as many as is sensible for their size, halved when memory runs out.
    ``rectify=False`` leaves out the ReLU that ends a method's formula (``Method.rectified``), for maps that are carried
    to another grid and rectified there. ``grids`` states, by layer, where its tokens lie in the image when the network
    does not tell (``cam.layers.tokens``). ``on_maps`` is called after each method and layer with the number of maps
    made, one for each target and sample.

    ``output`` names the logits in what the model returns (a key, a field, a position) where they are not obvious.
    ``output_kind`` tells what they are: ``"probability"`` is mapped back to log-odds (independent labels) or logarithms
    (those that sum to one); of ``"regression"`` a bare index is the output itself, of one output too.

    ``memory`` keeps what is found out about the model from call to call: the layer that ``auto`` stands for, how a
    layer's tail can be run alone. Hand the same one to all calls of a run.

    One call at a time may work on a model: hooks are set on it meanwhile. Other threads need a copy of their own.

    Raises:
        ValueError: for an unknown method or option, a layer that does not do, a target out of range (see ``capture``),
            an output that is no logit, a model that gives other logits in a second forward, or a method that this
            model does not allow.
    """
    method_options = _checked(methods, options or {})
    x, memory = plain(x), memory or Memory()
    refuse_training(model)
    rows = 1 if mixes_samples(model, x) else rows  # it is refused for more samples than one
    with adapted(model, output, output_kind):
        names, notes = tuple[str, ...](), dict[tuple[str, str], str]()
        alone: list[Tensor] = []
        if any(METHODS[name].at != "input" for name in method_options):
            find = partial(find_layer, model, x, grids, memory=memory, on_logits=alone.append)
            names, notes = _layers(layers, find)
        passed = _passed(model, x, names, grids, graph=any(METHODS[name].backward for name in method_options))
        if output_kind == "logits":
            refuse_squashed(passed.logits)
        check_steady(model, x, passed.logits, alone)
        wanted = resolve_targets(targets, passed.logits, regression=output_kind == "regression")
        request = ExplanationRequest(model, x, wanted, passed.logits.detach(), names, passed, rows, memory)
        return _explained(request, method_options, notes, partial(_final, rectify=rectify), on_maps)


def _passed(
    model: nn.Module, x: Tensor, names: Sequence[str], grids: Mapping[str, TokenGrid] | None, *, graph: bool
) -> Capture:
    """Return what one forward leaves; its logits are always on a record, by which a squashing end is known."""
    if names and not graph:
        with saving_nothing():
            return capture(model, x, names, grids=grids)
    if names or isinstance(model, torch.jit.ScriptModule):
        return capture(model, x, names, grids=grids)
    with torch.inference_mode(False), torch.enable_grad(), saving_nothing():
        logits = as_logits(model(x.detach().clone().requires_grad_()), len(x))
    return Capture({}, logits, grids=dict(grids or {}))


def _explained(
    request: ExplanationRequest,
    method_options: Options,
    notes: Mapping[tuple[str, str], str],
    final: Callable[[Tensor, str], Tensor],
    on_maps: Callable[[int], None],
) -> Explanation:
    maps: dict[tuple[str, str, int], Tensor] = {}
    notes = dict(notes)
    if request.targets:
        for (method, layer), raw in _answers(request, method_options):
            made = final(raw.maps.detach(), method)
            maps |= {(method, layer, number): values for number, values in enumerate(made)}
            notes |= {(method, layer): raw.note} if raw.note else {}
            on_maps(len(request.targets) * len(request.x))
    return Explanation(request.logits, request.targets, maps, notes)


def _final(maps: Tensor, method: str, *, rectify: bool) -> Tensor:
    """Return maps of any shape with the last step of the method's formula, where that is a ReLU and it is asked for."""
    return maps.relu() if rectify and METHODS[method].rectified else maps


def _checked(methods: Sequence[str], options: Options) -> Options:
    unknown = [name for name in (*methods, *options) if name not in METHODS]
    if unknown:
        raise ValueError(f"methods must be among {sorted(METHODS)}, not {unknown}")
    for name, given in options.items():
        known = METHODS[name].options
        wrong = [option for option in given if option not in known]
        if wrong:
            raise ValueError(f"options of {name!r} must be among {sorted(known)}, not {wrong}")
    return {name: options.get(name, {}) for name in methods}


def _layers(
    layers: Sequence[str], find: Callable[[], LayerChoice]
) -> tuple[tuple[str, ...], dict[tuple[str, str], str]]:
    """Return the layers' names, ``auto`` resolved, and the note of why it stands for the one that it does."""
    if not layers:
        raise ValueError("layers must name at least one layer")
    if "auto" not in layers:
        return tuple(dict.fromkeys(layers)), {}
    choice = find()
    return tuple(dict.fromkeys(choice.name if name == "auto" else name for name in layers)), {
        ("auto", choice.name): choice.note
    }


def _answers(request: ExplanationRequest, method_options: Options) -> Iterator[tuple[tuple[str, str], RawMaps]]:
    gradients: dict[str, Tensor] = {}
    if any(METHODS[name].is_formula for name in method_options):
        gradients = request.capture.gradients(request.targets)
    for name, options in method_options.items():
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
