import pytest

from pipeline.evidence.cohort.classifier import classification
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.reader_pairs import ReaderPairs
from pipeline.evidence.cohort.summary import agreements, estimates, flow_of, mean_estimate, paired_difference
from pipeline.evidence.cohort.units import units_of
from pipeline.findings.scores import MapScores, PairAgreement, Score
from pipeline.findings.study_audit import RefusedMask, StudyAudit
from tests.pipeline.evidence.records import BOOTSTRAP, SCALES, entry, not_analysed, studies, study

IOU = SCALES["iou"]
FAR = MetricScale("far", (0.0, None), "lower")


def test_readers_are_averaged_within_a_study():
    (unit, *_) = units_of(studies())
    assert unit.scores["gradcam", "iou"] == pytest.approx(0.5)


def test_one_readers_undefined_score_leaves_the_other():
    (unit,) = units_of([study(0, entry("gradcam", "a", "empty_mask"), entry("gradcam", "b", 0.3))])
    assert unit.scores["gradcam", "iou"] == pytest.approx(0.3)


def test_a_consensus_stands_for_the_readers_it_is_made_of():
    readers = [entry("gradcam", "a", 0.2), entry("gradcam", "b", 0.4), entry("centre_prior", "a", 0.1)]
    agreed = [entry("gradcam", "consensus:majority", 0.9), entry("centre_prior", "consensus:majority", 0.3)]
    both, alone = units_of([study(0, *readers, *agreed), study(1, *readers)])
    assert (both.scores["gradcam", "iou"], both.scores["centre_prior", "iou"]) == (0.9, 0.3)
    assert alone.scores["gradcam", "iou"] == pytest.approx(0.3)
    (empty,) = units_of([study(0, *readers, entry("gradcam", "consensus:staple", "empty_mask"))])
    assert empty.scores["gradcam", "iou"] == "empty_mask"


def test_chance_is_the_mean_of_the_scores_own_levels():
    """Each metric has its own; a study whose score is undefined has none."""
    rows = [
        study(
            0,
            entry("gradcam", "a", 3.0, metric="far", chance=8.0),
            entry("gradcam", "b", 5.0, metric="far", chance=4.0),
        ),
        study(1, entry("gradcam", "a", 1.0, metric="far", chance=10.0)),
        study(2, entry("gradcam", "a", "empty_mask", metric="far")),
    ]
    units = units_of(rows, ["far", "iou"])
    assert units[0].chances == {("gradcam", "far"): 6.0}
    assert mean_estimate(units, FAR, "gradcam", "all", BOOTSTRAP).chance == pytest.approx(8.0)
    assert mean_estimate(units, IOU, "gradcam", "all", BOOTSTRAP).chance is None
    assert paired_difference(units, FAR, ("gradcam", "gradcam"), "all", BOOTSTRAP).chance is None


def test_strata_are_what_they_are_called():
    others = [study(90 + n, entry("gradcam", "a", 0.5), reference=(), predicted=("nodule",)[:n]) for n in range(2)]
    units = units_of([*studies(), *others])  # predicted where the reference has nothing, and neither
    n = {
        among: mean_estimate(units, IOU, "gradcam", among, BOOTSTRAP).studies
        for among in ("reference_positive", "true_positive", "false_negative")
    }
    assert n == {"reference_positive": 20, "true_positive": 15, "false_negative": 5}


def test_what_was_excluded_has_no_score_whatever_was_scored_of_it():
    excluded = study(90, entry("gradcam", "a", 1.0)).model_copy(update={"status": "excluded"})
    assert [unit.study for unit in units_of([excluded, *studies(1)])] == ["S-0"]


def test_patients_are_counted_once_whatever_the_number_of_their_studies():
    rows = [row.model_copy(update={"patient": f"P-{number // 2}"}) for number, row in enumerate(studies(20))]
    estimate = mean_estimate(units_of(rows), IOU, "gradcam", "all", BOOTSTRAP)
    assert (estimate.patients, estimate.studies) == (10, 20)


