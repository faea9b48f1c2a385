"""A catalogue's usable images as a manifest that ``camaudit run`` takes, with the masks that were found.

The column ``doubts`` says what a person should look at. Labels are written where the user has said where they come
from; an image of which nothing tells the label has ``?`` there, which is not "none present".
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePath
from typing import IO, Protocol

from pipeline.errors import ArchiveError, Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.headers import Kind, allowed_words
from pipeline.studies.listing.columns_from import ImagePlace, ValueSource, check_values
from pipeline.studies.listing.dataset_layouts import conventional
from pipeline.studies.listing.doubts import SEPARATOR, doubts_of_image, doubts_of_masks
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.mask_names import UNNAMED_READER, is_next_part, words_of
from pipeline.studies.listing.study_row import LIST
from pipeline.studies.pseudonyms import KEY_VARIABLE
from pipeline.studies.readers.images.dicom_series import FACTS as DICOM

__all__ = ["NameGiver", "WrittenManifest", "write_manifest"]

_MOST_COLUMNS = 512  # of masks: an archive of organs has a hundred labels
_NEEDED = ("study", "patient", "image")
_LABEL, _DOUBTS, _UNKNOWN = "label", "doubts", "?"
_NO_CELL = re.compile(r"^\s|\s$|[\n\r#;]")
_READER = re.compile(r"(r|reader|rater|expert|annotator)[_-]?\d*|manual|auto")  # a file's name may hold a person's


class NameGiver(Protocol):
    """What gives studies and patients the names that a manifest shows: ``Pseudonyms``, or who keeps the archive's."""

    def study(self, patient: str, study: str) -> str:
        """Return a study's name."""

    def patient(self, patient: str) -> str:
        """Return a patient's name."""


Opener = Callable[[Path], AbstractContextManager[IO[bytes]]]
"""Opens a file that is complete or absent, as ``pipeline.files.written`` does."""


@dataclass(frozen=True)
class WrittenManifest:
    """How many images a manifest lists, and how many of its rows have each doubt."""

    images: int
    doubts: Mapping[str, int]


@dataclass
class _Row:
    """A row of the manifest to be: its cells by column, the lists that they name, what it is of, and its doubts."""

    cells: dict[str, str]
    lists: dict[str, list[list[str]]]
    place: ImagePlace
    own_patient: bool
    doubts: list[str]
    image: int | None = None
    labels_by_name: dict[str, str] = field(default_factory=dict)


def write_manifest(
    root: Path,
    catalogue: Catalogue,
    path: Path,
    pseudonyms: NameGiver,
    opened: Opener,
    sources: Sequence[ValueSource] = (),
    choice: LayoutChoice = DETECTED,
) -> WrittenManifest:
    """Write the manifest of the usable images; ``sources``: where labels and patients come from.

    Raises:
        ArchiveError: when there is no usable image, the masks would need too many columns, or a source fits nothing.
    """
    lists = path.with_suffix(".lists")
    rows = _conventional_rows(root, catalogue, pseudonyms, choice)
    if rows is None:
        on_disk = root.is_dir()
        rows = [_row(catalogue, image, lists, pseudonyms, on_disk=on_disk) for image in _usable(catalogue)]
        _doubt_lost(catalogue, rows)
    if not rows:
        raise ArchiveError(f"{root}: holds no usable image: there is nothing to write a manifest of")
    for source in sources:
        _fill(rows, source, pseudonyms, on_disk=root.is_dir())
    _check_distinct(rows)
    _consistent(rows)
    _doubt_patients(rows)
    names = {name for row in rows for name in row.cells} - {*_NEEDED, _LABEL}
    masks = sorted(name for name in names if name.startswith("mask:"))
    if len(masks) > _MOST_COLUMNS:
        raise ArchiveError(f"{root}: the masks have {len(masks)} readers and labels; a manifest takes {_MOST_COLUMNS}")
    shutil.rmtree(lists, ignore_errors=True)
    _write_lists(path, rows, opened)
    label = [_LABEL] if _LABEL in rows[0].cells else []
    _write_table(path, rows, [*_NEEDED, *masks, *label, *sorted(names - {*masks}), _DOUBTS], opened)
    return WrittenManifest(len(rows), Counter(doubt for row in rows for doubt in dict.fromkeys(row.doubts)))


def _write_lists(path: Path, rows: Sequence[_Row], opened: Opener) -> None:
    for row in rows:
        for name, files in row.lists.items():
            with opened(path.parent / name) as file:
                file.write(json.dumps(files).encode())


def _write_table(path: Path, rows: Sequence[_Row], columns: Sequence[str], opened: Opener) -> None:
    table = csv.DictWriter(text := io.StringIO(newline=""), columns, restval="")
    table.writeheader()
    table.writerows({**row.cells, _DOUBTS: SEPARATOR.join(dict.fromkeys(row.doubts))} for row in rows)
    with opened(path) as file:
        file.write(text.getvalue().encode())


