"""Every answer by cell of the confusion matrix: how often it came, and what the maps of its two labels looked at.

A benign finding that is called malignant and a malignant one that is called normal are different errors. Where labels
exclude each other, a cell is what the reference names and what was called; a reference without a finding is the
negative label. Where each label is called by itself, a label has three cells of its own: found, missed (``nothing`` was
called), and called where there is ``nothing``.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.estimating import Bootstrap, mean_estimate_of
from pipeline.evidence.cohort.map_rows import patients_of
from pipeline.evidence.cohort.measures import MetricScale, of_map
from pipeline.evidence.cohort.population import Population, population_of
from pipeline.evidence.columns.unit import NOT_EXPLAINED, Unit
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.estimates import Estimate
from pipeline.findings.results import CellFindings, ConfusionMatrix
from pipeline.findings.scores import AnsweredPlacement
from pipeline.findings.study_audit import map_name, methods_at_layers
from pipeline.packed.on_demand import ChosenItems
from pipeline.vocabulary import NOTHING, ConfusionCell, TargetRole

__all__ = ["cells_of", "confusion_matrix", "in_cell"]


def cells_of(
    reference: Sequence[str], called: Sequence[str], labels: Sequence[str], negative: str | None
) -> tuple[ConfusionCell, ...]:
    """Return the cells of a study, from the findings that its reference names and those that the model calls.

    Where the reference names two findings of a model whose labels exclude each other, the study is in a cell of each.
    """
    if negative is not None:
        answer = next(iter(called), negative)
        return tuple(ConfusionCell(label, answer) for label in reference or (negative,))
    every = [(label in reference, label in called, label) for label in labels]
    return tuple(
        ConfusionCell(label if present else NOTHING, label if is_called else NOTHING)
        for present, is_called, label in every
        if present or is_called
    )


def in_cell(unit: Unit, cell: ConfusionCell, role: TargetRole, negative: str | None) -> bool:
    """Tell whether a unit is a map of a cell: in the role of the reference's label, or of the one that was called.

    Where the model was not asked, a study may be in any cell of its findings, and counts as one without a score.
    """
    if unit.called is None:
        return unit.positive and unit.target == cell.reference
    label = unit.target
    if unit.role != role or label != (cell.reference if role == "reference" else cell.answered):
        return False
    if role == "answered":
        return cell in cells_of(unit.reference, unit.called, (label,), negative)
    return unit.positive and cell in cells_of((label,), unit.called, (label,), negative)


def confusion_matrix(
    audits: Sequence[StudyFacts],
    units: UnitTable,
    scales: Sequence[MetricScale],
    labels: Sequence[str],
    negative: str | None,
    bootstrap: Bootstrap,
) -> ConfusionMatrix:
    """Return the cells that came, in the order of the ``labels``: of all studies with a reference, whatever masks."""
    judged, unanswered, by_cell = ChosenItems(audits), 0, dict[ConfusionCell, ChosenItems[StudyFacts]]()
    for place, audit in enumerate(audits):
        if audit.reference is None:
            continue
        if audit.status != "analysed":
            unanswered += 1
            continue
        judged.add(place)
        for cell in cells_of(audit.reference, audit.predicted, labels, negative):
            by_cell.setdefault(cell, ChosenItems(audits)).add(place)
    at_layers = methods_at_layers(judged)
    order = {label: number for number, label in enumerate((*labels, NOTHING))}
    return ConfusionMatrix(
        studies=len(judged),
        unanswered=unanswered,
        cells=tuple(
            _findings(_Cell(cell, by_cell[cell], at_layers), units, scales, negative, bootstrap)
            for cell in sorted(by_cell, key=lambda cell: (order[cell.reference], order[cell.answered]))
        ),
    )


@dataclass(frozen=True)
class _Cell:
    """A cell with the studies in it; ``at_layers`` are the methods whose maps are named with their layer."""

    cell: ConfusionCell
    audits: Sequence[StudyFacts]
    at_layers: frozenset[str]


def _findings(
    part: _Cell, units: UnitTable, scales: Sequence[MetricScale], negative: str | None, bootstrap: Bootstrap
) -> CellFindings:
    cell = part.cell

    def of(role: TargetRole) -> tuple[Estimate, ...]:
        chosen = units.of_kind(lambda unit: in_cell(unit, cell, role, negative))
        return tuple(_estimates(chosen, cell, role, scales, bootstrap))

    return CellFindings(
        cell=cell,
        studies=len(part.audits),
        patients=len({audit.patient for audit in part.audits}),
        reference_map=of("reference"),
        answered_map=of("answered"),
        placement=tuple(_placements(part, bootstrap)),
    )


def _estimates(
    units: UnitTable, cell: ConfusionCell, role: TargetRole, scales: Sequence[MetricScale], bootstrap: Bootstrap
) -> Iterator[Estimate]:
    for name in units.map_names:
        for scale in scales:
            population = population_of(units, of_map(name, scale), (name, scale.name))
            named = {"metric": scale.name, "method": name, "among": cell, "target_role": role, "group": None}
            yield mean_estimate_of(population, scale.span, bootstrap, named)


_PLACED: Final[Mapping[str, Callable[[AnsweredPlacement], tuple[float | None, float | None]]]] = {
    "energy_in_body": lambda placement: (placement.energy_in_body, placement.body_share),
    "peak_in_body": lambda placement: (placement.peak_in_body, placement.body_share),
}
"""What is estimated of where a map lies, with what a map that is placed at random would have."""


@dataclass
class _Shares:
    """A figure of one map's placements, by row of the cell's studies; what is not put has no map."""

    values: "array[float]" = field(default_factory=lambda: array("d"))
    chances: "array[float]" = field(default_factory=lambda: array("d"))
    undefined: Counter[str] = field(default_factory=Counter)

    def put(self, row: int, value: float | None, chance: float | None, reason: str | None) -> None:
        """Write a row after those that are there."""
        self.fill(row)
        self.values.append(nan if value is None else value)
        self.chances.append(nan if chance is None else chance)
        if value is None:
            self.undefined[str(reason)] += 1

    def fill(self, rows: int) -> None:
        """Let there be so many rows."""
        missing = rows - len(self.values)
        if missing:
            self.values.extend([nan] * missing)
            self.chances.extend([nan] * missing)
            self.undefined[NOT_EXPLAINED] += missing

    def population(self, patient: NDArray[np.intp]) -> Population:
        """Return whom the figure speaks of; ``patient`` numbers the patient of each row."""
        self.fill(len(patient))
        columns = np.arange(len(patient)), patient, np.array(self.values)
        return Population(*columns, dict(sorted(self.undefined.items())), chance=np.array(self.chances))


def _placements(part: _Cell, bootstrap: Bootstrap) -> Iterator[Estimate]:
    """Yield where the maps of the label that was called lie, whether there is a mask or not."""
    shares: dict[str, dict[str, _Shares]] = {}
    for row, audit in enumerate(part.audits):
        for name, placement in _placed(audit, part).items():
            own = shares.setdefault(name, {metric: _Shares() for metric in _PLACED})
            for metric, of in _PLACED.items():
                own[metric].put(row, *of(placement), placement.reason)
    patient = patients_of(part.audits) if shares else np.empty(0, dtype=np.intp)
    for name, by_metric in shares.items():
        for metric, own_shares in by_metric.items():
            named = {"metric": metric, "method": name, "among": part.cell, "target_role": "answered"}
            yield mean_estimate_of(own_shares.population(patient), (0.0, 1.0), bootstrap, named)


def _placed(audit: StudyFacts, part: _Cell) -> dict[str, AnsweredPlacement]:
    return {map_name(placed, part.at_layers): placed for placed in audit.placed if placed.target == part.cell.answered}
