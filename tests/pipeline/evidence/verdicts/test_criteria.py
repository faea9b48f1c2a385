import itertools

import pytest
from pydantic import ValidationError
from scipy.stats import beta, binomtest

from pipeline.config import Criterion
from pipeline.errors import ConfigError
from pipeline.evidence.cohort.measures import MetricScale, of_map, of_pair
from pipeline.evidence.verdicts.criteria import check_criteria, judge_all
from pipeline.findings.scores import PairAgreement, Score
from tests.pipeline.evidence.records import BOOTSTRAP, SCALES, cohort_of, entry, not_analysed, study

ORDER = ("NOT MET", "INCONCLUSIVE", "MET")


def judged(rows, *criteria, labels=("nodule",), scales=SCALES, **criterion):
    given = [Criterion.model_validate(fields) for fields in criteria or [{"method": "gradcam", **criterion}]]
    verdicts = judge_all(given, cohort_of(rows, labels, scales), BOOTSTRAP)
    return verdicts[0] if len(verdicts) == 1 else verdicts


def hits(*values, metric="hit_rate", **rest):
    return [study(n, entry("gradcam", "a", float(value), metric=metric), **rest) for n, value in enumerate(values)]


@pytest.mark.parametrize("size", [5, 10, 23, 40])
@pytest.mark.parametrize("bound", [0.2, 0.5, 0.85])
def test_hits_are_judged_as_the_exact_binomial_test_judges_them(size, bound):
    for count in range(size + 1):
        verdict = judged(hits(*[1] * count, *[0] * (size - count)), metric="hit_rate", at_least=bound)
        above = binomtest(count, size, bound, alternative="greater").pvalue
        below = binomtest(count, size, bound, alternative="less").pvalue
        expected = "MET" if above <= 0.025 else "NOT MET" if below <= 0.025 else "INCONCLUSIVE"
        assert (verdict.answer, verdict.p_met) == (expected, pytest.approx(above, abs=1e-6))
        low = 0 if count == 0 else beta.ppf(0.025, count, size - count + 1)
        assert verdict.estimate.low == pytest.approx(low, abs=1e-6)


def test_ten_hits_of_ten_are_no_worse_than_nine():
    """The rule of before said MET to nine of ten and INCONCLUSIVE to ten of ten."""
    for bound in (0.3, 0.5, 0.55, 0.6, 0.65, 0.69):
        answers = [
            ORDER.index(judged(hits(*[1] * n, *[0] * (10 - n)), metric="hit_rate", at_least=bound).answer)
            for n in range(11)
        ]
        assert answers == sorted(answers)
    assert judged(hits(*[1] * 10), metric="hit_rate", at_least=0.69).answer == "MET"
    assert judged(hits(*[1] * 9, 0), metric="hit_rate", at_least=0.69).answer == "INCONCLUSIVE"


@pytest.mark.parametrize(("bound", "answers"), [(0.35, {1, 2}), (0.65, {0, 1})])
def test_raising_any_score_never_makes_a_verdict_worse(bound, answers):
    """All cohorts of four patients with two studies each and scores 0, 0.5, 1, up to the order of patients."""
    pairs = list(itertools.combinations_with_replacement((0.0, 0.5, 1.0), 2))

    def answer(cohort):
        rows = [
            study(2 * n + m, entry("gradcam", "a", value), patient=f"P-{n}")
            for n, own in enumerate(cohort)
            for m, value in enumerate(own)
        ]
        return ORDER.index(judged(rows, metric="iou", at_least=bound).answer)

    known = {cohort: answer(cohort) for cohort in itertools.combinations_with_replacement(pairs, 4)}
    assert set(known.values()) == answers
    for cohort, verdict in known.items():
        for place, (first, second) in enumerate(cohort):
            for better in ((first, min(1.0, second + 0.5)), (min(1.0, first + 0.5), second)):
                raised = tuple(sorted((*cohort[:place], tuple(sorted(better)), *cohort[place + 1 :])))
                assert known[raised] >= verdict


def test_maps_that_show_nothing_do_not_leave_the_denominator():
    """70 of 100 undefined maps, and the other 30 all hits: the claim was MET before."""
    rows = hits(*[1] * 30) + [
        study(50 + n, entry("gradcam", "a", "constant_map", metric="hit_rate")) for n in range(70)
    ]
    assert judged(rows, metric="hit_rate", at_least=0.5).answer == "NOT MET"


