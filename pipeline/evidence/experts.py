"""How well the experts agree with each other: the ceiling for a map.

Each pair of readers, and each reader with what the others say together. A reader is never part of the consensus that he
is held against: it would agree with him by making.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from pipeline.evidence.cohort.reader_pairs import AGREEMENT_METRICS
from pipeline.findings.scores import Score
from pipeline.studies.consensus import METHODS, with_consensus
from pipeline.studies.volume import Mask
from pipeline.vocabulary import CONSENSUS

__all__ = ["agreement", "others_name"]

Pair = tuple[str, str, str]
"""A label, a reader and another, or the name of what all the others say together."""


def agreement(masks: tuple[Mask, ...]) -> dict[Pair, tuple[Score, ...]]:
    """Return IoU and Dice of each pair of readers for each label, and of each reader with the consensus of the others.

    A consensus is made of at least two others, by majority and by STAPLE; one that is among the masks is none of the
    readers. Undefined (``empty_masks``) when both marked nothing, and for the reason why the others have no consensus.
    """
    scores: dict[Pair, tuple[Score, ...]] = {}
    drawn = [mask for mask in masks if not mask.reader.startswith(CONSENSUS)]
    for label in dict.fromkeys(mask.label for mask in drawn):
        group = [mask for mask in drawn if mask.label == label]
        for first, second in combinations(group, 2):
            if first.reader != second.reader:
                readers = sorted((first.reader, second.reader))
                scores[label, readers[0], readers[1]] = _overlap(first, second)
        scores.update(_left_out(label, group))
    return scores


def others_name(method: str) -> str:
    """Return what the consensus of all readers but one is called; no reader bears such a name."""
    return f"{CONSENSUS}{method} of the others"


def _left_out(label: str, group: Sequence[Mask]) -> Iterator[tuple[Pair, tuple[Score, ...]]]:
    """Yield each reader's agreement with the others together, where there are at least two others."""
    for mask in group:
        others = [other for other in group if other.reader != mask.reader]
        if len({other.reader for other in others}) < 2:
            continue
        for method in METHODS:
            made, faults = with_consensus(others, (), method)
            pair = (label, mask.reader, others_name(method))
            yield pair, _undefined(str(faults[0].reason)) if faults else _overlap(mask, made[-1])


def _overlap(first: Mask, second: Mask) -> tuple[Score, ...]:
    both = int(np.count_nonzero(first.array & second.array))
    total = int(np.count_nonzero(first.array)) + int(np.count_nonzero(second.array))
    if total == 0:
        return _undefined("empty_masks")
    values = (both / (total - both), 2 * both / total)
    return tuple(
        Score(name=metric.name, version=metric.version, value=value)
        for metric, value in zip(AGREEMENT_METRICS, values, strict=True)
    )


def _undefined(reason: str) -> tuple[Score, ...]:
    return tuple(Score(name=metric.name, version=metric.version, reason=reason) for metric in AGREEMENT_METRICS)
