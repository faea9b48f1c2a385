"""Studies to units: a study and a target with its scores.

The score is the mean over the readers whose mask defines one; where their consensus was asked for, it is the
consensus's alone, which is made of them. A study that should have a map and has none is a unit without scores: it must
not leave a cohort in silence.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.evidence.metrics.avoided import NO_REGION, is_avoided
from pipeline.evidence.metrics.registry import METRICS
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.studies.consensus import CONSENSUS
from pipeline.vocabulary import Stratum, TargetRole

__all__ = [
    "NOT_ANALYSED", "NOT_EXPLAINED", "NOT_READ", "TUNING_PATIENT", "Unit", "decisive_scores", "in_stratum", "units_of",
]  # fmt: skip

NOT_ANALYSED = "not_analysed"
"""Why a unit of a study that was excluded or failed has no score."""

NOT_READ = "not_read"
"""Why a unit has no score against a reader's mask who did not read the study."""

NOT_EXPLAINED = "no_map"
"""Why a unit has no score whose target was not explained."""


TUNING_PATIENT = "tuning_patient"
"""Why a metric of the region has no score in a patient on whom the threshold was tuned: he counts in none of them."""


@dataclass(frozen=True)
class Unit:
    """A study and a target with its scores.

    ``scores`` goes from (map, metric) to a value or a reason, ``chances`` to the level of chance where there is one,
    ``readers`` from a metric to the mean agreement of the readers with each other. ``predicted`` is None
    where the model was not asked; ``absent`` says why there is no score at all. ``by_reader`` goes from (map, metric)
    to each reader's own value or reason; a consensus is no reader.

    ``role`` says why the target was explained: one that was called wrongly belongs to no stratum. ``reference`` are the
    findings that the reference names, ``called`` the labels that the model calls (None: it was not asked). ``tuned``
    are the metrics that a threshold has a part in which was tuned on this patient.
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
    by_reader: Mapping[tuple[str, str], Mapping[str, float | str]] = field(default_factory=dict)
    role: TargetRole = "reference"
    reference: tuple[str, ...] = ()
    called: tuple[str, ...] | None = ()
    tuned: Collection[str] = ()

    @property
    def readers_named(self) -> frozenset[str]:
        """The readers that some score of it is held against."""
        return frozenset(reader for scores in self.by_reader.values() for reader in scores)

    def as_read_by(self, reader: str) -> "Unit":
        """Return the unit with the scores against one reader's masks; what he did not read has none."""
        own = {
            key: scores.get(reader, NOT_READ) if scores else self.scores[key] for key, scores in self.by_reader.items()
        }
        return replace(self, scores=own)

    def score(self, name: str, metric: str) -> float | str:
        """Return the value of a map's metric, or the reason why there is none."""
        if metric in self.tuned:
            return TUNING_PATIENT
        return self.absent or self.scores.get((name, metric), NOT_EXPLAINED)


_Wrong = Callable[[StudyAudit], Collection[str]]


_Explained = tuple[str, TargetRole]


def _none_wrong(_: StudyAudit) -> Collection[str]:
    return ()


def units_of(
    audits: Iterable[StudyAudit],
    metrics: Collection[str] = tuple(METRICS),
    labels: Collection[str] = (),
    wrong: _Wrong = _none_wrong,
    tuning: tuple[Collection[str], Collection[str]] = ((), ()),
) -> tuple[Unit, ...]:
    """Cut studies into units; ``metrics`` are the names of those that the run measured, ``labels`` the findings.

    With ``labels``, a target that the reference says is present and that was not explained is a unit without scores,
    where the study has masks, and so is each present label of a study with masks that was not analysed. ``wrong`` tells
    which labels a study was called wrongly: one that was not explained is a unit without scores as well. ``tuning`` are
    the patients on whom thresholds were tuned, and the metrics that these have a part in.
    """
    rows = list(audits)
    at_layers = methods_at_layers(row for row in rows if row.status == "analysed")
    patients, tuned = tuning
    return tuple(
        replace(unit, tuned=tuned) if unit.patient in patients else unit
        for audit in rows
        for unit in _units(audit, at_layers, metrics, (labels, wrong))
    )


