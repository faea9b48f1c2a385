"""A cohort's records to what its results are computed from: one pass, study by study, each dropped when it was added.

What grows with the cohort are columns of numbers and a row of shared names for each study; of a large one, they lie in
a file. Records are kept whole only
of studies that were not analysed and of those on whom thresholds are tuned.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from pipeline.conclusions.equivalent_maps import mapped_places
from pipeline.conclusions.study_rows import StudyRows
from pipeline.conclusions.tuned import who_tunes
from pipeline.conclusions.whereabouts import PeakCounts
from pipeline.config import AuditConfig
from pipeline.evidence.answers import answered_wrongly
from pipeline.evidence.cohort.map_rows import MapRows
from pipeline.evidence.cohort.reader_pairs import ReaderPairs
from pipeline.evidence.cohort.units import UnitGatherer
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.localisation.curves import curve_rows
from pipeline.evidence.localisation.lesion_strata import LesionRows
from pipeline.evidence.localisation.unaligned import unmoved
from pipeline.evidence.plotted.froc import mark_rows
from pipeline.evidence.plotted.region_shares import share_rows
from pipeline.findings.brief_study import BriefStudy
from pipeline.findings.spec import Member, RunSpec
from pipeline.findings.study_audit import MethodAtLayer, RefusedMask, StudyAudit
from pipeline.packed.items import Keep, in_memory

__all__ = ["GatheredCohort", "ListedAudits", "MapCounts", "Parts", "Records", "findings_of", "gather"]


class Records(Iterable[StudyAudit], Protocol):
    """The records of a run's studies, in the order of its members, which can be gone through again."""

    def of(self, studies: Collection[str]) -> Mapping[str, StudyAudit]:
        """Return the records of some studies."""


@dataclass(frozen=True)
class ListedAudits:
    """Records that are all in memory."""

    audits: Sequence[StudyAudit]

    def __iter__(self) -> Iterator[StudyAudit]:
        return iter(self.audits)

    def of(self, studies: Collection[str]) -> dict[str, StudyAudit]:
        """Return the records of some studies."""
        return {audit.study: audit for audit in self.audits if audit.study in studies}


@dataclass
class MapCounts:
    """What is counted of maps: how many, how many of an earlier run, who has one of the reference's label, cell sizes.

    ``cells`` holds by layer and number of axes the smallest and the largest size of a cell along each axis, ``places``
    the methods and layers of which a map is kept. ``examples`` are the first study with a map and the first with one
    that this run computed.
    """

    maps: int = 0
    reused: int = 0
    mapped: int = 0
    scored: int = 0
    patients_scored: set[str] = field(default_factory=set)
    cells: dict[tuple[str | None, int], list[tuple[float, float]]] = field(default_factory=dict)
    any_avoided: bool = False
    places: dict[MethodAtLayer, None] = field(default_factory=dict)
    examples: dict[Literal["any", "new"], str] = field(default_factory=dict)

    def add(self, audit: StudyAudit) -> None:
        """Count a study's maps."""
        maps = {entry.map for entry in audit.map_scores if entry.map}
        self.maps += len(maps)
        reused = sum(reference.startswith("../") for reference in maps)
        self.reused += reused
        if maps:
            self.examples.setdefault("any", audit.study)
        if reused < len(maps):
            self.examples.setdefault("new", audit.study)
        self.places.update(dict.fromkeys(mapped_places([audit])))
        own = [entry for entry in audit.map_scores if entry.map is not None and entry.target_role == "reference"]
        self.mapped += bool(own)
        if any(score.value is not None for entry in own for score in entry.scores):
            self.scored += 1
            self.patients_scored.add(audit.patient)
        self.any_avoided = self.any_avoided or any(entry.avoided for entry in audit.map_scores)
        for entry in audit.map_scores:
            if entry.cell_mm is not None:
                self._add_cell(entry.layer, entry.cell_mm)

    def _add_cell(self, layer: str | None, size: Sequence[float]) -> None:
        known = self.cells.get((layer, len(size)), [(length, length) for length in size])
        self.cells[layer, len(size)] = [
            (min(low, length), max(high, length)) for (low, high), length in zip(known, size, strict=True)
        ]


