"""``camaudit sign``: a person's signature under a report that holds; of a run, its ledger is told."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer

from flows.commands.verify import verified
from pipeline.errors import ConfigError, OutputError, closest
from pipeline.extras import advised
from pipeline.findings.custody.ledger import Ledger, public_key, read_ledger
from pipeline.findings.custody.recorded_files import digest_of_file, record_files
from pipeline.findings.custody.site_key import fingerprint_of, load_site_key, site_fingerprint
from pipeline.findings.custody.time_stamp import Authority, open_authority
from pipeline.findings.signed.signatures import MEANINGS, SIGNED_REPORT, Statement
from pipeline.findings.spec import LEDGER_FILE, require_outside_runs
from pipeline.verify.document import REPORT_FILE
from pipeline.verify.failure import exit_code
from reports.signing.credentials import PASSWORD_VARIABLE, Credentials, opened_credentials
from reports.signing.sign import require_signing, sign_report, stamper

__all__ = ["SignOptions", "check_person", "is_own_ledger", "opened_author", "sign_document", "sign_pages"]

_LONGEST = 120
_SIGNED = "-signed"


@dataclass(frozen=True)
class SignOptions:
    """What ``camaudit sign`` was asked for; ``name`` None is the certificate's."""

    path: Path
    key: str
    name: str | None
    role: str
    meaning: str
    timestamp: str | None = None
    output: Path | None = None


def sign_document(options: SignOptions) -> int:
    """Sign a run's report or a report alone, print the signed file's path last, and return the exit code.

    What does not verify is not signed: the code is then that of ``camaudit verify``.

    Raises:
        AuditError: for a mistake of the input, or when the file cannot be written.
    """
    with advised("camaudit sign"):
        require_signing()
    _check_words(options)
    authority = None if options.timestamp is None else _authority(options.timestamp)
    options = _of_the_run(options)
    source, target = _files(options)
    with advised("--key"), opened_credentials(options.key, _password) as credentials:
        credentials.check()
        statement = _statement(options, credentials)
        failures = verified(options.path, None).failures
        if not failures:
            stamps = None if authority is None else stamper(authority)
            sign_report(source, target, credentials, statement, stamps)
            _tell(options.path, target, statement, credentials)
    for failure in failures:
        typer.echo(f"camaudit: not signed: {failure.kind.code} {failure.sentence}", err=True)
    if not failures:
        typer.echo(target)
    return exit_code(failures)


@contextmanager
def opened_author(key: str, role: str) -> Iterator[Credentials]:
    """Yield the credentials of whoever ``--sign`` names, once they are known to be fit.

    Raises:
        ConfigError: for a key that cannot sign, or a role that no page shows.
    """
    try:
        with advised("--sign"):
            require_signing()
            check_person("of the certificate", role)
            with opened_credentials(key, _password) as credentials:
                credentials.check()
                yield credentials
    except ConfigError as error:
        raise ConfigError(str(error).replace("--key:", "--sign:", 1)) from error


def sign_pages(pages: Path, credentials: Credentials, role: str) -> Path:
    """Sign pages that are no report as their author, and return the signed copy beside them.

    Raises:
        OutputError: when the file cannot be written.
    """
    target = pages.with_name(f"{pages.stem}{_SIGNED}.pdf")
    options = SignOptions(pages, "", None, role, "authorship")
    sign_report(pages, target, credentials, _statement(options, credentials))
    return target


def _check_words(options: SignOptions) -> None:
    if options.meaning not in MEANINGS:
        raise ConfigError(f"--meaning: there is none {options.meaning!r:.40}; {closest(options.meaning, MEANINGS)}")
    check_person(options.name or "of the certificate", options.role)


def check_person(name: str, role: str) -> None:
    """Refuse a name or a role that cannot be printed as it is.

    Raises:
        ConfigError: when one is empty, longer than a line, or holds what no page shows.
    """
    for option, words in (("--name", name), ("--role", role)):
        if not words.strip() or len(words) > _LONGEST or not words.isprintable() or ";" in words:
            raise ConfigError(
                f"{option}: must be 1 to {_LONGEST} printable characters without ';', not {ascii(words)[:60]}"
            )


def _authority(url: str) -> Authority:
    return replace(
        open_authority(url, "--timestamp-url"),
        undone="nothing was signed; try again, name another, or sign without --timestamp-url",
    )


def _of_the_run(options: SignOptions) -> SignOptions:
    """Take the report in a run's folder as the run: its ledger is to be told.

    Raises:
        OutputError: when the signed report is to lie in a run's folder under a name that is not its own there.
    """
    path, output = options.path, options.output
    if path.name in (REPORT_FILE, SIGNED_REPORT) and (path.parent / LEDGER_FILE).is_file():
        path = path.parent
    if output is not None and output.resolve() != (path / SIGNED_REPORT).resolve():
        require_outside_runs(output, "--output")
    return replace(options, path=path)


def _files(options: SignOptions) -> tuple[Path, Path]:
    """Return what is signed and where the signed file goes: a further signature goes behind those that are there."""
    path = options.path
    if path.is_dir():
        signed = path / SIGNED_REPORT
        source = signed if signed.is_file() else path / REPORT_FILE
        if not source.is_file():
            raise OutputError(
                f"{path}: holds no {REPORT_FILE}; give the folder of a run (camaudit report renders it again)"
            )
        return source, options.output or signed
    target = path if path.stem.endswith(_SIGNED) else path.with_name(f"{path.stem}{_SIGNED}.pdf")
    return (target if target.is_file() and options.output is None else path), options.output or target


def _password() -> bytes:
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return given.encode()
    if not sys.stdin.isatty():
        raise ConfigError(f"--key: needs a password; set {PASSWORD_VARIABLE}, or call it in a terminal that can ask")
    return str(typer.prompt("Password of the key", hide_input=True, err=True)).encode()


def _statement(options: SignOptions, credentials: Credentials) -> Statement:
    name = options.name or credentials.name
    check_person(name, options.role)
    if name != credentials.name:
        typer.echo(f"camaudit: the certificate is that of {credentials.name!a}; the page prints both names", err=True)
    time = datetime.now(UTC).replace(microsecond=0).isoformat()
    return Statement(name, options.role, options.meaning, time)


def is_own_ledger(run: Path) -> bool:
    """Tell whether this site's key signs a run's ledger."""
    return site_fingerprint() == fingerprint_of(public_key(read_ledger(run / LEDGER_FILE)))


def _tell(run: Path, target: Path, statement: Statement, credentials: Credentials) -> None:
    """Tell a run's ledger of the signature, where this site's key is the ledger's and the file is the run's."""
    if not run.is_dir() or target != run / SIGNED_REPORT:
        return
    if not is_own_ledger(run):
        typer.echo("camaudit: the run's ledger was not told: another site's key signs it", err=True)
        return
    facts = {**vars(statement), "certificate": credentials.name, "report": digest_of_file(run / REPORT_FILE)}
    record_files(Ledger(run / LEDGER_FILE, load_site_key()), "report.signed", run, [SIGNED_REPORT], **facts)
