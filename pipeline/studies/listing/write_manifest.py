"""A catalogue's usable images as a manifest that ``camaudit run`` takes, with the masks that were found.

Studies and patients are keyed pseudonyms already; paths are the archive's own. An image that is one file, or all DICOM
of one folder, is named by that; any other by a list of its files beside the manifest (see ``gathering``).
"""

import csv
import io
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path, PurePath
from typing import IO, Protocol

from pipeline.errors import ArchiveError, Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.headers import Kind
from pipeline.studies.listing.by_file_name import UNNAMED_READER, is_next_part
from pipeline.studies.listing.dataset_layouts import conventional
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.study_row import LIST
from pipeline.studies.pseudonyms import KEY_VARIABLE
from pipeline.studies.readers.images.dicom_series import FACTS as DICOM

__all__ = ["RowNames", "write_manifest"]

_MOST_COLUMNS = 512  # of masks: an archive of organs has a hundred labels
_NEEDED = ("study", "patient", "image")
_NO_CELL = re.compile(r"^\s|\s$|[\n\r#;]")
_READER = re.compile(r"(r|reader|rater|expert|annotator)[_-]?\d*|manual|auto")  # a file's name may hold a person's


class RowNames(Protocol):
    """What gives studies and patients the names that a manifest shows: ``Pseudonyms``, or who keeps the archive's."""

    def study(self, patient: str, study: str) -> str:
        """Return a study's name."""

    def patient(self, patient: str) -> str:
        """Return a patient's name."""


Opener = Callable[[Path], AbstractContextManager[IO[bytes]]]
"""Opens a file that is complete or absent, as ``pipeline.files.written`` does."""


def write_manifest(
    root: Path,
    catalogue: Catalogue,
    path: Path,
    pseudonyms: RowNames,
    opened: Opener,
    choice: LayoutChoice = DETECTED,
) -> int:
    """Write the manifest of the usable images and return their number.

    Raises:
        ArchiveError: when there is no usable image, or the masks would need too many columns.
    """
    rows = _conventional_rows(root, catalogue, pseudonyms, choice)
    lists = path.with_suffix(".lists")
    if rows is None:
        on_disk = root.is_dir()
        rows = [_row(catalogue, image, lists, pseudonyms, on_disk=on_disk) for image in _usable(catalogue)]
    if not rows:
        raise ArchiveError(f"{root}: holds no usable image: there is nothing to write a manifest of")
    _check_distinct(rows)
    _consistent(rows)
    names = {name for cells, _ in rows for name in cells} - {*_NEEDED}
    masks = sorted(name for name in names if name.startswith("mask:"))
    if len(masks) > _MOST_COLUMNS:
        raise ArchiveError(f"{root}: the masks have {len(masks)} readers and labels; a manifest takes {_MOST_COLUMNS}")
    shutil.rmtree(lists, ignore_errors=True)
    for _, places in rows:
        for name, files in places.items():
            with opened(path.parent / name) as file:
                file.write(json.dumps(files).encode())
    with opened(path) as file:
        table = csv.DictWriter(text := io.StringIO(newline=""), [*_NEEDED, *sorted(names)], restval="")
        table.writeheader()
        table.writerows(cells for cells, _ in rows)
        file.write(text.getvalue().encode())
    return len(rows)


def _check_distinct(rows: Sequence["_Cells"]) -> None:
    """Refuse a manifest in which two images bear one pseudonym: the first would answer for the second."""
    (pseudonym, times), *_ = Counter(cells["study"] for cells, _ in rows).most_common(1)
    if times > 1:
        raise ArchiveError(f"the pseudonym {pseudonym} stands for {times} images; set another {KEY_VARIABLE}")


_Places = list[list[str]]
_Cells = tuple[dict[str, str], dict[str, _Places]]
"""A row's cells by column, and the lists that some of them name, by their paths."""


def _usable(catalogue: Catalogue) -> Iterator[Entry]:
    return catalogue.select("SELECT * FROM images WHERE reason IS NULL ORDER BY patient, study, series, id")


