"""A run's folder, read as far as it can be: what is damaged is a failure, and what needs it is left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipeline.errors import OutputError
from pipeline.findings.carried import REUSED, Carried
from pipeline.findings.custody.ledger import LedgerEntry, LedgerError, public_key, read_ledger
from pipeline.findings.custody.recorded_files import recorded_files
from pipeline.findings.experiments.bundle import ExperimentRows, read_experiments
from pipeline.findings.results import Results, load_results
from pipeline.findings.shards import read_answers, read_shard
from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, SPEC_FILE, Member, RunSpec, read_members, read_spec
from pipeline.findings.study_audit import StudyAudit
from pipeline.verify.failure import Failure, FailureKind

__all__ = ["RESULTS_FILE", "RunFolder", "Shard", "open_run_folder", "without_path"]

RESULTS_FILE = "results.json"
Content = TypeVar("Content")


@dataclass(frozen=True)
class Shard:
    """The studies of a shard as they were written, and as far as they answer to the run's recipes."""

    name: str
    audits: tuple[StudyAudit, ...]
    answers: tuple[Carried, ...]

    @property
    def is_reused(self) -> bool:
        """Whether it holds what was carried over, whole or in part, from earlier runs."""
        return self.name == REUSED


@dataclass(frozen=True)
class RunFolder:
    """What a folder holds. A part that cannot be read is None, or a shard less, and stands in ``failures``."""

    path: Path
    entries: tuple[LedgerEntry, ...] | None
    spec: RunSpec | None
    members: tuple[Member, ...] | None
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

    def audits(self) -> tuple[StudyAudit, ...] | None:
        """The rows that count, in the cohort's order; None unless there is exactly one for each study."""
        if self.members is None or self.shards is None:
            return None
        counting = {audit.study: audit for _, audit in self.counting()}
        complete = len(counting) == len(self.members) and all(member.study in counting for member in self.members)
        return tuple(counting[member.study] for member in self.members) if complete else None

    def counting(self) -> list[tuple[str, StudyAudit]]:
        """Return the rows that count with their shard: of what was carried over only studies that are whole."""
        whole = {member.study for member in self.members or () if member.shard is None}
        return [
            (shard.name, audit)
            for shard in self.shards or ()
            for audit in shard.audits
            if not shard.is_reused or audit.study in whole
        ]


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
    shards = [_read(f"shards/{file.name}", partial(_shard, file, spec), failures) for file in files]
    return tuple(shard for shard in shards if shard is not None)


def _shard(file: Path, spec: RunSpec) -> Shard:
    return Shard(f"shards/{file.name}", tuple(read_shard(file)), tuple(read_answers(file, spec.recipes)))


def _results(path: Path, failures: list[Failure]) -> Results | None:
    return _read(RESULTS_FILE, lambda: load_results(path), failures) if (path / RESULTS_FILE).exists() else None


def _experiments(path: Path, spec: RunSpec, failures: list[Failure]) -> ExperimentRows | None:
    families = tuple(spec.config.experiments.families)
    return _read("experiments", lambda: read_experiments(path, families), failures)
