import numpy as np
import pytest

from pipeline.evidence.cohort.bootstrap import BOOTSTRAP, SAME, _weighted_auroc, auroc_interval, mean_interval

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
    scores, positive = np.array([0.1, 0.3, 0.2, 0.4, 0.6, 0.5, 0.8, 0.7, 0.9]), np.arange(9) % 2 == 0
    interval = auroc_interval(scores, positive, [str(n) for n in range(9)], **SETTINGS)
    assert interval.low is None
    assert "fewer than 10" in interval.how


@pytest.mark.parametrize("value", [1.0, 0.0, 0.25])
def test_all_alike_is_not_certainty(value):
    interval = mean_interval([value] * 12, [str(n) for n in range(12)], **SETTINGS)
    assert (interval.low, interval.high, interval.how) == (None, None, SAME)


def test_auroc_counts_pairs():
    generator = np.random.default_rng(4)
    scores, positive = generator.integers(0, 6, 40).astype(float), generator.random(40) < 0.4
    wins = [
        1.0 if mine > other else 0.5 if mine == other else 0.0
        for mine in scores[positive]
        for other in scores[~positive]
    ]
    drawn = _weighted_auroc(scores, positive, np.ones((1, 40)))
    assert drawn[0] == pytest.approx(np.mean(wins))
    assert np.isnan(_weighted_auroc(scores, np.zeros(40, bool), np.ones((1, 40)))[0])


def test_auroc_interval_covers_the_truth():
    generator = np.random.default_rng(5)
    truth = 0.76025  # P(N(1,1) > N(0,1)) = Phi(1 / sqrt(2))
    covered = 0
    for _ in range(150):
        positive = np.arange(80) % 2 == 0
        scores = generator.normal(positive.astype(float), 1)
        interval = auroc_interval(scores, positive, [str(n) for n in range(80)], **SETTINGS)
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / 150 <= 1.0


def test_perfect_separation_gives_no_interval():
    positive = np.arange(20) >= 10
    interval = auroc_interval(np.arange(20.0), positive, [str(n) for n in range(20)], **SETTINGS)
    assert interval.low is None
    assert "separated" in interval.how
