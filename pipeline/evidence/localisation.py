"""How a map overlaps with an expert's mask: one function a metric, each with what it does when it is undefined.

All metrics use the map's positive part H = max(map, 0) on the mask's own grid: evidence for the target. The map comes
signed and is rectified here, after its interpolation, whatever its method: two names of one map then have one score.
No metric depends on the map's scale, from float32's smallest number to its largest. Voxels that
the model never saw carry no evidence; a mask's voxels among them stay in IoU and Dice (they were missed) and are left
out of the rank- and energy-based metrics, whose chance level is defined on the seen voxels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.findings.facts import MetricFacts
from pipeline.findings.scores import Score
from pipeline.studies.volume import Heatmap, Mask

__all__ = ["METRICS", "MaskedEvidence", "Metric", "RegionOverlap", "score_all"]


_BINS = 256
_CONSTANT = 8 * float(np.finfo(np.float32).eps)
"""Interpolation leaves a flat map with differences of a few float32 roundings: relative to the maximum, this much is
still flat."""
_CHUNK = 2**16  # values whose float64 copies exist together, and stay in the processor's cache


class Undefined(Exception):  # noqa: N818 - not an error: an answer
    """A metric has no value here; the message is the reason code that the record keeps."""


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

    @cached_property
    def visible(self) -> NDArray[np.bool_]:
        """The mask's voxels that the model saw."""
        return self.mask & self.evidence.heatmap.seen

    def require_mask(self) -> None:
        """Raise ``Undefined`` when the mask is empty."""
        if not self.mask.any():
            raise Undefined("empty_mask")

    def require_ranking(self) -> None:
        """Raise ``Undefined`` unless a ranking of the seen voxels can be held against the mask."""
        self.require_mask()
        if not self.visible.any():
            raise Undefined("mask_outside_field_of_view")
        if self.evidence.degenerate:
            raise Undefined("constant_map")


@dataclass(frozen=True)
class Metric:
    """A metric and its declared properties, which choose its tests.

    ``scale_invariant``: multiplying the map by a positive number changes nothing. ``chance`` tells what the level of
    chance is: the mask's share of the seen voxels, or nothing.
    """

    facts: MetricFacts
    function: Callable[[RegionOverlap], float]
    range: tuple[float, float]
    scale_invariant: bool
    chance: Literal["mask_share"] | None


METRICS: dict[str, Metric] = {}


def _metric(
    name: str, title: str, definition: str, *, chance: Literal["mask_share"] | None
) -> Callable[[Callable[[RegionOverlap], float]], Callable[[RegionOverlap], float]]:
    def register(function: Callable[[RegionOverlap], float]) -> Callable[[RegionOverlap], float]:
        if name in METRICS:
            raise ValueError(f"metric {name!r} is registered twice")
        facts = MetricFacts(name=name, title=title, definition=definition, better="higher", unit="1")
        METRICS[name] = Metric(facts, function, (0.0, 1.0), scale_invariant=True, chance=chance)
        return function

    return register


@_metric(
    "iou",
    "IoU",
    "voxels in both the map's region and the mask, over voxels in either; 0 when the map has no region, "
    "undefined when the mask is empty",
    chance=None,
)
def iou(overlap: RegionOverlap) -> float:
    """Return the intersection of region and mask over their union (Jaccard)."""
    overlap.require_mask()
    region = overlap.evidence.region
    return _share((region & overlap.mask).sum(), (region | overlap.mask).sum())


@_metric(
    "dice",
    "Dice",
    "twice the voxels in both the map's region and the mask, over the sum of the two; 0 when the map has no region, "
    "undefined when the mask is empty",
    chance=None,
)
def dice(overlap: RegionOverlap) -> float:
    """Return twice the intersection of region and mask over the sum of their sizes."""
    overlap.require_mask()
    region = overlap.evidence.region
    return _share(2 * (region & overlap.mask).sum(), region.sum() + overlap.mask.sum())


@_metric(
    "hit_rate",
    "Hit rate",
    "1 when the map's maximum lies in the mask, else 0, without tolerance; voxels tied for the maximum count in "
    "proportion; undefined for a constant map",
    chance="mask_share",
)
def hit_rate(overlap: RegionOverlap) -> float:
    """Return the share of the voxels with the highest H that lie in the mask (pointing game, Zhang et al. 2018)."""
    overlap.require_ranking()
    order, ends = overlap.evidence.ranking
    top = order[: ends[0] + 1]
    return _share(overlap.mask.ravel()[top].sum(), len(top))


@_metric(
    "energy_in_mask",
    "Energy in mask",
    "share of the map's positive sum that lies in the mask; undefined for a constant map",
    chance="mask_share",
)
def energy_in_mask(overlap: RegionOverlap) -> float:
    """Return sum(H in mask) / sum(H) (energy-based pointing game, Wang et al. 2020)."""
    overlap.require_ranking()
    positive = overlap.evidence.positive
    return _share(positive[overlap.visible].sum(dtype=np.float64), positive.sum(dtype=np.float64))


@_metric(
    "average_precision",
    "Average precision",
    "area under the voxel-wise precision-recall curve as a step function, map value as score; undefined for a "
    "constant map",
    chance="mask_share",
)
def average_precision(overlap: RegionOverlap) -> float:
    """Return sum over thresholds of (recall step) x precision; voxels with the same H enter together."""
    overlap.require_ranking()
    order, ends = overlap.evidence.ranking
    true_positives = np.cumsum(overlap.mask.ravel()[order], dtype=np.int64)[ends]
    precision = true_positives / (ends + 1)
    steps = np.diff(true_positives, prepend=0)
    return float((steps * precision).sum() / true_positives[-1])


def score_all(evidence: MaskedEvidence, mask: Mask) -> tuple[Score, ...]:
    """Return every registered metric of a map against a mask on the same grid."""
    overlap = RegionOverlap(evidence, mask.array)
    return tuple(_score(name, overlap) for name in METRICS)


def _score(name: str, overlap: RegionOverlap) -> Score:
    try:
        return Score(name=name, value=METRICS[name].function(overlap))
    except Undefined as undefined:
        return Score(name=name, reason=str(undefined))


def _share(part: np.number | int, whole: np.number | int) -> float:
    return float(part) / float(whole)
