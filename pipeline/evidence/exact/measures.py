"""What an exact test is made on, from two scores or from a distance: a difference, a win, what is within a limit.

A difference of scores in [0, 1] lies in [-1, 1]; brought to [0, 1] it is a score like any other. A win is 1, a tie 0.5,
a loss 0: with a study a patient, at the bound 0.5, their mean is the exact sign test over the patients that are not
tied, and of hits and misses McNemar's exact test. Distances have no upper end, and no valid test of an unbounded mean
exists: judged are the share within a limit (the median is the same share at one half), or the mean of min(value, cap).

Each takes one score or an array of them. The product asks study by study, plans and simulated cohorts all at once.
"""

import math
from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.evidence.exact.means import p_high, p_low
from pipeline.evidence.exact.scores import PatientScores, scores_by_patient

__all__ = ["capped", "median_interval", "within", "won"]

Floats = NDArray[np.float64]


def won(difference: ArrayLike) -> Floats:
    """Return 1 where the first is better, by a positive ``difference``, 0.5 where there is none, 0 where it is worse.

    >>> won([0.2, 0.0, -3.0]).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.asarray(0.5 + 0.5 * np.sign(np.asarray(difference, dtype=np.float64)), dtype=np.float64)


def within(value: ArrayLike, limit: float) -> Floats:
    """Return 1 where a value is at most ``limit``, 0 where it is beyond it."""
    return np.asarray(np.asarray(value, dtype=np.float64) <= limit, dtype=np.float64)


def capped(value: ArrayLike, cap: float) -> Floats:
    """Return a distance, or a difference of either sign, that counts up to ``cap`` and no further.

    The mean of capped values is another estimand than that of the values: the cap has to be locked.
    """
    return np.clip(np.asarray(value, dtype=np.float64), -cap, cap)


def median_interval(values: Floats, patients: NDArray[np.intp], alpha: float) -> tuple[float | None, float | None]:
    """Return the exact interval of a median: the values that are not refuted as it. None for an end that is open.

    Args:
        values: (studies,) such as distances; NaN where a study has none.
        patients: (studies,) the number of its patient, from 0 on without a gap. Who has several studies has, at each
            limit, his share within it.
        alpha: the error on either side.
    """

    def cohort_within(limit: float) -> PatientScores:
        return scores_by_patient(np.where(np.isnan(values), np.nan, within(values, limit)), patients)

    def is_above(limit: float) -> bool:
        return p_high(cohort_within(limit).high, 0.5) <= alpha

    def is_within(limit: float) -> bool:
        return p_low(cohort_within(limit).low, 0.5) <= alpha

    known = np.unique(values[~np.isnan(values)]).tolist()
    # the share within a limit rises with it, so each answer changes once along the sorted values
    low = bisect_left(known, True, key=lambda limit: not is_above(limit)) if is_above(-math.inf) else len(known)
    high = bisect_left(known, True, key=is_within)
    return (known[low] if low < len(known) else None), (known[high] if high < len(known) else None)
