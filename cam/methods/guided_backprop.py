"""Guided backpropagation."""

import torch
from torch import Tensor
from torch.autograd.graph import Node

from cam.procedures.attribution import Score, attributed
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["guided_gradient"]

_OTHERS = (  # as autograd calls them
    "Celu Clamp ClampMax ClampMin Elu Gelu Glu Hardsigmoid Hardswish Hardtanh LeakyRelu LogSigmoid Maximum Mish "
    "PreluKernel RreluWithNoise Sigmoid Silu Softplus Softshrink Tanh Threshold"
)


@procedure(
    "guided_backprop",
    title="Guided backpropagation",
    paper="Springenberg et al., ICLR 2015 workshop, arXiv:1412.6806",
    formula="sum over the input's channels of the gradient whose negative parts are dropped behind every ReLU",
    limits="Follows edges of the image more than the target: it hardly changes when the last layers are randomised "
    "(Adebayo et al., 2018). For ReLU alone; other activations keep their gradient, and the note names them.",
    signed=True,
    at="input",
    cost="3 a target: a forward and a backward through the whole model",
    forwards=lambda work, _given: 3 * work.samples * work.targets,
)
def guided_backprop(request: ExplanationRequest) -> RawMaps:
    """Return sum_c of dy/dx_c, where backward multiplies by [input > 0] and [gradient > 0] at every ReLU.

    Every ReLU in the graph is meant, a module or not, in place or not. No hook is set on the model: captum's, on
    modules, miss ``functional.relu``, and rectify the gradient of whatever else reads the ReLU's input (a skip
    connection of a pre-activation network).

    Raises:
        ValueError: when the graph holds no ReLU: the map would be the plain gradient under another name.
    """
    return RawMaps(*guided_gradient(request))


def guided_gradient(request: ExplanationRequest) -> tuple[Tensor, str]:
    """Return the maps (T, B, *S) of guided backpropagation and, in words, which activations were not guided."""
    left: set[str] = set()

    def attribute(score: Score, x: Tensor, samples: Tensor, _rows: int) -> Tensor:
        scores = score(x.requires_grad_(), samples).sum()
        left.update(_guide(scores))
        return torch.autograd.grad(scores, x)[0].sum(dim=1)

    maps = attributed(request, attribute)
    return maps, f"not guided: {', '.join(sorted(left))}" if left else ""


def _guide(scores: Tensor) -> set[str]:
    """Let every ReLU below ``scores`` pass positive gradients only; return the names of other activations."""
    nodes = _graph(scores)
    relus = [node for node in nodes if _kind(node) == "Relu"]
    if not relus:
        raise ValueError(
            "method 'guided_backprop' needs a model with ReLUs, and this one has none; use 'saliency' instead"
        )
    for node in relus:
        node.register_prehook(_positive)
    return {_kind(node) for node in nodes} & set(_OTHERS.split())


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(gradient if gradient is None else gradient.relu() for gradient in gradients)


def _graph(scores: Tensor) -> set[Node]:
    nodes: set[Node] = set()
    waiting = [scores.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            waiting += [below for below, _ in node.next_functions]
    return nodes


def _kind(node: Node) -> str:
    return node.name().rstrip("0123456789").removesuffix("Backward")
