"""A map beside a mask, from plain lists."""

import numpy as np

from pipeline.evidence.metrics.map_evidence import LesionLimits, MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import METRICS, score_all
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap


def overlap_of(values, mask, spacing=None, seen=None, rule=0.5, affine=None, scaled=True, **limits):
    """Return a map beside a mask; a voxel of the region exceeds half of the maximum unless said otherwise."""
    values, mask = np.asarray(values, np.float32), np.asarray(mask, bool)
    if affine is None:
        affine = np.diag([*(spacing or (1.0,) * mask.ndim), *([1.0] * (4 - mask.ndim))])
    geometry = Geometry(mask.shape, affine, scaled=scaled)
    seen = np.ones(mask.shape, bool) if seen is None else np.asarray(seen, bool)
    heatmap = Heatmap(values, geometry, seen, "method", "layer", "target")
    return RegionOverlap(MaskedEvidence(heatmap, rule, LesionLimits(**limits)), MarkedVoxels(mask, geometry))


def answer(overlap, name):
    """Return a metric's value, or the reason why there is none."""
    (score,) = score_all(overlap, [METRICS[name]])
    return score.reason or score.value
