"""Subgroups against the rest of the cohort: differences of means, over all corrected for their number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.evidence.cohort.measures import MetricScale, of_map
from pipeline.evidence.cohort.population import Population, population_of
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.exact.areas import DRAWS, AreaCohort, area_difference
from pipeline.evidence.exact.families import holm
from pipeline.evidence.exact.groups import group_difference
from pipeline.evidence.sums import sum_in_order
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.vocabulary import SMALLEST_GROUP, Stratum

__all__ = [
    "MELDED", "MELDED_AREAS", "adjusted_differences", "area_group_difference", "group_differences",
    "population_difference",
]  # fmt: skip

MELDED: Final = "the exact rule's bounds of both groups, melded; error rates measured, not proved"
"""How the bounds of a difference between two groups are made."""

MELDED_AREAS: Final = "the AUROC's bounds of both groups, melded; error rates measured, not proved"
"""How the bounds of a difference between two AUROCs are made."""

_WORK: Final = 20_000_000
"""Studies times draws: a cohort of more than 2,000 studies has fewer draws, which it needs less."""
_FEWEST: Final = 1_000

_AMONG: Final[Stratum] = "reference_positive"
_OPEN_END: Final = "the metric has an open end, so no bound of a difference can hold"

Groups = Mapping[str, UnitTable]


def group_differences(
    units: UnitTable, pairs: Iterable[tuple[str, MetricScale]], confidence: float
) -> tuple[GroupDifference, ...]:
    """Return each subgroup's difference to the rest for each map and metric of ``pairs``.

    Of a column with two values only the first is compared: the other's difference is the same with the sign turned.
    """
    positive = units.among(_AMONG)
    columns = {column: groups for column, groups in _columns(positive).items() if len(groups) > 1}
    differences = [
        _difference(groups, column, group, (method, scale), confidence)
        for method, scale in pairs
        for column, groups in columns.items()
        for group in (groups if len(groups) > 2 else list(groups)[:1])
    ]
    return adjusted_differences(differences)


def _columns(units: UnitTable) -> dict[str, dict[str, UnitTable]]:
    """Group the units by label (the column ''), and by each column that describes them."""
    labels = {f"label={label}": part for label, part in units.targets().items()}
    columns = {"": labels, **units.groups()}  # a manifest's columns have names
    return {column: dict(sorted(groups.items())) for column, groups in columns.items()}


def _difference(
    groups: Groups, column: str, group: str, pair: tuple[str, MetricScale], confidence: float
) -> GroupDifference:
    method, scale = pair
    rest = groups[group].joined([own for name, own in groups.items() if name != group])
    first, second = (population_of(part, of_map(method, scale)) for part in (groups[group], rest))
    named = {"metric": scale.name, "method": method, "among": _AMONG, "column": column, "group": group}
    return population_difference((first, second), scale.span, confidence, named)


def population_difference(
    compared: tuple[Population, Population],
    span: tuple[float | None, float | None],
    confidence: float,
    named: Mapping[str, object],
) -> GroupDifference:
    """Return the difference of two populations' means, of a metric with this span; ``named`` are its other fields.

    Both number patients alike.
    """
    first, second = compared
    shared = len(np.intersect1d(first.patient, second.patient))
    counts = {"patients": len(first.patient_means()), "patients_rest": len(second.patient_means()), "shared": shared}
    common = {**named, **counts, "confidence": confidence}
    if not len(first.scored) or not len(second.scored):
        empty = "this group" if not len(first.scored) else "the rest"
        return GroupDifference.model_validate({**common, "value": None, "reason": f"{empty} has no score"})
    own, rest = _mean(first), _mean(second)
    common |= {"own": own, "rest": rest}
    difference = own - rest
    low, high = span
    if low is None or high is None:
        return GroupDifference.model_validate({**common, "value": difference, "reason": _OPEN_END})
    if shared:
        reason = f"{shared} {'patient belongs' if shared == 1 else 'patients belong'} to this group and to the rest"
        return GroupDifference.model_validate({**common, "value": difference, "reason": reason})
    exact = group_difference(first.scores((low, high)), second.scores((low, high)), confidence=confidence)
    bounds = {"low": exact.low, "high": exact.high, "p": exact.p, "interval": MELDED}
    return GroupDifference.model_validate({**common, "value": difference, **bounds})


def _mean(population: Population) -> float:
    means = population.patient_means()
    return sum_in_order(means.tolist()) / len(means)


def area_group_difference(
    compared: tuple[AreaCohort, AreaCohort], shared: int, confidence: float, named: Mapping[str, object]
) -> GroupDifference:
    """Return the difference of two groups' AUROCs, of which ``shared`` patients belong to both.

    ``named`` are the difference's other fields. Nothing is compared where a side has fewer than ``SMALLEST_GROUP``
    patients with, or without, the label.
    """
    first, second = compared
    patients = [cohort.n_patients - cohort.n_missing for cohort in compared]
    own, rest = (cohort.area(cohort.share) for cohort in compared)
    common = {
        **named, "confidence": confidence, "patients": patients[0], "patients_rest": patients[1], "shared": shared,
        "own": own, "rest": rest,
    }  # fmt: skip
    fewest = min(*first.class_patients, *second.class_patients)
    if own is None or rest is None or fewest < SMALLEST_GROUP:
        reason = f"a side has fewer than {SMALLEST_GROUP} patients with, or without, the label"
        return GroupDifference.model_validate({**common, "value": None, "reason": reason})
    value = own - rest
    if shared:
        reason = f"{shared} {'patient belongs' if shared == 1 else 'patients belong'} to this group and to the rest"
        return GroupDifference.model_validate({**common, "value": value, "reason": reason})
    draws = int(np.clip(_WORK // (len(first.scores) + len(second.scores)), _FEWEST, DRAWS))
    low, high, p = area_difference(first, second, confidence=confidence, draws=draws)
    bounds = {"low": low, "high": high, "p": p, "interval": MELDED_AREAS}
    return GroupDifference.model_validate({**common, "value": value, **bounds})


def adjusted_differences(differences: Sequence[GroupDifference]) -> tuple[GroupDifference, ...]:
    """Add what Holm's correction for the number of differences leaves of each p."""
    p_values = [difference.p for difference in differences if difference.p is not None]
    adjusted = iter(holm(p_values))
    return tuple(
        difference.model_copy(
            update={"family": len(p_values), "p_adjusted": None if difference.p is None else next(adjusted)}
        )
        for difference in differences
    )
