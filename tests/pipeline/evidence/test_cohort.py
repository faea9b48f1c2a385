import pytest

from pipeline.config import Criterion
from pipeline.errors import ConfigError
from pipeline.evidence.cohort import (
    Bootstrap,
    agreements,
    classification,
    estimates,
    flow_of,
    mean_estimate,
    paired_difference,
    units_of,
)
from pipeline.evidence.criteria import check_criteria, judge, judge_all
from pipeline.findings.estimates import Estimate
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.study_audit import RefusedMask, StudyAudit

BOOTSTRAP = Bootstrap(500, 0)


def entry(method, reader, iou, target="nodule", metric="iou", chance=None):
    answer = {"value": iou, "chance": chance} if isinstance(iou, float) else {"reason": iou}
    score = Score(name=metric, **answer)
    return MapScores(target=target, method=method, layer="l", reader=reader, mask_share=0.1, scores=(score,))


def study(number, *map_scores, reference=("nodule",), predicted=("nodule",), probability=0.9, **rest):
    return StudyAudit(
        study=f"S-{number}",
        patient=f"P-{number}",
        source_sha256="0",
        status="analysed",
        reference=reference,
        predicted=predicted,
        probabilities={"clear": 1 - probability, "nodule": probability},
        map_scores=map_scores,
        **rest,
    )


def cohort(count=20):
    return [
        study(
            n,
            entry("gradcam", "a", 0.4 + 0.01 * n),
            entry("gradcam", "b", 0.6 + 0.01 * n),
            entry("centre_prior", "a", 0.1),
            predicted=("nodule",) if n % 4 else (),
            probability=0.9 if n % 4 else 0.2,
            strata={"site": "A" if n % 2 else "B"},
        )
        for n in range(count)
    ]


def test_readers_are_averaged_within_a_study():
    (unit, *_) = units_of(cohort())
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
    assert mean_estimate(units, "far", "gradcam", "all", BOOTSTRAP).chance == pytest.approx(8.0)
    assert mean_estimate(units, "iou", "gradcam", "all", BOOTSTRAP).chance is None
    assert paired_difference(units, "far", ("gradcam", "gradcam"), "all", BOOTSTRAP).chance is None


def test_strata_are_what_they_are_called():
    others = [study(90 + n, entry("gradcam", "a", 0.5), reference=(), predicted=("nodule",)[:n]) for n in range(2)]
    units = units_of([*cohort(), *others])  # predicted where the reference has nothing, and neither
    n = {
        among: mean_estimate(units, "iou", "gradcam", among, BOOTSTRAP).studies
        for among in ("reference_positive", "true_positive", "false_negative")
    }
    assert n == {"reference_positive": 20, "true_positive": 15, "false_negative": 5}


def test_what_was_excluded_is_no_unit_whatever_was_scored_of_it():
    excluded = study(90, entry("gradcam", "a", 1.0)).model_copy(update={"status": "excluded"})
    assert [unit.study for unit in units_of([excluded, *cohort(1)])] == ["S-0"]


def test_patients_are_counted_once_whatever_the_number_of_their_studies():
    rows = [row.model_copy(update={"patient": f"P-{number // 2}"}) for number, row in enumerate(cohort(20))]
    estimate = mean_estimate(units_of(rows), "iou", "gradcam", "all", BOOTSTRAP)
    assert (estimate.patients, estimate.studies) == (10, 20)


def test_undefined_scores_are_counted_by_reason_not_averaged():
    rows = [*cohort(12), study(90, entry("gradcam", "a", "empty_mask")), study(91, entry("gradcam", None, 0.0))]
    rows[-1] = study(91, MapScores(target="nodule", method="gradcam", layer="l", reader=None))
    estimate = mean_estimate(units_of(rows), "iou", "gradcam", "reference_positive", BOOTSTRAP)
    assert estimate.studies == 12
    assert estimate.undefined == {"empty_mask": 1, "no_mask": 1}
    assert estimate.value == pytest.approx(sum(0.5 + 0.01 * n for n in range(12)) / 12)


def test_subgroups_and_small_groups_are_kept():
    found = [one for one in estimates(units_of(cohort(12)), BOOTSTRAP) if one.group and one.metric == "iou"]
    sites = {(one.group, one.method): one for one in found}
    assert sites["site=A", "gradcam"].studies == 6
    assert sites["site=A", "gradcam"].low is None  # fewer than ten patients: shown without an interval


def test_paired_difference_is_paired():
    rows = [
        study(n, entry("gradcam", "a", 0.2 + 0.03 * n), entry("centre_prior", "a", 0.1 + 0.03 * n)) for n in range(20)
    ]
    estimate = paired_difference(units_of(rows), "iou", ("gradcam", "centre_prior"), "reference_positive", BOOTSTRAP)
    assert estimate.value == pytest.approx(0.1)
    assert estimate.low == pytest.approx(0.1)  # studies differ by far more; the pairs do not


