"""Where the model answers better or worse: each group's answers, probabilities and AUROC against the rest.

Groups are what the manifest states, what headers tell of patient and scanner, thirds of the lesions' size, and thirds
of the model's own confidence.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.evidence.cohort.classifier import SPANS, area_cohort_of, classifier_population
from pipeline.evidence.groups.group_differences import (
    adjusted_differences,
    area_group_difference,
    population_difference,
)
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.vocabulary import CLASSIFIER, SMALLEST_GROUP

__all__ = ["answer_differences"]

_OF_HEADERS: Final[Mapping[str, str]] = {"sex": "PatientSex", "age band": "PatientAge", "vendor": "Manufacturer"}
_NOT_STATED: Final = "not stated"
_OTHER: Final = "others"
_THIRDS: Final = ("lowest third", "middle third", "highest third")
_SPAN: Final = (0.0, 1.0)

Rows = list[int]
Column = tuple[str, Callable[[StudyFacts], str | None]]


def answer_differences(
    audits: Sequence[StudyFacts], labels: Sequence[str], confidence: float
) -> tuple[GroupDifference, ...]:
    """Return the differences of every group that a column tells apart, p adjusted by Holm over all of them.

    Of a column with two groups only the first is compared: the other's difference is the same with the sign turned.
    """
    of_labels = ("sensitivity", "specificity", "calibration")
    asked = [("accuracy", None), *((metric, label) for label in labels for metric in of_labels)]
    means = [difference for metric, label in asked for difference in _of_metric(metric, label, audits, confidence)]
    areas = [difference for label in labels for difference in _of_areas(label, audits, confidence)]
    return adjusted_differences([*means, *areas])


def _of_metric(
    metric: str, label: str | None, audits: Sequence[StudyFacts], confidence: float
) -> Iterator[GroupDifference]:
    whole = classifier_population(metric, audits, label)
    counted = [audits[number] for number in whole.study.tolist()]
    named = {"metric": metric, "method": CLASSIFIER, "among": "all", "label": label}
    for place, own, rest in _sides(counted, _columns(counted, metric, label)):
        compared = whole.where(np.array(own, dtype=np.intp)), whole.where(np.array(rest, dtype=np.intp))
        yield population_difference(compared, SPANS.get(metric, _SPAN), confidence, {**named, **place})


def _of_areas(label: str, audits: Sequence[StudyFacts], confidence: float) -> Iterator[GroupDifference]:
    """Compare AUROCs; neither thirds of the lesions' size nor of the confidence have studies of both classes alike."""
    counted = [audit for audit in audits if audit.reference is not None]
    named = {"metric": "auroc", "method": CLASSIFIER, "among": "all", "label": label}
    for place, own, rest in _sides(counted, _stated(counted)):
        sides = [[counted[row] for row in rows] for rows in (own, rest)]
        shared = len(set.intersection(*({audit.patient for audit in side} for side in sides)))
        cohorts = area_cohort_of(sides[0], label), area_cohort_of(sides[1], label)
        yield area_group_difference(cohorts, shared, confidence, {**named, **place})


def _sides(audits: Sequence[StudyFacts], columns: Iterable[Column]) -> Iterator[tuple[dict[str, str], Rows, Rows]]:
    """Yield each group that a column tells apart with its rows and those of the rest; of two groups only the first."""
    for column, value_of in columns:
        groups: dict[str, Rows] = {}
        for row, audit in enumerate(audits):
            value = value_of(audit)
            if value is not None:
                groups.setdefault(value, []).append(row)
        names = sorted(groups)
        for group in names if len(names) > 2 else names[: len(names) - 1]:
            rest = [row for name in names if name != group for row in groups[name]]
            yield {"column": column, "group": f"{column}={group}"}, groups[group], rest


def _columns(audits: Sequence[StudyFacts], metric: str, label: str | None) -> Iterator[Column]:
    """Yield what tells studies apart, with the group of each; None for a study that the column leaves out."""
    yield from _stated(audits)
    if metric == "sensitivity" and label is not None:
        yield _thirds("lesion size", {audit.study: _size(audit, label) for audit in audits})
    yield _thirds("confidence", {audit.study: _confidence(audit) for audit in audits})


def _stated(audits: Sequence[StudyFacts]) -> Iterator[Column]:
    """Yield what the manifest states of studies, and what headers tell of patient and scanner."""
    for name in dict.fromkeys(name for audit in audits for name in audit.strata):
        yield name, lambda audit, name=name: audit.strata.get(name) or _NOT_STATED  # type: ignore[misc]
    yield from (_of_header(title, fact, audits) for title, fact in _OF_HEADERS.items())


def _of_header(title: str, fact: str, audits: Sequence[StudyFacts]) -> Column:
    """Group studies by what a header tells; groups of few patients go together, or are left out."""
    patients: dict[str, set[str]] = {}
    for audit in audits:
        patients.setdefault(audit.facts.get(fact) or _NOT_STATED, set()).add(audit.patient)
    small = {value for value, owners in patients.items() if len(owners) < SMALLEST_GROUP}
    together = set[str]().union(*(patients[value] for value in small))
    other = _OTHER if len(together) >= SMALLEST_GROUP else None

    def group(audit: StudyFacts) -> str | None:
        value = audit.facts.get(fact) or _NOT_STATED
        return other if value in small else value

    return title, group


def _thirds(title: str, values: Mapping[str, float | None]) -> Column:
    """Cut studies at the thirds of a number; nobody is told apart where fewer than three differ. Ties stay together."""
    known = [value for value in values.values() if value is not None]
    cuts = np.quantile(known, [1 / 3, 2 / 3]).tolist() if len(set(known)) >= len(_THIRDS) else []

    def third(audit: StudyFacts) -> str | None:
        value = values[audit.study]
        return None if value is None or not cuts else _THIRDS[sum(value > cut for cut in cuts)]

    return title, third


def _size(audit: StudyFacts, label: str) -> float | None:
    """Return the size of a label's largest mask, in mm2 or mm3; None without one, or without a physical size."""
    return audit.largest_masks.get(label)


def _confidence(audit: StudyFacts) -> float | None:
    """Return how sure the model is of the label that it is least sure of: 0.5 is not at all, 1 entirely."""
    return min((max(share, 1 - share) for share in audit.probabilities.values()), default=None)
