import itertools

import numpy as np
import pytest
from scipy.stats import beta

from pipeline.evidence.exact import means
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.means import (
    best_reachable,
    decide_mean,
    exact_interval,
    judge_mean,
    lower_bound,
    p_high,
    p_low,
    smallest_cohort,
    upper_bound,
)
from pipeline.evidence.exact.scores import one_study_each, patient_scores
from pipeline.evidence.exact.tail import tail
from tests.oracles.exponential_race import race

RANK = {"NOT MET": 0, "INCONCLUSIVE": 1, "MET": 2}


def clopper_pearson(hits, patients, alpha=0.025):
    low = beta.ppf(alpha, hits, patients - hits + 1) if hits else 0.0
    high = beta.ppf(1 - alpha, hits + 1, patients - hits) if hits < patients else 1.0
    return low, high


@pytest.mark.parametrize("patients", [1, 2, 10, 50])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_of_hits_is_clopper_and_pearsons(patients, confidence):
    for hits in range(patients + 1):
        low, high = exact_interval([1] * hits + [0] * (patients - hits), confidence)
        expected = clopper_pearson(hits, patients, (1 - confidence) / 2)
        assert (low, high) == pytest.approx(expected, abs=1.1e-8)
        assert low <= expected[0] + 1e-9  # eight decimals, outwards
        assert high >= expected[1] - 1e-9
        assert (low, high) == (round(low, 8), round(high, 8))


def test_every_hits_of_every_cohort_up_to_fifty_stand_on_the_beta_quantiles():
    """The p-value of k hits of n at Clopper's and Pearson's own bound is alpha: for all 1,275 k and n."""
    cells = [(hits, patients) for patients in range(1, 51) for hits in range(1, patients + 1)]
    bounds = np.array([clopper_pearson(hits, patients)[0] for hits, patients in cells])
    lam = np.stack([1 - bounds, -bounds], axis=1)
    counts = np.array([[hits, patients - hits + 1] for hits, patients in cells], dtype=float)
    np.testing.assert_allclose(tail(lam, counts), 0.025, atol=1e-10)
    for hits, patients in cells[::5]:
        low, high = clopper_pearson(hits, patients)
        scores = [1] * hits + [0] * (patients - hits)
        assert p_low(scores, low) == pytest.approx(0.025, abs=1e-9)
        assert p_high(1 - np.array(scores), 1 - low) == pytest.approx(0.025, abs=1e-9)
        if high < 1:
            assert p_high(scores, high) == pytest.approx(0.025, abs=1e-9)


def test_another_packages_published_example():
    """Of the package gaffke: three answers 1, five 2 and two 3, on a scale of 1 to 3: 1.4276 to 2.4186."""
    low, high = exact_interval([0] * 3 + [0.5] * 5 + [1] * 2, 0.95)
    assert (1 + 2 * low, 1 + 2 * high) == pytest.approx((1.4276, 2.4186), abs=1e-4)


def test_by_hand():
    # a single patient: P(E1 (x - b) < E0 b) = b / x where b < x
    assert p_low([0.8], 0.2) == pytest.approx(0.25)
    assert p_high([0.2], 0.8) == pytest.approx(0.25)
    assert lower_bound([0.8], 0.025) == pytest.approx(0.02)
    assert upper_bound([0.8], 0.025) == pytest.approx(1 - 0.2 * 0.025)
    assert p_low([0.8], 0.9) == 1.0
    assert p_low([], 0.4) == 1.0
    assert exact_interval([], 0.95) == (0.0, 1.0)


def test_ten_of_ten_beat_nine_of_ten():
    nine, ten = (one_study_each([1] * hits + [0] * (10 - hits)) for hits in (9, 10))
    claim = Claim("at_least", 0.6)
    assert judge_mean(ten, claim).decision == "MET"
    assert judge_mean(nine, claim).decision == "INCONCLUSIVE"
    assert judge_mean(ten, claim).low == pytest.approx(0.025 ** (1 / 10))