def test_classification_by_hand():
    rows = [
        *(study(n) for n in range(8)),
        *(study(10 + n, predicted=(), probability=0.3) for n in range(2)),
        *(study(20 + n, reference=(), predicted=(), probability=0.1) for n in range(9)),
        study(30, reference=(), predicted=("nodule",), probability=0.7),
        study(31, reference=None),
    ]
    found = {one.metric: one for one in classification(rows, ["nodule"], BOOTSTRAP)}
    assert found["accuracy"].value == pytest.approx(17 / 20)
    assert found["sensitivity"].value == pytest.approx(8 / 10)
    assert found["specificity"].value == pytest.approx(9 / 10)
    assert found["auroc"].value == pytest.approx((10 * 10 - 2) / 100)
    assert found["accuracy"].studies == 20  # a study without a reference says nothing of the classifier


def test_agreement_of_readers():
    scores = {f"S-{n}": (f"P-{n}", {("nodule", "a", "b"): (Score(name="iou", value=0.8),)}) for n in range(11)}
    (found,) = agreements(scores, BOOTSTRAP)
    assert found.readers == ("a", "b")
    assert found.estimate.value == pytest.approx(0.8)


def test_flow_adds_up():
    failed = StudyAudit(study="S-x", patient="P-x", source_sha256="", status="failed", stage="read", reason="truncated")
    flow = flow_of([*cohort(3), failed], computed=2)
    assert (flow.found, flow.analysed, flow.failed, flow.reused) == (4, 3, {"truncated": 1}, 2)


def test_masks_that_could_not_be_used_are_counted_one_by_one():
    organs = RefusedMask(reader="a", label=None, reason="unknown_label", message="", masks=103)
    gone = RefusedMask(reader="b", label="nodule", reason="missing_file", message="")
    rows = [study(0, masks=1, mask_faults=(organs, gone)), study(1, mask_faults=(gone,)), study(2), study(3, masks=2)]
    flow = flow_of(rows, computed=4)
    assert (flow.mask_faults, flow.without_mask) == ({"missing_file": 2, "unknown_label": 103}, 1)


def test_a_fault_of_one_reader_leaves_the_mean_to_the_others():
    (unit,) = units_of([study(0, entry("gradcam", "a", 0.25), entry("gradcam", "b", "missing_file"))])
    assert unit.scores["gradcam", "iou"] == 0.25


def estimate(value, low, high):
    return Estimate(
        metric="iou", method="gradcam", among="all", value=value, low=low, high=high,
        confidence=0.95, interval="i", patients=20, studies=20, reason=None if value is not None else "none",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "numbers", "answer"),
    [
        ({"at_least": 0.5}, (0.7, 0.5, 0.9), "MET"),
        ({"at_least": 0.5}, (0.7, 0.49, 0.9), "INCONCLUSIVE"),
        ({"at_least": 0.5}, (0.3, 0.1, 0.49), "NOT MET"),
        ({"at_least": 0.5}, (0.4, 0.3, 0.5), "INCONCLUSIVE"),
        ({"at_most": 0.5}, (0.3, 0.1, 0.5), "MET"),
        ({"at_most": 0.5}, (0.7, 0.51, 0.9), "NOT MET"),
        ({"at_most": 0.5}, (0.5, 0.4, 0.6), "INCONCLUSIVE"),
        ({"better_than": "centre_prior"}, (0.1, 0.01, 0.2), "MET"),
        ({"better_than": "centre_prior"}, (0.1, 0.0, 0.2), "INCONCLUSIVE"),
        ({"better_than": "centre_prior"}, (-0.1, -0.2, 0.0), "NOT MET"),
        ({"at_least": 0.5}, (0.9, None, None), "NOT EVALUATED"),
        ({"at_least": 0.5}, (None, None, None), "NOT EVALUATED"),
    ],
)
def test_answers_come_from_the_bound(rule, numbers, answer):
    criterion = Criterion(metric="iou", method="gradcam", **rule)
    assert judge(criterion, estimate(*numbers), "higher")[0] == answer


MIRRORED = {"at_least": "at_most", "at_most": "at_least"}


@pytest.mark.parametrize(
    ("rule", "numbers", "answer"),
    [
        ({"at_most": 10}, (7.0, 5.0, 10.0), "MET"),
        ({"at_most": 10}, (7.0, 5.0, 10.1), "INCONCLUSIVE"),
        ({"at_most": 10}, (20.0, 11.0, 30.0), "NOT MET"),
        ({"better_than": "centre_prior"}, (-5.0, -9.0, -0.1), "MET"),
        ({"better_than": "centre_prior"}, (5.0, 0.1, 9.0), "NOT MET"),  # farther than the baseline
        ({"better_than": "centre_prior"}, (5.0, 0.0, 9.0), "NOT MET"),
        ({"better_than": "centre_prior"}, (-5.0, -9.0, 0.0), "INCONCLUSIVE"),
    ],
)
def test_where_lower_is_better_the_low_side_is_the_good_one(rule, numbers, answer):
    criterion = Criterion(metric="hd95", method="gradcam", **rule)
    assert judge(criterion, estimate(*numbers), "lower")[0] == answer
    # the same numbers mirrored, of a metric where higher is better, have the same answer
    value, low, high = numbers
    turned = {MIRRORED.get(key, key): bound if isinstance(bound, str) else -bound for key, bound in rule.items()}
    assert (
        judge(Criterion(metric="iou", method="gradcam", **turned), estimate(-value, -high, -low), "higher")[0] == answer
    )


