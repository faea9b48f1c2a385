"""Whom a number speaks of: patients with what counts for them, and what is missing counted against every claim."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.measures import Measure
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.columns.unit import TUNING_PATIENT
from pipeline.evidence.columns.unit_table import Codes, UnitTable
from pipeline.evidence.exact.scores import PatientScores, scores_by_patient
from pipeline.evidence.metrics.avoided import NO_REGION, REGION_NOT_SEEN
from pipeline.findings.brief_study import StudyFacts
from pipeline.vocabulary import NO_FINDING, SamplingUnit

__all__ = ["Population", "by_files", "is_outside", "population_of"]

_NOTHING_TO_COMPARE: Final = frozenset(
    {
        "no_mask",
        NO_FINDING,
        "no_pair_of_readers",
        "no_lesion_of_that_size",
        "mask_is_everything",
        TUNING_PATIENT,
        NO_REGION,
        REGION_NOT_SEEN,
    }
)
"""Reasons for which nobody said what a score could be held against: the claim is not about such a unit."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Population:
    """The units that a number speaks of, each column (units,).

    Attributes:
        study: the number of each unit's study.
        patient: the number of its patient.
        value: what it gives, the worst value where its map shows nothing; NaN where it is missing.
        undefined: how many scores are missing, or the worst, by reason.
        nothing: whether the map shows nothing; empty where none does.
        chance: the level of chance, NaN where there is none; empty where there is none at all.
    """

    study: Numbers
    patient: Numbers
    value: Floats
    undefined: Mapping[str, int]
    nothing: Bools = field(default_factory=lambda: np.empty(0, dtype=bool))
    chance: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(
        cls,
        values: Iterable[float | None],
        studies: Sequence[str],
        patients: Sequence[str],
        undefined: Mapping[str, int],
    ) -> Self:
        """Return a population from values by name; names are numbered in the order in which they come."""
        numbered = [np.array(_numbers(names), dtype=np.intp) for names in (studies, patients)]
        value = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        return cls(numbered[0], numbered[1], value, undefined)

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def has_value(self) -> Bools:
        """(units,) whether there is a value."""
        return ~np.isnan(self.value)

    @property
    def scored(self) -> Floats:
        """The values that there are."""
        return self.value[self.has_value]

    @cached_property
    def groups(self) -> Groups:
        """The units by patient, patients in the order in which they come."""
        return Groups.of(self.patient)

    @property
    def most_studies(self) -> int:
        """The largest number of units of a patient, with a value or not."""
        return int(np.bincount(self.groups.number).max(initial=0))

    @property
    def missing_patients(self) -> int:
        """How many patients have no value at all."""
        return self.groups.count - len(self.patient_means())

    @property
    def studies(self) -> int:
        """How many studies have a value."""
        return len(np.unique(self.study[self.has_value]))

    @property
    def missing_studies(self) -> int:
        """How many studies have no value at all."""
        return len(np.unique(self.study)) - self.studies

    @cached_property
    def _means(self) -> Floats:
        return group_means(self.groups.number[self.has_value], self.groups.count, self.scored)

    def patient_means(self) -> Floats:
        """Return the mean value of each patient who has one."""
        return self._means

    def shown(self) -> "Population":
        """Return those with a value of whose maps none shows nothing."""
        return self.where(self.has_value & ~self.nothing if len(self.nothing) else self.has_value)

    def where(self, rows: NDArray[np.generic]) -> "Population":
        """Return some units, in the order of ``rows``."""
        return replace(
            self,
            study=self.study[rows],
            patient=self.patient[rows],
            value=self.value[rows],
            nothing=self.nothing[rows] if len(self.nothing) else self.nothing,
            chance=self.chance[rows] if len(self.chance) else self.chance,
        )

    def scores(
        self, span: tuple[float, float], unit: SamplingUnit = "patient", studies_at_most: int | None = None
    ) -> PatientScores:
        """Return the scores by patient, as the exact rule takes them."""
        return scores_by_patient(self.value, self.groups.number, unit=unit, span=span, size_cap=studies_at_most)


def _of_files(audit: StudyFacts) -> str:
    return audit.source_sha256


def by_files(audits: Sequence[StudyFacts], hash_of: Callable[[StudyFacts], str] = _of_files) -> Numbers:
    """Return the places of studies in the order of the hashes of their files, or of others; of equal ones by name.

    It depends neither on how an archive is listed nor, but for copies, on what studies are called.
    """
    hashes = np.fromiter((hash_of(audit).encode() for audit in audits), dtype="S64", count=len(audits))
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    for start, end in _runs(same):
        order[start:end] = sorted(order[start:end].tolist(), key=lambda place: audits[place].study)
    return order


def _runs(same: Bools) -> Iterator[tuple[int, int]]:
    """Yield where runs of equal items begin and end; ``same``: each but the first is like the one before it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2).tolist():
        yield start, end + 1


def _numbers(names: Iterable[str]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name, len(numbers)) for name in names]


def population_of(units: UnitTable, measure: Measure, chance: tuple[str, str] | None = None) -> Population:
    """Return whom a measure speaks of; ``chance`` is the (map, metric) whose level of chance goes with it."""
    scored, nothing = measure.score(units), measure.shows_nothing(units)
    kept = ~_outside(units, scored.codes)
    level = np.empty(0) if chance is None else units.chance(*chance)[kept]
    return Population(
        study=units.study[kept].astype(np.intp),
        patient=units.patient[kept].astype(np.intp),
        value=np.where(scored.codes == 0, scored.values, np.nan)[kept],
        undefined=_counts(units, np.where(scored.codes, scored.codes, nothing)),
        nothing=nothing[kept] != 0,
        chance=level,
    )


def _outside(units: UnitTable, codes: Codes) -> Bools:
    """Tell, for each reason that came, of which units it says that the claim is not about them."""
    outside = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes[codes > 0]).tolist():
        reason = units.reasons[code]
        for positive in (True, False):
            if is_outside(reason, positive=positive):
                outside |= (codes == code) & (units.positive == positive)
    return outside


def _counts(units: UnitTable, codes: Codes) -> dict[str, int]:
    counts = np.bincount(codes, minlength=1).tolist()
    return dict(sorted((units.reasons[code], count) for code, count in enumerate(counts) if code and count))


def is_outside(reason: str, *, positive: bool) -> bool:
    """Tell whether the claim is not about a unit: no expert marked anything, nor does anybody say that it is there."""
    return reason in _NOTHING_TO_COMPARE or (reason == "empty_mask" and not positive)
