"""Where the model answers better or worse: accuracy, sensitivity and specificity of each group against the rest.

Groups are what the manifest states, what headers tell of patient and scanner, thirds of the lesions' size, and thirds
of the model's own confidence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.evidence.cohort.classifier import classifier_population
from pipeline.evidence.cohort.group_differences import adjusted_differences, population_difference
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.vocabulary import CLASSIFIER, SMALLEST_GROUP

__all__ = ["answer_differences"]

_OF_HEADERS: Final[Mapping[str, str]] = {"sex": "PatientSex", "age band": "PatientAge", "vendor": "Manufacturer"}
_NOT_STATED: Final = "not stated"
_OTHER: Final = "others"
_THIRDS: Final = ("lowest third", "middle third", "highest third")
_SPAN: Final = (0.0, 1.0)

Column = tuple[str, Callable[[StudyFacts], str | None]]


def answer_differences(
    audits: Sequence[StudyFacts], labels: Sequence[str], confidence: float
) -> tuple[GroupDifference, ...]:
    """Return the differences of every group that a column tells apart, p adjusted by Holm over all of them.

    Of a column with two groups only the first is compared: the other's difference is the same with the sign turned.
    """
    asked = [("accuracy", None), *((metric, label) for label in labels for metric in ("sensitivity", "specificity"))]
    return adjusted_differences(
        [difference for metric, label in asked for difference in _of_metric(metric, label, audits, confidence)]
    )


def _of_metric(
    metric: str, label: str | None, audits: Sequence[StudyFacts], confidence: float
) -> Iterator[GroupDifference]:
    whole = classifier_population(metric, audits, label)
    counted = [audits[number] for number in whole.study.tolist()]
    for column, value_of in _columns(counted, metric, label):
        groups: dict[str, list[int]] = {}
        for row, audit in enumerate(counted):
            value = value_of(audit)
            if value is not None:
                groups.setdefault(value, []).append(row)
        names = sorted(groups)
        for group in names if len(names) > 2 else names[: len(names) - 1]:
            rest = [row for name in names if name != group for row in groups[name]]
            compared = (
                whole.where(np.array(groups[group], dtype=np.intp)),
                whole.where(np.array(rest, dtype=np.intp)),
            )
            named = {"metric": metric, "method": CLASSIFIER, "among": "all", "label": label}
            place = {"column": column, "group": f"{column}={group}"}
            yield population_difference(compared, _SPAN, confidence, {**named, **place})


def _columns(audits: Sequence[StudyFacts], metric: str, label: str | None) -> Iterator[Column]:
    """Yield what tells studies apart, with the group of each; None for a study that the column leaves out."""
    for name in dict.fromkeys(name for audit in audits for name in audit.strata):
        yield name, lambda audit, name=name: audit.strata.get(name) or _NOT_STATED  # type: ignore[misc]
    yield from (_of_header(title, fact, audits) for title, fact in _OF_HEADERS.items())
    if metric == "sensitivity" and label is not None:
        yield _thirds("lesion size", {audit.study: _size(audit, label) for audit in audits})
    yield _thirds("confidence", {audit.study: _confidence(audit) for audit in audits})


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
