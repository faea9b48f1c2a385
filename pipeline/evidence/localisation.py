"""How a map overlaps with an expert's mask: one function a metric, each with what it does when it is undefined.

All metrics use the map's positive part H = max(map, 0) on the mask's own grid: evidence for the target. Voxels that
the model never saw carry no evidence; a mask's voxels among them stay in IoU and Dice (they were missed) and are left
out of the rank- and energy-based metrics, whose chance level is defined on the seen voxels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from pipeline.record import MetricFacts, Score
from pipeline.studies.volume import Heatmap, Mask

__all__ = ["METRICS", "Evidence", "Metric", "Overlap", "score_all"]


class Undefined(Exception):  # noqa: N818 - not an error: an answer
    """A metric has no value here; the message is the reason code that the record keeps."""


@dataclass(frozen=True)
class Evidence:
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
    def degenerate(self) -> bool:
        """Whether H is constant over the seen voxels: it points nowhere."""
        values = self.positive[self.heatmap.seen]
        return values.size == 0 or bool(values.min() == values.max())

    @cached_property
    def threshold(self) -> float | None:
        """The value above which a voxel belongs to the region; None for a degenerate map."""
        if self.degenerate:
            return None
        if self.rule == "otsu":
            return float(threshold_otsu(self.positive[self.heatmap.seen]))
        return self.rule * float(self.positive.max())

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
        ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)
        return seen[order], ends


@dataclass(frozen=True)
class Overlap:
    """One map's evidence against one mask."""

    evidence: Evidence
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
    function: Callable[[Overlap], float]
    range: tuple[float, float]
    scale_invariant: bool
    chance: Literal["mask_share"] | None


METRICS: dict[str, Metric] = {}


def _metric(
    name: str, title: str, definition: str, *, chance: Literal["mask_share"] | None
) -> Callable[[Callable[[Overlap], float]], Callable[[Overlap], float]]:
    def register(function: Callable[[Overlap], float]) -> Callable[[Overlap], float]:
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
def iou(overlap: Overlap) -> float:
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
def dice(overlap: Overlap) -> float:
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
def hit_rate(overlap: Overlap) -> float:
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
def energy_in_mask(overlap: Overlap) -> float:
    """Return sum(H in mask) / sum(H) (energy-based pointing game, Wang et al. 2020)."""
    overlap.require_ranking()
    positive = overlap.evidence.positive.astype(np.float64)
    return _share(positive[overlap.visible].sum(), positive.sum())


@_metric(
    "average_precision",
    "Average precision",
    "area under the voxel-wise precision-recall curve as a step function, map value as score; undefined for a "
    "constant map",
    chance="mask_share",
)
def average_precision(overlap: Overlap) -> float:
    """Return sum over thresholds of (recall step) x precision; voxels with the same H enter together."""
    overlap.require_ranking()
    order, ends = overlap.evidence.ranking
    found = np.cumsum(overlap.mask.ravel()[order], dtype=np.int64)[ends]
    precision = found / (ends + 1)
    steps = np.diff(found, prepend=0)
    return float((steps * precision).sum() / found[-1])


def score_all(evidence: Evidence, mask: Mask) -> tuple[Score, ...]:
    """Return every registered metric of a map against a mask on the same grid."""
    overlap = Overlap(evidence, mask.array)
    return tuple(_score(name, overlap) for name in METRICS)


def _score(name: str, overlap: Overlap) -> Score:
    try:
        return Score(name=name, value=METRICS[name].function(overlap))
    except Undefined as undefined:
        return Score(name=name, reason=str(undefined))


def _share(part: np.number | int, whole: np.number | int) -> float:
    return float(part) / float(whole)