def test_at_the_ends_of_the_scale():
    assert p_low([0.0] * 5, 0) == 1.0
    assert p_low([0.0] * 4 + [1e-9], 0) == 0.0
    assert p_low([1.0] * 5, 1) == 1.0
    assert p_high([1.0] * 5, 1) == 1.0
    assert p_high([1.0] * 4 + [1 - 1e-9], 1) == 0.0
    assert p_low([0.5] * 5, 1e-320) == pytest.approx(0.0, abs=1e-12)
    assert exact_interval([0.0] * 1000, 0.95) == pytest.approx((0, 1 - 0.025 ** (1 / 1000)), abs=1e-8)
    assert exact_interval([1.0] * 1000, 0.95) == pytest.approx((0.025 ** (1 / 1000), 1), abs=1e-8)


def test_scores_at_the_bound_decide_nothing_and_hold_against_the_worst_case():
    # all scores at the bound: the sum is -E0 b, always below
    assert p_low([0.7] * 50, 0.7) == 1.0
    assert p_high([0.7] * 50, 0.7) == 1.0
    assert judge_mean(one_study_each([0.7] * 50), Claim("at_least", 0.7)).decision == "INCONCLUSIVE"


@pytest.mark.parametrize("seed", range(30))
def test_random_cohorts_agree_with_the_race(seed):
    generator = np.random.default_rng(seed)
    patients = int(generator.integers(1, 80))
    scores = [
        generator.beta(3, 0.3, patients),
        0.6 + 1e-12 * generator.integers(-3, 4, patients),
        generator.integers(0, 2, patients).astype(float),
        np.round(generator.random(patients), 1),
        np.clip(generator.random(patients) * 1e-6, 0, 1),
    ][seed % 5]
    weights = None if seed % 2 else generator.integers(1, 6, patients).astype(float)
    masses = np.ones(patients) if weights is None else weights
    for bound in (0.05, 0.3, 0.6, 0.95):
        lam = [*(masses * (scores - bound)), -masses.max() * bound]
        assert p_low(scores, bound, weights=weights) == pytest.approx(race([float(x) for x in lam]), abs=1e-9)
        lam = [*(masses * (bound - scores)), -masses.max() * (1 - bound)]
        assert p_high(scores, bound, weights=weights) == pytest.approx(race([float(x) for x in lam]), abs=1e-9)


def test_five_thousand_patients():
    generator = np.random.default_rng(0)
    scores = generator.beta(8, 4, 5000)
    low, high = exact_interval(scores, 0.95)
    assert low < scores.mean() < high
    half = 1.96 * scores.std() / 5000**0.5
    assert (low, high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=3e-4)


def test_the_bounds_are_where_the_p_values_pass_alpha():
    scores = np.random.default_rng(1).beta(2, 1, 40)
    low, high = exact_interval(scores, 0.9)
    assert p_low(scores, low - 1e-6) < 0.05 < p_low(scores, low + 1e-6)
    assert p_high(scores, high + 1e-6) < 0.05 < p_high(scores, high - 1e-6)


def p_of(cohorts, bounds):
    """Return p_low of every cohort (cohorts, patients) at every bound, (cohorts, bounds)."""
    lam = cohorts[:, None, :] - bounds[None, :, None]
    worst = np.broadcast_to(-bounds[None, :, None], (*lam.shape[:2], 1))
    rows = np.concatenate([lam, worst], axis=2).reshape(-1, cohorts.shape[1] + 1)
    return tail(rows).reshape(len(cohorts), len(bounds))


def multisets(values, patients):
    return np.array(list(itertools.combinations_with_replacement(values, patients)))


