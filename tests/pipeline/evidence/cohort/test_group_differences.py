"""Subgroups against the rest: Fisher's exact test where there are hits and misses, error rates elsewhere."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.exact.families import holm
from pipeline.evidence.exact.groups import group_difference
from pipeline.evidence.exact.scores import one_study_each
from pipeline.evidence.groups.group_differences import group_differences
from tests.pipeline.evidence.records import SCALES, entry, study


def hits(some, every):
    return one_study_each([1.0] * some + [0.0] * (every - some))


@pytest.mark.parametrize("groups", [((3, 10), (8, 12)), ((5, 5), (1, 30)), ((20, 50), (35, 50)), ((4, 9), (4, 9))])
def test_for_hits_and_misses_it_is_fishers_exact_test(groups):
    (a, n), (b, m) = groups
    compared = group_difference(hits(a, n), hits(b, m))
    table = [[a, n - a], [b, m - b]]
    one_sided = [fisher_exact(table, side)[1] for side in ("less", "greater")]
    assert compared.p == pytest.approx(min(1.0, 2 * min(one_sided)), abs=0.012)
    assert compared.value == pytest.approx(a / n - b / m)
    assert compared.low <= compared.value <= compared.high


def test_two_groups_turned_round_give_the_difference_turned_round():
    first, second = group_difference(hits(3, 10), hits(9, 14)), group_difference(hits(9, 14), hits(3, 10))
    assert (second.value, second.low, second.high) == pytest.approx((-first.value, -first.high, -first.low), abs=0.02)


@pytest.mark.parametrize("skewed", [(0.3, 3.0), (3.0, 0.3)])
def test_where_there_is_no_difference_it_is_seldom_shown(skewed):
    generator = np.random.default_rng(5)
    wrong = 0
    for _ in range(60):
        groups = [one_study_each(generator.beta(*skewed, count).tolist()) for count in (6, 24)]
        compared = group_difference(*groups)
        wrong += compared.low > 0 or compared.high < 0
    assert wrong <= 5


def test_many_kinds_of_scores_are_rounded_against_the_claim():
    generator = np.random.default_rng(1)
    first, second = (generator.random(700).tolist() for _ in range(2))
    fine = group_difference(one_study_each(first[:400]), one_study_each(second[:400]))
    assert fine.low < fine.value < fine.high
    coarse = group_difference(one_study_each(first), one_study_each(second))
    assert coarse.high - coarse.low < fine.high - fine.low


def test_rounding_lowers_what_is_to_be_high_and_raises_what_is_to_be_low():
    """600 kinds of scores, each a little above one of 300 that are not rounded."""
    second, steps = hits(9, 20), np.repeat(np.arange(300), 2)
    between = one_study_each((steps / 500 + np.tile([1e-6, 2e-6], 300)).tolist())
    lowered, raised = (one_study_each(((steps + up) / 500).tolist()) for up in (0, 1))
    compared = group_difference(between, second)
    assert compared.low == pytest.approx(group_difference(lowered, second).low, abs=1e-9)
    assert compared.high == pytest.approx(group_difference(raised, second).high, abs=1e-9)


def test_a_difference_is_in_the_scores_own_unit():
    narrow, wide = (
        group_difference(*(one_study_each([top] * hit + [bottom] * miss, span=(bottom, top)) for hit, miss in groups))
        for groups in [((3, 7), (9, 5))]
        for bottom, top in ((0.0, 1.0), (-1.0, 1.0))
    )
    assert (wide.value, wide.low, wide.high) == pytest.approx((2 * narrow.value, 2 * narrow.low, 2 * narrow.high))
    assert wide.p == narrow.p


def test_a_missing_score_counts_against_either_side():
    whole, part = one_study_each([0.5] * 20), one_study_each([0.5] * 18, missing=2)
    complete, missing = (group_difference(group, one_study_each([0.2] * 20)) for group in (whole, part))
    assert missing.low < complete.low
    assert missing.high > complete.high
    turned = group_difference(one_study_each([0.2] * 20), part)
    assert (turned.low, turned.high) == pytest.approx((-missing.high, -missing.low), abs=0.01)


def test_groups_with_other_spans_are_refused():
    with pytest.raises(ValueError, match=r"both groups have scores within the same span"):
        group_difference(hits(1, 2), one_study_each([0.0], span=(-1.0, 1.0)))


def of_site(number, site, value, patient=None, **strata):
    return study(number, entry("gradcam", "a", value), strata={"site": site, **strata}, patient=patient)


def differences(rows, scale=SCALES["iou"]):
    return group_differences(units_of(rows, [scale.name]), [("gradcam", scale)], 0.95)


def test_of_two_groups_one_difference_is_told_of_three_all():
    two = [of_site(n, "AB"[n % 2], 0.3 + 0.2 * (n % 2)) for n in range(20)]
    (only,) = differences(two)
    assert (only.column, only.group, only.value) == ("site", "site=A", pytest.approx(-0.2))
    assert (only.patients, only.patients_rest, only.family) == (10, 10, 1)
    assert only.low < -0.2 < only.high
    assert only.p == only.p_adjusted
    three = [of_site(n, "ABC"[n % 3], 0.3, None, sex="FM"[n % 2]) for n in range(24)]
    groups = differences(three)
    assert [difference.group for difference in groups] == ["site=A", "site=B", "site=C", "sex=F"]
    assert {difference.family for difference in groups} == {4}
    assert [difference.p_adjusted for difference in groups] == list(holm([difference.p for difference in groups]))


def test_patients_in_both_groups_leave_no_interval_and_it_says_why():
    rows = [of_site(n, "AB"[n % 2], 0.5, patient="P-both" if n < 2 else None) for n in range(12)]
    (difference,) = differences(rows)
    assert (difference.shared, difference.low, difference.p, difference.p_adjusted) == (1, None, None, None)
    assert difference.reason == "1 patient belongs to this group and to the rest"
    assert difference.value == pytest.approx(0)


def test_an_open_end_leaves_no_interval_and_an_empty_group_no_value():
    far = MetricScale("far", (0.0, None), "lower")
    rows = [
        study(n, entry("gradcam", "a", 3.0 if n % 2 else "empty_mask", metric="far"), strata={"site": "AB"[n % 2]})
        for n in range(12)
    ]
    (difference,) = differences(rows, far)
    assert (difference.value, difference.reason) == (None, "this group has no score")
    scored = [
        study(n, entry("gradcam", "a", 3.0 + n % 2, metric="far"), strata={"site": "AB"[n % 2]}) for n in range(12)
    ]
    (difference,) = differences(scored, far)
    assert difference.value == pytest.approx(-1)
    assert difference.reason == "the metric has an open end, so no bound of a difference can hold"


def test_a_cohort_of_one_group_has_no_difference():
    assert differences([of_site(n, "A", 0.5) for n in range(8)]) == ()


def test_patients_weigh_alike_and_are_counted_once_a_side():
    """Of A one patient has .2 and .6, another .8: (.4 + .8) / 2 = .6; of B .1 and .3: .2."""
    rows = [
        of_site(0, "A", 0.2, patient="P"), of_site(1, "A", 0.6, patient="P"), of_site(2, "A", 0.8),
        of_site(3, "B", 0.1), of_site(4, "B", 0.3, patient="Q"), of_site(5, "B", 0.3, patient="Q"),
    ]  # fmt: skip
    (difference,) = differences(rows)
    assert (difference.own, difference.rest, difference.value) == pytest.approx((0.6, 0.2, 0.4))
    assert (difference.patients, difference.patients_rest, difference.shared) == (2, 2, 0)


def test_only_studies_in_which_the_label_is_present_are_compared():
    rows = [of_site(n, "AB"[n % 2], 0.3 + 0.2 * (n % 2)) for n in range(20)]
    absent = [study(30 + n, entry("gradcam", "a", 0.9), strata={"site": "A"}, reference=()) for n in range(6)]
    assert differences([*rows, *absent]) == differences(rows)


def test_groups_come_by_name_whichever_comes_first():
    rows = [of_site(n, "BA"[n % 2], 0.3 + 0.2 * (n % 2)) for n in range(20)]
    assert [difference.group for difference in differences(rows)] == ["site=A"]


def test_the_rest_may_have_no_score():
    rows = [of_site(n, "AB"[n % 2], "empty_mask" if n % 2 else 0.5) for n in range(12)]
    (difference,) = differences(rows)
    assert (difference.value, difference.reason) == (None, "the rest has no score")


def test_an_open_lower_end_leaves_no_interval_either():
    low = MetricScale("low", (None, 1.0), "higher")
    rows = [
        study(n, entry("gradcam", "a", -3.0 + n % 2, metric="low"), strata={"site": "AB"[n % 2]}) for n in range(12)
    ]
    (difference,) = differences(rows, low)
    assert (difference.low, difference.reason) == (
        None,
        "the metric has an open end, so no bound of a difference can hold",
    )


def test_a_higher_confidence_widens_the_bounds_and_differences_without_p_count_in_no_family():
    shared = [
        of_site(n, "AB"[n % 2], 0.3 + 0.2 * (n % 2), patient=f"P-{n // 2}", sex="FM"[n // 2 % 2]) for n in range(40)
    ]
    units, pair = units_of(shared, ["iou"]), [("gradcam", SCALES["iou"])]
    usual, strict = ({each.column: each for each in group_differences(units, pair, level)} for level in (0.95, 0.99))
    assert strict["sex"].low < usual["sex"].low
    assert strict["sex"].high > usual["sex"].high
    assert strict["sex"].confidence == 0.99
    assert (usual["site"].p, usual["site"].shared) == (None, 20)
    assert {each.family for each in usual.values()} == {1}
