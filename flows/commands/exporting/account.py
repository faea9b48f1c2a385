"""The account of an export: every study is exported or left out with its reason, and every object sent or not."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

__all__ = ["ExportAccount", "print_account"]

_FAILED = 2


@dataclass
class ExportAccount:
    """What came of an export. ``not_analysed`` studies had nothing to export; ``refused`` ones had.

    ``parts`` are what of exported studies has no file, ``not_sent`` the objects that a server did not take.
    """

    studies: int = 0
    exported: int = 0
    files: int = 0
    sent: int = 0
    not_analysed: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)
    not_sent: list[tuple[str, str]] = field(default_factory=list)
    places: list[Path] = field(default_factory=list)

    @property
    def code(self) -> int:
        """0, or 2 where a study that was analysed, or an object, did not get where it should."""
        return _FAILED if self.refused or self.not_sent else 0


def print_account(account: ExportAccount, *, as_json: bool) -> int:
    """Print what came of an export, what failed as errors, and return the exit code."""
    if as_json:
        content = {**account.__dict__, "places": list(map(str, account.places)), "code": account.code}
        typer.echo(json.dumps(content))
        return account.code
    _print_lines("left out", account.parts)
    _print_lines("not analysed", account.not_analysed)
    _print_lines("NOT EXPORTED", account.refused, error=True)
    _print_lines("NOT SENT", _shortened(account.not_sent), error=True)
    if account.studies:
        others = f"{len(account.refused)} not exported + {len(account.not_analysed)} not analysed"
        typer.echo(f"  {account.studies} studies = {account.exported} exported + {others}; {account.files} files")
    if account.sent or account.not_sent:
        total = account.sent + len(account.not_sent)
        typer.echo(f"  {total} objects = {account.sent} stored + {len(account.not_sent)} not stored")
    for place in account.places:
        typer.echo(place)
    return account.code


def _shortened(not_sent: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Return a line for all objects where each has the same reason, as when nobody answers: ``--json`` names each."""
    if len(not_sent) > 1 and len({reason for _, reason in not_sent}) == 1:
        return [(f"{not_sent[0][0]} and {len(not_sent) - 1} more", not_sent[0][1])]
    return not_sent


def _print_lines(title: str, lines: Iterable[tuple[str, str]], *, error: bool = False) -> None:
    for name, reason in lines:
        typer.echo(f"  {title}: {name}: {reason}", err=error)
