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


def at_threshold(seed, count=150, size=80):
    """Return pairs of vectors whose products lie within a thousandth of .9495, where rounding decides."""
    random = np.random.default_rng(seed)
    first, beside = (random.normal(size=(count, size)) for _ in range(2))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    beside -= (beside * first).sum(axis=1, keepdims=True) * first
    beside /= np.linalg.norm(beside, axis=1, keepdims=True)
    product = random.uniform(0.9485, 0.9505, (count, 1))
    return np.vstack([first, product * first + np.sqrt(1 - product**2) * beside])


def hard(seed):
    """Return what may be taken for close or missed: copies, copies at the threshold, blank pictures, one of a kind."""
    plain = vectors(seed)
    alike = np.repeat(plain[:3], (40, 30, 2), axis=0)  # many identical
    near = plain[5] + 0.02 * np.random.default_rng(seed).normal(size=(30, plain.shape[1])) / 9  # many that nearly are
    every = np.vstack([plain, alike, near / np.linalg.norm(near, axis=1, keepdims=True), at_threshold(seed),
                       np.zeros((60, plain.shape[1]))])  # fmt: skip
    return every[np.random.default_rng(seed).permutation(len(every))]


@pytest.mark.parametrize(("seed", "at_once"), [*((seed, 2**25) for seed in range(12)), (1, 1), (2, 7_000)])
def test_pairs_that_are_looked_up_in_bands_are_those_of_the_whole_product(monkeypatch, seed, at_once):
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_DEARER", 0)
    monkeypatch.setattr(module, "_CODES_AT_ONCE", at_once)
    monkeypatch.setattr(module, "_all_with_all", None)
    every = hard(seed)
    pairs = close_by_all(every)
    assert 1000 < len(pairs) < 3000
    assert close(every) == pairs


def test_bands_miss_a_close_pair_as_rarely_as_is_said(monkeypatch):
    monkeypatch.setattr(module, "_MISSED", 0.2)
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_DEARER", 0)
    every = at_threshold(1, 1000)
    pairs, looked_up = close_by_all(every), close(every)
    assert set(looked_up) < set(pairs)
    assert 0.75 < len(looked_up) / len(pairs) < 0.9  # four of five: all pairs share the bands that are drawn


def test_where_too_many_meet_all_are_held_against_each_other(monkeypatch):
    monkeypatch.setattr(module, "_FEW", 0)
    every = np.repeat(vectors(1)[:4], 100, axis=0)
    monkeypatch.setattr(module, "_met", None)
    assert close(every) == close_by_all(every)


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
