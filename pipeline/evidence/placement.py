"""Where a map lies that has no mask to be held against: its peak, and how much of it is in the body."""

import numpy as np

from pipeline.evidence.metrics.map_evidence import MapOnGrid, MaskedEvidence
from pipeline.findings.scores import MapPlacement

__all__ = ["placement_of"]

_INSIDE = 0.5
"""Above this value of the interpolated body mask, 0 or 1 in the model's input, a voxel of the image is in the body."""


def placement_of(evidence: MaskedEvidence, body: MapOnGrid) -> MapPlacement:
    """Tell where a map lies on the image's grid; ``body`` is the baseline of that name on the same grid."""
    if evidence.degenerate:
        return MapPlacement(reason="constant_map")
    shape = evidence.positive.shape
    places = np.stack(np.unravel_index(evidence.maxima, shape))
    steps = np.maximum(np.array(shape) - 1, 1)
    peak = tuple(float(share) for share in places.mean(axis=1) / steps)
    inside = (body.array > _INSIDE) & body.seen & evidence.heatmap.seen
    count = int(np.count_nonzero(inside))
    if not count:
        return MapPlacement(peak=peak, reason="no_body")
    energy = float(evidence.positive[inside].sum(dtype=np.float64))
    return MapPlacement(
        peak=peak,
        energy_in_body=min(energy / evidence.total, 1.0),
        peak_in_body=float(inside.ravel()[evidence.maxima].mean()),
        body_share=count / evidence.seen_voxels,
    )
