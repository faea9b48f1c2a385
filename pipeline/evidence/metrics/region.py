"""The map's region against the mask, by counting voxels.

A mask's voxels that the model never saw stay in: they were missed.
"""

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap

__all__ = ["dice", "iou"]

_COUNTS = ("scale", "flip", "permutation", "shift", "shuffle", "spacing")
_NO_CHANCE = "none: it depends on the size of the map's region; the random map beside it shows what chance gives"


@metric(
    "iou",
    title="IoU",
    definition="voxels in both the map's region and the mask, over voxels in either; 0 when the map has no region, "
    "undefined when the mask is empty",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_NO_CHANCE,
    invariant=_COUNTS,
    version=1,
)
def iou(overlap: RegionOverlap) -> float:
    """Return the intersection of region and mask over their union (Jaccard)."""
    overlap.require_mask()
    region = overlap.evidence.region
    return float((region & overlap.mask).sum() / (region | overlap.mask).sum())


@metric(
    "dice",
    title="Dice",
    definition="twice the voxels in both the map's region and the mask, over the sum of the two; 0 when the map has no "
    "region, undefined when the mask is empty",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_NO_CHANCE,
    invariant=_COUNTS,
    version=1,
)
def dice(overlap: RegionOverlap) -> float:
    """Return twice the intersection of region and mask over the sum of their sizes."""
    overlap.require_mask()
    region = overlap.evidence.region
    return float(2 * (region & overlap.mask).sum() / (region.sum() + overlap.mask.sum()))
