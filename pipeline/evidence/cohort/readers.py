"""Units to the scores of every patient by every reader, for claims about readers like these."""

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.evidence.cohort.measures import Measure
from pipeline.evidence.cohort.population import Population, population_of
from pipeline.evidence.cohort.units import Unit
from pipeline.evidence.exact.readers import ReaderScores

__all__ = ["RANDOM_READERS", "USUAL_READERS", "reader_scores", "readers_of"]

RANDOM_READERS = "readers and patients both vary: approximate, error rates simulated"
"""How the bounds of a mean over readers like these are made."""

USUAL_READERS = "Obuchowski and Rockette's variance, Hillis' degrees of freedom"


def readers_of(units: Iterable[Unit]) -> tuple[str, ...]:
    """Return the readers whose masks the units' maps are held against, by name."""
    return tuple(sorted({reader for unit in units for reader in unit.readers_named}))


def reader_scores(
    units: Sequence[Unit], measure: Measure, readers: Sequence[str], span: tuple[float, float]
) -> ReaderScores:
    """Return the scores of every patient by every reader, of the patients whom the measure speaks of by some reader."""
    populations = [population_of([unit.as_read_by(reader) for unit in units], measure) for reader in readers]
    every = dict.fromkeys(patient for population in populations for patient in population.by_patient)
    patients = {patient: number for number, patient in enumerate(every)}
    low, high = (np.full((len(readers), len(patients)), end) for end in span)
    for number, population in enumerate(populations):
        scores, own = population.scores(span), [patients[patient] for patient in population.by_patient]
        low[number, own], high[number, own] = scores.low, scores.high
    return ReaderScores(low, high, span, _value(populations), _studies(populations))


def _value(populations: Sequence[Population]) -> float | None:
    """Return the mean over readers of the means over their patients with a score; None where one has none."""
    means = [population.patient_means().values() for population in populations]
    return float(np.mean([np.mean(list(own)) for own in means])) if means and all(means) else None


def _studies(populations: Sequence[Population]) -> int:
    return len({part.study for population in populations for part in population.contributions})
