"""Commands by which persons answer for a run."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["sign"]


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
