"""Which studies of two runs are the same, and which are left out, each for one reason."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

from pipeline.findings.brief_study import BriefStudy, RowMaker, StudyFacts
from pipeline.findings.context.changes import MatchedStudies
from pipeline.findings.results import Results
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.items import PackedItems
from pipeline.packed.texts import TextMap, Texts

__all__ = ["RunRecords", "StudyPairs", "paired_studies", "renamed"]


@dataclass(frozen=True)
class RunRecords:
    """What of a run is compared: its results, the records of all its studies, and how their masks were read.

    ``audits`` are gone through more than once, one record at a time. ``results_sha256`` is the hash of its
    ``results.json``, '' where that was not written yet.
    """

    results: Results
    masks_recipe: str
    audits: Iterable[StudyAudit]
    results_sha256: str = ""

    @cached_property
    def studies(self) -> Sequence[BriefStudy]:
        """The studies without their maps, in the records' order."""
        return PackedItems(map(RowMaker().row_of, self.audits))

    @property
    def name(self) -> str:
        """``<audit>/<run>``."""
        return f"{self.results.audit}/{self.results.run}"


@dataclass(frozen=True)
class StudyPairs:
    """The studies of two runs by what became of them, in b's order; a's pseudonyms for what is in a only."""

    paired: tuple[str, ...]
    not_analysed: tuple[str, ...]
    changed: tuple[str, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]

    @property
    def asked(self) -> frozenset[str]:
        """The studies that claims are about: the same in both, analysed or not."""
        return frozenset((*self.paired, *self.not_analysed))

    @property
    def counts(self) -> MatchedStudies:
        """How many there are of each."""
        return MatchedStudies(**{name: len(value) for name, value in vars(self).items()})


def renamed(records: RunRecords, names: Mapping[str, tuple[str, str]]) -> RunRecords:
    """Return records with the (study, patient) pseudonyms of another key, for the studies that ``names`` has."""

    def under_new_names(audit: StudyAudit) -> StudyAudit:
        if audit.study not in names:
            return audit
        study, patient = names[audit.study]
        return audit.model_copy(update={"study": study, "patient": patient})

    renamed_audits = _Changed(records.audits, under_new_names)
    return RunRecords(records.results, records.masks_recipe, renamed_audits, records.results_sha256)


@dataclass(frozen=True, eq=False)
class _Changed(Iterable[StudyAudit]):
    audits: Iterable[StudyAudit]
    change: Callable[[StudyAudit], StudyAudit]

    def __iter__(self) -> Iterator[StudyAudit]:
        return map(self.change, self.audits)


def paired_studies(a: Iterable[StudyFacts], b: Iterable[StudyFacts], labels: Collection[str]) -> StudyPairs:
    """Pair studies by pseudonym, files and what the reference says of ``labels``, those that both models have."""
    in_a = TextMap((study.study, json.dumps(_identity(study, labels))) for study in a)
    in_b, columns = Texts(), {field.name: list[str]() for field in fields(StudyPairs)}
    for study in b:
        in_b.append(study.study)
        before = in_a.get(study.study)
        columns[_group(None if before is None else json.loads(before), _identity(study, labels))].append(study.study)
    columns["only_in_a"] = [study for study in in_a if in_b.find(study) is None]
    return StudyPairs(**{name: tuple(studies) for name, studies in columns.items()})


def _identity(study: StudyFacts, labels: Collection[str]) -> list[object]:
    """Return the hash of a study's files, whether it was analysed, and what the reference says of the labels."""
    said = None if study.reference is None else sorted(frozenset(study.reference) & frozenset(labels))
    return [study.source_sha256, study.status == "analysed", said]


def _group(a: list[object] | None, b: list[object]) -> str:
    """Return the group of a study of b; one that could not be read has no reference to differ by."""
    if a is None:
        return "only_in_b"
    both_analysed = a[1] and b[1]
    if a[0] != b[0] or (both_analysed and a[2] != b[2]):
        return "changed"
    return "paired" if both_analysed else "not_analysed"
