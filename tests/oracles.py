"""Every method written a second time: slowly, in float64, channel by channel, without autograd.

The gradient of the tail is taken by central finite differences: a hook replaces the layer's output by a
perturbed one, and the score is read again. A method without an oracle, or an oracle without a method, fails a
test.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch

ORACLES: dict[str, Callable] = {}


def oracle(name: str) -> Callable:
    """Register the decorated function as the second account of the method ``name``."""

    def register(function: Callable) -> Callable:
        assert name not in ORACLES, f"oracle {name!r} is registered twice"
        ORACLES[name] = function
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


def by_oracle(model, x, layer, labels) -> dict[str, np.ndarray]:
    """Return every oracle's maps (B, *S), one sample at a time, each with its own label."""
    maps = {name: [] for name in ORACLES}
    for number, label in enumerate(labels):
        sample = x[number : number + 1]
        activation = activation_of(model, sample, layer)[0]
        gradient = gradient_of(model, sample, layer, label)[0]
        for name, function in ORACLES.items():
            maps[name].append(function(activation, gradient))
    return {name: np.stack(one) for name, one in maps.items()}


@oracle("gradcam")
def gradcam(activation, gradient):
    """Equations 1 and 2 of Selvaraju et al.: alpha_k = 1/Z sum_ij dy/dA_ij^k; L = ReLU(sum_k alpha_k A^k)."""
    places = positions(activation)
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        alpha = sum(gradient[(channel, *place)] for place in places) / len(places)
        for place in places:
            result[place] += alpha * activation[(channel, *place)]
    return np.where(result > 0, result, 0.0)


@oracle("hirescam")
def hirescam(activation, gradient):
    """Draelos and Carin: the element-wise product of gradient and activation, summed over channels."""
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        for place in positions(activation):
            result[place] += gradient[(channel, *place)] * activation[(channel, *place)]
    return result


@oracle("layercam")
def layercam(activation, gradient):
    """Jiang et al.: w_ij^k = ReLU(dy/dA_ij^k); L = ReLU(sum_k w_ij^k A_ij^k)."""
    result = np.zeros(activation.shape[1:])
    for channel in range(len(activation)):
        for place in positions(activation):
            weight = max(gradient[(channel, *place)], 0.0)
            result[place] += weight * activation[(channel, *place)]
    return np.where(result > 0, result, 0.0)
