"""Distances have no upper end, and no valid test of an unbounded mean exists; what is judged instead.

The share of patients within a tolerance, the median (the same share at one half), or the mean of distances that are
capped where the lock says so. All three are means of scores in a span, and the exact test's.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.evidence.exact.claims import MAXIMUM_MISSING, Claim, ExactResult, alpha_of
from pipeline.evidence.exact.means import judge_mean, p_high, p_low
from pipeline.evidence.exact.scores import PatientScores, PatientUnit, patient_scores

__all__ = ["capped_scores", "judge_median", "median_interval", "within_scores"]


def within_scores(
    distances: Sequence[float | None],
    patients: Sequence[str],
    *,
    tolerance: float,
    unit: PatientUnit = "patient",
    size_cap: int | None = None,
) -> PatientScores:
    """Gather, by patient, the share of studies whose distance is at most ``tolerance`` (both in mm).

    Raises:
        ValueError: a distance is negative or not a number, or the tolerance is.
    """
    _check_distances(distances, tolerance, "tolerance")
    return patient_scores(_within(distances, tolerance), patients, unit=unit, size_cap=size_cap)


def capped_scores(
    distances: Sequence[float | None],
    patients: Sequence[str],
    *,
    cap: float,
    unit: PatientUnit = "patient",
    size_cap: int | None = None,
) -> PatientScores:
    """Gather, by patient, the mean of min(distance, cap), in mm on a span from 0 to ``cap``.

    Raises:
        ValueError: a distance is negative or not a number, or the cap is not positive and finite.
    """
    _check_distances(distances, cap, "cap")
    if not 0 < cap < math.inf:
        raise ValueError(f"cap is a positive number of mm, not {cap}")
    capped = [None if distance is None else min(distance, cap) for distance in distances]
    return patient_scores(capped, patients, unit=unit, span=(0.0, cap), size_cap=size_cap)


def judge_median(
    distances: Sequence[float | None],
    patients: Sequence[str],
    *,
    at_most: float,
    confidence: float = 0.95,
    maximum_missing: float = MAXIMUM_MISSING,
) -> ExactResult:
    """Answer whether at least half of the patients' studies lie within ``at_most`` mm: whether the median does.

    The result speaks of that share: its claim is "at least 0.5". ``median_interval`` gives the bounds in mm.
    """
    cohort = within_scores(distances, patients, tolerance=at_most)
    return judge_mean(cohort, Claim("at_least", 0.5, confidence, maximum_missing))


def median_interval(
    distances: Sequence[float | None], patients: Sequence[str], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the exact interval of the median in mm: the distances that are not refuted as the median.

    ``(0, inf)`` where the cohort is too small to refute any.
    """
    alpha = alpha_of(confidence)
    _check_distances(distances, 0.0, "tolerance")
    known = [-1.0, *np.unique([distance for distance in distances if distance is not None]).tolist(), math.inf]
    # the share within a distance rises with it, so each answer changes once along the sorted distances
    kept = _first(known, lambda distance: _share_p_high(distances, patients, distance) > alpha)
    shown = _first(known, lambda distance: _share_p_low(distances, patients, distance) <= alpha)
    return max(known[kept], 0.0) if kept < len(known) - 1 else 0.0, known[min(shown, len(known) - 1)]


def _first(values: Sequence[float], holds: Callable[[float], bool]) -> int:
    """Return the number of the first value for which it holds, as it does for all after; their count if for none."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(values[middle]) else (middle + 1, high)
    return low


def _share_p_low(distances: Sequence[float | None], patients: Sequence[str], tolerance: float) -> float:
    return p_low(patient_scores(_within(distances, tolerance), patients).low, 0.5)


def _share_p_high(distances: Sequence[float | None], patients: Sequence[str], tolerance: float) -> float:
    return p_high(patient_scores(_within(distances, tolerance), patients).high, 0.5)


def _within(distances: Sequence[float | None], tolerance: float) -> list[float | None]:
    return [None if distance is None else float(distance <= tolerance) for distance in distances]


def _check_distances(distances: Sequence[float | None], limit: float, name: str) -> None:
    if not limit >= 0:
        raise ValueError(f"{name} is a number of mm from 0 on, not {limit}")
    for number, distance in enumerate(distances):
        if distance is not None and not distance >= 0:
            raise ValueError(f"distances[{number}] is a number of mm from 0 on, or None, not {distance}")