def test_the_mean_is_over_patients_and_that_over_studies_stands_beside_it():
    rows = [study(n, entry("gradcam", "a", 0.9), patient="often") for n in range(9)]
    rows += [study(9, entry("gradcam", "a", 0.1), patient="once")]
    estimate = mean_estimate(units_of(rows), IOU, "gradcam", "all", BOOTSTRAP)
    assert estimate.value == estimate.per_patient == pytest.approx(0.5)
    assert estimate.per_study == pytest.approx(0.82)


def test_a_map_that_shows_nothing_has_the_worst_score():
    """It must not leave the denominator: what a model does not show it has not shown."""
    nothing = [study(20 + n, entry("gradcam", "a", "constant_map")) for n in range(10)]
    estimate = mean_estimate(units_of([*studies(10), *nothing]), IOU, "gradcam", "all", BOOTSTRAP)
    shown = sum(0.5 + 0.01 * n for n in range(10)) / 10
    assert estimate.value == pytest.approx(shown / 2)
    assert estimate.complete_case == pytest.approx(shown)
    assert (estimate.studies, estimate.undefined, estimate.missing_studies) == (20, {"constant_map": 10}, 0)


def test_what_has_no_score_widens_the_interval_on_both_sides():
    whole = mean_estimate(units_of(studies(), labels=["nodule"]), IOU, "gradcam", "reference_positive", BOOTSTRAP)
    rows = [*studies(), not_analysed(0), not_analysed(1), study(90, entry("gradcam", "a", "missing_file"), masks=1)]
    estimate = mean_estimate(units_of(rows, labels=["nodule"]), IOU, "gradcam", "reference_positive", BOOTSTRAP)
    assert (estimate.value, estimate.patients) == (whole.value, 20)
    assert (estimate.missing_patients, estimate.missing_studies) == (3, 3)
    assert estimate.undefined == {"missing_file": 1, "not_analysed": 2}
    assert estimate.low < whole.low - 0.05
    assert estimate.high > whole.high + 0.05


@pytest.mark.parametrize(
    ("lost", "missing"),
    [
        (not_analysed(0), 1),
        (not_analysed(0, reference=(), reason="unknown_label"), 1),  # a slip of the pen must not shrink the cohort
        (not_analysed(0, reference=()), 0),  # nothing to find in it
        (not_analysed(0, reference=None), 0),
        (not_analysed(0, masks=0), 0),  # nothing to hold a map against
        (study(90, reference=("nodule",), masks=1), 1),  # not explained: its target was not asked for
        (study(90, reference=("nodule",)), 0),
        (study(90, entry("gradcam", "a", "no_mask")), 0),
        (study(90, entry("gradcam", "a", "empty_mask")), 1),  # the reference says that there is something
    ],
)
def test_only_what_the_claim_is_about_can_be_missing(lost, missing):
    units = units_of([*studies(3), lost], labels=["nodule"])
    estimate = mean_estimate(units, IOU, "gradcam", "reference_positive", BOOTSTRAP)
    assert (estimate.studies, estimate.missing_studies) == (3, missing)


def test_an_empty_mask_of_a_study_without_a_finding_is_nothing_to_find():
    rows = [*studies(3), study(90, entry("gradcam", "a", "empty_mask"), reference=())]
    estimate = mean_estimate(units_of(rows), IOU, "gradcam", "all", BOOTSTRAP)
    assert (estimate.studies, estimate.missing_studies, estimate.undefined) == (3, 0, {"empty_mask": 1})


def test_a_label_that_no_reference_names_has_no_estimate_of_its_own():
    false_alarm = study(90, entry("gradcam", "a", 0.4, target="mass"), reference=())
    parts = estimates(units_of([*studies(3), false_alarm]), [IOU], BOOTSTRAP)
    assert not [part for part in parts if str(part.group).startswith("label=")]


def test_a_model_that_was_not_asked_may_have_found_or_missed():
    units = units_of([*studies(20), not_analysed(0)], labels=["nodule"])
    for among in ("true_positive", "false_negative"):
        assert mean_estimate(units, IOU, "gradcam", among, BOOTSTRAP).missing_studies == 1