def _row(catalogue: Catalogue, image: Entry, lists: Path, pseudonyms: RowNames, *, on_disk: bool) -> _Cells:
    """Return an image's row; several images of one series are told apart by their files.

    A folder stands for its files only ``on_disk``: a server's are not there to be listed.
    """
    query = "SELECT * FROM files WHERE image = ? AND outcome = '' ORDER BY path, member"
    files = list(catalogue.select(query, image["id"]))
    slices = [file for file in files if file["kind"] == image["kind"] and file["role"] is None]
    patient = image["patient"] or image["study"] or image["origin"]
    first = slices[0]
    study = pseudonyms.study(patient, first["instance"] or f"{first['path']}\0{first['member']}")
    cells = {"study": study, "patient": pseudonyms.patient(patient)}
    places: dict[str, _Places] = {}
    drawn = [(name, [file]) for name, file in _columns([file for file in files if file not in slices])]
    for name, parts in [("image", slices), *drawn]:
        plain = _plain(catalogue, parts) if on_disk or len(parts) == 1 else None
        if plain is None:
            plain = f"{lists.name}/{parts[0]['id']:09d}{LIST}"
            places[plain] = [[part["path"], part["member"]] if part["member"] else [part["path"]] for part in parts]
        cells[name] = f"{cells[name]};{plain}" if name in cells else plain
    return cells, places


def _plain(catalogue: Catalogue, files: Sequence[Entry]) -> str | None:
    """Return the file, or the folder all of whose files these are; None when it takes a list."""
    if any(file["member"] or _NO_CELL.search(file["path"]) for file in files):
        return None
    if len(files) == 1:
        return str(files[0]["path"])
    folder = files[0]["folder"]
    if any(file["folder"] != folder or PurePath(file["path"]).name.startswith(".") for file in files):
        return None
    # what the reader of a folder would take besides, or stumble over: a link, a copy, junk that is named as DICOM
    beside = f"SELECT count(*) FROM files WHERE folder = ? AND member = '' AND NOT ({_PASSED_OVER})"
    return str(folder or ".") if catalogue.count(beside, folder) == len(files) else None


_NOT_NAMED_AS_DICOM = " AND ".join(f"path NOT LIKE '%{ending}'" for ending in DICOM.endings)
_PASSED_OVER = f"kind = '{Kind.OTHER}' AND reason = '{Reason.NOT_AN_IMAGE}' AND {_NOT_NAMED_AS_DICOM}"


def _columns(masks: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
    """Yield an image's masks by column; where a reader has a second one of a label: expert, expert2."""
    taken: set[str] = set()
    for mask in masks:
        stated = json.loads(mask["role"])["reader"] if mask["role"] else UNNAMED_READER
        reader = stated.lower() if _READER.fullmatch(stated.lower()) else UNNAMED_READER
        labels = [label for label in json.loads(mask["labels"] or "[]") if label] or [None]
        if is_next_part(stated) and _column(UNNAMED_READER, None) in taken:
            yield _column(UNNAMED_READER, None), mask
            continue
        for number in count(1):
            names = {_column(f"{reader}{number if number > 1 else ''}", label) for label in labels}
            if not names & taken:
                break
        taken |= names
        yield from ((name, mask) for name in sorted(names))


def _column(reader: str, label: str | None, value: int | None = None) -> str:
    number = "" if value is None else f"={value}"
    return f"mask:{reader}:{label}{number}" if label else f"mask:{reader}"


def _consistent(rows: Sequence[_Cells]) -> None:
    """Rename the unlabelled masks of readers who have labelled ones too: a manifest takes one of both."""
    labelled = {name.split(":")[1] for cells, _ in rows for name in cells if name.count(":") == 2}
    for cells, _ in rows:
        for name in [name for name in cells if name.count(":") == 1 and name.split(":")[1] in labelled]:
            cells[f"{name}-unlabelled"] = cells.pop(name)


def _conventional_rows(
    root: Path, catalogue: Catalogue, pseudonyms: RowNames, choice: LayoutChoice
) -> list[_Cells] | None:
    """Return the rows of an archive that keeps a convention, without the images that the catalogue excludes."""
    listed = conventional(root, None, choice)
    if listed is None:
        return None
    usable = "SELECT count(*) FROM files WHERE path = ? AND member = '' AND outcome = ''"
    rows: list[_Cells] = []
    all_told = all(row.reference is not None for row in listed)  # an empty cell would say: nothing is present
    for row in listed:
        path = os.path.relpath(row.image, root)
        if catalogue.count(usable, path):
            study, patient = pseudonyms.study(row.patient, row.study), pseudonyms.patient(row.patient)
            cells = {"study": study, "patient": patient, "image": path, **row.strata}
            cells |= {"label": ";".join(row.reference or ())} if all_told else {}
            for mask in row.masks:
                name, plain = _column(mask.reader, _fitting(mask.label), mask.value), os.path.relpath(mask.path, root)
                cells[name] = f"{cells[name]};{plain}" if name in cells else plain
            rows.append((cells, {}))
    return rows


def _fitting(label: str | None) -> str | None:
    """Return a label that a column's name can hold."""
    return None if label is None or re.search(r"[:=]", label) else label.strip()
