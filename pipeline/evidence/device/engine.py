"""The torch back end: maps go to the device once, as small as they are, and numbers come back."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config import OverlapConfig
from pipeline.evidence.device.evidence import DeviceEvidence, DeviceHeatmap, DeviceMarked, DeviceOverlap
from pipeline.evidence.device.resampling import DeviceResampling
from pipeline.evidence.engine import Carrier, MapNames, MetricEngine, NumpyEngine
from pipeline.evidence.metrics.map_evidence import LesionLimits, MapOnGrid, MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import drawn_by
from pipeline.studies.geometry import Geometry, Resampling
from pipeline.studies.volume import Heatmap, Mask
from pipeline.vocabulary import Scoring

__all__ = ["DeviceEngine", "engine_for"]


def engine_for(scoring: Scoring, device: torch.device) -> MetricEngine:
    """Return the back end that a configuration asks for; ``auto``: torch where the device is CUDA's, else NumPy."""
    on_device = scoring == "torch" or (scoring == "auto" and device.type == "cuda")
    return DeviceEngine(device) if on_device else NumpyEngine()


@dataclass(frozen=True)
class DeviceEngine:
    """Torch on the model's device, which has to know double precision."""

    device: torch.device

    @property
    def identity(self) -> str | None:
        """The back end and the kind of device: another kind may round a sum otherwise."""
        return f"torch on {self.device.type}"

    def at_work(self) -> AbstractContextManager[object]:
        """Return a stream of the device that waits for none of the model's work, and is waited for by none."""
        if self.device.type != "cuda":
            return nullcontext()
        return torch.cuda.stream(torch.cuda.Stream(self.device))  # type: ignore[no-untyped-call]

    def carrier(self, plan: Resampling) -> Carrier:
        """Return who carries maps by a plan."""
        return _DeviceCarrier(DeviceResampling(plan, self.device))

    def evidence(self, heatmap: Heatmap, overlap: OverlapConfig) -> MaskedEvidence:
        """Return a map that lies on the mask's grid already as evidence."""
        values = torch.from_numpy(np.array(heatmap.array, order="C")).to(self.device)
        return _evidence(heatmap, values, overlap)

    def marked(self, mask: Mask) -> MarkedVoxels:
        """Return a mask for all the maps that are held against it."""
        return DeviceMarked(mask.array, mask.geometry, self.device)

    def overlap(self, evidence: MaskedEvidence, marked: MarkedVoxels) -> RegionOverlap:
        """Return one map beside one mask, both of this back end."""
        if not isinstance(evidence, DeviceEvidence) or not isinstance(marked, DeviceMarked):
            raise TypeError(f"evidence and mask are of this back end, not {type(evidence)} and {type(marked)}")
        return DeviceOverlap(evidence, marked)


@dataclass(frozen=True)
class _DeviceCarrier:
    resampling: DeviceResampling

    @property
    def seen(self) -> NDArray[np.bool_]:
        return self.resampling.plan.seen

    def evidence(
        self, values: NDArray[np.floating], grid: Geometry, names: MapNames, overlap: OverlapConfig
    ) -> MaskedEvidence:
        carried = self.resampling.apply(values)
        return _evidence(DeviceHeatmap(carried, grid, self.seen, names.method, names.layer), carried, overlap)


def _evidence(heatmap: MapOnGrid, values: torch.Tensor, overlap: OverlapConfig) -> DeviceEvidence:
    limits = LesionLimits(overlap.tolerance_mm, overlap.smallest_lesion)
    return DeviceEvidence(heatmap, drawn_by(overlap), limits, values=values)
