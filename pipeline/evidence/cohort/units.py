"""Studies to units: a study and a target with its scores.

The score is the mean over the readers whose mask defines one; where their consensus was asked for, it is the
consensus's alone, which is made of them. A study that should have a map and has none is a unit without scores: it must
not leave a cohort in silence.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.evidence.metrics.registry import METRICS
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.studies.consensus import CONSENSUS
from pipeline.vocabulary import Stratum

__all__ = ["NOT_ANALYSED", "NOT_EXPLAINED", "TUNING_PATIENT", "Unit", "decisive_scores", "in_stratum", "units_of"]

NOT_ANALYSED = "not_analysed"
"""Why a unit of a study that was excluded or failed has no score."""

NOT_EXPLAINED = "no_map"
"""Why a unit has no score whose target was not explained."""


TUNING_PATIENT = "tuning_patient"
"""Why a metric of the region has no score in a patient on whom the threshold was tuned: he counts in none of them."""


@dataclass(frozen=True)
class Unit:
    """A study and a target with its scores.

    ``scores`` goes from (map, metric) to a value or a reason, ``chances`` to the level of chance where there is one,
    ``readers`` from a metric to the mean agreement of the readers with each other. ``predicted`` is None
    where the model was not asked; ``absent`` says why there is no score at all. ``tuned`` are the metrics that a
    threshold has a part in which was tuned on this patient.
    """

    study: str
    patient: str
    target: str
    positive: bool
    predicted: bool | None
    strata: Mapping[str, str]
    scores: Mapping[tuple[str, str], float | str]
    chances: Mapping[tuple[str, str], float]
    readers: Mapping[str, float] = field(default_factory=dict)
    absent: str | None = None
    tuned: Collection[str] = ()

    def score(self, name: str, metric: str) -> float | str:
        """Return the value of a map's metric, or the reason why there is none."""
        if metric in self.tuned:
            return TUNING_PATIENT
        return self.absent or self.scores.get((name, metric), NOT_EXPLAINED)


def units_of(
    audits: Iterable[StudyAudit],
    metrics: Collection[str] = tuple(METRICS),
    labels: Collection[str] = (),
    tuning: tuple[Collection[str], Collection[str]] = ((), ()),
) -> tuple[Unit, ...]:
    """Cut studies into units; ``metrics`` are the names of those that the run measured, ``labels`` the findings.

    With ``labels``, a target that the reference says is present and that was not explained is a unit without scores,
    where the study has masks, and so is each present label of a study with masks that was not analysed. ``tuning`` are
    the patients on whom thresholds were tuned, and the metrics that these have a part in.
    """
    rows = list(audits)
    at_layers = methods_at_layers(row for row in rows if row.status == "analysed")
    patients, tuned = tuning
    return tuple(
        replace(unit, tuned=tuned) if unit.patient in patients else unit
        for audit in rows
        for unit in _units(audit, at_layers, metrics, labels)
    )


def _units(
    audit: StudyAudit, at_layers: Collection[str], metrics: Collection[str], labels: Collection[str]
) -> Iterable[Unit]:
    analysed = audit.status == "analysed"
    explained = dict.fromkeys(entry.target for entry in audit.map_scores) if analysed else {}
    for target in explained:
        yield _unit(audit, target, decisive_scores(audit, target, at_layers), metrics)
    for label in labels if audit.masks or audit.mask_faults else ():
        if label not in explained and audit.may_show(label):
            yield _without_scores(audit, label, NOT_EXPLAINED if analysed else NOT_ANALYSED)


def _without_scores(audit: StudyAudit, label: str, why: str) -> Unit:
    analysed = audit.status == "analysed"
    return Unit(
        audit.study,
        audit.patient,
        label,
        True,
        label in audit.predicted if analysed else None,
        audit.strata,
        {},
        {},
        absent=why,
    )


def _decisive(map_scores: Sequence[MapScores]) -> Sequence[MapScores]:
    """Return what is held against the reference: the readers' consensus where there is one, else every reader."""
    return [entry for entry in map_scores if (entry.reader or "").startswith(CONSENSUS)] or map_scores


def decisive_scores(audit: StudyAudit, target: str, at_layers: Collection[str]) -> dict[str, list[MapScores]]:
    """Return what counts of a study for a target: by map, its scores against the readers who decide."""
    by_map: dict[str, list[MapScores]] = defaultdict(list)
    for entry in _decisive([entry for entry in audit.map_scores if entry.target == target]):
        by_map[map_name(entry, at_layers)].append(entry)
    return by_map


def _unit(audit: StudyAudit, target: str, by_map: Mapping[str, list[MapScores]], metrics: Collection[str]) -> Unit:
    keys = [(name, metric) for name in by_map for metric in metrics]
    chances = {(name, metric): _chance(metric, by_map[name]) for name, metric in keys}
    return Unit(
        audit.study,
        audit.patient,
        target,
        audit.reference is not None and target in audit.reference,
        target in audit.predicted,
        audit.strata,
        {(name, metric): _over_readers(metric, by_map[name]) for name, metric in keys},
        {key: chance for key, chance in chances.items() if chance is not None},
        _between_readers(audit, target),
    )


def _chance(metric: str, map_scores: Sequence[MapScores]) -> float | None:
    """Return the mean level of chance over the readers whose mask defines the score."""
    scores = [score for entry in map_scores for score in entry.scores if score.name == metric]
    chances = [score.chance for score in scores if score.chance is not None]
    return float(np.mean(chances)) if chances else None


def _over_readers(metric: str, map_scores: Sequence[MapScores]) -> float | str:
    scores = [score for entry in map_scores for score in entry.scores if score.name == metric]
    values = [score.value for score in scores if score.value is not None]
    if values:
        return float(np.mean(values))
    return next((score.reason for score in scores if score.reason is not None), "no_mask")


def _between_readers(audit: StudyAudit, target: str) -> dict[str, float]:
    """Return the mean agreement over all pairs of readers of a label, by metric; a consensus is no reader."""
    values: dict[str, list[float]] = defaultdict(list)
    for pair in audit.agreement:
        drawn = pair.label == target and not any(reader.startswith(CONSENSUS) for reader in pair.readers)
        for score in pair.scores if drawn else ():
            if score.value is not None:
                values[score.name].append(score.value)
    return {name: float(np.mean(scores)) for name, scores in values.items()}


def in_stratum(unit: Unit, among: Stratum) -> bool:
    """Tell whether a unit belongs to a stratum; where the model was not asked it may belong to either, and counts."""
    return {
        "all": True,
        "reference_positive": unit.positive,
        "true_positive": unit.positive and unit.predicted is not False,
        "false_negative": unit.positive and unit.predicted is not True,
    }[among]
