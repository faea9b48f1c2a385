"""How much of a map's evidence lies in a region that must not be leaned on: a tube, a marker, a caliper.

Such a region is no finding, so nothing that is said of a lesion's mask holds of it: evidence there is never praise, and
being better there than another map is nothing to be claimed. What can be claimed is that there is little.
"""

from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap
from pipeline.evidence.metrics.ranking import energy_in_mask
from pipeline.findings.scores import AvoidedRegion
from pipeline.vocabulary import AVOID

__all__ = ["NO_REGION", "REGION_NOT_SEEN", "avoided_metric", "avoided_region", "is_avoided"]

NO_REGION = "no_region"
"""Why there is no share: nobody marked such a region in the study, or the mask of it is empty."""

REGION_NOT_SEEN = "region_not_seen"
"""Why there is no share: the model never saw the region, so it cannot lean on it."""


def is_avoided(metric: str) -> bool:
    """Tell whether a metric is a region's share of the evidence."""
    return metric.startswith(AVOID)


def avoided_metric(metric: str) -> Metric:
    """Return what ``avoid:<region>`` declares of itself."""
    region = metric.removeprefix(AVOID)
    return Metric(
        name=metric,
        title=f"Evidence in {region}",
        definition=f"share of the map's positive sum that lies in the region {region}, which must not be leaned on; "
        "undefined where no such region is marked or seen, and for a constant map",
        unit="1",
        better="lower",
        range=(0.0, 1.0),
        chance=None,
        chance_text="The region's share of the voxels that the model saw.",
        invariant=energy_in_mask.invariant,
        version=1,
        function=energy_in_mask.function,
    )


def avoided_region(name: str, overlap: RegionOverlap) -> AvoidedRegion:
    """Return a map's share of evidence in a region, whose mask ``overlap`` holds it against."""
    evidence, reason = overlap.evidence, None
    if not overlap.mask_voxels:
        reason = NO_REGION
    elif not overlap.visible_voxels:
        reason = REGION_NOT_SEEN
    elif evidence.degenerate or not evidence.total:
        reason = "constant_map"
    area = overlap.visible_voxels / evidence.seen_voxels if evidence.seen_voxels else None
    if reason is not None:
        return AvoidedRegion(name=name, area=area, reason=reason)
    share = overlap.marked_total / evidence.total
    return AvoidedRegion(name=name, evidence=min(max(share, 0.0), 1.0), area=area)
