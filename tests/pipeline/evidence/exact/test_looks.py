import itertools
import math

import numpy as np
import pytest

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.looks import judge_open, log_evidence, look_alpha, planned_looks
from pipeline.evidence.exact.scores import one_study_each, patient_scores

RANK = {"NOT MET": 0, "INCONCLUSIVE": 1, "MET": 2}


def judged(scores, bound=0.7, side="at_least", looks=None, **options):
    return judge_open(one_study_each([float(score) for score in scores]), Claim(side, bound, **options), looks)


def test_the_evidence_is_the_mean_of_sixty_four_gamblers():
    stakes = [math.sin((number + 0.5) * math.pi / 128) ** 2 for number in range(64)]
    scores, bound = [0.9, 0.2, 1.0], 0.4
    for count in (1, 2, 3):
        money = [math.prod(1 + s * (x - bound) / bound for x in scores[:count]) for s in stakes]
        assert log_evidence(np.array(scores), bound)[count - 1] == pytest.approx(math.log(sum(money) / 64))


def test_a_fair_game_never_gains():
    """At a mean of exactly the bound the expected evidence is 1, exactly, whatever the law."""
    for values, weights in (((0, 1), (0.3, 0.7)), ((0.2, 0.7, 1), (0.25, 0.5, 0.25))):
        bound = float(np.dot(values, weights))
        expected = sum(
            weight * other * math.exp(log_evidence(np.array([x, y]), bound)[1])
            for x, weight in zip(values, weights, strict=True)
            for y, other in zip(values, weights, strict=True)
        )
        assert expected == pytest.approx(1)


def test_what_was_reached_stands_until_the_contrary_is():
    hits = [1] * 60
    early = judged(hits)
    assert (early.decision, early.decided_at) == ("MET", judged(hits[: early.decided_at]).decided_at)
    assert judged(hits[: early.decided_at - 1]).decision == "INCONCLUSIVE"
    assert early.reason == f"the evidence reached 40 with {early.decided_at} patients"
    assert judged(hits + [0] * 20).decision == "MET"
    assert judged([0] * 40 + [1] * 20).decision == "NOT MET"


def test_patients_who_give_a_met_first_do_not_save_it_from_all_who_come_later():
    """A vendor's thirty chosen patients, then whoever comes; and the same claim of misses, whose answer is mirrored."""
    chosen_first = [1] * 30 + [0] * 300
    for result in (judged(chosen_first, 0.5), judged([1 - x for x in chosen_first], 0.5, "at_most")):
        assert (result.decision, result.decided_at) == ("INCONCLUSIVE", None)
        assert result.reason == (
            "the evidence reached 40 for the claim with 8 patients and against it with 92: what was shown was refuted"
        )
        assert max(result.p_low, result.p_high) <= 0.025
        assert result.low > 0.5 > result.high


def test_among_the_patients_of_one_run_no_order_gives_an_answer():
    """Seven of ten hit: with the hits in front the evidence reaches anything, but nobody looked in between."""
    hits_first, mixed = [1] * 70 + [0] * 30, ([1] * 7 + [0] * 3) * 10
    assert judged(hits_first).decision == "MET"
    for result in (judged(hits_first, looks=[100]), judged(mixed, looks=[100])):
        assert (result.decision, result.p_low) == ("INCONCLUSIVE", pytest.approx(judged(mixed, looks=[100]).p_low))
        assert (result.low, result.high) == pytest.approx((0.53, 0.83), abs=0.03)
    assert judged(hits_first, looks=[30, 100]).decided_at == 30


def test_at_most_is_mirrored():
    down = judged([0] * 60, 0.3, "at_most")
    up = judged([1] * 60)
    assert (down.decision, down.decided_at, down.p_high) == ("MET", up.decided_at, pytest.approx(up.p_low))
    assert (down.low, down.high) == pytest.approx((1 - up.high, 1 - up.low))


def test_raising_a_score_never_worsens_a_verdict():
    generator = np.random.default_rng(0)
    for _ in range(120):
        scores = generator.integers(0, 3, 40) / 2
        bound = generator.choice([0.3, 0.5, 0.7])
        raised = scores.copy()
        raised[generator.integers(40)] = 1
        before, after = judged(scores, bound), judged(raised, bound)
        assert RANK[after.decision] >= RANK[before.decision]
        assert after.low >= before.low
        assert after.high >= before.high


def test_the_bounds_are_those_that_would_just_be_shown():
    result = judged(np.random.default_rng(1).beta(8, 4, 80))
    assert judged(np.random.default_rng(1).beta(8, 4, 80), result.low - 1e-6).decision == "MET"
    assert judged(np.random.default_rng(1).beta(8, 4, 80), result.low + 1e-6).decision == "INCONCLUSIVE"
    assert judged(np.random.default_rng(1).beta(8, 4, 80), result.high + 1e-6).decision == "NOT MET"
    assert judged([]).low == 0.0
    assert judged([]).high == 1.0
    assert judged([]).value is None


def test_looking_every_day_does_not_turn_luck_into_proof():
    generator = np.random.default_rng(2)
    cohorts = (generator.random((2000, 400)) < 0.7).astype(float)
    shown = [(log_evidence(cohort, 0.7) >= math.log(40)).any() for cohort in cohorts]
    assert np.mean(shown) <= 0.025


