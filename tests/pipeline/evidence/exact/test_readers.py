from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.readers import ReaderScores, judge_readers, reader_variance, usual_interval
from tests.oracles import van_dyke

APART = (van_dyke.pseudovalues(van_dyke.FIRST), van_dyke.pseudovalues(van_dyke.SECOND))


def cohort_of(scores, span=(0.0, 1.0)):
    scores = np.asarray(scores, dtype=np.float64)
    return ReaderScores(scores, scores, span, float(scores.mean()), scores.shape[1])


def drawn(seed, readers=4, patients=25):
    generator = np.random.default_rng(seed)
    effects = generator.normal(0, 0.1, (readers, 1)) + generator.normal(0, 0.2, patients)
    return np.clip(0.6 + effects + generator.normal(0, 0.1, (readers, patients)), 0, 1)


def test_van_dykes_difference_is_what_mrmcaov_publishes():
    varying = reader_variance(APART[0] - APART[1])
    published = van_dyke.DIFFERENCE
    assert varying.mean == pytest.approx(published["mean"], abs=1e-8)
    assert varying.variance**0.5 == pytest.approx(published["error"], abs=1e-8)
    assert varying.degrees == pytest.approx(published["degrees"], abs=1e-5)
    both_sides = 2 * t.sf(abs(varying.mean) / varying.variance**0.5, varying.degrees)
    assert both_sides == pytest.approx(0.05166569, abs=1e-8)
    interval = usual_interval(cohort_of(APART[0] - APART[1], (-1.0, 1.0)), 0.95)
    assert interval == pytest.approx(published["interval"], abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "published", "alone"),
    [
        (APART[0], van_dyke.FIRST_ALONE, van_dyke.ALONE["first"]),
        (APART[1], van_dyke.SECOND_ALONE, van_dyke.ALONE["second"]),
    ],
    ids=["first", "second"],
)
def test_each_kind_of_mri_alone_is_what_mrmcaov_publishes(scores, published, alone):
    varying = reader_variance(scores)
    assert varying.mean == pytest.approx(published["mean"], abs=1e-7)
    assert varying.mean_square == pytest.approx(published["mean_square"], rel=1e-6)
    assert varying.covariance == pytest.approx(published["covariance"], rel=1e-6)
    assert varying.degrees == pytest.approx(published["degrees"], abs=1e-5)
    assert varying.variance**0.5 == pytest.approx(alone[0], abs=1e-8)
    assert usual_interval(cohort_of(scores), 0.95) == pytest.approx(alone[1], abs=1e-7)


def unbiased_variance(scores):
    """The U-statistics' estimate, written out: the mean squared, less the mean product of scores that share nothing."""
    readers, patients = scores.shape
    apart = [
        scores[r, i] * scores[s, j]
        for r, s in product(range(readers), repeat=2)
        for i, j in product(range(patients), repeat=2)
        if r != s and i != j
    ]
    return scores.mean() ** 2 - np.mean(apart)


@pytest.mark.parametrize("seed", range(6))
def test_the_variance_is_that_of_u_statistics(seed):
    scores = drawn(seed, readers=3 + seed % 3, patients=12)
    assert reader_variance(scores).covariance > 0
    assert reader_variance(scores).variance == pytest.approx(unbiased_variance(scores), rel=1e-9)


def test_readers_that_contradict_each_other_share_no_negative_variance():
    scores = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0.0]])
    varying = reader_variance(scores)
    assert varying.covariance < 0
    assert varying.variance == pytest.approx(varying.mean_square / 3)


def test_of_two_p_values_the_larger_counts():
    """Readers of one mind: the patients' variance alone, on logits, with two degrees of freedom; or the exact test."""
    hits = np.tile([1.0] * 30 + [0.0] * 10, (3, 1))
    error = (0.75 * 0.25 / 39) ** 0.5 / (0.75 * 0.25)
    result = judge_readers(cohort_of(hits), Claim("at_least", 0.5))
    assert result.p_low == pytest.approx(t.sf(np.log(3) / error, 2))
    exact = judge_mean(cohort_of(hits).of_patients(), Claim("at_least", 0.5))
    assert exact.p_low < result.p_low
    lucky = np.tile([1.0] * 20, (9, 1))
    lucky[0, 0] = 0.999
    assert judge_readers(cohort_of(lucky), Claim("at_least", 0.8)).p_low == pytest.approx(
        judge_mean(cohort_of(lucky).of_patients(), Claim("at_least", 0.8)).p_low
    )


