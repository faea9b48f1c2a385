from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.evidence.exact.tail import tail
from tests.oracles.exponential_race import race

CLOSE = 1e-9


def test_the_oracle_is_right_by_hand():
    # two terms: P(a E1 < c E2) = c / (a + c); three: the positive queue needs both of its terms
    assert race([Fraction(2), Fraction(-3)]) == Fraction(3, 5)
    assert race([Fraction(1), Fraction(2), Fraction(-3)]) == Fraction(3, 4) * Fraction(3, 5)
    assert race([Fraction(2), Fraction(-3), Fraction(-1)]) == Fraction(3, 5) + Fraction(2, 5) * Fraction(1, 3)


@pytest.mark.parametrize("bound", [1e-9, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1 - 1e-9])
def test_hits_and_misses_give_the_binomial_tail(bound):
    patients = [1, 2, 3, 10, 47, 300, 5000]
    cells = [(n, k) for n in patients for k in sorted({0, 1, n // 3, n // 2, n - 1, n})]
    lam = np.tile([1 - bound, -bound], (len(cells), 1))
    counts = np.array([[k, n - k + 1] for n, k in cells], dtype=float)
    expected = [binom.sf(k - 1, n, bound) for n, k in cells]
    np.testing.assert_allclose(tail(lam, counts), expected, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("seed", range(40))
def test_any_coefficients_agree_with_the_race(seed):
    generator = np.random.default_rng(seed)
    terms = int(generator.integers(2, 60))
    kind = seed % 5
    lam = [
        lambda: generator.uniform(-1, 1, terms),
        lambda: generator.normal(0.3, 1, terms) ** 3,
        lambda: 10.0 ** generator.uniform(-9, 3, terms) * generator.choice([-1, 1], terms),
        lambda: 0.3 + 1e-12 * generator.normal(size=terms) - (generator.random(terms) < 0.5),
        lambda: np.round(generator.uniform(-1, 1, terms), 1),
    ][kind]()
    lam[0] = -abs(lam[0]) - 1e-3
    assert tail(lam[None])[0] == pytest.approx(race(lam.tolist()), abs=CLOSE)


def test_few_large_coefficients_against_many_small_ones():
    """The integrand turns fastest there, and a fixed grid of nodes would miss it."""
    for large, small in [(1, 20), (1, 300), (3, 300), (300, 1)]:
        bound = large / (large + small)
        lam = [1 - bound] * large + [-bound] * small
        assert tail(np.array([lam]))[0] == pytest.approx(race(lam), abs=CLOSE)


def test_a_count_is_as_many_equal_coefficients():
    lam = np.array([[0.4, -0.3, 0.1, 7.0]])
    counts = np.array([[3.0, 5.0, 1.0, 0.0]])
    assert tail(lam, counts)[0] == pytest.approx(tail(np.array([[0.4] * 3 + [-0.3] * 5 + [0.1]]))[0], abs=1e-12)


def test_a_count_of_nothing_leaves_its_coefficient_out():
    lam = np.array([[-1.0, 7.0], [-7.0, 1.0]])
    assert tail(lam, np.array([[2.0, 0.0], [0.0, 2.0]])).tolist() == [1.0, 0.0]
    lam, counts = np.array([[0.4, -0.3, -1e200]]), np.array([[5.0, 3.0, 0.0]])
    assert tail(lam, counts)[0] == pytest.approx(race([0.4] * 5 + [-0.3] * 3), abs=CLOSE)


def test_rows_do_not_depend_on_each_other():
    lam = np.random.default_rng(5).uniform(-1, 1, (700, 60))
    lam[3] *= 1e-6
    alone = [tail(row[None])[0] for row in lam]
    np.testing.assert_allclose(tail(lam), alone, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("factor", [1e-300, 1e-12, 3.0, 1e12])
def test_the_scale_of_the_coefficients_does_not_matter(factor):
    lam = np.random.default_rng(6).uniform(-1, 1, (5, 30))
    np.testing.assert_allclose(tail(factor * lam), tail(lam), atol=CLOSE, rtol=0)


def test_one_sign_alone_is_certain():
    lam = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [-1.0, -2.0], [5e-324, 1.0], [-5e-324, 1.0]])
    assert tail(lam).tolist()[:5] == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert tail(lam)[5] < 1e-290
    assert tail(np.zeros((2, 0))).tolist() == [1.0, 1.0]
    assert tail(np.zeros((0, 3))).tolist() == []


@pytest.mark.parametrize("patients", [1, 2, 5, 20])
def test_two_million_draws_agree(patients):
    generator = np.random.default_rng(patients)
    lam = np.append(generator.beta(3, 0.5, patients) - 0.7, -0.7)
    draws = sum((generator.standard_exponential((100_000, patients + 1)) @ lam < 0).sum() for _ in range(20)) / 2e6
    p = tail(lam[None])[0]
    assert 0.01 < p < 0.99
    assert draws == pytest.approx(p, abs=4.5 * (p * (1 - p) / 2e6) ** 0.5)
