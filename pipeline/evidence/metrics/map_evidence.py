"""A map as evidence, and that evidence beside one mask: what every metric is a function of.

H = max(map, 0) on the mask's own grid is the evidence for the target. The map comes signed and is rectified here, after
its interpolation, whatever its method: two names of one map then have one score. The threshold depends on the map's
scale by no more than rounding, from float32's smallest number to its largest. Voxels that the model never saw carry no
evidence.

Each map is sorted once, and no index is sorted with it: what a mask's voxels rank as is looked up in the sorted values.

This is the NumPy back end. ``pipeline.evidence.device`` computes the same properties on the model's device; a metric
asks for numbers (``marked_total``, ``mean_precision``) and need not know where they come from; whoever asks for an
array gets one.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.parts import Pieces, Surface, nearest, pieces_of
from pipeline.evidence.thresholds import (
    CHEXLOCALIZE,
    UNDEFINED_RULE,
    RisingValues,
    ThresholdRule,
    filled_contours,
    threshold_of,
    threshold_of_chexlocalize,
)
from pipeline.studies.geometry import Geometry

__all__ = ["LesionLimits", "MapOnGrid", "MarkedVoxels", "MaskedEvidence", "RegionOverlap", "Undefined", "profiles_of"]

_CODE = re.compile(r"[a-z][a-z0-9_]{1,39}")
_CONSTANT = 8 * float(np.finfo(np.float32).eps)
"""Interpolation leaves a flat map with differences of a few float32 roundings: relative to the maximum, this much is
still flat."""


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


class MapOnGrid(Protocol):
    """A raw map on the mask's grid, as a ``Heatmap`` is one; its values may lie elsewhere until they are asked for."""

    @property
    def array(self) -> NDArray[np.float32]:
        """The values."""

    @property
    def geometry(self) -> Geometry:
        """The grid."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """The voxels that the model saw."""

    @property
    def method(self) -> str:
        """The method, or the baseline."""

    @property
    def layer(self) -> str:
        """The layer; empty for a baseline."""


@dataclass(frozen=True)
class LesionLimits:
    """How far beside a mask still counts as at it, in mm, and from which size in mm3 (2D: mm2) a lesion counts."""

    tolerance_mm: float = 5.0
    smallest_lesion: float = 0.0


@dataclass(frozen=True, eq=False)
class MaskedEvidence:
    """A map as evidence: positive part, sorted values, region above the threshold; computed once for all masks.

    ``rule`` says which values belong to the region (see ``thresholds``).
    """

    heatmap: MapOnGrid
    rule: ThresholdRule
    limits: LesionLimits = LesionLimits()

    @cached_property
    def positive(self) -> NDArray[np.float32]:
        """H = max(map, 0), 0 where unseen."""
        positive = np.maximum(self.heatmap.array, np.float32(0), order="C")
        if not self.seen_everywhere:
            positive *= self.heatmap.seen
        return positive

    @cached_property
    def seen_voxels(self) -> int:
        """How many voxels the model saw."""
        return int(np.count_nonzero(self.heatmap.seen))

    @property
    def seen_everywhere(self) -> bool:
        """Whether the model saw every voxel."""
        return self.seen_voxels == self.heatmap.seen.size

    @cached_property
    def ordered(self) -> NDArray[np.float32]:
        """H of the seen voxels, rising."""
        values = self.positive.ravel() if self.seen_everywhere else self.positive[self.heatmap.seen]
        above = values[values != 0]  # half of a map and more is 0, and has its place without being sorted
        above.sort()
        ordered = np.zeros(len(values), np.float32)
        ordered[len(values) - len(above) :] = above
        return ordered

    @property
    def rising(self) -> RisingValues:
        """The values of ``ordered`` for a look at some of them."""
        return self.ordered

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest H of the seen voxels; (0, 0) when none was seen."""
        return (float(self.ordered[0]), float(self.ordered[-1])) if self.ordered.size else (0.0, 0.0)

    @cached_property
    def tied_voxels(self) -> int:
        """How many voxels are tied for the largest H."""
        return len(self.ordered) - int(np.searchsorted(self.ordered, self.ordered[-1]))

    @property
    def degenerate(self) -> bool:
        """Whether H is constant over the seen voxels, up to the rounding of float32: it points nowhere."""
        low, high = self.extremes
        return high - low <= _CONSTANT * high

    @cached_property
    def total(self) -> float:
        """The sum of H."""
        return float(self.positive.sum(dtype=np.float64))

    @cached_property
    def profiles(self) -> tuple[NDArray[np.float64], ...]:
        """The sums of H over all other axes, one array an axis."""
        return profiles_of(self.positive)

    @cached_property
    def threshold(self) -> float | None:
        """The value above which a voxel belongs to the region, a float32 number; None for a degenerate map.

        A rule may do more than compare (``otsu-chexlocalize`` fills contours): the region is ``region``.

        Raises:
            Undefined: where the rule draws no region, for its reason.
        """
        self._require_rule()
        if self.degenerate or not self._applies:
            return None
        return threshold_of_chexlocalize(self.ordered) if self.fills else threshold_of(self.rule, self.rising)

    @cached_property
    def region(self) -> NDArray[np.bool_]:
        """Voxels with H above the threshold; empty for a degenerate map.

        Raises:
            Undefined: ``rule_for_pictures`` for a volume, where the rule is defined for pictures alone; where the rule
                draws no region, its reason.
        """
        return self.region_array()

    def region_array(self) -> NDArray[np.bool_]:
        """Return the region, computed from the values as an array.

        Raises:
            Undefined: as ``region``.
        """
        self._require_rule()
        if not self._applies:
            raise Undefined("rule_for_pictures")
        if self.threshold is None:
            return np.zeros(self.heatmap.geometry.shape, dtype=bool)
        region = self.positive > self.threshold  # 0, as of an unseen voxel, exceeds no threshold
        if self.fills:
            region = filled_contours(region)
            region &= self.heatmap.seen
        return region

    @cached_property
    def region_voxels(self) -> int:
        """How many voxels the region has."""
        return int(np.count_nonzero(self.region))

    @cached_property
    def region_surface(self) -> Surface:
        """The surface of the region, which must not be empty."""
        return Surface(self.region, self.heatmap.geometry)

    @cached_property
    def region_pieces(self) -> Pieces:
        """The pieces of the region."""
        return pieces_of(self.region)

    @cached_property
    def maxima(self) -> NDArray[np.intp]:
        """The voxels that are tied for the largest H, as flat indices; of a map that is not degenerate."""
        return np.flatnonzero(self.positive == self.ordered[-1])

    def _require_rule(self) -> None:
        if isinstance(self.rule, str) and self.rule.startswith(UNDEFINED_RULE):
            raise Undefined(self.rule.removeprefix(UNDEFINED_RULE))

    @property
    def fills(self) -> bool:
        """Whether the rule fills contours, instead of comparing voxel by voxel."""
        return self.rule == CHEXLOCALIZE

    @property
    def _applies(self) -> bool:
        return not self.fills or len(self.heatmap.geometry.shape) == 2


