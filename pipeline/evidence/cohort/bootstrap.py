"""Intervals that describe and decide nothing, for studies that come in patients: arrays in, numbers out.

Studies of one patient resemble each other, so patients are drawn, not studies (cluster bootstrap). The generator is
PCG64 with a stated seed. Patients are drawn in the order of their values: how an archive is listed changes no interval.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BOOTSTRAP",
    "MINIMUM_PATIENTS",
    "NONE",
    "Bands",
    "Interval",
    "interval_of_means",
    "mean_bands",
    "mean_interval",
    "patient_draws",
    "rows_by_value",
]

MINIMUM_PATIENTS = 10
"""Below this many patients no interval is given: its coverage would be too poor to decide on."""

BOOTSTRAP = "patient-cluster bootstrap, percentile"
SAME = "none (every score is the same: no spread to draw from)"
NONE = f"none (fewer than {MINIMUM_PATIENTS} patients)"

_CHUNK = 4_000_000  # draws that are multiplied with scores together
_AT_ONCE = 250_000  # draws that are made, or ranked, together
_MANY = 5_000  # patients from which on values are drawn by bins
_BINS = 256


@dataclass(frozen=True)
class Interval:
    """A two-sided interval and how it was made; no bounds when there are too few patients."""

    low: float | None
    high: float | None
    how: str


def mean_interval(
    values: Sequence[float], patients: Sequence[str], *, confidence: float, replicates: int, seed: int
) -> Interval:
    """Return an interval for the mean of ``values``, whose patients are drawn with replacement.

    None when every value is the same: all replicates agree then, and a bootstrap would claim certainty.
    """
    sums, counts = _by_patient(values, patients)
    same = len(set(values)) == 1
    return _interval_of(sums, counts, same=same, confidence=confidence, replicates=replicates, seed=seed)


def interval_of_means(means: NDArray[np.float64], *, confidence: float, replicates: int, seed: int) -> Interval:
    """Return an interval for the mean of patients' own means, (patients,), as ``mean_interval`` of a study each."""
    same = bool((means == means[0]).all())
    return _interval_of(means, np.ones(len(means)), same=same, confidence=confidence, replicates=replicates, seed=seed)


def _interval_of(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    same: bool,
    confidence: float,
    replicates: int,
    seed: int,
) -> Interval:
    if len(sums) < MINIMUM_PATIENTS:
        return Interval(None, None, NONE)
    if same:
        return Interval(None, None, SAME)
    if len(sums) > _MANY and (counts == 1).all():
        return _percentile(_means_of_bins(sums, replicates, seed), confidence)
    order = np.lexsort((counts, sums))
    sums, counts = sums[order], counts[order]
    means = [weights @ sums / (weights @ counts) for weights in patient_draws(len(sums), replicates, seed)]
    return _percentile(np.concatenate(means), confidence)


@dataclass(frozen=True, eq=False)
class Bands:
    """The ends of many intervals and how they were made; empty where there are too few patients."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    how: str


def mean_bands(means: NDArray[np.float64], *, confidence: float, replicates: int, seed: int) -> Bands:
    """Return pointwise intervals for the mean of each column; ``means`` (patients, columns) are the patients' own.

    All columns are drawn together, so a curve moves as a whole. Where all patients agree, both ends are their value.
    """
    if len(means) < MINIMUM_PATIENTS:
        return Bands(np.empty(0), np.empty(0), NONE)
    means = rows_by_value(means)
    drawn = np.concatenate([weights @ means / len(means) for weights in patient_draws(len(means), replicates, seed)])
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    return Bands(low, high, BOOTSTRAP)


def rows_by_value(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return patients' rows (patients, columns) in the order of their values, the first column first."""
    return rows[np.lexsort(rows.T[::-1])]


def _by_patient(values: Sequence[float], patients: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    index = _numbered(patients)
    return np.bincount(index, weights=values).astype(np.float64), np.bincount(index).astype(np.float64)


def _numbered(patients: Sequence[str]) -> NDArray[np.intp]:
    """Return each patient's number in the order in which they first appear: no interval depends on their names."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.intp)


def _means_of_bins(values: NDArray[np.float64], replicates: int, seed: int) -> NDArray[np.float64]:
    """Return the mean of each replicate of many patients who weigh alike.

    How many are drawn of each bin of values is multinomial, and each bin gives its own mean: what is left out is the
    spread within a bin, of all values' a thousandth or so.
    """
    low, width = float(values.min()), float(np.ptp(values))
    bins = np.minimum(((values - low) * (_BINS / width)).astype(np.intp), _BINS - 1)
    counts, sums = np.bincount(bins), np.bincount(bins, weights=values)
    taken = counts > 0
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.multinomial(len(values), counts[taken] / len(values), size=replicates)
    means: NDArray[np.float64] = drawn @ (sums[taken] / counts[taken]) / len(values)
    return means


def patient_draws(clusters: int, replicates: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each patient is drawn, in chunks of shape (replicates in chunk, clusters).

    A chunk lies where the one before it lay: it is to be used before the next one is asked for.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    step = max(1, min(replicates, _CHUNK // clusters))
    chunk, some = np.empty((step, clusters)), max(1, _AT_ONCE // clusters)
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        counts = chunk[:rows]
        for first in range(0, rows, some):
            counts[first : first + some] = _counts(generator, min(some, rows - first), clusters)
        yield counts


def _counts(generator: np.random.Generator, rows: int, clusters: int) -> NDArray[np.intp]:
    drawn = generator.integers(0, clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)


def _percentile(replicates: NDArray[np.float64], confidence: float) -> Interval:
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(replicates, [tail, 100 - tail])
    return Interval(float(low), float(high), BOOTSTRAP)