def test_no_way_of_losing_studies_makes_a_claim_true():
    """True rate 0.6, of 50 studies; every miss is lost on the way, in any of the ways there are."""
    hit = hits(*[1] * 30)
    ways = {
        "failed": [not_analysed(n) for n in range(20)],
        "mask lost": [study(60 + n, entry("gradcam", "a", "missing_file", metric="hit_rate")) for n in range(20)],
        "not explained": [study(60 + n, masks=1) for n in range(20)],
    }
    for way, lost in ways.items():
        verdict = judged(hit + lost, metric="hit_rate", at_least=0.75, missing_at_most=1)
        assert (way, verdict.answer) == (way, "INCONCLUSIVE")
        assert verdict.estimate.missing_studies == 20
        assert judged(hit + lost, metric="hit_rate", at_least=0.3).answer == "INCONCLUSIVE"  # too many are missing
    assert judged(hit + ways["failed"], metric="hit_rate", at_least=0.3, missing_at_most=1).answer == "MET"


def test_what_is_missing_is_no_failure_of_the_map_either():
    lost = [not_analysed(n) for n in range(5)]
    assert judged(hits(*[0] * 3, *[1] * 42) + lost, metric="hit_rate", at_least=0.97).answer == "INCONCLUSIVE"


def test_one_patient_of_many_studies_does_not_decide():
    often = [study(n, entry("gradcam", "a", 1.0, metric="hit_rate"), patient="often") for n in range(60)]
    others = hits(*[0] * 8)
    rows = often + [row.model_copy(update={"study": f"T-{row.study}"}) for row in others]
    assert judged(rows, metric="hit_rate", at_least=0.5).answer == "NOT MET"
    by_study = judged(rows, metric="hit_rate", at_least=0.5, unit="study")
    assert by_study.answer == "INCONCLUSIVE"
    assert (by_study.unit, by_study.estimate.value) == ("study", pytest.approx(60 / 68))


def test_a_smaller_error_is_asked_for_by_more_confidence():
    rows = hits(*[1] * 10)
    answers = [judged(rows, metric="hit_rate", at_least=0.6, confidence=level).answer for level in (0.9, 0.95, 0.999)]
    assert answers == ["MET", "MET", "INCONCLUSIVE"]
    assert judged(rows, metric="hit_rate", at_least=0.6, confidence=0.9).estimate.confidence == 0.9


PAIRED = [
    study(n, entry("gradcam", "a", 0.5 + 0.01 * n), entry("centre_prior", "a", 0.2 + 0.01 * n),
          entry("random_map", "a", 0.49 + 0.01 * n)) for n in range(30)
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "answer", "against"),
    [
        ({"better_than": "centre_prior"}, "MET", "centre_prior"),
        ({"better_than": "centre_prior", "by": 0.29}, "INCONCLUSIVE", "centre_prior"),
        ({"better_than": "centre_prior", "by": 0.9}, "NOT MET", "centre_prior"),
        ({"better_than": "baselines"}, "INCONCLUSIVE", "random_map"),
        ({"better_than": ["centre_prior", "random_map"]}, "INCONCLUSIVE", "random_map"),
        ({"better_than": "random_map", "wins": 0.5}, "MET", "random_map"),
        ({"not_worse_than": "random_map", "margin": 0.2}, "MET", "random_map"),
        ({"equivalent_to": "random_map", "margin": 0.2}, "MET", "random_map"),
        ({"equivalent_to": "centre_prior", "margin": 0.1}, "NOT MET", "centre_prior"),
    ],
)
def test_maps_are_held_against_each_other(rule, answer, against):
    verdict = judged(PAIRED, metric="iou", **rule)
    assert (verdict.answer, verdict.against) == (answer, against)


def test_the_lower_map_wins_where_lower_is_better():
    rows = [
        study(n, entry("gradcam", "a", 2.0 + n, metric="hd95"), entry("centre_prior", "a", 3.0 + n, metric="hd95"))
        for n in range(12)
    ]
    assert judged(rows, metric="hd95", better_than="centre_prior", wins=0.5).answer == "MET"
    worse = judged(rows, {"metric": "hd95", "method": "centre_prior", "better_than": "gradcam", "wins": 0.5})
    assert worse.answer == "NOT MET"


