import numpy as np
import pytest
from scipy.stats import binom

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.means import exact_interval, judge_mean
from pipeline.evidence.exact.planning import (
    area_power,
    patients_needed,
    plan_area,
    plan_mean,
    rate_power,
    shown_with_power,
    spread_power,
)
from pipeline.evidence.exact.scores import one_study_each


@pytest.mark.parametrize(("patients", "bound", "truth"), [(10, 0.5, 0.9), (36, 0.9, 0.98), (25, 0.3, 0.2)])
def test_a_rates_power_is_the_probability_of_the_hits_that_are_met(patients, bound, truth):
    claim = Claim("at_least", bound)
    met = [
        judge_mean(one_study_each([1.0] * hits + [0.0] * (patients - hits)), claim).decision == "MET"
        for hits in range(patients + 1)
    ]
    assert rate_power(patients, claim, truth) == pytest.approx(
        sum(binom.pmf(hits, patients, truth) for hits in range(patients + 1) if met[hits])
    )
    mirrored = rate_power(patients, Claim("at_most", 1 - bound), 1 - truth)
    assert mirrored == pytest.approx(rate_power(patients, claim, truth))


def test_patients_needed_for_rates():
    beyond = [(0.5, 820, 210), (0.7, 662, 167), (0.8, 494, 113), (0.9, 255, 36), (0.05, 234, 75)]
    for bound, near, far in beyond:
        claim = Claim("at_least", bound)
        assert (patients_needed(claim, bound + 0.05), patients_needed(claim, bound + 0.1)) == (near, far)
        powers = rate_power(np.arange(near - 1, near + 11), claim, bound + 0.05)
        assert powers[0] < 0.8
        assert (powers[1:] >= 0.8).all()


def test_what_no_cohort_can_show_needs_no_number():
    assert patients_needed(Claim("at_least", 0.97), 1.02) is None
    assert patients_needed(Claim("at_least", 0.5), 0.5001) is None
    assert patients_needed(Claim("at_least", 0.9), 1.0) == 36
    assert patients_needed(Claim("at_least", 0.9), 1.0, 0.1) is None


def test_graded_scores_need_fewer():
    claim = Claim("at_least", 0.5)
    assert 90 <= patients_needed(claim, 0.55, 1 / 6) <= 125
    assert 28 <= patients_needed(claim, 0.6, 1 / 6) <= 40
    assert spread_power(120, claim, 0.55, 1 / 6) >= 0.8
    assert spread_power(40, claim, 0.55, 1 / 6) < 0.5


def test_the_power_of_the_widest_spread_is_that_of_a_rate():
    claim, truth = Claim("at_most", 0.4), 0.2
    widest = spread_power(60, claim, truth, (truth * (1 - truth) - 1e-5) ** 0.5)
    assert widest == pytest.approx(float(rate_power(60, claim, truth)), abs=0.05)


def test_a_plan_says_what_the_cohort_at_hand_can_show():
    plan = plan_mean(Claim("at_least", 0.7), n_patients=20)
    assert (plan.smallest_cohort, plan.needed) == (11, ((0.05, 662), (0.1, 167)))
    assert plan.best_reachable == pytest.approx(exact_interval([1] * 20, 0.95)[0])
    assert plan.power[1] == (0.1, pytest.approx(float(rate_power(20, Claim("at_least", 0.7), 0.8))))
    unknown = plan_mean(Claim("at_least", 0.7))
    assert (unknown.best_reachable, unknown.power) == (None, ((0.05, None), (0.1, None)))


def test_a_plan_for_at_most_is_mirrored():
    plan = plan_mean(Claim("at_most", 0.3), n_patients=20)
    same = plan_mean(Claim("at_least", 0.7), n_patients=20)
    assert (plan.smallest_cohort, plan.needed, plan.power) == (same.smallest_cohort, same.needed, same.power)
    assert plan.best_reachable == pytest.approx(1 - same.best_reachable)


def test_a_plan_for_differences_is_in_their_unit():
    plan = plan_mean(Claim("at_least", 0.0), n_patients=100, span=(-1, 1), spread=0.15)
    needed = dict(plan.needed)
    assert 135 <= needed[0.05] <= 175
    assert 55 <= needed[0.1] <= 75
    assert plan.smallest_cohort == 6
    assert plan.best_reachable == pytest.approx(2 * 0.025 ** (1 / 100) - 1)


def test_what_a_cohort_shows_with_power():
    shown = [round(shown_with_power(patients, 0.8, 0.95), 2) for patients in (10, 15, 20, 30, 50, 100, 200)]
    assert shown == [0.35, 0.45, 0.51, 0.54, 0.62, 0.68, 0.71]
    assert shown_with_power(3, 0.0, 0.95) == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plan_mean(Claim("at_least", 1.5)), "bound lies within 0 and 1, as the scores do, not 1.5"),
        (lambda: plan_mean(Claim("at_least", 0.5), spread=0), "spread is a positive standard deviation, not 0"),
        (lambda: spread_power(10, Claim("at_least", 0.5), 0.6, 0.5), "no scores within 0 and 1 have the mean 0.6"),
    ],
)
def test_what_cannot_be_planned_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_area_is_planned_by_its_smaller_class():
    plan = plan_area(Claim("at_least", 0.5), class_patients=(40, 12), beyond=(0.3, 0.6))
    assert (plan.n_patients, plan.smallest_cohort) == (12, 6)
    assert plan.best_reachable == pytest.approx(0.025 ** (1 / 12))
    (_, needed), (_, beyond_one) = plan.needed
    assert 9 <= needed <= 16
    assert beyond_one is None
    assert plan.power[0][1] == pytest.approx(0.8, abs=0.2)
    assert plan.power[0][1] == area_power(12, 40, Claim("at_least", 0.5), 0.8)
    assert plan.power[0][1] != area_power(12, 12, Claim("at_least", 0.5), 0.8)
    assert plan.power[1] == (0.6, None)


def test_the_power_of_an_area_grows_with_the_patients_and_is_mirrored():
    claim = Claim("at_least", 0.6)
    few, many = area_power(8, 8, claim, 0.85), area_power(30, 30, claim, 0.85)
    assert few < 0.5 < 0.8 < many
    assert area_power(30, 30, Claim("at_most", 0.4), 0.15) == many


def test_an_unknown_cohort_has_no_power_of_an_area():
    plan = plan_area(Claim("at_most", 0.5), beyond=(0.4,))
    assert (plan.best_reachable, plan.power) == (None, ((0.4, None),))
    assert plan.needed[0][1] is not None
    empty = plan_area(Claim("at_least", 0.6), class_patients=(0, 9), beyond=(0.5,))
    assert (empty.n_patients, empty.best_reachable, empty.power) == (0, 0.0, ((0.5, None),))
    with pytest.raises(ValueError, match="bound lies within 0 and 1"):
        plan_area(Claim("at_least", 1.5))
