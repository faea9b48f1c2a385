"""Two scores of each study, or two groups of patients, compared: the exact test on differences, or on who wins.

A difference of scores in [0, 1] lies in [-1, 1]; brought to [0, 1] it is a score like any other. ``wins`` keeps only
who was better (1, or 0.5 for a tie, or 0): at the bound 0.5 it is the exact sign test over the patients that are not
tied, and for hits and misses McNemar's exact test. It shows most with few patients, but is a claim about how often, not
about how much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.exact.claims import MAXIMUM_MISSING, Claim, ExactResult, alpha_of
from pipeline.evidence.exact.families import FamilyResult, judge_family
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.scores import PatientScores, PatientUnit, patient_scores

__all__ = [
    "DIFFERENCE_DRAWS",
    "EquivalenceResult",
    "GroupComparison",
    "difference_scores",
    "equivalence",
    "group_difference",
    "non_inferiority",
    "paired_differences",
    "superiority",
    "win_scores",
    "wins",
]

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


@dataclass(frozen=True)
class EquivalenceResult:
    """Whether a mean difference lies within a margin on both sides: an ``all`` family of two claims.

    ``above`` is the claim that it is at least -margin, ``below`` that it is at most +margin.
    """

    margin: float
    above: ExactResult
    below: ExactResult
    family: FamilyResult


def paired_differences(
    first: Sequence[float | None], second: Sequence[float | None], *, lower_is_better: bool = False
) -> list[float | None]:
    """Return by how much the first of each study is better than the second; None where either is missing."""
    sign = -1.0 if lower_is_better else 1.0
    return [
        None if left is None or right is None else sign * (left - right)
        for left, right in zip(first, second, strict=True)
    ]


def difference_scores(
    differences: Sequence[float | None],
    patients: Sequence[str],
    *,
    cap: float = 1.0,
    unit: PatientUnit = "patient",
    size_cap: int | None = None,
) -> PatientScores:
    """Gather studies' differences by patient.

    ``cap`` is the largest difference that counts: 1 for scores in [0, 1]. A smaller one, locked beforehand, asks about
    the mean of the capped differences, and needs fewer patients.

    Raises:
        ValueError: the cap is not a positive number.
    """
    if not 0 < cap < float("inf"):
        raise ValueError(f"cap is a positive number, not {cap}")
    capped = [None if value is None else float(np.clip(value, -cap, cap)) for value in differences]
    return patient_scores(capped, patients, unit=unit, span=(-cap, cap), size_cap=size_cap)


def win_scores(
    differences: Sequence[float | None], patients: Sequence[str], *, unit: PatientUnit = "patient"
) -> PatientScores:
    """Gather wins by patient: he wins (1), ties (0.5) or loses (0) by the sign of his studies' mean difference.

    With ``unit="study"`` each study has its own win. A patient some of whose studies lack a difference has none.
    """
    if unit == "study":
        signs: list[float | None] = [None if value is None else _win(value) for value in differences]
        return patient_scores(signs, patients, unit=unit)
    of_patient: dict[str, list[float | None]] = {}
    for patient, difference in zip(patients, differences, strict=True):
        of_patient.setdefault(patient, []).append(difference)
    wins_of = [None if None in values else _win(_mean(values)) for values in of_patient.values()]
    return patient_scores(wins_of, list(of_patient))


def superiority(
    cohort: PatientScores, *, by: float = 0.0, confidence: float = 0.95, maximum_missing: float = MAXIMUM_MISSING
) -> ExactResult:
    """Answer whether the mean difference is more than ``by``."""
    return judge_mean(cohort, Claim("at_least", by, confidence, maximum_missing))


def non_inferiority(
    cohort: PatientScores, *, margin: float, confidence: float = 0.95, maximum_missing: float = MAXIMUM_MISSING
) -> ExactResult:
    """Answer whether the mean difference is above -``margin``.

    Raises:
        ValueError: the margin is not positive.
    """
    _check_margin(margin)
    return judge_mean(cohort, Claim("at_least", -margin, confidence, maximum_missing))


def equivalence(
    cohort: PatientScores, *, margin: float, confidence: float = 0.95, maximum_missing: float = MAXIMUM_MISSING
) -> EquivalenceResult:
    """Answer whether the mean difference lies within the margin on both sides.

    Raises:
        ValueError: the margin is not positive.
    """
    _check_margin(margin)
    above = judge_mean(cohort, Claim("at_least", -margin, confidence, maximum_missing))
    below = judge_mean(cohort, Claim("at_most", margin, confidence, maximum_missing))
    return EquivalenceResult(margin, above, below, judge_family([above, below], "all"))


def wins(
    cohort: PatientScores, *, share: float = 0.5, confidence: float = 0.95, maximum_missing: float = MAXIMUM_MISSING
) -> ExactResult:
    """Answer whether more than ``share`` of the patients win, a tie counting half; ``cohort`` from ``win_scores``."""
    return judge_mean(cohort, Claim("at_least", share, confidence, maximum_missing))


def _win(difference: float) -> float:
    return 0.5 + 0.5 * float(np.sign(difference))


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise ValueError(f"margin is a positive number, not {margin}")


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