def test_undefined_scores_are_counted_by_reason_not_averaged():
    rows = [*studies(12), study(90, entry("gradcam", "a", "empty_mask"))]
    rows += [study(91, MapScores(target="nodule", method="gradcam", layer="l", reader=None))]
    estimate = mean_estimate(units_of(rows), IOU, "gradcam", "reference_positive", BOOTSTRAP)
    assert estimate.studies == 12
    assert estimate.undefined == {"empty_mask": 1, "no_mask": 1}
    assert estimate.value == pytest.approx(sum(0.5 + 0.01 * n for n in range(12)) / 12)


def test_small_groups_are_kept_and_have_their_exact_interval():
    by_group = [part for part in estimates(units_of(studies(12)), [IOU], BOOTSTRAP) if part.group]
    sites = {(part.group, part.method): part for part in by_group}
    assert sites["site=A", "gradcam"].studies == 6
    assert 0 < sites["site=A", "gradcam"].low < sites["site=A", "gradcam"].high < 1
    assert sites["site=A", "gradcam"].described is None  # fewer than ten patients


def test_labels_have_estimates_of_their_own_where_there_are_several():
    other = [study(50 + n, entry("gradcam", "a", 0.1, target="mass"), reference=("mass",)) for n in range(4)]
    parts = {
        part.group: part
        for part in estimates(units_of([*studies(4), *other]), [IOU], BOOTSTRAP)
        if part.group and part.method == "gradcam" and part.group.startswith("label=")
    }
    assert {group: part.value for group, part in parts.items()} == {
        "label=mass": pytest.approx(0.1),
        "label=nodule": pytest.approx(0.515),
    }
    assert not [part for part in estimates(units_of(studies(4)), [IOU], BOOTSTRAP) if "label=" in str(part.group)]


def test_the_exact_interval_is_clopper_pearson_on_rates():
    rows = [study(n, entry("gradcam", "a", float(n > 0), metric="hit_rate")) for n in range(10)]
    estimate = mean_estimate(units_of(rows), SCALES["hit_rate"], "gradcam", "all", BOOTSTRAP)
    assert (estimate.low, estimate.high) == (pytest.approx(0.55498, abs=1e-4), pytest.approx(0.99747, abs=1e-4))


def test_a_metric_with_an_open_end_has_an_interval_that_only_describes():
    rows = [study(n, entry("gradcam", "a", 3.0 + n, metric="far")) for n in range(12)]
    estimate = mean_estimate(units_of(rows, ["far"]), FAR, "gradcam", "all", BOOTSTRAP)
    assert (estimate.value, estimate.low, estimate.high) == (pytest.approx(8.5), None, None)
    assert estimate.described.low < 8.5 < estimate.described.high


def test_paired_difference_is_paired():
    rows = [
        study(n, entry("gradcam", "a", 0.2 + 0.03 * n), entry("centre_prior", "a", 0.1 + 0.03 * n)) for n in range(20)
    ]
    estimate = paired_difference(units_of(rows), IOU, ("gradcam", "centre_prior"), "reference_positive", BOOTSTRAP)
    assert estimate.value == pytest.approx(0.1)
    assert estimate.described.low == pytest.approx(0.1)  # studies differ by far more; the pairs do not


def test_classification_by_hand():
    rows = [
        *(study(n) for n in range(8)),
        *(study(10 + n, predicted=(), probability=0.3) for n in range(2)),
        *(study(20 + n, reference=(), predicted=(), probability=0.1) for n in range(9)),
        study(30, reference=(), predicted=("nodule",), probability=0.7),
        study(31, reference=None),
    ]
    own = {part.metric: part for part in classification(rows, ["nodule"], BOOTSTRAP)}
    assert own["accuracy"].value == pytest.approx(17 / 20)
    assert own["sensitivity"].value == pytest.approx(8 / 10)
    assert own["specificity"].value == pytest.approx(9 / 10)
    assert own["auroc"].value == pytest.approx((10 * 10 - 2) / 100)
    assert own["accuracy"].studies == 20  # a study without a reference says nothing of the classifier


def test_an_auroc_weighs_patients_alike_and_that_of_studies_stands_beside_it():
    rows = [
        *(study(n, probability=0.9, patient="often") for n in range(3)),
        study(10, probability=0.2),
        *(study(20 + n, reference=(), probability=0.5) for n in range(2)),
    ]
    own = {part.metric: part for part in classification(rows, ["nodule"], BOOTSTRAP)}["auroc"]
    assert (own.value, own.per_patient, own.per_study) == pytest.approx((0.5, 0.5, 0.75))


