"""How well the experts agree with each other: the ceiling for a map."""

from itertools import combinations
from typing import Final

import numpy as np

from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.metrics.region import dice, iou
from pipeline.findings.scores import Score
from pipeline.studies.consensus import CONSENSUS
from pipeline.studies.volume import Mask

__all__ = ["AGREEMENT_SCALES", "agreement"]

AGREEMENT_SCALES: Final = {metric.name: MetricScale(metric.name, metric.range, metric.better) for metric in (iou, dice)}
"""The metrics by which readers are compared with each other, and their scales."""


def agreement(masks: tuple[Mask, ...]) -> dict[tuple[str, str, str], tuple[Score, ...]]:
    """Return IoU and Dice of each pair of readers for each label, keyed by (label, reader, other reader).

    A consensus is made of the readers and is none of them. Undefined (``empty_masks``) when both marked nothing.
    """
    drawn = [mask for mask in masks if not mask.reader.startswith(CONSENSUS)]
    pairs = [(first, second) for first, second in combinations(drawn, 2) if first.label == second.label]
    return {
        (first.label, *sorted((first.reader, second.reader))): _overlap(first, second)  # type: ignore[misc]
        for first, second in pairs
        if first.reader != second.reader
    }


def _overlap(first: Mask, second: Mask) -> tuple[Score, ...]:
    both = int(np.count_nonzero(first.array & second.array))
    total = int(np.count_nonzero(first.array)) + int(np.count_nonzero(second.array))
    if total == 0:
        return tuple(Score(name=metric.name, version=metric.version, reason="empty_masks") for metric in (iou, dice))
    values = ((iou, both / (total - both)), (dice, 2 * both / total))
    return tuple(Score(name=metric.name, version=metric.version, value=value) for metric, value in values)
