"""Metrics over thresholds for a cohort, against means that are written down plainly."""

import numpy as np
import pytest

from pipeline.evidence.cohort.bootstrap import mean_bands, mean_interval
from pipeline.evidence.localisation.curves import curve_rows, size_curves_of, study_values, threshold_curves
from pipeline.evidence.localisation.lesion_strata import LesionRows
from pipeline.findings.localisation.curves import CURVE_SHARES, RegionCounts
from pipeline.findings.localisation.lesions import MaskShape
from tests.pipeline.evidence.records import BOOTSTRAP, entry, study

STEPS = len(CURVE_SHARES)


def counted(method, reader, region, common, mask=4, **changes):
    counts = RegionCounts(region=(region,) * STEPS, common=(common,) * STEPS, mask=mask, visible=mask, seen=100)
    return entry(method, reader, 0.5, **changes).model_copy(update={"counts": counts})


def curve_of(rows, metric="dice", method="gradcam", labels=("nodule",), label=None):
    curves = threshold_curves(rows, labels, BOOTSTRAP)
    return next(c for c in curves if (c.metric, c.method, c.label) == (metric, method, label))


def test_a_curve_is_the_mean_over_patients_of_means_over_readers():
    rows = [
        study(1, counted("gradcam", "a", 4, 4), counted("gradcam", "b", 4, 2), patient="P"),  # Dice 1 and 0.5
        study(2, counted("gradcam", "a", 4, 0), patient="P"),
        study(3, counted("gradcam", "a", 4, 1), patient="Q"),
    ]
    curve = curve_of(rows)
    assert curve.values == pytest.approx([((0.75 + 0) / 2 + 0.25) / 2] * STEPS)
    assert (curve.patients, curve.studies, curve.shares) == (2, 3, CURVE_SHARES)
    assert (curve.low, curve.high) == ((), ())
    assert "fewer than 10 patients" in curve.interval


def test_values_of_a_study_are_the_means_over_readers_whose_mask_is_not_empty():
    of_readers = [("a", 4, 4), ("b", 2, 4), ("c", 0, 0)]  # Dice 1 and 0.5, IoU 1 and 2 / 6
    given = [counted("gradcam", reader, 4, common, mask=mask) for reader, common, mask in of_readers]
    values = study_values(study(1, *given), "nodule", ())
    assert values["gradcam", "dice"] == pytest.approx([0.75] * STEPS)
    assert values["gradcam", "iou"] == pytest.approx([2 / 3] * STEPS)


def test_a_consensus_decides_alone_and_an_empty_mask_defines_nothing():
    rows = [
        study(1, counted("gradcam", "a", 4, 0), counted("gradcam", "consensus:staple", 4, 4)),
        study(2, counted("gradcam", "a", 4, 0, mask=0)),
    ]
    curve = curve_of(rows)
    assert curve.values == (1.0,) * STEPS
    assert curve.patients == 1


def test_a_mask_of_all_that_was_seen_leaves_no_specificity():
    curves = threshold_curves([study(1, counted("gradcam", "a", 4, 4, mask=100))], ("nodule",), BOOTSTRAP)
    assert {curve.metric for curve in curves} == {"iou", "dice", "voxel_precision", "voxel_recall"}


def test_studies_without_the_finding_and_those_not_analysed_do_not_count():
    rows = [
        study(1, counted("gradcam", "a", 4, 4)),
        study(2, counted("gradcam", "a", 4, 0), reference=()),
        study(3, counted("gradcam", "a", 4, 0), reference=None),
        study(4, entry("gradcam", None, "no_mask")),
    ]
    assert curve_of(rows).values == (1.0,) * STEPS


def test_each_finding_has_its_own_curve():
    rows = [
        study(1, counted("gradcam", "a", 4, 4), counted("gradcam", "a", 4, 2, target="mass"),
              reference=("nodule", "mass"))
    ]  # fmt: skip
    labels = ("nodule", "mass")
    assert curve_of(rows, labels=labels, label="nodule").values[0] == 1
    assert curve_of(rows, labels=labels, label="mass").values[0] == 0.5


def test_bands_are_those_of_the_interval_column_by_column():
    means = np.random.default_rng(3).random((25, 4))
    settings = {"confidence": 0.95, "replicates": 500, "seed": 7}
    bands = mean_bands(means, **settings)
    ordered = means[np.argsort(means[:, 0])]  # whole patients are drawn, in the order of their first value
    drawn = np.random.Generator(np.random.PCG64(7)).integers(0, 25, size=(500, 25))
    for column, values in enumerate(ordered.T):
        ends = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
        assert (bands.low[column], bands.high[column]) == pytest.approx(tuple(ends))
    single = mean_interval(list(means[:, 0]), [str(n) for n in range(25)], **settings)
    assert (bands.low[0], bands.high[0], bands.how) == pytest.approx((single.low, single.high, single.how))


def by_size(rows):
    """Return the size curves of some studies, gathered as a run gathers them."""
    gathered, lesions = curve_rows(["nodule"]), LesionRows.about(["nodule"])
    for number, audit in enumerate(rows):
        gathered.add(number, audit)
        lesions.add(number, audit)
    return size_curves_of(gathered, rows, lesions.cohort(), BOOTSTRAP)


def sized(number, size, common, method="gradcam", **changes):
    form = {"elongation": 1.0, "irregularity": 0.0}
    shape = MaskShape(label="nodule", reader="a", axes=2, image_share=size / 1000, size=size, lesions=1, **form)
    return study(number, counted(method, "a", 4, common), mask_shapes=(shape,), **changes)


def test_each_third_of_the_sizes_has_its_own_curve():
    rows = [sized(number, 10.0 * (number + 1), (1, 2, 4)[number // 5]) for number in range(15)]
    small, middle, large = by_size(rows)
    assert [curve.group for curve in (small, middle, large)] == [
        "lesion size (masks)=lowest third", "lesion size (masks)=middle third", "lesion size (masks)=highest third",
    ]  # fmt: skip
    assert [curve.values[0] for curve in (small, middle, large)] == [0.25, 0.5, 1.0]
    assert {(curve.metric, curve.method, curve.patients) for curve in (small, middle, large)} == {
        ("dice", "gradcam", 5)
    }


def test_a_third_of_few_patients_has_no_curve_and_neither_has_a_baseline():
    assert by_size([sized(number, 10.0 * (number + 1), 2) for number in range(12)]) == ()
    few = [sized(number, 10.0 * (number + 1), 2, patient="P" if number < 5 else None) for number in range(15)]
    assert by_size(few) == ()
    assert by_size([sized(number, 10.0 * (number + 1), 2, method="centre_prior") for number in range(15)]) == ()


def test_lesions_of_one_size_have_no_curve_by_size():
    assert by_size([sized(number, 10.0, 2) for number in range(15)]) == ()
