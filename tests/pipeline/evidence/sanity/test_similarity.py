"""How alike two maps are."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline.evidence.sanity.similarity import compared, in_cells, spearman


def test_it_is_spearmans_correlation_with_ties():
    random = np.random.default_rng(0)
    for _ in range(50):
        a, b = random.integers(0, 6, (2, 4, 5)).astype(np.float32)
        assert spearman(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-12)


def test_by_hand():
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert spearman(a, a) == 1.0
    assert spearman(a, -a) == -1.0
    assert spearman(a, np.array([[2.0, 1.0], [3.0, 4.0]])) == pytest.approx(0.8)
    assert spearman(a, np.exp(a)) == 1.0


def test_no_order_is_no_number():
    flat, slope = np.zeros((2, 2)), np.arange(4.0).reshape(2, 2)
    with pytest.raises(ValueError, match="no order"):
        spearman(flat, slope)
    with pytest.raises(ValueError, match="shapes"):
        spearman(slope, np.zeros((2, 3)))
    assert compared(flat, slope) == ("no_map", None)
    assert compared(flat, flat) == ("no_map", None)
    assert compared(slope, flat) == ("empty_after", 0.0)
    assert compared(slope, slope) == ("compared", 1.0)


def test_cells_are_means_of_magnitudes():
    values = np.array([[1.0, -3.0, 0.0, 2.0], [1.0, 3.0, 4.0, -2.0]])
    assert in_cells(values, (1, 2)).tolist() == [[2.0, 2.0]]
    assert in_cells(np.arange(5.0), (2,)).tolist() == [0.5, 3.0]
    volume = np.arange(8.0).reshape(2, 2, 2)
    assert in_cells(volume, (1, 1, 1)).tolist() == [[[3.5]]]


def test_a_map_of_the_cells_is_left_as_it_is():
    signed = np.array([[1.0, -1.0], [0.0, 2.0]])
    assert in_cells(signed, (2, 2)).tolist() == signed.tolist()
    assert in_cells(signed, (2, 2, 2)).tolist() == signed.tolist()
