import numpy as np
import pytest
from scipy.stats import binom, binomtest

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.measures import capped, median_interval, within, won
from pipeline.evidence.exact.scores import one_study_each, patient_scores
from tests.oracles.exponential_race import race

SMALL = [(6, 0, 0), (6, 0, 20), (5, 0, 20), (9, 1, 3), (12, 4, 0), (3, 9, 2)]
DISTANCES = [float(number) for number in range(1, 21)]


def names(values):
    return [f"p{number}" for number, _ in enumerate(values)]


def median_of(distances, patients=None):
    values = np.array([np.nan if distance is None else distance for distance in distances], dtype=np.float64)
    owners = patients or names(distances)
    first = {owner: number for number, owner in enumerate(dict.fromkeys(owners))}
    return median_interval(values, np.array([first[owner] for owner in owners], dtype=np.intp), 0.025)


@pytest.mark.parametrize("seed", range(5))
def test_a_mean_difference_is_tested_on_half_its_scale(seed):
    values = np.random.default_rng(seed).uniform(-0.5, 1, 20)
    result = judge_mean(one_study_each(values.tolist(), span=(-1, 1)), Claim("at_least", 0.1))
    assert result.p_low == pytest.approx(race([*(values - 0.1), -1.1]), abs=1e-9)
    assert result.p_high == pytest.approx(race([*(0.1 - values), -0.9]), abs=1e-9)
    assert -1 <= result.low < result.value < result.high <= 1
    assert result.value == pytest.approx(values.mean())


@pytest.mark.parametrize(("better", "worse", "ties"), SMALL)
def test_wins_are_the_exact_sign_test_without_the_ties(better, worse, ties):
    differences = [0.01] * better + [-0.9] * worse + [0.0] * ties
    result = judge_mean(one_study_each(won(differences).tolist()), Claim("at_least", 0.5))
    sign_test = binomtest(better, better + worse, 0.5, alternative="greater").pvalue
    assert result.p_low == pytest.approx(sign_test, abs=1e-9)
    assert (result.decision == "MET") == (sign_test <= 0.025)


def test_paired_hits_are_mcnemars_exact_test():
    first = np.array([1] * 9 + [0] + [1] * 30 + [0] * 5)
    second = np.array([0] * 9 + [1] + [1] * 30 + [0] * 5)
    result = judge_mean(one_study_each(won(first - second).tolist()), Claim("at_least", 0.5))
    assert result.p_low == pytest.approx(binom.sf(8, 10, 0.5), abs=1e-9)


def test_a_win_needs_no_finite_difference():
    assert won([np.inf, -np.inf, 0.0, 1e-300]).tolist() == [1, 0, 0.5, 1]
    assert float(won(-3.0)) == 0


def test_a_missing_difference_is_the_worst_of_both():
    result = judge_mean(one_study_each([0.5] * 30 + [None], span=(-1, 1)), Claim("at_least", 0.0))
    assert result.p_low == pytest.approx(race([0.5] * 30 + [-1.0, -1.0]), abs=1e-9)
    assert result.p_high == 1.0


def test_a_cap_is_another_estimand_and_needs_fewer_patients():
    differences = [0.04] * 40 + [0.9] + [-0.9]
    whole = judge_mean(one_study_each(differences, span=(-1, 1)), Claim("at_least", 0.0))
    short = capped(differences, 0.05)
    at_cap = judge_mean(one_study_each(short.tolist(), span=(-0.05, 0.05)), Claim("at_least", 0.0))
    assert at_cap.p_low < whole.p_low
    assert short.tolist() == [0.04] * 40 + [0.05, -0.05]


def test_the_mean_of_capped_distances_is_in_mm():
    assert capped([10.0, 400.0, np.inf], 50).tolist() == [10, 50, 50]
    far = judge_mean(one_study_each([5.0] * 30, span=(0.0, 50.0)), Claim("at_most", 12))
    assert far.decision == "MET"
    assert 5 < far.high < 12


def test_what_lies_at_a_limit_is_within_it():
    assert within([3.0, 10.0, 10.1, np.inf], 10).tolist() == [1, 1, 0, 0]


def test_the_medians_bounds_are_order_statistics_of_the_binomial():
    # 20 distances: the 6th and the 15th, as every table of the sign interval has it
    assert median_of(DISTANCES) == (6.0, 15.0)
    assert median_of([*DISTANCES[:5], 5.5, *DISTANCES[6:]]) == (5.5, 15.0)
    assert median_of([7.0] * 20) == (7.0, 7.0)
    assert median_of(DISTANCES[:5]) == (None, None)
    assert median_of([]) == (None, None)


@pytest.mark.parametrize(
    ("limit", "answer"),
    [(5, "NOT MET"), (5.9, "NOT MET"), (6, "INCONCLUSIVE"), (14.9, "INCONCLUSIVE"), (15, "MET")],
)
def test_the_median_is_met_where_its_interval_lies_below(limit, answer):
    cohort = one_study_each(within(DISTANCES, limit).tolist())
    assert judge_mean(cohort, Claim("at_least", 0.5)).decision == answer


def test_a_missing_distance_lies_on_either_side():
    low, high = median_of([*DISTANCES, None, None])
    assert low < 6
    assert high > 15
    assert median_of([None] * 30) == (None, None)
    assert median_of([*[None] * 8, *[1.0] * 12]) == (None, None)


def test_a_distance_without_end_bounds_no_median_from_above():
    assert median_of([*DISTANCES[:12], *[np.inf] * 8]) == (6.0, np.inf)


def test_a_shorter_distance_never_lengthens_a_median():
    generator = np.random.default_rng(0)
    for _ in range(20):
        distances = generator.lognormal(2, 0.7, 16)
        shorter = distances.copy()
        shorter[generator.integers(16)] *= generator.random()
        patients = [f"p{number}" for number in generator.integers(0, 12, 16)]
        highs = [median_of(values.tolist(), patients)[1] or np.inf for values in (distances, shorter)]
        assert highs[1] <= highs[0]


def test_of_a_patient_with_several_studies_the_share_within_counts():
    """Four patients with one study would show nothing; nor do they with two each, which are no more patients."""
    assert median_of([1.0] * 8, [*"aabbccdd"]) == (None, None)
    assert median_of([1.0] * 12, [*"aabbccddeeff"]) == (1.0, 1.0)
    cohort = patient_scores(within([3.0, 10.1, 4.0], 10).tolist(), ["a", "a", "b"])
    assert cohort.low.tolist() == [0.5, 1]
