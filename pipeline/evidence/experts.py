"""How well the experts agree with each other: the ceiling for a map."""

from itertools import combinations

import numpy as np

from pipeline.record import Score
from pipeline.studies.consensus import CONSENSUS
from pipeline.studies.volume import Mask

__all__ = ["agreement"]


def agreement(masks: tuple[Mask, ...]) -> dict[tuple[str, str, str], tuple[Score, ...]]:
    """Return IoU and Dice of each pair of readers for each label, keyed by (label, reader, other reader).

    A consensus is made of the readers and is none of them. Undefined (``empty_masks``) when both marked nothing.
    """
    drawn = [mask for mask in masks if not mask.reader.startswith(CONSENSUS)]
    pairs = [(one, other) for one, other in combinations(drawn, 2) if one.label == other.label]
    return {
        (one.label, *sorted((one.reader, other.reader))): _overlap(one, other)  # type: ignore[misc]
        for one, other in pairs
        if one.reader != other.reader
    }


def _overlap(one: Mask, other: Mask) -> tuple[Score, ...]:
    both = int(np.count_nonzero(one.array & other.array))
    total = int(np.count_nonzero(one.array)) + int(np.count_nonzero(other.array))
    if total == 0:
        return (Score(name="iou", reason="empty_masks"), Score(name="dice", reason="empty_masks"))
    return (Score(name="iou", value=both / (total - both)), Score(name="dice", value=2 * both / total))
