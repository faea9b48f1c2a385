"""Files into images, and masks onto their images; every file gets an outcome: used, or excluded by a reason.

DICOM slices with the same series, frame of reference, modality, size, orientation, spacing, photometric
interpretation, echo time, b-value and temporal position are one image. Where positions repeat within it, the
acquisition number parts it, then the image type. What is left goes through the readers' own geometry gate
(``planes.stacked``). Every other image is a file by itself.

A DICOM mask belongs to the image whose instances it names; else to the only usable image of the series that it names;
else to the only usable one in its frame of reference. A NIfTI, NRRD or picture is a mask when its name says so.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.catalogue import Catalogue, Entry
from pipeline.studies.conventions import conventional
from pipeline.studies.discovery import UNNAMED_READER, mask_name
from pipeline.studies.geometry import GeometryError
from pipeline.studies.headers import CAPTURES, Kind
from pipeline.studies.readers.planes import Plane, stacked

__all__ = ["MASKS", "VOLUMES", "group"]

VOLUMES = (Kind.NIFTI, Kind.NRRD, Kind.RASTER)
"""Formats whose files are images or masks by their names."""

MASKS = (Kind.SEGMENTATION, Kind.STRUCTURES)
"""DICOM objects that are masks."""

_LARGEST_SERIES = 20_000  # slices: a whole one is held while it is grouped
_IMAGES = (Kind.SLICE, Kind.PROJECTION, Kind.FRAMES)
_SAME = ("patient", "study", "frame_of_reference", "modality", "rows", "columns", "photometric", "echo_time", "b_value",
         "temporal_position")  # fmt: skip
_PARTING = ("acquisition", "image_type")
_TOLERANCE = 1e-4  # of directions, and of spacings in mm
_SAME_PLACE_DIGITS = 2  # of a mm
_FLAT_COLOURS = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"}
_SPACINGS = ("spacing", "imager_spacing", "scanned_spacing")
_ENDINGS = re.compile(r"(\.nii\.gz|\.seg\.nrrd|\.[A-Za-z]{1,5})$")

Vector = NDArray[np.float64]


def group(root: Path, catalogue: Catalogue) -> None:
    """Group what has changed since the last time; all of it is kept, or nothing."""
    with catalogue.transaction():
        _group_dicom(root, catalogue)
        _group_volumes(root, catalogue)
        _settle_refused(catalogue)
        catalogue.write("DELETE FROM images WHERE id NOT IN (SELECT image FROM files WHERE image IS NOT NULL)", [()])
        _match_masks(catalogue)
        catalogue.decided()


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
    for one in series:
        if len(kept) >= _LARGEST_SERIES:
            _exclude(catalogue, one, Reason.TOO_LARGE)
        elif kept and one["instance"] == kept[-1]["instance"]:
            reason = _copy(root, kept[-1], one)
            _exclude(catalogue, one, reason)
            doubtful |= {one["instance"]} if reason is Reason.MIXED_SERIES else set()
        else:
            kept.append(one)
    for part in _parts([one for one in kept if one["kind"] == Kind.SLICE]):
        _add(catalogue, part, _doubt(part, doubtful) or _gate(part))
    for one in kept:
        if one["kind"] != Kind.SLICE:
            _add(catalogue, [one], one["reason"] or _doubt([one], doubtful) or _flat_gate(one))


def _doubt(part: Sequence[Entry], doubtful: set[str]) -> Reason | None:
    """Refuse an image of which two files claim to be the same instance and differ: nothing tells which is right."""
    return Reason.MIXED_SERIES if any(one["instance"] in doubtful for one in part) else None


def _add(catalogue: Catalogue, files: Sequence[Entry], reason: Reason | None) -> None:
    first = files[0]
    names = ("series", "study", "patient", "modality", "kind", "frame_of_reference")
    image = {**{name: first[name] for name in names}, "origin": first["folder"], "reason": reason}
    catalogue.add_image(image, [one["id"] for one in files])


def _exclude(catalogue: Catalogue, one: Entry, reason: Reason) -> None:
    catalogue.write("UPDATE files SET outcome = ?, image = NULL WHERE id = ?", [(reason, one["id"])])


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


def _parts(slices: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield the images that a series holds, by the rule above."""
    for alike in _split(slices, _shared):
        for part in _parallel(alike):
            yield from _part_further(part, _PARTING)


def _shared(one: Entry) -> tuple[object, ...]:
    """Return what slices of one image share to the letter; without a series, their folder too."""
    return (*(one[name] for name in _SAME), one["series"] or one["folder"])


