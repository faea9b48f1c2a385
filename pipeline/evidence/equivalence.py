"""Which maps of a run are one piece of evidence: decided on the maps, study by study, not on their scores."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from cam import same_evidence

__all__ = ["StudyMaps", "equivalent_methods"]

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
    tensors = {name: torch.from_numpy(values)[None] for name, values in maps.items()}
    for (first, second), said in pairs.items():
        if (first in maps) != (second in maps):
            continue
        same = same_evidence(tensors[first], tensors[second]) if first in maps else None
        if same is not False:
            left[first, second] = said or same is True
    return left


def _joined(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = [[name] for name in names]
    for pair in pairs:
        first, second = (next(group for group in groups if name in group) for name in pair)
        if first is not second:
            first.extend(second)
            groups.remove(second)
    return tuple(tuple(group) for group in groups if len(group) > 1)
