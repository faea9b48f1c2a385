"""Two groups of patients, compared: the difference of their means, with bounds from the exact rule."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.exact.claims import alpha_of
from pipeline.evidence.exact.scores import PatientScores

__all__ = ["DIFFERENCE_DRAWS", "GroupComparison", "group_difference"]

DIFFERENCE_DRAWS = 10_000
"""Draws of weights behind a difference of two groups."""
_SEED = 20_261_129
_KINDS = 500

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GroupComparison:
    """The difference of two groups' means on the scores' own span, its bounds, and p against "there is none"."""

    value: float | None
    low: float
    high: float
    p: float


def group_difference(first: PatientScores, second: PatientScores, *, confidence: float = 0.95) -> GroupComparison:
    """Compare the means of two groups that share no patient: the first's minus the second's.

    The one-sample rule is melded (Fay, Proschan and Brittain, Biometrics 2015): the lower bound is where the first
    group's weighted mean with its worst-case patient exceeds the second's with a best-case patient in all but alpha of
    the draws of weights. For rates, the p-value against "no difference" is that of Fisher's exact test, one-sided.
    Scores of more than 500 kinds are rounded to 500ths of their span, against the claim.

    Raises:
        ValueError: the groups' scores do not lie within the same span.
    """
    if first.span != second.span:
        raise ValueError(f"both groups have scores within the same span, not {first.span} and {second.span}")
    generator = np.random.Generator(np.random.PCG64(_SEED))
    width = first.span[1] - first.span[0]
    low = _weighted_means(first.unit_low(), generator) - 1 + _weighted_means(1 - second.unit_high(), generator)
    high = 1 - _weighted_means(1 - first.unit_high(), generator) - _weighted_means(second.unit_low(), generator)
    spared = int(alpha_of(confidence) * DIFFERENCE_DRAWS + 1e-6)
    at_most_none, at_least_none = int((low <= 0).sum()), int((high >= 0).sum())
    return GroupComparison(
        value=None if first.value is None or second.value is None else first.value - second.value,
        low=width * float(np.sort(low)[spared]),
        high=width * float(np.sort(high)[-1 - spared]),
        p=min(1.0, 2 * (min(at_most_none, at_least_none) + 1) / (DIFFERENCE_DRAWS + 1)),
    )


def _weighted_means(scores: Floats, generator: np.random.Generator) -> Floats:
    """Return (draws,) means of scores in [0, 1] and a worst-case 0, all with independent exponential weights."""
    kinds, counts = np.unique(scores, return_counts=True)
    if len(kinds) > _KINDS:
        kinds, counts = np.unique(np.floor(scores * _KINDS) / _KINDS, return_counts=True)
    sums, total = np.zeros(DIFFERENCE_DRAWS), generator.standard_exponential(DIFFERENCE_DRAWS)
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):  # equal scores share the sum of their weights
        weight = generator.standard_gamma(count, DIFFERENCE_DRAWS)
        sums += kind * weight
        total += weight
    return sums / total
