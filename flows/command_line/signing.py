"""Commands by which persons answer for a run."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ConfigError

__all__ = ["approve", "sign"]


def sign(
    path: Annotated[Path, typer.Argument(metavar="RUN|REPORT.PDF", help="A run's folder, or a report.")],
    key: Annotated[
        str, typer.Option("--key", metavar="FILE|URI", help="Key and certificate: .p12, .pem, or pkcs11:...")
    ],
    role: Annotated[str, typer.Option("--role", help="As what you sign, such as 'medical physicist'.")],
    meaning: Annotated[str, typer.Option("--meaning", help="authorship, review or approval.")],
    name: Annotated[str | None, typer.Option("--name", help="Your name; else that in the certificate.")] = None,
    timestamp_url: Annotated[
        str | None, typer.Option("--timestamp-url", metavar="URL", help="Ask this authority for a time stamp.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the signed PDF.")] = None,
) -> None:
    """Sign a report in the box of the meaning on its first page (PAdES); a further signature covers the earlier ones.

    A password is asked for, or read from CAMAUDIT_SIGN_PASSWORD. What does not verify is not signed; the exit code is
    then that of camaudit verify.
    """
    from flows.commands.persons.sign import SignOptions, sign_document

    code = sign_document(SignOptions(path, key, name, role, meaning, timestamp_url, output))
    if code:
        raise typer.Exit(code)


def approve(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    decision: Annotated[str | None, typer.Option("--decision", help="approve, reject or needs-review.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Your name, as the report prints it.")] = None,
    role: Annotated[str | None, typer.Option("--role", help="As what you decide, such as radiologist.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, in one line; no names of patients.")] = None,
    review: Annotated[
        Path | None, typer.Option("--review", metavar="FILE.json", help="A reviewer's file, as the viewer writes it.")
    ] = None,
    form: Annotated[
        bool, typer.Option("--form", help="Wait for the decision in Prefect's form instead (PREFECT_API_URL).")
    ] = False,
) -> None:
    """Record a person's decision about a run in its ledger, and render the report with it; the earlier one is kept.

    A run that does not verify is not decided about; the exit code is then that of camaudit verify.
    """
    from flows.commands.persons.approve import ApproveOptions, approve_run

    if form:
        from flows.commands.persons.approving import ask_for_decision

        code = ask_for_decision(run)
    else:
        code = approve_run(run, ApproveOptions(*_needed(decision, name, role, reason), review))
    if code:
        raise typer.Exit(code)


def _needed(*values: str | None) -> tuple[str, str, str, str]:
    names = ("--decision", "--name", "--role", "--reason")
    missing = next((option for option, value in zip(names, values, strict=True) if value is None), None)
    if missing is not None:
        raise ConfigError(f"{missing}: is missing; a decision needs {', '.join(names)}, or --form")
    decision, name, role, reason = map(str, values)
    return decision, name, role, reason
