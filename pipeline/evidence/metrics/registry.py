"""The metrics of camaudit, in the order in which they are shown, and the scores of one map against one mask."""

from collections.abc import Iterable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Final

from pipeline.config import AuditConfig, OverlapConfig, TunedConfig
from pipeline.errors import ConfigError, closest
from pipeline.evidence.metrics.avoided import avoided_metric, is_avoided
from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.distance import (
    assd,
    centre_distance,
    hd95,
    hit_within,
    mass_centre_distance,
    surface_dice,
)
from pipeline.evidence.metrics.lesions import false_marks, froc, lesion_sensitivity
from pipeline.evidence.metrics.map_evidence import LesionLimits, MaskedEvidence, RegionOverlap, Undefined
from pipeline.evidence.metrics.ranking import (
    average_precision,
    energy_in_mask,
    hit_rate,
    inside_outside,
    rank_accuracy,
    top_percent,
    voxel_auroc,
)
from pipeline.evidence.metrics.region import dice, iou, voxel_precision, voxel_recall, voxel_specificity
from pipeline.evidence.thresholds import UNDEFINED_RULE, ThresholdRule
from pipeline.findings.scores import Score
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import Better

__all__ = ["METRICS", "directions", "drawn_by", "evidence_of", "measured_metrics", "score_all", "undefined_scores"]

_LISTED = (
    iou,
    dice,
    hit_rate,
    energy_in_mask,
    average_precision,
    voxel_precision,
    voxel_recall,
    voxel_specificity,
    voxel_auroc,
    rank_accuracy,
    top_percent,
    inside_outside,
    hit_within,
    centre_distance,
    mass_centre_distance,
    hd95,
    assd,
    surface_dice,
    lesion_sensitivity,
    froc,
    false_marks,
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType({metric.name: metric for metric in _LISTED})
"""camaudit's own metrics by name. Those of installed packages come to a run's through ``plugins``."""


def measured_metrics(config: AuditConfig, known: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """Return what a run measures: the metrics that its configuration names, and those of installed packages.

    Raises:
        ConfigError: for a name that is none of ``known``.
    """
    named = {*config.overlap.metrics, *(criterion.metric for criterion in config.metric_criteria if criterion.method)}
    known = {**known, **{name: avoided_metric(name) for name in sorted(named) if is_avoided(name)}}
    for name in config.overlap.metrics:
        if name not in known:
            raise ConfigError(f"overlap.metrics: unknown name {name!r}; {closest(name, known)}")
    return MappingProxyType(
        {name: metric for name, metric in known.items() if name in named or metric.package is not None}
    )


def directions(metrics: Iterable[Metric] = _LISTED) -> dict[str, Better]:
    """Return which end is the good one, for each metric by its name."""
    return {metric.name: metric.better for metric in metrics}


def drawn_by(overlap: OverlapConfig) -> ThresholdRule:
    """Return the rule by which a region is drawn; of one that is tuned for each label none is known here."""
    return f"{UNDEFINED_RULE}not_tuned" if isinstance(overlap.threshold, TunedConfig) else overlap.threshold


def evidence_of(heatmap: Heatmap, overlap: OverlapConfig, rule: ThresholdRule | None = None) -> MaskedEvidence:
    """Return a map as evidence by the rules of a configuration; ``rule`` draws the region where none of it does."""
    given = drawn_by(overlap) if rule is None else rule
    return MaskedEvidence(heatmap, given, LesionLimits(overlap.tolerance_mm, overlap.smallest_lesion))


def score_all(overlap: RegionOverlap, metrics: Iterable[Metric] = _LISTED) -> tuple[Score, ...]:
    """Return the metrics of a map against a mask; regions to avoid are no part of it.

    Raises:
        ValueError: when a metric returns what it declares that it never does.
    """
    return tuple(_score(metric, overlap) for metric in metrics if not is_avoided(metric.name))


def undefined_scores(metrics: Iterable[Metric], reason: str) -> tuple[Score, ...]:
    """Return a score of each metric that is undefined for one reason."""
    return tuple(
        Score(name=metric.name, version=metric.version, reason=reason)
        for metric in metrics
        if not is_avoided(metric.name)
    )


def _score(metric: Metric, overlap: RegionOverlap) -> Score:
    try:
        value = _within(metric, metric.function(overlap))
    except Undefined as undefined:
        return Score(name=metric.name, version=metric.version, reason=undefined.code)
    return Score(name=metric.name, version=metric.version, value=value, chance=_chance(metric, overlap))


def _chance(metric: Metric, overlap: RegionOverlap) -> float | None:
    try:
        return None if metric.chance is None else _within(metric, metric.chance(overlap))
    except Undefined:
        return None


def _within(metric: Metric, value: float) -> float:
    """Return a value that lies in the declared range; one that is beside it by no more than rounding as its end."""
    low, high = metric.bounds
    slack = 1e-9 * max(1.0, abs(value))
    if not isfinite(value) or not low - slack <= value <= high + slack:
        raise ValueError(f"metric {metric.name!r} returned {value!r:.40}, outside of its range {metric.range}")
    return min(max(float(value), low), high)
