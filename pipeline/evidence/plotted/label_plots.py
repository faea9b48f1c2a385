"""What a report draws of each label: curves, reliability, and the confusion matrix with where the map peaks."""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

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
from pipeline.findings.plotted.classifier import LabelCell, LabelPlots

__all__ = ["ONE_CLASS", "CellMap", "label_plots"]

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
    several = len(labels) > 1
    plots = []
    for label in labels:
        answers = _Answers.about(label, audits, cell_map.shown)
        counts = {
            "label": label,
            "studies": len(answers.study),
            "patients": len(np.unique(answers.patient)),
            "positives": int(answers.present.sum()),
            "negatives": int((~answers.present).sum()),
            "missing": answers.missing,
            "method": cell_map.method,
            "cells": _cells(answers, units, label, cell_map, bootstrap),
        }
        curves = _curves(answers, f"label={label}" if several else None, bootstrap)
        plots.append(LabelPlots.model_validate({**counts, **curves}))
    return tuple(plots)


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the model says of a label to the analysed studies with a reference, each column (studies,).

    ``study`` are their numbers, ``patient`` those of their patients in the order in which they come. ``missing`` have
    a reference and were not analysed. ``shown`` are the studies with a picture and a map of the label: place in the
    columns, hash of the files, name.
    """

    study: NDArray[np.intp]
    patient: NDArray[np.intp]
    present: NDArray[np.bool_]
    called: NDArray[np.bool_]
    probability: NDArray[np.float64]
    missing: int
    shown: tuple[tuple[int, str, str], ...]

    @classmethod
    def about(cls, label: str, audits: Iterable[StudyFacts], shown: Collection[str]) -> "_Answers":
        """Gather the answers study by study: the rows of a large cohort are not in memory."""
        numbers: dict[str, int] = {}
        missing, pictured = 0, list[tuple[int, str, str]]()
        columns: dict[str, array[Any]] = {name: array(code) for name, code in _COLUMNS.items()}
        for number, audit in enumerate(audits):
            if audit.reference is None:
                continue
            if audit.status != "analysed":
                missing += 1
                continue
            if audit.study in shown and label in audit.mapped:
                pictured.append((len(columns["study"]), audit.source_sha256, audit.study))
            columns["study"].append(number)
            columns["patient"].append(numbers.setdefault(audit.patient, len(numbers)))
            columns["present"].append(audit.may_show(label))
            columns["called"].append(label in audit.predicted)
            columns["probability"].append(audit.probabilities[label])
        return cls(
            study=np.array(columns["study"], dtype=np.intp),
            patient=np.array(columns["patient"], dtype=np.intp),
            present=np.array(columns["present"], dtype=bool),
            called=np.array(columns["called"], dtype=bool),
            probability=np.array(columns["probability"], dtype=np.float64),
            missing=missing,
            shown=tuple(pictured),
        )


_COLUMNS: Final[Mapping[str, Literal["q", "b", "d"]]] = {
    "study": "q",
    "patient": "q",
    "present": "b",
    "called": "b",
    "probability": "d",
}


def _curves(answers: _Answers, group: str | None, bootstrap: Bootstrap) -> Mapping[str, object]:
    if answers.present.all() or not answers.present.any():
        return {"reason": ONE_CLASS}
    weights = 1 / np.bincount(answers.patient)[answers.patient]
    rated = Rated(answers.probability, answers.present, answers.called, weights)
    return {
        "roc": roc_curve(rated),
        "precision_recall": precision_recall_curve(rated),
        "operating": operating_point(rated),
        "calibration": calibration_of(rated, answers.patient, bootstrap, group),
    }


def _cells(
    answers: _Answers,
    units: UnitTable,
    label: str,
    cell_map: CellMap,
    bootstrap: Bootstrap,
) -> tuple[LabelCell, ...]:
    cells = []
    for present, called in _PAIRS:
        inside = (answers.present == present) & (answers.called == called)
        median = float(np.median(answers.probability[inside])) if inside.any() else None
        own = units.of_target(label)
        cells.append(
            LabelCell(
                present=present,
                called=called,
                studies=int(inside.sum()),
                patients=len(np.unique(answers.patient[inside])),
                hit_rate=_hit_rate(own.where(np.isin(own.study, answers.study[inside])), cell_map, bootstrap),
                median_probability=median,
                typical=_typical(answers, inside, median),
            )
        )
    return tuple(cells)


def _hit_rate(units: UnitTable, cell_map: CellMap, bootstrap: Bootstrap) -> Estimate | None:
    """Return the metric over the units of a cell; None where no unit of it has a map for the label."""
    if cell_map.scale is None or not units.has(cell_map.method, cell_map.scale.name):
        return None
    return mean_estimate(units, cell_map.scale, cell_map.method, "all", bootstrap)


def _typical(answers: _Answers, inside: NDArray[np.bool_], median: float | None) -> str | None:
    """Return the shown study whose probability is nearest to the median; of equally near ones the first by its hash."""
    ranked = sorted(
        (abs(float(answers.probability[place]) - (median or 0.0)), sha256, study)
        for place, sha256, study in answers.shown
        if inside[place]
    )
    return ranked[0][2] if ranked else None