@dataclass(frozen=True, eq=False)
class MarkedVoxels:
    """A mask, with what is computed of it once for all the maps that are held against it."""

    mask: NDArray[np.bool_]
    geometry: Geometry

    @cached_property
    def indices(self) -> NDArray[np.intp]:
        """The marked voxels as flat indices, rising."""
        return np.flatnonzero(self.mask)

    @cached_property
    def surface(self) -> Surface:
        """The surface of the mask, which must not be empty."""
        return Surface(self.mask, self.geometry)

    @cached_property
    def pieces(self) -> Pieces:
        """The pieces of the mask."""
        return pieces_of(self.mask)


@dataclass(frozen=True, eq=False)
class RegionOverlap:
    """One map's evidence against one mask."""

    evidence: MaskedEvidence
    marked: MarkedVoxels

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask on the map's grid."""
        return self.marked.mask

    @property
    def geometry(self) -> Geometry:
        """The grid of both."""
        return self.evidence.heatmap.geometry

    @property
    def mask_voxels(self) -> int:
        """How many voxels the mask has."""
        return len(self.marked.indices)

    @cached_property
    def visible_values(self) -> NDArray[np.float32]:
        """H at those of the mask's voxels that the model saw, rising."""
        indices, evidence = self.marked.indices, self.evidence
        if not evidence.seen_everywhere:  # a look-up for each marked voxel
            indices = indices[evidence.heatmap.seen.ravel()[indices]]
        values = evidence.positive.ravel()[indices]
        values.sort()
        return values

    @property
    def visible_voxels(self) -> int:
        """How many of the mask's voxels the model saw."""
        return len(self.visible_values)

    @cached_property
    def common_voxels(self) -> int:
        """How many voxels are in both the map's region and the mask."""
        return int(np.count_nonzero(self.evidence.region.ravel()[self.marked.indices]))

    @cached_property
    def marked_at_maximum(self) -> int:
        """How many of the mask's voxels have the largest H."""
        return len(self.visible_values) - int(np.searchsorted(self.visible_values, self.evidence.ordered[-1]))

    @cached_property
    def marked_total(self) -> float:
        """The sum of H over the mask's voxels."""
        return float(self.visible_values.sum(dtype=np.float64))

    @cached_property
    def total_outside(self) -> float:
        """The sum of H outside the mask; no difference of two sums, which may cancel."""
        return float(self.evidence.positive.sum(dtype=np.float64, where=~self.mask))

    @cached_property
    def mean_precision(self) -> float:
        """The mean over the mask's voxels of the precision at the voxel's own H; all of one H enter together."""
        ordered, marked = self.evidence.ordered, self.visible_values
        hits = len(marked) - np.searchsorted(marked, marked)
        called = len(ordered) - np.searchsorted(ordered, marked)
        return float((hits / called).mean())

    @cached_property
    def twice_below(self) -> int:
        """The sum over the mask's voxels of the voxels with a lower H, doubled; those with the same count once."""
        ordered, marked = self.evidence.ordered, self.visible_values
        places = np.searchsorted(ordered, marked) + np.searchsorted(ordered, marked, "right")
        return int(places.sum(dtype=np.int64))

    def marked_among_highest(self, count: int) -> float:
        """Return how many of the ``count`` highest voxels are the mask's; of those tied for the last place a share."""
        ordered, marked = self.evidence.ordered, self.visible_values
        last = ordered[len(ordered) - count]
        above, marked_above = (
            len(values) - int(np.searchsorted(values, last, "right")) for values in (ordered, marked)
        )
        tied, marked_tied = (len(values) - int(np.searchsorted(values, last)) for values in (ordered, marked))
        return marked_above + (marked_tied - marked_above) * (count - above) / (tied - above)

    @cached_property
    def surface_distances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances in mm from the region's surface voxels to the mask's surface, and the other way round."""
        region, mask = self.evidence.region_surface.voxels, self.marked.surface.voxels
        return nearest(region, mask, self.geometry), nearest(mask, region, self.geometry)

    def require_mask(self) -> None:
        """Raise ``Undefined`` when the mask is empty."""
        if not self.mask_voxels:
            raise Undefined("empty_mask")

    def require_region(self) -> None:
        """Raise ``Undefined`` when the mask is empty or the map has no region."""
        self.require_mask()
        if not self.evidence.region_voxels:
            raise Undefined("empty_region")

    def require_physical_size(self) -> None:
        """Raise ``Undefined`` where the image states no physical size: a distance in pixels is not one in mm."""
        if not self.geometry.scaled:
            raise Undefined("no_physical_size")

    def require_ranking(self) -> None:
        """Raise ``Undefined`` unless a ranking of the seen voxels can be held against the mask."""
        self.require_mask()
        if not self.visible_voxels:
            raise Undefined("mask_outside_field_of_view")
        if self.evidence.degenerate:
            raise Undefined("constant_map")

    def require_place(self) -> None:
        """Raise ``Undefined`` unless where the seen voxels rank highest can be measured in mm from the mask."""
        self.require_ranking()
        self.require_physical_size()

    def require_surfaces(self) -> None:
        """Raise ``Undefined`` unless mask and region have surfaces whose distance can be measured in mm."""
        self.require_region()
        self.require_physical_size()

    def require_background(self) -> None:
        """Raise ``Undefined`` when every voxel that the model saw is of the mask."""
        if self.visible_voxels == self.evidence.seen_voxels:
            raise Undefined("mask_is_everything")


def profiles_of(weights: NDArray[np.generic]) -> tuple[NDArray[np.float64], ...]:
    """Return the sums of weights over all axes but one, for each axis."""
    axes = range(weights.ndim)
    return tuple(weights.sum(axis=tuple(other for other in axes if other != axis), dtype=np.float64) for axis in axes)