def test_a_map_that_shows_nothing_loses_to_any_that_does():
    rows = [
        study(n, entry("gradcam", "a", "constant_map", metric="hd95"), entry("centre_prior", "a", 90.0, metric="hd95"))
        for n in range(12)
    ]
    assert judged(rows, metric="hd95", better_than="centre_prior", wins=0.5).answer == "NOT MET"


def test_a_patients_wins_are_counted_by_his_studies():
    """One study lost by far does not lose the patient: what counts is how often."""
    rows = [
        study(n, entry("gradcam", "a", first), entry("centre_prior", "a", second), patient="P")
        for n, (first, second) in enumerate([(0.5, 0.4), (0.5, 0.4), (0.0, 0.9), (0.3, 0.3)])
    ]
    verdict = judged(rows, metric="iou", better_than="centre_prior", wins=0.5)
    assert verdict.estimate.value == pytest.approx(2.5 / 4)
    assert verdict.rule == "better than centre_prior in more than 50 % of a patient's studies, a tie counting half"
    lost = judged([*rows, not_analysed(1, patient="P")], metric="iou", better_than="centre_prior", wins=0.5)
    assert lost.estimate.missing_studies == 1
    both = [study(n, *(entry(m, "a", "constant_map") for m in ("gradcam", "centre_prior"))) for n in range(3)]
    assert judged(both, metric="iou", better_than="centre_prior", wins=0.5).estimate.value == 0.5


def test_a_tie_is_half_a_win():
    rows = [study(n, entry("gradcam", "a", 0.5), entry("centre_prior", "a", 0.5)) for n in range(12)]
    assert judged(rows, metric="iou", better_than="centre_prior", wins=0.5).estimate.value == 0.5


def test_six_wins_of_six_are_the_fewest_that_show_anything():
    assert judged(PAIRED[:6], metric="iou", better_than="centre_prior", wins=0.5).answer == "MET"
    assert judged(PAIRED[:5], metric="iou", better_than="centre_prior", wins=0.5).answer == "INCONCLUSIVE"


@pytest.mark.parametrize(("better", "answer"), [("higher", "MET"), ("lower", "NOT MET")])
def test_the_direction_is_that_of_the_run(better, answer):
    """A metric's direction may have changed since: the run's own specification counts."""
    scales = {"iou": MetricScale("iou", (0.0, 1.0), better)}
    assert judged(PAIRED, metric="iou", better_than="centre_prior", scales=scales).answer == answer


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ({"within": 10, "at_least": 0.6}, "MET"),
        ({"within": 3, "at_least": 0.6}, "NOT MET"),
        ({"statistic": "median", "at_most": 9}, "MET"),
        ({"statistic": "median", "at_most": 3.5}, "NOT MET"),
        ({"statistic": "median", "at_most": 7}, "INCONCLUSIVE"),
    ],
)
def test_distances_are_judged_by_shares_of_patients(rule, answer):
    rows = [study(n, entry("gradcam", "a", 2.0 + 0.4 * n, metric="hd95")) for n in range(20)]
    assert judged(rows, metric="hd95", **rule).answer == answer


@pytest.mark.parametrize(("better", "words"), [("at_most", "within 4 and 8"), ("at_least", "within 4 and 8")])
def test_a_medians_interval_stands_beside_its_answer(better, words):
    rows = [study(n, entry("gradcam", "a", 2.0 + 0.4 * n, metric="hd95")) for n in range(20)]
    rows[19] = study(19, entry("gradcam", "a", "empty_region", metric="hd95"))
    rule = {better: 7, "statistic": "median", "reversed": better == "at_least"}
    assert judged(rows, metric="hd95", **rule).reason.endswith(f"; the median lies {words.replace('8', '7.6')}")
    few = judged(rows[:5], metric="hd95", **rule).reason
    assert few.endswith("; too few patients to bound the median")
    far = [study(n, entry("gradcam", "a", 2.0 if n < 11 else "empty_region", metric="hd95")) for n in range(20)]
    assert judged(far, metric="hd95", **rule).reason.endswith("; the median is at least 2")


@pytest.mark.parametrize(("score", "answer"), [(0.9, "MET"), (0.1, "NOT MET")])
def test_a_median_has_a_good_side(score, answer):
    assert judged(hits(*[score] * 20, metric="iou"), metric="iou", at_least=0.5, statistic="median").answer == answer


