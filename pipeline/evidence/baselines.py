"""Maps that never looked at the image: what any real map has to beat."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.map_evidence import MaskedEvidence
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

__all__ = ["CentrePriors", "centre_prior", "random_map"]

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
