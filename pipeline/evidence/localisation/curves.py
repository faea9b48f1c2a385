"""Metrics over thresholds for a cohort: from counts in the rows to means over patients with bands that describe."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.bootstrap import mean_bands
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.units import decisive_scores
from pipeline.evidence.localisation.region_counts import COUNTED, values_of_counts
from pipeline.findings.localisation.curves import CURVE_SHARES, ThresholdCurve
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit, methods_at_layers

__all__ = ["StudyValues", "study_values", "threshold_curves"]

StudyValues = Mapping[tuple[str, str], NDArray[np.float64]]
"""By (map, metric), a study's values at each threshold of ``CURVE_SHARES``."""

_Course = tuple[str, str, NDArray[np.float64]]  # patient, study, values


def threshold_curves(
    audits: Sequence[StudyAudit], labels: Sequence[str], bootstrap: Bootstrap
) -> tuple[ThresholdCurve, ...]:
    """Return every counted metric of every map over thresholds, among the studies in which a label is present.

    A study's value is the mean over the readers that are held against a map in estimates, a patient's that over his
    studies. Studies without a map or a mask of the label are left out, and nothing stands for them.
    """
    analysed = [audit for audit in audits if audit.status == "analysed"]
    at_layers = methods_at_layers(analysed)
    courses: dict[tuple[str, str, str], list[_Course]] = defaultdict(list)
    for audit, label in _present(analysed, labels):
        for (name, metric), values in study_values(audit, label, at_layers).items():
            courses[label, name, metric].append((audit.patient, audit.study, values))
    several = len(labels) > 1
    return tuple(
        _curve(metric, name, label if several else None, own, bootstrap)
        for (label, name, metric), own in sorted(courses.items(), key=lambda item: labels.index(item[0][0]))
    )


def _present(audits: Sequence[StudyAudit], labels: Sequence[str]) -> Iterator[tuple[StudyAudit, str]]:
    for audit in audits:
        yield from ((audit, label) for label in labels if label in (audit.reference or ()))


def study_values(audit: StudyAudit, label: str, at_layers: Collection[str]) -> StudyValues:
    """Return what counts give of each map of a study, as the mean over the readers whose mask defines it."""
    return {
        (name, metric): values
        for name, entries in decisive_scores(audit, label, at_layers).items()
        for metric in COUNTED
        if (values := _over_readers(metric, entries)) is not None
    }


def _over_readers(metric: str, entries: Sequence[MapScores]) -> NDArray[np.float64] | None:
    values = [values_of_counts(metric, entry.counts) for entry in entries if entry.counts is not None]
    defined = [course for course in values if course is not None]
    return np.mean(defined, axis=0) if defined else None


def _curve(
    metric: str, name: str, label: str | None, courses: Sequence[_Course], bootstrap: Bootstrap
) -> ThresholdCurve:
    by_patient: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for patient, _, values in courses:
        by_patient[patient].append(values)
    means = np.array([np.mean(own, axis=0) for own in by_patient.values()])
    bands = mean_bands(means, confidence=bootstrap.confidence, replicates=bootstrap.replicates, seed=bootstrap.seed)
    return ThresholdCurve(
        metric=metric,
        method=name,
        label=label,
        shares=CURVE_SHARES,
        values=tuple(means.mean(axis=0).tolist()),
        low=tuple(bands.low.tolist()),
        high=tuple(bands.high.tolist()),
        confidence=bootstrap.confidence,
        interval=bands.how,
        patients=len(means),
        studies=len({study for _, study, _ in courses}),
    )
