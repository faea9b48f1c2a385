"""``camaudit scan``: a bar while it walks, tables whose rows add up when it is done."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.errors import ConfigError, OutputError
from pipeline.files import written
from pipeline.studies.dicomweb.client import is_url, open_server
from pipeline.studies.dicomweb.scan import scan_server, server_root
from pipeline.studies.index.catalogue import Catalogue, open_catalogue
from pipeline.studies.index.scan import LayoutSummary, Summary, scan, summary
from pipeline.studies.listing.columns_from import Column, ValueSource, value_source
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms, load_key
from pipeline.studies.readers.third_parties import load_readers

__all__ = ["Outputs", "Scanned", "scan_and_write", "scan_archive", "value_sources"]


@dataclass(frozen=True)
class Outputs:
    """What a scan writes: the manifest, with where its labels and patients come from, and the export."""

    manifest: Path | None
    export: Path | None
    sources: tuple[ValueSource, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """The files that are written."""
        return [path for path in (self.manifest, self.export) if path is not None]


def value_sources(label: str | None, patient: str | None, manifest: Path | None) -> tuple[ValueSource, ...]:
    """Return where a manifest's labels and patients come from, as the options state it.

    Raises:
        ConfigError: one line, for an option that cannot be used, or that goes without a manifest.
    """
    stated: list[tuple[Column, str]] = []
    stated += [("label", label)] if label is not None else []
    stated += [("patient", patient)] if patient is not None else []
    if stated and manifest is None:
        raise ConfigError(f"--{stated[0][0]}-from: goes with --write-manifest only: it fills a column of the manifest")
    return tuple(value_source(column, text) for column, text in stated)


def scan_archive(
    archive: str,
    *,
    as_json: bool,
    outputs: Outputs,
    index: Path | None,
    workers: int,
    choice: LayoutChoice = DETECTED,
) -> None:
    """Scan, write what is asked for (manifest, export) and print the summary; all of it readable by the owner only.

    ``archive`` is a folder's path or a DICOMweb server's URL; ``choice`` what the user says of the folder's layout.

    Raises:
        AuditError: one line, when the archive cannot be listed or something cannot be written.
    """
    scanned = scan_and_write(archive, outputs, index, workers=workers, choice=choice, quiet=as_json)
    _tell(scanned, outputs.paths, as_json=as_json)


@dataclass(frozen=True)
class Scanned:
    """What a scan counted, and how many rows of the manifest have each doubt."""

    summary: Summary
    doubts: Mapping[str, int]


def scan_and_write(
    archive: str,
    outputs: Outputs,
    index: Path | None = None,
    *,
    workers: int = 2,
    choice: LayoutChoice = DETECTED,
    quiet: bool = False,
) -> Scanned:
    """Scan and write what is asked for; ``index`` lies beside the manifest unless named.

    Raises:
        AuditError: one line, when the archive cannot be listed or something cannot be written.
    """
    readers = load_readers()
    server = open_server(archive) if is_url(archive) else None
    root = Path(archive).resolve() if server is None else server_root(server)
    for path in outputs.paths:
        _check_output(path)
    index = index or (outputs.manifest.parent if outputs.manifest else Path()) / f"camaudit-{_short(root)}.sqlite"
    before = os.umask(0o077)  # paths name patients, and so does the index
    try:
        with open_catalogue(index, root) as catalogue:
            with _counting(quiet=quiet) as met:
                if server is None:
                    apart = _beside(index)
                    scan(root, catalogue, workers=workers, apart=apart, on_files=met, readers=readers, choice=choice)
                else:
                    scan_server(server, catalogue, workers=workers, on_files=met)
            doubts = _write(root, catalogue, outputs, index.parent, choice)
            return Scanned(summary(root, catalogue, readers, choice), doubts)
    finally:
        os.umask(before)


def _check_output(path: Path) -> None:
    """Refuse, before the scan and not after hours of it, a file that cannot be written."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give the path of a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: cannot be written: no permission in {folder}")


def _short(root: Path) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:10]


def _beside(index: Path) -> frozenset[Path]:
    """Return the index and the files that SQLite keeps beside it."""
    place = index.resolve()
    return frozenset(place.with_name(f"{place.name}{ending}") for ending in ("", "-wal", "-shm", "-journal"))


