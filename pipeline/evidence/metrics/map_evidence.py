"""A map as evidence, and that evidence beside one mask: what every metric is a function of.

H = max(map, 0) on the mask's own grid is the evidence for the target. The map comes signed and is rectified here, after
its interpolation, whatever its method: two names of one map then have one score. The threshold depends on the map's
scale by no more than rounding, from float32's smallest number to its largest. Voxels that the model never saw carry no
evidence.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

__all__ = ["MaskedEvidence", "RegionOverlap", "Undefined"]


_BINS = 256
_CODE = re.compile(r"[a-z][a-z0-9_]{1,39}")
_CONSTANT = 8 * float(np.finfo(np.float32).eps)
"""Interpolation leaves a flat map with differences of a few float32 roundings: relative to the maximum, this much is
still flat."""
_CHUNK = 2**16  # values whose float64 copies exist together, and stay in the processor's cache


class Undefined(Exception):  # noqa: N818 - not an error: an answer
    """A metric has no value here; ``code`` is the reason that the record keeps, such as ``empty_mask``.

    Raises:
        ValueError: for a code that is not of a-z, 0-9 and _: it may hold nothing that was read from a file.
    """

    def __init__(self, code: str) -> None:
        if _CODE.fullmatch(code) is None:
            raise ValueError("a reason code must be of a-z, 0-9 and _, from 2 to 40 characters")
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class MaskedEvidence:
    """A map as evidence: positive part, region above the threshold, ranking; computed once for all masks.

    ``rule`` is ``otsu`` (256 bins over the seen voxels) or a share of the maximum.
    """

    heatmap: Heatmap
    rule: Literal["otsu"] | float

    @cached_property
    def positive(self) -> NDArray[np.float32]:
        """H = max(map, 0), 0 where unseen."""
        return np.where(self.heatmap.seen, np.maximum(self.heatmap.array, 0), np.float32(0))

    @cached_property
    def seen_voxels(self) -> int:
        """How many voxels the model saw."""
        return int(np.count_nonzero(self.heatmap.seen))

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest H of the seen voxels; (0, 0) when none was seen."""
        values = self.positive[self.heatmap.seen]
        return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)

    @cached_property
    def degenerate(self) -> bool:
        """Whether H is constant over the seen voxels, up to the rounding of float32: it points nowhere."""
        low, high = self.extremes
        return high - low <= _CONSTANT * high

    @cached_property
    def threshold(self) -> float | None:
        """The value above which a voxel belongs to the region, a float32 number; None for a degenerate map."""
        if self.degenerate:
            return None
        low, high = self.extremes
        if self.rule == "otsu":
            return _below(low + (high - low) * _otsu(self.positive[self.heatmap.seen], low, high))
        return _below(self.rule * high)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """Voxels with H above the threshold; empty for a degenerate map."""
        if self.threshold is None:
            return np.zeros(self.positive.shape, dtype=bool)
        return (self.positive > self.threshold) & self.heatmap.seen

    @cached_property
    def ranking(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Seen voxels from highest to lowest H as flat indices, and the position of the last of each run of ties."""
        seen = np.flatnonzero(self.heatmap.seen)
        values = self.positive.ravel()[seen]
        order = np.argsort(-values, kind="stable")
        ordered = values[order]
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)
        return seen[order], ends


def _otsu(values: NDArray[np.float32], low: float, high: float) -> float:
    """Return Otsu's threshold (1979) of values in low..high as a share of that range: the centre of a bin of 256.

    The bin is the first after which a cut separates the two classes best. The values are scaled and summed in float64,
    so a factor on all of them changes nothing: exactly for powers of two, up to rounding for others.
    """
    counts, scale = np.zeros(_BINS + 1), _BINS / (high - low)
    for start in range(0, values.size, _CHUNK):
        place = (values[start : start + _CHUNK].astype(np.float64) - low) * scale
        counts += np.bincount(place.astype(np.intp), minlength=_BINS + 1)
    counts[-2] += counts[-1]  # the largest value itself
    counts = counts[:-1]
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * np.arange(_BINS))  # neither class is ever empty: both ends of the range are taken
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(np.argmax(between) + 0.5) / _BINS


def _below(threshold: float) -> float:
    """Return the largest float32 number that is not above the threshold: the same float32 values exceed both."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))


@dataclass(frozen=True)
class RegionOverlap:
    """One map's evidence against one mask."""

    evidence: MaskedEvidence
    mask: NDArray[np.bool_]

    @property
    def geometry(self) -> Geometry:
        """The grid of both."""
        return self.evidence.heatmap.geometry

    @cached_property
    def visible(self) -> NDArray[np.bool_]:
        """The mask's voxels that the model saw."""
        return self.mask & self.evidence.heatmap.seen

    @cached_property
    def visible_voxels(self) -> int:
        """How many of the mask's voxels the model saw."""
        return int(np.count_nonzero(self.visible))

    def require_mask(self) -> None:
        """Raise ``Undefined`` when the mask is empty."""
        if not self.mask.any():
            raise Undefined("empty_mask")

    def require_region(self) -> None:
        """Raise ``Undefined`` when the mask is empty or the map has no region."""
        self.require_mask()
        if not self.evidence.region.any():
            raise Undefined("empty_region")

    def require_physical_size(self) -> None:
        """Raise ``Undefined`` where the image states no physical size: a distance in pixels is not one in mm."""
        if not self.geometry.scaled:
            raise Undefined("no_physical_size")

    def require_ranking(self) -> None:
        """Raise ``Undefined`` unless a ranking of the seen voxels can be held against the mask."""
        self.require_mask()
        if not self.visible.any():
            raise Undefined("mask_outside_field_of_view")
        if self.evidence.degenerate:
            raise Undefined("constant_map")
