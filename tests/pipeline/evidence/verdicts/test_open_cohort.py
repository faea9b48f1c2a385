from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import Criterion
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.looks import judge_open
from pipeline.evidence.exact.scores import patient_scores
from pipeline.evidence.verdicts.criteria import judge_all
from tests.pipeline.evidence.records import BOOTSTRAP, cohort_of, entry, not_analysed, study


def hit(number, value, **rest):
    return study(number, entry("gradcam", "a", float(value), metric="hit_rate"), **rest)


def judged(rows, seen, **criterion):
    cohort = replace(cohort_of(rows), first_seen=seen)
    given = {"metric": "hit_rate", "method": "gradcam", **criterion}
    (verdict,) = judge_all([Criterion.model_validate(given)], cohort, BOOTSTRAP)
    return verdict


def nights(rows, per_night):
    return {row.study: f"run-{number // per_night:04d}" for number, row in enumerate(rows)}


def test_looking_every_night_makes_no_false_claim_true():
    """60 looks at a rate that is just at the bound; a test for one look, looked at four times, errs more often."""
    generator = np.random.default_rng(5)
    fixed = grown = 0
    for _ in range(40):
        values = generator.random(120) < 0.7
        rows = [hit(n, value) for n, value in enumerate(values)]
        seen = nights(rows, 2)
        grown += judged(rows, seen, at_least=0.7).answer == "MET"
        fixed += any(judged(rows[:size], None, at_least=0.7).answer == "MET" for size in (30, 60, 90, 120))
    assert grown <= 3  # at most 2.5 % each: 40 x 0.025 = 1, and two standard errors
    assert fixed > grown


def test_what_was_shown_once_stays_shown():
    rows = [hit(n, 1) for n in range(40)]
    assert judged(rows, nights(rows, 2), at_least=0.7).answer == "MET"
    later = rows + [hit(100 + n, 0) for n in range(12)]
    assert judged(later, nights(later, 2), at_least=0.7).answer == "MET"


def test_patients_count_in_the_order_in_which_they_were_seen_and_not_in_that_of_the_archive():
    """First misses, then hits: the evidence never got that far; the other way round it did."""
    rows = [hit(n, n < 25) for n in range(50)]
    forth = {row.study: f"run-{number:04d}" for number, row in enumerate(rows)}
    back = {row.study: f"run-{99 - number:04d}" for number, row in enumerate(rows)}
    assert judged(rows, forth, at_least=0.7).answer == "MET"
    assert judged(rows, back, at_least=0.7).answer == "NOT MET"


def ranked(first, count, right):
    """Return as many patients with the label as without, whose probabilities are all right, or all wrong."""
    for n in range(first, first + count):
        yield study(n, probability=0.9 if right else 0.1)
        yield study(500 + n, reference=(), predicted=(), probability=0.1 if right else 0.9)


@pytest.mark.parametrize(("right_first", "answer"), [(True, "MET"), (False, "NOT MET")])
def test_looks_at_an_auroc_that_refute_each_other_decide_nothing(right_first, answer):
    rows = [*ranked(0, 10, right_first), *ranked(10, 90, not right_first)]
    claim = {"metric": "auroc", "method": None, "at_least": 0.5}
    assert judged(rows[:20], nights(rows, 2), **claim).answer == answer
    verdict = judged(rows, nights(rows, 2), **claim)
    assert verdict.answer == "INCONCLUSIVE"
    assert max(verdict.p_met, verdict.p_not_met) <= 0.025
    assert (
        "what was shown at one time was refuted at another; its bounds exclude each other, one look" in verdict.reason
    )
    assert (verdict.estimate.low, verdict.estimate.high, verdict.estimate.interval) == (None, None, "none")
    assert verdict.estimate.value == pytest.approx(0.1 if right_first else 0.9, abs=0.1)
    assert verdict.estimate.reason.startswith("its bounds exclude each other, one look shows at least 0.")