def test_a_cap_is_the_end_of_the_scale():
    hd95 = MetricScale("hd95", (0.0, None), "lower")
    assert of_map("gradcam", hd95, 50.0).span == (0.0, 50.0)
    assert of_pair("gradcam", "edge_map", hd95, 10.0).span == (-10.0, 10.0)
    assert of_pair("gradcam", "edge_map", hd95).span == (None, None)


def test_a_cap_makes_a_mean_of_distances_that_a_test_can_judge():
    rows = [study(n, entry("gradcam", "a", 4.0, metric="hd95")) for n in range(28)]
    rows += [study(28, entry("gradcam", "a", 900.0, metric="hd95"))]
    rows += [study(29, entry("gradcam", "a", "empty_region", metric="hd95"))]
    verdict = judged(rows, metric="hd95", at_most=15, cap=50)
    assert (verdict.answer, verdict.estimate.value) == ("MET", pytest.approx((28 * 4 + 50 + 50) / 30))
    assert verdict.rule == "at most 15, each score capped at 50"
    assert verdict.estimate.high < 15
    lost = [*rows[:28], not_analysed(1), not_analysed(2)]
    missing = judged(lost, metric="hd95", at_most=15, cap=50)
    assert (missing.answer, missing.estimate.high) == ("MET", pytest.approx(verdict.estimate.high))


def test_a_cap_bounds_differences_of_either_sign():
    def pair(number, first, second):
        scores = {"gradcam": first, "edge_map": second}
        return study(number, *(entry(name, "a", score, metric="hd95") for name, score in scores.items()))

    rows = [pair(n, 4.0, 9.0) for n in range(40)] + [pair(90, 500.0, 1.0), pair(91, "empty_region", 2.0)]
    rows += [pair(92, "empty_region", "empty_region"), pair(93, 3.0, "empty_region")]
    verdict = judged(rows, metric="hd95", better_than="edge_map", cap=10)
    assert (verdict.answer, verdict.estimate.value) == ("MET", pytest.approx((-5 * 40 + 10 + 10 + 0 - 10) / 44))
    assert verdict.rule == "better than edge_map, each difference capped at 10"
    assert judged(rows, metric="hd95", not_worse_than="edge_map", margin=2, cap=10).answer == "MET"
    closed = [study(n, entry("gradcam", "a", 0.9), entry("edge_map", "a", 0.4)) for n in range(12)]
    assert judged(closed, metric="iou", better_than="edge_map", cap=0.25).estimate.value == pytest.approx(0.25)


def test_the_readers_bar_has_a_cap_too():
    rows = [readers_agree(0.7, n, 0.1 if n else 0.75) for n in range(4)]
    verdict = judged(rows, metric="iou", not_worse_than="readers", margin=0.1, cap=0.2)
    assert verdict.estimate.value == pytest.approx((0.05 - 3 * 0.2) / 4)


def test_a_map_without_a_region_lies_at_no_distance():
    rows = [study(n, entry("gradcam", "a", "empty_region", metric="hd95")) for n in range(20)]
    assert judged(rows, metric="hd95", within=1e6, at_least=0.5).answer == "NOT MET"


def readers_agree(value, number, score):
    pair = PairAgreement(label="nodule", readers=("a", "b"), scores=(Score(name="iou", value=value),))
    made = pair.model_copy(update={"readers": ("a", "consensus:majority"), "scores": (Score(name="iou", value=0.0),)})
    return study(number, entry("gradcam", "a", score), agreement=(pair, made))


def test_the_readers_agreement_can_be_the_bar():
    rows = [readers_agree(0.7, n, 0.72) for n in range(40)]
    assert judged(rows, metric="iou", not_worse_than="readers", margin=0.2).answer == "MET"
    assert judged(rows, metric="iou", not_worse_than="readers", margin=0.01).answer == "INCONCLUSIVE"
    worse = [readers_agree(0.9, n, 0.1) for n in range(40)]
    assert judged(worse, metric="iou", not_worse_than="readers", margin=0.2).answer == "NOT MET"
    alone = judged(hits(*[1] * 9, metric="iou"), metric="iou", not_worse_than="readers", margin=0.2)
    assert (alone.answer, alone.estimate.undefined) == ("NOT EVALUATED", {"no_pair_of_readers": 9})


def two_labels(nodule, mass):
    rows = [study(n, entry("gradcam", "a", nodule, metric="hit_rate")) for n in range(20)]
    rows += [
        study(50 + n, entry("gradcam", "a", mass, metric="hit_rate", target="mass"), reference=("mass",))
        for n in range(20)
    ]
    return rows


