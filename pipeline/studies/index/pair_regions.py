"""Whose regions are that name their image by its file, or not at all: the image beside them, or where images lie.

A name that a file states counts, and no other; a file that states none belongs to the image whose name it bears. What
names DICOM instances is settled by those (``pair_masks``). A text that is no one's is a text.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from pipeline.errors import Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.file_content import file_stem
from pipeline.studies.index.headers import Kind
from pipeline.studies.listing.mask_names import UNNAMED_READER, mask_path
from pipeline.studies.readers.masks.annotations import image_key

__all__ = ["pair_regions", "set_texts_aside"]

_IMAGES = (
    "SELECT files.id, files.path, files.member, files.folder FROM files "
    "JOIN images ON images.id = files.image WHERE images.files = 1 AND files.role IS NULL AND files.member = ''"
)


def pair_regions(catalogue: Catalogue, endings: Sequence[str]) -> None:
    """Give every file of regions that names no instance the role that leads to its image, if there is one."""
    anew = "UPDATE files SET role = NULL, image = NULL, outcome = NULL WHERE kind = ? AND reason IS NULL"
    catalogue.write(anew, [(Kind.REGIONS,)])
    query = "SELECT id, path, member, folder, refers FROM files WHERE kind = ? AND reason IS NULL"
    regions = [(file, json.loads(file["refers"])) for file in catalogue.select(query, Kind.REGIONS)]
    unnamed = [(file, refers) for file, refers in regions if "name" in refers]
    if not unnamed:
        return
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for image in catalogue.select(_IMAGES):
        by_name[file_stem(image, endings).lower()].append(image)
    for file, refers in unnamed:
        stated = image_key(refers["name"], endings)
        role = _role(file, stated or file_stem(file, endings), by_name, is_stated=bool(stated))
        if role is not None:
            catalogue.write("UPDATE files SET role = ? WHERE id = ?", [(json.dumps(role), file["id"])])


def set_texts_aside(catalogue: Catalogue) -> None:
    """Call a text that reads like regions, and is no image's, no image: it may be any table of numbers."""
    vague = "kind = ? AND reason IS NULL AND image IS NULL AND json_extract(refers, '$.vague')"
    catalogue.write(f"UPDATE files SET role = NULL, outcome = ? WHERE {vague}", [(Reason.NOT_AN_IMAGE, Kind.REGIONS)])


def _role(file: Entry, name: str, by_name: dict[str, list[Entry]], *, is_stated: bool) -> dict[str, object] | None:
    images = by_name.get(name.lower(), [])
    role: dict[str, object] = {"reader": UNNAMED_READER, "by": "reference" if is_stated else "name", "stem": name}
    beside = [image for image in images if image["folder"] == file["folder"]]
    if len(beside) == 1 or (is_stated and not beside and len(images) == 1):
        (image,) = beside or images
        return role | {"image": image["path"]}
    if not images or beside or mask_path(file["folder"], name) is None:
        return None
    return role | {"by": "folder", "mixed": False}
