"""Claims about readers like these, not about these: readers and patients both drawn from what is larger.

The variance of a mean over readers and patients is Obuchowski's and Rockette's, which for scores of every patient by
every reader is the unbiased one of U-statistics (Gallas): the mean square of the readers' means over their number, and
the covariance that readers share through the patients. With Hillis' degrees of freedom it gives the usual interval,
which errs where patients or readers are few or scores lie near an end. What is judged is therefore the larger of two
p-values: that of the exact test over patients of the readers' mean, and that of the variance with no more degrees of
freedom than there are readers less one, on the scale of logits. It is approximate, its error rates are simulated, it
takes readers for a sample without outliers, and a better score of one reader, who then differs more from the others,
can raise the p-value.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtr, stdtrit

from pipeline.evidence.exact.claims import Claim, ExactResult, decide, missing_reason
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.scores import PatientScores

__all__ = ["FEWEST_READERS", "ReaderScores", "ReaderVariance", "judge_readers", "reader_variance", "usual_interval"]

FEWEST_READERS = 3
"""Two say next to nothing of how readers differ."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReaderScores:
    """Scores of every patient by every reader.

    Attributes:
        low: (readers, patients) the smallest that each score can be; where it is missing the span's low end.
        high: (readers, patients) the largest.
        span: the ends between which every score lies by definition.
        value: the mean over readers of the mean over their patients with a score; None where one has none.
        n_studies: studies of the population.
    """

    low: Floats
    high: Floats
    span: tuple[float, float]
    value: float | None
    n_studies: int

    def of_patients(self) -> PatientScores:
        """Return each patient's mean over the readers: what is claimed of these readers is claimed of it."""
        unknown = (self.low == self.span[0]) & (self.high == self.span[1])
        patients = self.low.shape[1]
        return PatientScores(
            low=self.low.mean(axis=0),
            high=self.high.mean(axis=0),
            weights=np.ones(patients),
            heaviest=1.0,
            span=self.span,
            value=self.value,
            study_value=None,
            n_studies=self.n_studies,
            n_missing=int(unknown.all(axis=0).sum()),
        )

    def unit(self, scores: Floats) -> Floats:
        """Return scores on a span of 0 to 1."""
        return np.clip((scores - self.span[0]) / (self.span[1] - self.span[0]), 0.0, 1.0)


@dataclass(frozen=True)
class ReaderVariance:
    """A mean over readers and patients, and how far it would vary with other readers and other patients.

    ``mean_square`` is that of the readers' means, ``covariance`` the mean one of two readers' means through the
    patients they share, ``degrees`` are Hillis' (infinite where readers do not differ).
    """

    mean: float
    mean_square: float
    covariance: float
    variance: float
    degrees: float


def reader_variance(scores: Floats) -> ReaderVariance:
    """Return the mean of ``scores`` (readers, patients) and its variance.

    Raises:
        ValueError: fewer than two readers or patients: nothing varies.
    """
    readers, patients = scores.shape
    if readers < 2 or patients < 2:
        raise ValueError(f"a variance needs two readers and two patients or more, not {readers} and {patients}")
    means = scores.mean(axis=1)
    covariances = np.atleast_2d(np.cov(scores)) / patients
    covariance = float(covariances.sum() - np.trace(covariances)) / (readers * (readers - 1))
    mean_square = float(means.var(ddof=1))
    whole = mean_square + max(readers * covariance, 0.0)
    degrees = (readers - 1) * (whole / mean_square) ** 2 if mean_square else math.inf
    return ReaderVariance(float(means.mean()), mean_square, covariance, whole / readers, degrees)


def usual_interval(cohort: ReaderScores, confidence: float) -> tuple[float, float] | None:
    """Return the interval that Hillis' degrees of freedom give, on the scores' span; None where nothing varies.

    It describes and decides nothing. A missing score is taken as the middle of what it can be.
    """
    scores = (cohort.low + cohort.high) / 2
    if min(scores.shape) < 2:
        return None
    varying = reader_variance(scores)
    half = float(stdtrit(varying.degrees, (1 + confidence) / 2)) * math.sqrt(varying.variance)
    return max(varying.mean - half, cohort.span[0]), min(varying.mean + half, cohort.span[1])


def judge_readers(cohort: ReaderScores, claim: Claim) -> ExactResult:
    """Answer a claim about the mean over readers like these and patients like these: approximately.

    Raises:
        ValueError: fewer than three readers, or the bound lies outside the span of the scores.
    """
    if len(cohort.low) < FEWEST_READERS:
        raise ValueError(f"a claim about readers needs {FEWEST_READERS} or more, not {len(cohort.low)}")
    these = judge_mean(cohort.of_patients(), claim)
    bottom, top = cohort.span
    bound = (claim.bound - bottom) / (top - bottom)
    low, high = cohort.unit(cohort.low), 1 - cohort.unit(cohort.high)
    p_low = max(these.p_low, _p_low(low, bound))
    p_high = max(these.p_high, _p_low(high, 1 - bound))
    decision, reason = decide(*((p_low, p_high) if claim.side == "at_least" else (p_high, p_low)), claim.alpha)
    missing = missing_reason(these.missing_share, claim)
    return ExactResult(
        claim=claim,
        decision="INCONCLUSIVE" if missing else decision,
        reason=missing or f"{reason}; readers and patients both vary (approximate, {len(cohort.low)} readers)",
        value=cohort.value,
        study_value=None,
        low=min(these.low, bottom + (top - bottom) * _lower_bound(low, claim.alpha)),
        high=max(these.high, top - (top - bottom) * _lower_bound(high, claim.alpha)),
        p_low=p_low,
        p_high=p_high,
        n_patients=these.n_patients,
        n_studies=these.n_studies,
        n_missing=these.n_missing,
        missing_share=these.missing_share,
        best_reachable=these.best_reachable,
    )


def _p_low(scores: Floats, bound: float) -> float:
    """Return the p-value against "the mean is at most ``bound``", of ``scores`` (readers, patients) in [0, 1]."""
    if scores.shape[1] < 2:
        return 1.0
    spread = _spread(reader_variance(scores))
    mean = float(scores.mean())
    if spread == 0:
        return 0.0 if mean > bound else 1.0
    with np.errstate(divide="ignore"):
        distance = float(logit(mean) - logit(bound))
    return float(stdtr(len(scores) - 1, -distance / spread))


def _lower_bound(scores: Floats, alpha: float) -> float:
    """Return the largest bound whose p-value is at most ``alpha``; 0 where there is none."""
    if scores.shape[1] < 2:
        return 0.0
    spread, mean = _spread(reader_variance(scores)), float(scores.mean())
    if spread == 0:
        return mean
    return float(expit(logit(mean) + stdtrit(len(scores) - 1, alpha) * spread))


def _spread(varying: ReaderVariance) -> float:
    """Return the standard error of the mean's logit."""
    slope = varying.mean * (1 - varying.mean)
    return math.sqrt(varying.variance) / slope if varying.variance > 0 and slope > 0 else 0.0
