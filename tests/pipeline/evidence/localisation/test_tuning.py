"""Who tunes, and at which threshold: before a score, never both, never of too few."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.conclusions.tuned import rules_of, who_tunes
from pipeline.conclusions.tuned import tuned_of as thresholds_of
from pipeline.config import OverlapConfig
from pipeline.errors import ConfigError
from pipeline.evidence.cohort.measures import of_map
from pipeline.evidence.cohort.population import population_of
from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.localisation.tuning import region_rules, tuned_thresholds, tuning_patients
from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import Undefined
from pipeline.evidence.metrics.registry import METRICS
from pipeline.findings.localisation.curves import CURVE_SHARES, RegionCounts
from tests.pipeline.evidence.metrics.test_map_evidence import overlap_of
from tests.pipeline.evidence.records import SCALES, entry, not_analysed, study

PLACE = ("gradcam", "l")


def overlap(**changes):
    return OverlapConfig(threshold={"tuned": "dice", "column": "split", "fewest": 2} | changes)


def by_column(*rows):
    return [(patient, {"split": value}) for patient, value in rows]


def test_the_column_says_who_tunes():
    studies = by_column(("P", "tuning"), ("P", "tuning"), ("Q", "test"), ("R", ""))
    assert tuning_patients(overlap(), 0, studies) == {"P"}
    assert tuning_patients(overlap(value="test"), 0, studies) == {"Q"}
    assert tuning_patients(OverlapConfig(threshold=0.5), 0, studies) == frozenset()


@pytest.mark.parametrize(
    ("studies", "says"),
    [
        (
            by_column(("P", "tuning"), ("P", "test"), ("Q", "test")),
            "patient P has studies with split = tuning and others",
        ),
        (by_column(("P", "test")), "of 1 patients none tunes"),
        (by_column(("P", "tuning")), "of 1 patients none is left to be judged"),
        ([("P", {"site": "A"})], "no study of the archive has a column 'split'"),
    ],
)
def test_a_split_that_parts_a_patient_or_nobody_is_refused(studies, says):
    with pytest.raises(ConfigError, match=rf"^overlap\.threshold.*{says}"):
        tuning_patients(overlap(), 0, studies)


def test_a_draw_follows_from_seed_and_patient_alone():
    drawn = OverlapConfig(threshold={"tuned": "iou", "share": 0.3})
    studies = [(f"P-{n}", {}) for n in range(2000)]
    chosen = tuning_patients(drawn, 7, studies)
    assert len(chosen) == pytest.approx(600, abs=80)
    assert tuning_patients(drawn, 7, [*studies[::-1], ("late", {})]) - {"late"} == chosen
    assert tuning_patients(drawn, 8, studies) != chosen


def peaked(number, at, patient=None, mask=10, **changes):
    """A study whose Dice is highest at one threshold: the region there is the mask."""
    region = tuple(mask + 5 * abs(step - at) for step in range(len(CURVE_SHARES)))
    counts = RegionCounts(region=region, common=(mask,) * len(region), mask=mask, visible=mask, seen=1000)
    row = entry("gradcam", "a", 0.5).model_copy(update={"counts": counts})
    return study(number, row, patient=patient, **changes)


def tuned_of(rows, **changes):
    (threshold,) = tuned_thresholds(overlap(**changes), rows, ["nodule"], [PLACE])
    return threshold


def test_the_threshold_is_where_the_mean_over_patients_is_highest():
    rows = [peaked(1, 4, "P"), peaked(2, 4, "P"), peaked(3, 9, "P"), peaked(4, 8, "Q"), peaked(5, 8, "R")]
    threshold = tuned_of(rows)
    at_4, at_8, at_9 = (2 * 10 / (20 + 5 * np.abs(np.arange(19) - at)) for at in (4, 8, 9))
    expected = ((2 * at_4 + at_9) / 3 + 2 * at_8) / 3  # P counts once
    assert threshold.share == CURVE_SHARES[int(np.argmax(expected))]
    assert threshold.values == pytest.approx(expected)
    assert (threshold.patients, threshold.studies, threshold.at_edge) == (3, 5, False)
    assert threshold.value == max(threshold.values)


def test_of_equal_thresholds_the_lowest_is_taken_and_an_edge_is_told():
    assert tuned_of([peaked(1, 3), peaked(2, 5)]).share == CURVE_SHARES[3]
    for at in (0, 18):
        threshold = tuned_of([peaked(1, at), peaked(2, at)])
        assert (threshold.share, threshold.at_edge) == (CURVE_SHARES[at], True)


def test_too_few_patients_with_a_mask_have_no_threshold():
    rows = [
        peaked(1, 4, "P"),
        peaked(2, 4, "P"),
        peaked(3, 4, "Q", reference=()),
        peaked(4, 4, "R", mask=0),
        not_analysed(5),
    ]
    threshold = tuned_of(rows)
    assert (threshold.share, threshold.reason, threshold.patients) == (None, "too_few_tuning_patients", 1)
    assert tuned_of(rows, fewest=1).share == CURVE_SHARES[4]


def test_a_region_is_drawn_by_the_labels_own_threshold_and_in_no_tuning_patient():
    threshold = tuned_of([peaked(1, 4), peaked(2, 4)])
    rules = region_rules(overlap(), {"P"}, [threshold])
    assert rules.rule_for("Q", "nodule", PLACE) == CURVE_SHARES[4]
    assert rules.rule_for("P", "nodule", PLACE) == "undefined:tuning_patient"
    for label, place in (("mass", PLACE), ("nodule", ("gradcam", "other"))):
        assert rules.rule_for("Q", label, place) == "undefined:too_few_tuning_patients"
    assert region_rules(OverlapConfig(threshold="otsu"), {"P"}, []).rule_for("P", "nodule", PLACE) == "otsu"


@pytest.mark.parametrize("values", [[[4, 1], [3, 0]], [[1, 1], [1, 1]]])
def test_a_rule_that_draws_nothing_says_why_whatever_the_map(values):
    undrawn = overlap_of(values, [[1, 1], [0, 0]], rule="undefined:tuning_patient")
    for look in (lambda: undrawn.evidence.region, lambda: undrawn.evidence.threshold, lambda: METRICS["dice"](undrawn)):
        with pytest.raises(Undefined, match=r"^tuning_patient$"):
            look()
    assert undrawn.evidence.ordered.size == 4  # all else is there


def test_metrics_of_the_region_are_known_and_a_strange_one_is_taken_for_one():
    of_region = {name for name, known in METRICS.items() if known.facts.thresholded}
    assert of_region == {
        "iou", "dice", "voxel_precision", "voxel_recall", "voxel_specificity", "hd95", "assd", "surface_dice",
        "lesion_sensitivity", "froc", "false_marks",
    }  # fmt: skip

    def broken(overlap):
        raise KeyError(overlap)

    declare = metric(
        "odd", title="Odd", definition="odd", unit="1", better="higher", range=(0.0, 1.0), chance="none", invariant=(),
        version=1,
    )  # fmt: skip
    assert declare(broken).facts.thresholded
    assert not declare(lambda overlap: overlap.visible_voxels / overlap.mask_voxels).facts.thresholded


def test_a_tuning_patient_is_not_even_missing():
    """Whatever became of his studies: measured, without a mask, failed, or not explained."""
    rows = [
        study(1, entry("gradcam", "a", 0.9), patient="T"),
        study(2, entry("gradcam", "a", "empty_mask"), patient="T"),
        study(3, patient="T", masks=1),
        not_analysed(4, patient="T"),
        study(5, entry("gradcam", "a", 0.2), patient="J"),
    ]
    measure = of_map("gradcam", SCALES["iou"])
    units = units_of(rows, ("iou",), ["nodule"], tuning=(["T"], ["iou"]))
    population = population_of(units, measure)
    assert population.patient_means().tolist() == [0.2]
    assert (population.missing_patients, population.missing_studies) == (0, 0)
    assert population.undefined == {"tuning_patient": 4}
    counted = population_of(units_of(rows, ("iou",), ["nodule"], tuning=(["T"], ["dice"])), measure)
    assert counted.patient_means().tolist() == [0.9, 0.2]  # T, J


@pytest.mark.parametrize(
    ("threshold", "says"),
    [
        ({"tuned": "dice"}, "give exactly one of column"),
        ({"tuned": "dice", "column": "split", "share": 0.5}, "give exactly one of column"),
        ({"tuned": "hit_rate", "share": 0.5}, "tuned: Input should be 'dice' or 'iou'"),
        ({"tuned": "dice", "share": 1.0}, "share: Input should be less than 1"),
        ({"tuned": "dice", "share": 0.5, "value": "x"}, "value goes with column"),
        ({"tuned": "dice", "share": 0.5, "fewest": 0}, "fewest: Input should be greater than or equal to 1"),
    ],
)
def test_a_split_that_says_too_little_or_too_much_is_refused(threshold, says):
    with pytest.raises(ValueError, match=says):
        OverlapConfig(threshold=threshold)


@pytest.mark.parametrize(
    "threshold",
    [
        {"tuned": "dice", "share": 0.5},
        {"tuned": "iou", "column": "split"},
        {"tuned": "iou", "column": "split", "value": "val", "fewest": 3},
    ],
)
def test_a_configuration_is_read_back_from_what_a_run_keeps_of_it(threshold):
    config = OverlapConfig(threshold=threshold)
    assert OverlapConfig.model_validate(config.model_dump(mode="json")) == config
    assert OverlapConfig.model_validate_json(config.model_dump_json()) == config


# Who tunes a run.


def listed(*tuning):
    """Return the studies 0 to 5 of three patients, of whom some tune."""
    return [
        SimpleNamespace(study=f"S-{number}", patient=f"P-{number // 2}", tuning=f"P-{number // 2}" in tuning)
        for number in range(6)
    ]


SPEC = SimpleNamespace(
    config=SimpleNamespace(
        model=SimpleNamespace(labels=("clear", "nodule"), negative_label="clear"),
        overlap=OverlapConfig(threshold={"tuned": "dice", "column": "split", "fewest": 1}),
    ),
    recipes=SimpleNamespace(maps={PLACE: "recipe"}),
)


def test_patients_tune_whose_studies_are_listed_so():
    assert who_tunes(listed("P-0", "P-2")) == {"P-0", "P-2"}


def test_only_the_tuning_patients_records_choose_and_only_for_findings():
    """P-1's maps are best at the 4th threshold, the others' at the 9th."""
    audits = [peaked(number, 4 if number // 2 == 1 else 9, patient=f"P-{number // 2}") for number in range(6)]
    (threshold,) = thresholds_of(SPEC, listed("P-1"), audits)
    assert (threshold.label, threshold.share) == ("nodule", CURVE_SHARES[4])
    (other,) = thresholds_of(SPEC, listed("P-0", "P-2"), audits)
    assert other.share == CURVE_SHARES[9]
    assert rules_of(SPEC, listed("P-1"), [threshold]).tuning == {"P-1"}
