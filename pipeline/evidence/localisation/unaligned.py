"""What the same maps score where their cells are taken to tile the model's input, beside maps that were moved."""

from collections.abc import Collection, Mapping, Sequence

from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import mean_estimate
from pipeline.evidence.cohort.units import units_of
from pipeline.findings.estimates import Estimate
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit

__all__ = ["unaligned_estimates"]


def unaligned_estimates(
    audits: Sequence[StudyAudit],
    labels: Sequence[str],
    tuning: tuple[Collection[str], Collection[str]],
    scales: Mapping[str, MetricScale],
    bootstrap: Bootstrap,
) -> tuple[Estimate, ...]:
    """Return the estimates of unmoved maps among reference-positive studies, where they are others than the moved ones.

    Nothing where no map was moved. ``tuning`` as in ``units_of``.
    """
    if not any(entry.unaligned for audit in audits for entry in audit.map_scores):
        return ()
    moved, unmoved = (
        units_of(rows, tuple(scales), labels, tuning=tuning) for rows in (audits, [_unmoved(audit) for audit in audits])
    )
    names = list(dict.fromkeys(name for unit in unmoved for name, _ in unit.scores))
    pairs = (
        [mean_estimate(units, scale, name, "reference_positive", bootstrap) for units in (moved, unmoved)]
        for name in names
        for scale in scales.values()
    )
    return tuple(other for estimate, other in pairs if other != estimate)


def _unmoved(audit: StudyAudit) -> StudyAudit:
    return audit.model_copy(update={"map_scores": tuple(map(_unmoved_scores, audit.map_scores))})


def _unmoved_scores(entry: MapScores) -> MapScores:
    """Return an entry with the scores of the unmoved map; a map that was not moved keeps its own."""
    return entry.model_copy(update={"scores": entry.unaligned}) if entry.unaligned else entry
