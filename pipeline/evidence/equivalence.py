"""Which maps of a run are one piece of evidence: decided on the maps, study by study, not on their scores.

A verification decides it again where no torch is; ``cam.same_evidence``, by the same rule, decides it for tensors.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["StudyMaps", "equivalent_methods", "maps_agree"]

_TOLERANCE = np.float32(1e-4)  # of the largest evidence for the target
_ROUNDING = np.float32(1e-6)  # of the largest value of either sign: what sums over a thousand channels agree to
_MOST = np.float32(1e-2)  # whatever the rounding, maps that are further apart are two

StudyMaps = Mapping[tuple[str, str], NDArray[np.float32]]
"""A study's raw maps by (map's name, target)."""


def equivalent_methods(names: Sequence[str], studies: Iterable[StudyMaps]) -> tuple[tuple[str, ...], ...]:
    """Return groups of maps that agree in every study and target, up to a positive factor and a final ReLU.

    Two maps that hold no evidence for a target agree there, but tell nothing: a pair that never says more is no group.
    A map that a study lacks while it has the other is a difference. ``studies`` is read one at a time, and no further
    than until no pair is left.
    """
    pairs = dict.fromkeys(combinations(names, 2), False)
    maps = iter(studies)
    while pairs and (study := next(maps, None)) is not None:
        for target in dict.fromkeys(target for _, target in study):
            pairs = _still_the_same(pairs, {name: values for (name, at), values in study.items() if at == target})
    return _joined(names, [pair for pair, said in pairs.items() if said])


def _still_the_same(
    pairs: Mapping[tuple[str, str], bool], maps: Mapping[str, NDArray[np.float32]]
) -> dict[tuple[str, str], bool]:
    """Return the pairs that agree here too, and whether they have ever said something."""
    left: dict[tuple[str, str], bool] = {}
    for (first, second), said in pairs.items():
        if (first in maps) != (second in maps):
            continue
        same = maps_agree(maps[first], maps[second]) if first in maps else None
        if same is not False:
            left[first, second] = said or same is True
    return left


def maps_agree(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool | None:
    """Tell whether two raw maps are the same evidence for their target, up to a positive factor and a final ReLU.

    None when neither holds any evidence for it: that tells nothing of the two.
    """
    if first.shape != second.shape:
        return False
    (evidence_a, error_a), (evidence_b, error_b) = _evidence(first), _evidence(second)
    if not evidence_a.any() and not evidence_b.any():
        return None
    return bool(np.abs(evidence_a - evidence_b).max() <= max(error_a, error_b))


def _evidence(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], np.float32]:
    """Return the positive part with a largest value of 1 (an empty map stays 0), and how exact it is.

    Where little is left of large terms of both signs, their rounding is large beside it.
    """
    peak = values.max()
    peak = peak if peak > 0 else np.float32(np.inf)
    error = _TOLERANCE + _ROUNDING * np.abs(values / peak).max()
    return np.divide(np.maximum(values, 0), peak, dtype=np.float32), np.float32(min(error, _MOST))


def _joined(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = [[name] for name in names]
    for pair in pairs:
        first, second = (next(group for group in groups if name in group) for name in pair)
        if first is not second:
            first.extend(second)
            groups.remove(second)
    return tuple(tuple(group) for group in groups if len(group) > 1)