def test_an_auroc_keeps_what_an_early_look_showed():
    rows = [*ranked(0, 10, True), *ranked(10, 12, False)]
    verdict = judged(rows, nights(rows, 2), metric="auroc", method=None, at_least=0.5)
    assert verdict.answer == "MET"
    assert verdict.reason.endswith("at look 1, with 20 patients")
    assert verdict.estimate.value < 0.9


def test_an_auroc_of_a_growing_cohort_of_which_much_is_missing_is_not_decided():
    rows = [*(not_analysed(n) for n in range(4)), *ranked(0, 13, True)]
    verdict = judged(rows, nights(rows, 2), metric="auroc", method=None, at_least=0.2)
    assert (verdict.answer, verdict.p_met < 0.025) == ("INCONCLUSIVE", True)
    assert verdict.reason == "20 % have no score, more than the 10 % that may be missing"


def test_bounds_that_exclude_each_other_leave_an_answer_that_both_support():
    """Early patients show that the mean is below 0.8, later ones that it is above: by both it is at least 0.3."""
    rows = [hit(n, 0.6 if n < 90 else 1) for n in range(500)]
    verdict = judged(rows, nights(rows, 10), at_least=0.3)
    assert (verdict.answer, verdict.estimate.interval) == ("MET", "none")
    assert "; its bounds exclude each other, one look shows at least 0." in verdict.reason
    assert "exclude" not in judged(rows[:90], nights(rows, 10), at_least=0.3).reason


def better(n, gain):
    return study(n, *(entry(name, "a", value) for name, value in (("gradcam", 0.5 + gain), ("centre_prior", 0.5))))


def test_of_a_family_a_part_that_was_refuted_once_is_not_met():
    """By label each has to hold: the mass is missed first and hit by all who come later, the nodule always hit."""

    def of(label, n, value):
        return study(n, entry("gradcam", "a", float(value), metric="hit_rate", target=label), reference=(label,))

    rows = [of("mass", n, n >= 30) for n in range(200)] + [of("nodule", 500 + n, 1) for n in range(60)]
    cohort = replace(cohort_of(rows, ("mass", "nodule")), first_seen=nights(rows, 10))
    criterion = Criterion.model_validate({"metric": "hit_rate", "method": "gradcam", "at_least": 0.5})
    (verdict,) = judge_all([criterion], cohort, BOOTSTRAP)
    assert {part.label: part.answer for part in verdict.parts} == {"mass": "INCONCLUSIVE", "nodule": "MET"}
    assert (verdict.answer, verdict.label) == ("INCONCLUSIVE", "mass")


def test_an_equivalence_that_was_refuted_first_is_not_met_later():
    rows = [better(n, 0.45 if n < 60 else 0.0) for n in range(400)]
    claim = {"metric": "iou", "equivalent_to": "centre_prior", "margin": 0.2}
    assert judged(rows[:60], nights(rows, 10), **claim).answer == "NOT MET"
    assert judged(rows, nights(rows, 10), **claim).answer == "INCONCLUSIVE"


def test_what_patients_are_called_decides_nothing():
    """Who can choose names, or draw pseudonyms anew, could else bring the hits of a night to its front."""
    rows = [hit(n, n < 40) for n in range(60)]
    p_values = []
    for seed in range(3):
        names = np.random.default_rng(seed).permutation(60)
        called = [row.model_copy(update={"patient": f"P-{name:03d}"}) for row, name in zip(rows, names, strict=True)]
        p_values.append(judged(called, dict.fromkeys((row.study for row in rows), "run-1"), at_least=0.5).p_met)
    assert p_values == pytest.approx([p_values[0]] * 3)
    assert p_values[0] < 0.9


def test_a_patients_later_studies_are_not_counted():
    rows = [hit(n, 0, patient=f"P{n}") for n in range(30)]
    seen = nights(rows, 2)
    later = [hit(100 + n, 1, patient=f"P{n % 30}") for n in range(300)]
    whole = rows + later
    verdict = judged(whole, seen | {row.study: "run-9999" for row in later}, at_least=0.5)
    assert (verdict.answer, verdict.estimate.patients, verdict.estimate.studies) == ("NOT MET", 30, 30)
    assert verdict.estimate.value == 0


