"""A report without its folder: its attachments against each other, and the hashes that its pages print."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from pydantic import ValidationError

from pipeline.conclusions.per_study_csv import CSV_FILE
from pipeline.errors import OutputError
from pipeline.findings.results import Results
from pipeline.findings.spec import SPEC_FILE, RunSpec
from pipeline.verify.document import PrintedPages, ReportTools
from pipeline.verify.failure import Failure, FailureKind, Verification
from pipeline.verify.run_folder import RESULTS_FILE
from pipeline.verify.signatures import SignedCopy, read_signed_file, signature_failures

__all__ = ["verify_report"]

_SHORT = 12  # digits of the results' hash at the foot of each page
_UNCHECKED = (
    "the ledger and its signatures are in the run's folder: who wrote this report, and when, was not checked",
    "the pages were not rendered again, which needs the folder's pictures: of what they print only hashes were checked",
    "rows, maps, estimates and verdicts were not computed again, which needs the folder's shards",
    "images, masks and the model were not looked at",
)


def verify_report(
    path: Path,
    tools: ReportTools,
    *,
    fingerprint: str | None = None,
    signers: Sequence[x509.Certificate] = (),
) -> Verification:
    """Verify a report as far as it can be without its run's folder; what cannot be is said.

    ``fingerprint`` is that of the key that must have signed, by what the report says; ``signers`` are certificates of
    which one must stand above each signature of a person.

    Raises:
        OutputError: when there is no such file.
    """
    if not path.is_file():
        raise OutputError(f"{path}: is not there; give the folder of a run, or its report.pdf")
    try:
        report = tools.read(path)
    except OutputError:
        failures = [Failure(FailureKind.PDF_UNREADABLE, "the report is no PDF that can be read")]
        return Verification(tuple(failures), _UNCHECKED, None)
    signed = read_signed_file(path, tools, signers)
    results, failures = _results(report.files)
    failures += _signed(signed, results)
    failures += _carried(report.files, tools)
    failures += _printed(report)
    if results is not None:
        failures += _specification(report.files, results)
        failures += _table(report.files, results)
        failures += _head(report, results)
        failures += _key(results, fingerprint)
    made = results.provenance if results else None
    ordered = tuple(sorted(failures, key=lambda failure: failure.kind.code))
    head, length = (made.ledger_head, made.ledger_length) if made else (None, 0)
    key = results.lock.site_key if results else None
    persons = signed.report.signatures if signed.report else ()
    return Verification(ordered, (*_UNCHECKED, *signed.unchecked), key, head, length, persons)


def _signed(signed: SignedCopy, results: Results | None) -> Iterator[Failure]:
    if signed.fault is not None:
        yield signed.fault
    elif signed.report is not None:
        yield from signature_failures(signed.report, made=results.provenance.finished_at if results else None)
    if signed.trusts and (signed.report is None or not signed.report.signatures) and signed.fault is None:
        yield Failure(FailureKind.PDF_UNSIGNED, "the report is not signed, and --trust asks for it")


def _results(files: Mapping[str, bytes]) -> tuple[Results | None, list[Failure]]:
    try:
        return Results.model_validate_json(files.get(RESULTS_FILE, b"")), []
    except (ValidationError, RecursionError):
        return None, [_attachment(f"the report carries no {RESULTS_FILE} of this version")]


def _attachment(sentence: str) -> Failure:
    return Failure(FailureKind.PDF_ATTACHMENT, sentence)


def _carried(files: Mapping[str, bytes], tools: ReportTools) -> Iterator[Failure]:
    if missing := [name for name in tools.carried if name not in files]:
        yield _attachment(f"the report carries no {missing[0]}")
    if set(files) - set(tools.carried):
        yield _attachment("the report carries a file that is none of a run's")


def _printed(report: PrintedPages) -> Iterator[Failure]:
    """Hold the hashes that the pages print against what the report carries."""
    words = "".join(report.pages)
    for name, content in report.files.items():
        if hashlib.sha256(content).hexdigest() not in words:
            yield Failure(
                FailureKind.PDF_PAGES, f"the pages do not print the hash of the {_shown(name)} that is carried"
            )
    foot = f"ResultsSHA-256{hashlib.sha256(report.files.get(RESULTS_FILE, b'')).hexdigest()[:_SHORT]}"
    pages = [number for number, page in enumerate(report.pages, start=1) if foot not in page]
    if pages:
        sentence = f"page {pages[0]} was not printed from the {RESULTS_FILE} that is carried"
        yield Failure(FailureKind.PDF_PAGES, sentence)


def _shown(name: str) -> str:
    return name if name in (RESULTS_FILE, CSV_FILE, SPEC_FILE) else "file"


def _specification(files: Mapping[str, bytes], results: Results) -> Iterator[Failure]:
    try:
        spec = RunSpec.model_validate_json(files.get(SPEC_FILE, b""))
        report = spec.config.report
    except (ValidationError, RecursionError):
        yield _attachment(f"the report carries no {SPEC_FILE} of this version")
        return
    pairs = {
        "run": (results.run, spec.run),
        "audit": (results.audit, spec.audit),
        "lock": (results.lock, spec.lock),
        "model": (results.model.sha256, spec.model.sha256),
        "preparation": (results.preparation, spec.preparation),
        "methods": (results.methods, spec.methods),
        "metrics": (results.metrics, spec.metrics),
        "title": (results.title, report.title),
        "started_at": (results.provenance.started_at, spec.started_at),
        "number of criteria": (len(results.verdicts), len(spec.config.criteria)),
    }
    for name, (said, expected) in pairs.items():
        if said != expected:
            yield _attachment(f"{RESULTS_FILE} and {SPEC_FILE} that are carried differ: {name}")


def _table(files: Mapping[str, bytes], results: Results) -> Iterator[Failure]:
    studies = {line.split(b",", 1)[0] for line in files.get(CSV_FILE, b"").splitlines()[1:]}
    if len(studies) != results.flow.found:
        sentence = (
            f"{CSV_FILE} and {RESULTS_FILE} that are carried differ: {len(studies)} studies, {results.flow.found}"
        )
        yield _attachment(sentence)


def _key(results: Results, wanted: str | None) -> Iterator[Failure]:
    if wanted is not None and results.lock.site_key != wanted:
        sentence = f"the report says that it was signed with the key {results.lock.site_key}, not with {wanted}"
        yield Failure(FailureKind.OTHER_KEY, sentence)


def _head(report: PrintedPages, results: Results) -> Iterator[Failure]:
    head = results.provenance.ledger_head
    if head is None or head not in "".join(report.pages):
        yield Failure(FailureKind.PDF_PAGES, "the pages do not print the ledger's head of the results that are carried")
