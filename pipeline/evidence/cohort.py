"""Many studies to one cohort: estimates with intervals, by stratum and subgroup.

The unit is a study and a target. Its score is the mean over the readers whose mask defines one; where their consensus
was asked for, it is the consensus's alone, which is made of them. Strata are named for
what they are: ``reference_positive`` holds every unit whose target the reference says is present, found or not;
``true_positive`` and ``false_negative`` split it by the classifier's answer.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from pipeline.evidence.metrics.registry import METRICS
from pipeline.evidence.statistics import auroc, auroc_interval, mean_interval
from pipeline.findings.estimates import Agreement, Estimate
from pipeline.findings.results import Flow
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.studies.consensus import CONSENSUS
from pipeline.vocabulary import CLASSIFIER, Status, Stratum

__all__ = [
    "Bootstrap",
    "Unit",
    "agreements",
    "classification",
    "estimates",
    "flow_of",
    "in_stratum",
    "mean_estimate",
    "paired_difference",
    "units_of",
]

_ESTIMATED = tuple(stratum for stratum in get_args(Stratum) if stratum != "all")


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made."""

    replicates: int
    seed: int
    confidence: float = 0.95


@dataclass(frozen=True)
class Unit:
    """A study and a target with its scores.

    ``scores`` goes from (map, metric) to a value or a reason, ``chances`` to the level of chance where there is one.
    """

    study: str
    patient: str
    target: str
    positive: bool
    predicted: bool
    strata: Mapping[str, str]
    scores: Mapping[tuple[str, str], float | str]
    chances: Mapping[tuple[str, str], float]


def units_of(audits: Iterable[StudyAudit], metrics: Collection[str] = tuple(METRICS)) -> tuple[Unit, ...]:
    """Cut the analysed studies into units; ``metrics`` are the names of those that the run measured."""
    rows = [audit for audit in audits if audit.status == "analysed"]
    at_layers = methods_at_layers(rows)
    return tuple(
        _unit(audit, target, _by_map(audit, target, at_layers), metrics)
        for audit in rows
        for target in dict.fromkeys(entry.target for entry in audit.map_scores)
    )


def _decisive(map_scores: Sequence[MapScores]) -> Sequence[MapScores]:
    """Return what is held against the reference: the readers' consensus where there is one, else every reader."""
    return [entry for entry in map_scores if (entry.reader or "").startswith(CONSENSUS)] or map_scores


def _by_map(audit: StudyAudit, target: str, at_layers: Collection[str]) -> dict[str, list[MapScores]]:
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


def in_stratum(unit: Unit, among: Stratum) -> bool:
    """Tell whether a unit belongs to a stratum."""
    return {
        "all": True,
        "reference_positive": unit.positive,
        "true_positive": unit.positive and unit.predicted,
        "false_negative": unit.positive and not unit.predicted,
    }[among]


def mean_estimate(
    units: Sequence[Unit],
    metric: str,
    name: str,
    among: Stratum,
    bootstrap: Bootstrap,
    group: str | None = None,
) -> Estimate:
    """Return the mean of a map's metric over the units of a stratum."""
    chosen = [unit for unit in units if in_stratum(unit, among)]
    scored = [(unit, unit.scores.get((name, metric), "no_map")) for unit in chosen]
    defined = [(unit, value) for unit, value in scored if not isinstance(value, str)]
    label = {"metric": metric, "method": name, "among": among, "group": group}
    estimate = _mean(defined, Counter(value for _, value in scored if isinstance(value, str)), bootstrap, label)
    chances = [unit.chances[name, metric] for unit, _ in defined if (name, metric) in unit.chances]
    return estimate.model_copy(update={"chance": float(np.mean(chances)) if chances else None})


def paired_difference(
    units: Sequence[Unit], metric: str, names: tuple[str, str], among: Stratum, bootstrap: Bootstrap
) -> Estimate:
    """Return the mean of one map's metric minus another's, over the units where both are defined.

    It is in the metric's unit, and keeps its sign: where lower is better, a better first map has a negative difference.
    """
    chosen = [unit for unit in units if in_stratum(unit, among)]
    pairs = [(unit, unit.scores.get((names[0], metric)), unit.scores.get((names[1], metric))) for unit in chosen]
    defined = [
        (unit, first - second)
        for unit, first, second in pairs
        if isinstance(first, float) and isinstance(second, float)
    ]
    missing = Counter({"one_of_the_pair_undefined": len(chosen) - len(defined)})
    label = {"metric": metric, "method": f"{names[0]} - {names[1]}", "among": among, "group": None}
    return _mean(defined, +missing, bootstrap, label)


def _mean(
    defined: Sequence[tuple[Unit, float]],
    undefined: Mapping[str, int],
    bootstrap: Bootstrap,
    label: Mapping[str, str | None],
) -> Estimate:
    common = {**label, "confidence": bootstrap.confidence, "undefined": dict(sorted(undefined.items()))}
    if not defined:
        reason = "no study in this stratum" if not undefined else "undefined for every study"
        return Estimate.model_validate(
            {**common, "value": None, "interval": "none", "patients": 0, "studies": 0, "reason": reason}
        )
    values, patients = [value for _, value in defined], [unit.patient for unit, _ in defined]
    interval = mean_interval(
        values,
        patients,
        confidence=bootstrap.confidence,
        replicates=bootstrap.replicates,
        seed=bootstrap.seed,
    )
    return Estimate.model_validate(
        {
            **common,
            "value": float(np.mean(values)),
            "low": interval.low,
            "high": interval.high,
            "interval": interval.how,
            "patients": len(set(patients)),
            "studies": len({unit.study for unit, _ in defined}),
        }
    )


