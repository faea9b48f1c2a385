"""Files into images, and masks onto their images; every file gets an outcome: used, or excluded by a reason.

The slices of a DICOM series are one image, several, or none, by the rule of ``series_parts``. Every other image is a
file by itself.

A DICOM mask belongs to the image whose instances it names; else to the only usable image of the series that it names;
else to the only usable one in its frame of reference. A NIfTI, NRRD or picture is a mask when its name says so.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath

from pipeline.errors import ArchiveError, Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.headers import Kind
from pipeline.studies.index.series_parts import images_of
from pipeline.studies.listing.by_file_name import UNNAMED_READER, mask_name, names_image
from pipeline.studies.listing.dataset_layouts import conventional
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.readers import BUILT_IN, Readers
from pipeline.studies.readers.masks.annotations import image_key

__all__ = ["MASKS", "group"]

MASKS = (Kind.SEGMENTATION, Kind.STRUCTURES)
"""DICOM objects that are masks."""

_LARGEST_SERIES = 20_000  # slices: a whole one is held while it is grouped
_IMAGES = (Kind.SLICE, Kind.PROJECTION, Kind.FRAMES)
_DAMAGED = (Reason.NOT_READABLE, Reason.TRUNCATED)
_OTHER_ENDING = re.compile(r"\.[A-Za-z]{1,5}$")


def group(root: Path, catalogue: Catalogue, readers: Readers = BUILT_IN, choice: LayoutChoice = DETECTED) -> None:
    """Group what has changed since the last time; all of it is kept, or nothing."""
    with catalogue.transaction():
        _group_dicom(root, catalogue)
        _group_volumes(root, catalogue, readers, choice)
        _settle_refused(catalogue)
        catalogue.write("DELETE FROM images WHERE id NOT IN (SELECT image FROM files WHERE image IS NOT NULL)", [()])
        _match_masks(catalogue, readers.study_endings)
        _settle_voxels(catalogue, readers)
        catalogue.decided(repr(choice))


def _settle_refused(catalogue: Catalogue) -> None:
    catalogue.write("UPDATE files SET outcome = reason WHERE outcome IS NULL AND reason IS NOT NULL", [()])
    catalogue.write("UPDATE files SET outcome = '' WHERE outcome IS NULL AND kind = ?", [(Kind.ARCHIVE,)])


def _group_dicom(root: Path, catalogue: Catalogue) -> None:
    """Group the series that hold an undecided image, each as a whole."""
    kinds = ", ".join(f"'{kind}'" for kind in _IMAGES)
    touched = "(series IN (SELECT series FROM touched) OR series IS NULL)"
    catalogue.write("DROP TABLE IF EXISTS temp.touched", [()])
    catalogue.write(
        f"CREATE TEMP TABLE touched AS SELECT DISTINCT series FROM files WHERE outcome IS NULL AND kind IN ({kinds})",
        [()],
    )
    catalogue.write(f"DELETE FROM images WHERE kind IN ({kinds}) AND {touched}", [()])
    files = catalogue.select(
        f"SELECT * FROM files WHERE kind IN ({kinds}) AND (reason IS NULL OR kind <> '{Kind.SLICE}') AND {touched} "
        "ORDER BY +series, instance, path, member"  # sorted apart: the rows are written to while they are read
    )
    for _, series in groupby(files, key=itemgetter("series")):
        _group_series(root, catalogue, series)


def _group_series(root: Path, catalogue: Catalogue, series: Iterator[Entry]) -> None:
    kept: list[Entry] = []
    doubtful: set[str] = set()
    for file in _without_damaged_copies(catalogue, series):
        if kept and file["instance"] and file["instance"] == kept[-1]["instance"]:
            reason = _copy(root, kept[-1], file)
            _exclude(catalogue, file, reason)
            doubtful |= {file["instance"]} if reason is Reason.MIXED_SERIES else set()
        else:
            kept.append(file)
    for file in kept:
        file["doubtful"] = file["instance"] in doubtful
    slices = [file for file in kept if file["kind"] == Kind.SLICE]
    for part in _split(slices, lambda file: None if file["series"] else file["folder"]):
        for image in images_of(part):
            _add(catalogue, image.files, image.reason, image.differing)
    for file in kept:
        if file["kind"] != Kind.SLICE:
            doubt = Reason.MIXED_SERIES if file["doubtful"] else None
            _add(catalogue, [file], file["reason"] or doubt or file["fault"])


def _without_damaged_copies(catalogue: Catalogue, series: Iterator[Entry]) -> list[Entry]:
    """Return a series' files but the damaged ones of which there is another copy, and what goes beyond the cap."""
    files: list[Entry] = []
    for file in series:
        if len(files) < _LARGEST_SERIES:
            files.append(file)
        else:
            _exclude(catalogue, file, Reason.TOO_LARGE)
    whole = {file["instance"] for file in files if file["fault"] not in _DAMAGED}
    for file in files:
        if file["fault"] in _DAMAGED and file["instance"] in whole:
            _exclude(catalogue, file, file["fault"])
    return [file for file in files if file["fault"] not in _DAMAGED or file["instance"] not in whole]


