"""Every study of an archive looked at before anything is frozen: what is missing, what cannot be used, what is odd.

Files are read as the audit will read them, in processes with limits; the model is not asked.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from pipeline.errors import StudyError
from pipeline.studies.study import Study
from pipeline.walk.auditor import Auditor
from pipeline.walk.reading import check_reference, read_studies
from pipeline.walk.sources import StudySource

__all__ = ["Losses", "ModalityCounts", "Survey", "survey_studies"]

_HALF = 0.5  # of the picture: an expert's mark is smaller; an inverted mask, or one of the whole body, is not
_SHOWN = 3
_FEWEST_PAIRS = 3
"""Masks of two readers from which on their being the same is no accident: two may mark one voxel each."""


@dataclass(frozen=True)
class ModalityCounts:
    """The studies of one modality: ``found`` = ``usable`` + the sum of ``excluded``, by reason."""

    name: str
    patients: int
    found: int
    usable: int
    excluded: Mapping[str, int]


@dataclass(frozen=True)
class Losses:
    """What cannot be used, by reason: how many, and the first study's pseudonym."""

    counts: Mapping[str, int]
    first: Mapping[str, str]

    @property
    def total(self) -> int:
        """How many there are in all."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Survey:
    """An archive as an audit will find it.

    ``studies`` cannot be read or have a label that the model does not have, ``masks`` cannot be used on their image,
    nor can ``regions`` to avoid; of these ``regions_usable`` go by name to the studies that have one.
    ``doubled`` counts files that stand under two patients. ``doubts`` are sentences about what can be read and looks
    odd. ``references`` counts studies by the labels that are present.
    """

    found: int
    patients: int
    modalities: tuple[ModalityCounts, ...]
    studies: Losses
    masks: Losses
    masks_usable: int
    doubled: int
    references: Mapping[str, int]
    doubts: tuple[str, ...]
    regions: Losses = Losses({}, {})
    regions_usable: Mapping[str, int] = field(default_factory=dict)

    @property
    def holes(self) -> tuple[str, ...]:
        """What must not be overlooked, each in a sentence; nothing for an archive without holes."""
        holes = []
        if self.studies.total:
            holes.append(f"{self.studies.total} of {self.found} studies cannot be used")
        if self.masks.total:
            holes.append(f"{self.masks.total} of {self.masks.total + self.masks_usable} masks cannot be used")
        if self.regions.total:
            holes.append(f"{self.regions.total} masks of regions to avoid cannot be used")
        if self.doubled:
            holes.append(f"{self.doubled} images stand under two patients")
        return tuple(holes)


@dataclass
class _Counts:
    """What has been counted so far."""

    patients: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    usable: Counter[str] = field(default_factory=Counter)
    excluded: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    studies: list[tuple[str, str]] = field(default_factory=list)
    masks: list[tuple[str, str]] = field(default_factory=list)
    masks_usable: int = 0
    regions: list[tuple[str, str]] = field(default_factory=list)
    regions_usable: Counter[str] = field(default_factory=Counter)
    references: Counter[str] = field(default_factory=Counter)
    large: list[str] = field(default_factory=list)
    drawn_twice: Counter[tuple[str, str]] = field(default_factory=Counter)
    alike: Counter[tuple[str, str]] = field(default_factory=Counter)


def survey_studies(auditor: Auditor, sources: Sequence[StudySource], on_study: Callable[[], None]) -> Survey:
    """Read every study once and count.

    Raises:
        AuditError: when reading processes cannot be started.
    """
    counts = _Counts()
    rows = (source.row for source in sources)
    for source, study in zip(sources, read_studies(auditor, rows), strict=True):
        _count(counts, auditor, source, study)
        on_study()
    patients = {source.patient for source in sources}
    owners_unknown = auditor.config.archive.manifest is None and 1 < len(sources) == len(patients)
    return Survey(
        found=len(sources),
        patients=len(patients),
        modalities=_modalities(counts),
        studies=_losses(counts.studies),
        masks=_losses(counts.masks),
        masks_usable=counts.masks_usable,
        doubled=_doubled(sources),
        references=dict(sorted(counts.references.items())),
        doubts=tuple(_doubts(counts, len(sources), len(patients), owners_unknown=owners_unknown)),
        regions=_losses(counts.regions),
        regions_usable=dict(sorted(counts.regions_usable.items())),
    )


def _count(counts: _Counts, auditor: Auditor, source: StudySource, study: Study | StudyError) -> None:
    try:
        if isinstance(study, StudyError):
            raise study
        check_reference(study, auditor.config)
    except StudyError as fault:
        modality = "not readable" if isinstance(study, StudyError) else _modality(study)
        counts.patients[modality].add(source.patient)
        counts.excluded[modality][fault.reason] += 1
        counts.studies.append((fault.reason, source.study))
        return
    modality = _modality(study)
    counts.patients[modality].add(source.patient)
    counts.usable[modality] += 1
    counts.references["not stated" if study.reference is None else "; ".join(study.reference) or "none"] += 1
    counts.masks_usable += len(study.masks)
    counts.masks += [(fault.reason, source.study) for fault in study.mask_faults for _ in range(fault.masks)]
    counts.regions_usable.update(mask.label for mask in study.avoid if mask.array.any())
    counts.regions += [(fault.reason, source.study) for fault in study.avoid_faults]
    if any(float(np.mean(mask.array)) > _HALF for mask in study.masks):
        counts.large.append(source.study)
    _count_pairs(counts, study)


def _count_pairs(counts: _Counts, study: Study) -> None:
    """Count the masks that two readers drew of one label, and those of them that are the same to the voxel."""
    drawn = [mask for mask in study.masks if mask.array.any()]
    for first, second in combinations(drawn, 2):
        if first.label == second.label and first.reader != second.reader:
            counts.drawn_twice[first.reader, second.reader] += 1
            counts.alike[first.reader, second.reader] += np.array_equal(first.array, second.array)


def _modality(study: Study) -> str:
    return study.header.get("Modality", "not stated")


def _modalities(counts: _Counts) -> tuple[ModalityCounts, ...]:
    return tuple(
        ModalityCounts(
            name,
            len(counts.patients[name]),
            counts.usable[name] + counts.excluded[name].total(),
            counts.usable[name],
            dict(sorted(counts.excluded[name].items())),
        )
        for name in sorted(counts.patients)
    )


def _losses(pairs: Sequence[tuple[str, str]]) -> Losses:
    first: dict[str, str] = {}
    for reason, study in pairs:
        first.setdefault(reason, study)
    return Losses(dict(Counter(reason for reason, _ in pairs).most_common()), first)


def _doubled(sources: Sequence[StudySource]) -> int:
    """Count the images whose bytes stand under more than one patient."""
    owners: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        if source.image_sha256:
            owners[source.image_sha256].add(source.patient)
    return sum(len(patients) > 1 for patients in owners.values())


def _doubts(counts: _Counts, studies: int, patients: int, *, owners_unknown: bool) -> list[str]:
    doubts = []
    if counts.large:
        shown = ", ".join(counts.large[:_SHOWN]) + (" ..." if len(counts.large) > _SHOWN else "")
        doubts.append(f"a mask covers more than half of the picture in {len(counts.large)} studies: {shown}")
    if studies > 1 and patients == 1:
        doubts.append(f"all {studies} studies are one patient's: no interval can be given")
    if counts.usable and not counts.masks_usable:
        doubts.append("no study has a mask: nothing can be held against the experts")
    stated = {name for name in counts.references if name != "not stated"}
    if len(stated) == 1 and studies > 1:
        doubts.append(f"every study with a reference has the same one: {stated.pop()}")
    if owners_unknown:
        doubts.append("no manifest states patients: each study counts as another's, so list those who have several")
    for (first, second), drawn in sorted(counts.drawn_twice.items()):
        alike = counts.alike[first, second]
        if drawn >= _FEWEST_PAIRS and 2 * alike > drawn:
            doubts.append(
                f"{alike} of {drawn} masks of the readers {first} and {second} are the same to the voxel: they do not "
                "count as two experts"
            )
    return doubts