def estimates(units: Sequence[Unit], bootstrap: Bootstrap) -> tuple[Estimate, ...]:
    """Return every map's every metric in every stratum, and in the subgroups of the reference-positive units."""
    names = list(dict.fromkeys(name for unit in units for name, _ in unit.scores))
    metrics = list(dict.fromkeys(metric for unit in units for _, metric in unit.scores))
    whole = [
        mean_estimate(units, metric, name, among, bootstrap)
        for among in _ESTIMATED
        for name in names
        for metric in metrics
    ]
    parts = [
        mean_estimate(part, metric, name, "reference_positive", bootstrap, group)
        for group, part in _subgroups(units).items()
        for name in names
        for metric in metrics
    ]
    return (*whole, *parts)


def _subgroups(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        for column, value in unit.strata.items():
            groups[f"{column}={value or 'not stated'}"].append(unit)
    return dict(sorted(groups.items()))


def classification(audits: Sequence[StudyAudit], labels: Sequence[str], bootstrap: Bootstrap) -> tuple[Estimate, ...]:
    """Return the classifier's own results on the studies with a reference.

    ``labels`` are those that count as findings. Accuracy is the share of studies whose predicted labels are exactly
    the reference's; sensitivity, specificity and AUROC are given for each label.
    """
    rows = [audit for audit in audits if audit.status == "analysed" and audit.reference is not None]
    right = [(row, float(set(row.predicted) == set(row.reference or ()))) for row in rows]
    shares = [_share("accuracy", right, bootstrap, None)]
    for label in labels:
        group = f"label={label}" if len(labels) > 1 else None
        present = [row for row in rows if label in (row.reference or ())]
        absent = [row for row in rows if label not in (row.reference or ())]
        shares += [
            _share("sensitivity", [(row, float(label in row.predicted)) for row in present], bootstrap, group),
            _share("specificity", [(row, float(label not in row.predicted)) for row in absent], bootstrap, group),
            _auroc(rows, label, bootstrap, group),
        ]
    return tuple(shares)


def _share(metric: str, rows: Sequence[tuple[StudyAudit, float]], bootstrap: Bootstrap, group: str | None) -> Estimate:
    units = [(Unit(row.study, row.patient, "", False, False, {}, {}, {}), value) for row, value in rows]
    return _mean(units, {}, bootstrap, {"metric": metric, "method": CLASSIFIER, "among": "all", "group": group})


def _auroc(rows: Sequence[StudyAudit], label: str, bootstrap: Bootstrap, group: str | None) -> Estimate:
    scores = np.array([row.probabilities[label] for row in rows])
    positive = np.array([label in (row.reference or ()) for row in rows], dtype=bool)
    patients = [row.patient for row in rows]
    value = auroc(scores, positive) if rows else None
    common = {
        "metric": "auroc",
        "method": CLASSIFIER,
        "among": "all",
        "group": group,
        "confidence": bootstrap.confidence,
        "patients": len(set(patients)),
        "studies": len(rows),
    }
    if value is None:
        reason = "needs studies with and without the label"
        return Estimate.model_validate({**common, "value": None, "interval": "none", "reason": reason})
    interval = auroc_interval(
        scores,
        positive,
        patients,
        confidence=bootstrap.confidence,
        replicates=bootstrap.replicates,
        seed=bootstrap.seed,
    )
    bounds = {"low": interval.low, "high": interval.high, "interval": interval.how, "chance": 0.5}
    return Estimate.model_validate({**common, "value": value, **bounds})


def agreements(
    scores: Mapping[str, tuple[str, Mapping[tuple[str, str, str], Sequence[Score]]]], bootstrap: Bootstrap
) -> tuple[Agreement, ...]:
    """Return how well each pair of readers agrees; ``scores`` goes from a study to (patient, agreement by pair)."""
    collected: dict[tuple[str, str, str], list[tuple[Unit, float | str]]] = defaultdict(list)
    for study, (patient, pairs) in scores.items():
        for (label, first, second), pair_scores in pairs.items():
            unit = Unit(study, patient, label, True, False, {}, {}, {})
            for score in pair_scores:
                value = score.value if score.value is not None else str(score.reason)
                collected[score.name, first, second].append((unit, value))
    return tuple(
        Agreement(
            metric=metric,
            readers=(first, second),
            estimate=_mean(
                [(unit, value) for unit, value in rows if not isinstance(value, str)],
                Counter(value for _, value in rows if isinstance(value, str)),
                bootstrap,
                {"metric": metric, "method": f"{first} vs {second}", "among": "all", "group": None},
            ),
        )
        for (metric, first, second), rows in sorted(collected.items())
    )


def flow_of(audits: Sequence[StudyAudit], computed: int) -> Flow:
    """Count the studies by what became of them, and the masks of those analysed that could not be used."""
    analysed = [audit for audit in audits if audit.status == "analysed"]
    mask_faults: Counter[str] = Counter()
    for audit in analysed:
        for fault in audit.mask_faults:
            mask_faults[fault.reason] += fault.masks
    outcomes = {
        status: Counter(str(audit.reason) for audit in audits if audit.status == status) for status in get_args(Status)
    }
    return Flow(
        found=len(audits),
        analysed=len(analysed),
        excluded=dict(sorted(outcomes["excluded"].items())),
        failed=dict(sorted(outcomes["failed"].items())),
        patients=len({audit.patient for audit in audits}),
        computed=computed,
        reused=len(audits) - computed,
        mask_faults=dict(sorted(mask_faults.items())),
        without_mask=sum(bool(audit.mask_faults) and not audit.masks for audit in analysed),
    )