def _fill(rows: Sequence[_Row], source: ValueSource, pseudonyms: NameGiver, *, on_disk: bool) -> None:
    """Write what a source says into the rows; where it says nothing, that is a doubt."""
    option = f"--{source.column}-from"
    if source.needs_paths and not on_disk:
        raise ArchiveError(f"{option}: a server has no folders and file names of the archive's own; give a CSV file")
    check_values(source, [row.place for row in rows])
    for row in rows:
        value = source.value_of(row.place)
        if source.column == "label":
            row.cells[_LABEL] = _UNKNOWN if value is None else value
            row.doubts += ["label missing"] if value is None else []
        elif value is not None:
            row.cells["patient"], row.own_patient = pseudonyms.patient(value), True


def _doubt_lost(catalogue: Catalogue, rows: Sequence[_Row]) -> None:
    """Say of the images whose masks are excluded that they have some: without them they would pass for negatives."""
    query = (
        "SELECT json_extract(role, '$.lost') image, outcome FROM files WHERE json_extract(role, '$.lost') IS NOT NULL"
    )
    lost: dict[int, list[str]] = {}
    for file in catalogue.select(query):
        lost.setdefault(file["image"], []).append(f"a mask of it cannot be used: {file['outcome']}")
    for row in rows:
        row.doubts += lost.get(row.image or 0, [])


def _doubt_patients(rows: Sequence[_Row]) -> None:
    """Say of each row whose patient nothing tells that it counts as one of its own."""
    for row in rows:
        row.doubts += [] if row.own_patient else ["patient not stated: counts as a patient of its own"]


def _check_distinct(rows: Sequence[_Row]) -> None:
    """Refuse a manifest in which two images bear one pseudonym: the first would answer for the second."""
    (pseudonym, times), *_ = Counter(row.cells["study"] for row in rows).most_common(1)
    if times > 1:
        raise ArchiveError(f"the pseudonym {pseudonym} stands for {times} images; set another {KEY_VARIABLE}")


def _usable(catalogue: Catalogue) -> Iterator[Entry]:
    return catalogue.select("SELECT * FROM images WHERE reason IS NULL ORDER BY patient, study, series, id")


def _row(catalogue: Catalogue, image: Entry, lists: Path, pseudonyms: NameGiver, *, on_disk: bool) -> _Row:
    """Return an image's row; several images of one series are told apart by their files.

    A folder stands for its files only ``on_disk``: a server's are not there to be listed.
    """
    query = "SELECT * FROM files WHERE image = ? AND outcome = '' ORDER BY path, member"
    files = list(catalogue.select(query, image["id"]))
    slices = [file for file in files if file["kind"] == image["kind"] and file["role"] is None]
    masks = [file for file in files if file not in slices]
    patient = image["patient"] or image["study"] or image["origin"]
    first = slices[0]
    study = pseudonyms.study(patient, first["instance"] or f"{first['path']}\0{first['member']}")
    cells = {"study": study, "patient": pseudonyms.patient(patient)}
    places: dict[str, list[list[str]]] = {}
    drawn = list(_columns(_whole_masks(masks)))
    for name, parts in [("image", slices), *drawn]:
        plain = _plain(catalogue, parts) if on_disk or len(parts) == 1 else None
        if plain is None:
            plain = f"{lists.name}/{parts[0]['id']:09d}{LIST}"
            places[plain] = [[part["path"], part["member"]] if part["member"] else [part["path"]] for part in parts]
        cells[name] = f"{cells[name]};{plain}" if name in cells else plain
    shown = [parts[0] for _, parts in drawn]
    doubts = [*doubts_of_image(image, slices), *doubts_of_masks(shown, slices, _unnamed(cells))]
    is_dicom = str(image["kind"]).startswith("dicom")
    by_name = {name: label for name, parts in drawn if (label := _label_by_name(parts[0]))}
    own = is_dicom and bool(image["patient"])
    return _Row(cells, places, _place(image, slices), own, doubts, image["id"], by_name)


def _unnamed(cells: Mapping[str, str]) -> int:
    """Return how many columns stand for readers that nothing tells."""
    return sum(re.fullmatch(rf"mask:{UNNAMED_READER}\d*", name) is not None for name in cells)


def _place(image: Entry, files: Sequence[Entry]) -> ImagePlace:
    """Return what names an image: its file's path, or its folder's; a file in a container has both paths."""
    first = files[0]
    one_file = len(files) == 1
    path = f"{first['path']}/{first['member']}" if first["member"] else first["path"]
    header = {name: image[name] for name in ("patient", "study", "series") if image[name]}
    known = header if str(image["kind"]).startswith("dicom") else {}
    return ImagePlace(str(path if one_file else first["folder"].replace("!/", "/")), not one_file, known)


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


