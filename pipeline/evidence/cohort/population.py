"""Whom a number speaks of: patients with what counts for them, and what is missing counted against every claim."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from pipeline.evidence.cohort.measures import Measure
from pipeline.evidence.cohort.units import TUNING_PATIENT, Unit
from pipeline.evidence.exact.scores import PatientScores, patient_scores
from pipeline.evidence.metrics.avoided import NO_REGION, REGION_NOT_SEEN
from pipeline.vocabulary import NO_FINDING, SamplingUnit

__all__ = ["Contribution", "Population", "is_outside", "population_of"]

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


@dataclass(frozen=True)
class Contribution:
    """What one unit gives: a value, the worst one where its map ``shows_nothing``, or None where it is missing."""

    study: str
    patient: str
    value: float | None
    shows_nothing: bool = False
    chance: float | None = None


@dataclass(frozen=True)
class Population:
    """The units that a number speaks of; ``undefined`` counts scores that are missing, or the worst, by reason."""

    contributions: tuple[Contribution, ...]
    undefined: Mapping[str, int]

    @cached_property
    def by_patient(self) -> Mapping[str, tuple[Contribution, ...]]:
        """The patients in the order in which they first appear, with their contributions."""
        patients: dict[str, list[Contribution]] = defaultdict(list)
        for contribution in self.contributions:
            patients[contribution.patient].append(contribution)
        return {patient: tuple(own) for patient, own in patients.items()}

    @cached_property
    def scored(self) -> tuple[Contribution, ...]:
        """The contributions that have a value."""
        return tuple(contribution for contribution in self.contributions if contribution.value is not None)

    @property
    def missing_patients(self) -> int:
        """How many patients have no value at all."""
        return len(self.by_patient) - len({contribution.patient for contribution in self.scored})

    @property
    def missing_studies(self) -> int:
        """How many studies have no value at all."""
        return len({part.study for part in self.contributions}) - len({part.study for part in self.scored})

    @cached_property
    def _means(self) -> Mapping[str, float]:
        values: dict[str, list[float]] = {}
        for part in self.contributions:
            own = values.setdefault(part.patient, [])
            if part.value is not None:
                own.append(part.value)
        return {patient: _mean(own) for patient, own in values.items() if own}

    def patient_means(self) -> Mapping[str, float]:
        """Return the mean value of each patient who has one."""
        return self._means

    def scores(self, span: tuple[float, float], unit: SamplingUnit = "patient") -> PatientScores:
        """Return the scores by patient, as the exact rule takes them."""
        values = [part.value for part in self.contributions]
        return patient_scores(values, [part.patient for part in self.contributions], unit=unit, span=span)


def _mean(values: Sequence[float]) -> float:
    """Return the mean; most patients have a study or two, for which NumPy's detour takes the longest."""
    if len(values) == 1:
        return float(values[0])
    return float((values[0] + values[1]) / 2) if len(values) == 2 else float(np.mean(values))


def population_of(units: Iterable[Unit], measure: Measure, chance: tuple[str, str] | None = None) -> Population:
    """Return whom a measure speaks of; ``chance`` is the (map, metric) whose level of chance goes with it."""
    contributions: list[Contribution] = []
    undefined: Counter[str] = Counter()
    for unit in units:
        score, nothing = measure.score(unit), measure.shows_nothing(unit)
        reason = score if isinstance(score, str) else nothing
        if reason is not None:
            undefined[reason] += 1
        if isinstance(score, str) and is_outside(unit, score):
            continue
        value = None if isinstance(score, str) else score
        level = unit.chances.get(chance) if chance is not None else None
        contributions.append(Contribution(unit.study, unit.patient, value, nothing is not None, level))
    return Population(tuple(contributions), dict(sorted(undefined.items())))


def is_outside(unit: Unit, reason: str) -> bool:
    """Tell whether the claim is not about a unit: no expert marked anything, nor does anybody say that it is there."""
    return reason in _NOTHING_TO_COMPARE or (reason == "empty_mask" and not unit.positive)
