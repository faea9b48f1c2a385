"""``camaudit init``: a first ``audit.yaml`` from archive and model, tried on the first study."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer

from flows.commands.check import check_audit
from flows.commands.scan import Outputs, scan_and_write
from flows.drafting.archive_draft import draft_archive
from flows.drafting.config_text import Draft, config_text, next_steps
from flows.drafting.model_draft import draft_model, look_at_model, source_of
from flows.drafting.profiles import PROFILES
from pipeline.checks.config_checks import checked_config
from pipeline.errors import AuditError, ConfigError, OutputError, closest
from pipeline.files import written

__all__ = ["InitOptions", "init_audit", "stated_labels"]


@dataclass(frozen=True)
class InitOptions:
    """What ``camaudit init`` is asked: the model, the profile, the labels where the user states them, the file."""

    model: str
    weights: Path | None
    profile: str
    labels: tuple[str, ...]
    output: Path


def init_audit(archive: Path, options: InitOptions) -> None:
    """Write ``audit.yaml``, and a manifest where the archive has none, and try them on the first study.

    Raises:
        AuditError: one line. Nothing is written over; a file that cannot be run yet stays, and the line says why.
    """
    if options.profile not in PROFILES:
        raise ConfigError(f"--profile: there is no {options.profile!r}; {closest(options.profile, tuple(PROFILES))}")
    manifest = options.output.with_name(f"{options.output.stem}-manifest.csv")
    for path in (options.output, manifest):
        _refuse_existing(path)
    draft = _drafted(archive, manifest, options)
    _write_new(options.output, config_text(draft))
    for path in [options.output, *([manifest] if draft.archive.written else [])]:
        typer.echo(f"written: {path}")
    try:
        check_audit(checked_config(options.output), first_only=True, allow_missing=True, as_json=False)
    except AuditError as error:
        raise ConfigError(f"{options.output}: is written, but cannot be run yet: {error}") from error
    typer.echo("next, after a look at what is marked GUESS:")
    for step in next_steps(draft):
        typer.echo(f"  {step}")


def _drafted(archive: Path, manifest: Path, options: InitOptions) -> Draft:
    source = source_of(options.model, options.weights)
    look = look_at_model(source, options.output.resolve().parent)  # before a scan, which may take long
    listed = draft_archive(archive, manifest, partial(_scan, archive))
    profile = PROFILES[options.profile]
    if profile.needs_reference and not (listed.has_labels or listed.has_masks):
        typer.echo(
            f"camaudit: the archive states no labels and holds no masks, which the profile {profile.name} asks for; "
            "add them to the manifest, or use --profile shadow",
            err=True,
        )
    return Draft(
        options.output, profile, listed, source, draft_model(source, look, options.labels, tuple(listed.labels))
    )


def _scan(archive: Path, manifest: Path) -> None:
    scan_and_write(os.fspath(archive), Outputs(manifest, None))


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path}: is there already and is not written over; name another file with --output")


def _write_new(path: Path, text: str) -> None:
    with written(path) as file:
        file.write(text.encode())


def stated_labels(text: str | None) -> tuple[str, ...]:
    """Return the labels of ``--labels``: names with commas between them."""
    names: Sequence[str] = [] if text is None else [name.strip() for name in text.split(",")]
    return tuple(name for name in names if name)
