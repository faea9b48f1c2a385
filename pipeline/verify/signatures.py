"""Signatures of persons under a report: whether they hold, and whether the signed copy is the folder's own report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from pipeline.errors import OutputError
from pipeline.findings.signed.signatures import SIGNED_REPORT, ReportSignature, SignedReport
from pipeline.verify.document import REPORT_FILE, ReportTools
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = [
    "INSTALL_SIGN",
    "SignedCopy",
    "check_signed_copy",
    "read_signed_copy",
    "read_signed_file",
    "signature_failures",
]

INSTALL_SIGN = "pip install 'camaudit[sign]'"
_MARK = b"/ByteRange"  # every signature of a PDF says which bytes it covers
_NOBODY = (
    "who made the signatures was not checked, and anybody can make a certificate of any name: see --trust",
    "whether a certificate was withdrawn (CRL, OCSP) was not asked",
)


@dataclass(frozen=True)
class SignedCopy:
    """A signed report that was read: ``report`` is None where none is there, or none could be read.

    ``fault`` says why not, ``unchecked`` what was not looked at; ``trusts`` tells whether certificates were given.
    """

    path: Path
    report: SignedReport | None = None
    fault: Failure | None = None
    unchecked: tuple[str, ...] = ()
    trusts: bool = False


def read_signed_copy(run: RunFolder, tools: ReportTools | None, signers: Sequence[x509.Certificate]) -> SignedCopy:
    """Read the signed copy of a run's report, where there is one."""
    return read_signed_file(run.path / SIGNED_REPORT, tools, signers, named=SIGNED_REPORT)


def read_signed_file(
    path: Path, tools: ReportTools | None, signers: Sequence[x509.Certificate], *, named: str | None = None
) -> SignedCopy:
    """Read the signatures of a file, as far as what is installed can; ``named`` is how a run knows the file."""
    if not path.is_file():
        return SignedCopy(path, trusts=bool(signers))
    if tools is None or tools.signatures is None:
        if _MARK not in path.read_bytes():
            return SignedCopy(path, trusts=bool(signers))
        sentence = f"the report's signatures were not checked, which needs other packages: {INSTALL_SIGN}"
        fault = Failure(FailureKind.PDF_SIGNER, f"{sentence}; --trust asks for it", named) if signers else None
        return SignedCopy(path, None, fault, () if signers else (sentence,), bool(signers))
    try:
        report = tools.signatures(path, signers)
    except OutputError:
        what = named or "the report"
        fault = Failure(FailureKind.PDF_UNREADABLE, f"{what} is no PDF whose signatures can be read", named)
        return SignedCopy(path, None, fault, (), bool(signers))
    unchecked = () if not report.signatures else _NOBODY[1:] if signers else _NOBODY
    return SignedCopy(path, report, None, unchecked, bool(signers))


def check_signed_copy(run: RunFolder, signed: SignedCopy) -> Iterator[Failure]:
    """Yield what of the signed copy does not hold: its signatures, and that it is the folder's report and no other."""
    if not signed.path.is_file():
        if signed.trusts:
            yield Failure(FailureKind.PDF_UNSIGNED, "the report is not signed, and --trust asks for it", REPORT_FILE)
        return
    if signed.fault is not None:
        yield signed.fault
    report = run.path / REPORT_FILE
    if report.is_file():
        yield from _of_this_report(report.read_bytes(), signed)
    if signed.report is not None:
        if not signed.report.signatures:
            yield Failure(FailureKind.PDF_UNSIGNED, f"{SIGNED_REPORT} carries no signature", SIGNED_REPORT)
        made = run.results.provenance.finished_at if run.results else None
        yield from signature_failures(signed.report, SIGNED_REPORT, made=made)


def _of_this_report(report: bytes, signed: SignedCopy) -> Iterator[Failure]:
    content = signed.path.read_bytes()
    whole = signed.report is None or signed.report.unsigned == len(report)
    if not content.startswith(report) or not whole:
        sentence = f"{SIGNED_REPORT} does not begin with the {REPORT_FILE} of the folder: it is another report"
        yield Failure(FailureKind.PDF_OTHER_REPORT, sentence, SIGNED_REPORT)


def signature_failures(report: SignedReport, file: str | None = None, *, made: str | None = None) -> Iterator[Failure]:
    """Yield what of a file's signatures does not hold; ``made`` is when the run ended whose report it is."""
    for number, signature in enumerate(report.signatures, start=1):
        what = f"signature {number} ({signature.statement.meaning:.40})"
        yield from _failures(signature, what, file)
        if made is not None and _is_before(signature.statement.time, made):
            sentence = f"{what} states a time before the run ended: nobody had this report then"
            yield Failure(FailureKind.PDF_SIGNATURE, sentence, file)
    if not report.signatures:
        return
    if report.appended:
        sentence = "bytes were appended to the signed report that no signature covers"
        yield Failure(FailureKind.PDF_ADDED, sentence, file)
    if report.altered:
        yield Failure(FailureKind.PDF_ADDED, f"the signed report is more than the report: {report.altered}", file)


def _is_before(time: str, made: str) -> bool:
    """Tell whether a signature's time is earlier than its report; a minute is left to clocks that differ."""
    try:
        return datetime.fromisoformat(time) < datetime.fromisoformat(made) - timedelta(minutes=1)
    except (ValueError, TypeError):
        return False


def _failures(signature: ReportSignature, what: str, file: str | None) -> Iterator[Failure]:
    if signature.fault:
        yield Failure(FailureKind.PDF_SIGNATURE, f"{what} {signature.fault}", file)
    if signature.changed:
        yield Failure(FailureKind.PDF_ADDED, f"{what}: {signature.changed}", file)
    if signature.certificate_trust.trusted is False:
        sentence = f"{what}: its certificate {signature.certificate_trust.reason}"
        yield Failure(FailureKind.PDF_SIGNER, sentence, file)
    if signature.stamp_fault:
        yield Failure(FailureKind.PDF_TIME_STAMP, f"{what}: its time stamp {signature.stamp_fault}", file)
    elif signature.stamp_trust.trusted is False:
        sentence = f"{what}: the certificate of its time stamp {signature.stamp_trust.reason}"
        yield Failure(FailureKind.PDF_TIME_STAMP, sentence, file)