def test_each_label_has_to_hold_and_the_worst_is_named():
    labels = ("nodule", "mass")
    verdict = judged(two_labels(1.0, 0.0), metric="hit_rate", at_least=0.45, labels=labels)
    assert (verdict.answer, verdict.label) == ("NOT MET", "mass")
    assert [(part.label, part.answer) for part in verdict.parts] == [("nodule", "MET"), ("mass", "NOT MET")]
    pooled = judged(two_labels(1.0, 0.0), metric="hit_rate", at_least=0.3, label="pooled", labels=labels)
    assert (pooled.answer, pooled.label, pooled.estimate.value) == ("MET", None, 0.5)
    named = judged(two_labels(1.0, 0.0), metric="hit_rate", at_least=0.5, label="nodule", labels=labels)
    assert (named.answer, named.label) == ("MET", "nodule")


def test_a_label_without_a_study_is_not_shown():
    verdict = judged(two_labels(1.0, 1.0), metric="hit_rate", at_least=0.5, labels=("nodule", "mass", "cyst"))
    assert (verdict.answer, verdict.label) == ("INCONCLUSIVE", "cyst")


def test_that_some_label_fails_is_corrected_for_their_number():
    """A single label's p of 0.02 refutes that label, but not that all of many labels hold."""
    rows = hits(*[0] * 6, *[1] * 14)
    alone = judged(rows, metric="hit_rate", at_least=0.884)
    assert alone.answer == "NOT MET"
    assert 0.0125 < alone.p_not_met <= 0.025
    others = [
        study(100 * k + n, entry("gradcam", "a", 1.0, metric="hit_rate", target=f"L{k}"), reference=(f"L{k}",))
        for k in range(1, 3)
        for n in range(40)
    ]
    both = judged(rows + others, metric="hit_rate", at_least=0.884, labels=("nodule", "L1", "L2"))
    assert (both.answer, both.label) == ("INCONCLUSIVE", "nodule")


def test_one_of_a_family_has_to_hold_and_is_corrected_for_their_number():
    rows = hits(*[1] * 11, 0)  # p = 0.019 at 0.65
    base = {"metric": "hit_rate", "method": "gradcam", "any_of": "overlap"}
    alone = judged(rows, {**base, "at_least": 0.67, "any_of": None})
    assert alone.answer == "INCONCLUSIVE"
    met = judged(rows, {**base, "at_least": 0.6, "any_of": None})
    assert (met.answer, met.p_met < 0.025) == ("MET", True)
    strict = judged(rows, {**base, "at_least": 0.6}, {**base, "at_least": 0.99})
    assert strict[0].p_met == pytest.approx(2 * met.p_met)
    assert (strict[0].answer, "Holm" in strict[0].reason) == ("INCONCLUSIVE", True)


def test_verdicts_name_what_they_judge_and_what_the_cohort_can_show():
    rows = hits(*[1] * 10)
    verdict = judged(rows, metric="hit_rate", at_least=0.8)
    assert verdict.criterion == "hit_rate of gradcam among reference_positive: at least 0.8"
    assert verdict.best_reachable == pytest.approx(0.025 ** (1 / 10))
    assert verdict.smallest_cohort == 17
    assert verdict.answer == "INCONCLUSIVE"
    assert judged(hits(*[1] * 17), metric="hit_rate", at_least=0.8).answer == "MET"
    assert judged(hits(*[1] * 16), metric="hit_rate", at_least=0.8).answer == "INCONCLUSIVE"


def test_a_bound_on_the_wrong_side_is_said_to_be_meant():
    rows = hits(*[0.9] * 20, metric="iou")
    verdict = judged(rows, metric="iou", at_most=0.95, reversed=True)
    assert verdict.rule == "at most 0.95, although higher is better"
    assert verdict.smallest_cohort == 2  # at most 0.95: two patients of score 0 have p = 0.05 ** 2


@pytest.mark.parametrize("rule", [{"at_least": 0.5}, {"at_most": 0.5, "reversed": True}])
def test_of_several_labels_the_worst_decides_for_the_classifier(rule):
    """One label is always found and the other never: whichever way the bound goes, one of them misses it."""
    rows = [study(n, reference=("clear", "nodule")) for n in range(20)]
    assert judged(rows, {"metric": "sensitivity", **rule}, labels=("clear", "nodule")).answer == "NOT MET"


