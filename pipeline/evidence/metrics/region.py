"""The map's region against the mask, by counting voxels.

A mask's voxels that the model never saw stay in: they were missed.
"""

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap

__all__ = ["dice", "iou", "voxel_precision", "voxel_recall", "voxel_specificity"]

_COUNTS = ("scale", "flip", "permutation", "shift", "shuffle", "spacing")
_NO_CHANCE = "none: it depends on the size of the map's region; the random map beside it shows what chance gives"


def _mask_share(overlap: RegionOverlap) -> float:
    """The mask's share of the voxels that the model saw."""
    return overlap.visible_voxels / overlap.evidence.seen_voxels


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
    source="Saporta et al. 2022",
    equals="paper",
)
def iou(overlap: RegionOverlap) -> float:
    """Return the intersection of region and mask over their union (Jaccard)."""
    overlap.require_mask()
    either = overlap.evidence.region_voxels + overlap.mask_voxels - overlap.common_voxels
    return overlap.common_voxels / either


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
    source="Dice 1945; Metrics Reloaded (Maier-Hein et al. 2024)",
    equals="paper",
)
def dice(overlap: RegionOverlap) -> float:
    """Return twice the intersection of region and mask over the sum of their sizes."""
    overlap.require_mask()
    return 2 * overlap.common_voxels / (overlap.evidence.region_voxels + overlap.mask_voxels)


@metric(
    "voxel_precision",
    title="Voxel precision",
    definition="share of the map's region that lies in the mask; undefined when either is empty",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_mask_share,
    invariant=_COUNTS,
    version=1,
    source="Saporta et al. 2022, whose code pools the pixels of all images",
    equals="neither",
)
def voxel_precision(overlap: RegionOverlap) -> float:
    """Return the share of the region's voxels that the mask holds, image by image."""
    overlap.require_region()
    return overlap.common_voxels / overlap.evidence.region_voxels


@metric(
    "voxel_recall",
    title="Voxel recall",
    definition="share of the mask that lies in the map's region; 0 when the map has no region, undefined when the mask "
    "is empty",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_NO_CHANCE,
    invariant=_COUNTS,
    version=1,
    source="Saporta et al. 2022, whose code pools the pixels of all images",
    equals="neither",
)
def voxel_recall(overlap: RegionOverlap) -> float:
    """Return the share of the mask's voxels that the region holds, image by image."""
    overlap.require_mask()
    return overlap.common_voxels / overlap.mask_voxels


@metric(
    "voxel_specificity",
    title="Voxel specificity",
    definition="share of the seen voxels outside the mask that the map's region leaves out; undefined when the mask is "
    "empty or everything",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_NO_CHANCE,
    invariant=_COUNTS,
    version=1,
    source="Saporta et al. 2022, whose code pools the pixels of all images",
    equals="neither",
)
def voxel_specificity(overlap: RegionOverlap) -> float:
    """Return 1 less the share of the background's voxels that the region holds, image by image."""
    overlap.require_mask()
    overlap.require_background()
    background = overlap.evidence.seen_voxels - overlap.visible_voxels
    return 1 - (overlap.evidence.region_voxels - overlap.common_voxels) / background
