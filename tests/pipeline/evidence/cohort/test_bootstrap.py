import numpy as np
import pytest

from pipeline.evidence.cohort.bootstrap import BOOTSTRAP, SAME, mean_interval

SETTINGS = {"confidence": 0.95, "replicates": 400, "seed": 3}


def patients_with_two_views(generator, count):
    """Scores around 0.5: patients differ, the two views of a patient hardly."""
    centre = generator.normal(0.5, 0.12, count)
    values = (centre[:, None] + generator.normal(0, 0.03, (count, 2))).ravel()
    return values, [f"p{number}" for number in range(count) for _ in range(2)]


def test_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        values, patients = patients_with_two_views(generator, 60)
        interval = mean_interval(values, patients, **SETTINGS)
        covered += interval.low <= 0.5 <= interval.high
    assert 0.90 <= covered / 300 <= 0.99


def test_patients_are_drawn_not_studies():
    values, patients = patients_with_two_views(np.random.default_rng(1), 100)
    clustered = mean_interval(values, patients, **SETTINGS)
    naive = mean_interval(values, [str(n) for n in range(len(values))], **SETTINGS)
    assert clustered.high - clustered.low > 1.25 * (naive.high - naive.low)


def test_bootstrap_equals_a_loop_over_drawn_patients():
    values, patients = patients_with_two_views(np.random.default_rng(2), 15)
    interval = mean_interval(values, patients, **SETTINGS)
    by_patient = {name: [v for v, p in zip(values, patients, strict=True) if p == name] for name in set(patients)}
    names = sorted(by_patient, key=lambda name: sum(by_patient[name]))  # in the order of what they add
    generator = np.random.Generator(np.random.PCG64(SETTINGS["seed"]))
    drawn = generator.integers(0, len(names), size=(400, len(names)))
    means = [np.mean([v for i in row for v in by_patient[names[i]]]) for row in drawn]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert interval.how == BOOTSTRAP


def test_how_patients_are_listed_changes_no_interval():
    values, patients = patients_with_two_views(np.random.default_rng(2), 15)
    intervals = {mean_interval(values[::turn], patients[::turn], **SETTINGS) for turn in (1, -1)}
    assert len(intervals) == 1


def test_patients_with_more_studies_weigh_more():
    # nine patients with one study of 0, one with nine studies of 1: the mean is 1/2, and so is the interval's middle
    values = [0.0] * 9 + [1.0] * 9
    patients = [f"p{number}" for number in range(9)] + ["many"] * 9
    generator = np.random.Generator(np.random.PCG64(SETTINGS["seed"]))
    drawn = generator.integers(0, 10, size=(400, 10))
    names = list(dict.fromkeys(patients))  # in the order of the archive
    means = [np.mean([v for i in row for v, p in zip(values, patients, strict=True) if p == names[i]]) for row in drawn]
    interval = mean_interval(values, patients, **SETTINGS)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_same_seed_same_interval():
    values, patients = patients_with_two_views(np.random.default_rng(2), 30)
    assert mean_interval(values, patients, **SETTINGS) == mean_interval(values, patients, **SETTINGS)


def test_few_patients_get_no_interval():
    interval = mean_interval([0.1 * n for n in range(9)], [str(n) for n in range(9)], **SETTINGS)
    assert interval.low is None
    assert "fewer than 10" in interval.how


@pytest.mark.parametrize("value", [1.0, 0.0, 0.25])
def test_all_alike_is_not_certainty(value):
    interval = mean_interval([value] * 12, [str(n) for n in range(12)], **SETTINGS)
    assert (interval.low, interval.high, interval.how) == (None, None, SAME)