def test_a_study_that_failed_at_first_keeps_its_place():
    rows = [*(not_analysed(n) for n in range(2)), *(hit(n, 1) for n in range(30))]
    seen = nights(rows, 2)
    lost = judged(rows, seen, at_least=0.8)
    repaired = [hit(900, 1), hit(901, 1), *rows[2:]]
    mended = judged(repaired, nights(repaired, 2), at_least=0.8)
    assert mended.p_met < lost.p_met


def test_the_interval_says_that_it_holds_at_every_look():
    rows = [hit(n, n % 4 > 0) for n in range(60)]
    grown, fixed = judged(rows, nights(rows, 2), at_least=0.5), judged(rows, None, at_least=0.5)
    assert "every look" in grown.estimate.interval
    assert grown.estimate.low < fixed.estimate.low
    assert grown.estimate.high > fixed.estimate.high


@pytest.mark.parametrize(("count", "answer"), [(8, "INCONCLUSIVE"), (40, "MET")])
def test_an_auroc_is_judged_at_planned_looks(count, answer):
    rows = [study(n) for n in range(count)]
    rows += [study(500 + n, reference=(), predicted=(), probability=0.1) for n in range(count)]
    verdict = judged(rows, {row.study: "run-1" for row in rows}, metric="auroc", method=None, at_least=0.6)
    assert verdict.answer == answer
    if answer == "MET":
        assert verdict.reason.endswith("at look 3, with 80 patients")  # as many as look 3 is for, and none before
        assert verdict.p_met == pytest.approx(20 / 10_001), "look 3 pays 20 times"


def test_each_planned_look_at_an_auroc_pays_for_itself():
    """Perfect separation of ten and ten patients at the first look: p is bound ** 10, and six times that is spent."""
    rows = [study(n, patient=f"{n:03d}a") for n in range(10)]
    rows += [study(500 + n, patient=f"{n:03d}b", reference=(), predicted=(), probability=0.1) for n in range(10)]
    verdict = judged(rows, {row.study: "run-1" for row in rows}, metric="auroc", method=None, at_least=0.6)
    assert verdict.p_met == pytest.approx(6 * 0.6**10, abs=0.008)
    few = judged(rows[:19], {row.study: "run-1" for row in rows}, metric="auroc", method=None, at_least=0.6)
    assert (few.p_met, few.p_not_met, "first look is planned" in few.reason) == (1.0, 1.0, True)
    assert (few.estimate.low, few.estimate.high) == (0.0, 1.0)


def test_a_second_look_at_an_auroc_pays_twelve_times():
    """Nothing to see at the first look, which has one class; at the second ten negatives lie below all the others."""
    rows = [study(n, patient=f"{n:03d}") for n in range(30)]
    rows += [study(500 + n, patient=f"{500 + n}", reference=(), predicted=(), probability=0.1) for n in range(10)]
    verdict = judged(rows, nights(rows, 10), metric="auroc", method=None, at_least=0.6)
    assert verdict.p_met == pytest.approx(12 * 0.6**10, abs=0.016)
    assert verdict.answer == "INCONCLUSIVE"


def test_who_begins_anew_gets_no_cheaper_look_at_an_auroc():
    """One run that sees all for the first time, in another folder or under other names, pays for 120 patients."""
    rows = [*ranked(0, 30, True), *ranked(30, 30, False)]
    claim = {"metric": "auroc", "method": None, "at_least": 0.3}
    anew, nightly = judged(rows, dict.fromkeys((row.study for row in rows), "run-1"), **claim), judged(
        rows[:80], nights(rows, 2), **claim)  # fmt: skip
    alone = judged(rows, None, **claim)
    assert anew.p_met == pytest.approx(20 * alone.p_met)
    assert nightly.p_met <= 20 / 10_001


