"""The exact test of a mean of scores in [0, 1], and the interval that it leaves.

One worst-case patient with score 0 joins the cohort, and all get independent exponential weights: p_low is the
probability that the weighted mean then lies at or below the bound. On scores of 0 and 1 this is the binomial test, and
the interval Clopper's and Pearson's. Every draw of weights gives a mean that rises with each score, so p_low falls when
any score is raised, and when a patient at or above the bound is added.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from pipeline.evidence.exact.claims import Claim, ExactResult, alpha_of, decide, missing_reason, reaches
from pipeline.evidence.exact.crossing import approximate_crossing, zeros_nearby
from pipeline.evidence.exact.merging import merged_downwards
from pipeline.evidence.exact.scores import PatientScores
from pipeline.evidence.exact.tail import tail
from pipeline.vocabulary import Decision

__all__ = [
    "best_reachable",
    "decide_mean",
    "exact_interval",
    "judge_mean",
    "lower_bound",
    "mean_interval_of",
    "p_high",
    "p_low",
    "p_low_of_cohorts",
    "smallest_cohort",
    "upper_bound",
]

_DIGITS = 8
"""Of a bound: it is the outermost number of so many decimals that is shown. Far below any use, and above rounding."""
_FEW_VALUES = 40

Floats = NDArray[np.float64]
Intervals = Sequence[tuple[float, float]]


def p_low(
    scores: ArrayLike,
    bound: float,
    *,
    missing: int = 0,
    weights: Sequence[float] | Floats | None = None,
    heaviest: float | None = None,
) -> float:
    """Return the p-value against "the mean is at most ``bound``".

    Args:
        scores: (patients,) each within 0 and 1; may be empty.
        bound: within 0 and 1.
        missing: patients without a score: they count as 0.
        weights: (patients,) how much each patient weighs in the mean; 1 unless given.
        heaviest: what the worst-case patient and the missing weigh; the largest weight unless given.

    Raises:
        ValueError: a score or the bound lies outside [0, 1], or the weights do not go with the scores.
    """
    _check_bound(bound)
    values, masses, patients = merged_downwards(*_checked(scores, weights), bound)
    worst = float(masses.max(initial=0.0) or 1.0) if heaviest is None else heaviest
    lam = np.append(masses * (values - bound), -worst * bound)
    counts = np.append(patients, 1.0 + missing)
    return _merged_tail(lam, counts)


def p_low_of_cohorts(scores: Floats, bound: float) -> Floats:
    """Return (cohorts,) the ``p_low`` of each row of ``scores`` (cohorts, patients), patients weighing alike.

    Cohorts that have the same counts of the same few values share one.
    """
    if bound <= 0:
        return np.where((scores > 0).any(axis=1), 0.0, 1.0)
    values, place = np.unique(scores, return_inverse=True)
    if len(values) > _FEW_VALUES:
        return tail(np.pad(scores - bound, ((0, 0), (0, 1)), constant_values=-bound))
    rows = np.arange(len(scores))[:, None] * len(values) + place.reshape(scores.shape)
    counts = np.bincount(rows.ravel(), minlength=len(scores) * len(values)).reshape(len(scores), -1)
    different, again = np.unique(counts, axis=0, return_inverse=True)
    lam = np.broadcast_to(np.append(values - bound, -bound), (len(different), len(values) + 1))
    return tail(lam, np.pad(different, ((0, 0), (0, 1)), constant_values=1).astype(float))[again.ravel()]


def p_high(
    scores: ArrayLike,
    bound: float,
    *,
    missing: int = 0,
    weights: Sequence[float] | Floats | None = None,
    heaviest: float | None = None,
) -> float:
    """Return the p-value against "the mean is at least ``bound``": ``p_low`` turned round; the missing count as 1."""
    mirrored = 1 - np.asarray(scores, dtype=np.float64)
    return p_low(mirrored, 1 - bound, missing=missing, weights=weights, heaviest=heaviest)


def lower_bound(
    scores: ArrayLike,
    alpha: float,
    *,
    missing: int = 0,
    weights: Sequence[float] | Floats | None = None,
    heaviest: float | None = None,
    stated: Sequence[float] = (),
) -> float:
    """Return the largest bound of 8 decimals whose ``p_low`` is at most ``alpha``; 0 when there is none.

    ``stated`` are bounds that it may be, as some record says: one that is it takes two p-values to confirm instead of
    a dozen to search, and one that is not changes nothing.
    """
    values, masses = _checked(scores, weights)
    if not values.any():
        return 0.0
    p_at = cache(partial(p_low, scores, missing=missing, weights=weights, heaviest=heaviest))

    def is_last(bound: float) -> bool:
        return reaches(p_at(bound), alpha) and not reaches(p_at(_beside(bound, 1)), alpha)

    for bound in dict.fromkeys(stated):
        if 0 <= bound < 1 and bound == round(bound, _DIGITS) and is_last(bound):
            return bound
    worst = (1 + missing) * (float(masses.max()) if heaviest is None else heaviest)
    return _searched(p_at, is_last, alpha, approximate_crossing(values, masses, worst, float(ndtri(alpha))))


def _searched(
    p_at: Callable[[float], float], is_last: Callable[[float], bool], alpha: float, start: tuple[float, float]
) -> float:
    """Return the last bound of 8 decimals that is shown; the start decides how soon it is reached, and no more."""

    def excess(bound: float) -> float:
        return float(ndtri(min(max(p_at(bound), 1e-300), 1 - 1e-16)) - ndtri(alpha))

    near = 0.0
    for place in zeros_nearby(excess, *start):
        near = math.floor(place * 10**_DIGITS) / 10**_DIGITS
        for bound in (near, _beside(near, -1), _beside(near, 1)):
            if is_last(bound):
                return bound
    return near


def _beside(bound: float, steps: int) -> float:
    return float(min(max(round(bound + steps * 10**-_DIGITS, _DIGITS), 0.0), 1.0))


def upper_bound(
    scores: ArrayLike,
    alpha: float,
    *,
    missing: int = 0,
    weights: Sequence[float] | Floats | None = None,
    heaviest: float | None = None,
    stated: Sequence[float] = (),
) -> float:
    """Return the smallest bound of 8 decimals whose ``p_high`` is at most ``alpha``; 1 when there is none."""
    mirrored = 1 - np.asarray(scores, dtype=np.float64)
    other = [round(1 - bound, _DIGITS) for bound in stated if bound == round(bound, _DIGITS)]
    low = lower_bound(mirrored, alpha, missing=missing, weights=weights, heaviest=heaviest, stated=other)
    return float(round(1 - low, _DIGITS))


def exact_interval(scores: ArrayLike, confidence: float, *, missing: int = 0) -> tuple[float, float]:
    """Return the exact interval of the mean of ``scores`` (patients,), each within 0 and 1.

    >>> low, high = exact_interval([1] * 9 + [0], 0.95)  # nine hits of ten: Clopper's and Pearson's
    >>> round(low, 4), round(high, 4)
    (0.555, 0.9975)
    """
    alpha = alpha_of(confidence)
    return lower_bound(scores, alpha, missing=missing), upper_bound(scores, alpha, missing=missing)


def best_reachable(patients: int, confidence: float) -> float:
    """Return the largest lower bound that a cohort can show: all its scores are 1."""
    return float(alpha_of(confidence) ** (1 / patients)) if patients else 0.0


def smallest_cohort(bound: float, confidence: float) -> int | None:
    """Return how many patients, all with score 1, show a mean of at least ``bound``; None when no number does."""
    _check_bound(bound)
    alpha = alpha_of(confidence)
    if bound in (0.0, 1.0):
        return None if bound else 1
    near = max(1, math.floor(math.log(alpha) / math.log(bound)))
    return near if reaches(bound**near, alpha) else near + 1


def decide_mean(cohort: PatientScores, claim: Claim) -> tuple[Decision, float, float]:
    """Return the decision with p_low and p_high, without the interval: two p-values and no search."""
    low, high = _p_values(cohort, _unit_bound(cohort, claim))
    p_met, p_not_met = (low, high) if claim.side == "at_least" else (high, low)
    reason = missing_reason(cohort.missing_share, claim)
    return "INCONCLUSIVE" if reason else decide(p_met, p_not_met, claim.alpha)[0], low, high


def mean_interval_of(cohort: PatientScores, confidence: float, stated: Intervals = ()) -> tuple[float, float]:
    """Return the exact interval of a cohort's mean, on its own span; it holds whatever the missing scores are.

    ``stated`` are intervals that it may be, as a record says; see ``lower_bound``.
    """
    alpha, weights, heaviest = alpha_of(confidence), cohort.weights, cohort.heaviest
    bottom, top = cohort.span
    lows, highs = ([round((ends[side] - bottom) / (top - bottom), _DIGITS) for ends in stated] for side in (0, 1))
    low = lower_bound(cohort.unit_low(), alpha, weights=weights, heaviest=heaviest, stated=lows)
    high = upper_bound(cohort.unit_high(), alpha, weights=weights, heaviest=heaviest, stated=highs)
    return _from_unit(low, cohort), _from_unit(high, cohort)


def judge_mean(cohort: PatientScores, claim: Claim, stated: Intervals = ()) -> ExactResult:
    """Answer a claim about a cohort's mean; ``stated`` as in ``mean_interval_of``.

    Raises:
        ValueError: the claim's bound lies outside the span of the scores.
    """
    p_below, p_above = _p_values(cohort, _unit_bound(cohort, claim))
    p_met, p_not_met = (p_below, p_above) if claim.side == "at_least" else (p_above, p_below)
    decision, reason = decide(p_met, p_not_met, claim.alpha)
    missing = missing_reason(cohort.missing_share, claim)
    low, high = mean_interval_of(cohort, claim.confidence, stated)
    return ExactResult(
        claim=claim,
        decision="INCONCLUSIVE" if missing else decision,
        reason=missing or reason,
        value=cohort.value,
        study_value=cohort.study_value,
        low=low,
        high=high,
        p_low=p_below,
        p_high=p_above,
        n_patients=cohort.n_patients,
        n_studies=cohort.n_studies,
        n_missing=cohort.n_missing,
        missing_share=cohort.missing_share,
        best_reachable=_best_of(cohort, claim),
    )


def _p_values(cohort: PatientScores, bound: float) -> tuple[float, float]:
    weights, heaviest = cohort.weights, cohort.heaviest
    low = p_low(cohort.unit_low(), bound, weights=weights, heaviest=heaviest)
    return low, p_high(cohort.unit_high(), bound, weights=weights, heaviest=heaviest)


def _best_of(cohort: PatientScores, claim: Claim) -> float:
    """Return the bound that perfect scores would have shown in place of those that are there."""
    perfect = 1 - (cohort.unit_high() - cohort.unit_low())
    alike = (perfect == 1).all() and (cohort.weights == cohort.heaviest).all()
    best = (
        best_reachable(cohort.n_patients, claim.confidence)
        if alike
        else lower_bound(perfect, claim.alpha, weights=cohort.weights, heaviest=cohort.heaviest)
    )
    return _from_unit(best if claim.side == "at_least" else 1 - best, cohort)


def _unit_bound(cohort: PatientScores, claim: Claim) -> float:
    bottom, top = cohort.span
    if not bottom <= claim.bound <= top:
        raise ValueError(f"bound lies within {bottom:g} and {top:g}, as the scores do, not {claim.bound:g}")
    return (claim.bound - bottom) / (top - bottom)


def _from_unit(value: float, cohort: PatientScores) -> float:
    bottom, top = cohort.span
    return bottom + value * (top - bottom)


def _merged_tail(lam: Floats, counts: Floats) -> float:
    distinct, index = np.unique(lam, return_inverse=True)
    merged = np.bincount(index, weights=counts).astype(np.float64)
    return float(tail(distinct[None], merged[None])[0])


def _checked(scores: ArrayLike, weights: Sequence[float] | Floats | None) -> tuple[Floats, Floats]:
    values = np.asarray(scores, dtype=np.float64).ravel()
    masses = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores lie within 0 and 1, all of them")
    if masses.shape != values.shape or not (masses > 0).all():
        raise ValueError("weights are positive numbers, as many as the scores")
    return values, masses


def _check_bound(bound: float) -> None:
    if not 0 <= bound <= 1:
        raise ValueError(f"bound lies within 0 and 1, not {bound}")