@dataclass(frozen=True)
class Parts:
    """What each part of the results is computed from; every one grows study by study."""

    curves: MapRows
    marks: MapRows
    shares: MapRows
    lesions: LesionRows
    peaks: PeakCounts = field(default_factory=PeakCounts)
    pairs: ReaderPairs = field(default_factory=ReaderPairs)
    maps: MapCounts = field(default_factory=MapCounts)

    @classmethod
    def about(cls, labels: Sequence[str], keep: Keep) -> "Parts":
        """Return the parts of a run whose findings are ``labels``."""
        return cls(
            curve_rows(labels, keep), mark_rows(labels, keep), share_rows(labels, keep), LesionRows.about(labels)
        )

    def add(self, study: int, audit: StudyAudit, *, tunes: bool) -> None:
        """Add a study by its number; one of a patient who ``tunes`` is in no curve over thresholds."""
        if not tunes:
            self.curves.add(study, audit)
        for part in (self.marks, self.shares, self.lesions, self.pairs):
            part.add(study, audit)
        self.peaks.add(audit)
        self.maps.add(audit)


@dataclass(frozen=True)
class GatheredCohort:
    """Everything that results are computed from, of all studies in the order of the run's members.

    ``units`` are those of all maps, ``unmoved`` those of the same maps where their cells tile the model's input (None
    where none was moved). ``not_analysed`` and ``tuning`` are whole records.
    """

    studies: Sequence[BriefStudy]
    units: UnitTable
    unmoved: UnitTable | None
    parts: Parts
    not_analysed: tuple[StudyAudit, ...]
    tuning: tuple[StudyAudit, ...]
    mask_faults: Mapping[str, tuple[RefusedMask, ...]]


def findings_of(config: AuditConfig) -> list[str]:
    """Return the labels that count as findings."""
    return [label for label in config.model.labels if label != config.model.negative_label]


def gather(
    spec: RunSpec, members: Sequence[Member], audits: Iterable[StudyAudit], keep: Keep = in_memory
) -> GatheredCohort:
    """Gather a cohort from its records, in the order of ``members``; each is read once and not kept.

    ``keep`` has what is too much for memory: the cohort lives no longer than it.
    """
    gathering = _Gathering(spec, who_tunes(members), keep)
    for audit in audits:
        gathering.add(audit)
    return gathering.cohort()


class _Gathering:
    """A cohort that grows."""

    def __init__(self, spec: RunSpec, tuning: Collection[str], keep: Keep) -> None:
        config, labels = spec.config, findings_of(spec.config)
        metrics = tuple(facts.name for facts in spec.metrics)
        of_readers = any(criterion.readers == "random" for criterion in config.metric_criteria)
        self._tuning = (tuning, tuple(facts.name for facts in spec.metrics if facts.thresholded))
        self._parts, self._studies = Parts.about(labels, keep), StudyRows(keep)
        self._units = UnitGatherer(metrics, tuple(labels), partial(_wrong, config), by_reader=of_readers, keep=keep)
        self._unmoved = UnitGatherer(metrics, tuple(labels), by_reader=False, keep=keep)
        self._may_move, self._moved = config.overlap.align != "grid", False
        self._mask_faults: dict[str, tuple[RefusedMask, ...]] = {}
        self._not_analysed, self._tuning_audits = list[StudyAudit](), list[StudyAudit]()

    def add(self, audit: StudyAudit) -> None:
        tunes = audit.patient in self._tuning[0]
        self._parts.add(len(self._studies), audit, tunes=tunes)
        self._units.add(audit)
        if self._may_move:
            self._unmoved.add(unmoved(audit))
            self._moved = self._moved or any(entry.unaligned for entry in audit.map_scores)
        self._studies.add(audit)
        self._mask_faults |= {audit.study: audit.mask_faults} if audit.mask_faults else {}
        if audit.status != "analysed":
            self._not_analysed.append(audit)
        if tunes:
            self._tuning_audits.append(audit)

    def cohort(self) -> GatheredCohort:
        return GatheredCohort(
            studies=self._studies,
            units=self._units.table(self._studies, self._tuning),
            unmoved=self._unmoved.table(self._studies, self._tuning) if self._moved else None,
            parts=self._parts,
            not_analysed=tuple(self._not_analysed),
            tuning=tuple(self._tuning_audits),
            mask_faults=self._mask_faults,
        )


def _wrong(config: AuditConfig, audit: StudyAudit) -> tuple[str, ...]:
    return answered_wrongly(config.model, audit.reference, audit.predicted)
