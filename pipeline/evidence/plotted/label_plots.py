"""What a report draws of each label: curves, reliability, and the confusion matrix with where the map peaks."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import mean_estimate
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.plotted.calibration import calibration_of
from pipeline.evidence.plotted.curves import Rated, operating_point, precision_recall_curve, roc_curve
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.estimates import Estimate
from pipeline.findings.plotted.classifier import AnswerCount, LabelCell, LabelPlots

__all__ = ["ONE_CLASS", "CellMap", "answer_counts", "label_plots"]

ONE_CLASS: Final = "needs studies with and without the label"

_PAIRS: Final = ((True, True), (True, False), (False, True), (False, False))
"""(present, called) of the four cells."""


@dataclass(frozen=True)
class CellMap:
    """The map and the metric that a confusion matrix tells of each cell, and the studies with a picture.

    ``scale`` is None where the run does not measure it.
    """

    method: str
    scale: MetricScale | None
    shown: frozenset[str] = frozenset()


def label_plots(
    audits: Sequence[StudyFacts],
    units: UnitTable,
    labels: Sequence[str],
    cell_map: CellMap,
    bootstrap: Bootstrap,
) -> tuple[LabelPlots, ...]:
    """Return what is drawn of each label; the studies are those with a reference.

    Args:
        audits: every study.
        units: studies and targets with their scores.
        labels: those that count as findings.
        cell_map: what is told of the maps in each cell.
        bootstrap: confidence, replicates and seed of intervals that describe.
    """
    referenced = [audit for audit in audits if audit.reference is not None]
    analysed = [audit for audit in referenced if audit.status == "analysed"]
    several = len(labels) > 1
    plots = []
    for label in labels:
        counts = {
            "label": label,
            "studies": len(analysed),
            "patients": len({audit.patient for audit in analysed}),
            "positives": sum(audit.may_show(label) for audit in analysed),
            "negatives": sum(not audit.may_show(label) for audit in analysed),
            "missing": len(referenced) - len(analysed),
            "method": cell_map.method,
            "cells": _cells(analysed, units, label, cell_map, bootstrap),
        }
        curves = _curves(analysed, label, f"label={label}" if several else None, bootstrap)
        plots.append(LabelPlots.model_validate({**counts, **curves}))
    return tuple(plots)


def _curves(audits: Sequence[StudyFacts], label: str, group: str | None, bootstrap: Bootstrap) -> Mapping[str, object]:
    positive = np.array([audit.may_show(label) for audit in audits], dtype=bool)
    if positive.all() or not positive.any():
        return {"reason": ONE_CLASS}
    patient = _patients(audits)
    rated = Rated(
        np.array([audit.probabilities[label] for audit in audits], dtype=np.float64),
        positive,
        np.array([label in audit.predicted for audit in audits], dtype=bool),
        1 / np.bincount(patient)[patient],
    )
    return {
        "roc": roc_curve(rated),
        "precision_recall": precision_recall_curve(rated),
        "operating": operating_point(rated),
        "calibration": calibration_of(rated, patient, bootstrap, group),
    }


def _patients(audits: Sequence[StudyFacts]) -> NDArray[np.intp]:
    numbers: dict[str, int] = {}  # in the order in which they come: nothing depends on what patients are called
    return np.array([numbers.setdefault(audit.patient, len(numbers)) for audit in audits], dtype=np.intp)


def _cells(
    audits: Sequence[StudyFacts],
    units: UnitTable,
    label: str,
    cell_map: CellMap,
    bootstrap: Bootstrap,
) -> tuple[LabelCell, ...]:
    cells = []
    for present, called in _PAIRS:
        inside = [audit for audit in audits if (audit.may_show(label), label in audit.predicted) == (present, called)]
        names = {audit.study for audit in inside}
        median = float(np.median([audit.probabilities[label] for audit in inside])) if inside else None
        own = units.of_target(label).of_studies(names)
        cells.append(
            LabelCell(
                present=present,
                called=called,
                studies=len(inside),
                patients=len({audit.patient for audit in inside}),
                hit_rate=_hit_rate(own, cell_map, bootstrap),
                median_probability=median,
                typical=_typical(inside, label, median, cell_map.shown),
            )
        )
    return tuple(cells)


def _hit_rate(units: UnitTable, cell_map: CellMap, bootstrap: Bootstrap) -> Estimate | None:
    """Return the metric over the units of a cell; None where no unit of it has a map for the label."""
    if cell_map.scale is None or not units.has(cell_map.method, cell_map.scale.name):
        return None
    return mean_estimate(units, cell_map.scale, cell_map.method, "all", bootstrap)


def _typical(audits: Sequence[StudyFacts], label: str, median: float | None, shown: Collection[str]) -> str | None:
    """Return the shown study whose probability is nearest to the median; of equally near ones the first by its hash."""
    ranked = sorted(
        (abs(audit.probabilities[label] - (median or 0.0)), audit.source_sha256, audit.study)
        for audit in audits
        if audit.study in shown and label in audit.mapped
    )
    return ranked[0][2] if ranked else None


def answer_counts(audits: Iterable[StudyFacts]) -> tuple[AnswerCount, ...]:
    """Count the analysed studies by reference and answer, the most frequent first."""
    groups: dict[tuple[tuple[str, ...] | None, tuple[str, ...]], list[str]] = defaultdict(list)
    for audit in audits:
        if audit.status == "analysed":
            reference = None if audit.reference is None else tuple(sorted(set(audit.reference)))
            groups[reference, tuple(sorted(set(audit.predicted)))].append(audit.patient)
    ordered = sorted(
        groups.items(), key=lambda group: (-len(group[1]), group[0][0] is None, group[0][0] or (), group[0][1])
    )
    return tuple(
        AnswerCount(reference=reference, answered=answered, studies=len(patients), patients=len(set(patients)))
        for (reference, answered), patients in ordered
    )
