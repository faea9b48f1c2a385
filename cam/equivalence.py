"""Which maps are one piece of evidence: measured on the maps themselves, so no theory has to hold."""

from collections.abc import Hashable, Mapping

import torch
from torch import Tensor

__all__ = ["equivalent", "same_evidence"]

_TOLERANCE = 1e-4  # of the largest evidence for the target
_ROUNDING = 1e-6  # of the largest value of either sign: what float32 sums over a thousand channels agree to
_MOST = 1e-2  # whatever the rounding, maps that are further apart are two


def equivalent(maps: Mapping[tuple[str, str, Hashable], Tensor]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return, by layer, groups of methods whose maps agree up to a positive factor and a final ReLU.

    ``maps`` goes from (method, layer, target) to (B, *S). Two methods are grouped when every sample's map of
    every target agrees; a sample where both maps are empty tells nothing, and one where all are groups nothing. Where
    the gradient is constant in space (pooling before the classifier) CAM, Grad-CAM, XGrad-CAM and HiResCAM always are.
    """
    groups: dict[str, tuple[tuple[str, ...], ...]] = {}
    for layer in dict.fromkeys(layer for _, layer, _ in maps):
        methods = dict.fromkeys(method for method, at, _ in maps if at == layer)
        at_layer = _groups(
            {
                method: torch.cat([values for (name, at, _), values in maps.items() if (name, at) == (method, layer)])
                for method in methods
            }
        )
        groups |= {layer: at_layer} if at_layer else {}
    return groups


def same_evidence(maps_a: Tensor, maps_b: Tensor) -> bool | None:
    """Tell whether maps (B, *S) are the same evidence for the target, sample by sample: up to a factor and a ReLU.

    None when neither holds any evidence for the target in any sample: that tells nothing of the two.
    """
    if maps_a.shape != maps_b.shape:
        return False
    (first, first_error), (second, second_error) = _evidence(maps_a), _evidence(maps_b)
    if not bool(first.any()) and not bool(second.any()):
        return None
    apart, rounding = (first - second).abs().amax(dim=1), torch.maximum(first_error, second_error)
    return bool((apart <= rounding).all())


def _evidence(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positive parts (B, cells), each with a largest value of 1, and how exact each is (B,).

    Empty maps stay 0. Where little is left of large terms of both signs, their rounding is large beside it.
    """
    flat = maps.flatten(1)
    peak = flat.amax(dim=1, keepdim=True)
    peak = torch.where(peak > 0, peak, torch.inf)
    error = _TOLERANCE + _ROUNDING * (flat.abs() / peak).amax(dim=1)
    return flat.relu() / peak, error.clamp(max=_MOST)


def _groups(maps: Mapping[str, Tensor]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = []
    for method, values in maps.items():
        home = next((group for group in groups if same_evidence(maps[group[0]], values)), None)
        if home is None:
            groups.append([method])
        else:
            home.append(method)
    return tuple(tuple(group) for group in groups if len(group) > 1)