@pytest.mark.parametrize(
    ("values", "patients"),
    [([0, 1], 12), ([0, 0.5, 1], 8), (sorted({k / m for m in range(1, 6) for k in range(m + 1)}), 3)],
)
def test_no_single_raise_worsens_a_verdict(values, patients):
    """Exhaustive: every cohort of so many patients, every score raised to every larger one, a grid of bounds."""
    bounds = np.linspace(0.05, 0.95, 19)
    cohorts = multisets(values, patients)
    place = {tuple(cohort): number for number, cohort in enumerate(cohorts)}
    low, high = p_of(cohorts, bounds), p_of(1 - cohorts[:, ::-1], 1 - bounds)
    rank = (low <= 0.025).astype(int) - (high <= 0.025)
    checked = 0
    for number, cohort in enumerate(cohorts):
        for position, larger in itertools.product(range(patients), values):
            if larger > cohort[position]:
                raised = place[tuple(sorted([*np.delete(cohort, position), larger]))]
                assert (low[raised] <= low[number] + 1e-9).all()
                assert (high[raised] >= high[number] - 1e-9).all()
                assert (rank[raised] >= rank[number]).all()
                checked += 1
    assert checked >= patients * (patients + 1) / 2


@pytest.mark.parametrize(("values", "patients"), [([0, 0.5, 1], 8), ([0, 0.2, 0.7, 0.9, 1], 5)])
def test_no_patient_at_or_above_the_bound_loses_a_met(values, patients):
    bounds = np.linspace(0.05, 0.95, 19)
    cohorts = multisets(values, patients)
    before = p_of(cohorts, bounds)
    for new in np.unique([*bounds, *values]):
        after = p_of(np.concatenate([cohorts, np.full((len(cohorts), 1), new)], axis=1), bounds)
        at_or_above = bounds <= new
        assert (after[:, at_or_above] <= before[:, at_or_above] + 1e-9).all()


@pytest.mark.parametrize("side", ["at_least", "at_most"])
def test_no_better_score_worsens_the_decision_on_a_cohort(side):
    """Exhaustive, by the function that decides: five patients who score 0, 0.5 or 1 or are missing, each improved."""
    order = [None, 0.0, 0.5, 1.0] if side == "at_least" else [None, 1.0, 0.5, 0.0]
    seen = set()
    for bound in (0.25, 0.5, 0.75):
        claim = Claim(side, bound, 0.9, maximum_missing=1)
        answers = {
            cohort: decide_mean(one_study_each([order[place] for place in cohort]), claim)[0]
            for cohort in itertools.combinations_with_replacement(range(4), 5)
        }
        seen |= set(answers.values())
        for cohort, answer in answers.items():
            for number, place in enumerate(cohort):
                for better in range(place + 1, 4):
                    after = answers[tuple(sorted([*cohort[:number], better, *cohort[number + 1 :]]))]
                    assert RANK[after] >= RANK[answer] or (place == 0 and answer != "MET")
    assert seen == set(RANK)


def test_no_score_in_place_of_a_missing_one_loses_a_met():
    for cohort in itertools.combinations_with_replacement([0.0, 0.5, 1.0], 6):
        for missing in (1, 2):
            for score in (0.0, 0.3, 1.0):
                for bound in (0.1, 0.3, 0.5):
                    before = p_low(cohort, bound, missing=missing)
                    assert p_low([*cohort, score], bound, missing=missing - 1) <= before + 1e-9


def test_the_missing_count_against_the_claim_on_both_sides():
    scores = [1.0] * 20
    assert p_low(scores, 0.5, missing=3) == pytest.approx(p_low([*scores, 0, 0, 0], 0.5))
    assert p_high(scores, 0.9, missing=3) == pytest.approx(p_high([*scores, 1, 1, 1], 0.9))
    low, high = exact_interval(scores, 0.95, missing=3)
    assert (low, high) == pytest.approx((clopper_pearson(20, 23)[0], 1.0))
    result = judge_mean(one_study_each(scores, missing=2), Claim("at_least", 0.7))
    assert (result.decision, result.value, result.n_patients, result.n_missing) == ("MET", 1.0, 22, 2)
    assert (result.low, result.best_reachable) == pytest.approx((clopper_pearson(20, 22)[0],) * 2)
    holes = judge_mean(one_study_each([1.0, 0.2, 0.4], missing=2), Claim("at_least", 0.7, maximum_missing=1))
    assert holes.p_low == pytest.approx(p_low([1.0, 0.2, 0.4, 0, 0], 0.7))
    assert holes.p_high == pytest.approx(p_high([1.0, 0.2, 0.4, 1, 1], 0.7))
    assert holes.low == pytest.approx(exact_interval([1.0, 0.2, 0.4, 0, 0], 0.95)[0])
    assert holes.high == pytest.approx(exact_interval([1.0, 0.2, 0.4, 1, 1], 0.95)[1])
    assert exact_interval([0.2] * 9, 0.95, missing=1) == pytest.approx(
        (exact_interval([0.2] * 9 + [0], 0.95)[0], exact_interval([0.2] * 9 + [1], 0.95)[1])
    )


