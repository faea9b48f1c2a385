"""The command that takes findings out: into a PACS, into research tools, into registries."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AsJson
from pipeline.errors import OutputError

__all__ = ["export"]


def _folder(name: str, words: str) -> object:
    return typer.Option(name, metavar="DIR", help=words)


Dicom = Annotated[Path | None, _folder("--dicom", "DICOM objects: report, segmentations, maps, scores, key images.")]
Nifti = Annotated[Path | None, _folder("--nifti", "Maps, regions and masks on the image's own grid.")]
Nrrd = Annotated[Path | None, _folder("--nrrd", "The same as NRRD.")]
Bids = Annotated[Path | None, _folder("--bids", "The same as a BIDS derivative dataset.")]
RoCrate = Annotated[Path | None, _folder("--ro-crate", "The run's public files with their provenance.")]
ModelCard = Annotated[
    Path | None, typer.Option("--model-card", metavar="FILE.md", help="A model card, and its fields as JSON.")
]
AssessAi = Annotated[
    Path | None, typer.Option("--assess-ai", metavar="FILE.csv", help="A row a study and label, for a registry.")
]
ReportingItems = Annotated[
    Path | None,
    typer.Option("--reporting-items", metavar="FILE.json", help="What reviewers' checklists ask for, item by item."),
]
Mlflow = Annotated[str | None, typer.Option("--mlflow", metavar="EXPERIMENT", help="Log ids and figures to MLflow.")]
Wandb = Annotated[
    str | None, typer.Option("--wandb", metavar="PROJECT", help="Log ids and figures to Weights & Biases.")
]
Studies = Annotated[
    list[str] | None, typer.Option("--study", metavar="S-...", help="Only this study. May be repeated.")
]
Identified = Annotated[
    bool,
    typer.Option("--identified", help="DICOM under the patients' own names and UIDs, for the archive they come from."),
]
Send = Annotated[
    str | None, typer.Option("--send", metavar="HOST:PORT,TITLE", help="Store the objects in a PACS (C-STORE).")
]
Stow = Annotated[
    str | None, typer.Option("--stow", metavar="URL", help="Store the objects on a DICOMweb server (STOW-RS).")
]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    dicom: Dicom = None,
    nifti: Nifti = None,
    nrrd: Nrrd = None,
    bids: Bids = None,
    ro_crate: RoCrate = None,
    model_card: ModelCard = None,
    assess_ai: AssessAi = None,
    reporting_items: ReportingItems = None,
    mlflow: Mlflow = None,
    wandb: Wandb = None,
    studies: Studies = None,
    identified: Identified = False,
    send: Send = None,
    stow: Stow = None,
    as_json: AsJson = False,
) -> None:
    """Write the findings of a run in other programs' formats; the archive and the pseudonym key must be at hand.

    A run that does not verify is not exported. Exit code 2: something that was asked for did not get there; each
    study and each object that did not is named, by its pseudonym.
    """
    asked = {name: value for name, value in locals().items() if name not in ("as_json", "studies")}
    if not (run / "results.json").is_file():
        raise OutputError(f"{run}: holds no results.json; give the folder of a finished run")
    from flows.commands.exporting.account import print_account
    from flows.commands.exporting.export import export_run
    from flows.commands.exporting.request import ExportRequest

    request = ExportRequest(**asked, studies=tuple(studies or ()))
    code = print_account(export_run(request), as_json=as_json)
    if code:
        raise typer.Exit(code)
