"""Which studies of two runs are the same, and which are left out, each for one reason."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.findings.context.changes import MatchedStudies
from pipeline.findings.results import Results
from pipeline.findings.study_audit import StudyAudit

__all__ = ["RunRecords", "StudyPairs", "paired_studies", "renamed"]


@dataclass(frozen=True)
class RunRecords:
    """What of a run is compared: its results, the records of all its studies, and how their masks were read.

    ``results_sha256`` is the hash of its ``results.json``, '' where that was not written yet.
    """

    results: Results
    masks_recipe: str
    audits: tuple[StudyAudit, ...]
    results_sha256: str = ""

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

    return RunRecords(
        records.results,
        records.masks_recipe,
        tuple(under_new_names(audit) for audit in records.audits),
        records.results_sha256,
    )


def paired_studies(a: Sequence[StudyAudit], b: Sequence[StudyAudit], labels: Collection[str]) -> StudyPairs:
    """Pair studies by pseudonym, files and what the reference says of ``labels``, those that both models have."""
    in_a, in_b = ({audit.study: audit for audit in audits} for audits in (a, b))
    common = [study for study in in_b if study in in_a]
    same = [study for study in common if _is_same(in_a[study], in_b[study], labels)]
    paired = [study for study in same if in_a[study].status == in_b[study].status == "analysed"]
    kept, seen = frozenset(same), frozenset(paired)
    return StudyPairs(
        paired=tuple(paired),
        not_analysed=tuple(study for study in same if study not in seen),
        changed=tuple(study for study in common if study not in kept),
        only_in_a=tuple(study for study in in_a if study not in in_b),
        only_in_b=tuple(study for study in in_b if study not in in_a),
    )


def _is_same(a: StudyAudit, b: StudyAudit, labels: Collection[str]) -> bool:
    """Tell whether both are of the same bytes and reference; who could not be read has no reference to differ by."""
    if a.source_sha256 != b.source_sha256:
        return False
    if a.status != "analysed" or b.status != "analysed":
        return True
    return _said(a, labels) == _said(b, labels)


def _said(audit: StudyAudit, labels: Collection[str]) -> frozenset[str] | None:
    return None if audit.reference is None else frozenset(audit.reference) & frozenset(labels)