def _add(catalogue: Catalogue, files: Sequence[Entry], reason: Reason | None, differing: Sequence[str] = ()) -> None:
    first = files[0]
    names = ("series", "study", "patient", "modality", "kind", "frame_of_reference")
    image = {**{name: first[name] for name in names}, "origin": first["folder"], "reason": reason}
    image["differing"] = ", ".join(differing) or None
    catalogue.add_image(image, [file["id"] for file in files])


def _exclude(catalogue: Catalogue, file: Entry, reason: Reason) -> None:
    catalogue.write("UPDATE files SET outcome = ?, image = NULL WHERE id = ?", [(reason, file["id"])])


def _copy(root: Path, first: Entry, second: Entry) -> Reason:
    """Tell a copy from another content under the same instance UID; inside containers sizes decide alone."""
    if first["size"] != second["size"]:
        return Reason.MIXED_SERIES
    plain = not first["member"] and not second["member"]
    same = not plain or _digest(root / first["path"]) == _digest(root / second["path"])
    return Reason.DUPLICATE if same else Reason.MIXED_SERIES


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _split(slices: Iterable[Entry], key: Callable[[Entry], object]) -> list[list[Entry]]:
    groups: dict[object, list[Entry]] = defaultdict(list)
    for file in slices:
        groups[key(file)].append(file)
    return list(groups.values())


# Files whose names tell images from masks.


def _group_volumes(root: Path, catalogue: Catalogue, readers: Readers, choice: LayoutChoice) -> None:
    """Tell images from masks, folder by folder; where a known convention lays the archive out, by that."""
    kinds = ", ".join(f"'{kind}'" for kind in readers.told_by_name)
    catalogue.write(f"DELETE FROM images WHERE kind IN ({kinds})", [()])
    catalogue.write(f"UPDATE files SET image = NULL, role = NULL, fault = NULL WHERE kind IN ({kinds})", [()])
    _check_voxels(catalogue, kinds)
    drawn_on = _drawn_on(root, choice)
    query = "SELECT id, folder, path, member, kind, coalesce(reason, fault) AS reason FROM files "
    query += f"WHERE kind IN ({kinds}) ORDER BY +folder, path, member"
    for folder, files in groupby(catalogue.select(query), key=itemgetter("folder")):
        _group_folder(catalogue, folder, list(files), (drawn_on, readers.study_endings))


def _check_voxels(catalogue: Catalogue, kinds: str) -> None:
    """Note the fault of a header whose voxels' files are not beside it, plain and as long as it says."""
    for header in _headers(catalogue, kinds):
        detached = json.loads(header["refers"])
        for name in detached["voxels"]:
            fault = _voxels_fault(catalogue, _file_beside(header, name), detached["size"])
            if fault is not None:
                catalogue.write("UPDATE files SET fault = ? WHERE id = ?", [(fault, header["id"])])
                break


def _headers(catalogue: Catalogue, kinds: str) -> list[Entry]:
    query = f"SELECT * FROM files WHERE kind IN ({kinds}) AND refers IS NOT NULL AND reason IS NULL AND member = ''"
    return list(catalogue.select(query))


