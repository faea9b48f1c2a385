"""Whether a run would say anything that the newest one does not: else a line that refers to that one is enough.

Nothing is new where program, libraries, configuration, lock, model and every study of the archive are what they were,
and no study is to be tried again. What is compared is all that a run follows from; what cannot be compared is new.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.conclusions.other_runs import finished_run_in
from pipeline.config_file import LoadedConfig
from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.site_key import SiteKey, load_site_key
from pipeline.findings.facts import Lock
from pipeline.findings.lock import read_lock
from pipeline.findings.results import Results, load_results
from pipeline.findings.spec import COHORT_FILE, SPEC_FILE, Program, RunSpec
from pipeline.runs.locking import compare, known_looks, subject_of
from pipeline.runs.nights.night_log import NIGHTS_FILE, NOTHING_NEW
from pipeline.runs.reuse import EarlierRuns, changed_since, earlier_runs
from pipeline.runs.start import this_program
from pipeline.studies.study import PASSING
from pipeline.walk.auditor import Auditor, open_auditor
from pipeline.walk.sources import StudySource, find_sources, training_overlap

__all__ = ["note_nothing_new", "run_without_news"]

_FILES = (SPEC_FILE, COHORT_FILE, "results.json", "report.pdf")
_OF_ITS_TIME = {"register_mark"}
"""What of a lock's facts is another at each look."""


def run_without_news(loaded: LoadedConfig, *, deep: bool = False) -> Path | None:
    """Return the newest run of an audit where a new one would say the same; None where something is new.

    ``deep`` hashes every file of the archive again.

    Raises:
        AuditError: one line that says what is wrong with the model, the archive or the lock.
    """
    runs = earlier_runs(loaded.config.run.output / loaded.config.name)
    if not runs or not (runs[0] / "results.json").is_file():
        return None  # before anything heavy is done
    key = load_site_key()
    trust = EarlierRuns(key.public)
    previous = _proved(runs[0], trust)
    if previous is None or previous[0].configuration != loaded.values or _to_be_tried_again(previous[1]):
        return None
    auditor = open_auditor(loaded.config, loaded.folder)
    sources = find_sources(loaded.config, auditor.pseudonyms, deep=deep)
    lock = _lock_now(runs[0], loaded, (auditor, sources), trust, key)
    same = _is_same(previous[0], lock, loaded, auditor, sources) and _has_studies(runs[0], trust, sources)
    return runs[0] if same and not _has_other_predecessor(loaded, previous[1], runs[0]) else None


def note_nothing_new(loaded: LoadedConfig, run: Path, command: str) -> None:
    """Add to the audit's log of nights, signed as a ledger is, that nothing was new since a run.

    Raises:
        OutputError: when it cannot be written, or is not what was written before.
    """
    log = Ledger(loaded.config.run.output / loaded.config.name / NIGHTS_FILE, load_site_key())
    log.append(NOTHING_NEW, run=run.name, command=command)


def _proved(run: Path, trust: EarlierRuns) -> tuple[RunSpec, Results] | None:
    """Return what a run says of itself, where its files are those of its ledger and this version can read them."""
    spec = trust.specification(run)
    if spec is None or not all(trust.holds(run, name) for name in _FILES):
        return None
    try:
        return spec, load_results(run)
    except OutputError:
        return None


def _to_be_tried_again(results: Results) -> bool:
    """Tell whether a study or a mask failed for a reason that another try may not meet."""
    masks = (fault.reason for faults in results.mask_faults.values() for fault in faults)
    refused = (fault.reason for audit in results.not_analysed for fault in audit.mask_faults)
    return bool(results.flow.failed) or any(reason in PASSING for reason in (*masks, *refused))


def _lock_now(
    run: Path, loaded: LoadedConfig, now: tuple[Auditor, Sequence[StudySource]], trust: EarlierRuns, key: SiteKey
) -> Lock:
    """Hold what there is now against the lock, the register and the newest run."""
    (auditor, sources), locked = now, read_lock(loaded.path)
    subject = subject_of(loaded.config, auditor.loaded, sources)
    since = changed_since([run], trust, locked, subject.studies)
    return compare(locked, subject, key, known_looks(locked), since)


def _is_same(spec: RunSpec, lock: Lock, loaded: LoadedConfig, auditor: Auditor, sources: Sequence[StudySource]) -> bool:
    model = auditor.loaded
    return (
        spec.measured is None
        and _program(spec.program) == _program(this_program(auditor.device))
        and _lock(spec.lock) == _lock(lock)
        and (spec.model.sha256, spec.model.code_sha256) == (model.sha256, model.code_sha256)
        and spec.metrics == tuple(metric.facts for metric in auditor.metrics.values())
        and spec.training == training_overlap(loaded.config, sources)
    )


def _has_studies(run: Path, trust: EarlierRuns, sources: Sequence[StudySource]) -> bool:
    """Tell whether a run had these studies, and no others, in their order."""
    members = trust.members(run)
    if members is None or len(members) != len(sources):
        return False
    return all(
        (member.study, member.patient, member.source_sha256) == (source.study, source.patient, source.sha256)
        for member, source in zip(members, sources, strict=True)
    )


def _program(program: Program) -> Program:
    return program.model_copy(update={"revision": None})  # the digest of what makes a number counts


def _lock(lock: Lock) -> Lock:
    return lock.model_copy(update=dict.fromkeys(_OF_ITS_TIME))


def _has_other_predecessor(loaded: LoadedConfig, results: Results, run: Path) -> bool:
    """Tell whether the run that is to be held against is not the one that was."""
    predecessor = loaded.config.report.predecessor
    if predecessor is None:
        return False
    held = [change.run_a.rpartition("/")[2] for change in results.changes if change.kind == "predecessor"]
    try:
        return held != [finished_run_in(predecessor, but=run.name).name]
    except OutputError:
        return True