def test_too_many_missing_decide_nothing():
    cohort = one_study_each([1.0] * 80, missing=20)
    claim = Claim("at_least", 0.5)
    assert judge_mean(cohort, claim).decision == "INCONCLUSIVE"
    assert judge_mean(cohort, claim).reason == "20 % have no score, more than the 10 % that may be missing"
    assert decide_mean(cohort, claim)[0] == "INCONCLUSIVE"
    assert judge_mean(cohort, Claim("at_least", 0.5, maximum_missing=0.2)).decision == "MET"
    assert judge_mean(one_study_each([1.0] * 90, missing=10), claim).decision == "MET"


def test_at_most_is_at_least_of_what_is_left():
    scores = np.random.default_rng(2).beta(1, 4, 30)
    at_most = judge_mean(one_study_each(scores.tolist()), Claim("at_most", 0.4))
    at_least = judge_mean(one_study_each((1 - scores).tolist()), Claim("at_least", 0.6))
    assert at_most.decision == at_least.decision == "MET"
    assert (at_most.low, at_most.high) == pytest.approx((1 - at_least.high, 1 - at_least.low))
    assert (at_most.p_met, at_most.p_not_met) == pytest.approx((at_least.p_met, at_least.p_not_met))
    assert at_most.best_reachable == pytest.approx(1 - at_least.best_reachable)


def test_a_decision_without_an_interval_is_the_same():
    generator = np.random.default_rng(3)
    for bound in (0.2, 0.5, 0.65, 0.8):
        cohort = one_study_each(generator.beta(2, 1, 60).tolist(), missing=2)
        for side in ("at_least", "at_most"):
            result = judge_mean(cohort, Claim(side, bound))
            assert decide_mean(cohort, Claim(side, bound)) == (result.decision, result.p_low, result.p_high)


def test_the_two_p_values_are_never_both_small():
    generator = np.random.default_rng(4)
    for _ in range(200):
        scores = generator.beta(0.3, 0.3, int(generator.integers(1, 30)))
        bound = generator.random()
        assert p_low(scores, bound) + p_high(scores, bound) >= 1 - 1e-9


def test_by_study_a_patient_weighs_as_his_studies():
    cohort = patient_scores([1, 1, 0, 1], ["a", "a", "b", "b"], unit="study")
    result = judge_mean(cohort, Claim("at_least", 0.3))
    assert result.p_low == pytest.approx(race([2 * 0.7, 2 * 0.2, -2 * 0.3]))
    sizes = patient_scores([1, 1, 1], ["a", "b", "b"], unit="study")
    assert judge_mean(sizes, Claim("at_least", 0.3)).p_low == pytest.approx(race([0.7, 1.4, -0.6]))
    capped = patient_scores([1, 1, 1], ["a", "b", "b"], unit="study", size_cap=5)
    assert judge_mean(capped, Claim("at_least", 0.3)).p_low == pytest.approx(race([0.7, 1.4, -1.5]))


