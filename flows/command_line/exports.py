"""The command that takes findings out: into a PACS, into research tools, into registries."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AsJson
from pipeline.errors import OutputError

__all__ = ["export"]

_FOLDER = "DIR"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    dicom: Annotated[
        Path | None,
        typer.Option(
            "--dicom", metavar=_FOLDER, help="DICOM objects: report, segmentations, maps, scores, key images."
        ),
    ] = None,
    nifti: Annotated[
        Path | None, typer.Option("--nifti", metavar=_FOLDER, help="Maps, regions and masks on the image's own grid.")
    ] = None,
    nrrd: Annotated[Path | None, typer.Option("--nrrd", metavar=_FOLDER, help="The same as NRRD.")] = None,
    bids: Annotated[
        Path | None, typer.Option("--bids", metavar=_FOLDER, help="The same as a BIDS derivative dataset.")
    ] = None,
    ro_crate: Annotated[
        Path | None, typer.Option("--ro-crate", metavar=_FOLDER, help="The run's public files with their provenance.")
    ] = None,
    model_card: Annotated[
        Path | None, typer.Option("--model-card", metavar="FILE.md", help="A model card, and its fields as JSON.")
    ] = None,
    assess_ai: Annotated[
        Path | None, typer.Option("--assess-ai", metavar="FILE.csv", help="A row a study and label, for a registry.")
    ] = None,
    reporting_items: Annotated[
        Path | None,
        typer.Option(
            "--reporting-items", metavar="FILE.json", help="What reviewers' checklists ask for, item by item."
        ),
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", metavar="EXPERIMENT", help="Log ids and figures to MLflow.")
    ] = None,
    wandb: Annotated[
        str | None, typer.Option("--wandb", metavar="PROJECT", help="Log ids and figures to Weights & Biases.")
    ] = None,
    studies: Annotated[
        list[str] | None, typer.Option("--study", metavar="S-...", help="Only this study. May be repeated.")
    ] = None,
    identified: Annotated[
        bool,
        typer.Option(
            "--identified", help="DICOM under the patients' own names and UIDs, for the archive they come from."
        ),
    ] = False,
    send: Annotated[
        str | None, typer.Option("--send", metavar="HOST:PORT,TITLE", help="Store the objects in a PACS (C-STORE).")
    ] = None,
    stow: Annotated[
        str | None, typer.Option("--stow", metavar="URL", help="Store the objects on a DICOMweb server (STOW-RS).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the findings of a run in other programs' formats; the archive and the pseudonym key must be at hand.

    A run that does not verify is not exported. Exit code 2: something that was asked for did not get there; each
    study and each object that did not is named, by its pseudonym.
    """
    if not (run / "results.json").is_file():
        raise OutputError(f"{run}: holds no results.json; give the folder of a finished run")
    from flows.commands.exporting.account import print_account
    from flows.commands.exporting.export import export_run
    from flows.commands.exporting.request import ExportRequest

    request = ExportRequest(
        run,
        dicom=dicom,
        nifti=nifti,
        nrrd=nrrd,
        bids=bids,
        ro_crate=ro_crate,
        model_card=model_card,
        assess_ai=assess_ai,
        reporting_items=reporting_items,
        mlflow=mlflow,
        wandb=wandb,
        studies=tuple(studies or ()),
        identified=identified,
        send=send,
        stow=stow,
    )
    code = print_account(export_run(request), as_json=as_json)
    if code:
        raise typer.Exit(code)