def test_the_classifier_is_judged_on_studies_that_failed_too():
    rows = [study(n) for n in range(30)]
    assert judged(rows, {"metric": "accuracy", "at_least": 0.85}).answer == "MET"
    lost = [not_analysed(n, masks=0) for n in range(3)]
    assert judged([*rows, *lost], {"metric": "accuracy", "at_least": 0.85}).answer == "INCONCLUSIVE"


def test_an_auroc_of_five_and_five_can_show_little():
    rows = [study(n) for n in range(5)]
    rows += [study(50 + n, reference=(), predicted=(), probability=0.1) for n in range(5)]
    assert judged(rows, {"metric": "auroc", "at_least": 0.5}).answer == "INCONCLUSIVE"
    verdict = judged(rows, {"metric": "auroc", "at_least": 0.4})
    assert (verdict.answer, verdict.best_reachable) == ("MET", pytest.approx(0.025 ** (1 / 5)))


def test_nothing_to_judge_is_no_answer():
    verdict = judged([study(0, reference=(), predicted=())], metric="iou", at_least=0.5)
    assert (verdict.answer, verdict.reason) == ("NOT EVALUATED", "no study in this stratum")


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"metric": "iou", "method": "grdcam", "at_least": 0.1}, "did you mean 'gradcam'"),
        ({"metric": "hd59", "method": "gradcam", "at_most": 5}, "did you mean 'hd95'"),
        ({"metric": "hd95", "method": "gradcam", "at_least": 5, "statistic": "median"}, "lower is .* write at_most"),
        ({"metric": "hd95", "method": "gradcam", "at_most": 5}, "no test of its mean is valid; add statistic: median"),
        ({"metric": "hd95", "method": "gradcam", "at_most": -5, "statistic": "median"}, "is at least 0, not -5"),
        ({"metric": "hd95", "method": "gradcam", "better_than": "random_map"}, "add wins: 0.5"),
        ({"metric": "iou", "method": "gradcam", "within": 5, "at_least": 0.5}, "within: goes with a distance"),
        ({"metric": "iou", "method": "gradcam", "at_most": 0.5}, "higher is better, .* write at_least"),
        ({"metric": "iou", "method": "gradcam", "at_least": 0.5, "reversed": True}, "reversed: goes with a bound"),
        ({"metric": "iou", "method": "gradcam", "better_than": "random_map", "reversed": True}, "reversed"),
        ({"metric": "iou", "method": "gradcam", "better_than": "center_prior"}, "did you mean 'centre_prior'"),
        ({"metric": "iou", "method": "gradcam", "at_least": 0}, "always holds and claims nothing"),
        ({"metric": "iou", "method": "gradcam", "at_most": 1, "reversed": True}, "no iou counts for more than 1"),
        (
            {"metric": "iou", "method": "gradcam", "at_most": 1, "statistic": "median", "reversed": True},
            "for more than 1",
        ),
        ({"metric": "hd95", "method": "gradcam", "at_most": 50, "cap": 50}, "no hd95 counts for more than 50"),
        ({"metric": "hd95", "method": "gradcam", "at_most": 60, "cap": 50}, "no hd95 counts for more than 50"),
        ({"metric": "hd95", "method": "gradcam", "equivalent_to": "random_map", "margin": 9}, "add a cap"),
        ({"metric": "iou", "method": "gradcam", "not_worse_than": "random_map", "margin": 1}, "margin of 1 claims"),
        ({"metric": "iou", "method": "gradcam", "better_than": "random_map", "by": 1}, "nothing is better by more"),
        (
            {"metric": "iou", "method": "gradcam", "not_worse_than": "random_map", "margin": 0.09, "cap": 0.1},
            "margin: of 0.09 beside a cap of 0.1, 90 % of the patients could be worse by any amount; cap at twice",
        ),
        ({"metric": "iou", "method": "gradcam", "at_least": 0.5, "cap": 0.7}, "is for a metric without an upper end"),
        ({"metric": "iou", "method": "gradcam", "better_than": "random_map", "cap": 1}, "is below 1, the largest"),
        ({"metric": "iou", "method": "gradcam", "better_than": "random_map", "by": 0.3, "cap": 0.2}, "larger than 0.2"),
        ({"metric": "iou", "method": "gradcam", "not_worse_than": "reader", "margin": 0.1}, "did you mean 'readers'"),
    ],
)
def test_a_criterion_that_nothing_answers_is_refused(criterion, words):
    with pytest.raises(ConfigError, match=words):
        check_criteria([Criterion.model_validate(criterion)], ["gradcam", "random_map", "centre_prior"])


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"within": 5, "at_least": 0}, "above 0 and up to 1"),
        ({"not_worse_than": "gradcam", "margin": 0.1}, "gradcam is as good as itself"),
        ({"equivalent_to": "gradcam", "margin": 0.1}, "gradcam is as good as itself"),
        ({"at_most": 5, "cap": 50, "statistic": "median"}, "cap goes with a mean"),
        ({"better_than": "edge_map", "wins": 0.5, "cap": 50}, "cap goes with a mean"),
        ({"better_than": "edge_map", "wins": 0.49}, "greater than or equal to 0.5"),
        ({"within": 5, "at_least": 0.5, "studies_at_most": 3}, "studies_at_most goes with unit: study"),
        ({"metric": "auroc", "method": None, "at_least": 0.5, "unit": "study"}, "auroc is by patient"),
    ],
)
def test_a_claim_that_cannot_fail_is_no_criterion(criterion, words):
    with pytest.raises(ValidationError, match=words):
        Criterion.model_validate({"metric": "hd95", "method": "gradcam", **criterion})


