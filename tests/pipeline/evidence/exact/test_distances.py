import math

import numpy as np
import pytest

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.distances import capped_scores, judge_median, median_interval, within_scores
from pipeline.evidence.exact.lesions import few_false_marks, lesion_scores, pooled_sensitivity
from pipeline.evidence.exact.means import judge_mean


def names(values):
    return [f"p{number}" for number, _ in enumerate(values)]


def test_the_share_within_a_tolerance():
    cohort = within_scores([3.0, 10.0, 10.1, None], ["a", "a", "b", "c"], tolerance=10)
    assert cohort.low.tolist() == [1, 0, 0]
    assert cohort.high.tolist() == [1, 0, 1]


def test_the_mean_of_capped_distances_is_in_mm():
    cohort = capped_scores([10.0, 400.0, None], ["a", "b", "c"], cap=50)
    assert cohort.low.tolist() == [10, 50, 0]
    assert cohort.high.tolist() == [10, 50, 50]
    far = judge_mean(capped_scores([5.0] * 30, names(range(30)), cap=50), Claim("at_most", 12))
    assert far.decision == "MET"
    assert 5 < far.high < 12


def test_the_medians_bounds_are_order_statistics_of_the_binomial():
    # 20 distances: the 6th and the 15th, as every table of the sign interval has it
    distances = [float(number) for number in range(1, 21)]
    assert median_interval(distances, names(distances)) == (6.0, 15.0)
    assert median_interval([*distances[:5], 5.5, *distances[6:]], names(distances)) == (5.5, 15.0)
    assert median_interval([7.0] * 20, names(distances)) == (7.0, 7.0)
    assert median_interval(distances[:5], names(distances[:5])) == (0.0, math.inf)
    assert median_interval([], []) == (0.0, math.inf)


def test_the_median_is_met_where_its_interval_lies_below():
    distances = [float(number) for number in range(1, 21)]
    verdicts = {tau: judge_median(distances, names(distances), at_most=tau).decision for tau in (5, 5.9, 6, 14.9, 15)}
    assert verdicts == {
        5: "NOT MET",
        5.9: "NOT MET",
        6: "INCONCLUSIVE",
        14.9: "INCONCLUSIVE",
        15: "MET",
    }


def test_a_missing_distance_lies_on_either_side():
    distances = [float(number) for number in range(1, 21)]
    low, high = median_interval([*distances, None, None], names(range(22)))
    assert low < 6
    assert high > 15
    assert median_interval([None] * 30, names(range(30))) == (0.0, math.inf)


def test_a_shorter_distance_never_worsens_a_median():
    generator = np.random.default_rng(0)
    rank = {"NOT MET": 0, "INCONCLUSIVE": 1, "MET": 2}
    for _ in range(20):
        distances = generator.lognormal(2, 0.7, 16)
        shorter = distances.copy()
        shorter[generator.integers(16)] *= generator.random()
        patients = [f"p{number}" for number in generator.integers(0, 12, 16)]
        before, after = (judge_median(d.tolist(), patients, at_most=8) for d in (distances, shorter))
        assert rank[after.decision] >= rank[before.decision]
        assert median_interval(shorter.tolist(), patients)[1] <= median_interval(distances.tolist(), patients)[1]


def test_a_patients_share_of_lesions():
    cohort = lesion_scores([True, False, True, None], ["a", "a", "b", "c"])
    assert cohort.low.tolist() == [0.5, 1, 0]
    assert cohort.high.tolist() == [0.5, 1, 1]
    # a patient with forty lesions does not decide an audit, but the pooled figure
    assert lesion_scores([False] * 40 + [True], ["a"] * 40 + ["b"]).value == 0.5
    assert pooled_sensitivity([False] * 40 + [True, None]) == pytest.approx(1 / 41)
    assert pooled_sensitivity([None]) is None


def test_images_with_few_false_marks():
    cohort = few_false_marks([0, 2, 3, None], ["a", "a", "b", "c"], at_most=2)
    assert cohort.low.tolist() == [1, 0, 0]
    assert cohort.high.tolist() == [1, 0, 1]
    assert few_false_marks([0, 2, 3], ["a", "a", "b"], at_most=2, unit="study").weights.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: within_scores([-1.0], ["a"], tolerance=1), r"distances\[0\] is a number of mm from 0 on, or None"),
        (lambda: within_scores([float("nan")], ["a"], tolerance=1), r"distances\[0\]"),
        (lambda: within_scores([1.0], ["a"], tolerance=-1), "tolerance is a number of mm from 0 on, not -1"),
        (lambda: capped_scores([1.0], ["a"], cap=0), "cap is a positive number of mm, not 0"),
        (lambda: capped_scores([1.0], ["a"], cap=math.inf), "cap is a positive number of mm, not inf"),
        (lambda: median_interval([-3.0], ["a"]), r"distances\[0\]"),
        (lambda: few_false_marks([-1], ["a"], at_most=0), r"marks\[0\] is a number from 0 on, not -1"),
        (lambda: few_false_marks([1], ["a"], at_most=-1), "at_most is a number from 0 on, not -1"),
    ],
)
def test_what_is_no_distance_or_count_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
