"""What autograd's own record of a forward tells without any backward: which values all of the evidence passes."""

from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge
from torch.overrides import TorchFunctionMode

__all__ = [
    "GradThroughout",
    "Record",
    "Vertex",
    "depends_on",
    "inputs_of",
    "kind_of",
    "saving_all",
    "saving_nothing",
    "vertex_of",
]

Vertex = tuple[Node, int]
"""One value in the record: the node that made it, and which of the node's results it is."""


class GradThroughout(TorchFunctionMode):
    """Keeps a model's own ``torch.no_grad()`` and ``detach()`` from hiding what its output depends on.

    They tell training to stop there; the logits depend on the features before them all the same. ``torch.
    inference_mode()`` cannot be kept out so. Unless ``from_start``, it begins when gradients are first switched on.
    """

    def __init__(self, *, from_start: bool = True) -> None:
        super().__init__()
        self._on = from_start

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        if function is torch._C._set_grad_enabled:  # noqa: SLF001 - what torch.no_grad() itself calls
            self._on = self._on or bool(args[0])
            return None if self._on and not args[0] else function(*args)
        if self._on and function is Tensor.detach:
            return args[0].view_as(args[0])
        return function(*args, **(kwargs or {}))


def _forget(_value: object) -> Any:  # noqa: ANN401 - torch asks for a tensor back, and never reads this one
    return None


def _as_it_is(value: Tensor) -> Tensor:
    return value


@contextmanager
def saving_nothing() -> Iterator[None]:
    """Record a forward without what its backward would need: the record costs no memory, and has no backward."""
    with torch.autograd.graph.saved_tensors_hooks(_forget, _forget):
        yield


@contextmanager
def saving_all() -> Iterator[None]:
    """Record forwards as usual, also where ``saving_nothing`` is around: what is measured in between has a backward."""
    with torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is):
        yield


def vertex_of(value: Tensor) -> Vertex | None:
    """Return where a value stands in the record; None when it needs no gradient."""
    if not value.requires_grad:
        return None
    with torch.inference_mode(False), torch.enable_grad():
        edge = get_gradient_edge(value)
    return edge.node, edge.output_nr


def depends_on(value: Tensor, source: Tensor) -> bool:
    """Tell whether a path of the record leads from ``source`` to ``value``."""
    end, start = vertex_of(value), vertex_of(source)
    reached, waiting = {end}, [end] if end and start else []
    while waiting:
        vertex = waiting.pop()
        if vertex == start:
            return True
        below = [operand for operand in inputs_of(vertex[0]) if operand not in reached]
        reached.update(below)
        waiting += below
    return False


class Record:
    """Autograd's record of one forward, from its end (the logits) to its start (the image)."""

    def __init__(self, end: Vertex | None, start: Vertex | None) -> None:
        self._end, self._start = end, start
        self._order = _sorted(end) if end else []
        above = _counted(self._order, end) if end else {}
        below = {start: 1} if start else {}
        for vertex in reversed(self._order):
            below.setdefault(vertex, sum(below[operand] for operand in inputs_of(vertex[0])))
        every = below.get(end, 0) if end else 0
        self.between = frozenset(value for value in self._order if below[value]) if every else frozenset()
        self._cuts = {value for value in self.between if above[value] * below[value] == every}

    @property
    def connected(self) -> bool:
        """Whether any path leads from the start to the end."""
        return bool(self.between)

    def lies_between(self, vertex: Vertex | None) -> bool:
        """Tell whether a path from the start to the end passes this value."""
        return vertex in self.between

    def is_cut(self, vertex: Vertex | None) -> bool:
        """Tell whether every path from the start to the end passes this value.

        It does when the paths that lead to it, times those that go on from it, are all paths there are.
        """
        return vertex in self._cuts

    def frontier(self, vertices: Set[Vertex | None]) -> set[Vertex] | None:
        """Return those of the values that no other of them lies behind; None where a path passes none of them."""
        if self._end is None or self._start is None:
            return None
        met, reached, waiting = set[Vertex](), {self._end}, [self._end]
        while waiting:
            vertex = waiting.pop()
            if vertex == self._start:
                return None
            if vertex in vertices:
                met.add(vertex)
                continue
            below = [value for value in inputs_of(vertex[0]) if value in self.between and value not in reached]
            reached.update(below)
            waiting += below
        return met or None

    def behind(self, vertex: Vertex) -> frozenset[Vertex]:
        """Return the values between start and end that are made of this one."""
        made = {vertex}
        for value in reversed(self._order):
            if value in self.between and not made.isdisjoint(inputs_of(value[0])):
                made.add(value)
        return frozenset(made - {vertex})

    def weights_behind(self, cut: Vertex) -> bool:
        """Tell whether what comes after this value has weights that are recorded (they are not when frozen)."""
        reached, waiting = {cut, self._end}, [end for end in [self._end] if end and end != cut]
        while waiting:
            vertex = waiting.pop()
            if isinstance(getattr(vertex[0], "variable", None), nn.Parameter):
                return True
            below = [operand for operand in inputs_of(vertex[0]) if operand not in reached]
            reached.update(below)
            waiting += below
        return False


def inputs_of(node: Node) -> list[Vertex]:
    """Return the recorded values that an operation was given, in the order of its arguments."""
    return [(below, number) for below, number in node.next_functions if below is not None]


def kind_of(node: Node) -> str:
    """Return the operation's name as autograd has it, without what all of them share: ``Relu``, ``NativeLayerNorm``."""
    return node.name().rstrip("0123456789").removesuffix("Backward").lstrip("_")


def _sorted(end: Vertex) -> list[Vertex]:
    """Return every value that ``end`` is made of, each before what it is made of itself."""
    finished: dict[Vertex, None] = {}
    entered, waiting = {end}, [(end, iter(inputs_of(end[0])))]
    while waiting:
        vertex, rest = waiting[-1]
        below = next((operand for operand in rest if operand not in entered), None)
        if below is None:
            finished[vertex] = None
            waiting.pop()
        else:
            entered.add(below)
            waiting.append((below, iter(inputs_of(below[0]))))
    return list(reversed(finished))


def _counted(order: Iterable[Vertex], end: Vertex) -> dict[Vertex, int]:
    """Return in how many ways each value is reached from ``end``."""
    paths = dict.fromkeys(order, 0)
    paths[end] = 1
    for vertex in order:
        for below in inputs_of(vertex[0]):
            paths[below] += paths[vertex]
    return paths