def _parallel(slices: Sequence[Entry]) -> list[list[Entry]]:
    """Part slices by direction and spacing, within the tolerance of the gate."""
    found: list[tuple[Vector, list[Entry]]] = []
    for same in _split(slices, itemgetter("orientation", "spacing")):
        grid = np.concatenate([_vector(same[0]["orientation"], 6), _vector(same[0]["spacing"], 2)])
        near = (part for other, part in found if other.shape == grid.shape and (abs(other - grid) <= _TOLERANCE).all())
        part = next(near, None)
        if part is None:
            found.append((grid, same))
        else:
            part += same
    return [part for _, part in found]


def _part_further(slices: list[Entry], names: Sequence[str]) -> Iterator[list[Entry]]:
    if not names or not _repeats(slices):
        yield slices
        return
    for part in _split(slices, itemgetter(names[0])):
        yield from _part_further(part, names[1:])


def _split(slices: Iterable[Entry], key: Callable[[Entry], object]) -> list[list[Entry]]:
    found: dict[object, list[Entry]] = defaultdict(list)
    for one in slices:
        found[key(one)].append(one)
    return list(found.values())


def _repeats(slices: Sequence[Entry]) -> bool:
    places = {tuple(_vector(one["position"], 3).round(_SAME_PLACE_DIGITS) + 0.0) for one in slices}
    return len(places) < len(slices)


def _vector(text: str | None, count: int) -> Vector:
    """Return finite numbers, or none at all."""
    try:
        numbers = np.array([float(part) for part in text.split("\\")]) if text else np.empty(0)
    except ValueError:
        return np.empty(0)
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else np.empty(0)


def _gate(slices: Sequence[Entry]) -> Reason | None:
    """Return why slices are no volume, by what the series reader refuses; None when they are one."""
    first = slices[0]
    kind = (first["image_type"] or "").split("\\")
    if "MOSAIC" in kind:
        return Reason.MOSAIC
    if any("LOCALIZER" in (one["image_type"] or "").split("\\") for one in slices):
        return Reason.LOCALIZER
    if int(first["frames"] or 1) > 1:
        return Reason.UNSUPPORTED_FORMAT
    if int(first["samples"] or 1) != 1 or first["photometric"] not in ("MONOCHROME1", "MONOCHROME2"):
        return Reason.NOT_A_SINGLE_CHANNEL
    planes = [_plane(one) for one in slices]
    if any(not plane.position.size or not plane.orientation.size or not plane.spacing.size for plane in planes):
        return Reason.NO_GEOMETRY
    try:
        stacked(planes)
    except GeometryError:
        return Reason.NO_GEOMETRY
    except StudyError as error:
        return error.reason
    return None


def _plane(one: Entry) -> Plane:
    thickness = _vector(one["thickness"], 1)
    return Plane(
        _vector(one["position"], 3),
        _vector(one["orientation"], 6),
        _vector(one["spacing"], 2),
        float(thickness[0]) if thickness.size else 0.0,
    )


def _flat_gate(one: Entry) -> Reason | None:
    """Return why a projection or capture is not read, by what its reader refuses."""
    if one["kind"] == Kind.FRAMES:
        return None  # its frames state their places after the part of the header that is read here
    if int(one["frames"] or 1) > 1:
        return Reason.SEVERAL_VOLUMES
    if one["photometric"] not in _FLAT_COLOURS:
        return Reason.NOT_A_SINGLE_CHANNEL
    stated = [_vector(one[name], 2) for name in _SPACINGS]
    placed = one["class"] in CAPTURES or any(spacing.size and spacing.min() > 0 for spacing in stated)
    return None if placed else Reason.NO_GEOMETRY


# Files whose names tell images from masks.


def _group_volumes(root: Path, catalogue: Catalogue) -> None:
    """Tell images from masks, folder by folder; where a known convention lays the archive out, by that."""
    kinds = ", ".join(f"'{kind}'" for kind in VOLUMES)
    catalogue.write(f"DELETE FROM images WHERE kind IN ({kinds})", [()])
    catalogue.write(f"UPDATE files SET image = NULL, role = NULL WHERE kind IN ({kinds})", [()])
    drawn_on = _drawn_on(root)
    query = "SELECT id, folder, path, member, kind, reason FROM files "
    query += f"WHERE kind IN ({kinds}) ORDER BY +folder, path, member"
    for folder, files in groupby(catalogue.select(query), key=itemgetter("folder")):
        _group_folder(catalogue, folder, list(files), drawn_on)


def _drawn_on(root: Path) -> dict[str, str]:
    """Return the mask files of a known convention, each with its image's path."""
    try:
        rows = conventional(root)
    except ArchiveError:
        return {}  # its layout is broken: names have to do
    return {
        os.path.relpath(mask.path, root): os.path.relpath(row.image, root) for row in rows or () for mask in row.masks
    }


