import numpy as np
import pytest

from pipeline.evidence.exact.scores import one_study_each, patient_scores


def test_a_patients_score_is_the_mean_of_his_studies():
    cohort = patient_scores([1, 0, 0.5, 1], ["b", "a", "b", "a"])
    assert cohort.low.tolist() == cohort.high.tolist() == [0.75, 0.5]
    assert cohort.weights.tolist() == [1, 1]
    assert (cohort.n_patients, cohort.n_studies, cohort.n_missing, cohort.missing_share) == (2, 4, 0, 0)


def test_both_estimates_stand_beside_each_other():
    """Follow-ups are more frequent in the ill: the two means differ, and neither is the other's estimate."""
    cohort = patient_scores([0, 0, 0, 1], ["a", "a", "a", "b"])
    assert (cohort.value, cohort.study_value) == (0.5, 0.25)
    by_study = patient_scores([0, 0, 0, 1], ["a", "a", "a", "b"], unit="study")
    assert by_study.weights.tolist() == [3, 1]
    assert by_study.heaviest == 3


def test_a_missing_study_widens_its_patient():
    cohort = patient_scores([1, None, None, 0.5], ["a", "a", "b", "c"])
    assert cohort.low.tolist() == [0.5, 0, 0.5]
    assert cohort.high.tolist() == [1, 1, 0.5]
    assert (cohort.value, cohort.study_value, cohort.n_missing) == (0.75, 0.75, 1)
    assert cohort.missing_share == pytest.approx(0.5)
    by_study = patient_scores([1, None, None, 0.5], ["a", "a", "b", "c"], unit="study")
    assert by_study.missing_share == pytest.approx(0.5)
    assert by_study.heaviest == 2


def test_a_span_of_differences():
    cohort = patient_scores([-1, 0.5, None], ["a", "b", "c"], span=(-1, 1))
    assert cohort.low.tolist() == [-1, 0.5, -1]
    assert cohort.high.tolist() == [-1, 0.5, 1]
    assert cohort.unit_low().tolist() == [0, 0.75, 0]
    assert cohort.unit_high().tolist() == [0, 0.75, 1]
    assert cohort.missing_share == pytest.approx(1 / 3)


def test_rounding_beyond_an_end_is_the_end():
    """A mean of three readers' scores of 0.1 is 0.10000000000000002, and 0.1 may be the highest there is."""
    assert patient_scores([1 + 1e-12, -1e-12], ["a", "b"]).low.tolist() == [1, 0]
    cohort = patient_scores([float(np.mean([0.1] * 3))], ["a"], span=(0.0, 0.1))
    assert cohort.high.tolist() == [0.1]
    assert cohort.value == 0.1
    with pytest.raises(ValueError, match=r"values\[0\] is within 0 and 1"):
        patient_scores([1 + 1e-8], ["a"])


def test_nobody_is_a_cohort_without_a_value():
    cohort = patient_scores([], [])
    assert (cohort.value, cohort.study_value, cohort.n_patients, cohort.missing_share) == (None, None, 0, 0.0)
    assert one_study_each([], missing=2).value is None


def test_scores_of_one_study_each():
    cohort = one_study_each([0.2, None], missing=2)
    assert (cohort.n_patients, cohort.n_missing) == (4, 3)
    np.testing.assert_allclose(cohort.low, [0.2, 0, 0, 0])


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([0.5, float("nan")], {}, r"values\[1\] is None where a score is undefined, not nan"),
        ([0.5, 1.5], {}, r"values\[1\] is within 0 and 1, not 1.5"),
        ([0.5], {}, "as many as the studies, not 1 and 2"),
        ([0.5, 1], {"unit": "study", "size_cap": 1}, r"size_cap is at least every patient's number of studies \(2\)"),
        ([0.5, 1], {"unit": "visit"}, "unit is patient or study, not 'visit'"),
        ([0.5, 1], {"span": (1, 1)}, "span goes from its lower end to its higher"),
    ],
)
def test_wrong_scores_are_refused(values, options, words):
    with pytest.raises(ValueError, match=words):
        patient_scores(values, ["a", "a"], **options)
