"""Whose a mask is.

A SEG or RTSTRUCT belongs to the image whose instances it names; else to the only usable image of the series that it
names; else to the only usable one in its frame of reference. Any other mask belongs to the image whose name it bears,
nearest in the folders where images of such a mask lie (``mask_names``); where two lie as near, to neither.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.errors import Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.file_content import file_stem, is_few
from pipeline.studies.index.headers import Kind
from pipeline.studies.index.mask_files import add_volume
from pipeline.studies.listing.mask_names import (
    FARTHEST,
    UNNAMED_READER,
    MaskPath,
    image_keys,
    mask_path,
    names_image,
    numbered,
    tier_of,
)

__all__ = ["match_masks"]

_OBJECTS = (Kind.SEGMENTATION, Kind.STRUCTURES, Kind.REGIONS)
_NAMES = (
    "DROP TABLE IF EXISTS temp.named",
    "CREATE TEMP TABLE named (key TEXT, folder TEXT, rank INTEGER, image INTEGER)",
    "CREATE INDEX temp.named_key ON named (key, folder)",
)
_NAMED = (
    "SELECT images.id, images.origin, images.files, files.path, files.member, files.kind FROM images "
    "JOIN files ON files.image = images.id WHERE files.role IS NULL GROUP BY images.id"
)

_Role = dict[str, Any]


def match_masks(catalogue: Catalogue, endings: Sequence[str]) -> None:
    """Put every mask on its usable image, or exclude it."""
    dicom = ", ".join(f"'{kind}'" for kind in _OBJECTS)
    query = f"SELECT id FROM files WHERE reason IS NULL AND kind IN ({dicom}) OR role IS NOT NULL ORDER BY id"
    ids = [row["id"] for row in catalogue.select(query)]
    if catalogue.count("SELECT EXISTS (SELECT 1 FROM files WHERE role IS NOT NULL)"):
        _name_images(catalogue, endings)
    for number in ids:
        (mask,) = catalogue.select("SELECT * FROM files WHERE id = ?", number)
        if mask["role"]:
            _settle_by_name(catalogue, mask, endings)
        else:
            _settle(catalogue, mask, _image_of_references(catalogue, mask))


def _settle(catalogue: Catalogue, mask: Entry, image: int | None) -> None:
    other_frame = Reason.OTHER_FRAME_OF_REFERENCE
    outcome = Reason.OTHER_IMAGE if image is None else "" if _shares_frame(catalogue, mask, image) else other_frame
    outcome = mask["fault"] if mask["role"] and mask["fault"] else outcome
    image = image if outcome == "" else None
    catalogue.write("UPDATE files SET image = ?, outcome = ? WHERE id = ?", [(image, outcome, mask["id"])])


def _shares_frame(catalogue: Catalogue, mask: Entry, image: int) -> bool:
    """Tell whether mask and image do not state different frames of reference."""
    (stated,) = catalogue.select("SELECT frame_of_reference FROM images WHERE id = ?", image)
    frames = (mask["frame_of_reference"] or "").split("\\")
    return frames == [""] or stated["frame_of_reference"] in (None, *frames)


# By names.


def _name_images(catalogue: Catalogue, endings: Sequence[str]) -> None:
    """Make the table of the names that images may be called by; a series is called by its folder too."""
    for statement in _NAMES:
        catalogue.write(statement, [()])
    images = list(catalogue.select(_NAMED))
    catalogue.write(
        "INSERT INTO named VALUES (?, ?, ?, ?)",
        (row for image in images for row in _names_of(image, endings)),
    )


def _names_of(image: Entry, endings: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
    places: list[tuple[str, str]] = []
    if image["files"] == 1:
        places.append((image["origin"], file_stem(image, endings)))
    if image["kind"].startswith("dicom"):
        above, _, folder = image["origin"].rpartition("/")
        places.append((above, folder))
    for folder, stem in places:
        yield from ((key.name, folder, key.rank, image["id"]) for key in image_keys(stem))


def _settle_by_name(catalogue: Catalogue, mask: Entry, endings: Sequence[str]) -> None:
    """Put a mask on the image that its name leads to; its role then tells how, and whether it is one of several."""
    role: _Role = json.loads(mask["role"])
    image, more = _image_of(catalogue, mask, role, endings)
    if image is None and role["by"] == "folder" and "series" not in role and is_few(mask["content"]) is False:
        catalogue.write("UPDATE files SET role = NULL WHERE id = ?", [(mask["id"],)])
        add_volume(catalogue, mask | {"reason": mask["reason"] or mask["fault"]}, role["stem"])
        return
    catalogue.write("UPDATE files SET role = ? WHERE id = ?", [(json.dumps(role | more), mask["id"])])
    usable = image is not None and catalogue.count(_USABLE, image)
    if mask["reason"]:
        lost = json.dumps(role | more | {"lost": image if usable else None})
        catalogue.write("UPDATE files SET role = ?, outcome = reason WHERE id = ?", [(lost, mask["id"])])
        return
    _settle(catalogue, mask, image if usable else None)


_USABLE = "SELECT EXISTS (SELECT 1 FROM images WHERE id = ? AND reason IS NULL)"


def _image_of(
    catalogue: Catalogue, mask: Entry, role: _Role, endings: Sequence[str]
) -> tuple[int | None, dict[str, object]]:
    """Return the image that a mask's role leads to, and what is to be noted with the role."""
    if "image" in role:
        path, _, member = role["image"].partition("\0")
        query = "SELECT images.id FROM files JOIN images ON images.id = files.image WHERE path = ? AND member = ?"
        return _only(catalogue, query, path, member), {}
    if role["by"] == "patient":
        query = "SELECT id FROM images WHERE patient = ? AND kind = ? AND id IN (SELECT image FROM files WHERE "
        query += "rows = ? AND columns = ? AND role IS NULL)"
        return _only(catalogue, query, role["patient"], Kind.PROJECTION, mask["rows"], mask["columns"]), {}
    path_of = mask_path(str(role.get("folder", mask["folder"])), role["stem"], by_name_only=role["mixed"])
    if path_of is None:
        return None, {}
    image, more = _image_of_path(catalogue, path_of)
    if image is None and not more:
        return _only_image(catalogue, path_of, endings), {"words": True}
    return image, more


