"""``camaudit qualify``: known cases on this machine, written down, and signed by the site, and by a person if asked."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from flows.commands.persons.sign import opened_author, sign_pages
from flows.qualification.documents import document_cases
from flows.qualification.geometry import geometry_cases
from flows.qualification.installation import installation
from flows.qualification.ledgers import ledger_cases
from flows.qualification.maps import map_cases
from flows.qualification.rules import rule_cases
from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.signed.attestation import sealed_statement
from pipeline.findings.signed.qualification import KnownCase, Qualification
from pipeline.findings.spec import require_outside_runs
from reports.qualification import render_qualification
from reports.signing.credentials import Credentials

__all__ = ["QualifyOptions", "qualified", "qualify_installation"]

_JSON, _PAGES, _SEAL = "qualification.json", "qualification.pdf", "qualification-attestation.json"
_PREDICATE = "https://github.com/camaudit/camaudit/blob/main/docs/signing.md#qualification-v1"


@dataclass(frozen=True)
class QualifyOptions:
    """Where the files go, whether the cases are printed as JSON, and the key of a person who signs, as what."""

    folder: Path
    as_json: bool = False
    key: str | None = None
    role: str = "operator"


def qualified() -> Qualification:
    """Try every known case on this machine and return what came out."""
    started = _now()
    parts: Iterable[KnownCase] = chain(map_cases(), geometry_cases(), rule_cases(), ledger_cases(), document_cases())
    cases = tuple(parts)
    key = load_site_key().fingerprint
    return Qualification(started_at=started, finished_at=_now(), site_key=key, installation=installation(), cases=cases)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def qualify_installation(options: QualifyOptions) -> int:
    """Write a qualification's JSON, pages and signed statement, print what differs, and return 1 where anything does.

    Raises:
        AuditError: when the folder cannot be written, or the key cannot sign.
    """
    with nullcontext() if options.key is None else opened_author(options.key, options.role) as author:
        _require_folder(options.folder)
        return _written(options, author)


def _require_folder(folder: Path) -> None:
    require_outside_runs(folder, "--folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"--folder: {folder} cannot be written: {error.strerror}; name another folder") from error


def _written(options: QualifyOptions, author: Credentials | None) -> int:
    outcome = qualified()
    content = (outcome.model_dump_json(indent=1) + "\n").encode()
    with written(options.folder / _JSON) as file:
        file.write(content)
    pages = render_qualification(outcome, {_JSON: content}, options.folder / _PAGES)
    subjects = {_JSON: content, _PAGES: pages.read_bytes()}
    with written(options.folder / _SEAL) as file:
        file.write(_sealed(outcome, subjects))
    if author is not None:
        sign_pages(pages, author, options.role)
    if options.as_json:
        typer.echo(json.dumps({**outcome.model_dump(exclude={"installation"}), "folder": str(options.folder)}))
    else:
        _print(outcome, pages)
    return 1 if outcome.differences else 0


def _sealed(outcome: Qualification, subjects: dict[str, bytes]) -> bytes:
    key = load_site_key()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in subjects.items()}
    predicate = {
        "cases": len(outcome.cases),
        "differences": [case.key for case in outcome.differences],
        "camaudit": outcome.installation.camaudit,
        "program": outcome.installation.program,
        "public_key": key.public,
        "finished_at": outcome.finished_at,
    }
    return sealed_statement(hashes, _PREDICATE, predicate, key)


def _print(outcome: Qualification, pages: Path) -> None:
    for case in outcome.differences:
        typer.echo(f"  DIFFERS {case.key}: {case.what}: expected {case.expected}, found {case.measured}")
    agree = len(outcome.cases) - len(outcome.differences)
    typer.echo(f"{agree} of {len(outcome.cases)} known cases as expected")
    typer.echo(pages)
