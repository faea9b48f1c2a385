"""How a run is started from the command line, and what is said on the way."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from flows.request import AuditRequest
    from flows.server import PrefectServer, UnreachableError

__all__ = ["program_of", "start_run", "warn"]


def start_run(
    request: "AuditRequest", *, quiet: bool, server: "PrefectServer | UnreachableError | None" = None
) -> Path:
    """Run the audit of ``request`` with a progress bar and return the run's folder."""
    from flows.commands.progress import watching
    from flows.running import run_audit

    with watching(f"{request.loaded.path}: checking, hashing, locking", quiet=quiet) as watcher:
        return run_audit(request, replace(watcher, said=warn), warn, server)


def program_of(text: str | None) -> tuple[str, ...]:
    """Return the program of ``--notify`` with its arguments, as a shell would split them; no shell runs it."""
    try:
        parts = shlex.split(text or "")
    except ValueError as error:
        raise ConfigError(f"--notify: {text!r:.80} cannot be split into a program and its arguments") from error
    if parts and shutil.which(parts[0]) is None:
        raise ConfigError(f"--notify: there is no program {parts[0]!r:.80} that can be run")
    return tuple(parts)


def warn(text: str) -> None:
    """Say a line beside the output."""
    typer.echo(f"camaudit: {text}", err=True)