def _file_beside(header: Entry, name: str) -> str:
    return str(PurePosixPath(header["path"]).parent / name)


def _voxels_fault(catalogue: Catalogue, path: str, size: int | None) -> Reason | None:
    file = next(catalogue.select("SELECT * FROM files WHERE path = ? AND member = ''", path), None)
    if file is None:
        return Reason.MISSING_FILE
    if file["reason"] in (Reason.DUPLICATE, Reason.LEADS_OUT, Reason.NOT_REGULAR):
        return Reason.NOT_REGULAR if file["reason"] == Reason.NOT_REGULAR else Reason.LEADS_OUT
    if size is None or file["size"] == size:
        return None
    return Reason.TRUNCATED if file["size"] < size else Reason.NOT_READABLE


def _settle_voxels(catalogue: Catalogue, readers: Readers) -> None:
    """Give files of voxels the outcome of the header that describes them; those of none are no images again."""
    again = "UPDATE files SET outcome = reason WHERE reason IS NOT NULL AND outcome <> reason AND kind = ?"
    catalogue.write(again, [(Kind.OTHER,)])
    kinds = ", ".join(f"'{kind}'" for kind in readers.told_by_name)
    for header in _headers(catalogue, kinds):
        paths = [_file_beside(header, name) for name in json.loads(header["refers"])["voxels"]]
        shared = "UPDATE files SET outcome = ? WHERE path = ? AND member = '' AND kind = ?"
        catalogue.write(shared, ((header["outcome"], path, Kind.OTHER) for path in paths))


def _drawn_on(root: Path, choice: LayoutChoice) -> dict[str, str]:
    """Return the mask files of a known convention, each with its image's path."""
    try:
        rows = conventional(root, None, choice)
    except ArchiveError:
        return {}  # its layout is broken: names have to do
    return {
        os.path.relpath(mask.path, root): os.path.relpath(row.image, root) for row in rows or () for mask in row.masks
    }


_Naming = tuple[dict[str, str], Sequence[str]]
"""What masks are drawn on by a known convention, and the endings of files' names."""


def _group_folder(
    catalogue: Catalogue, folder: str, files: Sequence[Entry], how: tuple[dict[str, str], Sequence[str]]
) -> None:
    drawn_on, endings = how
    names: dict[str, list[Entry]] = defaultdict(list)
    for file in files:
        names[_stem(file, endings)].append(file)
    for file in files:
        stem = _stem(file, endings)
        named = mask_name(stem)
        by_rule = None if file["member"] else drawn_on.get(file["path"])
        if by_rule is None and named is None:
            image = {"study": f"{folder}/{stem}", "patient": f"{folder}/{stem}", "kind": file["kind"], "origin": folder}
            image["reason"] = file["reason"]
            catalogue.add_image(image, [file["id"]])
            continue
        target = by_rule or _beside(named[0] if named else "", names)
        about = {"reader": named[1] if named else UNNAMED_READER, "image": target, "folder": folder}
        role = json.dumps({**about, "study": named[0] if named else ""})
        catalogue.write("UPDATE files SET role = ?, outcome = NULL WHERE id = ?", [(role, file["id"])])


def _beside(study: str, names: Mapping[str, Sequence[Entry]]) -> str | None:
    """Return the place of the only image in a mask's folder that bears the name which the mask tells of."""
    for stem in (study, f"{study}_image") if study else ("image",):
        images = [file for file in names.get(stem, ()) if mask_name(stem) is None]
        if images:
            return _place(images[0]) if len(images) == 1 else _NO_PLACE
    return None


_NO_PLACE = "\0"  # two images of one name: neither is meant


def _stem(file: Entry, endings: Sequence[str]) -> str:
    """Return a file's name without the ending that it bears of these, or without any other."""
    name = PurePosixPath(file["member"] or file["path"]).name
    stem = image_key(name, endings)
    return _OTHER_ENDING.sub("", name) if stem == name else stem


def _place(file: Entry) -> str:
    return f"{file['path']}\0{file['member']}" if file["member"] else str(file["path"])


