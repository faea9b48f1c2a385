"""Many scores merged downwards: nothing gains by it, order stays, and a bound loses less than a step."""

import numpy as np
import pytest

from pipeline.evidence.exact import merging
from pipeline.evidence.exact.means import exact_interval, p_high, p_low
from pipeline.evidence.exact.merging import GRID, MANY, merged_downwards


@pytest.fixture
def always(monkeypatch):
    """Let small cohorts be merged too, so that they can be held against the exact ones."""

    def on(grid=GRID):
        monkeypatch.setattr(merging, "MANY", 0)
        monkeypatch.setattr(merging, "GRID", grid)

    return on


def cohorts(count, size):
    generator = np.random.default_rng(5)
    laws = (lambda: generator.beta(0.3, 3, size), lambda: generator.beta(8, 4, size), lambda: generator.random(size))
    for number in range(count):
        yield laws[number % 3]()


def lowered_from(merged, counts):
    return np.sort(np.repeat(merged, counts.astype(int)))


def test_no_score_is_raised_and_none_is_lowered_by_a_step():
    values = np.append(np.random.default_rng(0).random(MANY), [0.0, 1.0, 1 / GRID, np.nextafter(1, 0), 5e-324])
    merged, masses, counts = merged_downwards(values, np.ones(len(values)), 0.3)
    assert counts.sum() == len(values)
    assert (masses == 1).all()
    assert len(merged) <= GRID + 2
    assert np.sum(lowered_from(merged, counts) >= 0.3) == np.sum(values >= 0.3)
    lowered = lowered_from(merged, counts)
    away = np.sort(values) - lowered
    assert away.min() >= 0
    assert away.max() < 1 / GRID
    assert {0.0, 1.0, 1 / GRID} <= set(merged)


def test_weights_stay_with_their_patients():
    generator = np.random.default_rng(1)
    values, masses = generator.integers(0, 5, 2 * MANY) / 4, generator.integers(1, 4, 2 * MANY).astype(float)
    merged = zip(*merged_downwards(values, masses, 0.3), strict=True)
    assert {(value, mass): count for value, mass, count in merged} == {
        (value, mass): ((values == value) & (masses == mass)).sum() for value in np.arange(5) / 4 for mass in (1, 2, 3)
    }


def test_few_patients_are_left_as_they_are():
    values = np.random.default_rng(2).random(MANY)
    kept, _, counts = merged_downwards(values, np.ones(MANY), 0.3)
    assert kept is values
    assert (counts == 1).all()


@pytest.mark.parametrize("grid", [4, 64, GRID])
def test_p_values_never_fall_by_merging(always, grid):
    exact = [(p_low(scores, bound), p_high(scores, bound)) for scores in cohorts(6, 25) for bound in (0.1, 0.5, 0.7)]
    always(grid)
    merged = [(p_low(scores, bound), p_high(scores, bound)) for scores in cohorts(6, 25) for bound in (0.1, 0.5, 0.7)]
    assert (np.array(merged) >= np.array(exact) - 1e-9).all()
    if grid == GRID:
        np.testing.assert_allclose(merged, exact, atol=2e-3)


def test_rates_lose_nothing(always):
    hits = np.arange(40) < 31
    expected = exact_interval(hits, 0.95)
    always()
    assert exact_interval(hits, 0.95) == pytest.approx(expected, abs=1e-10)


def test_a_better_score_never_makes_a_merged_answer_worse(always):
    always(8)
    generator = np.random.default_rng(9)
    for scores in cohorts(12, 8):
        place = generator.integers(8)
        better = scores.copy()
        better[place] = scores[place] + (1 - scores[place]) * generator.random()
        for bound in (0.2, 0.5, 0.77):
            assert p_low(better, bound) <= p_low(scores, bound) + 1e-9
            assert p_high(better, bound) >= p_high(scores, bound) - 1e-9


def test_a_patient_at_or_above_the_bound_never_makes_a_merged_answer_worse(always):
    always(8)
    for scores in cohorts(9, 8):
        for bound, added in ((0.3, 0.3), (0.45, 0.46), (0.77, 1.0)):
            assert p_low(np.append(scores, added), bound) <= p_low(scores, bound) + 1e-9


def test_bounds_of_a_large_cohort_hold_and_lose_less_than_a_step():
    scores = np.random.default_rng(3).beta(8, 4, MANY + 1)
    low, high = exact_interval(scores, 0.95)
    raised = np.ceil(scores * GRID) / GRID
    lowered = np.floor(scores * GRID) / GRID
    error = 1.96 * scores.std() / np.sqrt(len(scores))
    assert lowered.mean() - error - 2e-4 < low < scores.mean() < high < raised.mean() + error + 2e-4
    assert p_low(scores, low - 1e-6) <= 0.025 <= p_low(scores, low + 1e-6)
