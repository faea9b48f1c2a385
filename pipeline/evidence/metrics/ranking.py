"""Where the map is high, without a threshold.

A mask's voxels that the model never saw are left out; the level of chance is defined on the seen voxels.
"""

import numpy as np
from scipy.special import digamma

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap

__all__ = ["average_precision", "energy_in_mask", "hit_rate"]

_VALUES = ("scale", "flip", "permutation", "shift", "shuffle", "spacing")
_ORDER = (*_VALUES, "monotone")


def _mask_share(overlap: RegionOverlap) -> float:
    """The mask's share of the voxels that the model saw."""
    return overlap.visible_voxels / overlap.evidence.seen_voxels


def _precision_of_noise(overlap: RegionOverlap) -> float:
    """The mean over all orders of the seen voxels: the mask's share of them, and a little more where they are few."""
    marked, seen = overlap.visible_voxels, overlap.evidence.seen_voxels
    first = float(digamma(seen + 1) + np.euler_gamma) / seen  # of the precision at a hit, what the hit itself gives
    return first + (marked - 1) / max(1, seen - 1) * (1 - first)


@metric(
    "hit_rate",
    title="Hit rate",
    definition="1 when the map's maximum lies in the mask, else 0, without tolerance; voxels tied for the maximum "
    "count in proportion; undefined for a constant map",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_mask_share,
    invariant=_ORDER,
    version=1,
)
def hit_rate(overlap: RegionOverlap) -> float:
    """Return the share of the voxels with the highest H that lie in the mask (pointing game, Zhang et al. 2018)."""
    overlap.require_ranking()
    order, ends = overlap.evidence.ranking
    top = order[: ends[0] + 1]
    return float(overlap.mask.ravel()[top].sum() / len(top))


@metric(
    "energy_in_mask",
    title="Energy in mask",
    definition="share of the map's positive sum that lies in the mask; undefined for a constant map",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_mask_share,
    invariant=_VALUES,
    version=1,
)
def energy_in_mask(overlap: RegionOverlap) -> float:
    """Return sum(H in mask) / sum(H) (energy-based pointing game, Wang et al. 2020)."""
    overlap.require_ranking()
    positive = overlap.evidence.positive
    return float(positive[overlap.visible].sum(dtype=np.float64) / positive.sum(dtype=np.float64))


@metric(
    "average_precision",
    title="Average precision",
    definition="area under the voxel-wise precision-recall curve as a step function, map value as score; undefined for "
    "a constant map",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_precision_of_noise,
    invariant=_ORDER,
    version=1,
)
def average_precision(overlap: RegionOverlap) -> float:
    """Return sum over thresholds of (recall step) x precision; voxels with the same H enter together."""
    overlap.require_ranking()
    order, ends = overlap.evidence.ranking
    true_positives = np.cumsum(overlap.mask.ravel()[order], dtype=np.int64)[ends]
    precision = true_positives / (ends + 1)
    steps = np.diff(true_positives, prepend=0)
    return float((steps * precision).sum() / true_positives[-1])
