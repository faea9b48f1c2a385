"""Many patients' scores as few: each is taken as the next lower number of a grid, so that what is shown still holds.

The exact test costs as much as there are different scores. Lowering a score never lowers ``p_low``, so a bound that
holds for the lowered scores holds for the true ones. Rounding down keeps the order of any two scores, and here keeps at
the bound what was at or above it: a better score, or a patient more there, still never makes an answer worse. The price
is less than a grid's step (6.1e-5) on a bound.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID", "MANY", "merged_downwards"]

GRID = 2**14
"""Steps from 0 to 1."""

MANY = 2 * GRID
"""Patients from which on scores are merged: fewer cost little. Where a cohort grows past it a bound may lose a step."""

Floats = NDArray[np.float64]


def merged_downwards(values: Floats, masses: Floats, bound: float) -> tuple[Floats, Floats, Floats]:
    """Return different scores with their weights and how many patients have each; of few patients as they are.

    Args:
        values: (patients,) scores within 0 and 1.
        masses: (patients,) what each weighs.
        bound: within 0 and 1; no score that is at least that is lowered below it.
    """
    if len(values) <= MANY:
        return values, masses, np.ones(len(values))
    steps = np.floor(values * GRID).astype(np.intp)  # a power of two: exact, so that none is rounded up
    steps[(values >= bound) & (steps < bound * GRID)] = GRID + 1
    levels = np.append(np.arange(GRID + 1) / GRID, bound)
    weights, kind = np.unique(masses, return_inverse=True)
    counts = np.bincount(kind.ravel() * len(levels) + steps, minlength=len(weights) * len(levels))
    (used,) = np.nonzero(counts)
    return levels[used % len(levels)], weights[used // len(levels)], counts[used].astype(np.float64)