def _columns(masks: Sequence[list[Entry]]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the files of an image's masks by column; where a reader has a second one of a label: expert, expert2.

    Numbered parts of one mask come last, and go into the column of what they are parts of.
    """
    taken: set[str] = set()
    by_names = _labels_by_names([files[0] for files in masks])
    for files in sorted(masks, key=lambda files: _is_part(files[0])):
        mask = files[0]
        stated = json.loads(mask["role"])["reader"] if mask["role"] else UNNAMED_READER
        reader = stated.lower() if _READER.fullmatch(stated.lower()) else UNNAMED_READER
        labels = [label for label in json.loads(mask["labels"] or "[]") if label] or [by_names.get(mask["id"])]
        if _is_part(mask) and _column(UNNAMED_READER, None) in taken:
            yield _column(UNNAMED_READER, None), files
            continue
        sessions = json.loads(mask["refers"] or "{}").get("sessions", 0)
        if sessions:  # one file of several readers, whom their numbers name
            yield from ((_column(f"reader{number}", labels[0]), files) for number in range(1, sessions + 1))
            continue
        for number in count(1):
            names = {_column(f"{reader}{number if number > 1 else ''}", label) for label in labels}
            if not names & taken:
                break
        taken |= names
        yield from ((name, files) for name in sorted(names))


def _labels_by_names(masks: Sequence[Entry]) -> dict[int, str]:
    """Return what several masks of one image show by their names, when each tells of another structure or finding.

    A single one shows what the study's label says: its name may be any word for it.
    """
    labels = {mask["id"]: _label_by_name(mask) for mask in masks}
    distinct = {label for label in labels.values() if label}
    return {number: label for number, label in labels.items() if label} if len(distinct) == len(masks) > 1 else {}


def _label_by_name(mask: Entry) -> str | None:
    """Return the structure or finding that a mask's name tells of, in words of the closed list."""
    stem = json.loads(mask["role"] or "{}").get("stem", "").lower()
    study = set(words_of(stem))
    words = [word for word in re.split(r"[^a-z]+", stem) if word and word not in study]
    return " ".join(word for word in words if allowed_words(word)) or None


def _whole_masks(files: Sequence[Entry]) -> list[list[Entry]]:
    """Return the files of each mask: one, or the slices of a series."""
    masks: dict[object, list[Entry]] = {}
    for file in files:
        series = json.loads(file["role"] or "{}").get("series")
        masks.setdefault(("series", series) if series else file["id"], []).append(file)
    return list(masks.values())


def _is_part(mask: Entry) -> bool:
    role = json.loads(mask["role"] or "{}")
    return bool(role.get("part")) or is_next_part(role.get("reader", ""))


def _column(reader: str, label: str | None, value: int | None = None) -> str:
    number = "" if value is None else f"={value}"
    return f"mask:{reader}:{label}{number}" if label else f"mask:{reader}"


def _consistent(rows: Sequence[_Row]) -> None:
    """Label or rename the unlabelled masks of readers who have labelled ones too: a manifest takes one of both."""
    labelled = {name.split(":")[1] for row in rows for name in row.cells if name.count(":") == 2}
    for row in rows:
        for name in [name for name in row.cells if name.count(":") == 1 and name.split(":")[1] in labelled]:
            label = row.labels_by_name.get(name)
            free = label is not None and f"{name}:{label}" not in row.cells
            row.cells[f"{name}:{label}" if free else f"{name}-unlabelled"] = row.cells.pop(name)


def _conventional_rows(
    root: Path, catalogue: Catalogue, pseudonyms: NameGiver, choice: LayoutChoice
) -> list[_Row] | None:
    """Return the rows of an archive that keeps a convention, without the images that the catalogue excludes."""
    listed = conventional(root, None, choice)
    if listed is None:
        return None
    usable = "SELECT * FROM files WHERE path = ? AND member = '' AND outcome = ''"
    rows: list[_Row] = []
    all_told = all(row.reference is not None for row in listed)  # an empty cell would say: nothing is present
    for row in listed:
        path = os.path.relpath(row.image, root)
        files = list(catalogue.select(usable, path))
        if files:
            study, patient = pseudonyms.study(row.patient, row.study), pseudonyms.patient(row.patient)
            cells = {"study": study, "patient": patient, "image": path, **row.strata}
            cells |= {_LABEL: ";".join(row.reference or ())} if all_told else {}
            for mask in row.masks:
                name, plain = _column(mask.reader, _fitting(mask.label), mask.value), os.path.relpath(mask.path, root)
                cells[name] = f"{cells[name]};{plain}" if name in cells else plain
            doubts = list(doubts_of_image(files[0], files))
            rows.append(_Row(cells, {}, ImagePlace(path, is_folder=False), own_patient=True, doubts=doubts))
    return rows


def _fitting(label: str | None) -> str | None:
    """Return a label that a column's name can hold."""
    return None if label is None or re.search(r"[:=]", label) else label.strip()
