"""Obuchowski's variance against its definition, pair by pair, and DeLong's where patients have one study."""

import numpy as np
import pytest
from scipy.stats import t

from pipeline.evidence.exact.areas import area_cohort
from pipeline.evidence.exact.obuchowski import obuchowski_interval, obuchowski_variance


def won(mine, other):
    return 1.0 if mine > other else 0.5 if mine == other else 0.0


def by_definition(scores, positive, patients):
    """Obuchowski 1997, with the sums written out; each patient has as many studies of one class as of any other."""
    rows = list(zip(scores, positive, patients, strict=True))
    up, down = ([row for row in rows if row[1] == sign] for sign in (True, False))
    area = np.mean([won(a[0], b[0]) for a in up for b in down])
    first, second = {}, {}
    for score, _, patient in up:
        first.setdefault(patient, []).append(np.mean([won(score, b[0]) for b in down]) - area)
    for score, _, patient in down:
        second.setdefault(patient, []).append(np.mean([won(a[0], score) for a in up]) - area)
    first, second = ({patient: sum(own) for patient, own in of.items()} for of in (first, second))
    s10 = len(first) / ((len(first) - 1) * len(up)) * sum(v**2 for v in first.values())
    s01 = len(second) / ((len(second) - 1) * len(down)) * sum(v**2 for v in second.values())
    every = len({*first, *second})
    s11 = every / (every - 1) * sum(v * second.get(patient, 0.0) for patient, v in first.items())
    return area, s10 / len(up) + s01 / len(down) + 2 * s11 / (len(up) * len(down))


@pytest.mark.parametrize("studies", [1, 3])
def test_the_variance_is_obuchowskis(studies):
    """Ties, patients of both classes; every patient has as many studies, so that all weigh alike."""
    generator = np.random.default_rng(studies)
    patients = np.repeat([f"P{n:02d}" for n in range(14)], studies).tolist()
    positive = generator.random(14 * studies) < 0.5
    scores = (generator.integers(0, 6, 14 * studies) + 2 * positive).astype(float)
    area, variance = by_definition(scores.tolist(), positive.tolist(), patients)
    cohort = area_cohort(scores.tolist(), positive.tolist(), patients)
    assert cohort.area(cohort.share) == pytest.approx(area)
    assert obuchowski_variance(cohort) == pytest.approx(variance)
    smaller = min(len({p for p, sign in zip(patients, positive, strict=True) if sign == of}) for of in (True, False))
    half = t.ppf(0.975, smaller - 1) * variance**0.5 / (area * (1 - area))
    ends = [1 / (1 + np.exp(-(np.log(area / (1 - area)) + sign * half))) for sign in (-1, 1)]
    assert obuchowski_interval(cohort, 0.95) == pytest.approx(ends)


def test_of_one_study_each_it_is_delongs():
    """By hand: positives 3, 1; negatives 2, 0. Of four pairs three are won; both classes' shares are 1 and 1/2."""
    cohort = area_cohort([3.0, 1.0, 2.0, 0.0], [True, True, False, False], ["a", "b", "c", "d"])
    assert obuchowski_variance(cohort) == pytest.approx(2 * (0.25**2 + 0.25**2) / 2)


def test_a_patient_weighs_the_same_however_many_studies_he_has():
    few = area_cohort([3, 1, 2, 0, 5], [True, True, False, False, True], ["a", "b", "c", "d", "e"])
    many = area_cohort([3] * 4 + [1, 2, 0, 5], [True] * 5 + [False, False, True], ["a"] * 4 + ["b", "c", "d", "e"])
    assert obuchowski_interval(many, 0.95) == pytest.approx(obuchowski_interval(few, 0.95))


def test_a_study_without_a_score_says_nothing():
    with_one = area_cohort([3, 1, 2, 0, None], [True, True, False, False, True], ["a", "b", "c", "d", "e"])
    without = area_cohort([3, 1, 2, 0], [True, True, False, False], ["a", "b", "c", "d"])
    assert obuchowski_interval(with_one, 0.9) == pytest.approx(obuchowski_interval(without, 0.9))


@pytest.mark.parametrize(
    ("scores", "positive"),
    [
        ([4, 3, 1, 0], [True, True, False, False]),  # separated
        ([0, 1, 3, 4], [True, True, False, False]),
        ([4, 1, 3, 0], [True, False, False, False]),  # one patient of a class
        ([1, 1, 1, 1], [True, True, False, False]),  # nothing varies
        ([1, 2], [True, True]),
    ],
)
def test_where_nothing_can_be_said_there_is_no_interval(scores, positive):
    assert obuchowski_interval(area_cohort(scores, positive, [str(n) for n in range(len(scores))]), 0.95) is None


def test_sums_of_unequal_weights_are_no_spread():
    """Separated classes, whose area is 1 but for what weights of a sixth, a fifth ... round to."""
    generator, alone = np.random.default_rng(0), set()
    for _ in range(20):
        sizes = generator.integers(1, 8, 6)
        patients = np.repeat([f"P{n}" for n in range(6)], sizes).tolist()
        positive = np.repeat(np.arange(6) < 3, sizes)
        cohort = area_cohort((10.0 * positive + generator.random(len(patients))).tolist(), positive.tolist(), patients)
        alone.add(cohort.area(cohort.share) == 1)
        assert obuchowski_interval(cohort, 0.95) is None
    assert alone == {True, False}


def test_it_covers_what_it_should_in_a_cohort_of_some_size():
    generator, truth, covered = np.random.default_rng(5), 0.76025, 0  # P(N(1,1) > N(0,1)) = Phi(1 / sqrt(2))
    positive = np.arange(80) % 2 == 0
    for _ in range(300):
        scores = generator.normal(positive.astype(float), 1)
        low, high = obuchowski_interval(
            area_cohort(scores.tolist(), positive.tolist(), [str(n) for n in range(80)]), 0.95
        )
        covered += low <= truth <= high
    assert 0.92 <= covered / 300 <= 0.99
