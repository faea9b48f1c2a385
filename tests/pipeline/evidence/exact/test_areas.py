import itertools

import numpy as np
import pytest
from scipy.stats import beta

from pipeline.evidence.exact.areas import area_cohort, area_draws, judge_area
from pipeline.evidence.exact.claims import Claim

RANK = {"NOT MET": 0, "INCONCLUSIVE": 1, "MET": 2}


def names(count):
    return [f"p{number:04d}" for number in range(count)]


def cohort_of(positives, negatives):
    scores = [*positives, *negatives]
    return area_cohort(scores, [True] * len(positives) + [False] * len(negatives), names(len(scores)))


def slow_area(scores, positive, weights):
    """Return the weighted share of pairs in which the positive scores more, a tie counting half."""
    won = whole = 0.0
    for i, j in itertools.product(range(len(scores)), repeat=2):
        if positive[i] and not positive[j]:
            whole += weights[i] * weights[j]
            won += weights[i] * weights[j] * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    return won / whole


def slow_draws(scores, positive, patients, *, worst_in, draws, seed):
    """The rule written again: a patient with weight of his own joins as the worst positive or the worst negative."""
    order = sorted(set(patients))
    sizes = [patients.count(patient) for patient in patients]
    generator = np.random.Generator(np.random.PCG64(seed))
    areas = []
    for row in generator.standard_exponential((draws, len(order) + 1)):
        weights = [row[1 + order.index(patient)] / size for patient, size in zip(patients, sizes, strict=True)]
        extra = -9e9 if worst_in == "positive" else 9e9
        areas.append(slow_area([*scores, extra], [*positive, worst_in == "positive"], [*weights, row[0]]))
    return np.sort(areas)


def example(seed, patients=9, studies=16):
    generator = np.random.default_rng(seed)
    owners = [f"p{number}" for number in generator.integers(0, patients, studies)]
    scores = np.round(generator.normal(size=studies), 1)
    positive = generator.random(studies) < 0.4
    positive[:2] = True, False
    return scores.tolist(), positive.tolist(), owners


@pytest.mark.parametrize("seed", range(6))
def test_the_draws_are_the_rule_written_again(seed):
    scores, positive, patients = example(seed)
    cohort = area_cohort(scores, positive, patients)
    of_positives, of_negatives = cohort.class_patients
    classes = ["positive"] * (of_positives <= of_negatives) + ["negative"] * (of_negatives <= of_positives)
    drawn = area_draws(cohort, draws=40, seed=3)
    expected = [slow_draws(scores, positive, patients, worst_in=name, draws=40, seed=3) for name in classes]
    np.testing.assert_allclose(drawn.low, expected, atol=1e-12)
    turned = [-score for score in scores]
    expected = [slow_draws(turned, positive, patients, worst_in=name, draws=40, seed=3) for name in classes]
    np.testing.assert_allclose(1 - drawn.high[:, ::-1], expected, atol=1e-12)


def test_the_area_of_the_cohort_by_patient_and_by_study():
    scores, positive, patients = example(0)
    result = judge_area(area_cohort(scores, positive, patients), Claim("at_least", 0.5), draws=50)
    sizes = [1 / patients.count(patient) for patient in patients]
    assert result.value == pytest.approx(slow_area(scores, positive, sizes))
    assert result.study_value == pytest.approx(slow_area(scores, positive, [1.0] * len(scores)))


def test_perfect_separation_is_the_exact_test_of_a_rate():
    result = judge_area(cohort_of(range(10, 15), range(5)), Claim("at_least", 0.5))
    assert result.value == 1.0
    assert result.low == pytest.approx(0.025 ** (1 / 5), abs=0.012)
    assert result.high == 1.0
    assert result.best_reachable == pytest.approx(0.025 ** (1 / 5))
    assert result.decision == "INCONCLUSIVE"
    assert judge_area(cohort_of(range(10, 16), range(6)), Claim("at_least", 0.5)).decision == "MET"
    unequal = judge_area(cohort_of(range(10, 15), range(9)), Claim("at_least", 0.5))
    assert unequal.low == pytest.approx(0.025 ** (1 / 5), abs=0.012)