@pytest.mark.parametrize(
    ("near", "far", "answer"), [("gradcam", "centre_prior", "MET"), ("centre_prior", "gradcam", "NOT MET")]
)
def test_a_map_that_lies_farther_away_than_a_baseline_is_not_better(near, far, answer):
    """From records to the verdict, with a metric in mm where lower is better."""
    rows = [
        study(n, entry(near, "a", 2.0 + 0.1 * n, metric="hd95"), entry(far, "a", 9.0 + 0.1 * n, metric="hd95"))
        for n in range(20)
    ]
    criteria = [Criterion(metric="hd95", method="gradcam", better_than="centre_prior")]
    (verdict,) = judge_all(criteria, units_of(rows), rows, ["nodule"], BOOTSTRAP)
    assert verdict.answer == answer


def test_the_direction_of_an_installed_metric_is_the_one_that_is_stated():
    rows = [
        study(n, entry("gradcam", "a", 1.0, metric="x"), entry("centre_prior", "a", 2.0, metric="x")) for n in range(20)
    ]
    criteria = [Criterion(metric="x", method="gradcam", better_than="centre_prior")]
    answers = {
        better: judge_all(criteria, units_of(rows, ["x"]), rows, ["nodule"], BOOTSTRAP, {"x": better})[0].answer
        for better in ("higher", "lower")
    }
    assert answers == {"higher": "NOT MET", "lower": "MET"}


@pytest.mark.parametrize(("better", "answer"), [("higher", "MET"), ("lower", "NOT MET")])
def test_the_direction_that_is_stated_goes_before_the_one_that_is_known_now(better, answer):
    criteria = [Criterion(metric="iou", method="gradcam", better_than="centre_prior")]
    (verdict,) = judge_all(criteria, units_of(cohort()), cohort(), ["nodule"], BOOTSTRAP, {"iou": better})
    assert verdict.answer == answer


@pytest.mark.parametrize("rule", [{"at_least": 0.5}, {"at_most": 0.5, "reversed": True}])
def test_of_several_labels_the_worst_decides(rule):
    """One label is always found and the other never: whichever way the bound goes, one of them misses it."""
    rows = [study(n, reference=("clear", "nodule")) for n in range(20)]
    criteria = [Criterion(metric="sensitivity", **rule)]
    (verdict,) = judge_all(criteria, units_of(rows), rows, ["clear", "nodule"], BOOTSTRAP)
    assert verdict.answer == "NOT MET"


def test_a_bound_on_the_wrong_side_is_said_to_be_meant():
    rows = [study(n, entry("gradcam", "a", 9.0, metric="hd95")) for n in range(20)]
    criteria = [Criterion(metric="hd95", method="gradcam", at_least=5, reversed=True)]
    (verdict,) = judge_all(criteria, units_of(rows), rows, ["nodule"], BOOTSTRAP)
    assert (verdict.rule, verdict.better_than) == ("at least 5, although lower is better", None)


def test_verdicts_name_what_they_judge():
    criteria = [
        Criterion(metric="iou", method="gradcam", at_least=0.4),
        Criterion(metric="accuracy", at_least=0.5),
        Criterion(metric="iou", method="gradcam", better_than="centre_prior", confidence=0.9),
    ]
    rows = cohort()
    verdicts = judge_all(criteria, units_of(rows), rows, ["nodule"], BOOTSTRAP)
    assert [one.answer for one in verdicts] == ["MET", "MET", "MET"]
    assert verdicts[0].criterion == "iou of gradcam among reference_positive: at least 0.4"
    assert verdicts[1].method == "classifier"
    assert verdicts[2].estimate.confidence == 0.9


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"metric": "iou", "method": "grdcam", "at_least": 0.1}, "did you mean 'gradcam'"),
        ({"metric": "hd59", "method": "gradcam", "at_most": 5}, "did you mean 'hd95'"),
        ({"metric": "hd95", "method": "gradcam", "at_least": 5}, "lower is better, .* write at_most"),
        ({"metric": "hd95", "method": "gradcam", "at_most": -5}, "is at least 0, not -5"),
        ({"metric": "iou", "method": "gradcam", "at_most": 0.5}, "higher is better, .* write at_least"),
        ({"metric": "iou", "method": "gradcam", "at_least": 0.5, "reversed": True}, "reversed: goes with a bound"),
        ({"metric": "iou", "method": "gradcam", "better_than": "random_map", "reversed": True}, "reversed"),
    ],
)
def test_a_criterion_that_nothing_answers_is_refused(criterion, words):
    with pytest.raises(ConfigError, match=words):
        check_criteria([Criterion.model_validate(criterion)], ["gradcam"])
