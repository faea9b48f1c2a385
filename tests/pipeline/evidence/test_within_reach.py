"""What lies near a part of a grid, held against every pair of cells."""

import numpy as np
import pytest

from pipeline.evidence import within_reach as module
from pipeline.evidence.within_reach import at_boundary, within_reach


def by_pairs(part, spacing, reach):
    places = np.argwhere(np.ones_like(part)) * spacing
    there = np.argwhere(part) * spacing
    if not len(there):
        return np.zeros_like(part)
    away = np.linalg.norm(places[:, None] - there[None], axis=2).min(axis=1)
    return (away <= reach).reshape(part.shape)


@pytest.mark.parametrize("few", [24, 0], ids=["shifted", "by distances"])
@pytest.mark.parametrize(
    ("shape", "spacing", "reach"),
    [
        ((9, 8, 11), (1.0, 1.0, 1.0), 3.0),  # cells at exactly the reach are within it
        ((7, 9, 17), (0.7, 1.9, 0.4), 2.5 * (1 + 1e-6)),
        ((3, 4, 5), (1.0, 2.0, 3.0), 50.0),  # further than the grid is wide
        ((5, 6, 7), (4.0, 4.0, 4.0), 3.0),  # nearer than the next cell
        ((20, 23), (0.5, 0.8), 4.1),
        ((1, 12, 1), (1.0, 1.0, 1.0), 2.0),
    ],
)
def test_cells_are_near_as_every_pair_says(shape, spacing, reach, few, monkeypatch):
    monkeypatch.setattr(module, "_FEW", few)
    part = np.random.default_rng(len(shape) + shape[-1]).random(shape) > 0.97
    part.flat[part.size // 3] = True
    assert np.array_equal(within_reach(part, spacing, reach), by_pairs(part, spacing, reach))
    nothing = np.zeros(shape, np.bool_)
    assert not within_reach(nothing, spacing, reach).any()
    assert within_reach(~nothing, spacing, reach).all()


@pytest.mark.parametrize("small", [2**18, 0], ids=["one distance transform", "shifted"])
@pytest.mark.parametrize(("spacing", "reach"), [((0.7, 1.9, 0.4), 1.5), ((2.0, 1.0, 1.0), 2.0)])  # the latter: exactly
def test_cells_at_a_boundary_are_near_the_other_kind(small, spacing, reach, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", small)
    part = np.random.default_rng(8).random((9, 8, 11)) > 0.9
    part[:, :, 6:] = False
    other = np.where(part, by_pairs(~part, spacing, reach), by_pairs(part, spacing, reach))
    assert 0 < other.mean() < 1
    assert np.array_equal(at_boundary(part, spacing, reach), other)
    for alike in (np.zeros(part.shape, np.bool_), np.ones(part.shape, np.bool_)):
        assert not at_boundary(alike, spacing, reach).any()
