"""Maps that never asked the model: what any real map has to beat."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.map_evidence import MaskedEvidence
from pipeline.evidence.shown_body import bright_piece, holes_filled
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

__all__ = ["CentrePriors", "body_mask", "centre_prior", "edge_map", "random_map"]

_KEPT_VOXELS = 2**23  # of a larger grid the values alone would hold too much memory between two studies


def random_map(shape: tuple[int, ...], seed: int, study: str) -> NDArray[np.float32]:
    """Return uniform noise in [0, 1) on a layer's grid, the same for the same seed and study."""
    entropy = int.from_bytes(hashlib.sha256(f"{seed}/{study}".encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(entropy)).random(shape, dtype=np.float32)


def centre_prior(geometry: Geometry) -> NDArray[np.float32]:
    """Return a Gaussian around the centre of a grid, 1 at its peak."""
    field = np.ones((1,) * len(geometry.shape), dtype=np.float32)
    for axis, size in enumerate(geometry.shape):
        offset = (np.arange(size) - (size - 1) / 2) / max(size / 4, 1e-9)
        profile = np.exp(-0.5 * offset**2).astype(np.float32)
        field = field * profile.reshape([-1 if number == axis else 1 for number in range(len(geometry.shape))])
    return field


def edge_map(x: NDArray[np.float32], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Return how steeply a model's input (channels, *S) changes at each voxel, per mm: the length of its gradient.

    Central differences, over all channels together; an axis of one voxel has no slope.
    """
    squared = np.zeros(x.shape[1:], np.float64)
    for axis, step in enumerate(spacing, start=1):
        if x.shape[axis] > 1:
            squared += np.square(np.gradient(x.astype(np.float64), step, axis=axis)).sum(axis=0)
    return np.sqrt(squared).astype(np.float32)


def body_mask(x: NDArray[np.float32], bright: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return 1 where a model's input (channels, *S) shows the body, 0 beside it.

    The body is the largest piece of what is brighter than Otsu's threshold in the mean over the channels (``bright``,
    where that is known already), with its holes filled; nothing where the input is the same everywhere.
    """
    return holes_filled(bright_piece(x) if bright is None else bright).astype(np.float32)


@dataclass(frozen=True, eq=False)
class CentrePriors:
    """The centre prior as evidence, kept for the next study of a run that has the same grid: it is the same there.

    One grid's is kept, the last one's, and only where the model saw all of it.
    """

    _kept: dict[tuple[object, ...], MaskedEvidence] = field(default_factory=dict)

    def evidence(
        self, geometry: Geometry, seen: NDArray[np.bool_], evidence_of: Callable[[Heatmap], MaskedEvidence]
    ) -> MaskedEvidence:
        """Return the prior on a grid as evidence; ``evidence_of`` makes it, by the same rules at every call."""
        key = (geometry.shape, geometry.affine[:3, :3].tobytes(), geometry.scaled)  # where in the patient is nothing
        kept = self._kept.get(key)
        whole = bool(seen.all())
        if kept is not None and whole:
            return kept
        evidence = evidence_of(Heatmap(centre_prior(geometry), geometry, seen, "centre_prior", "", ""))
        if whole and seen.size <= _KEPT_VOXELS:
            self._kept.clear()
            self._kept[key] = evidence
        return evidence