def test_without_any_spread_the_exact_test_decides():
    perfect = judge_readers(cohort_of(np.ones((3, 10))), Claim("at_least", 0.69))
    assert (perfect.decision, perfect.low) == ("MET", pytest.approx(0.025 ** (1 / 10), abs=1e-8))
    assert judge_readers(cohort_of(np.ones((3, 10))), Claim("at_least", 0.7)).decision == "INCONCLUSIVE"
    few = judge_readers(cohort_of(np.ones((3, 1))), Claim("at_least", 0.01))
    assert (few.decision, few.low, few.p_low) == ("INCONCLUSIVE", 0.0, 1.0)


def test_readers_who_differ_make_a_claim_harder():
    patients = np.random.default_rng(1).random(200) * 0.2
    alike, unlike = patients + 0.5 + np.zeros((3, 1)), patients + np.array([[0.3], [0.5], [0.7]])
    these = judge_mean(cohort_of(unlike).of_patients(), Claim("at_least", 0.5))
    assert (these.decision, judge_readers(cohort_of(alike), Claim("at_least", 0.5)).decision) == ("MET", "MET")
    result = judge_readers(cohort_of(unlike), Claim("at_least", 0.5))
    assert (result.decision, result.value) == ("INCONCLUSIVE", pytest.approx(these.value))
    assert result.low < these.low < these.high < result.high


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", ["at_least", "at_most"])
def test_the_bounds_are_where_the_p_values_pass_alpha(seed, side):
    cohort = cohort_of(drawn(seed) * 2 - 1, (-1.0, 1.0))
    result = judge_readers(cohort, Claim(side, 0.0))
    at_low, at_high = (judge_readers(cohort, Claim(side, end)) for end in (result.low, result.high))
    assert max(at_low.p_low, at_high.p_high) <= 0.025 + 1e-6
    inside = (judge_readers(cohort, Claim(side, end)) for end in (result.low + 1e-6, result.high - 1e-6))
    assert [each > 0.025 for each in (next(inside).p_low, next(inside).p_high)] == [True, True]
    assert result.low <= judge_mean(cohort.of_patients(), Claim(side, 0.0)).low


def test_turning_scores_round_turns_the_answer_round():
    scores = drawn(3)
    up = judge_readers(cohort_of(scores), Claim("at_least", 0.5))
    down = judge_readers(cohort_of(1 - scores), Claim("at_most", 0.5))
    assert (up.decision, up.p_met, up.p_not_met) == (
        down.decision,
        pytest.approx(down.p_met),
        pytest.approx(down.p_not_met),
    )
    assert (up.low, up.high) == pytest.approx((1 - down.high, 1 - down.low), abs=1e-8)


def test_what_a_reader_did_not_read_counts_against_every_claim():
    scores = np.full((3, 40), 0.9)
    low, high = scores.copy(), scores.copy()
    low[0, :5], high[0, :5] = 0, 1
    holes = ReaderScores(low, high, (0.0, 1.0), 0.9, 40)
    result = judge_readers(holes, Claim("at_least", 0.5))
    assert result.p_low >= judge_readers(cohort_of(low), Claim("at_least", 0.5)).p_low
    assert result.p_high >= judge_readers(cohort_of(high), Claim("at_least", 0.5)).p_high
    assert (result.missing_share, result.n_missing) == (pytest.approx(5 / 120), 0)
    low[:, :5], high[:, :5] = 0, 1
    gone = judge_readers(ReaderScores(low, high, (0.0, 1.0), 0.9, 40), Claim("at_least", 0.3))
    assert (gone.decision, gone.n_missing) == ("INCONCLUSIVE", 5)


def test_two_readers_are_too_few():
    with pytest.raises(ValueError, match="a claim about readers needs 3 or more, not 2"):
        judge_readers(cohort_of(drawn(0, readers=2)), Claim("at_least", 0.5))
    with pytest.raises(ValueError, match="needs two readers and two patients or more, not 3 and 1"):
        reader_variance(np.ones((3, 1)))
    assert usual_interval(cohort_of(np.ones((3, 1))), 0.95) is None
