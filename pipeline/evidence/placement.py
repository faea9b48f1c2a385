"""Where a map lies that has no mask to be held against: its peak, and how much of it is in the body."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.map_evidence import MapOnGrid, MaskedEvidence
from pipeline.findings.scores import MapPlacement

__all__ = ["VoxelsInBody", "placement_of", "voxels_in_body"]

_INSIDE = 0.5
"""Above this value of the interpolated body mask, 0 or 1 in the model's input, a voxel of the image is in the body."""


@dataclass(frozen=True, eq=False)
class VoxelsInBody:
    """Which voxels of the image's grid are in the body; computed once for all maps of a study."""

    inside: NDArray[np.bool_]

    @cached_property
    def indices(self) -> NDArray[np.intp]:
        """The voxels in the body as flat indices, rising."""
        return np.flatnonzero(self.inside)

    def among(self, seen: NDArray[np.bool_]) -> "VoxelsInBody":
        """Return those of them that are seen."""
        return VoxelsInBody(self.inside & seen)


def voxels_in_body(body: MapOnGrid) -> VoxelsInBody:
    """Return the voxels in the body; ``body`` is the baseline of that name on the image's grid."""
    return VoxelsInBody((body.array > _INSIDE) & body.seen)


def placement_of(evidence: MaskedEvidence, body: VoxelsInBody) -> MapPlacement:
    """Tell where a map lies on the image's grid, and how much of it in the body."""
    if evidence.degenerate:
        return MapPlacement(reason="constant_map")
    shape = evidence.positive.shape
    places = np.stack(np.unravel_index(evidence.maxima, shape))
    steps = np.maximum(np.array(shape) - 1, 1)
    peak = tuple(float(share) for share in places.mean(axis=1) / steps)
    visible = body if evidence.seen_everywhere else body.among(evidence.heatmap.seen)
    count = len(visible.indices)
    if not count:
        return MapPlacement(peak=peak, reason="no_body")
    energy = float(evidence.positive.ravel()[visible.indices].sum(dtype=np.float64))
    return MapPlacement(
        peak=peak,
        energy_in_body=min(energy / evidence.total, 1.0),
        peak_in_body=float(visible.inside.ravel()[evidence.maxima].mean()),
        body_share=count / evidence.seen_voxels,
    )
