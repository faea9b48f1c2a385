"""Files into images, and masks onto their images; every file gets an outcome: used, or excluded by a reason.

The slices of a DICOM series are one image, several, or none, by the rule of ``series_parts``. Every other image is a
file by itself.

Which of the other files are masks is told by ``mask_files``, whose a mask is by ``pair_masks``.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.detached_voxels import settle_voxels
from pipeline.studies.index.headers import Kind
from pipeline.studies.index.mask_files import group_captures, group_label_series, group_volumes
from pipeline.studies.index.pair_masks import match_masks
from pipeline.studies.index.pair_regions import pair_regions, set_texts_aside
from pipeline.studies.index.series_parts import images_of
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.readers import BUILT_IN, Readers

__all__ = ["group"]

_LARGEST_SERIES = 20_000  # slices: a whole one is held while it is grouped
_IMAGES = (Kind.SLICE, Kind.MOSAIC, Kind.PROJECTION, Kind.FRAMES)
_DAMAGED = (Reason.NOT_READABLE, Reason.TRUNCATED)
_WITHOUT_FILES = "DELETE FROM images WHERE id NOT IN (SELECT image FROM files WHERE image IS NOT NULL)"
# masks among the series and captures, and what is cut out of others, may be so no more
_MASKS_ANEW = (
    "UPDATE files SET outcome = NULL, role = NULL, image = NULL "
    "WHERE kind IN (?, ?) AND (role IS NOT NULL OR kind = ? AND outcome = ?)"
)


def group(root: Path, catalogue: Catalogue, readers: Readers = BUILT_IN, choice: LayoutChoice = DETECTED) -> None:
    """Group what has changed since the last time; all of it is kept, or nothing."""
    with catalogue.transaction():
        _group_dicom(root, catalogue)
        group_volumes(root, catalogue, readers, choice)
        catalogue.write(_WITHOUT_FILES, [()])
        group_captures(catalogue)
        group_label_series(catalogue)
        _settle_refused(catalogue)
        catalogue.write(_WITHOUT_FILES, [()])
        pair_regions(catalogue, readers.study_endings)
        match_masks(catalogue, readers.study_endings)
        set_texts_aside(catalogue)
        settle_voxels(catalogue, readers)
        catalogue.decided(repr(choice))


def _settle_refused(catalogue: Catalogue) -> None:
    catalogue.write("UPDATE files SET outcome = reason WHERE outcome IS NULL AND reason IS NOT NULL", [()])
    catalogue.write("UPDATE files SET outcome = '' WHERE outcome IS NULL AND kind = ?", [(Kind.ARCHIVE,)])


def _group_dicom(root: Path, catalogue: Catalogue) -> None:
    """Group the series that hold an undecided image, each as a whole."""
    kinds = ", ".join(f"'{kind}'" for kind in _IMAGES)
    catalogue.write(_MASKS_ANEW, [(Kind.SLICE, Kind.PROJECTION, Kind.PROJECTION, Reason.DUPLICATE)])
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
