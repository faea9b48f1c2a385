"""The mean distance of a map's evidence to the mask, weighted by the evidence."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from camaudit.metrics import RegionOverlap, metric

__all__ = ["energy_distance"]


def _distances(overlap: RegionOverlap) -> NDArray[np.float64]:
    """Return the distance in mm of each seen voxel to the nearest voxel of the mask."""
    overlap.require_ranking()
    overlap.require_physical_size()
    distances: NDArray[np.float64] = distance_transform_edt(~overlap.mask, sampling=overlap.geometry.spacing)
    return distances[overlap.evidence.heatmap.seen]


def mean_distance(overlap: RegionOverlap) -> float:
    """The mean distance of the seen voxels to the mask."""
    return float(_distances(overlap).mean())


@metric(
    "energy_distance",
    title="Energy distance",
    definition="mean distance of the map's evidence to the mask, weighted by it; undefined for a constant map",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance=mean_distance,
    invariant=("scale", "flip", "permutation"),
    version=2,
)
def energy_distance(overlap: RegionOverlap) -> float:
    """Return the sum of H times distance over the sum of H."""
    distances = _distances(overlap)
    evidence = overlap.evidence.positive[overlap.evidence.heatmap.seen].astype(np.float64)
    return float((evidence * distances).sum() / evidence.sum())
