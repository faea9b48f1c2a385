"""The table of a cohort: age band, sex, scanner, spacing, lesions, as headers and masks tell.

A group of fewer than five is not printed by itself: with the site and the reference beside it, it would be somebody.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from pipeline.evidence.cohort.acquisition import COARSEST, FINEST, LARGEST, LESIONS
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.context.cohort import CohortRow
from pipeline.packed.on_demand import ChosenItems
from pipeline.vocabulary import SMALLEST_GROUP

__all__ = ["cohort_table"]

_OF_PATIENTS: Final[Mapping[str, str]] = {"Age band": "PatientAge", "Sex": "PatientSex"}
_GROUPS: Final[Mapping[str, str]] = {
    "Modality": "Modality",
    "Body part": "BodyPartExamined",
    "Vendor": "Manufacturer",
    "View": "ViewPosition",
    "Reconstruction kernel": "ConvolutionKernel",
    "Field strength, T": "MagneticFieldStrength",
}
_NUMBERS: Final[Mapping[str, tuple[str, str]]] = {
    "Slice thickness": ("SliceThickness", "mm"),
    "Voxel spacing, finest axis": (FINEST, "mm"),
    "Voxel spacing, coarsest axis": (COARSEST, "mm"),
}


def cohort_table(audits: Sequence[StudyFacts]) -> tuple[CohortRow, ...]:
    """Return the rows of which something is known, over the analysed studies."""
    studies = ChosenItems.where(audits, lambda audit: audit.status == "analysed")
    rows = [_grouped(name, "patients", _by_patient(studies, fact)) for name, fact in _OF_PATIENTS.items()]
    rows += [_grouped(name, "studies", [audit.facts.get(fact) for audit in studies]) for name, fact in _GROUPS.items()]
    rows += [_measured(name, unit, [_number(audit.facts.get(fact)) for audit in studies])
             for name, (fact, unit) in _NUMBERS.items()]  # fmt: skip
    rows += _lesions(studies)
    return tuple(row for row in rows if row.stated)


def _by_patient(studies: Iterable[StudyFacts], fact: str) -> list[str | None]:
    """Return one value of each patient, of several the first by its letters: his age can pass a band between studies.

    Which of his studies is listed first decides nothing.
    """
    values: dict[str, str | None] = {}
    for audit in studies:
        known = [value for value in (values.get(audit.patient), audit.facts.get(fact)) if value]
        values[audit.patient] = min(known, default=None)
    return list(values.values())


def _grouped(name: str, of: str, values: Sequence[str | None]) -> CohortRow:
    counts = Counter(value for value in values if value is not None)
    shown = {value: many for value, many in sorted(counts.items()) if many >= SMALLEST_GROUP}
    hidden = [many for many in counts.values() if many < SMALLEST_GROUP]
    if len(hidden) == 1 and shown:  # what is left of the whole would tell it: the next smallest goes with it
        smallest = min(shown, key=lambda value: (shown[value], value))
        hidden.append(shown.pop(smallest))
    together = sum(hidden)
    small = (len(hidden), together if together >= SMALLEST_GROUP and len(hidden) > 1 else None) if hidden else None
    stated = sum(counts.values())
    return CohortRow(name=name, of=of, counts=shown, small=small, stated=stated, not_stated=len(values) - stated)


def _measured(name: str, unit: str, values: Sequence[float | None], of: str = "studies") -> CohortRow:
    known = [value for value in values if value is not None]
    if not known:
        return CohortRow(name=name, of=of, not_stated=len(values))
    return CohortRow(
        name=name,
        of=of,
        unit=unit,
        stated=len(known),
        not_stated=len(values) - len(known),
        median=median(known),
        low=min(known),
        high=max(known),
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.split()[0])
    except (ValueError, IndexError):
        return None


def _lesions(studies: Sequence[StudyFacts]) -> list[CohortRow]:
    """Return how many lesions the masks of each label have, and how large the largest of a study is, by unit."""
    names = {name for audit in studies for name in audit.facts if name.startswith(LESIONS)}
    labels = sorted(name.removeprefix(LESIONS) for name in names)
    rows = []
    for label in labels:
        counts, sizes = list[float | None](), dict[str, list[float | None]]()
        for facts in (audit.facts for audit in studies if f"{LESIONS}{label}" in audit.facts):
            counts.append(_number(facts[f"{LESIONS}{label}"]))
            if f"{LARGEST}{label}" in facts:
                size = facts[f"{LARGEST}{label}"]
                sizes.setdefault(size.split()[-1], []).append(_number(size))
        rows.append(_measured(f"Lesions in a study's mask: {label}", "", counts, "studies with a mask"))
        for unit, values in sorted(sizes.items()):
            rows.append(_measured(f"Largest lesion of a study: {label}", unit, values, "studies with a lesion"))
    return rows
