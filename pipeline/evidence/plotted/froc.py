"""Free-response curves of a cohort: lesions found against false marks, as lower and lower marks are accepted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.bootstrap import BOOTSTRAP, MINIMUM_PATIENTS, NONE, patient_draws, rows_by_value
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.map_rows import MapRows, RowsOfMap, patients_of
from pipeline.evidence.columns.grouped import Groups, group_means, group_sums
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.plotted.marks import FrocCurve
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.items import Keep, in_memory

__all__ = ["froc_curves", "froc_curves_of", "mark_rows"]

Floats = NDArray[np.float64]

_SHARES = len(CURVE_SHARES)


def froc_curves(audits: Sequence[StudyAudit], labels: Sequence[str], bootstrap: Bootstrap) -> tuple[FrocCurve, ...]:
    """Return each map's curve for each label, over all images with a mask of it, empty ones too.

    What readers see otherwise is averaged within an image. Lesions weigh alike, and so do images; patients are drawn.
    """
    rows = mark_rows(labels)
    for number, audit in enumerate(audits):
        rows.add(number, audit)
    return froc_curves_of(rows, audits, bootstrap)


def mark_rows(labels: Sequence[str], keep: Keep = in_memory) -> MapRows:
    """Return what gathers the counts of a cohort's marks over thresholds; a label that is absent has false ones."""
    return MapRows(labels, _marks, present=False, keep=keep)


def froc_curves_of(gathered: MapRows, studies: Sequence[StudyFacts], bootstrap: Bootstrap) -> tuple[FrocCurve, ...]:
    """Return the curves of all that was gathered; ``studies`` are those that were numbered."""
    several, patients = len(gathered.labels) > 1, patients_of(studies)
    curves = [
        _curve(name, label if several else None, rows, patients, bootstrap)
        for (label, name), rows in gathered.by_name().items()
    ]
    return tuple(curve for curve in curves if curve is not None)


def _marks(entry: MapScores) -> Sequence[int] | None:
    marks = entry.marks
    return None if marks is None else (*marks.found, *marks.false, marks.lesions)


def _curve(
    method: str, label: str | None, rows: RowsOfMap, patients: NDArray[np.intp], bootstrap: Bootstrap
) -> FrocCurve | None:
    """Return a curve from the highest threshold to the lowest; None where no image has a lesion."""
    numbers = rows.numbers()
    images = Groups.of(numbers)
    owners = Groups.of(patients[np.unique(numbers)])  # studies are numbered in their order

    def by_patient(columns: slice | int) -> Floats:
        values = np.concatenate([block[:, columns].astype(np.float64) for block in rows.blocks()])
        return group_sums(owners.number, owners.count, group_means(images.number, images.count, values))

    hits, false, lesions = by_patient(slice(_SHARES)), by_patient(slice(_SHARES, 2 * _SHARES)), by_patient(-1)
    total = float(lesions.sum())
    if not total:
        return None
    low, high, how = _bands(hits, lesions, bootstrap)
    return FrocCurve(
        method=method,
        label=label,
        thresholds=CURVE_SHARES[::-1],
        false_marks=_falling(false.sum(axis=0) / images.count),
        sensitivity=_falling(hits.sum(axis=0) / total),
        low=_falling(low),
        high=_falling(high),
        confidence=bootstrap.confidence,
        interval=how,
        lesions=round(total),
        images=images.count,
        patients=owners.count,
    )


def _bands(hits: Floats, lesions: Floats, bootstrap: Bootstrap) -> tuple[Floats, Floats, str]:
    """Return pointwise ends of the sensitivity; cohorts that are drawn without a lesion are left out."""
    if len(lesions) < MINIMUM_PATIENTS:
        return np.empty(0), np.empty(0), NONE
    rows = rows_by_value(np.column_stack([lesions, hits]))
    lesions, hits, shares = rows[:, 0], rows[:, 1:], []
    for draws in patient_draws(len(lesions), bootstrap.replicates, bootstrap.seed):
        drawn = draws @ lesions
        shares.append((draws @ hits)[drawn > 0] / drawn[drawn > 0, None])
    tail = 100 * (1 - bootstrap.confidence) / 2
    low, high = np.percentile(np.concatenate(shares), [tail, 100 - tail], axis=0)
    return low, high, BOOTSTRAP


def _falling(values: Floats) -> tuple[float, ...]:
    """Return values from the highest threshold to the lowest."""
    return tuple(values[::-1].tolist())
