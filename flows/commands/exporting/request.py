"""What ``camaudit export`` is asked for, and that it can be done at all."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.spec import require_outside_runs

__all__ = ["ExportRequest", "checked_request"]


@dataclass(frozen=True)
class ExportRequest:
    """The folders and files to be written, those that are None are not; whose studies, and whether by their names."""

    run: Path
    dicom: Path | None = None
    nifti: Path | None = None
    nrrd: Path | None = None
    bids: Path | None = None
    ro_crate: Path | None = None
    model_card: Path | None = None
    assess_ai: Path | None = None
    reporting_items: Path | None = None
    studies: tuple[str, ...] = ()
    identified: bool = False
    send: str | None = None
    stow: str | None = None
    mlflow: str | None = None
    wandb: str | None = None
    folders: tuple[Path, ...] = field(init=False)
    papers: tuple[Path, ...] = field(init=False)

    def __post_init__(self) -> None:
        given = (self.dicom, self.nifti, self.nrrd, self.bids, self.ro_crate)
        object.__setattr__(self, "folders", tuple(path for path in given if path is not None))
        papers = (self.model_card, self.assess_ai, self.reporting_items)
        object.__setattr__(self, "papers", tuple(path for path in papers if path is not None))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are written beside those in folders: a model card's fields are one of their own."""
        fields = () if self.model_card is None else (self.model_card.with_suffix(".json"),)
        return (*self.papers, *fields)

    @property
    def of_studies(self) -> bool:
        """Whether anything is asked for that reads the archive."""
        asked = (self.dicom, self.nifti, self.nrrd, self.bids, self.send, self.stow)
        return any(door is not None for door in asked)

    @property
    def of_objects(self) -> bool:
        """Whether DICOM objects are asked for."""
        return any(door is not None for door in (self.dicom, self.send, self.stow))


def checked_request(request: ExportRequest) -> ExportRequest:
    """Return a request that asks for something, into folders that are free.

    Raises:
        ConfigError: when nothing is asked for, or ``--identified`` or ``--study`` goes with nothing that they change.
        OutputError: when a folder holds something, or anything is to lie in a run's own.
    """
    doors = (*request.folders, *request.papers, request.mlflow, request.wandb)
    if not any(door is not None for door in (*doors, request.send, request.stow)):
        raise ConfigError("export: nothing is asked for; give --dicom, --nifti, --bids or another of its options")
    if request.identified and not request.of_objects:
        raise ConfigError("--identified: goes with --dicom, --send or --stow; nothing else is ever called by its name")
    if request.studies and not request.of_studies:
        raise ConfigError("--study: goes with --dicom, --nifti, --nrrd, --bids, --send or --stow")
    if len(set(map(Path.resolve, request.folders))) < len(request.folders):
        raise ConfigError("export: each kind needs a folder of its own")
    for folder in request.folders:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: is not empty; an export is written into a new folder")
    for path in (*request.folders, *request.papers):
        require_outside_runs(path, "export")
    files = [path.resolve() for path in request.files]
    if len(set(files)) < len(files):
        raise ConfigError("export: each kind needs a file of its own (a model card has a .json beside it)")
    return request