def test_a_study_that_failed_counts_against_the_classifier_whatever_its_masks():
    rows = [
        *(study(n) for n in range(20)),
        *(study(50 + n, reference=(), predicted=(), probability=0.1) for n in range(20)),
    ]
    lost = [not_analysed(0, masks=0), not_analysed(1, reference=(), masks=0)]
    before, after = (
        {part.metric: part for part in classification(some, ["nodule"], BOOTSTRAP)} for some in (rows, rows + lost)
    )
    for metric, missing in (("accuracy", 2), ("sensitivity", 1), ("specificity", 1), ("auroc", 2)):
        assert after[metric].value == before[metric].value == 1.0
        assert after[metric].low < before[metric].low
        assert after[metric].missing_studies == missing
        assert after[metric].patients == before[metric].patients


def test_a_reference_that_nobody_can_read_counts_against_every_figure():
    rows = [*(study(n) for n in range(20)), not_analysed(0, reference=(), reason="unknown_label")]
    own = {part.metric: part for part in classification(rows, ["nodule"], BOOTSTRAP)}
    assert [own[metric].missing_studies for metric in ("accuracy", "sensitivity")] == [1, 1]
    assert own["specificity"].value is None


def test_agreement_of_readers():
    agree = PairAgreement(label="nodule", readers=("a", "b"), scores=(Score(name="iou", value=0.8),))
    neither = agree.model_copy(update={"scores": (Score(name="iou", reason="empty_masks"),)})
    rows = [study(n, agreement=(agree if n else neither,)) for n in range(12)]
    pairs = ReaderPairs()
    for number, row in enumerate(rows):
        pairs.add(number, row)
    (pair,) = agreements(pairs.pairs, rows, SCALES, BOOTSTRAP)
    assert (pair.estimate.patients, pair.estimate.undefined) == (11, {"empty_masks": 1})
    assert pair.readers == ("a", "b")
    assert pair.estimate.value == pytest.approx(0.8)


def test_readers_who_agree_on_one_patient_often_agree_on_one_patient():
    pairs = ReaderPairs()
    often, once = (PairAgreement(label="nodule", readers=("a", "b"), scores=(Score(name="iou", value=value),))
                   for value in (0.8, 0.2))  # fmt: skip
    rows = [study(n, agreement=(often,), patient="often") for n in range(4)] + [study(9, agreement=(once,))]
    for number, row in enumerate(rows):
        pairs.add(number, row)
    (pair,) = agreements(pairs.pairs, rows, SCALES, BOOTSTRAP)
    assert (pair.estimate.patients, pair.estimate.studies) == (2, 5)
    assert pair.estimate.value == pytest.approx(0.5)


def test_flow_adds_up():
    failed = StudyAudit(study="S-x", patient="P-x", source_sha256="", status="failed", stage="read", reason="truncated")
    flow = flow_of([*studies(3), failed, study(7, patient="P-0")], computed=2)
    assert (flow.found, flow.analysed, flow.failed, flow.reused) == (5, 4, {"truncated": 1}, 3)
    assert flow.patients == 4  # one of them came twice


def test_masks_that_could_not_be_used_are_counted_one_by_one():
    organs = RefusedMask(reader="a", label=None, reason="unknown_label", message="", masks=103)
    gone = RefusedMask(reader="b", label="nodule", reason="missing_file", message="")
    rows = [study(0, masks=1, mask_faults=(organs, gone)), study(1, mask_faults=(gone,)), study(2), study(3, masks=2)]
    flow = flow_of(rows, computed=4)
    assert (flow.mask_faults, flow.without_mask) == ({"missing_file": 2, "unknown_label": 103}, 1)


def test_a_fault_of_one_reader_leaves_the_mean_to_the_others():
    (unit,) = units_of([study(0, entry("gradcam", "a", 0.25), entry("gradcam", "b", "missing_file"))])
    assert unit.scores["gradcam", "iou"] == 0.25
