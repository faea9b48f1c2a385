"""An interval of an area under the ROC curve that only describes: Obuchowski's error, and Student's t on logits.

Studies of a patient resemble each other, those of both classes too, so what a patient adds is summed before it is
squared (Obuchowski 1997). Studies weigh as in the area itself, each patient's together as one; with one study a patient
the error is DeLong's. Coverage holds in large cohorts only, so verdicts do not follow from it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from pipeline.evidence.exact.areas import AreaCohort
from pipeline.evidence.exact.claims import alpha_of

__all__ = ["OBUCHOWSKI", "obuchowski_interval", "obuchowski_variance"]

OBUCHOWSKI: Final = "Obuchowski's variance of clustered areas, t on logits"

_ROUNDING = 1e-18
"""A variance so small is that of classes that are separated, or tied, but for the rounding of sums of weights."""

Floats = NDArray[np.float64]


def obuchowski_interval(cohort: AreaCohort, confidence: float) -> tuple[float, float] | None:
    """Return the interval of a cohort's area, over its studies with a score.

    The degrees of freedom are the patients of the smaller class less one. None where a class has fewer than two, where
    the area is 0 or 1, which has no logit, or where nothing varies.
    """
    area, variance = cohort.area(cohort.share), obuchowski_variance(cohort)
    if area is None or variance is None or variance < _ROUNDING:
        return None
    degrees = min(len(np.unique(cohort.patient[cohort.seen & positive])) for positive in _classes(cohort)) - 1
    half = float(stdtrit(degrees, 1 - alpha_of(confidence))) * variance**0.5 / (area * (1 - area))
    middle = float(logit(area))
    return float(expit(middle - half)), float(expit(middle + half))


def obuchowski_variance(cohort: AreaCohort) -> float | None:
    """Return the variance of a cohort's area; None where a class has fewer than two patients with a score."""
    area, gains, clusters, every = cohort.area(cohort.share), list[Floats](), list[int](), cohort.patient[cohort.seen]
    for own, other in zip(_classes(cohort), _classes(cohort)[::-1], strict=True):
        mine, theirs = cohort.seen & own, cohort.seen & other
        clusters.append(len(np.unique(cohort.patient[mine])))
        if area is None or clusters[-1] < 2:
            return None
        below = _share_below(cohort.scores[mine], cohort.scores[theirs], cohort.share[theirs])
        won = below if own is cohort.positive else 1 - below
        weights = cohort.share[mine] / cohort.share[mine].sum()
        own_gains = np.bincount(cohort.patient[mine], weights * (won - area), minlength=cohort.n_patients)
        gains.append(own_gains.astype(np.float64))
    alone = [float(gain @ gain) * patients / (patients - 1) for gain, patients in zip(gains, clusters, strict=True)]
    patients = len(np.unique(every))
    return max(sum(alone) + 2 * float(gains[0] @ gains[1]) * patients / (patients - 1), 0.0)


def _classes(cohort: AreaCohort) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return cohort.positive, ~cohort.positive


def _share_below(scores: Floats, others: Floats, weights: Floats) -> Floats:
    """Return for each score the weighted share of the others that lie below it; a tie is half below."""
    order = np.argsort(others, kind="stable")
    below = np.append(0.0, np.cumsum(weights[order]))
    places = [below[np.searchsorted(others[order], scores, side)] for side in ("left", "right")]
    return np.asarray((places[0] + places[1]) / (2 * below[-1]), dtype=np.float64)
