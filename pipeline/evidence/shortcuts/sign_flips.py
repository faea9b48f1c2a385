"""Whether patients' effects are above 0: their signs flipped, all ways or as many as are drawn."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["patient_means", "sign_flip_p"]

_ROUNDING = 1e-12
_CHUNK = 1000  # flips at once: memory, not time


def patient_means(values: Sequence[float], patients: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean of each patient's values; patients in the order in which they first appear."""
    if not len(values):
        return np.zeros(0)
    numbers: dict[str, int] = {}
    index = [numbers.setdefault(patient, len(numbers)) for patient in patients]
    return np.asarray(np.bincount(index, weights=values) / np.bincount(index), dtype=np.float64)


def sign_flip_p(effects: NDArray[np.float64], flips: int, seed: int) -> float:
    """Return the one-sided p-value of the mean of patients' effects being above 0.

    Under no effect each patient's is as likely to have the other sign. Exact where all 2^n ways are at most ``flips``;
    else (1 + flips at least as large) / (1 + flips), with a stated seed: never below what so many flips can show.

    Raises:
        ValueError: there is no patient.
    """
    if not len(effects):
        raise ValueError("a sign-flip test needs at least one patient's effect")
    observed = float(effects.sum()) - _ROUNDING * float(np.abs(effects).sum())
    if 2 ** len(effects) <= flips:
        signs = np.array(list(product((1.0, -1.0), repeat=len(effects))))
        return float((signs @ effects >= observed).mean())
    rng = np.random.Generator(np.random.PCG64(seed))
    reached, left = 0, flips
    while left:
        rows = min(left, _CHUNK)
        signs = rng.integers(0, 2, size=(rows, len(effects))) * 2.0 - 1.0
        reached += int((signs @ effects >= observed).sum())
        left -= rows
    return (1 + reached) / (1 + flips)