def test_the_interval_beside_an_auroc_holds_at_every_planned_look():
    """Its level is the first look's, alpha / 6; and what a look has ruled out stays so at the next, of lower level."""
    pairs = [
        (study(n, patient=f"{n:03d}a"), study(500 + n, patient=f"{n:03d}b", reference=(), probability=0.1))
        for n in range(20)
    ]
    first = [row for pair in pairs[:10] for row in pair]
    claim = {"metric": "auroc", "method": None, "at_least": 0.95}
    nightly = nights(first, 2)
    shown = judged(first, nightly, **claim).estimate
    assert shown.low == pytest.approx((0.025 / 6) ** (1 / 10), abs=0.01)
    assert "every planned look" in shown.interval
    alone = judged(first, None, **claim).estimate
    assert alone.low == pytest.approx(0.025 ** (1 / 10), abs=0.01)
    swapped = [row.model_copy(update={"probabilities": {"clear": 0.9, "nodule": 0.1}}) for row, _ in pairs[10:]]
    later = judged([*first, *swapped, *(other for _, other in pairs[10:])], nights([*first, *swapped, *(
        other for _, other in pairs[10:])], 2), **claim).estimate  # fmt: skip
    assert later.low == shown.low
    assert later.value < 1


def test_a_refuted_equivalence_is_corrected_for_its_two_sides():
    rows = [study(n, entry("gradcam", "a", 0.9), entry("centre_prior", "a", 0.1)) for n in range(12)]
    claim = {"metric": "iou", "equivalent_to": "centre_prior", "margin": 0.3}
    scores = patient_scores([0.8] * 12, [row.patient for row in rows], span=(-1.0, 1.0))
    upper = judge_open(scores, Claim("at_most", 0.3))
    assert judged(rows, nights(rows, 4), **claim).p_not_met == pytest.approx(min(1.0, 2 * upper.p_low))


def test_maps_are_as_good_at_every_look():
    rows = [
        study(n, entry("gradcam", "a", 0.5), entry("centre_prior", "a", 0.5 + 0.002 * (n % 3 - 1))) for n in range(120)
    ]
    claim = {"metric": "iou", "equivalent_to": "centre_prior", "margin": 0.3}
    assert judged(rows, nights(rows, 4), **claim).answer == "MET"
    apart = [study(n, entry("gradcam", "a", 0.9), entry("centre_prior", "a", 0.1)) for n in range(120)]
    assert judged(apart, nights(apart, 4), **claim).answer == "NOT MET"


def test_a_growing_cohort_is_not_judged_by_study():
    """A patient's weight would grow with him, and the bounds would be of another mean than the estimate."""
    rows = [hit(n, 1, patient=f"P{n % 20}") for n in range(60)]
    verdict = judged(rows, nights(rows, 2), at_least=0.5, unit="study")
    assert (verdict.answer, verdict.estimate.low) == ("NOT EVALUATED", None)
    assert verdict.reason.startswith("unit: study is judged once")


def test_no_better_answer_of_the_model_worsens_a_growing_aurocs():
    """Any probability is brought nearer to its reference, of any patient: no look shows less, none refutes more."""
    generator = np.random.default_rng(11)
    claim = {"metric": "auroc", "method": None, "at_least": 0.5, "confidence": 0.9}
    order, moved = ("NOT MET", "INCONCLUSIVE", "MET"), 0
    for _ in range(12):
        present, shift = generator.random(44) < 0.5, generator.choice((-0.3, 0.3))
        drawn = np.round(generator.normal(0.5 + shift * (present - 0.5), 0.2).clip(0, 1), 1)
        rows = [
            study(n, reference=("nodule",) * int(positive), probability=float(probability))
            for n, (positive, probability) in enumerate(zip(present, drawn, strict=True))
        ]
        seen, place = nights(rows, 4), int(generator.integers(44))
        target = 1.0 if rows[place].reference else 0.0
        better = rows[place].model_copy(update={"probabilities": {"clear": 1 - target, "nodule": target}})
        before, after = (judged(each, seen, **claim) for each in (rows, [*rows[:place], better, *rows[place + 1 :]]))
        assert order.index(after.answer) >= order.index(before.answer)
        assert after.p_met <= before.p_met
        assert after.p_not_met >= before.p_not_met
        moved += after.p_met < before.p_met or after.p_not_met > before.p_not_met
    assert moved
