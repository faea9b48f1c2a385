import itertools

import numpy as np
import pytest

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.families import equivalence, holm, judge_family, judge_p_values
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.scores import one_study_each, patient_scores

RANK = {"NOT MET": 0, "INCONCLUSIVE": 1, "MET": 2}


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.01, 0.4, 0.01]) == pytest.approx((0.8, 0.04, 0.8, 0.04))
    assert holm([0.02]) == (0.02,)
    assert holm([0.9, 0.8]) == (1.0, 1.0)


def test_all_asks_every_member_without_correction():
    assert judge_p_values([0.02, 0.024], [1, 1], "all", 0.95).decision == "MET"
    assert judge_p_values([0.02, 0.026], [1, 1], "all", 0.95).decision == "INCONCLUSIVE"


def test_all_is_refuted_by_a_member_with_correction():
    refuted = judge_p_values([1, 0.001], [0.012, 1], "all", 0.95)
    assert (refuted.decision, refuted.members, refuted.worst) == ("NOT MET", ("NOT MET", "MET"), 0)
    assert judge_p_values([1, 0.001], [0.013, 1], "all", 0.95).decision == "INCONCLUSIVE"


def test_any_asks_for_holms_correction():
    shown = judge_p_values([0.012, 0.5], [1, 1], "any", 0.95)
    assert (shown.decision, shown.members) == ("MET", ("MET", "INCONCLUSIVE"))
    assert judge_p_values([0.013, 0.5], [1, 1], "any", 0.95).decision == "INCONCLUSIVE"
    # the second step of Holm: once one is shown the other needs no correction
    assert judge_p_values([0.012, 0.025], [1, 1], "any", 0.95).members == ("MET", "MET")


def test_any_is_refuted_by_all_members():
    assert judge_p_values([1, 1], [0.02, 0.024], "any", 0.95).decision == "NOT MET"
    assert judge_p_values([1, 1], [0.02, 0.03], "any", 0.95).decision == "INCONCLUSIVE"


def test_a_family_never_falls_when_a_members_p_value_does():
    levels = (0.001, 0.006, 0.011, 0.02, 0.03, 1.0)
    pairs = [(p, 1.0) for p in levels] + [(1.0, q) for q in reversed(levels)]
    for kind, members in itertools.product(("all", "any"), itertools.product(range(len(pairs)), repeat=3)):
        before = judge_p_values(*zip(*(pairs[member] for member in members), strict=True), kind, 0.95)
        for number, member in enumerate(members):
            if member > 0:
                better = [*members[:number], member - 1, *members[number + 1 :]]
                after = judge_p_values(*zip(*(pairs[place] for place in better), strict=True), kind, 0.95)
                assert RANK[after.decision] >= RANK[before.decision]


def test_the_worst_member_is_that_with_the_least_evidence_and_not_the_lowest_mean():
    many = judge_mean(one_study_each([0.8] * 200), Claim("at_least", 0.5))
    few = judge_mean(one_study_each([0.9] * 4), Claim("at_least", 0.5))
    family = judge_family([many, few], "all")
    assert family.worst == 1
    assert family.decision == "INCONCLUSIVE"
    assert family.reason == "0 of 2 members are NOT MET, 1 MET"


def test_a_member_with_too_much_missing_holds_up_all():
    good = judge_mean(one_study_each([1.0] * 50), Claim("at_least", 0.5))
    holes = judge_mean(one_study_each([1.0] * 50, missing=20), Claim("at_least", 0.5))
    assert holes.p_met < 0.025
    assert judge_family([good, holes], "all").decision == "INCONCLUSIVE"
    assert judge_family([good, holes], "any").decision == "MET"


def test_false_members_of_any_are_rarely_shown():
    generator = np.random.default_rng(0)
    p_values = generator.random((20_000, 5))
    shown = [judge_p_values(row.tolist(), [1.0] * 5, "any", 0.95).decision == "MET" for row in p_values]
    assert np.mean(shown) <= 0.025 + 3 * (0.025 / 20_000) ** 0.5


def test_what_is_no_family_is_refused():
    with pytest.raises(ValueError, match="a family has members, all of one confidence"):
        judge_family([], "all")
    results = [judge_mean(one_study_each([1.0] * 5), Claim("at_least", 0.5, level)) for level in (0.9, 0.95)]
    with pytest.raises(ValueError, match=r"all of one confidence, not \[0.9, 0.95\]"):
        judge_family(results, "any")
    with pytest.raises(ValueError, match="two p-values for each member, not 2 and 1"):
        judge_p_values([0.1, 0.2], [0.1], "all", 0.95)


def difference_of(values):
    return one_study_each(values, span=(-1, 1))


def test_equivalence_needs_both_sides():
    near = equivalence(difference_of([0.01, -0.01] * 100), Claim("at_most", 0.05))
    assert (near.family.decision, near.above.decision, near.below.decision) == ("MET", "MET", "MET")
    assert near.family.p_met == pytest.approx((near.above.p_low, near.below.p_high))
    better = equivalence(difference_of([0.2] * 200), Claim("at_most", 0.05))
    assert (better.family.decision, better.above.decision, better.below.decision) == ("NOT MET", "MET", "NOT MET")
    worse = equivalence(difference_of([-0.2] * 200), Claim("at_most", 0.05))
    assert (worse.family.decision, worse.above.decision, worse.below.decision) == ("NOT MET", "NOT MET", "MET")
    unsure = equivalence(difference_of([0.03, 0.09] * 100), Claim("at_most", 0.05))
    assert unsure.family.decision == "INCONCLUSIVE"


@pytest.mark.parametrize("margin", [0.0, -0.1])
def test_a_margin_is_positive(margin):
    with pytest.raises(ValueError, match=f"margin is a positive number, not {margin}"):
        equivalence(difference_of([0.1]), Claim("at_most", margin))


def test_a_tenth_missing_is_a_tenth_for_an_equivalence_too():
    """Three patients with a tenth of their studies missing each: the shares sum to a little more than a tenth."""
    studies = [(f"p{patient}", None if number == 0 else 0.0) for patient in range(30) for number in range(10)]
    cohort = patient_scores([value for _, value in studies], [name for name, _ in studies], span=(-1.0, 1.0))
    assert cohort.missing_share > 0.1
    assert equivalence(cohort, Claim("at_most", 0.5)).family.decision == "MET"
