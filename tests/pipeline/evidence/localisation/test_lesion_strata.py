"""Strata that no score has a part in, and trends against SciPy's own."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.localisation.lesion_strata import lesion_cohort, lesion_estimates, lesion_trends
from pipeline.findings.localisation.lesions import MaskShape
from tests.pipeline.evidence.records import BOOTSTRAP, SCALES, entry, not_analysed, study

IOU = (SCALES["iou"],)


def shape(size=1.0, reader="a", label="nodule", **changes):
    facts = {"axes": 3, "lesions": 1, "image_share": 0.01, "size": size, "elongation": 1.0, "irregularity": 0.0}
    return MaskShape(label=label, reader=reader, **facts | changes)


def planted(sizes, scores, **changes):
    return [
        study(n, entry("gradcam", "a", score), entry("random_map", "a", 0.1), mask_shapes=(shape(size),), **changes)
        for n, (size, score) in enumerate(zip(sizes, scores, strict=True))
    ]


def strata_of(rows, labels=("nodule",)):
    return {(part.label, part.feature): part for part in lesion_cohort(rows, labels).strata}


def estimates_of(rows, labels=("nodule",)):
    cohort = lesion_cohort(rows, labels)
    found = lesion_estimates(units_of(rows, ("iou",), labels), IOU, cohort, BOOTSTRAP)
    return {(estimate.group, estimate.method): estimate for estimate in found}


def test_thirds_are_the_masks_and_scores_follow_them():
    rows = planted([1, 2, 3, 4, 5, 6, 7, 8, 9], [0.1] * 3 + [0.2] * 3 + [0.3, 0.3, "constant_map"])
    part = strata_of(rows)[None, "size"]
    assert part.cuts == pytest.approx((11 / 3, 19 / 3))
    assert (part.unit, part.studies) == ("mm3", {"lowest": 3, "middle": 3, "highest": 3})
    by_size = {
        stratum: estimates_of(rows)[f"lesion size (masks)={stratum} third", "gradcam"].value
        for stratum in ("lowest", "middle", "highest")
    }
    assert by_size == pytest.approx({"lowest": 0.1, "middle": 0.2, "highest": 0.2})  # a constant map has the worst


def test_a_study_without_a_mask_is_of_no_stratum_and_no_trend():
    rows = planted(range(1, 13), [0.02 * n + 0.1 * (n % 2) for n in range(12)])
    more = [*rows, study(90, entry("gradcam", "a", 0.9))]
    assert estimates_of(more) == estimates_of(rows)
    assert trend_of(more) == trend_of(rows)
    assert trend_of(rows).rho is not None


def test_the_sizes_of_pictures_are_areas():
    rows = [study(n, entry("gradcam", "a", 0.1), mask_shapes=(shape(float(n), axes=2),)) for n in (1, 2, 3)]
    assert strata_of(rows)[None, "size"].unit == "mm2"


def test_no_score_moves_a_cut():
    sizes = [1, 5, 2, 8, 3, 9, 4]
    first, second = (strata_of(planted(sizes, scores)) for scores in ([0.1] * 7, ["no_map"] * 7))
    assert first == second


def test_a_study_on_the_cut_is_of_the_lower_part_and_equal_masks_are_of_one():
    part = strata_of(planted([4, 4, 4, 4], [0.1] * 4))[None, "size"]
    assert part.studies == {"lowest": 4, "middle": 0, "highest": 0}
    rounded = strata_of(planted([1091.9999846, 1092.0, 1092.0000126], [0.1] * 3))[None, "size"]
    assert rounded.studies == {"lowest": 3, "middle": 0, "highest": 0}  # as affines in float32 leave them


def test_one_lesion_or_several():
    rows = [
        study(1, entry("gradcam", "a", 0.1), mask_shapes=(shape(),)),
        study(2, entry("gradcam", "a", 0.4), mask_shapes=(shape(lesions=1), shape(reader="b", lesions=2))),
    ]
    assert strata_of(rows)[None, "lesions"].studies == {"single": 1, "several": 1}
    assert estimates_of(rows)["number of lesions (masks)=several", "gradcam"].value == 0.4
    assert estimates_of(rows[:1]) == {}  # what parts nothing is not the whole once more


def test_baselines_have_no_strata_and_the_readers_are_averaged():
    rows = planted([1.0, 2.0, 3.0], [0.1, 0.2, 0.3])
    assert {name for _, name in estimates_of(rows)} == {"gradcam"}
    shapes = (shape(2.0), shape(6.0, "b"), shape(0.0, "c", lesions=0), shape(99.0, label="other"))
    cohort = lesion_cohort([study(1, mask_shapes=shapes)], ["nodule"])
    assert cohort.features["nodule"].of("size", np.array([0])) == [4]
    shapes += (shape(7.0, "consensus:staple"),)
    cohort = lesion_cohort([study(1, mask_shapes=shapes)], ["nodule"])
    assert cohort.features["nodule"].of("size", np.array([0])) == [7]
    assert np.isnan(cohort.features["nodule"].of("size", np.array([1])))


@pytest.mark.parametrize("odd", [shape(None), shape(2.0, axes=2)])
def test_a_label_without_a_common_size_has_its_share_only(odd):
    rows = [*planted([1.0, 2.0], [0.1, 0.2]), study(9, entry("gradcam", "a", 0.3), mask_shapes=(odd,))]
    assert {feature for _, feature in strata_of(rows)} == {"image_share", "lesions", "elongation", "irregularity"}


def test_studies_without_the_finding_or_a_mask_have_no_lesions():
    rows = [
        study(1, entry("gradcam", "a", 0.1), mask_shapes=(shape(),), reference=()),
        study(2, entry("gradcam", "a", 0.1)),
        not_analysed(3),
    ]
    assert lesion_cohort(rows, ["nodule"]).strata == ()


def test_labels_are_parted_by_their_own_masks():
    rows = [
        study(
            n,
            entry("gradcam", "a", 0.1 * n),
            entry("gradcam", "a", 0.05 * n, target="mass"),
            reference=("nodule", "mass"),
            mask_shapes=(shape(float(n)), shape(100.0 - n, label="mass")),
        )
        for n in (1, 2, 3)
    ]
    labels = ("nodule", "mass")
    assert {label for label, _ in strata_of(rows, labels)} == set(labels)
    lowest = estimates_of(rows, labels)["lesion size (masks)=lowest third", "gradcam"]
    assert lowest.value == pytest.approx((0.1 + 0.15) / 2)  # the smallest nodule, and the smallest mass


def trend_of(rows, feature="size"):
    labels = ("nodule",)
    trends = lesion_trends(units_of(rows, ("iou",), labels), IOU, lesion_cohort(rows, labels), BOOTSTRAP)
    assert {trend.method for trend in trends} == {"gradcam"}
    return next(trend for trend in trends if trend.feature == feature)


def test_a_trend_is_spearmans_over_patients_means():
    generator = np.random.default_rng(1)
    sizes = np.round(generator.random(40) * 10) + 1  # with ties
    scores = [float(value) for value in np.clip(sizes / 20 + generator.random(40) / 3, 0, 1)]
    rows = [
        study(n, entry("gradcam", "a", score), mask_shapes=(shape(size),), patient=f"P{n // 2}")
        for n, (size, score) in enumerate(zip(sizes, scores, strict=True))
    ]
    trend = trend_of(rows)
    expected = spearmanr(sizes.reshape(20, 2).mean(1), np.reshape(scores, (20, 2)).mean(1)).statistic
    assert trend.rho == pytest.approx(expected)
    assert trend.patients == 20
    assert -1 < trend.low < trend.rho < trend.high < 1
    error = np.sqrt((1 + expected**2 / 2) / 17)
    assert np.arctanh(trend.high) - np.arctanh(expected) == pytest.approx(1.959964 * error)


def test_a_trend_that_cannot_be_told_has_its_reason():
    assert trend_of(planted(range(1, 6), [0.1] * 5)).reason == "fewer than 10 patients"
    same = trend_of(planted(range(1, 13), [0.1] * 12))
    assert (same.rho, same.reason) == (None, "the feature or the score is the same in every patient")
    whole = trend_of(planted(range(1, 13), [n / 20 for n in range(12)]))
    assert (whole.rho, whole.low, whole.high) == (1.0, None, None)


def test_a_map_that_shows_nothing_counts_as_the_worst_in_a_trend():
    scores = ["constant_map", *(0.05 + n / 20 for n in range(11))]
    assert trend_of(planted(range(1, 13), scores)).rho == 1.0
