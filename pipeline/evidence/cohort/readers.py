"""Units to the scores of every patient by every reader, for claims about readers like these."""

from collections.abc import Sequence

import numpy as np

from pipeline.evidence.cohort.measures import Measure
from pipeline.evidence.cohort.population import Population, population_of
from pipeline.evidence.columns.grouped import Groups
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.exact.readers import ReaderScores

__all__ = ["RANDOM_READERS", "USUAL_READERS", "reader_scores"]

RANDOM_READERS = "readers and patients both vary: approximate, error rates simulated"
"""How the bounds of a mean over readers like these are made."""

USUAL_READERS = "Obuchowski and Rockette's variance, Hillis' degrees of freedom"


def reader_scores(
    units: UnitTable, measure: Measure, readers: Sequence[str], span: tuple[float, float]
) -> ReaderScores:
    """Return the scores of every patient by every reader, of the patients whom the measure speaks of by some reader."""
    populations = [population_of(units.as_read_by(reader), measure) for reader in readers]
    every = Groups.of(np.concatenate([population.patient for population in populations]))
    parts = np.split(every.number, np.cumsum([len(population) for population in populations])[:-1])
    low, high = (np.full((len(readers), every.count), end) for end in span)
    for number, (population, patients) in enumerate(zip(populations, parts, strict=True)):
        scores, own = population.scores(span), patients[np.unique(population.groups.number, return_index=True)[1]]
        low[number, own], high[number, own] = scores.low, scores.high
    return ReaderScores(low, high, span, _value(populations), _studies(populations))


def _value(populations: Sequence[Population]) -> float | None:
    """Return the mean over readers of the means over their patients with a score; None where one has none."""
    means = [population.patient_means() for population in populations]
    return float(np.mean([np.mean(own) for own in means])) if means and all(map(len, means)) else None


def _studies(populations: Sequence[Population]) -> int:
    return len(np.unique(np.concatenate([population.study for population in populations])))
