"""A run held against others: the previous one of its audit and a named predecessor, each read from its folder alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from tempfile import gettempdir

from pipeline.errors import OutputError
from pipeline.evidence.columns.store import ColumnStore
from pipeline.evidence.comparison.compare import ComparisonPlan, RunComparison, compare_runs
from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.findings.carried import REUSED
from pipeline.findings.context.changes import ChangeKind, RunChange
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.results import load_results
from pipeline.findings.shards import study_names
from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, SPEC_FILE, RunSpec, read_members, read_spec
from pipeline.findings.stored_audits import StoredAudits
from pipeline.packed.texts import Texts

__all__ = [
    "change_against",
    "changes_of",
    "compare_records",
    "finished_run_in",
    "kinds_of",
    "place_beside",
    "plan_of",
    "read_records",
]

_RESULTS = "results.json"


def read_records(folder: Path) -> RunRecords:
    """Read what is compared of a finished run, each file held against its ledger.

    Raises:
        OutputError: when it is no finished run of this version, or a file is not the one that was written.
    """
    if not (folder / SPEC_FILE).exists() or not (folder / _RESULTS).exists():
        raise OutputError(f"{folder}: is not the folder of a finished run")
    spec, results = read_spec(folder), load_results(folder)
    recorded = files_told_by(folder / LEDGER_FILE)
    for name in (SPEC_FILE, COHORT_FILE, _RESULTS):
        check_file(folder, name, recorded)
    return RunRecords(results, spec.masks_recipe, _audits(folder, recorded), recorded[_RESULTS])


def _audits(folder: Path, recorded: Mapping[str, str]) -> StoredAudits:
    """Return a run's records where they lie: every file of them held against the ledger, and every study there."""
    members, studies = read_members(folder), Texts()
    for name in sorted(name for name in recorded if name.startswith("shards/")):
        check_file(folder, name, recorded)
        for study in study_names(folder / name):
            if name != REUSED or members.is_carried(study):
                studies.append(study)
    missing = [member.study for member in members if studies.find(member.study) is None]
    if missing:
        raise OutputError(f"{folder}: {len(missing)} of {len(members)} studies are in no shard, first {missing[0]}")
    return StoredAudits(folder, members)


def finished_run_in(folder: Path, but: str = "") -> Path:
    """Return a folder that is a run's, or the newest finished run in an audit's, other than the run named ``but``.

    Raises:
        OutputError: when there is none.
    """
    if (folder / SPEC_FILE).exists():
        return folder
    runs = sorted(path.parent for path in folder.glob(f"*/{_RESULTS}") if (path.parent / SPEC_FILE).exists())
    others = [run for run in runs if run.name != but]
    if not others:
        raise OutputError(f"{folder}: holds no finished run; give the folder of a run or of an audit")
    return others[-1]


def kinds_of(spec: RunSpec) -> tuple[ChangeKind, ...]:
    """Return which other runs a run is held against, in their order."""
    kinds: list[ChangeKind] = []
    kinds += ["previous"] if spec.previous_run is not None else []
    kinds += ["predecessor"] if spec.config.report.predecessor is not None else []
    return tuple(kinds)


def plan_of(spec: RunSpec, kind: ChangeKind, *, relinked: bool = False) -> ComparisonPlan:
    """Return what a run's configuration asks of a comparison."""
    change = spec.config.change
    return ComparisonPlan(
        kind=kind,
        margins=change.margins,
        locked=bool(change.margins) and not spec.lock.exploratory,
        confidence=change.confidence,
        missing_at_most=change.missing_at_most,
        relinked=relinked,
    )


def compare_records(a: RunRecords, b: RunRecords, plan: ComparisonPlan) -> RunComparison:
    """Compare two runs; of large ones the scores lie in a file without a name.

    Raises:
        OutputError: as ``compare_runs``, and when there is no room for that file.
    """
    with ColumnStore(Path(gettempdir())) as store:
        return compare_runs(a, b, plan, store.keep)


def changes_of(folder: Path, spec: RunSpec, predecessor: Path | None, own: RunRecords) -> tuple[RunChange, ...]:
    """Hold a run against the previous one of its audit and against its predecessor (an absolute path)."""
    return tuple(_changes(folder, spec, predecessor, own))


def _changes(folder: Path, spec: RunSpec, predecessor: Path | None, own: RunRecords) -> Iterator[RunChange]:
    if spec.previous_run is not None:
        yield change_against(folder.parent / spec.previous_run, spec, "previous", own)
    if predecessor is not None:
        try:
            other = finished_run_in(predecessor, but=spec.run)
        except OutputError as error:
            yield _refused("predecessor", predecessor, own, error)
        else:
            yield change_against(other, spec, "predecessor", own)


def change_against(other: Path, spec: RunSpec, kind: ChangeKind, own: RunRecords) -> RunChange:
    """Hold a run against the one of a folder; where that cannot be read or compared the change says why."""
    try:
        return compare_records(read_records(other), own, plan_of(spec, kind)).change
    except OutputError as error:
        return _refused(kind, other, own, error)


def _refused(kind: ChangeKind, other: Path, own: RunRecords, error: OutputError) -> RunChange:
    """Return a change that says why nothing was compared; where the other run lies can name people."""
    said = str(error).replace(f"{other}/", "").replace(f"{other}: ", "").replace(str(other), "the run")
    name = f"{other.parent.name}/{other.name}" if kind == "previous" else "not read"
    return RunChange(kind=kind, run_a=name, run_b=own.name, refused=said, reason=said)


def place_beside(folder: Path, change: RunChange) -> Path | None:
    """Return where the other run of a change lies beside this one, under the same ``run.output``; None: not there."""
    parts = PurePath(change.run_a).parts
    if len(parts) != 2 or ".." in parts or PurePath(change.run_a).is_absolute():
        return None
    place = folder.resolve().parent.parent / change.run_a
    return place if (place / _RESULTS).exists() else None
