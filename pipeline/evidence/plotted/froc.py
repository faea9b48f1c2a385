"""Free-response curves of a cohort: lesions found against false marks, as lower and lower marks are accepted."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.bootstrap import BOOTSTRAP, MINIMUM_PATIENTS, NONE, patient_draws
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.units import decisive_scores
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.plotted.marks import FrocCurve, MarkCounts
from pipeline.findings.study_audit import StudyAudit, methods_at_layers

__all__ = ["froc_curves"]

Floats = NDArray[np.float64]


def froc_curves(audits: Sequence[StudyAudit], labels: Sequence[str], bootstrap: Bootstrap) -> tuple[FrocCurve, ...]:
    """Return each map's curve for each label, over all images with a mask of it, empty ones too.

    What readers see otherwise is averaged within an image. Lesions weigh alike, and so do images; patients are drawn.
    """
    analysed = [audit for audit in audits if audit.status == "analysed"]
    at_layers = methods_at_layers(analysed)
    images: dict[tuple[str, str], list[tuple[str, list[MarkCounts]]]] = defaultdict(list)
    for label in labels:
        for audit in analysed:
            for name, entries in decisive_scores(audit, label, at_layers).items():
                counts = [entry.marks for entry in entries if entry.marks is not None]
                if counts:
                    images[label, name].append((audit.patient, counts))
    several = len(labels) > 1
    curves = [_curve(name, label if several else None, own, bootstrap) for (label, name), own in images.items()]
    return tuple(curve for curve in curves if curve is not None)


def _curve(
    method: str, label: str | None, images: Sequence[tuple[str, list[MarkCounts]]], bootstrap: Bootstrap
) -> FrocCurve | None:
    """Return a curve from the highest threshold to the lowest; None where no image has a lesion."""
    patients = list(dict.fromkeys(patient for patient, _ in images))
    hits, false, lesions = (np.zeros((len(patients), len(CURVE_SHARES))) for _ in range(3))
    for patient, counts in images:
        row = patients.index(patient)
        hits[row] += np.mean([part.found for part in counts], axis=0)
        false[row] += np.mean([part.false for part in counts], axis=0)
        lesions[row] += np.mean([part.lesions for part in counts])
    total = float(lesions[:, 0].sum())
    if not total:
        return None
    low, high, how = _bands(hits, lesions[:, 0], bootstrap)
    return FrocCurve(
        method=method,
        label=label,
        thresholds=CURVE_SHARES[::-1],
        false_marks=_falling(false.sum(axis=0) / len(images)),
        sensitivity=_falling(hits.sum(axis=0) / total),
        low=_falling(low),
        high=_falling(high),
        confidence=bootstrap.confidence,
        interval=how,
        lesions=round(total),
        images=len(images),
        patients=len(patients),
    )


def _bands(hits: Floats, lesions: Floats, bootstrap: Bootstrap) -> tuple[Floats, Floats, str]:
    """Return pointwise ends of the sensitivity; cohorts that are drawn without a lesion are left out."""
    if len(lesions) < MINIMUM_PATIENTS:
        return np.empty(0), np.empty(0), NONE
    shares = []
    for draws in patient_draws(len(lesions), bootstrap.replicates, bootstrap.seed):
        drawn = draws @ lesions
        shares.append((draws @ hits)[drawn > 0] / drawn[drawn > 0, None])
    tail = 100 * (1 - bootstrap.confidence) / 2
    low, high = np.percentile(np.concatenate(shares), [tail, 100 - tail], axis=0)
    return low, high, BOOTSTRAP


def _falling(values: Floats) -> tuple[float, ...]:
    """Return values from the highest threshold to the lowest."""
    return tuple(values[::-1].tolist())
