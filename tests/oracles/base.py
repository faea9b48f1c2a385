"""What the oracles share: each method is written a second time, slowly, in float64, without autograd.

The gradient of the tail is taken by central finite differences: a hook replaces the layer's output by a
perturbed one, and the score is read again. A method without an oracle, or an oracle without a method, fails a
test.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tests.cam.networks import CONVOLUTIONAL

ORACLES: dict[str, "Oracle"] = {}


@dataclass(frozen=True)
class Case:
    """One sample (1, C, *S), a label, and the layers of one network: what an oracle is asked about."""

    model: torch.nn.Module
    x: torch.Tensor
    layers: tuple[str, ...]
    label: int
    options: dict

    @property
    def layer(self):
        return self.layers[0]

    @cached_property
    def activation(self) -> np.ndarray:
        """The layer's output, (C, *S)."""
        return activation_of(self.model, self.x, self.layer)[0]

    @cached_property
    def gradient(self) -> np.ndarray:
        """Its gradient, (C, *S), by finite differences."""
        return gradient_of(self.model, self.x, self.layer, self.label)[0]

    def score(self, x) -> float:
        """The explained scalar of another input (1, C, *S)."""
        with torch.no_grad():
            return score_of(self.model(x), self.label)

    def score_with(self, activation) -> float:
        """The explained scalar when the layer's output is replaced by (C, *S)."""
        replaced = torch.from_numpy(np.asarray(activation))[None]
        return score_of(run_with(self.model, self.x, self.layer, lambda _output: replaced.clone()), self.label)


@dataclass(frozen=True)
class Oracle:
    """The second account of a method, and how it is tried: networks, options, layers, tolerance."""

    function: Callable
    kinds: tuple[str, ...]
    options: dict
    layers: tuple[str, ...]
    tolerance: float


def oracle(name, *, kinds=CONVOLUTIONAL, options=None, layers=("layer",), tolerance=1e-6) -> Callable:
    """Register the decorated function of a ``Case`` as the second account of the method ``name``.

    ``kinds`` names the networks (``tests.cam.networks.KINDS``) that the method is for.
    """

    def register(function: Callable) -> Callable:
        assert name not in ORACLES, f"oracle {name!r} is registered twice"
        ORACLES[name] = Oracle(function, tuple(kinds), options or {}, tuple(layers), tolerance)
        return function

    return register


def run_with(model, x, layer, replace) -> torch.Tensor:
    """Run the model with the layer's output passed through ``replace``; return the logits."""
    hook = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: replace(output))
    try:
        with torch.no_grad():
            return model(x)
    finally:
        hook.remove()


def activation_of(model, x, layer) -> np.ndarray:
    """Return the layer's output as it leaves the layer, before anything behind it can overwrite it."""
    kept = []
    run_with(model, x, layer, lambda output: kept.append(output.clone()))
    return kept[0].numpy()


def score_of(logits, label) -> float:
    """Return the explained scalar of a single sample's logits (1, K)."""
    if logits.shape[1] == 1:
        return float(logits[0, 0]) if label == 1 else -float(logits[0, 0])
    return float(logits[0, label])


def gradient_of(model, x, layer, label, step=1e-6) -> np.ndarray:
    """Return d score / d activation of one sample (1, C, *S) by central differences, element by element."""
    start = torch.from_numpy(activation_of(model, x, layer))
    gradient = np.zeros(start.shape)
    for index in np.ndindex(*start.shape):
        ends = []
        for sign in (+1, -1):
            moved = start.clone()
            moved[index] += sign * step
            ends.append(score_of(run_with(model, x, layer, lambda _output, moved=moved: moved.clone()), label))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def positions(array) -> list[tuple[int, ...]]:
    """Return every spatial index of (C, *S)."""
    return list(itertools.product(*(range(size) for size in array.shape[1:])))


def by_oracle(name, model, x, labels, layers=None) -> np.ndarray:
    """Return one oracle's maps (B, *S), one sample at a time, each with its own label."""
    one = ORACLES[name]
    layers = tuple(layers or one.layers)
    samples = [x[number : number + 1] for number in range(len(x))]
    cases = [Case(model, sample, layers, label, one.options) for sample, label in zip(samples, labels, strict=True)]
    return np.stack([one.function(case) for case in cases])
