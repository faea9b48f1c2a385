"""Which maps are one piece of evidence: measured on the maps themselves, so no theory has to hold."""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["equivalent"]

_TOLERANCE = 1e-4  # float32 sums over a thousand channels agree to about 1e-6 of the largest value


def equivalent(maps: Mapping[tuple[str, str, int], Tensor]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return, by layer, groups of methods whose maps agree up to a positive factor and a final ReLU.

    ``maps`` goes from (method, layer, target number) to (B, *S). Two methods are grouped when every sample's map of
    every target agrees; a sample where both maps are empty tells nothing, and one where all are groups nothing. Where
    the gradient is constant in space (pooling before the classifier) CAM, Grad-CAM, XGrad-CAM and HiResCAM always are.
    """
    shapes: dict[str, dict[str, Tensor]] = {}
    for layer in dict.fromkeys(layer for _, layer, _ in maps):
        methods = dict.fromkeys(method for method, at, _ in maps if at == layer)
        shapes[layer] = {
            method: _scaled(torch.stack([one for (name, at, _), one in maps.items() if (name, at) == (method, layer)]))
            for method in methods
        }
    found = {layer: _groups(by_method) for layer, by_method in shapes.items()}
    return {layer: groups for layer, groups in found.items() if groups}


def _scaled(maps: Tensor) -> Tensor:
    """Return the positive parts (T x B, cells), each with a largest value of 1; empty maps stay 0."""
    flat = maps.flatten(0, 1).flatten(1).relu()
    peak = flat.amax(dim=1, keepdim=True)
    return flat / torch.where(peak > 0, peak, 1)


def _groups(maps: Mapping[str, Tensor]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = []
    for method, values in maps.items():
        home = next((group for group in groups if _agree(maps[group[0]], values)), None)
        if home is None:
            groups.append([method])
        else:
            home.append(method)
    return tuple(tuple(group) for group in groups if len(group) > 1)


def _agree(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or not bool(one.any()):
        return False
    return bool((one - other).abs().max() <= _TOLERANCE)
