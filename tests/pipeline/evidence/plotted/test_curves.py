"""ROC and precision-recall curves, held against every threshold tried in turn, and against scikit-learn."""

import numpy as np
import pytest

from pipeline.evidence.plotted.curves import Rated, operating_point, precision_recall_curve, roc_curve


def cohort(count, decimals, seed=0, share=0.3):
    """Studies whose probabilities overlap and are tied; patients have one, two or three of them."""
    generator = np.random.default_rng(seed)
    positive = generator.random(count) < share
    probability = np.round(np.clip(generator.normal(0.4 + 0.25 * positive, 0.2), 0, 1), decimals)
    return Rated(probability, positive, probability >= 0.5, generator.choice([1, 1 / 2, 1 / 3], count))


def at_every_threshold(rated):
    """The curve's points by counting anew at each threshold: (false positive rate, sensitivity, precision)."""
    points = []
    for threshold in sorted(set(rated.probability.tolist()), reverse=True):
        called = rated.probability >= threshold
        hits = rated.weight[called & rated.positive].sum()
        alarms = rated.weight[called & ~rated.positive].sum()
        points.append(
            (
                alarms / rated.weight[~rated.positive].sum(),
                hits / rated.weight[rated.positive].sum(),
                hits / (hits + alarms),
            )
        )
    return np.array(points)


def off_the_lines(curve, points):
    """How far points lie from the curve's lines, at most."""
    x, y = np.array(curve.false_positive_rate), np.array(curve.sensitivity)
    steps = np.stack([np.diff(x), np.diff(y)], axis=1)
    lengths = np.maximum((steps**2).sum(axis=1), 1e-30)
    starts = np.stack([x[:-1], y[:-1]], axis=1)
    along = np.clip(((points[:, None] - starts) * steps).sum(axis=2) / lengths, 0, 1)
    nearest = starts + along[..., None] * steps
    return float(np.sqrt(((points[:, None] - nearest) ** 2).sum(axis=2)).min(axis=1).max())


@pytest.mark.parametrize(("count", "decimals"), [(2, 1), (12, 1), (60, 1), (300, 2), (800, 6)])
def test_the_roc_curve_passes_every_threshold_with_the_fewest_corners(count, decimals):
    rated = cohort(count, decimals, share=0.5)
    curve = roc_curve(rated)
    points = at_every_threshold(rated)[:, :2]
    assert curve.within == 0
    assert (curve.false_positive_rate[0], curve.sensitivity[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.sensitivity[-1]) == (1, 1)
    assert off_the_lines(curve, points) < 1e-9
    x, y = np.diff(curve.false_positive_rate), np.diff(curve.sensitivity)
    assert (x >= 0).all()
    assert (y >= 0).all()
    turns = x[:-1] * y[1:] - x[1:] * y[:-1]
    assert (np.abs(turns) > 0).all(), "a corner on a line between its neighbours"
    assert len(curve.sensitivity) <= len(points) + 1


def test_a_roc_curve_of_many_studies_is_thinned_within_what_it_states():
    rated = cohort(20_000, 9)
    curve = roc_curve(rated, most=200)
    assert len(curve.sensitivity) <= 200
    assert 0 < curve.within <= 0.002
    assert off_the_lines(curve, at_every_threshold_fast(rated)) <= curve.within + 1e-9


def at_every_threshold_fast(rated):
    order = np.argsort(-rated.probability, kind="stable")
    weight, positive = rated.weight[order], rated.positive[order]
    hits, alarms = np.cumsum(weight * positive), np.cumsum(weight * ~positive)
    ends = np.append(np.flatnonzero(np.diff(rated.probability[order])), len(order) - 1)[::40]
    return np.stack([alarms[ends] / alarms[-1], hits[ends] / hits[-1]], axis=1)


@pytest.mark.parametrize(("count", "decimals"), [(2, 1), (12, 1), (60, 1), (300, 2), (800, 6)])
def test_the_precision_recall_curve_is_that_of_every_threshold(count, decimals):
    rated = cohort(count, decimals, share=0.5)
    curve = precision_recall_curve(rated)
    points = at_every_threshold(rated)
    gained = np.diff(points[:, 1], prepend=0)
    assert curve.average_precision == pytest.approx(float((gained * points[:, 2]).sum()))
    drawn = np.diff(curve.recall, prepend=0) @ np.array(curve.precision)
    assert drawn == pytest.approx(curve.average_precision)
    assert curve.prevalence == pytest.approx(float(np.average(rated.positive, weights=rated.weight)))
    assert set(np.round(curve.precision, 9)) <= set(np.round(points[gained > 0, 2], 9))


def test_a_thinned_precision_recall_curve_keeps_its_area():
    rated = cohort(20_000, 9)
    whole, thin = precision_recall_curve(rated, most=10**9), precision_recall_curve(rated, most=200)
    assert whole.within == 0
    assert len(thin.recall) <= 200
    assert thin.average_precision == whole.average_precision
    assert thin.recall[-1] == 1, "the last step, at which all are found, is kept"
    assert np.diff(thin.recall, prepend=0) @ np.array(thin.precision) == pytest.approx(
        whole.average_precision, abs=0.01
    )


def test_what_was_called_lies_on_the_curves_where_it_was_called_by_a_threshold():
    rated = cohort(300, 2)
    point = operating_point(rated)
    assert off_the_lines(roc_curve(rated), np.array([[point.false_positive_rate, point.sensitivity]])) < 1e-9
    hits = rated.weight[rated.called & rated.positive].sum()
    assert point.precision == pytest.approx(hits / rated.weight[rated.called].sum())


def test_a_classifier_that_calls_nothing_has_no_precision():
    rated = cohort(30, 1)
    silent = operating_point(Rated(rated.probability, rated.positive, np.zeros(30, bool), rated.weight))
    assert (silent.false_positive_rate, silent.sensitivity, silent.precision) == (0, 0, None)


def test_a_constant_probability_is_the_diagonal():
    rated = Rated(np.full(4, 0.5), np.array([True, False, True, False]), np.ones(4, bool), np.ones(4))
    assert roc_curve(rated).sensitivity == (0, 1)
    curve = precision_recall_curve(rated)
    assert (curve.recall, curve.precision, curve.average_precision) == ((1,), (0.5,), 0.5)


@pytest.mark.parametrize("decimals", [1, 2, 6])
def test_areas_and_corners_are_those_of_scikit_learn(decimals):
    metrics = pytest.importorskip("sklearn.metrics")
    rated = cohort(400, decimals)
    given = {"sample_weight": rated.weight}
    false, true, _ = metrics.roc_curve(rated.positive, rated.probability, drop_intermediate=False, **given)
    curve = roc_curve(rated)
    area = np.trapezoid(curve.sensitivity, curve.false_positive_rate)
    assert area == pytest.approx(metrics.roc_auc_score(rated.positive, rated.probability, **given))
    theirs = set(zip(np.round(false, 9), np.round(true, 9), strict=True))
    assert set(zip(np.round(curve.false_positive_rate, 9), np.round(curve.sensitivity, 9), strict=True)) <= theirs
    precision, recall, _ = metrics.precision_recall_curve(rated.positive, rated.probability, **given)
    steps = precision_recall_curve(rated)
    theirs = set(zip(np.round(recall, 9), np.round(precision, 9), strict=True))
    assert set(zip(np.round(steps.recall, 9), np.round(steps.precision, 9), strict=True)) <= theirs
    average = metrics.average_precision_score(rated.positive, rated.probability, **given)
    assert steps.average_precision == pytest.approx(average)
