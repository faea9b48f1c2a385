"""How well two readers agree, gathered study by study: a few bytes a score, whatever the size of the cohort."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.population import Population
from pipeline.evidence.metrics.region import dice, iou
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.scores import Score
from pipeline.findings.study_audit import StudyAudit

__all__ = ["AGREEMENT_METRICS", "AGREEMENT_SCALES", "PairScores", "ReaderPairs"]

AGREEMENT_METRICS = (iou, dice)
AGREEMENT_SCALES: Final = {metric.name: MetricScale.of(metric) for metric in AGREEMENT_METRICS}
"""The metrics by which readers are compared with each other, and their scales."""


@dataclass(frozen=True)
class PairScores:
    """A metric of two readers: the numbers of studies with a value, the values, and how many have none by reason."""

    studies: "array[int]" = field(default_factory=lambda: array("i"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    undefined: Counter[str] = field(default_factory=Counter)

    def put(self, study: int, score: Score) -> None:
        """Add a study's score."""
        if score.value is None:
            self.undefined[str(score.reason)] += 1
            return
        self.studies.append(study)
        self.values.append(score.value)

    def population(self, studies: Sequence[StudyFacts]) -> Population:
        """Return whom the metric speaks of; a study without a value is none of them."""
        patients: dict[str, int] = {}
        owners = [patients.setdefault(studies[study].patient, len(patients)) for study in self.studies]
        return Population(
            np.array(self.studies, dtype=np.intp),
            np.array(owners, dtype=np.intp),
            np.array(self.values, dtype=np.float64),
            dict(sorted(self.undefined.items())),
        )


@dataclass(frozen=True)
class ReaderPairs:
    """All pairs of readers, by (metric, reader, reader)."""

    pairs: dict[tuple[str, str, str], PairScores] = field(default_factory=dict)

    def add(self, study: int, audit: StudyAudit) -> None:
        """Add a study's agreement; of one pair and label that is there twice the last counts."""
        own = {(pair.label, *pair.readers): pair.scores for pair in audit.agreement}
        for (_, first, second), scores in own.items():
            for score in scores:
                self.pairs.setdefault((score.name, first, second), PairScores()).put(study, score)
