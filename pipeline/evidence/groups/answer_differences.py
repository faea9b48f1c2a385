"""Where the model answers better or worse: each group's answers, probabilities and AUROC against the rest.

Groups are what the manifest states, what headers tell of patient and scanner, thirds of the lesions' size, and thirds
of the model's own confidence.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.classifier import SPANS, area_cohort_of, classifier_population
from pipeline.evidence.cohort.map_rows import patients_of
from pipeline.evidence.groups.group_differences import (
    adjusted_differences,
    area_group_difference,
    population_difference,
)
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.packed.on_demand import ChosenItems
from pipeline.vocabulary import CLASSIFIER, SMALLEST_GROUP

__all__ = ["answer_differences"]

_OF_HEADERS: Final[Mapping[str, str]] = {"sex": "PatientSex", "age band": "PatientAge", "vendor": "Manufacturer"}
_NOT_STATED: Final = "not stated"
_OTHER: Final = "others"
_THIRDS: Final = ("lowest third", "middle third", "highest third")
_SPAN: Final = (0.0, 1.0)

Rows = NDArray[np.intp]
Column = tuple[str, Callable[[int, StudyFacts], str | None]]
"""A name, and what tells the group of a study from its row and its facts; None for one that it leaves out."""


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
    counted = ChosenItems(audits, whole.study)
    named = {"metric": metric, "method": CLASSIFIER, "among": "all", "label": label}
    for place, own, rest in _sides(counted, _columns(counted, metric, label)):
        compared = whole.where(own), whole.where(rest)
        yield population_difference(compared, SPANS.get(metric, _SPAN), confidence, {**named, **place})


def _of_areas(label: str, audits: Sequence[StudyFacts], confidence: float) -> Iterator[GroupDifference]:
    """Compare AUROCs; neither thirds of the lesions' size nor of the confidence have studies of both classes alike."""
    counted = ChosenItems.where(audits, lambda audit: audit.reference is not None)
    patients = patients_of(counted)
    named = {"metric": "auroc", "method": CLASSIFIER, "among": "all", "label": label}
    for place, own, rest in _sides(counted, _stated(counted)):
        shared = len(np.intersect1d(patients[own], patients[rest]))
        cohorts = area_cohort_of(ChosenItems(counted, own), label), area_cohort_of(ChosenItems(counted, rest), label)
        yield area_group_difference(cohorts, shared, confidence, {**named, **place})


def _sides(audits: Sequence[StudyFacts], columns: Iterable[Column]) -> Iterator[tuple[dict[str, str], Rows, Rows]]:
    """Yield each group that a column tells apart with its rows and those of the rest; of two groups only the first."""
    for column, value_of in columns:
        numbers: dict[str | None, int] = {}
        values = (value_of(row, audit) for row, audit in enumerate(audits))
        codes = np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), dtype=np.int32)
        rows = {name: np.flatnonzero(codes == code) for name, code in numbers.items() if name is not None}
        names = sorted(rows)
        for group in names if len(names) > 2 else names[: len(names) - 1]:
            rest = np.concatenate([rows[name] for name in names if name != group])
            yield {"column": column, "group": f"{column}={group}"}, rows[group], rest


def _columns(audits: Sequence[StudyFacts], metric: str, label: str | None) -> Iterator[Column]:
    """Yield what tells studies apart, with the group of each; None for a study that the column leaves out."""
    yield from _stated(audits)
    if metric == "sensitivity" and label is not None:
        yield _thirds("lesion size", (_size(audit, label) for audit in audits))
    yield _thirds("confidence", map(_confidence, audits))


def _stated(audits: Sequence[StudyFacts]) -> Iterator[Column]:
    """Yield what the manifest states of studies, and what headers tell of patient and scanner."""
    for name in dict.fromkeys(name for audit in audits for name in audit.strata):
        yield name, lambda _, audit, name=name: audit.strata.get(name) or _NOT_STATED  # type: ignore[misc]
    yield from (_of_header(title, fact, audits) for title, fact in _OF_HEADERS.items())


def _of_header(title: str, fact: str, audits: Sequence[StudyFacts]) -> Column:
    """Group studies by what a header tells; groups of few patients go together, or are left out."""
    patients: dict[str, set[str]] = {}
    for audit in audits:
        owners = patients.setdefault(audit.facts.get(fact) or _NOT_STATED, set())
        if len(owners) < SMALLEST_GROUP:  # of a large group nobody need be known
            owners.add(audit.patient)
    small = {value for value, owners in patients.items() if len(owners) < SMALLEST_GROUP}
    together = set[str]().union(*(patients[value] for value in small))
    other = _OTHER if len(together) >= SMALLEST_GROUP else None

    def group(_: int, audit: StudyFacts) -> str | None:
        value = audit.facts.get(fact) or _NOT_STATED
        return other if value in small else value

    return title, group


def _thirds(title: str, numbers: Iterable[float | None]) -> Column:
    """Cut studies at the thirds of a number; nobody is told apart where fewer than three differ. Ties stay together."""
    values = np.fromiter((np.nan if number is None else number for number in numbers), dtype=np.float64)
    known = values[~np.isnan(values)]
    cuts = np.quantile(known, [1 / 3, 2 / 3]) if len(np.unique(known)) >= len(_THIRDS) else np.empty(0)

    def third(row: int, _: StudyFacts) -> str | None:
        above = int((values[row] > cuts).sum())
        return None if np.isnan(values[row]) or not len(cuts) else _THIRDS[above]

    return title, third


def _size(audit: StudyFacts, label: str) -> float | None:
    """Return the size of a label's largest mask, in mm2 or mm3; None without one, or without a physical size."""
    return audit.largest_masks.get(label)


def _confidence(audit: StudyFacts) -> float | None:
    """Return how sure the model is of the label that it is least sure of: 0.5 is not at all, 1 entirely."""
    return min((max(share, 1 - share) for share in audit.probabilities.values()), default=None)
