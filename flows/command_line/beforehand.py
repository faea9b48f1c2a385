"""Commands before an audit: what there is, whether it will run, what is fixed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AllowMissing, AsJson, ConfigPath, Deep, Overrides, Quiet
from pipeline.errors import ArchiveError

__all__ = ["check", "link", "lock", "plan", "scan"]


def check(
    config: ConfigPath,
    overrides: Overrides = None,
    first: Annotated[
        bool, typer.Option("--first", help="Look at the first study only, not at every file of the archive.")
    ] = False,
    allow_missing: AllowMissing = False,
    as_json: AsJson = False,
) -> None:
    """Look at configuration, model, layers, methods and every study, and estimate the run; nothing is audited."""
    from pipeline.checks.config_checks import checked_config
    from pipeline.config_file import ConfigFaultsError

    try:
        loaded = checked_config(config, overrides or ())
    except ConfigFaultsError as error:
        if as_json:
            faults = [
                {"place": place, "key": ".".join(map(str, fault.key)), "message": fault.message}
                for place, fault in error.faults
            ]
            typer.echo(json.dumps({"faults": faults}))
        raise
    from flows.commands.check import check_audit

    check_audit(loaded, first_only=first, allow_missing=allow_missing, as_json=as_json)


def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    spread: Annotated[
        float | None,
        typer.Option("--spread", metavar="SD", help="Standard deviation of patients' scores, as a pilot has it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many patients each criterion needs, and what those listed could show at best; no model is loaded."""
    from flows.planning import plan_audit

    plan_audit(config, overrides or (), spread=spread, as_json=as_json)


def lock(
    config: ConfigPath,
    overrides: Overrides = None,
    open_cohort: Annotated[
        bool,
        typer.Option("--open-cohort", help="Let studies be added later (monitoring); all else stays fixed."),
    ] = False,
    amend: Annotated[
        str | None,
        typer.Option("--amend", metavar="REASON", help="Change the lock that is there, in the open; reports say why."),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option("--timestamp", metavar="URL", help="Have an authority (RFC 3161) stamp when the lock was there."),
    ] = None,
    allow_missing: AllowMissing = False,
    deep: Deep = False,
    quiet: Quiet = False,
) -> None:
    """Look at every study, then fix configuration, criteria, model and cohort before the first inference."""
    from pipeline.checks.config_checks import checked_config

    loaded = checked_config(config, overrides or ())
    from flows.commands.check import lock_audit

    choices = {"open_cohort": open_cohort, "allow_missing": allow_missing, "deep": deep}
    typer.echo(lock_audit(loaded, amend=amend, timestamp=timestamp, quiet=quiet, **choices))


def link(config: ConfigPath) -> None:
    """Write which of the archive's own names each pseudonym stands for; keep the file from others, or delete it."""
    from pipeline.runs.pseudonym_links import write_links

    typer.echo(write_links(config))


def scan(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="The folder to walk, or a DICOMweb server's URL.")],
    as_json: AsJson = False,
    write_manifest: Annotated[
        Path | None, typer.Option("--write-manifest", metavar="FILE", help="List the usable images for camaudit run.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE.parquet", help="Write the catalogue under pseudonyms.")
    ] = None,
    label_from: Annotated[
        str | None,
        typer.Option("--label-from", metavar="SOURCE", help="The manifest's labels: folder, name:REGEX or a CSV file."),
    ] = None,
    patient_from: Annotated[
        str | None,
        typer.Option(
            "--patient-from", metavar="SOURCE", help="Its patients: folder, name:REGEX, a CSV file or header."
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="FILE", help="Where the private working index lies.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 reads in this one, unguarded.")] = 2,
    layout: Annotated[
        str | None, typer.Option("--layout", metavar="NAME", help="The archive's layout, where several fit.")
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="NAME", help="List only this of a subject's images. May be repeated."),
    ] = None,
) -> None:
    """Find what is in an archive: studies by modality, usable or excluded by a reason.

    Nothing in the archive is changed. A second scan opens only what is new or changed. Of a server (https://...) only
    metadata is read, each time; CAMAUDIT_DICOMWEB_AUTHORIZATION is sent as its Authorization.
    """
    if not archive.startswith(("http://", "https://")) and not Path(archive or "?").is_dir():
        raise ArchiveError(f"ARCHIVE: must name a folder or a DICOMweb server's URL, not {archive!r}")
    from flows.commands.scan import Outputs, scan_archive, value_sources
    from pipeline.studies.listing.layouts.layout import LayoutChoice

    sources = value_sources(label_from, patient_from, write_manifest)
    outputs = Outputs(write_manifest, export, sources)
    choice = LayoutChoice(layout, tuple(modality) if modality else None)
    scan_archive(archive, as_json=as_json, outputs=outputs, index=index, workers=workers, choice=choice)
