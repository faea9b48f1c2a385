"""Which maps of a run are one piece of evidence: decided on the maps, study by study, not on their scores.

It is the rule of ``cam.same_evidence`` for arrays, so that results can be recomputed where torch is not installed; a
test holds the two together.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["StudyMaps", "agree", "equivalent_methods"]

_TOLERANCE = 1e-4  # of the largest evidence for the target
_ROUNDING = 1e-6  # of the largest value of either sign: what float32 sums over a thousand channels agree to
_MOST = 1e-2  # whatever the rounding, maps that are further apart are two

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
        same = agree(maps[first], maps[second]) if first in maps else None
        if same is not False:
            left[first, second] = said or same is True
    return left


def agree(map_a: NDArray[np.float32], map_b: NDArray[np.float32]) -> bool | None:
    """Tell whether two maps of one shape are the same evidence for the target: up to a positive factor and a ReLU.

    None when neither holds any evidence: that tells nothing of the two.
    """
    if map_a.shape != map_b.shape:
        return False
    (first, first_error), (second, second_error) = _evidence(map_a), _evidence(map_b)
    if not first.any() and not second.any():
        return None
    return bool(np.abs(first - second).max(initial=0) <= max(first_error, second_error))


def _evidence(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return a map's positive part with a largest value of 1, and how exact it is; an empty one stays 0.

    Where little is left of large terms of both signs, their rounding is large beside it.
    """
    exact = values.astype(np.float64)
    peak = float(exact.max(initial=0))
    if peak <= 0:
        return np.zeros_like(exact), _TOLERANCE
    return np.maximum(exact, 0) / peak, min(_TOLERANCE + _ROUNDING * float(np.abs(exact).max()) / peak, _MOST)


def _joined(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = [[name] for name in names]
    for pair in pairs:
        first, second = (next(group for group in groups if name in group) for name in pair)
        if first is not second:
            first.extend(second)
            groups.remove(second)
    return tuple(tuple(group) for group in groups if len(group) > 1)
