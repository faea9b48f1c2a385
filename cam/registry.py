"""The single list of methods: the command line, the record, the report and the docs read it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["METHODS", "Method", "method"]

MapFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Method:
    """A map and what a reader must know of it.

    ``function`` takes activations A and gradients G, both (B, C, *S), and returns the raw map (B, *S).
    ``signed`` tells whether the map can be negative (evidence against the target).
    """

    name: str
    title: str
    paper: str
    formula: str
    limits: str
    signed: bool
    function: MapFunction


METHODS: dict[str, Method] = {}


def method(
    name: str, *, title: str, paper: str, formula: str, limits: str, signed: bool
) -> Callable[[MapFunction], MapFunction]:
    """Register the decorated function as a method.

    Raises:
        ValueError: when the name is taken.
    """

    def register(function: MapFunction) -> MapFunction:
        if name in METHODS:
            raise ValueError(f"method {name!r} is registered twice")
        METHODS[name] = Method(name, title, paper, formula, limits, signed, function)
        return function

    return register