def test_missing_patients_count_against_both_sides():
    cohort = one_study_each([1.0] * 30, missing=3)
    result = judge_open(cohort, Claim("at_least", 0.5))
    assert result.p_low == pytest.approx(math.exp(-log_evidence(np.array([1.0] * 30 + [0] * 3), 0.5).max()))
    assert (result.n_patients, result.n_missing) == (33, 3)
    fewer = judge_open(one_study_each([0.0] * 30, missing=3), Claim("at_least", 0.5))
    assert fewer.p_high == pytest.approx(math.exp(-log_evidence(np.array([1.0] * 30 + [0] * 3), 0.5).max()))
    assert fewer.p_low == 1.0
    first = judge_open(one_study_each([None, *[0.0] * 12]), Claim("at_least", 0.5))
    assert first.p_high == pytest.approx(math.exp(-log_evidence(np.array([0, *[1.0] * 12]), 0.5).max()))
    many = judge_open(one_study_each([1.0] * 30, missing=10), Claim("at_least", 0.5))
    assert (many.decision, many.decided_at) == ("INCONCLUSIVE", None)


def test_differences_are_watched_too():
    cohort = one_study_each([0.4] * 60, span=(-1.0, 1.0))
    result = judge_open(cohort, Claim("at_least", 0.0))
    assert result.decision == "MET"
    assert 0 < result.low < 0.4 < result.high <= 1


def test_at_the_ends_of_the_scale():
    assert judged([0, 0, 0.1], 0).decision == "MET"
    assert judged([0, 0], 0).decision == "INCONCLUSIVE"
    assert judged([1, 1], 1).decision == "INCONCLUSIVE"
    assert judged([1, 0.9], 1).decision == "NOT MET"


def test_planned_looks_spend_half_of_alpha_and_no_more():
    """The other half pays for who chooses when a run is: tests.coverage has the cells."""
    assert sum(look_alpha(0.95, look) for look in range(1, 100_000)) == pytest.approx(0.0125, abs=1e-6)
    assert look_alpha(0.95, 1) == pytest.approx(0.025 / 6)
    assert planned_looks(range(1, 501), 30, 2) == ((1, 30), (2, 60), (3, 120), (4, 240), (5, 480))
    assert planned_looks(range(1, 111), 30, 1.5) == ((1, 30), (2, 45), (3, 68), (4, 102))
    assert planned_looks(range(1, 21), 30, 2) == ()


def test_a_looks_number_follows_from_the_patients_and_not_from_the_looks_before():
    """Who waits until a run suits him, or begins anew with another folder, pays for the patients that he has."""
    assert planned_looks([29, 59, 60, 400, 479, 480], 30, 2) == ((1, 59), (2, 60), (4, 400), (5, 480))
    for size in (30, 44, 45, 67, 68, 1000):
        (alone,) = planned_looks([size], 30, 1.5)
        assert alone == (len(planned_looks(range(1, size + 1), 30, 1.5)), size)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: look_alpha(0.95, 0), "look is a number from 1 on, not 0"),
        (lambda: planned_looks([10], 0, 2), "looks start at 1 patient or more"),
        (lambda: planned_looks([10], 5, 1), "grow by more than 1, not 5 and 1"),
        (lambda: judged([1], 1.5), "bound lies within 0 and 1"),
        (lambda: judged([1, 1], looks=[1]), "looks rise, and the last is at all 2 patients"),
        (lambda: judged([1, 1], looks=[0, 2]), "looks rise"),
        (lambda: judged([1, 1], looks=[2, 2]), "looks rise"),
        (lambda: judged([1, 1], looks=[]), "looks rise"),
        (
            lambda: judge_open(patient_scores([1, 1], ["a", "a"], unit="study"), Claim("at_least", 0.5)),
            "judged by patient, not by study",
        ),
    ],
)
def test_what_cannot_be_watched_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("bound", [0.2, 0.3])
def test_no_single_raise_worsens_an_answer_and_no_score_in_place_of_a_missing_one_loses_a_met(bound):
    """Exhaustive: four patients who score 0, 0.5 or 1 or are missing, each raised to all that is higher."""
    claim = Claim("at_least", bound, 0.9, maximum_missing=1)
    order = (None, 0.0, 0.5, 1.0)
    answers = {scores: judge_open(one_study_each(list(scores)), claim) for scores in itertools.product(order, repeat=4)}
    assert {result.decision for result in answers.values()} >= {"MET", "INCONCLUSIVE"}
    for scores, before in answers.items():
        for place, score in itertools.product(range(4), order):
            if order.index(score) > order.index(scores[place]):
                after = answers[(*scores[:place], score, *scores[place + 1 :])]
                assert after.p_low <= before.p_low * (1 + 1e-12)
                assert after.low >= before.low
                assert before.decision != "MET" or after.decision == "MET"
                if scores[place] is not None:
                    assert RANK[after.decision] >= RANK[before.decision]
                    assert after.p_high >= before.p_high * (1 - 1e-12)


def test_no_later_patient_loses_an_answer():
    """Exhaustive: what was reached with four patients stands whatever the fifth scores: one is no evidence."""
    for scores in itertools.product((0.0, 0.5, 1.0), repeat=4):
        before = judged(scores, 0.4, confidence=0.9)
        for score in (0.0, 1.0) if before.decision != "INCONCLUSIVE" else ():
            assert judged([*scores, score], 0.4, confidence=0.9).decision == before.decision
