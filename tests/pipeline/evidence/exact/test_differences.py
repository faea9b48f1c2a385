import numpy as np
import pytest
from scipy.stats import binom, binomtest

from pipeline.evidence.exact.differences import (
    difference_scores,
    equivalence,
    non_inferiority,
    paired_differences,
    superiority,
    win_scores,
    wins,
)
from tests.oracles.exponential_race import race

SMALL = [(6, 0, 0), (6, 0, 20), (5, 0, 20), (9, 1, 3), (12, 4, 0), (3, 9, 2)]


def patients_of(values):
    return [f"p{number}" for number in range(len(values))]


def test_the_first_is_better_by_the_metrics_own_direction():
    assert paired_differences([0.5, None, 0.2], [0.2, 0.1, None]) == [pytest.approx(0.3), None, None]
    assert paired_differences([3.0], [10.0], lower_is_better=True) == [7.0]
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        paired_differences([0.5], [])


@pytest.mark.parametrize("seed", range(5))
def test_a_mean_difference_is_tested_on_half_its_scale(seed):
    values = np.random.default_rng(seed).uniform(-0.5, 1, 20)
    result = superiority(difference_scores(values.tolist(), patients_of(values)), by=0.1)
    assert result.p_low == pytest.approx(race([*(values - 0.1), -1.1]), abs=1e-9)
    assert result.p_high == pytest.approx(race([*(0.1 - values), -0.9]), abs=1e-9)
    assert -1 <= result.low < result.value < result.high <= 1
    assert result.value == pytest.approx(values.mean())


@pytest.mark.parametrize(("better", "worse", "ties"), SMALL)
def test_wins_are_the_exact_sign_test_without_the_ties(better, worse, ties):
    differences = [0.01] * better + [-0.9] * worse + [0.0] * ties
    result = wins(win_scores(differences, patients_of(differences)))
    sign_test = binomtest(better, better + worse, 0.5, alternative="greater").pvalue
    assert result.p_low == pytest.approx(sign_test, abs=1e-9)
    assert (result.decision == "MET") == (sign_test <= 0.025)


def test_paired_hits_are_mcnemars_exact_test():
    first = [1] * 9 + [0] + [1] * 30 + [0] * 5
    second = [0] * 9 + [1] + [1] * 30 + [0] * 5
    differences = paired_differences(first, second)
    result = wins(win_scores(differences, patients_of(differences)))
    assert result.p_low == pytest.approx(binom.sf(8, 10, 0.5), abs=1e-9)


def test_a_patient_wins_once_by_his_mean():
    cohort = win_scores([0.3, -0.2, -0.1, 0.4, None], ["a", "a", "b", "c", "c"])
    assert cohort.low.tolist() == [1, 0, 0]
    assert cohort.high.tolist() == [1, 0, 1]
    by_study = win_scores([0.3, -0.2, -0.1, 0.0], ["a", "a", "b", "b"], unit="study")
    assert by_study.low.tolist() == [0.5, 0.25]


def test_non_inferiority_at_the_margin():
    equal = difference_scores([0.0] * 200, patients_of(range(200)))
    assert non_inferiority(equal, margin=0.05).decision == "MET"
    assert superiority(equal).decision == "INCONCLUSIVE"
    assert non_inferiority(equal, margin=0.001).decision == "INCONCLUSIVE"
    worse = difference_scores([-0.2] * 200, patients_of(range(200)))
    assert non_inferiority(worse, margin=0.05).decision == "NOT MET"


def test_equivalence_needs_both_sides():
    patients = patients_of(range(200))
    near = equivalence(difference_scores([0.01, -0.01] * 100, patients), margin=0.05)
    assert (near.family.decision, near.above.decision, near.below.decision) == ("MET", "MET", "MET")
    assert near.family.p_met == pytest.approx((near.above.p_low, near.below.p_high))
    better = equivalence(difference_scores([0.2] * 200, patients), margin=0.05)
    assert (better.family.decision, better.above.decision, better.below.decision) == ("NOT MET", "MET", "NOT MET")
    unsure = equivalence(difference_scores([0.03, 0.09] * 100, patients), margin=0.05)
    assert unsure.family.decision == "INCONCLUSIVE"


def test_a_missing_difference_is_the_worst_of_both():
    result = superiority(difference_scores([0.5] * 30 + [None], patients_of(range(31))))
    assert result.p_low == pytest.approx(race([0.5] * 30 + [-1.0, -1.0]), abs=1e-9)
    assert result.p_high == 1.0


def test_a_cap_is_another_estimand_and_needs_fewer_patients():
    differences = [0.04] * 40 + [0.9] + [-0.9]
    whole = superiority(difference_scores(differences, patients_of(differences)))
    capped = superiority(difference_scores(differences, patients_of(differences), cap=0.05))
    assert capped.p_low < whole.p_low
    assert capped.value == pytest.approx(np.clip(differences, -0.05, 0.05).mean())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: difference_scores([0.1], ["a"], cap=0), "cap is a positive number, not 0"),
        (lambda: difference_scores([float("nan")], ["a"]), r"values\[0\]"),
        (lambda: non_inferiority(difference_scores([0.1], ["a"]), margin=0), "margin is a positive number, not 0"),
        (lambda: equivalence(difference_scores([0.1], ["a"]), margin=-0.1), "margin is a positive number, not -0.1"),
        (lambda: superiority(difference_scores([0.1], ["a"]), by=2), "bound lies within -1 and 1"),
    ],
)
def test_what_is_no_comparison_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