def test_the_smallest_cohort_and_the_best_bound():
    bounds = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    assert [smallest_cohort(bound, 0.95) for bound in bounds] == [6, 8, 11, 17, 23, 36, 72]
    for bound in bounds:
        patients = smallest_cohort(bound, 0.95)
        assert judge_mean(one_study_each([1.0] * patients), Claim("at_least", bound)).decision == "MET"
        assert judge_mean(one_study_each([1.0] * (patients - 1)), Claim("at_least", bound)).decision == "INCONCLUSIVE"
    assert (smallest_cohort(0, 0.95), smallest_cohort(1, 0.95)) == (1, None)
    assert smallest_cohort(0.05 ** (1 / 3), 0.9) == 3
    assert best_reachable(10, 0.95) == pytest.approx(exact_interval([1] * 10, 0.95)[0])
    assert best_reachable(0, 0.95) == 0.0


SPANS = [((0.0, 1.0), lambda generator: generator.beta(2, 1, 23)), ((-1.0, 1.0), lambda g: g.uniform(-0.5, 1, 17)),
         ((0.0, 50.0), lambda generator: generator.uniform(0, 50, 9)), ((0.0, 1.0), lambda generator: np.ones(7)),
         ((0.0, 1.0), lambda generator: np.zeros(7))]  # fmt: skip


@pytest.mark.parametrize(("span", "draw"), SPANS)
def test_a_bound_that_a_record_states_is_confirmed_and_not_searched_for(span, draw, monkeypatch):
    cohort = one_study_each(draw(np.random.default_rng(3)).tolist(), missing=1, span=span)
    interval = means.mean_interval_of(cohort, 0.95)
    asked = []
    monkeypatch.setattr(means, "p_low", lambda *given, **named: asked.append(1) or p_low(*given, **named))
    assert means.mean_interval_of(cohort, 0.95, [(0.1, 0.2), interval]) == interval
    assert len(asked) <= 2 * 2 + 2 * 2  # two p-values for each bound, and for each that is stated beside it
    result = judge_mean(cohort, Claim("at_least", span[0]), [interval])
    assert (result.low, result.high) == interval


def test_a_bound_of_more_decimals_is_none():
    scores = [1.0] * 9 + [0.0]
    low, high = lower_bound(scores, 0.025), upper_bound(scores, 0.025)
    assert lower_bound(scores, 0.025, stated=[low + 1e-10, low + 1e-9]) == low
    assert upper_bound(scores, 0.025, stated=[high - 1e-10, high - 1e-9]) == high


@pytest.mark.parametrize(("span", "draw"), SPANS)
def test_a_bound_that_does_not_hold_is_not_believed(span, draw):
    cohort = one_study_each(draw(np.random.default_rng(4)).tolist(), missing=1, span=span)
    low, high = means.mean_interval_of(cohort, 0.95)
    step = 1e-8 * (span[1] - span[0])
    for move in (step, -step, 2e-8, 1e-9, -1e-9, 1e-15, 0.01, -0.01, 5.0, float("inf"), float("nan")):
        stated = [(low + move, high), (low, high + move), (low + move, high - move)]
        assert means.mean_interval_of(cohort, 0.95, stated) == (low, high)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: p_low([1.1], 0.5), "scores lie within 0 and 1"),
        (lambda: p_low([float("nan")], 0.5), "scores lie within 0 and 1"),
        (lambda: p_low([0.5], 1.5), "bound lies within 0 and 1, not 1.5"),
        (lambda: p_low([0.5], 0.5, weights=[0.0]), "weights are positive"),
        (lambda: p_low([0.5], 0.5, weights=[1.0, 1.0]), "weights are positive"),
        (lambda: exact_interval([0.5], 0.8), "confidence is at least 0.9 and below 1, not 0.8"),
        (lambda: Claim("at_least", 0.5, 0.89), "confidence is at least 0.9"),
        (lambda: Claim("at_least", 0.5, 1.0), "confidence is at least 0.9"),
        (lambda: Claim("above", 0.5), "side is at_least or at_most"),
        (lambda: Claim("at_least", float("inf")), "bound is a finite number"),
        (lambda: Claim("at_least", 0.5, maximum_missing=10), "maximum_missing lies within 0 and 1"),
        (lambda: judge_mean(one_study_each([0.5]), Claim("at_least", 2)), "bound lies within 0 and 1"),
    ],
)
def test_what_no_cohort_could_answer_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
