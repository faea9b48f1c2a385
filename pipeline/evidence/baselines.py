"""Maps that never looked at the image: what any real map has to beat."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipeline.studies.geometry import Geometry

__all__ = ["centre_prior", "random_map"]


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