def _write(root: Path, catalogue: Catalogue, outputs: Outputs, folder: Path, choice: LayoutChoice) -> Mapping[str, int]:
    """Write what is asked for, and return how many rows of the manifest have each doubt."""
    doubts: Mapping[str, int] = {}
    if not outputs.paths:
        return doubts
    pseudonyms = Pseudonyms(load_key(folder))
    if outputs.manifest is not None:
        doubts = write_manifest(root, catalogue, outputs.manifest, pseudonyms, written, outputs.sources, choice).doubts
    if outputs.export is not None:
        with written(outputs.export) as file:
            catalogue.export(file, pseudonyms)
    return doubts


def _tell(result: Scanned, paths: list[Path], *, as_json: bool) -> None:
    scanned, doubts = result.summary, result.doubts
    if as_json:
        about = {**dataclasses.asdict(scanned), "written": [str(path) for path in paths], "doubts": dict(doubts)}
        print(json.dumps(about))  # noqa: T201
        return
    console = Console()
    console.print(_images(scanned), _files(scanned), _masks(scanned), sep="\n")
    if scanned.layout is not None:
        console.print(_layout(scanned.layout), soft_wrap=True, markup=False, highlight=False)
    for path in paths:
        console.print(f"written: {path}", soft_wrap=True, markup=False, highlight=False)
    if doubts:
        console.print("look at these rows of the manifest (column 'doubts') before the audit:", highlight=False)
    for doubt, rows in sorted(doubts.items(), key=lambda entry: -entry[1]):
        console.print(f"  {rows} rows: {doubt}", soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _counting(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how many files were met and how many a second; yield what is told of each further number."""
    columns = (
        SpinnerColumn(),
        TextColumn("scanning: {task.completed:.0f} files"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True, quiet=quiet))
    with progress:
        bar = progress.add_task("scanning", total=None, speed="")

        def met(files: int) -> None:
            task = progress.tasks[bar]
            rate = (task.completed + files) / max(task.elapsed or 0.0, 0.1)
            progress.update(bar, advance=files, speed=f"{rate:.0f} files/s")

        yield met


def _images(scanned: Summary) -> Table:
    table = Table(title="Images: found = usable + excluded", title_justify="left")
    table.add_column("modality")
    for name in ("patients", "studies", "found", "usable", "excluded"):
        table.add_column(name, justify="right")
    table.add_column("why excluded", overflow="fold")
    for modality in scanned.modalities:
        counts = (
            modality.patients,
            modality.studies,
            modality.images,
            modality.usable,
            modality.images - modality.usable,
        )
        table.add_row(modality.name, *map(str, counts), _reasons(modality.excluded))
    table.add_section()
    total = (scanned.patients, scanned.studies, scanned.images, scanned.usable, scanned.images - scanned.usable)
    table.add_row("all", *map(str, total))
    table.caption = "a patient or a study may have several modalities"
    return table


def _files(scanned: Summary) -> Table:
    table = Table(title="Files: found = used + excluded", title_justify="left")
    table.add_column("outcome")
    table.add_column("files", justify="right")
    table.add_row("used", str(scanned.used))
    for reason, number in scanned.excluded.items():
        table.add_row(f"excluded: {reason}", str(number))
    table.add_section()
    table.add_row("all", str(scanned.files))
    return table


def _masks(scanned: Summary) -> str:
    sentence = f"{scanned.masks} masks found, {scanned.masks_used} on a usable image"
    if scanned.named:
        sentence += f"; of {scanned.named} files that DICOMDIRs name, {scanned.named_missing} are not there and "
        sentence += f"{scanned.named_outside} lead out"
    return sentence


def _layout(layout: LayoutSummary) -> str:
    """Say in one line what the archive's names tell, and what of it is not there."""
    if layout.refused:
        return f"layout: {layout.title}: {layout.refused}"
    if not layout.studies:
        return f"layout: {layout.title}; its studies are told by headers"
    lacking = [(layout.images_missing, "images"), (layout.masks_missing, "files of masks")]
    missing = [f"{count} {what} missing" for count, what in lacking if count]
    counts = [f"{layout.subjects} subjects", f"{layout.studies} studies", f"{layout.structures} structures"]
    return ", ".join([f"layout: {layout.title}", *counts, *missing])


def _reasons(excluded: Mapping[str, int]) -> str:
    return "\n".join(f"{number} {reason}" for reason, number in excluded.items())