def test_a_constant_larger_class_is_clopper_and_pearson():
    """All negatives alike: the area is the rate of positives above them."""
    result = judge_area(cohort_of([1] * 17 + [-1] * 3, [0] * 60), Claim("at_least", 0.5))
    assert result.low == pytest.approx(beta.ppf(0.025, 17, 4), abs=0.01)
    assert result.high == pytest.approx(beta.ppf(0.975, 18, 3), abs=0.01)


def test_which_class_is_called_positive_decides_nothing():
    generator = np.random.default_rng(1)
    scores, positive = generator.normal(size=20), np.arange(20) < 10
    there = judge_area(area_cohort(scores.tolist(), positive.tolist(), names(20)), Claim("at_least", 0.4))
    back = judge_area(area_cohort((-scores).tolist(), (~positive).tolist(), names(20)), Claim("at_least", 0.4))
    assert (there.low, there.high, there.p_low) == pytest.approx((back.low, back.high, back.p_low))


def test_the_bounds_are_where_the_p_values_pass_alpha_in_the_worse_class():
    generator = np.random.default_rng(5)
    drawn = area_draws(cohort_of(generator.normal(1, 1, 8).round(1), generator.normal(0, 2, 8).round(1)))
    assert len(drawn.low) == len(drawn.high) == 2
    low, high = drawn.interval(0.025)
    assert drawn.p_low(low - 1e-3) <= 0.025 < drawn.p_low(low + 1e-3)
    assert drawn.p_high(high + 1e-3) <= 0.025 < drawn.p_high(high - 1e-3)
    assert drawn.p_low(low + 1e-3) > (drawn.low <= low + 1e-3).mean(axis=1).min()


def test_neither_the_scale_of_the_scores_nor_the_order_of_the_studies_matters():
    scores, positive, patients = example(2)
    claim = Claim("at_least", 0.5)
    result = judge_area(area_cohort(scores, positive, patients), claim, draws=500)
    stretched = judge_area(area_cohort([np.exp(score) for score in scores], positive, patients), claim, draws=500)
    assert stretched == result
    order = np.random.default_rng(3).permutation(len(scores))
    shuffled = ([values[place] for place in order] for values in (scores, positive, patients))
    other = judge_area(area_cohort(*shuffled), claim, draws=500)
    assert (other.low, other.high) == pytest.approx((result.low, result.high), abs=1e-12)


@pytest.mark.parametrize("seed", range(150))
def test_no_draw_falls_when_a_positive_scores_more_or_a_negative_less(seed):
    scores, positive, patients = example(seed)
    better = list(scores)
    place = seed % len(scores)
    better[place] += (1 if positive[place] else -1) * abs(np.random.default_rng(seed).normal())
    before, after = (area_draws(area_cohort(values, positive, patients), draws=200) for values in (scores, better))
    assert (after.low >= before.low - 1e-12).all()
    assert (after.high >= before.high - 1e-12).all()


def test_a_missing_score_is_the_worst_and_the_best():
    scores, positive, patients = example(4)
    whole = area_cohort(scores, positive, patients)
    holes = list(scores)
    holes[0] = holes[1] = None  # a positive and a negative
    worst, best = list(scores), list(scores)
    worst[0], worst[1], best[0], best[1] = -99, 99, 99, -99
    drawn = area_draws(area_cohort(holes, positive, patients), draws=100)
    np.testing.assert_allclose(drawn.low, area_draws(area_cohort(worst, positive, patients), draws=100).low)
    np.testing.assert_allclose(drawn.high, area_draws(area_cohort(best, positive, patients), draws=100).high)
    assert (drawn.low <= area_draws(whole, draws=100).low + 1e-12).all()


