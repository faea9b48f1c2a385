"""Many studies to one cohort: estimates with bounds, by stratum, label and subgroup.

Strata are named for what they are: ``reference_positive`` holds every unit whose target the reference says is present,
found or not; ``true_positive`` and ``false_negative`` split it by the classifier's answer.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from pipeline.evidence.cohort.estimating import Bootstrap, mean_estimate_of
from pipeline.evidence.cohort.measures import MetricScale, of_map, of_pair
from pipeline.evidence.cohort.population import Contribution, Population, population_of
from pipeline.evidence.cohort.units import Unit, in_stratum
from pipeline.findings.estimates import Agreement, Estimate
from pipeline.findings.results import Flow
from pipeline.findings.scores import Score
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import Status, Stratum

__all__ = ["agreements", "estimates", "flow_of", "mean_estimate", "paired_difference"]

_ESTIMATED = tuple(stratum for stratum in get_args(Stratum) if stratum != "all")


def mean_estimate(
    units: Iterable[Unit], scale: MetricScale, name: str, among: Stratum, bootstrap: Bootstrap, group: str | None = None
) -> Estimate:
    """Return the mean of a map's metric over the units of a stratum."""
    chosen = [unit for unit in units if in_stratum(unit, among)]
    population = population_of(chosen, of_map(name, scale), (name, scale.name))
    named = {"metric": scale.name, "method": name, "among": among, "group": group}
    return mean_estimate_of(population, scale.span, bootstrap, named)


def paired_difference(
    units: Iterable[Unit], scale: MetricScale, names: tuple[str, str], among: Stratum, bootstrap: Bootstrap
) -> Estimate:
    """Return the mean of one map's metric minus another's over the units of a stratum.

    It is in the metric's unit, and keeps its sign: where lower is better, a better first map has a negative difference.
    """
    measure = of_pair(*names, scale)
    population = population_of([unit for unit in units if in_stratum(unit, among)], measure)
    named = {"metric": scale.name, "method": f"{names[0]} - {names[1]}", "among": among, "group": None}
    return mean_estimate_of(population, measure.span, bootstrap, named)


def estimates(units: Sequence[Unit], scales: Sequence[MetricScale], bootstrap: Bootstrap) -> tuple[Estimate, ...]:
    """Return every map's every metric in every stratum, and in labels and subgroups of the reference-positive units.

    Maps of labels that were called wrongly are in none of them.
    """
    units = [unit for unit in units if unit.role == "reference"]
    names = list(dict.fromkeys(name for unit in units for name, _ in unit.scores))
    whole = [
        mean_estimate(units, scale, name, among, bootstrap)
        for among in _ESTIMATED
        for name in names
        for scale in scales
    ]
    parts = [
        mean_estimate(part, scale, name, "reference_positive", bootstrap, group)
        for group, part in {**_labels(units), **_subgroups(units)}.items()
        for name in names
        for scale in scales
    ]
    return (*whole, *parts)


def _labels(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """Group the reference-positive units by label, where there are several labels."""
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        if unit.positive:
            groups[f"label={unit.target}"].append(unit)
    return dict(sorted(groups.items())) if len(groups) > 1 else {}


def _subgroups(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        for column, value in unit.strata.items():
            groups[f"{column}={value or 'not stated'}"].append(unit)
    return dict(sorted(groups.items()))


def agreements(
    scores: Mapping[str, tuple[str, Mapping[tuple[str, str, str], Sequence[Score]]]],
    scales: Mapping[str, MetricScale],
    bootstrap: Bootstrap,
) -> tuple[Agreement, ...]:
    """Return how well each pair of readers agrees; ``scores`` goes from a study to (patient, agreement by pair)."""
    collected: dict[tuple[str, str, str], list[tuple[Contribution | None, str | None]]] = defaultdict(list)
    for study, (patient, pairs) in scores.items():
        for (_, first, second), pair_scores in pairs.items():
            for score in pair_scores:
                contribution = None if score.value is None else Contribution(study, patient, score.value)
                collected[score.name, first, second].append((contribution, score.reason))
    return tuple(
        Agreement(
            metric=metric,
            readers=(first, second),
            estimate=mean_estimate_of(
                Population(
                    tuple(contribution for contribution, _ in rows if contribution is not None),
                    dict(sorted(Counter(reason for _, reason in rows if reason is not None).items())),
                ),
                scales[metric].span,
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
