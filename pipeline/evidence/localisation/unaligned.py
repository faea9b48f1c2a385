"""What the same maps score where their cells are taken to tile the model's input, beside maps that were moved."""

from collections.abc import Mapping

from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import mean_estimate
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.findings.estimates import Estimate
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit

__all__ = ["unaligned_estimates", "unmoved"]


def unaligned_estimates(
    moved: UnitTable, unmoved_units: UnitTable, scales: Mapping[str, MetricScale], bootstrap: Bootstrap
) -> tuple[Estimate, ...]:
    """Return the estimates of unmoved maps among reference-positive studies, where they are others than the moved ones.

    ``moved`` are the units as the run scored them, ``unmoved_units`` those of the same studies as ``unmoved`` has them.
    """
    pairs = (
        [mean_estimate(units, scale, name, "reference_positive", bootstrap) for units in (moved, unmoved_units)]
        for name in unmoved_units.map_names
        for scale in scales.values()
    )
    return tuple(other for estimate, other in pairs if other != estimate)


def unmoved(audit: StudyAudit) -> StudyAudit:
    """Return a study with the scores of its unmoved maps; a map that was not moved keeps its own."""
    return audit.model_copy(update={"map_scores": tuple(map(_unmoved_scores, audit.map_scores))})


def _unmoved_scores(entry: MapScores) -> MapScores:
    return entry.model_copy(update={"scores": entry.unaligned}) if entry.unaligned else entry