def test_missing_patients_are_counted():
    positive, patients = [True, True, False, False], ["a", "b", "c", "d"]
    cohort = area_cohort([2.0, None, 1.0, 0.0], positive, patients)
    assert (cohort.n_missing, cohort.missing_share) == (1, 0.25)
    result = judge_area(cohort, Claim("at_least", 0.01), draws=100)
    assert (result.decision, result.n_patients, result.n_missing) == ("INCONCLUSIVE", 4, 1)
    assert result.reason.startswith("25 % have no score")


def test_without_a_class_there_is_no_area():
    for cohort in (cohort_of([1.0, 2.0], []), cohort_of([], []), area_cohort([None], [True], ["a"])):
        result = judge_area(cohort, Claim("at_least", 0.5, maximum_missing=1), draws=100)
        assert (result.value, result.low, result.high) == (None, 0.0, 1.0)
        assert (result.decision, result.best_reachable) == ("INCONCLUSIVE", 0.0)


def test_at_most_is_mirrored():
    low = judge_area(cohort_of(range(8), range(10, 30)), Claim("at_most", 0.5))
    assert (low.decision, low.value) == ("MET", 0.0)
    assert low.best_reachable == pytest.approx(1 - 0.025 ** (1 / 8))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: area_cohort([1.0], [True, False], ["a"]), "as many as the studies, not 1, 2 and 1"),
        (lambda: area_cohort([float("nan")], [True], ["a"]), "one is not a number"),
        (lambda: judge_area(cohort_of([1], [0]), Claim("at_least", 1.2)), "bound lies within 0 and 1, not 1.2"),
    ],
)
def test_what_has_no_area_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(("positives", "negatives"), [(3, 3), (2, 3)])
def test_no_better_score_worsens_an_answer_and_none_in_place_of_a_missing_one_loses_a_met(positives, negatives):
    """Exhaustive: every patient scores 0, 1 or 2 or is missing; each is made better in every way there is."""
    size = positives + negatives
    cohorts = list(itertools.product((None, 0.0, 1.0, 2.0), repeat=size))[:: 7 if size > 5 else 1]
    truth, draws = [True] * positives + [False] * negatives, 30
    known = {}

    def drawn(scores):
        if scores not in known:
            known[scores] = area_draws(area_cohort(scores, truth, names(size)), draws=draws)
        return known[scores]

    compared = 0
    for scores in cohorts:
        place = compared % size
        for better in (None, 0.0, 1.0, 2.0):
            old, sign = scores[place], 1 if truth[place] else -1
            if better is None or (old is not None and sign * (better - old) <= 0):
                continue
            before, after = drawn(scores), drawn((*scores[:place], better, *scores[place + 1 :]))
            assert (after.low >= before.low - 1e-12).all()
            assert old is None or (after.high >= before.high - 1e-12).all()
        compared += 1
    assert compared > 500


def test_a_perfect_patient_more_shows_no_less():
    """Of either class, where that makes the other one the smaller too; beyond what the draws differ by chance."""
    for positives, negatives in (([5] * 5, [0] * 5 + [9]), ([5] * 6, [0] * 4 + [9]), ([5, 5, 2], [0, 3, 3])):
        before = area_draws(cohort_of(positives, negatives)).p_low(0.5)
        assert area_draws(cohort_of([*positives, 99], negatives)).p_low(0.5) < before + 0.02
        assert area_draws(cohort_of(positives, [*negatives, -99])).p_low(0.5) < before + 0.02


def test_so_many_draws_show_no_smaller_probability():
    """Fifty against fifty, apart: the true probability is 0.5 ** 50, and 10,000 draws say 1 in 10,001 at best."""
    cohort = cohort_of([1.0] * 50, [0.0] * 50)
    assert area_draws(cohort).p_low(0.5) == pytest.approx(1 / 10_001)
    sure = judge_area(cohort, Claim("at_least", 0.5, confidence=0.9997))
    assert (sure.decision, sure.low) == ("MET", pytest.approx(sure.claim.alpha ** (1 / 50), abs=0.06))
    surer = judge_area(cohort, Claim("at_least", 0.5, confidence=0.9999))
    assert (surer.decision, surer.low, surer.high) == ("INCONCLUSIVE", 0.0, 1.0)
