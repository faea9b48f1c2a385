"""Where the map is high, without a threshold.

A mask's voxels that the model never saw are left out; the level of chance is defined on the seen voxels.
"""

import numpy as np
from scipy.special import digamma

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap

__all__ = [
    "average_precision",
    "energy_in_mask",
    "hit_rate",
    "inside_outside",
    "rank_accuracy",
    "top_percent",
    "voxel_auroc",
]

_VALUES = ("scale", "flip", "permutation", "shift", "shuffle", "spacing")
_ORDER = (*_VALUES, "monotone")
_TOP = 0.01  # the share of the seen voxels that ``top_percent`` looks at


def _mask_share(overlap: RegionOverlap) -> float:
    """The mask's share of the voxels that the model saw."""
    return overlap.visible_voxels / overlap.evidence.seen_voxels


def _half(overlap: RegionOverlap) -> float:  # noqa: ARG001 - whatever map and mask are
    """One half."""
    return 0.5


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
    source="Zhang et al. 2018 (pointing game, with a tolerance); Saporta et al. 2022 (without; the first of ties)",
    equals="paper",
)
def hit_rate(overlap: RegionOverlap) -> float:
    """Return the share of the voxels with the highest H that lie in the mask."""
    overlap.require_ranking()
    return overlap.marked_at_maximum / overlap.evidence.tied_voxels


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
    source="Wang et al. 2020 (energy-based pointing game); Arras et al. 2022 (relevance mass accuracy)",
    equals="paper",
)
def energy_in_mask(overlap: RegionOverlap) -> float:
    """Return sum(H in mask) / sum(H)."""
    overlap.require_ranking()
    return overlap.marked_total / overlap.evidence.total


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
    source="Arun et al. 2021, whose code joins the curve's points by straight lines; scikit-learn's step form",
    equals="neither",
)
def average_precision(overlap: RegionOverlap) -> float:
    """Return the mean over the mask's voxels of the precision at the voxel's own H; all with the same H enter together.

    That is the sum over thresholds of (recall step) x precision, without an order of all voxels.
    """
    overlap.require_ranking()
    return overlap.mean_precision


@metric(
    "voxel_auroc",
    title="Voxel AUROC",
    definition="chance that a voxel of the mask has a higher map value than one outside, ties counted half; undefined "
    "for a constant map and when the mask is everything",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_half,
    invariant=_ORDER,
    version=1,
    source="Fawcett 2006",
    equals="paper",
)
def voxel_auroc(overlap: RegionOverlap) -> float:
    """Return the area under the voxel-wise receiver operating characteristic (Mann-Whitney), by sums of ranks."""
    overlap.require_ranking()
    overlap.require_background()
    inside = overlap.visible_voxels
    outside = overlap.evidence.seen_voxels - inside
    return float(overlap.twice_below - inside * inside) / (2 * inside * outside)


@metric(
    "rank_accuracy",
    title="Rank accuracy",
    definition="share of the K highest voxels that lie in the mask, K the mask's seen voxels; those tied for the last "
    "place in proportion; undefined for a constant map",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_mask_share,
    invariant=_ORDER,
    version=1,
    source="Arras et al. 2022 (relevance rank accuracy), which does not say what becomes of ties",
    equals="paper",
)
def rank_accuracy(overlap: RegionOverlap) -> float:
    """Return the share of the #M highest voxels that the mask holds."""
    overlap.require_ranking()
    return overlap.marked_among_highest(overlap.visible_voxels) / overlap.visible_voxels


@metric(
    "top_percent",
    title="Top percent in mask",
    definition="share of the highest 1 % of the seen voxels, at least one, that lie in the mask; those tied for the "
    "last place in proportion; undefined for a constant map",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_mask_share,
    invariant=_ORDER,
    version=1,
    source="Theiner et al. 2021 (top-K intersection), with K a share of the voxels instead of a number",
    equals="neither",
)
def top_percent(overlap: RegionOverlap) -> float:
    """Return the share of the highest 1 % of the seen voxels that the mask holds."""
    overlap.require_ranking()
    count = max(1, round(_TOP * overlap.evidence.seen_voxels))
    return overlap.marked_among_highest(count) / count


@metric(
    "inside_outside",
    title="Inside against outside",
    definition="mean of the map's positive part in the mask, over the sum of that mean and the mean outside, so that r "
    "to 1 - r is the ratio of inside to outside; undefined for a constant map and when the mask is everything",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_half,
    invariant=_VALUES,
    version=1,
    source="the ratio of inside to outside has several forms; this one is bounded",
    equals="neither",
)
def inside_outside(overlap: RegionOverlap) -> float:
    """Return mean(H in M) / (mean(H in M) + mean(H outside M)) over the seen voxels."""
    overlap.require_ranking()
    overlap.require_background()
    evidence = overlap.evidence
    inside = overlap.marked_total / overlap.visible_voxels
    outside = overlap.total_outside / (evidence.seen_voxels - overlap.visible_voxels)
    return inside / (inside + outside)