def test_a_baseline_that_a_run_lacks_leaves_a_claim_without_an_answer():
    verdict = judged(hits(*[1] * 50, metric="iou"), metric="iou", better_than="edge_map")
    assert (verdict.answer, verdict.estimate.undefined) == ("NOT EVALUATED", {"no_map": 50})
    both = judged(PAIRED, metric="iou", better_than=["centre_prior", "edge_map"])
    assert (both.answer, both.against) == ("INCONCLUSIVE", "edge_map")


def test_single_patients_ties_and_everybody_missing():
    assert judged(hits(1), metric="hit_rate", at_least=0.025).answer == "MET"  # one hit shows a rate of alpha
    assert judged(hits(1), metric="hit_rate", at_least=0.026).answer == "INCONCLUSIVE"
    alike = judged(hits(*[0.7] * 50, metric="iou"), metric="iou", at_least=0.7)
    assert alike.answer == "INCONCLUSIVE"
    assert judged(hits(*[1] * 5), metric="hit_rate", at_least=0.5, confidence=0.9).answer == "MET"  # 1/32
    lost = [not_analysed(n) for n in range(200)]
    verdict = judged([*hits(*[1] * 50), *lost], metric="hit_rate", at_least=0.3, missing_at_most=1)
    assert (verdict.answer, verdict.p_met > 0.5) == ("INCONCLUSIVE", True)


def test_a_map_that_equals_another_is_never_better():
    rows = [study(n, entry("gradcam", "a", 0.5), entry("centre_prior", "a", 0.5)) for n in range(300)]
    for rule in ({}, {"wins": 0.5}, {"by": 0.01}, {"cap": 0.1}):
        assert judged(rows, metric="iou", better_than="centre_prior", **rule).answer != "MET"


OFTEN_SEEN = [study(n, entry("gradcam", "a", 1.0, metric="hit_rate")) for n in range(20)] + [
    study(50 + n, entry("gradcam", "a", 1.0, metric="hit_rate"), patient="often") for n in range(4)
]


def test_a_locked_number_of_studies_is_what_the_worst_patient_has():
    claim = {"metric": "hit_rate", "at_least": 0.5, "unit": "study"}
    free, four, forty = (judged(OFTEN_SEEN, **claim, **more) for more in ({}, *CAPS))
    assert free.p_met == four.p_met < forty.p_met
    assert (four.answer, forty.answer) == ("MET", "INCONCLUSIVE")
    assert forty.estimate.low < four.estimate.low == free.estimate.low
    assert "says nothing about his scores" in free.estimate.interval
    assert forty.estimate.interval.endswith("of which a patient has 40 at most (locked)")


CAPS = ({"studies_at_most": 4}, {"studies_at_most": 40})


def test_a_patient_with_more_studies_than_were_locked_leaves_nothing_to_judge():
    verdict = judged(OFTEN_SEEN, metric="hit_rate", at_least=0.5, unit="study", studies_at_most=3)
    assert verdict.answer == "NOT EVALUATED"
    assert verdict.reason.startswith("a patient has 4 studies that count, and studies_at_most locked 3")
    assert (verdict.estimate.value, verdict.estimate.low, verdict.p_met) == (1.0, None, None)
