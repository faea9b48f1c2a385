"""A run's folder, read as far as it can be: what is damaged is a failure, and what needs it is left out."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from pipeline.conclusions.gathered import ListedAudits, Records
from pipeline.errors import OutputError
from pipeline.findings.carried import REUSED, Carried
from pipeline.findings.custody.ledger import LedgerEntry, LedgerError, public_key, read_ledger
from pipeline.findings.custody.recorded_files import recorded_files
from pipeline.findings.experiments.bundle import ExperimentRows, read_experiments
from pipeline.findings.members.table import MemberTable
from pipeline.findings.recipes import Recipes
from pipeline.findings.results import Results, load_results
from pipeline.findings.shards import iter_answers, iter_shard
from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, SPEC_FILE, RunSpec, read_members, read_spec
from pipeline.findings.stored_audits import StoredAudits, file_of
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.texts import Texts
from pipeline.verify.failure import Failure, FailureKind

__all__ = ["RESULTS_FILE", "RunFolder", "Shard", "open_run_folder", "without_path"]

RESULTS_FILE = "results.json"

_ROWS_KEPT = 8192
"""Rows of maps that stay in memory as objects; shards beyond are read again by each check."""

Content = TypeVar("Content")


@dataclass(frozen=True)
class Shard:
    """A shard that can be read, with the names in it; ``kept`` are its studies, None where memory is too short for all.

    ``recipes`` are those of the run, by which it is read.
    """

    path: Path
    studies: Texts
    kept: tuple[StudyAudit, ...] | None
    recipes: Recipes

    @property
    def name(self) -> str:
        """The file's name in the run's folder."""
        return f"shards/{self.path.name}"

    @property
    def is_reused(self) -> bool:
        """Whether it holds what was carried over, whole or in part, from earlier runs."""
        return self.name == REUSED

    def audits(self) -> Iterator[StudyAudit]:
        """Go through the studies as they were written."""
        return iter_shard(self.path) if self.kept is None else iter(self.kept)

    def answers(self) -> Iterator[Carried]:
        """Go through the studies as far as they answer to the run's recipes."""
        return iter_answers(self.path, self.recipes)


@dataclass(frozen=True, eq=False)
class RunFolder:
    """What a folder holds. A part that cannot be read is None, or a shard less, and stands in ``failures``."""

    path: Path
    entries: tuple[LedgerEntry, ...] | None
    spec: RunSpec | None
    members: MemberTable | None
    shards: tuple[Shard, ...] | None
    results: Results | None
    experiments: ExperimentRows | None = None
    failures: tuple[Failure, ...] = field(default=())

    @property
    def recorded(self) -> Mapping[str, str]:
        """The SHA-256 of each file that the ledger tells of, by its name in the folder."""
        return recorded_files(self.entries or ())

    @property
    def public(self) -> str | None:
        """The public key that signed the ledger."""
        return public_key(self.entries) if self.entries else None

    @cached_property
    def records(self) -> Records | None:
        """The rows that count, in the cohort's order; None unless there is exactly one for each study."""
        if self.members is None or self.shards is None or not self._is_complete(self.members):
            return None
        if any(shard.kept is None for shard in self.shards):
            return StoredAudits(self.path, self.members, self._elsewhere(self.members))
        by_name = {audit.study: audit for _, audit in self.counting()}
        return ListedAudits([by_name[member.study] for member in self.members])

    def counts(self, shard: Shard, study: str) -> bool:
        """Tell whether a study's row in a shard counts: of what was carried over it does if the study is whole."""
        return not shard.is_reused or (self.members is not None and self.members.is_carried(study))

    def counting(self) -> Iterator[tuple[str, StudyAudit]]:
        """Go through the rows that count, each with its shard."""
        for shard in self.shards or ():
            for audit in shard.audits():
                if self.counts(shard, audit.study):
                    yield shard.name, audit

    @cached_property
    def rows_of_members(self) -> Sequence[int]:
        """How many rows each study of the cohort has that count."""
        counts = array("q", bytes(8 * len(self.members or ())))
        for _, study in self._counting_names():
            if self.members is not None and (place := self.members.find(study)) is not None:
                counts[place] += 1
        return counts

    def _is_complete(self, members: MemberTable) -> bool:
        strangers = (members.find(study) is None for _, study in self._counting_names())
        return all(self.rows_of_members) and not any(strangers)

    def _elsewhere(self, members: MemberTable) -> dict[str, str]:
        """Return the shard of each study that is in another one's than its own."""
        return {
            study: shard.name
            for shard, study in self._counting_names()
            if (place := members.find(study)) is not None and file_of(members[place]) != shard.name
        }

    def _counting_names(self) -> Iterator[tuple[Shard, str]]:
        for shard in self.shards or ():
            for study in shard.studies:
                if self.counts(shard, study):
                    yield shard, study