# Masks.


def _match_masks(catalogue: Catalogue, endings: Sequence[str]) -> None:
    """Put every mask on its usable image, or exclude it."""
    dicom = ", ".join(f"'{kind}'" for kind in MASKS)
    query = f"SELECT * FROM files WHERE reason IS NULL AND (kind IN ({dicom}) OR role IS NOT NULL) ORDER BY id"
    ids = [row["id"] for row in catalogue.select(query.replace("*", "id", 1))]
    for number in ids:
        (mask,) = catalogue.select("SELECT * FROM files WHERE id = ?", number)
        image = _image_of_name(catalogue, mask, endings) if mask["role"] else _image_of_references(catalogue, mask)
        outcome = Reason.OTHER_IMAGE if image is None else "" if _shares_frame(catalogue, mask, image) else _OTHER_FRAME
        outcome = mask["fault"] if mask["role"] and mask["fault"] else outcome
        image = image if outcome == "" else None
        catalogue.write("UPDATE files SET image = ?, outcome = ? WHERE id = ?", [(image, outcome, number)])


_OTHER_FRAME = Reason.OTHER_FRAME_OF_REFERENCE


def _shares_frame(catalogue: Catalogue, mask: Entry, image: int) -> bool:
    """Tell whether mask and image do not state different frames of reference."""
    (stated,) = catalogue.select("SELECT frame_of_reference FROM images WHERE id = ?", image)
    frames = (mask["frame_of_reference"] or "").split("\\")
    return frames == [""] or stated["frame_of_reference"] in (None, *frames)


def _image_of_name(catalogue: Catalogue, mask: Entry, endings: Sequence[str]) -> int | None:
    """Return the image that a mask's name leads to.

    A name that tells of no study, or of the only usable image of its folder in other words, leads to that.
    """
    role = json.loads(mask["role"])
    if role["image"]:
        path, _, member = role["image"].partition("\0")
        query = "SELECT images.id FROM files JOIN images ON images.id = files.image WHERE path = ? AND member = ?"
        return _only(catalogue, f"{query} AND images.reason IS NULL", path, member)
    query = (
        "SELECT images.id, files.path, files.member FROM images JOIN files ON files.image = images.id "
        "WHERE images.origin = ? AND images.reason IS NULL AND files.role IS NULL GROUP BY images.id LIMIT 2"
    )
    images = list(catalogue.select(query, role["folder"]))
    if len(images) != 1 or not names_image(role["study"], _stem(images[0], endings), role["folder"]):
        return None
    return int(images[0]["id"])


def _image_of_references(catalogue: Catalogue, mask: Entry) -> int | None:
    named = json.loads(mask["refers"] or "{}")
    instances, series = named.get("instances", []), named.get("series", [])
    drawn = (
        "SELECT DISTINCT images.id FROM files JOIN images ON images.id = files.image WHERE images.reason IS NULL AND"
    )
    listed = "IN (SELECT value FROM json_each(?))"
    images = _some(catalogue, f"{drawn} files.instance {listed} AND files.role IS NULL LIMIT 2", json.dumps(instances))
    if instances and not images:
        present = f"SELECT count(*) FROM files WHERE instance {listed}"
        if catalogue.count(present, json.dumps(instances)):
            return None  # its images are here, and none is usable
    if not images and series:
        query = f"SELECT id FROM images WHERE reason IS NULL AND series {listed} LIMIT 2"
        images = _some(catalogue, query, json.dumps(series))
    if not images and not series and not instances and mask["frame_of_reference"]:
        query = f"SELECT id FROM images WHERE reason IS NULL AND frame_of_reference {listed} LIMIT 2"
        images = _some(catalogue, query, json.dumps(mask["frame_of_reference"].split("\\")))
    return images[0] if len(images) == 1 else None


def _some(catalogue: Catalogue, query: str, *values: object) -> list[int]:
    return [row["id"] for row in catalogue.select(query, *values)]


def _only(catalogue: Catalogue, query: str, *values: object) -> int | None:
    ids = _some(catalogue, query, *values)
    return ids[0] if len(ids) == 1 else None
