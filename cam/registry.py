"""The single list of methods: the command line, the record, the report and the docs read it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import Tensor

from cam.request import RawMaps

__all__ = ["INPUT", "METHODS", "Method", "Place", "Workload", "method", "procedure"]

Formula = TypeVar("Formula", bound=Callable[..., Tensor])
Procedure = TypeVar("Procedure", bound=Callable[..., RawMaps])
Place = Literal["layer", "layers", "input"]
INPUT = "input"
"""Stands for the layer in the key of a map that is taken at the input."""


@dataclass(frozen=True)
class Workload:
    """How much there is to do: samples, targets, the layer's channels and cells, and the image's spatial shape."""

    samples: int
    targets: int
    channels: int
    cells: int
    shape: tuple[int, ...]


Forwards = Callable[[Workload, Mapping[str, Any]], int]
"""From a workload and a method's options to the most images that the model is shown beyond the shared forward."""


@dataclass(frozen=True)
class Method:
    """A map and what a reader must know of it.

    ``at`` tells where the map is taken: at one ``layer`` (on its grid), across several ``layers``, or at the
    ``input`` (on the image's grid, no layer needed). ``signed`` tells whether the map can be negative (evidence
    against the target). ``rectified`` tells that the formula's last step is a ReLU: the function leaves it to
    ``explain``, which leaves it to a caller who carries the map to another grid first (interpolated, then rectified,
    two names of one map stay one map); a ReLU inside a sum or a product is the function's own. ``cost`` is counted in
    forwards of the whole model beyond the one that all share. ``backward`` tells whether the tail of that one is
    differentiated; where no method does, it keeps no graph. ``forwards`` counts the cost: at most so many images are
    shown to the model, a backward through all of it as two more.

    ``differs`` names what the authors' own published code does otherwise, where that is known; empty where it is equal
    or nothing is known of it.

    ``package``, ``package_version`` and ``source_sha256`` name the installed distribution that it comes from and the
    digest of its sources; None for camaudit's own.

    A ``formula`` takes activations A and gradients G, both (B, C, *S), and returns the raw map (B, *S). A method that
    needs more takes a ``ExplanationRequest`` and returns ``RawMaps``. Keyword parameters of either are its options.
    """

    name: str
    title: str
    paper: str
    formula: str
    limits: str
    signed: bool
    rectified: bool
    at: Place
    cost: str
    backward: bool
    is_formula: bool
    function: Callable[..., object]
    forwards: Forwards = lambda _work, _options: 0
    differs: str = ""
    package: str | None = None
    package_version: str | None = None
    source_sha256: str | None = None

    @property
    def options(self) -> Mapping[str, object]:
        """The method's options and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {
            parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
        }

    def places(self, layers: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Return where the method's maps are taken when these layers are asked for: the place's name to its layers."""
        if self.at == "input":
            return {INPUT: ()}
        return {"+".join(layers): tuple(layers)} if self.at == "layers" else {layer: (layer,) for layer in layers}


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    title: str,
    paper: str,
    formula: str,
    limits: str,
    signed: bool,
    rectified: bool = False,
    differs: str = "",
) -> Callable[[Formula], Formula]:
    """Register the decorated formula of A and G as a method at a layer.

    Raises:
        ValueError: when the name is taken, or the method is said to be both signed and rectified.
    """

    def register(function: Formula) -> Formula:
        cost = "none; the tail's backward, shared by all such methods"
        kinds: dict[str, Any] = {"rectified": rectified, "backward": True, "is_formula": True, "differs": differs}
        _add(Method(name, title, paper, formula, limits, signed, at="layer", cost=cost, function=function, **kinds))
        return function

    return register


def procedure(
    name: str,
    *,
    title: str,
    paper: str,
    formula: str,
    limits: str,
    signed: bool,
    at: Place,
    cost: str,
    backward: bool = False,
    rectified: bool = False,
    forwards: Forwards = lambda _work, _options: 0,
    differs: str = "",
) -> Callable[[Procedure], Procedure]:
    """Register the decorated function of a ``ExplanationRequest`` as a method.

    Raises:
        ValueError: when the name is taken, or the method is said to be both signed and rectified.
    """

    def register(function: Procedure) -> Procedure:
        kinds: dict[str, Any] = {"rectified": rectified, "backward": backward, "is_formula": False}
        kinds |= {"forwards": forwards, "differs": differs}
        _add(Method(name, title, paper, formula, limits, signed, at=at, cost=cost, function=function, **kinds))
        return function

    return register


def _add(entry: Method) -> None:
    if entry.name in METHODS:
        raise ValueError(f"method {entry.name!r} is registered twice")
    if entry.signed and entry.rectified:
        raise ValueError(f"method {entry.name!r} cannot be signed and rectified: a ReLU leaves nothing negative")
    METHODS[entry.name] = entry