def open_run_folder(path: Path) -> RunFolder:
    """Read all parts of a run's folder.

    Raises:
        OutputError: when it is no run's at all.
    """
    if not path.is_dir() or not ((path / LEDGER_FILE).exists() or (path / SPEC_FILE).exists()):
        raise OutputError(f"{path}: is not the folder of a run; give one, or its report.pdf")
    failures: list[Failure] = []
    entries = _entries(path, failures)
    spec = _read(SPEC_FILE, lambda: _spec(path), failures)
    members = _read(COHORT_FILE, lambda: read_members(path), failures)
    shards = None if spec is None else _shards(path, spec, failures)
    results = _results(path, failures)
    experiments = None if spec is None else _experiments(path, spec, failures)
    return RunFolder(path, entries, spec, members, shards, results, experiments, tuple(failures))


def without_path(error: Exception, path: Path) -> str:
    """Return an error's sentence without the folder in front: where a run lies can name people."""
    return str(error).removeprefix(f"{path}/").removeprefix(f"{path}: ").replace(str(path), "the run")


def _entries(path: Path, failures: list[Failure]) -> tuple[LedgerEntry, ...] | None:
    try:
        return read_ledger(path / LEDGER_FILE)
    except LedgerError as error:
        kind = FailureKind[f"LEDGER_{error.fault.name}"]
        failures.append(Failure(kind, without_path(error, path), LEDGER_FILE))
        return None


def _spec(path: Path) -> RunSpec:
    """Read the specification, and the configuration in it.

    Raises:
        ValueError: when that is none of this version.
    """
    spec = read_spec(path)
    spec.config  # noqa: B018 - it is validated when it is asked for
    return spec


def _read(name: str, read: Callable[[], Content], failures: list[Failure]) -> Content | None:
    try:
        return read()
    except (OutputError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        failures.append(Failure(FailureKind.UNREADABLE, _sentence(name, error), name))
        return None


def _sentence(name: str, error: Exception) -> str:
    """Return what is wrong with a file, without its folder and without what a library quotes of it."""
    why = str(error).partition(f"{name}: ")[2] if isinstance(error, OutputError) else "holds what this version cannot"
    return f"{name}: {why or 'cannot be read'}"


def _shards(path: Path, spec: RunSpec, failures: list[Failure]) -> tuple[Shard, ...]:
    files = sorted((path / "shards").glob("*.parquet"))
    shards, room = list[Shard](), _ROWS_KEPT
    for file in files:
        shard = _read(f"shards/{file.name}", partial(_shard, file, spec.recipes, room), failures)
        if shard is not None:
            shards.append(shard)
            room -= sum(1 + len(audit.map_scores) for audit in shard.kept or ())
    return tuple(shards)


def _shard(file: Path, recipes: Recipes, room: int) -> Shard:
    """Read a shard to its end; keep its studies where they have no more than so many rows."""
    studies, kept, rows = Texts(), list[StudyAudit](), 0
    for audit in iter_shard(file):
        studies.append(audit.study)
        rows += 1 + len(audit.map_scores)
        if rows <= room:
            kept.append(audit)
        else:
            kept.clear()
    return Shard(file, studies, tuple(kept) if rows <= room else None, recipes)


def _results(path: Path, failures: list[Failure]) -> Results | None:
    return _read(RESULTS_FILE, lambda: load_results(path), failures) if (path / RESULTS_FILE).exists() else None


def _experiments(path: Path, spec: RunSpec, failures: list[Failure]) -> ExperimentRows | None:
    families = tuple(spec.config.experiments.families)
    return _read("experiments", lambda: read_experiments(path, families), failures)
