"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.outcome import OUTCOMES

__all__ = ["AllowMissing", "AsJson", "AuditFolder", "ConfigPath", "Deep", "FailOn", "Notify", "Overrides", "Quiet"]

ConfigPath = Annotated[Path, typer.Argument(metavar="AUDIT.YAML", help="The audit's configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, and only the result's path.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set run.seed=3. May be repeated."),
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Go on although studies or masks are missing or cannot be used.")
]
FailOn = Annotated[
    str, typer.Option("--fail-on", metavar="LIST", help=f"End with exit code 1 on any of: {', '.join(OUTCOMES)}.")
]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify", metavar="PROGRAM", help="Give it, as JSON, what somebody has to hear of: NOT MET, drift, failures."
    ),
]
Deep = Annotated[bool, typer.Option("--deep", help="Hash every file again, also those that look unchanged.")]
AuditFolder = Annotated[Path, typer.Argument(metavar="AUDIT_FOLDER", help="The folder of an audit's runs: runs/NAME.")]
