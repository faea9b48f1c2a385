"""Which files without a word about it in their headers are masks: by a convention, their paths, or what they hold.

NIfTI, NRRD and pictures are masks when a known layout, their name or their folder says so; or when they bear the name
of another file in further words, lie on its grid and hold few whole values (``case1.nii``, ``case1_tumour.nii``). A
file that only its folder calls a mask, that fits no image and that holds many values is an image (``match_masks``).
DICOM pictures are masks when their series, folder or patient's ID says so and they hold two values; a DICOM series is
one when it lies in a folder of masks and holds few.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.detached_voxels import check_voxels
from pipeline.studies.index.file_content import derived_patient, drawn_on, file_stem, is_few, is_plainly_few, says_mask
from pipeline.studies.index.headers import Kind
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.mask_names import UNNAMED_READER, kept_apart, mask_path, words_of
from pipeline.studies.readers import Readers

__all__ = ["add_volume", "group_captures", "group_label_series", "group_volumes"]


@dataclass(frozen=True)
class _Naming:
    """What masks are drawn on by a known convention, and the endings of files' names."""

    drawn_on: Mapping[str, str]
    endings: Sequence[str]


def group_volumes(root: Path, catalogue: Catalogue, readers: Readers, choice: LayoutChoice = DETECTED) -> None:
    """Tell images from masks, folder by folder; where a known convention lays the archive out, by that."""
    kinds = ", ".join(f"'{kind}'" for kind in readers.told_by_name)
    catalogue.write(f"DELETE FROM images WHERE kind IN ({kinds})", [()])
    catalogue.write(f"UPDATE files SET image = NULL, role = NULL, fault = NULL WHERE kind IN ({kinds})", [()])
    check_voxels(catalogue, kinds)
    naming = _Naming(drawn_on(root, choice), readers.study_endings)
    query = "SELECT id, folder, path, member, kind, coalesce(reason, fault) AS reason, content, shape FROM files "
    query += f"WHERE kind IN ({kinds}) ORDER BY +folder, path, member"
    for folder, files in groupby(catalogue.select(query), key=itemgetter("folder")):
        _group_folder(catalogue, folder, list(files), naming)


def _group_folder(catalogue: Catalogue, folder: str, files: Sequence[Entry], naming: _Naming) -> None:
    stems = {file["id"]: file_stem(file, naming.endings) for file in files}
    mixed = not kept_apart(list(stems.values()), folder)
    roles: dict[int, dict[str, object]] = {}
    for file in files:
        by_rule = None if file["member"] else naming.drawn_on.get(file["path"])
        path = mask_path(folder, stems[file["id"]], by_name_only=mixed)
        if by_rule is not None:
            roles[file["id"]] = {"reader": UNNAMED_READER, "by": "layout", "image": by_rule}
        elif path is not None:
            roles[file["id"]] = {"reader": path.reader, "by": path.by, "mixed": mixed}
    rest = [file for file in files if file["id"] not in roles]
    for file, image in _by_content(rest, stems):
        roles[file["id"]] = {"reader": UNNAMED_READER, "by": "content", "image": _place(image)}
    for file in files:
        if file["id"] in roles:
            role = json.dumps(roles[file["id"]] | {"stem": stems[file["id"]]})
            catalogue.write("UPDATE files SET role = ?, outcome = NULL WHERE id = ?", [(role, file["id"])])
        else:
            add_volume(catalogue, file, stems[file["id"]])


def add_volume(catalogue: Catalogue, file: Entry, stem: str) -> None:
    """Enter a file as an image of a study of its own."""
    name = f"{file['folder']}/{stem}"
    image = {"study": name, "patient": name, "kind": file["kind"], "origin": file["folder"], "reason": file["reason"]}
    catalogue.add_image(image, [file["id"]])


def _by_content(files: Sequence[Entry], stems: Mapping[int, str]) -> Iterator[tuple[Entry, Entry]]:
    """Yield the files that are plainly masks of the only image of their name in fewer words, with that image."""
    alike: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for file in files:
        alike[tuple(words_of(stems[file["id"]]))].append(file)
    for together in alike.values():
        masks = [file for file in together if is_plainly_few(file["content"])]
        images = [file for file in together if is_few(file["content"]) is False]
        if len(images) == 1:
            yield from ((mask, images[0]) for mask in masks if mask["shape"] and mask["shape"] == images[0]["shape"])


def _place(file: Entry) -> str:
    return f"{file['path']}\0{file['member']}" if file["member"] else str(file["path"])


def group_captures(catalogue: Catalogue) -> None:
    """Tell masks among DICOM pictures, and set aside what is cut out of another one.

    CBIS-DDSM numbers the findings of an image's patient (``P_1``, ``P_2`` of ``P``): each has a mask of the image's
    size and a crop.
    """
    query = "SELECT * FROM files WHERE kind = ? AND image IS NOT NULL AND content IS NOT NULL AND reason IS NULL"
    files = list(catalogue.select(query, Kind.PROJECTION))
    masked: set[str] = set()
    for file in files:
        patient = _whole_patient(catalogue, file)
        if _is_two_valued(file) and (patient or says_mask(file)):
            about = {"reader": UNNAMED_READER, "by": "patient" if patient else "folder", "part": patient is not None}
            role = json.dumps(about | {"patient": patient, "stem": file_stem(file, ()), "mixed": False})
            catalogue.write(
                "UPDATE files SET role = ?, image = NULL, outcome = NULL WHERE id = ?", [(role, file["id"])]
            )
            masked |= {file["patient"]} if patient else set()
    crops = [file["id"] for file in files if file["patient"] in masked and not _is_two_valued(file)]
    catalogue.write(
        "UPDATE files SET image = NULL, outcome = ? WHERE id = ?", [(Reason.DUPLICATE, number) for number in crops]
    )


def _whole_patient(catalogue: Catalogue, file: Entry) -> str | None:
    """Return the patient of whom a file's is a numbered part, when there are pictures of that one."""
    patient = derived_patient(file["patient"])
    return patient if patient is not None and catalogue.count(_IS_THERE, patient, Kind.PROJECTION) else None


def _is_two_valued(file: Entry) -> bool:
    known = json.loads(file["content"])
    return bool(known) and bool(known["whole"]) and known["values"] <= 2


def group_label_series(catalogue: Catalogue) -> None:
    """Take a series that lies in a folder of masks for a mask, when it holds few values, as its middle slice tells.

    All its slices bear one role; ``series`` tells which belong together.
    """
    query = "SELECT id, origin FROM images WHERE kind = ? AND reason IS NULL"
    for image in list(catalogue.select(query, Kind.SLICE)):
        above, _, name = image["origin"].rpartition("/")
        path = mask_path(above, name) or mask_path(image["origin"], "")
        if path is None or path.by != "folder":
            continue
        files = list(catalogue.select("SELECT id, content FROM files WHERE image = ? ORDER BY path", image["id"]))
        if is_few(next((file["content"] for file in files if file["content"]), None)):
            about = {"reader": path.reader, "by": "folder", "stem": name, "mixed": False, "folder": above}
            role = json.dumps(about | {"series": image["id"]})
            rows = [(role, file["id"]) for file in files]
            catalogue.write("UPDATE files SET role = ?, image = NULL, outcome = NULL WHERE id = ?", rows)


_IS_THERE = "SELECT EXISTS (SELECT 1 FROM images WHERE patient = ? AND kind = ?)"
