"""``camaudit approve``: a person's decision as an event of the run's ledger, and the report rendered anew with it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import ValidationError

from flows.commands.persons.sign import check_person, is_own_ledger
from flows.commands.verify import verified
from pipeline.errors import ConfigError, OutputError, closest
from pipeline.files import written
from pipeline.findings.custody.ledger import Ledger, read_ledger
from pipeline.findings.custody.recorded_files import digest_of_file, record_files, recorded_files
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.results import load_results
from pipeline.findings.reviews import Review, require_review_of, review_bytes
from pipeline.findings.signed.attestation import attest
from pipeline.findings.signed.decisions import (
    DECIDED,
    DECISIONS,
    DECISIONS_FOLDER,
    SUPERSEDED,
    SUPERSEDED_FOLDER,
    RunDecision,
    read_review,
    review_heads,
    reviewed_maps,
)
from pipeline.findings.signed.signatures import SIGNED_REPORT
from pipeline.findings.spec import LEDGER_FILE
from pipeline.verify.document import REPORT_FILE
from pipeline.verify.failure import exit_code
from reports.pdf import render

__all__ = ["ApproveOptions", "approve_run", "check_decision", "record_decision"]


@dataclass(frozen=True)
class ApproveOptions:
    """What ``camaudit approve`` was told; ``review`` is a reviewer's file, None where there is none."""

    decision: str
    name: str
    role: str
    reason: str
    review: Path | None = None


def approve_run(run: Path, options: ApproveOptions) -> int:
    """Record a decision, print the report's path, and return the exit code.

    About a run that does not verify nothing is recorded: the code is then that of ``camaudit verify``.

    Raises:
        AuditError: for a mistake of the input, a review of another run, or a ledger that another site signs.
    """
    check_decision(options)
    if not (run / REPORT_FILE).is_file():
        raise OutputError(f"{run}: holds no {REPORT_FILE}; give the folder of a finished run")
    failures = verified(run, None).failures
    if failures:
        for failure in failures:
            typer.echo(f"camaudit: nothing was recorded: {failure.kind.code} {failure.sentence}", err=True)
        return exit_code(failures)
    typer.echo(record_decision(run, options))
    return 0


def check_decision(options: ApproveOptions) -> None:
    """Refuse a decision that is none, or by nobody, or without a reason.

    Raises:
        ConfigError: one line.
    """
    if options.decision not in DECISIONS:
        raise ConfigError(f"--decision: there is none {options.decision!r:.40}; {closest(options.decision, DECISIONS)}")
    check_person(options.name, options.role)
    if not options.reason.strip() or not options.reason.isprintable() or len(options.reason) > 2000:
        raise ConfigError("--reason: must be one line of 1 to 2000 printable characters")


def record_decision(run: Path, options: ApproveOptions) -> Path:
    """Record a decision about a run that holds, render its report anew, and return the report.

    The report that it was about stays in the run's folder, with the signatures that it had.

    Raises:
        AuditError: as ``approve_run``.
    """
    if not is_own_ledger(run):
        raise ConfigError(f"{run}: its ledger is signed with another site's key; decide where that key is")
    results = load_results(run)
    review = _review(run, options.review)
    content = b"" if review is None else review_bytes(review)
    name = f"{DECISIONS_FOLDER}/review-{hashlib.sha256(content).hexdigest()[:12]}.json"  # says nothing of who wrote it
    try:
        decision = RunDecision(
            decision=options.decision,  # type: ignore[arg-type]  # checked by pydantic
            run=results.run,
            report=digest_of_file(run / REPORT_FILE),
            name=options.name,
            role=options.role,
            reason=options.reason,
            review=None if review is None else name,
        )
    except ValidationError as error:
        raise ConfigError(f"--decision: {error.errors()[0]['msg'][:120]}") from None
    _tell(run, decision, {} if review is None else {name: content})
    try:
        report = render(run)
        record_files(Ledger(run / LEDGER_FILE, load_site_key()), "report.rendered", run, [report.name])
        attest(run, load_site_key())
    except OutputError as error:
        raise OutputError(
            f"the decision is recorded, its page is not: {error}; then call camaudit report RUN"
        ) from error
    return report


def _review(run: Path, path: Path | None) -> Review | None:
    """Read a reviewer's file and hold it against the run.

    Raises:
        ConfigError: when it is none, or of another run, other results or other cases.
    """
    if path is None:
        return None
    review = read_review(path, "--review")
    results = load_results(run)
    heads = review_heads(read_ledger(run / LEDGER_FILE))
    require_review_of(review, results.run, heads, reviewed_maps(results), name="--review")
    return review


def _tell(run: Path, decision: RunDecision, review: Mapping[str, bytes]) -> None:
    """Tell the ledger of a decision, with its review; the report that it is about stays, with its signed copy.

    All files are written first, so a full disk is met before anything is told; they vanish where nothing was.
    """
    number = 1 + len(list((run / SUPERSEDED_FOLDER).glob("report-[0-9]*.pdf")))
    signed = [SIGNED_REPORT] if (run / SIGNED_REPORT).is_file() else []
    superseded = {f"{SUPERSEDED_FOLDER}/{old.removesuffix('.pdf')}-{number}.pdf": old for old in (REPORT_FILE, *signed)}
    files = {**review, **{name: (run / old).read_bytes() for name, old in superseded.items()}}
    try:
        for name, content in files.items():
            with written(run / name) as file:
                file.write(content)
        ledger = Ledger(run / LEDGER_FILE, load_site_key())
        record_files(ledger, DECIDED, run, list(review), **decision.model_dump(mode="json"))
        record_files(ledger, SUPERSEDED, run, list(superseded), **({"removed": signed} if signed else {}))
    except BaseException:
        recorded = recorded_files(read_ledger(run / LEDGER_FILE))
        for name in set(files) - set(recorded):
            (run / name).unlink(missing_ok=True)
        raise
    for old in signed:
        (run / old).unlink()
