"""A map's region at every threshold of a fixed grid, counted in its sorted values: no volume is thresholded twice."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.map_evidence import RegionOverlap
from pipeline.evidence.thresholds import threshold_of
from pipeline.findings.localisation.curves import CURVE_SHARES, RegionCounts

__all__ = ["COUNTED", "region_counts", "values_of_counts"]

Counts = NDArray[np.float64]
Formula = Callable[[Counts, Counts, RegionCounts], Counts]
"""From region and common voxels at each threshold to values; NaN where there is none, whatever the threshold."""


def region_counts(overlap: RegionOverlap) -> RegionCounts:
    """Count the region's voxels, in all and in the mask, at each share of the map's maximum.

    A value exceeds a threshold or not exactly as it does where the region is drawn. A constant map has no region.
    """
    evidence, marked = overlap.evidence, overlap.visible_values
    if evidence.degenerate:
        region = common = (0,) * len(CURVE_SHARES)
    else:
        thresholds = np.array([threshold_of(share, evidence.ordered) for share in CURVE_SHARES], np.float32)
        region, common = (_above(values, thresholds) for values in (evidence.ordered, marked))
    return RegionCounts(
        region=region,
        common=common,
        mask=overlap.mask_voxels,
        visible=overlap.visible_voxels,
        seen=evidence.seen_voxels,
    )


def _above(values: NDArray[np.float32], thresholds: NDArray[np.float32]) -> tuple[int, ...]:
    """Return how many of the rising values exceed each threshold."""
    return tuple((len(values) - np.searchsorted(values, thresholds, side="right")).tolist())


def values_of_counts(metric: str, counts: RegionCounts) -> Counts | None:
    """Return a metric of ``COUNTED`` at each threshold, as the metric itself has it; None where it is undefined.

    Precision where the map has no region is 0, as in every estimate: a map that shows nothing counts as the worst.
    """
    if not counts.mask or (metric == "voxel_specificity" and counts.seen == counts.visible):
        return None
    region, common = (np.array(voxels, np.float64) for voxels in (counts.region, counts.common))
    return COUNTED[metric](region, common, counts)


def _iou(region: Counts, common: Counts, counts: RegionCounts) -> Counts:
    return common / (region + counts.mask - common)


def _dice(region: Counts, common: Counts, counts: RegionCounts) -> Counts:
    return 2 * common / (region + counts.mask)


def _precision(region: Counts, common: Counts, counts: RegionCounts) -> Counts:  # noqa: ARG001 - one form for all
    return np.divide(common, region, out=np.zeros_like(common), where=region > 0)


def _recall(region: Counts, common: Counts, counts: RegionCounts) -> Counts:  # noqa: ARG001 - one form for all
    return common / counts.mask


def _specificity(region: Counts, common: Counts, counts: RegionCounts) -> Counts:
    return 1 - (region - common) / (counts.seen - counts.visible)


COUNTED: Final[Mapping[str, Formula]] = MappingProxyType(
    {
        "iou": _iou,
        "dice": _dice,
        "voxel_precision": _precision,
        "voxel_recall": _recall,
        "voxel_specificity": _specificity,
    }
)
"""The metrics that follow from counts alone, by name; a test holds each to the metric."""
