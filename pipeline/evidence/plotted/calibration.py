"""Whether probabilities hold true: reliability in ten bins, the expected calibration error, slope and intercept.

All of it describes and decides nothing. Patients weigh alike in all of it.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.bootstrap import MINIMUM_PATIENTS, NONE, patient_draws, rows_by_value
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.exact.means import mean_interval_of
from pipeline.evidence.exact.scores import patient_scores
from pipeline.evidence.plotted.curves import Rated
from pipeline.evidence.plotted.logistic import logistic_fit
from pipeline.findings.estimates import DescriptiveInterval, Estimate
from pipeline.findings.plotted.classifier import Calibration, ReliabilityBin
from pipeline.vocabulary import CLASSIFIER

__all__ = ["BINS", "ERROR_INTERVAL", "SLOPE_INTERVAL", "calibration_of"]

BINS: Final = 10
"""Bins of equal width between 0 and 1; the last one holds 1 too."""

ERROR_INTERVAL: Final = "patient-cluster bootstrap of the distance over all bins"
SLOPE_INTERVAL: Final = "normal, with variances clustered by patient"

_CALIBRATED_COHORTS: Final = 200
_CLOSEST: Final = 1e-6
"""How near to 0 and 1 a probability counts in the slope: its logit would have no end."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]


def calibration_of(rated: Rated, patient: Numbers, bootstrap: Bootstrap, group: str | None = None) -> Calibration:
    """Return how a label's probabilities hold true.

    Args:
        rated: the studies.
        patient: (studies,) the number of each study's patient, from 0 on.
        bootstrap: confidence, replicates and seed of the intervals.
        group: ``label=...`` where there are several.
    """
    place = np.minimum((rated.probability * BINS).astype(np.intp), BINS - 1)
    counts = {
        "method": CLASSIFIER,
        "among": "all",
        "group": group,
        "confidence": bootstrap.confidence,
        "patients": len(np.unique(patient)),
        "studies": len(patient),
    }
    slope, intercept = _slope(rated, patient, bootstrap.confidence, counts)
    return Calibration(
        bins=tuple(_bin(rated, patient, place, number, bootstrap.confidence) for number in np.unique(place).tolist()),
        error=_error(rated, patient, place, bootstrap, counts),
        slope=slope,
        intercept=intercept,
    )


def _bin(rated: Rated, patient: Numbers, place: Numbers, number: int, confidence: float) -> ReliabilityBin:
    inside = place == number
    owners = [f"{owner:09d}" for owner in patient[inside].tolist()]
    cohort = patient_scores(rated.positive[inside].astype(float).tolist(), owners)
    predicted = patient_scores(rated.probability[inside].tolist(), owners).value
    low, high = mean_interval_of(cohort, confidence)
    return ReliabilityBin(
        low=number / BINS,
        high=(number + 1) / BINS,
        studies=int(inside.sum()),
        patients=cohort.n_patients,
        predicted=float(predicted or 0.0),
        observed=float(cohort.value or 0.0),
        observed_low=low,
        observed_high=high,
    )


def _error(
    rated: Rated, patient: Numbers, place: Numbers, bootstrap: Bootstrap, counts: Mapping[str, object]
) -> Estimate:
    """Return the expected calibration error: the bins' distances from the diagonal, weighed by what they hold."""
    gaps = rated.weight * (rated.positive - rated.probability)
    value = _error_of(np.bincount(place, weights=gaps, minlength=BINS), rated.weight.sum())
    chance = _error_if_calibrated(rated, place, bootstrap.seed)
    fields = {**counts, "metric": "calibration_error", "value": value, "chance": chance, "interval": "none"}
    reach = _reach(gaps, rated.weight, patient, place, bootstrap)
    if reach is None:
        return Estimate.model_validate({**fields, "interval": NONE})
    described = DescriptiveInterval(low=max(0.0, value - reach), high=min(1.0, value + reach), how=ERROR_INTERVAL)
    return Estimate.model_validate({**fields, "described": described})


def _error_of(gaps: NDArray[Any], weight: float) -> float:
    return float(np.abs(gaps).sum() / weight)


def _reach(gaps: Floats, weight: Floats, patient: Numbers, place: Numbers, bootstrap: Bootstrap) -> float | None:
    """Return how far cohorts whose patients are drawn lie from this one, bin by bin, added up; None for few patients.

    The truth lies as far from this cohort as this one from those drawn. An interval of the drawn errors themselves
    would hold the truth in half of the cases only: chance alone makes every error larger.
    """
    patients = int(patient.max()) + 1
    if patients < MINIMUM_PATIENTS:
        return None
    by_patient = np.bincount(patient * BINS + place, weights=gaps, minlength=patients * BINS).reshape(patients, BINS)
    weights = np.bincount(patient, weights=weight, minlength=patients)
    rows = rows_by_value(np.column_stack([weights, by_patient]))
    centre = rows[:, 1:].sum(axis=0) / rows[:, 0].sum()
    distances = [
        np.abs(draws @ rows[:, 1:] / (draws @ rows[:, 0])[:, None] - centre).sum(axis=1)
        for draws in patient_draws(patients, bootstrap.replicates, bootstrap.seed)
    ]
    return float(np.quantile(np.concatenate(distances), bootstrap.confidence))


def _error_if_calibrated(rated: Rated, place: Numbers, seed: int) -> float:
    """Return the mean error of cohorts with the same probabilities in which each of them is the truth."""
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.lexsort((rated.weight, rated.probability))  # how the archive is listed changes nothing
    probability, weight, place, total = rated.probability[order], rated.weight[order], place[order], 0.0
    for _ in range(_CALIBRATED_COHORTS):
        positive = generator.random(len(place)) < probability
        gaps = np.bincount(place, weights=weight * (positive - probability), minlength=BINS)
        total += _error_of(gaps, weight.sum())
    return total / _CALIBRATED_COHORTS


def _slope(
    rated: Rated, patient: Numbers, confidence: float, counts: Mapping[str, object]
) -> tuple[Estimate, float | None]:
    """Return slope and intercept of the logistic regression of the reference on the probability's logit."""
    fields = {**counts, "metric": "calibration_slope", "interval": "none"}
    inside = np.clip(rated.probability, _CLOSEST, 1 - _CLOSEST)
    logit = np.log(inside / (1 - inside))
    reason = _no_slope(logit, rated.positive)
    if reason is not None:
        return Estimate.model_validate({**fields, "value": None, "reason": reason}), None
    fit = logistic_fit(logit, rated.positive, rated.weight, patient)
    low, high = fit.slope_interval(confidence)
    described = DescriptiveInterval(low=low, high=high, how=SLOPE_INTERVAL)
    return Estimate.model_validate({**fields, "value": fit.slope, "described": described}), fit.intercept


def _no_slope(logit: Floats, positive: NDArray[np.bool_]) -> str | None:
    if positive.all() or not positive.any():
        return "needs studies with and without the label"
    if logit.min() == logit.max():
        return "every study has the same probability"
    inside, outside = logit[positive], logit[~positive]
    if outside.max() <= inside.min() or inside.max() <= outside.min():
        return "the classes are perfectly separated: the slope has no end"
    return None
