"""``camaudit scan``: a bar while it walks, tables whose rows add up when it is done."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.studies.dicomweb.client import is_url, open_server
from pipeline.studies.dicomweb.scan import scan_server, server_root
from pipeline.studies.index.catalogue import Catalogue, open_catalogue
from pipeline.studies.index.scan import LayoutSummary, Summary, scan, summary
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms, load_key
from pipeline.studies.readers.third_parties import load_readers

__all__ = ["scan_archive"]


def scan_archive(
    archive: str,
    *,
    as_json: bool,
    outputs: tuple[Path | None, Path | None],
    index: Path | None,
    workers: int,
    choice: LayoutChoice = DETECTED,
) -> None:
    """Scan, write what is asked for (manifest, export) and print the summary; all of it readable by the owner only.

    ``archive`` is a folder's path or a DICOMweb server's URL; ``choice`` what the user says of the folder's layout.

    Raises:
        AuditError: one line, when the archive cannot be listed or something cannot be written.
    """
    readers = load_readers()
    server = open_server(archive) if is_url(archive) else None
    root = Path(archive).resolve() if server is None else server_root(server)
    manifest, export = outputs
    for path in filter(None, outputs):
        _check_output(path)
    index = index or (manifest.parent if manifest else Path()) / f"camaudit-{_short(root)}.sqlite"
    before = os.umask(0o077)  # paths name patients, and so does the index
    try:
        with open_catalogue(index, root) as catalogue:
            with _counting(quiet=as_json) as met:
                if server is None:
                    apart = _beside(index)
                    scan(root, catalogue, workers=workers, apart=apart, on_files=met, readers=readers, choice=choice)
                else:
                    scan_server(server, catalogue, workers=workers, on_files=met)
            _write(root, catalogue, (manifest, export), index.parent, choice)
            scanned = summary(root, catalogue, readers, choice)
    finally:
        os.umask(before)
    _tell(scanned, [path for path in outputs if path], as_json=as_json)


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


def _write(
    root: Path, catalogue: Catalogue, outputs: tuple[Path | None, Path | None], folder: Path, choice: LayoutChoice
) -> None:
    manifest, export = outputs
    if manifest is None and export is None:
        return
    pseudonyms = Pseudonyms(load_key(folder))
    if manifest is not None:
        write_manifest(root, catalogue, manifest, pseudonyms, written, choice)
    if export is not None:
        with written(export) as file:
            catalogue.export(file, pseudonyms)


def _tell(scanned: Summary, paths: list[Path], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**dataclasses.asdict(scanned), "written": [str(path) for path in paths]}))  # noqa: T201
        return
    console = Console()
    console.print(_images(scanned), _files(scanned), _masks(scanned), sep="\n")
    if scanned.layout is not None:
        console.print(_layout(scanned.layout), soft_wrap=True, markup=False, highlight=False)
    for path in paths:
        console.print(f"written: {path}", soft_wrap=True, markup=False, highlight=False)


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
