"""A whole verification: every check in its order, what could not be checked, and who signed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cryptography import x509

from pipeline.findings.custody.site_key import fingerprint_of
from pipeline.findings.spec import LEDGER_FILE, SOURCES_FILE
from pipeline.verify.attestation import check_attestation
from pipeline.verify.conclusions import (
    changes_unchecked,
    check_changes,
    check_equivalent,
    check_pictures,
    check_results,
    check_table,
)
from pipeline.verify.decisions import check_decisions
from pipeline.verify.document import REPORT_FILE, ReportTools, check_report
from pipeline.verify.events import check_events, check_finished, check_provenance
from pipeline.verify.failure import Failure, FailureKind, Verification
from pipeline.verify.files import check_files
from pipeline.verify.lock import check_lock, check_time_stamp, time_stamp_unchecked
from pipeline.verify.maps import check_maps
from pipeline.verify.register import check_register, register_unchecked
from pipeline.verify.rows import (
    check_arrival,
    check_members,
    check_recipes,
    check_roles,
    check_specification,
    check_tuning,
)
from pipeline.verify.run_folder import RunFolder, open_run_folder
from pipeline.verify.signatures import check_signed_copy, read_signed_copy

__all__ = ["UNSEEN", "check_fingerprint", "verify_run"]

UNSEEN = "images, masks and the model were not looked at"
"""What a verification without the archive leaves open."""

Check = Callable[[RunFolder], Iterable[Failure]]

_CHECKS: tuple[tuple[Check, FailureKind], ...] = (
    (check_events, FailureKind.EVENTS),
    (check_finished, FailureKind.UNFINISHED),
    (check_files, FailureKind.UNREADABLE),
    (check_specification, FailureKind.SPECIFICATION),
    (check_members, FailureKind.MEMBERS),
    (check_arrival, FailureKind.MEMBERS),
    (check_recipes, FailureKind.RECIPE),
    (check_roles, FailureKind.TARGET_ROLE),
    (check_tuning, FailureKind.RESULTS),
    (check_maps, FailureKind.MAP),
    (check_results, FailureKind.RESULTS),
    (check_changes, FailureKind.RESULTS),
    (check_table, FailureKind.TABLE),
    (check_equivalent, FailureKind.EQUIVALENT),
    (check_pictures, FailureKind.PICTURES),
    (check_provenance, FailureKind.PROVENANCE),
    (check_decisions, FailureKind.DECISION),
    (check_lock, FailureKind.LOCK),
    (check_register, FailureKind.REGISTER),
    (check_attestation, FailureKind.ATTESTATION),
)
"""Each with the kind that a record is of which breaks the check itself."""


def verify_run(
    path: Path,
    tools: ReportTools | None = None,
    *,
    fingerprint: str | None = None,
    trusted: Sequence[x509.Certificate] = (),
    signers: Sequence[x509.Certificate] = (),
) -> Verification:
    """Verify a run's folder.

    ``fingerprint`` is that of the key that must have signed; without it, any key that signed all of the ledger.
    ``trusted`` are authorities of which one must have stamped the lock, ``signers`` certificates of which one must
    stand above each signature of the report. Without ``tools`` the report is only held against its hash.

    Raises:
        OutputError: when it is no run's folder at all.
    """
    run = open_run_folder(path)
    failures = [*run.failures, *check_fingerprint(run.public, fingerprint)]
    checks: list[tuple[Check, FailureKind]] = [
        *_CHECKS,
        (partial(check_time_stamp, trusted=trusted), FailureKind.TIME_STAMP),
    ]
    if tools is not None:
        checks.append((partial(check_report, tools=tools), FailureKind.PDF_UNREADABLE))
    signed = read_signed_copy(run, tools, signers)
    checks.append((partial(check_signed_copy, signed=signed), FailureKind.PDF_SIGNATURE))
    for check, kind in checks:
        failures += _guarded(check, run, kind, sound=not failures)
    ordered = sorted(dict.fromkeys(failures), key=lambda failure: failure.kind.code)
    entries = run.entries or ()
    return Verification(
        tuple(ordered),
        (*_unchecked(run, trusted), *signed.unchecked),
        fingerprint_of(run.public) if run.public else None,
        entries[-1].hash if entries else None,
        len(entries),
        signed.report.signatures if signed.report else (),
    )


def _guarded(check: Check, run: RunFolder, kind: FailureKind, *, sound: bool) -> list[Failure]:
    """Run a check; where the record is known not to hold, one that breaks on it is a failure and no fault of ours."""
    try:
        return list(check(run))
    except Exception:
        if sound:
            raise
        return [Failure(kind, f"what is recorded cannot be checked further: {kind.meaning}, or worse")]


def check_fingerprint(public: str | None, wanted: str | None) -> Iterator[Failure]:
    """Yield whether another key signed than the wanted one."""
    if wanted is not None and public is not None and fingerprint_of(public) != wanted:
        sentence = f"signed with the key {fingerprint_of(public)}, not with {wanted}"
        yield Failure(FailureKind.OTHER_KEY, sentence, LEDGER_FILE)


def _unchecked(run: RunFolder, trusted: Sequence[x509.Certificate]) -> Iterator[str]:
    if run.entries is None:
        yield "no file could be held against its hash, because the ledger itself does not hold"
    if not (run.path / SOURCES_FILE).exists():
        yield f"{SOURCES_FILE} is not here, as in a folder that was handed on: where the studies lie is not known"
    if not (run.path / REPORT_FILE).exists() and REPORT_FILE not in run.recorded:
        yield "no report was rendered"
    missing: Sequence[str] = [
        name
        for name, part in (("run.json", run.spec), ("cohort.json", run.members), ("results.json", run.results))
        if part is None
    ]
    if missing:
        yield f"what needs {', '.join(missing)} was not checked"
    elif run.records is None:
        yield "the conclusions were not computed again, because the rows are not those of the cohort"
    yield from changes_unchecked(run)
    for sentence in (register_unchecked(run), time_stamp_unchecked(run, trusted)):
        if sentence is not None:
            yield sentence
    yield f"{UNSEEN}: see --deep and --recompute"
