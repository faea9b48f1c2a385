"""A population to an estimate: the mean over patients, its exact bounds, and a descriptive interval beside them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

import numpy as np

from pipeline.evidence.cohort.bootstrap import Interval, interval_of_means
from pipeline.evidence.cohort.population import Population
from pipeline.evidence.exact.means import mean_interval_of
from pipeline.findings.estimates import DescriptiveInterval, Estimate
from pipeline.vocabulary import SamplingUnit

__all__ = ["EXACT", "OPEN", "Bootstrap", "StatedBounds", "at_most_so_many", "descriptive", "mean_estimate_of"]

EXACT: Final[Mapping[SamplingUnit, str]] = {
    "patient": "exact for any distribution, over patients",
    "study": "exact for any distribution, over studies, where a patient's number of them says nothing about his scores",
}


def at_most_so_many(studies: int) -> str:
    """Return how an interval of a mean over studies is made where a patient's number of them is locked."""
    return f"exact for any distribution, over studies, of which a patient has {studies} at most (locked)"


OPEN: Final = "none (the metric has no upper end, so no bound of its mean can hold)"


@dataclass(frozen=True)
class StatedBounds:
    """The exact bounds that a results file states, by what they are of.

    They are claims to be confirmed, by two p-values each, and not searched for again; what does not hold is not used.
    """

    intervals: Mapping[tuple[object, ...], tuple[tuple[float, float], ...]] = field(default_factory=dict)

    @classmethod
    def by(cls, estimates: Iterable[Estimate]) -> Self:
        """Gather the bounds of estimates."""
        intervals: dict[tuple[object, ...], dict[tuple[float, float], None]] = defaultdict(dict)
        for estimate in estimates:
            if estimate.low is not None and estimate.high is not None:
                named = {name: getattr(estimate, name) for name in _NAMED}
                intervals[_key(named, estimate.unit, estimate.confidence)][estimate.low, estimate.high] = None
        return cls({key: tuple(ends) for key, ends in intervals.items()})

    def of(self, named: Mapping[str, object], unit: SamplingUnit, confidence: float) -> tuple[tuple[float, float], ...]:
        """Return the intervals that are stated of an estimate; ``named`` as for ``mean_estimate_of``."""
        return self.intervals.get(_key(named, unit, confidence), ())


_NAMED: Final[Mapping[str, str | None]] = MappingProxyType(
    {"metric": None, "method": None, "among": None, "group": None, "target_role": "reference"}
)
"""By what an estimate is known, and what stands for a name that is not given."""


def _key(named: Mapping[str, object], unit: SamplingUnit, confidence: float) -> tuple[object, ...]:
    return (*(named.get(name, default) for name, default in _NAMED.items()), unit, confidence)


@dataclass(frozen=True)
class Bootstrap:
    """How descriptive intervals are made, the confidence of all intervals, and what a record states of exact ones."""

    replicates: int
    seed: int
    confidence: float = 0.95
    stated: StatedBounds = field(default_factory=StatedBounds)


def mean_estimate_of(
    population: Population,
    span: tuple[float | None, float | None],
    bootstrap: Bootstrap,
    named: Mapping[str, object],
    unit: SamplingUnit = "patient",
    known: tuple[float, float] | None = None,
) -> Estimate:
    """Return the mean over a population with its bounds; ``named`` says of what (metric, method, among, group).

    ``known`` are the bounds, where they were computed already.
    """
    common = {
        **named,
        "unit": unit,
        "confidence": bootstrap.confidence,
        "undefined": population.undefined,
        "missing_patients": population.missing_patients,
        "missing_studies": population.missing_studies,
    }
    if not population.has_value.any():
        reason = "no study in this stratum" if not population.undefined else "undefined for every study"
        none = {"value": None, "interval": "none", "patients": 0, "studies": 0, "reason": reason}
        return Estimate.model_validate({**common, **none})
    return Estimate.model_validate(
        {
            **common,
            **_means(population, unit),
            **_bounds(known or _interval(population, span, bootstrap, named, unit), unit),
            "described": _described(population, bootstrap),
            **_chance(population),
        }
    )


def _means(population: Population, unit: SamplingUnit) -> dict[str, object]:
    patients = population.patient_means()
    per_patient = float(np.mean(patients))
    per_study = float(np.mean(population.scored))
    complete = population.shown().patient_means()
    return {
        "value": per_patient if unit == "patient" else per_study,
        "per_patient": per_patient,
        "per_study": per_study,
        "complete_case": float(np.mean(complete)) if len(complete) else None,
        "patients": len(patients),
        "studies": population.studies,
    }


def _interval(
    population: Population,
    span: tuple[float | None, float | None],
    bootstrap: Bootstrap,
    named: Mapping[str, object],
    unit: SamplingUnit,
) -> tuple[float, float] | None:
    low, high = span
    if low is None or high is None:
        return None
    stated = bootstrap.stated.of(named, unit, bootstrap.confidence)
    return mean_interval_of(population.scores((low, high), unit), bootstrap.confidence, stated)


def _bounds(interval: tuple[float, float] | None, unit: SamplingUnit) -> dict[str, object]:
    if interval is None:
        return {"interval": OPEN}
    return {"low": interval[0], "high": interval[1], "interval": EXACT[unit]}


def _described(population: Population, bootstrap: Bootstrap) -> DescriptiveInterval | None:
    interval = interval_of_means(
        population.patient_means(),
        confidence=bootstrap.confidence,
        replicates=bootstrap.replicates,
        seed=bootstrap.seed,
    )
    return descriptive(interval)


def descriptive(interval: Interval) -> DescriptiveInterval | None:
    """Return an interval that describes as records hold it; None where there are no bounds."""
    if interval.low is None or interval.high is None:
        return None
    return DescriptiveInterval(low=interval.low, high=interval.high, how=interval.how)


def _chance(population: Population) -> dict[str, float | None]:
    if not len(population.chance):
        return {"chance": None}
    chances = population.chance[population.has_value]
    chances = chances[~np.isnan(chances)]
    return {"chance": float(np.mean(chances)) if len(chances) else None}
