"""Metrics over thresholds for a cohort: from counts in the rows to means over patients with bands that describe."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.bootstrap import mean_bands
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.map_rows import MapRows, RowsOfMap, patients_of
from pipeline.evidence.cohort.units import decisive_scores
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.localisation.lesion_strata import LesionCohort
from pipeline.evidence.localisation.region_counts import COUNTED, values_of_counts
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.localisation.curves import CURVE_SHARES, RegionCounts, ThresholdCurve
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.items import Keep, in_memory
from pipeline.vocabulary import BASELINES, SMALLEST_GROUP

__all__ = ["StudyValues", "curve_rows", "size_curves_of", "study_values", "threshold_curves", "threshold_curves_of"]

StudyValues = Mapping[tuple[str, str], NDArray[np.float64]]
"""By (map, metric), a study's values at each threshold of ``CURVE_SHARES``."""

_SHARES = len(CURVE_SHARES)


def threshold_curves(
    audits: Sequence[StudyAudit], labels: Sequence[str], bootstrap: Bootstrap
) -> tuple[ThresholdCurve, ...]:
    """Return every counted metric of every map over thresholds, among the studies in which a label is present.

    A study's value is the mean over the readers that are held against a map in estimates, a patient's that over his
    studies. Studies without a map or a mask of the label are left out, and nothing stands for them.
    """
    rows = curve_rows(labels)
    for number, audit in enumerate(audits):
        rows.add(number, audit)
    return threshold_curves_of(rows, audits, bootstrap)


def curve_rows(labels: Sequence[str], keep: Keep = in_memory) -> MapRows:
    """Return what gathers the counts of a cohort's regions over thresholds, of the maps of labels that are present."""
    return MapRows(labels, _counts, keep=keep)


def threshold_curves_of(
    gathered: MapRows, studies: Sequence[StudyFacts], bootstrap: Bootstrap
) -> tuple[ThresholdCurve, ...]:
    """Return the curves of all that was gathered; ``studies`` are those that were numbered."""
    labels = gathered.labels
    several, patients = len(labels) > 1, patients_of(studies)
    curves: list[tuple[tuple[int, tuple[int, int], int], ThresholdCurve]] = []
    for (label, name), rows in gathered.by_name().items():
        for place, metric in enumerate(COUNTED):
            course = _course(metric, rows)
            if len(course.values):
                order = labels.index(label), rows.starts_at(course.first), place
                curve = _curve(metric, name, label if several else None, course, patients, bootstrap)
                curves.append((order, curve))
    return tuple(curve for _, curve in sorted(curves, key=lambda pair: pair[0]))


def size_curves_of(
    gathered: MapRows, studies: Sequence[StudyFacts], lesions: LesionCohort, bootstrap: Bootstrap
) -> tuple[ThresholdCurve, ...]:
    """Return each real map's Dice over thresholds for each third of the lesions' sizes.

    Nothing of a label one of whose thirds has fewer than ``SMALLEST_GROUP`` patients with a map.
    """
    several, patients = len(gathered.labels) > 1, patients_of(studies)
    curves: list[ThresholdCurve] = []
    for (label, name), rows in gathered.by_name().items():
        if name not in BASELINES:
            named = name, label if several else None
            curves += _by_size(_course("dice", rows), lesions.by_size(label), named, patients, bootstrap)
    return tuple(curves)


def _by_size(
    course: "_Course",
    groups: Mapping[str, NDArray[np.intp]],
    named: tuple[str, str | None],
    patients: NDArray[np.intp],
    bootstrap: Bootstrap,
) -> list[ThresholdCurve]:
    parts = {group: course.of(studies) for group, studies in groups.items()}
    if any(len(np.unique(patients[part.studies])) < SMALLEST_GROUP for part in parts.values()):
        return []
    return [
        _curve("dice", *named, part, patients, bootstrap).model_copy(update={"group": group})
        for group, part in parts.items()
    ]


def _counts(entry: MapScores) -> Sequence[int] | None:
    counts = entry.counts
    return None if counts is None else (*counts.region, *counts.common, counts.mask, counts.visible, counts.seen)


@dataclass(frozen=True, eq=False)
class _Course:
    """(rows, thresholds) values of one metric against each reader; ``first`` is the first row that has them."""

    studies: NDArray[np.intp]
    values: NDArray[np.float64]
    first: int

    def of(self, studies: NDArray[np.intp]) -> "_Course":
        """Return the rows of some studies."""
        own = np.isin(self.studies, studies)
        return _Course(self.studies[own], self.values[own], self.first)


def _course(metric: str, rows: RowsOfMap) -> _Course:
    parts, defined = [], []
    for block in rows.blocks():
        known, values = _values(metric, block)
        defined.append(known)
        parts.append(values)
    known = np.concatenate(defined)
    return _Course(rows.numbers()[known], np.concatenate(parts), int(known.argmax()))


def _values(metric: str, block: NDArray[np.generic]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which rows of counts define a metric, and its values at each threshold; as ``values_of_counts``."""
    mask, visible, seen = block[:, -3:].astype(np.int64).T[:, :, None]
    known = (mask > 0)[:, 0] if metric != "voxel_specificity" else ((mask > 0) & (seen != visible))[:, 0]
    region, common = (block[known, start : start + _SHARES].astype(np.float64) for start in (0, _SHARES))
    counts = RegionCounts.model_construct(mask=mask[known], visible=visible[known], seen=seen[known])
    return known, COUNTED[metric](region, common, counts)


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
    metric: str, name: str, label: str | None, course: _Course, patients: NDArray[np.intp], bootstrap: Bootstrap
) -> ThresholdCurve:
    by_study = Groups.of(course.studies)
    of_study = group_means(by_study.number, by_study.count, course.values)
    by_patient = Groups.of(patients[np.unique(course.studies)])  # studies are numbered in their order
    means = group_means(by_patient.number, by_patient.count, of_study)
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
        studies=by_study.count,
    )