def _units(
    audit: StudyAudit, at_layers: Collection[str], metrics: Collection[str], expected: tuple[Collection[str], _Wrong]
) -> Iterable[Unit]:
    labels, wrong = expected
    analysed = audit.status == "analysed"
    explained = dict.fromkeys((entry.target, entry.target_role) for entry in audit.map_scores) if analysed else {}
    for of in explained:
        yield _unit(audit, of, _by_map(audit, of, at_layers), metrics)
    if not (audit.masks or audit.mask_faults):
        return
    for label in labels:
        if (label, "reference") not in explained and audit.may_show(label):
            yield _without_scores(audit, (label, "reference"), NOT_EXPLAINED if analysed else NOT_ANALYSED)
    for label in wrong(audit) if analysed else ():
        if (label, "answered") not in explained:
            yield _without_scores(audit, (label, "answered"), NOT_EXPLAINED)


def _without_scores(audit: StudyAudit, of: _Explained, why: str) -> Unit:
    analysed, (label, role) = audit.status == "analysed", of
    return Unit(
        audit.study,
        audit.patient,
        label,
        role == "reference",
        label in audit.predicted if analysed else None,
        audit.strata,
        {},
        {},
        absent=why,
        role=role,
        reference=audit.reference or (),
        called=audit.predicted if analysed else None,
    )


def _decisive(map_scores: Sequence[MapScores]) -> Sequence[MapScores]:
    """Return what is held against the reference: the readers' consensus where there is one, else every reader."""
    return [entry for entry in map_scores if (entry.reader or "").startswith(CONSENSUS)] or map_scores


def decisive_scores(audit: StudyAudit, target: str, at_layers: Collection[str]) -> dict[str, Sequence[MapScores]]:
    """Return what counts of a study for a target of its reference: by map, its scores against who decides."""
    return {name: _decisive(own) for name, own in _by_map(audit, (target, "reference"), at_layers).items()}


def _by_map(audit: StudyAudit, of: _Explained, at_layers: Collection[str]) -> dict[str, list[MapScores]]:
    by_map: dict[str, list[MapScores]] = defaultdict(list)
    for entry in audit.map_scores:
        if (entry.target, entry.target_role) == of:
            by_map[map_name(entry, at_layers)].append(entry)
    return by_map


def _unit(audit: StudyAudit, of: _Explained, entries: Mapping[str, list[MapScores]], metrics: Collection[str]) -> Unit:
    target, role = of
    by_map = {name: _decisive(own) for name, own in entries.items()}
    keys = [(name, metric) for name in by_map for metric in metrics]
    chances = {(name, metric): _chance(metric, by_map[name]) for name, metric in keys}
    return Unit(
        audit.study,
        audit.patient,
        target,
        role == "reference" and audit.reference is not None and target in audit.reference,
        target in audit.predicted,
        audit.strata,
        {(name, metric): _over_readers(metric, by_map[name]) for name, metric in keys},
        {key: chance for key, chance in chances.items() if chance is not None},
        _between_readers(audit, target),
        by_reader={(name, metric): _of_each_reader(metric, entries[name]) for name, metric in keys},
        role=role,
        reference=audit.reference or (),
        called=audit.predicted,
    )


def _chance(metric: str, map_scores: Sequence[MapScores]) -> float | None:
    """Return the mean level of chance over the readers whose mask defines the score."""
    scores = [score for entry in map_scores for score in entry.every_score if score.name == metric]
    chances = [score.chance for score in scores if score.chance is not None]
    return float(np.mean(chances)) if chances else None


def _of_each_reader(metric: str, entries: Sequence[MapScores]) -> dict[str, float | str]:
    """Return each reader's value or reason; a mask without a name is a reader's too."""
    values: dict[str, float | str] = {}
    for entry in entries:
        for score in entry.every_score:
            if entry.reader is not None and not entry.reader.startswith(CONSENSUS) and score.name == metric:
                values[entry.reader] = score.value if score.value is not None else str(score.reason)
    return values


def _over_readers(metric: str, map_scores: Sequence[MapScores]) -> float | str:
    scores = [score for entry in map_scores for score in entry.every_score if score.name == metric]
    values = [score.value for score in scores if score.value is not None]
    if values:
        return float(np.mean(values))
    nothing = NO_REGION if is_avoided(metric) else "no_mask"
    return next((score.reason for score in scores if score.reason is not None), nothing)


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
    """Tell whether a unit belongs to a stratum; where the model was not asked it may belong to either, and counts.

    A target that was called wrongly belongs to none.
    """
    if unit.role != "reference":
        return False
    return {
        "all": True,
        "reference_positive": unit.positive,
        "true_positive": unit.positive and unit.predicted is not False,
        "false_negative": unit.positive and unit.predicted is not True,
    }[among]