def _image_of_path(catalogue: Catalogue, mask: MaskPath) -> tuple[int | None, dict[str, object]]:
    """Return the nearest image that bears a mask's name; none, with a note, where two are as near."""
    for key, inner, is_part in mask.keys:
        near: dict[tuple[int, int], set[int]] = defaultdict(set)
        for row in _bearing(catalogue, key, mask):
            tier = tier_of(mask, inner, row["folder"])
            if tier is not None:
                near[tier, row["rank"]].add(row["image"])
        if near and is_part and _are_numbered(catalogue, key):
            return None, {"part": False}
        if near:
            images = near[min(near)]
            more: dict[str, object] = {"part": is_part, "far": min(near)[0] == FARTHEST, "words": key.startswith("\0")}
            if key == mask.reader.lower():
                more["reader"] = UNNAMED_READER  # what stood behind the mask's word is the study's name
            return (next(iter(images)) if len(images) == 1 else None), more
    return None, {}


def _are_numbered(catalogue: Catalogue, name: str) -> bool:
    """Tell whether images are called so and numbered: the mask of one that is absent is no part of another one's."""
    rows = catalogue.select("SELECT key FROM named WHERE key > ? AND key < ? AND rank = 0", name, f"{name}\x7f")
    return any(numbered(name).fullmatch(row["key"]) for row in rows)


def _bearing(catalogue: Catalogue, key: str, mask: MaskPath) -> Iterator[Entry]:
    base = mask.base if mask.by == "folder" else mask.base.rpartition("/")[0]
    if not base:
        return catalogue.select("SELECT * FROM named WHERE key = ?", key)
    query = "SELECT * FROM named WHERE key = ? AND (folder = ? OR folder >= ? AND folder < ?)"
    return catalogue.select(query, key, base, f"{base}/", f"{base}0")  # "0" follows "/"


def _only_image(catalogue: Catalogue, mask: MaskPath, endings: Sequence[str]) -> int | None:
    """Return the only usable image of a mask's folder, when what the mask's name tells of may be that one."""
    query = (
        "SELECT images.id, images.origin, files.path, files.member FROM images JOIN files ON files.image = images.id "
        "WHERE images.reason IS NULL AND files.role IS NULL AND {} GROUP BY images.id LIMIT 2"
    )
    if mask.by == "name":
        images = list(catalogue.select(query.format("images.origin = ?"), mask.base))
    else:
        within = "(images.origin = ? OR images.origin >= ? AND images.origin < ?)"
        base = mask.base
        images = list(catalogue.select(query.format(within), base, f"{base}/", f"{base}0")) if base else []
    if len(images) != 1 or not names_image(mask.study, file_stem(images[0], endings), mask.base):
        return None
    near = tier_of(mask, mask.inner, images[0]["origin"])
    return int(images[0]["id"]) if near is not None and near < FARTHEST else None


# By references.


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
