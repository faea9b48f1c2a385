"""Close vectors are those, and only those, that the product of all with all shows."""

import numpy as np
import pytest

from pipeline.evidence.cohort import close_pairs as module
from pipeline.evidence.cohort.close_pairs import close_pairs


def vectors(seed, count=300, size=80, copies=40):
    """Return vectors of length 1 in two dozen directions, and copies that are close to some, or barely not."""
    random = np.random.default_rng(seed)
    plain = random.normal(size=(count, 24)) @ random.normal(size=(24, size)) + 0.3 * random.normal(size=(count, size))
    noise = random.uniform(0.05, 0.5, (copies, 1)) * random.normal(size=(copies, size))
    chosen = plain[random.integers(0, count, copies)]
    every = np.vstack([plain, chosen + noise * chosen.std(axis=1, keepdims=True), np.zeros((2, size))])
    return every / np.maximum(np.linalg.norm(every, axis=1, keepdims=True), 1e-9)


def close(every, least=0.95):
    return sorted(close_pairs(lambda: iter(every), lambda numbers: every[numbers], least))


def close_by_all(every, least=0.95):
    products = np.round(every @ every.T, 3)
    pairs = np.argwhere(np.triu(products >= least, 1)).tolist()
    return [(first, second, products[first, second]) for first, second in pairs]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rows", [7, 1024])
def test_pairs_are_those_of_the_whole_product(monkeypatch, seed, rows):
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.setattr(module, "_COLUMNS", 4 * rows)
    monkeypatch.setattr(module, "_LOOKED_AT", 5)
    monkeypatch.setattr(module, "_SAMPLE", 60)
    every = vectors(seed)
    pairs = close_by_all(every)
    assert 5 < len(pairs) < 200  # some copies are close and some are not
    assert close(every) == pairs


def test_vectors_of_few_numbers_and_all_alike_are_all_close():
    every = np.tile([[0.6, 0.8]], (20, 1))
    assert close(every) == close_by_all(every)
    assert len(close(every)) == 190
    assert close(every[:1]) == []


def test_few_pairs_are_looked_at_whole(monkeypatch):
    asked = []
    every = vectors(3, count=2000)
    monkeypatch.setattr(module, "_DIRECTIONS", 24)
    pairs = close_pairs(lambda: iter(every), lambda numbers: (asked.extend(numbers), every[numbers])[1], 0.95)
    assert len(list(pairs)) > 5
    assert len(set(asked)) < 200  # of 2,042
