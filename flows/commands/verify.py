"""``camaudit verify``: what of a run or a report does not hold, in a sentence each, with an exit code for each kind."""

import importlib.util
import json
from dataclasses import asdict, replace
from pathlib import Path

import typer

from pipeline.errors import ConfigError
from pipeline.faults import own_faults
from pipeline.findings.custody.never_began import NOT_BEGUN, never_began
from pipeline.findings.custody.site_key import fingerprint_given, site_fingerprint
from pipeline.findings.custody.time_stamp import read_authorities
from pipeline.findings.signed.attestation import ATTESTATION_FILE
from pipeline.findings.signed.signatures import ReportSignature
from pipeline.findings.spec import SPEC_FILE
from pipeline.verify.document import REPORT_FILE, ReportTools
from pipeline.verify.failure import Failure, FailureKind, Verification, exit_code
from pipeline.verify.report_alone import verify_report
from reports.page.read_back import read_report
from reports.pdf import CARRIED, render
from reports.signing.signatures import read_signatures

__all__ = ["alterations", "print_verification", "verified", "verified_with_archive"]


def _tools() -> ReportTools:
    """Return what reads a report; without pyHanko its signatures are not read, which is said."""
    installed = importlib.util.find_spec("pyhanko") is not None
    return ReportTools(read_report, render, CARRIED, read_signatures if installed else None)


def verified(
    path: Path, key: str | None, trust_authority: Path | None = None, trust: Path | None = None
) -> Verification:
    """Verify the folder of a run, or a report that lies alone.

    ``trust_authority`` is a file with certificates, of which one must be above the lock's time stamp, ``trust`` one
    with certificates of which one must be above each signature of the report.

    Raises:
        AuditError: when the path is neither, ``key`` no fingerprint, or ``trust_authority`` without a certificate.
    """
    fingerprint = None if key is None else fingerprint_given(key)
    trusted = () if trust_authority is None else read_authorities(trust_authority)
    signers = () if trust is None else read_authorities(trust, "--trust")
    if path.is_dir():
        if (path / SPEC_FILE).exists() and never_began(path):
            return Verification((Failure(FailureKind.UNFINISHED, f"the run {NOT_BEGUN}"),), (), None)
        from pipeline.verify.verify import verify_run  # all that conclusions are drawn with: a report alone needs none

        return verify_run(path, _tools(), fingerprint=fingerprint, trusted=trusted, signers=signers)
    if trusted:
        raise ConfigError("--trust-authority: needs the folder of a run, not a report: the time stamp lies there")
    return verify_report(path, _tools(), fingerprint=fingerprint, signers=signers)


def verified_with_archive(
    path: Path,
    key: str | None,
    trust_authority: Path | None = None,
    trust: Path | None = None,
    *,
    deep: bool,
    recompute: int,
) -> Verification:
    """Verify a run's folder, then hold it against its archive (``deep``) and its model (``recompute`` studies).

    A folder that does not hold by itself is not held against anything else.

    Raises:
        AuditError: when the path is no run's folder, or its studies or its model are not here.
    """
    if not path.is_dir():
        raise ConfigError("--deep, --recompute: need the folder of a run, not a report")
    verification = verified(path, key, trust_authority, trust)
    if verification.failures:
        return replace(
            verification, unchecked=(*verification.unchecked, "--deep and --recompute: the run does not hold")
        )
    from pipeline.runs.verify_archive import audit_anew, check_archive  # torch and MONAI
    from pipeline.verify.maps import check_volumes
    from pipeline.verify.run_folder import open_run_folder
    from pipeline.verify.verify import UNSEEN

    with own_faults():
        failures = [*check_volumes(open_run_folder(path))]
        failures += [*(check_archive(path) if deep else ()), *(audit_anew(path, recompute) if recompute else ())]
    unchecked = tuple(sentence for sentence in verification.unchecked if not sentence.startswith(UNSEEN))
    unchecked += () if deep else ("images and masks were not looked at: see --deep",)
    unchecked += () if recompute else ("the model was not asked: see --recompute",)
    return replace(verification, failures=tuple(failures), unchecked=unchecked)


