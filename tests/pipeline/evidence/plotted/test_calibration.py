"""Reliability, calibration error and slope: by hand, by other optimisers, and against scikit-learn."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.exact.means import exact_interval
from pipeline.evidence.plotted.calibration import calibration_of
from pipeline.evidence.plotted.curves import Rated
from pipeline.evidence.plotted.logistic import logistic_fit

BOOTSTRAP = Bootstrap(400, 0)


def rated_of(probability, positive, weight=None):
    probability = np.array(probability, dtype=np.float64)
    weight = np.ones(len(probability)) if weight is None else np.array(weight)
    return Rated(probability, np.array(positive, dtype=bool), probability >= 0.5, weight)


def cohort(count, slope, intercept=0.0, seed=3):
    generator = np.random.default_rng(seed)
    probability = generator.beta(1.2, 1.2, count)
    logit = np.log(probability / (1 - probability))
    positive = generator.random(count) < 1 / (1 + np.exp(-(intercept + slope * logit)))
    return rated_of(probability, positive)


def test_bins_hold_counts_means_and_the_exact_interval():
    rated = rated_of([0.02, 0.08, 0.55, 0.58, 0.52, 1.0], [0, 0, 1, 0, 1, 1])
    calibration = calibration_of(rated, np.arange(6), BOOTSTRAP)
    first, middle, last = calibration.bins
    assert (first.low, first.high, middle.low, last.low, last.high) == (0, 0.1, 0.5, 0.9, 1)
    assert (first.studies, middle.studies, last.studies) == (2, 3, 1)
    assert (middle.predicted, middle.observed) == pytest.approx((0.55, 2 / 3))
    assert (middle.observed_low, middle.observed_high) == pytest.approx(exact_interval([1, 0, 1], 0.95))
    expected = (2 * 0.05 + 3 * (2 / 3 - 0.55) + 0) / 6  # one bin too high, one too low
    assert calibration.error.value == pytest.approx(expected)
    assert calibration.error.described is None, "six patients have no interval"


def test_patients_weigh_alike_in_bins_and_error():
    """Three studies of one patient count as much as the one of another."""
    rated = rated_of([0.52, 0.54, 0.56, 0.58], [1, 1, 1, 0], [1 / 3, 1 / 3, 1 / 3, 1])
    calibration = calibration_of(rated, np.array([0, 0, 0, 1]), BOOTSTRAP)
    (only,) = calibration.bins
    assert (only.studies, only.patients, only.observed, only.predicted) == (4, 2, 0.5, pytest.approx(0.56))
    assert calibration.error.value == pytest.approx(0.06)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.4), (2.0, -1.0)])
def test_the_slope_is_the_likelihoods_highest_point(slope, intercept):
    rated = cohort(600, slope, intercept)
    logit = np.log(rated.probability / (1 - rated.probability))
    fit = logistic_fit(logit, rated.positive, rated.weight, np.arange(600))

    def loss(beta):
        linear = beta[0] + beta[1] * logit
        return -(rated.positive * linear - np.logaddexp(0, linear)).sum()

    slow = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}).x
    assert (fit.intercept, fit.slope) == pytest.approx(tuple(slow), abs=1e-4)
    low, high = fit.slope_interval(0.95)
    assert low < slope < high


def test_the_slopes_error_is_that_of_repeated_cohorts():
    fits = []
    for seed in range(150):
        rated = cohort(300, 1.0, seed=seed)
        logit = np.log(rated.probability / (1 - rated.probability))
        fits.append(logistic_fit(logit, rated.positive, rated.weight, np.arange(300)))
    spread = np.std([fit.slope for fit in fits])
    assert np.mean([fit.slope_error for fit in fits]) == pytest.approx(spread, rel=0.15)


def test_studies_of_one_patient_are_no_further_evidence():
    rated = cohort(300, 1.0)
    logit = np.log(rated.probability / (1 - rated.probability))
    alone = logistic_fit(logit, rated.positive, np.ones(300), np.arange(300))
    twice = logistic_fit(np.tile(logit, 2), np.tile(rated.positive, 2), np.full(600, 0.5), np.tile(np.arange(300), 2))
    assert (twice.slope, twice.slope_error) == pytest.approx((alone.slope, alone.slope_error))


@pytest.mark.parametrize(
    ("probability", "positive", "reason"),
    [
        ([0.2, 0.3, 0.8, 0.9], [0, 0, 1, 1], "the classes are perfectly separated: the slope has no end"),
        ([0.2, 0.5, 0.5, 0.9], [0, 0, 1, 1], "the classes are perfectly separated: the slope has no end"),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], "the classes are perfectly separated: the slope has no end"),
        ([0.9, 0.5, 0.5, 0.1], [0, 0, 1, 1], "the classes are perfectly separated: the slope has no end"),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 0, 0], "needs studies with and without the label"),
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 1, 1], "needs studies with and without the label"),
        ([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1], "every study has the same probability"),
    ],
)
def test_a_slope_without_a_finite_value_says_why(probability, positive, reason):
    calibration = calibration_of(rated_of(probability, positive), np.arange(4), BOOTSTRAP)
    assert (calibration.slope.value, calibration.slope.reason, calibration.intercept) == (None, reason, None)


def test_probabilities_of_0_and_1_have_a_slope():
    rated = rated_of([0.0, 1.0, 1.0, 0.0, 0.4, 0.6], [0, 1, 0, 1, 0, 1])
    assert np.isfinite(calibration_of(rated, np.arange(6), BOOTSTRAP).slope.value)


def test_what_chance_alone_shows_is_what_calibrated_cohorts_show():
    errors = [calibration_of(cohort(200, 1.0, seed=seed), np.arange(200), Bootstrap(50, 0)).error for seed in range(60)]
    assert np.mean([error.chance for error in errors]) == pytest.approx(
        np.mean([error.value for error in errors]), abs=0.01
    )
    holds = [error.described.low <= 0.005 for error in errors]  # the truth is 0 but for the bins' own width
    assert np.mean(holds) >= 0.9


def test_means_are_those_of_scikit_learn():
    calibration = pytest.importorskip("sklearn.calibration")
    rated = cohort(500, 0.6)
    observed, predicted = calibration.calibration_curve(rated.positive, rated.probability, n_bins=10)
    bins = calibration_of(rated, np.arange(500), BOOTSTRAP).bins
    assert [cell.observed for cell in bins] == pytest.approx(observed.tolist())
    assert [cell.predicted for cell in bins] == pytest.approx(predicted.tolist())


def test_the_errors_interval_is_that_of_a_mean_where_all_is_one_bin():
    """Gaps of .5 in a quarter of 200 patients and of -.5 in the others: .25 +- 1.96 x .433 / sqrt(200), or .060."""
    rated = rated_of([0.5] * 200, [0, 0, 0, 1] * 50, [2.0] * 200)
    error = calibration_of(rated, np.arange(200), Bootstrap(4000, 0)).error
    assert error.value == pytest.approx(0.25)
    assert error.described.high - 0.25 == pytest.approx(1.96 * 0.433 / 200**0.5, rel=0.06)
    assert error.described.low == pytest.approx(0.5 - error.described.high)
    balanced = rated_of([0.5] * 200, [0, 1] * 100)
    assert calibration_of(balanced, np.arange(200), BOOTSTRAP).error.described.low == 0, "no error is below 0"


def test_no_error_is_above_1():
    """All are wrong: twelve at .99 and four at .65. A drawn cohort differs by more than the tenth that is left."""
    rated = rated_of([0.99] * 12 + [0.65] * 4, [0] * 16)
    assert calibration_of(rated, np.arange(16), BOOTSTRAP).error.described.high == 1


def test_the_chance_of_two_studies_by_hand_and_in_any_order():
    """At .5 with weights 1 and 3 in one bin: |+-.5 +- 1.5| / 4 is .5 or .25: .375 on average."""
    rated = rated_of([0.5, 0.5], [0, 1], [1.0, 3.0])
    assert calibration_of(rated, np.arange(2), BOOTSTRAP).error.chance == pytest.approx(0.375, abs=0.025)
    many = cohort(40, 1.0)
    order = np.random.default_rng(0).permutation(40)
    turned = rated_of(many.probability[order], many.positive[order])
    chances = [calibration_of(rated, np.arange(40), BOOTSTRAP).error.chance for rated in (many, turned)]
    assert chances[0] == chances[1]


def test_what_is_sure_and_right_has_hardly_any_chance_of_an_error():
    rated = rated_of([0.001] * 50 + [0.999] * 50, [0] * 50 + [1] * 50)
    assert calibration_of(rated, np.arange(100), BOOTSTRAP).error.chance < 0.01


def test_slope_and_intercept_are_the_fits_with_patients_weights_and_clusters():
    rated = cohort(60, 1.0, 0.3)
    patient = np.arange(60) // 3
    weights = np.where(np.arange(60) % 2, 0.2, 1.0)
    weighted = rated_of(rated.probability, rated.positive, weights)
    logit = np.log(rated.probability / (1 - rated.probability))
    fit = logistic_fit(logit, rated.positive, weights, patient)
    calibration = calibration_of(weighted, patient, Bootstrap(50, 0, 0.99))
    assert (calibration.slope.value, calibration.intercept) == pytest.approx((fit.slope, fit.intercept))
    low, high = calibration.slope.described.low, calibration.slope.described.high
    assert (high - low) / 2 == pytest.approx(2.5758 * fit.slope_error, rel=1e-4)
    assert (calibration.error.patients, calibration.error.studies) == (20, 60)


def test_weights_count_as_often_as_they_say():
    """A study of weight 3 is a study three times, in the fit and in its error."""
    rated = cohort(40, 1.0)
    logit = np.log(rated.probability / (1 - rated.probability))
    weights = np.where(np.arange(40) < 10, 9.0, 1.0)
    times = weights.astype(int)
    fit = logistic_fit(logit, rated.positive, weights, np.arange(40))
    often = logistic_fit(
        np.repeat(logit, times), np.repeat(rated.positive, times), np.ones(times.sum()), np.repeat(np.arange(40), times)
    )
    assert (fit.slope, fit.intercept, fit.slope_error) == pytest.approx(
        (often.slope, often.intercept, often.slope_error)
    )


def test_copies_of_each_patients_study_make_no_error_smaller():
    rated = cohort(300, 1.0)
    logit = np.log(rated.probability / (1 - rated.probability))
    alone = logistic_fit(logit, rated.positive, np.ones(300), np.arange(300))
    twice = logistic_fit(np.tile(logit, 2), np.tile(rated.positive, 2), np.ones(600), np.tile(np.arange(300), 2))
    assert (twice.slope, twice.slope_error) == pytest.approx((alone.slope, alone.slope_error))