def _group_folder(catalogue: Catalogue, folder: str, files: Sequence[Entry], drawn_on: dict[str, str]) -> None:
    names = {_stem(one): one for one in files}
    for one in files:
        stem = _stem(one)
        told = mask_name(stem)
        by_rule = None if one["member"] else drawn_on.get(one["path"])
        if by_rule is None and told is None:
            image = {"study": f"{folder}/{stem}", "patient": f"{folder}/{stem}", "kind": one["kind"], "origin": folder}
            image["reason"] = one["reason"]
            catalogue.add_image(image, [one["id"]])
            continue
        beside = [names[stem] for stem in (told[0], f"{told[0]}_image", "image") if stem in names] if told else []
        target = by_rule or next((_place(other) for other in beside if mask_name(_stem(other)) is None), None)
        role = json.dumps({"reader": told[1] if told else UNNAMED_READER, "image": target, "folder": folder})
        catalogue.write("UPDATE files SET role = ?, outcome = NULL WHERE id = ?", [(role, one["id"])])


def _stem(one: Entry) -> str:
    name = PurePosixPath(one["member"] or one["path"]).name
    return _ENDINGS.sub("", name)


def _place(one: Entry) -> str:
    return f"{one['path']}\0{one['member']}" if one["member"] else str(one["path"])


# Masks.


def _match_masks(catalogue: Catalogue) -> None:
    """Put every mask on its usable image, or exclude it."""
    dicom = ", ".join(f"'{kind}'" for kind in MASKS)
    query = f"SELECT * FROM files WHERE reason IS NULL AND (kind IN ({dicom}) OR role IS NOT NULL) ORDER BY id"
    ids = [one["id"] for one in catalogue.select(query.replace("*", "id", 1))]
    for number in ids:
        (mask,) = catalogue.select("SELECT * FROM files WHERE id = ?", number)
        image = _image_of_name(catalogue, mask) if mask["role"] else _image_of_references(catalogue, mask)
        outcome = Reason.OTHER_IMAGE if image is None else "" if _shares_frame(catalogue, mask, image) else _OTHER_FRAME
        image = image if outcome == "" else None
        catalogue.write("UPDATE files SET image = ?, outcome = ? WHERE id = ?", [(image, outcome, number)])


_OTHER_FRAME = Reason.OTHER_FRAME_OF_REFERENCE


def _shares_frame(catalogue: Catalogue, mask: Entry, image: int) -> bool:
    """Tell whether mask and image do not state different frames of reference."""
    (stated,) = catalogue.select("SELECT frame_of_reference FROM images WHERE id = ?", image)
    frames = {mask["frame_of_reference"], stated["frame_of_reference"]} - {None}
    return len(frames) < 2


def _image_of_name(catalogue: Catalogue, mask: Entry) -> int | None:
    """Return the image that a mask's name leads to; without one, the only usable image of its folder."""
    role = json.loads(mask["role"])
    if role["image"]:
        path, _, member = role["image"].partition("\0")
        query = "SELECT images.id FROM files JOIN images ON images.id = files.image WHERE path = ? AND member = ?"
        return _only(catalogue, f"{query} AND images.reason IS NULL", path, member)
    query = "SELECT DISTINCT images.id FROM images WHERE origin = ? AND reason IS NULL LIMIT 2"
    return _only(catalogue, query, role["folder"])


def _image_of_references(catalogue: Catalogue, mask: Entry) -> int | None:
    named = json.loads(mask["refers"] or "{}")
    instances, series = named.get("instances", []), named.get("series", [])
    drawn = (
        "SELECT DISTINCT images.id FROM files JOIN images ON images.id = files.image WHERE images.reason IS NULL AND"
    )
    marks = ", ".join("?" * len(instances))
    found = _some(catalogue, f"{drawn} files.instance IN ({marks}) AND files.role IS NULL LIMIT 2", *instances)
    if instances and not found:
        present = f"SELECT count(*) FROM files WHERE instance IN ({marks})"
        if catalogue.count(present, *instances):
            return None  # its images are here, and none is usable
    if not found and series:
        marks = ", ".join("?" * len(series))
        found = _some(catalogue, f"SELECT id FROM images WHERE reason IS NULL AND series IN ({marks}) LIMIT 2", *series)
    if not found and not series and not instances and mask["frame_of_reference"]:
        query = "SELECT id FROM images WHERE reason IS NULL AND frame_of_reference = ? LIMIT 2"
        found = _some(catalogue, query, mask["frame_of_reference"])
    return found[0] if len(found) == 1 else None


def _some(catalogue: Catalogue, query: str, *values: object) -> list[int]:
    return [one["id"] for one in catalogue.select(query, *values)]


def _only(catalogue: Catalogue, query: str, *values: object) -> int | None:
    found = _some(catalogue, query, *values)
    return found[0] if len(found) == 1 else None
