"""A map as evidence, and that evidence beside a mask, where the values lie on a device.

The same properties as ``evidence.metrics.map_evidence`` computes with NumPy. Values are sorted, counted and compared as
the same float32 numbers, so counts, thresholds and ranks are the same to the last digit; sums are taken in double
precision in another order. A property that is an array is brought over when something asks for it: distances, lesions,
filled contours, and whatever a package's metric looks at.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.thresholds import RisingValues
from pipeline.studies.geometry import Geometry

__all__ = ["DeviceEvidence", "DeviceHeatmap", "DeviceMarked", "DeviceOverlap"]


@dataclass(frozen=True, eq=False)
class DeviceHeatmap:
    """A raw map on the mask's grid whose values (float32) lie on a device."""

    values: Tensor
    geometry: Geometry
    seen: NDArray[np.bool_]
    method: str
    layer: str

    @cached_property
    def array(self) -> NDArray[np.float32]:
        """The values, brought over."""
        return _array(self.values)


@dataclass(frozen=True)
class _Rising:
    """Rising values on a device, for those who look at a few of them."""

    ordered: Tensor

    def __len__(self) -> int:
        return len(self.ordered)

    def __getitem__(self, place: int) -> np.float32:
        return np.float32(self.ordered[place].item())

    def searchsorted(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        wanted = torch.from_numpy(np.ascontiguousarray(values)).to(self.ordered.device)
        return torch.searchsorted(self.ordered, wanted).cpu().numpy().astype(np.intp)


@dataclass(frozen=True, eq=False)
class DeviceEvidence(MaskedEvidence):
    """A map as evidence on a device; ``values`` are the heatmap's."""

    values: Tensor = field(kw_only=True)

    @cached_property
    def on_device(self) -> Tensor:
        """H = max(map, 0), 0 where unseen."""
        positive = self.values.clamp_min(0)
        return positive if self._seen is None else positive * self._seen

    @cached_property
    def _seen(self) -> Tensor | None:
        return None if self.seen_everywhere else torch.from_numpy(self.heatmap.seen.copy()).to(self.values.device)

    @cached_property
    def rising_on_device(self) -> Tensor:
        """H of the seen voxels, rising."""
        seen = self.on_device.flatten() if self._seen is None else self.on_device[self._seen]
        return seen.sort().values

    @cached_property
    def region_on_device(self) -> Tensor:
        """The region, as ``region`` has it."""
        if self.fills or self.threshold is None:
            return torch.from_numpy(self.region_array()).to(self.values.device)
        return self.on_device > self.threshold

    @cached_property
    def positive(self) -> NDArray[np.float32]:
        """H, brought over."""
        return _array(self.on_device)

    @cached_property
    def ordered(self) -> NDArray[np.float32]:
        """H of the seen voxels, rising, brought over."""
        return _array(self.rising_on_device)

    @property
    def rising(self) -> RisingValues:
        """The rising values, for a look at some of them."""
        return _Rising(self.rising_on_device)

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest H of the seen voxels; (0, 0) when none was seen."""
        if not len(self.rising_on_device):
            return 0.0, 0.0
        low, high = self.rising_on_device[[0, -1]].tolist()
        return low, high

    @cached_property
    def tied_voxels(self) -> int:
        """How many voxels are tied for the largest H."""
        return _from(self.rising_on_device, self.rising_on_device[-1:])

    @cached_property
    def total(self) -> float:
        """The sum of H."""
        return float(self.on_device.sum(dtype=torch.float64))

    @cached_property
    def profiles(self) -> tuple[NDArray[np.float64], ...]:
        """The sums of H over all other axes, one array an axis."""
        axes = range(self.on_device.ndim)
        exact = self.on_device.double()
        return tuple(_array(exact.sum(dim=[other for other in axes if other != axis])) for axis in axes)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """The region, brought over."""
        return _array(self.region_on_device)

    @cached_property
    def region_voxels(self) -> int:
        """How many voxels the region has."""
        return int(self.region_on_device.count_nonzero())

    @cached_property
    def maxima(self) -> NDArray[np.intp]:
        """The voxels that are tied for the largest H, as flat indices."""
        flat = self.on_device.flatten()
        return _array((flat == self.rising_on_device[-1]).nonzero()[:, 0]).astype(np.intp)


@dataclass(frozen=True, eq=False)
class DeviceMarked(MarkedVoxels):
    """A mask whose marked voxels lie on a device too."""

    device: torch.device

    @cached_property
    def places(self) -> Tensor:
        """The marked voxels as flat indices, rising."""
        return torch.from_numpy(self.indices).to(self.device)

    @cached_property
    def outside(self) -> Tensor:
        """Which voxels lie outside the mask, flat."""
        return torch.from_numpy(~self.mask.ravel()).to(self.device)


@dataclass(frozen=True, eq=False)
class DeviceOverlap(RegionOverlap):
    """One map's evidence against one mask, on a device."""

    evidence: DeviceEvidence
    marked: DeviceMarked

    @cached_property
    def marked_on_device(self) -> Tensor:
        """H at those of the mask's voxels that the model saw, rising."""
        places, evidence = self.marked.places, self.evidence
        if not evidence.seen_everywhere:
            places = places[torch.from_numpy(evidence.heatmap.seen.ravel()[self.marked.indices]).to(places.device)]
        return evidence.on_device.flatten()[places].sort().values

    @cached_property
    def visible_values(self) -> NDArray[np.float32]:
        """H at the mask's seen voxels, rising, brought over."""
        return _array(self.marked_on_device)

    @property
    def visible_voxels(self) -> int:
        """How many of the mask's voxels the model saw."""
        return len(self.marked_on_device)

    @cached_property
    def common_voxels(self) -> int:
        """How many voxels are in both the map's region and the mask."""
        return int(self.evidence.region_on_device.flatten()[self.marked.places].count_nonzero())

    @cached_property
    def marked_at_maximum(self) -> int:
        """How many of the mask's voxels have the largest H."""
        return _from(self.marked_on_device, self.evidence.rising_on_device[-1:])

    @cached_property
    def marked_total(self) -> float:
        """The sum of H over the mask's voxels."""
        return float(self.marked_on_device.sum(dtype=torch.float64))

    @cached_property
    def total_outside(self) -> float:
        """The sum of H outside the mask."""
        return float(self.evidence.on_device.flatten()[self.marked.outside].sum(dtype=torch.float64))

    @cached_property
    def mean_precision(self) -> float:
        """The mean over the mask's voxels of the precision at the voxel's own H."""
        ordered, marked = self.evidence.rising_on_device, self.marked_on_device
        hits = len(marked) - torch.searchsorted(marked, marked)
        called = len(ordered) - torch.searchsorted(ordered, marked)
        return float((hits.double() / called).mean())

    @cached_property
    def twice_below(self) -> int:
        """The sum over the mask's voxels of the voxels with a lower H, doubled; those with the same count once."""
        ordered, marked = self.evidence.rising_on_device, self.marked_on_device
        return int((torch.searchsorted(ordered, marked) + torch.searchsorted(ordered, marked, right=True)).sum())

    def marked_among_highest(self, count: int) -> float:
        """Return how many of the ``count`` highest voxels are the mask's; of those tied for the last place a share."""
        ordered, marked = self.evidence.rising_on_device, self.marked_on_device
        last = ordered[len(ordered) - count].unsqueeze(0)
        above, marked_above = (_from(values, last, right=True) for values in (ordered, marked))
        tied, marked_tied = (_from(values, last) for values in (ordered, marked))
        return marked_above + (marked_tied - marked_above) * (count - above) / (tied - above)


def _from(rising: Tensor, value: Tensor, *, right: bool = False) -> int:
    """Return how many rising values are at least ``value`` (1,); with ``right`` how many are above it."""
    return len(rising) - int(torch.searchsorted(rising, value, right=right))


def _array(values: Tensor) -> NDArray:  # type: ignore[type-arg]
    array = values.cpu().numpy()
    array.setflags(write=False)
    return array