def alterations(run: Path) -> tuple[Failure, ...]:
    """Return what of a run's folder does not hold apart from what is made again with the report.

    That is the report itself, and an attestation of which the ledger was never told.

    Raises:
        OutputError: when it is no run's folder.
    """
    from pipeline.verify.verify import verify_run

    untold = ATTESTATION_FILE, FailureKind.FILE_UNKNOWN
    failures = verify_run(run).failures
    return tuple(each for each in failures if each.file != REPORT_FILE and (each.file, each.kind) != untold)


def print_verification(path: Path, verification: Verification, *, as_json: bool) -> int:
    """Print what was found and return the exit code."""
    code = exit_code(verification.failures)
    if as_json:
        typer.echo(json.dumps(_as_json(path, verification)))
        return code
    for failure in verification.failures:
        name = "" if failure.file is None or failure.file in failure.sentence else f" ({failure.file!a})"
        typer.echo(f"  FAILED {failure.kind.code} {failure.kind.label}: {failure.sentence}{name}")
    for sentence in verification.unchecked:
        typer.echo(f"  not checked: {sentence}")
    for signature in verification.signatures:
        typer.echo(f"  signed: {_signature_line(signature)}")
    if verification.fingerprint is not None:
        typer.echo(f"  key: {verification.fingerprint}, {_owner(verification.fingerprint)}")
    if verification.head is not None:
        typer.echo(f"  ledger: {verification.length} entries, head {verification.head}")
    many = len(verification.failures)
    if many:
        typer.echo(f"{path}: does NOT hold: {many} failure{'s' if many > 1 else ''}")
    elif path.is_dir():
        typer.echo(f"{path}: sound")
    else:
        typer.echo(f"{path}: nothing is wrong in what could be checked without the run's folder")
    return code


def _signature_line(signature: ReportSignature) -> str:
    """Return who signed what for, when, and what of it is known to hold; other people's words are escaped."""
    said = signature.statement
    holds = not (signature.fault or signature.changed)
    role = f" ({_printable(said.role)})" if said.role else ""
    stamp = f"; time stamp {signature.stamped_at} by {_printable(signature.stamp_authority)}"
    parts = (
        f"{_printable(said.meaning)} by {_printable(said.name)}{role}, {said.time or 'at no time'}",
        f"; certificate of {_printable(signature.certificate)}, {_TRUSTED[signature.certificate_trust.trusted]}",
        f"{stamp}, {_TRUSTED[signature.stamp_trust.trusted]}" if signature.stamped_at else "; the signer's own clock",
        "" if holds else "; DOES NOT HOLD",
    )
    return "".join(parts)


_TRUSTED = {True: "trusted", False: "NOT trusted", None: "trust not checked"}


def _printable(words: str) -> str:
    return ascii(words[:200])[1:-1] if not words.isprintable() else words[:200]


def _owner(fingerprint: str) -> str:
    own = site_fingerprint()
    if own is None:
        return "which nothing here is known of: this site has no key of its own"
    return "this site's own" if own == fingerprint else "which is NOT this site's own: hold it against the signer's"


def _as_json(path: Path, verification: Verification) -> dict[str, object]:
    fingerprint = verification.fingerprint
    return {
        "path": str(path),
        "sound": not verification.failures,
        "code": exit_code(verification.failures),
        "failures": [
            {
                "code": failure.kind.code,
                "kind": failure.kind.label,
                "file": failure.file,
                "sentence": failure.sentence,
            }
            for failure in verification.failures
        ],
        "not_checked": list(verification.unchecked),
        "key": None if fingerprint is None else {"fingerprint": fingerprint, "own": fingerprint == site_fingerprint()},
        "signatures": [asdict(signature) for signature in verification.signatures],
        "ledger": {"head": verification.head, "length": verification.length},
    }
