"""The back ends of the metric engine: who carries a map to the mask's grid, and who counts there.

A metric is one function, whatever computes. NumPy is the reference; ``evidence.device`` holds the other back end, which
needs torch: a verification, which measures nothing, does without.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.config import OverlapConfig
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.studies.geometry import Geometry, Resampling
from pipeline.studies.volume import Heatmap, Mask

__all__ = ["Carrier", "MapNames", "MetricEngine", "NumpyEngine"]


@dataclass(frozen=True)
class MapNames:
    """What a map is called: its method or baseline, its layer and target ('': none)."""

    method: str
    layer: str = ""
    target: str = ""


class Carrier(Protocol):
    """Carries every map of a layer to one grid, by a plan that was made once."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """The grid's voxels that the model saw."""

    def evidence(
        self, values: NDArray[np.floating], grid: Geometry, names: MapNames, overlap: OverlapConfig
    ) -> MaskedEvidence:
        """Return a map's values, carried to the plan's target, which is ``grid``, as evidence."""


class MetricEngine(Protocol):
    """One back end."""

    @property
    def identity(self) -> str | None:
        """What scores follow from besides maps, masks and metrics; None for the reference."""

    def at_work(self) -> AbstractContextManager[object]:
        """Return what the thread that scores has to be in."""

    def carrier(self, plan: Resampling) -> Carrier:
        """Return who carries maps by a plan."""

    def evidence(self, heatmap: Heatmap, overlap: OverlapConfig) -> MaskedEvidence:
        """Return a map that lies on the mask's grid already as evidence."""

    def marked(self, mask: Mask) -> MarkedVoxels:
        """Return a mask for all the maps that are held against it."""

    def overlap(self, evidence: MaskedEvidence, marked: MarkedVoxels) -> RegionOverlap:
        """Return one map beside one mask, both of this back end."""


@dataclass(frozen=True)
class _NumpyCarrier:
    plan: Resampling

    @property
    def seen(self) -> NDArray[np.bool_]:
        return self.plan.seen

    def evidence(
        self, values: NDArray[np.floating], grid: Geometry, names: MapNames, overlap: OverlapConfig
    ) -> MaskedEvidence:
        heatmap = Heatmap(self.plan.apply(values), grid, self.plan.seen, names.method, names.layer, names.target)
        return evidence_of(heatmap, overlap)


@dataclass(frozen=True)
class NumpyEngine:
    """The reference: NumPy, in float32 and double precision."""

    @property
    def identity(self) -> str | None:
        """None: it is the reference."""
        return None

    def at_work(self) -> AbstractContextManager[object]:
        """Return nothing in particular."""
        return nullcontext()

    def carrier(self, plan: Resampling) -> Carrier:
        """Return who carries maps by a plan."""
        return _NumpyCarrier(plan)

    def evidence(self, heatmap: Heatmap, overlap: OverlapConfig) -> MaskedEvidence:
        """Return a map as evidence."""
        return evidence_of(heatmap, overlap)

    def marked(self, mask: Mask) -> MarkedVoxels:
        """Return a mask for all the maps that are held against it."""
        return MarkedVoxels(mask.array, mask.geometry)

    def overlap(self, evidence: MaskedEvidence, marked: MarkedVoxels) -> RegionOverlap:
        """Return one map beside one mask."""
        return RegionOverlap(evidence, marked)
