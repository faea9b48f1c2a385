"""All methods, targets and layers of a batch from one forward."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

import cam.methods  # noqa: F401 - fills the registry
from cam.auto import choose_layer
from cam.capture import capture
from cam.equivalence import equivalent
from cam.question import Found, Question, widened
from cam.registry import METHODS, Method
from cam.targets import Asked, Scalar, answered
from cam.tokens import TokenGrid

__all__ = ["Explanation", "explain"]

Options = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Explanation:
    """The maps of one batch, raw.

    ``maps`` goes from (method, layer, number of the target) to a detached tensor (B, *S) at the layer's own resolution;
    the layer is ``"input"`` for a method at the input, and ``"one+other"`` for one across layers. ``logits`` is
    (B, K). ``targets`` are those explained, by number. ``notes`` tells, by method and layer, how maps were got where
    there was more than one way. ``equivalent`` holds, by layer, groups of methods whose maps are one and the same
    up to a positive factor and a final ReLU: one piece of evidence, not several.
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
            for key, one in self.maps.items()
            for sample, values in enumerate(_final(one, key[0], rectify=True))
            if not bool(values.any())
        )


def explain(
    model: nn.Module,
    x: Tensor,
    targets: Sequence[Asked],
    *,
    methods: Sequence[str] = ("gradcam",),
    layers: Sequence[str] = ("auto",),
    options: Options | None = None,
    rows: int | None = None,
    rectify: bool = True,
    grids: Mapping[str, TokenGrid] | None = None,
    on_maps: Callable[[int], None] = lambda count: None,  # noqa: ARG005 - the name is the documentation
) -> Explanation:
    """Explain ``model`` on ``x`` (B, C, *S) with every method, target and layer from one forward.

    ``options`` sets a method's own parameters, by its name. ``rows`` bounds how many inputs a method that runs the
    model again shows it together; by default as many as is sensible for their size, halved when memory runs out.
    ``rectify=False`` leaves out the ReLU that ends a method's formula (``Method.rectified``), for maps that are carried
    to another grid and rectified there. ``grids`` states, by layer, where its tokens lie in the image when the network
    does not tell (``cam.tokens``). ``on_maps`` is called after each method and layer with the number of maps made, one
    for each target and sample.

    Raises:
        ValueError: for an unknown method or option, a layer that does not do, a target out of range (see ``capture``),
            or a method that this model does not allow.
    """
    asked = _checked(methods, options or {})
    names = _layers(model, x, layers, grids) if any(METHODS[name].at != "input" for name in methods) else ()
    passed = capture(model, x, names, grids=grids, graph=any(METHODS[name].backward for name in methods))
    wanted = answered(targets, passed.logits)
    question = Question(model, x, wanted, passed.logits.detach(), names, passed, rows)
    maps: dict[tuple[str, str, int], Tensor] = {}
    notes: dict[tuple[str, str], str] = {}
    if wanted:
        for (method, layer), found in _answers(question, asked):
            final = _final(found.maps.detach(), method, rectify=rectify)
            maps |= {(method, layer, number): one for number, one in enumerate(final)}
            notes |= {(method, layer): found.note} if found.note else {}
            on_maps(len(wanted) * len(x))
    return Explanation(passed.logits.detach(), wanted, maps, notes)


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
    model: nn.Module, x: Tensor, layers: Sequence[str], grids: Mapping[str, TokenGrid] | None
) -> tuple[str, ...]:
    if not layers:
        raise ValueError("layers must name at least one layer")
    return tuple(dict.fromkeys(choose_layer(model, x, grids) if name == "auto" else name for name in layers))


def _answers(question: Question, asked: Options) -> Iterator[tuple[tuple[str, str], Found]]:
    gradients: dict[str, Tensor] = {}
    if any(METHODS[name].is_formula for name in asked):
        gradients = question.passed.gradients(question.targets)
    for name, options in asked.items():
        method = METHODS[name]
        for place, layers in method.places(question.layers).items():
            if method.is_formula:
                activation = widened(question.passed.activations[place].detach())
                maps = [method.function(activation, widened(one), **options) for one in gradients[place]]
                yield (name, place), Found(torch.stack(maps))  # type: ignore[arg-type]
            else:
                yield (name, place), _put(method, question, layers, options)


def _put(method: Method, question: Question, layers: tuple[str, ...], options: Mapping[str, object]) -> Found:
    passed = replace(question.passed, activations={layer: question.passed.activations[layer] for layer in layers})
    put = replace(question, layers=layers, passed=passed)
    found = method.function(put, **options)
    assert isinstance(found, Found)
    return found
