"""Many studies to one cohort: estimates with bounds, by stratum, label and subgroup.

Strata are named for what they are: ``reference_positive`` holds every unit whose target the reference says is present,
found or not; ``true_positive`` and ``false_negative`` split it by the classifier's answer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from pipeline.evidence.cohort.estimating import Bootstrap, mean_estimate_of
from pipeline.evidence.cohort.measures import MetricScale, of_map, of_pair
from pipeline.evidence.cohort.population import population_of
from pipeline.evidence.cohort.reader_pairs import PairScores
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.estimates import Agreement, Estimate
from pipeline.findings.results import Flow
from pipeline.vocabulary import Status, Stratum

__all__ = ["agreements", "estimates", "flow_of", "mean_estimate", "paired_difference"]

_ESTIMATED = tuple(stratum for stratum in get_args(Stratum) if stratum != "all")


def mean_estimate(
    units: UnitTable, scale: MetricScale, name: str, among: Stratum, bootstrap: Bootstrap, group: str | None = None
) -> Estimate:
    """Return the mean of a map's metric over the units of a stratum."""
    population = population_of(units.among(among), of_map(name, scale), (name, scale.name))
    named = {"metric": scale.name, "method": name, "among": among, "group": group}
    return mean_estimate_of(population, scale.span, bootstrap, named)


def paired_difference(
    units: UnitTable, scale: MetricScale, names: tuple[str, str], among: Stratum, bootstrap: Bootstrap
) -> Estimate:
    """Return the mean of one map's metric minus another's over the units of a stratum.

    It is in the metric's unit, and keeps its sign: where lower is better, a better first map has a negative difference.
    """
    measure = of_pair(*names, scale)
    population = population_of(units.among(among), measure)
    named = {"metric": scale.name, "method": f"{names[0]} - {names[1]}", "among": among, "group": None}
    return mean_estimate_of(population, measure.span, bootstrap, named)


def estimates(units: UnitTable, scales: Sequence[MetricScale], bootstrap: Bootstrap) -> tuple[Estimate, ...]:
    """Return every map's every metric in every stratum, and in labels and subgroups of the reference-positive units.

    Maps of labels that were called wrongly are in none of them.
    """
    units = units.among("all")
    names = units.map_names
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


def _labels(units: UnitTable) -> dict[str, UnitTable]:
    """Group the reference-positive units by label, where there are several labels."""
    groups = {f"label={label}": part for label, part in units.where(units.positive).targets().items()}
    return dict(sorted(groups.items())) if len(groups) > 1 else {}


def _subgroups(units: UnitTable) -> dict[str, UnitTable]:
    groups = {group: part for by_value in units.groups().values() for group, part in by_value.items()}
    return dict(sorted(groups.items()))


def agreements(
    pairs: Mapping[tuple[str, str, str], PairScores],
    studies: Sequence[StudyFacts],
    scales: Mapping[str, MetricScale],
    bootstrap: Bootstrap,
) -> tuple[Agreement, ...]:
    """Return how well each pair of readers agrees; ``pairs`` go from (metric, reader, reader) to what was gathered."""
    return tuple(
        Agreement(
            metric=metric,
            readers=(first, second),
            estimate=mean_estimate_of(
                own.population(studies),
                scales[metric].span,
                bootstrap,
                {"metric": metric, "method": f"{first} vs {second}", "among": "all", "group": None},
            ),
        )
        for (metric, first, second), own in sorted(pairs.items(), key=lambda pair: pair[0])
    )


def flow_of(audits: Sequence[StudyFacts], computed: int) -> Flow:
    """Count the studies by what became of them, and the masks of those analysed that could not be used."""
    outcomes: dict[Status, Counter[str]] = {status: Counter() for status in get_args(Status)}
    mask_faults, patients, without_mask = Counter[str](), set[str](), 0
    for audit in audits:
        outcomes[audit.status][str(audit.reason)] += 1
        patients.add(audit.patient)
        if audit.status == "analysed":
            without_mask += bool(audit.mask_faults) and not audit.masks
            for fault in audit.mask_faults:
                mask_faults[fault.reason] += fault.masks
    return Flow(
        found=len(audits),
        analysed=outcomes["analysed"].total(),
        excluded=dict(sorted(outcomes["excluded"].items())),
        failed=dict(sorted(outcomes["failed"].items())),
        patients=len(patients),
        computed=computed,
        reused=len(audits) - computed,
        mask_faults=dict(sorted(mask_faults.items())),
        without_mask=without_mask,
    )
