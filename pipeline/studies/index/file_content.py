"""What the pixels of files tell that may be masks: how many values, whether whole, whether anything is marked.

Names and folders say that a file may be a mask; only its content can say that it is none. Files are decoded in
processes with limits, once, as the readers decode images; the answer is kept in the index. Nothing is decoded that no
name, folder or header makes a candidate.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ArchiveError, StudyError
from pipeline.studies.index.catalogue import Catalogue, Entry
from pipeline.studies.index.headers import Kind
from pipeline.studies.listing.dataset_layouts import conventional
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.mask_names import is_in_mask_folder, mask_path, words_of
from pipeline.studies.readers import BUILT_IN, Readers, read_image
from pipeline.studies.readers.masks.annotations import image_key
from pipeline.studies.readers.masks.label_maps import present
from pipeline.studies.untrusted.workers import DECODING, WorkerPool, isolated_map

__all__ = [
    "derived_patient",
    "drawn_on",
    "file_stem",
    "is_few",
    "is_plainly_few",
    "look_into",
    "says_mask",
    "volume_content",
]

_BATCH = 8  # files a task
_MOST = 1000  # values that are counted
_PART = 4 * 1024**2  # voxels at a time
_LARGEST = 2**31
_WHOLE = 1e-3  # how far from a whole number a label may lie, as for the readers of masks
_FEW = 128  # values of a label map, at most
_PLAINLY_FEW = 16  # values of what is a mask though no name says so
_DERIVED = re.compile(r"(?P<patient>.*\D)_\d{1,2}")
_SAYS_MASK = re.compile(r"(?:^|[^a-z])(?:[a-z]*mask|segmentation)s?(?:[^a-z]|$)", re.IGNORECASE)
_OTHER_ENDING = re.compile(r"\.[A-Za-z]{1,5}$")

Content = dict[str, int | bool]
"""``values``: how many differ; ``whole``: whether all are whole numbers; ``marked``: whether any is not 0."""


def look_into(
    root: Path,
    catalogue: Catalogue,
    *,
    workers: int,
    pool: WorkerPool | None = None,
    readers: Readers = BUILT_IN,
    choice: LayoutChoice = DETECTED,
) -> None:
    """Decode the files that may be masks and have not been looked into yet, and note what they hold."""
    by_rule = drawn_on(root, choice)  # nobody has to look into what a convention says
    files = [(row["id"], row["path"]) for row in _candidates(catalogue, readers) if row["path"] not in by_rule]
    read = partial(_contents, str(root), readers=readers)
    batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
    paths = [[path for _, path in batch] for batch in batches]
    answers = isolated_map(read, paths, workers=workers, limits=DECODING, pool=pool)
    for batch, batch_paths, answer in zip(batches, paths, answers, strict=True):
        contents = _apart(read, batch_paths, workers, pool) if isinstance(answer, StudyError) else answer
        notes = [(json.dumps(content), number) for (number, _), content in zip(batch, contents, strict=True)]
        with catalogue.transaction():
            catalogue.write("UPDATE files SET content = ?, outcome = NULL WHERE id = ?", notes)


def _apart(read: partial[list[Content]], paths: Sequence[str], workers: int, pool: WorkerPool | None) -> list[Content]:
    """Return the contents of a batch that broke its process: now only the file at fault is unknown."""
    alone = isolated_map(read, [[path] for path in paths], workers=workers, limits=DECODING, pool=pool)
    return [{} if isinstance(answer, StudyError) else answer[0] for answer in alone]


def _contents(root: str, paths: Sequence[str], readers: Readers = BUILT_IN) -> list[Content]:
    """Return what files hold, nothing for one that cannot be read; runs in a worker."""
    contents = []
    for path in paths:
        try:
            contents.append(volume_content(read_image(Path(root) / path, readers=readers).volume.array))
        except StudyError:
            contents.append({})
    return contents


def drawn_on(root: Path, choice: LayoutChoice = DETECTED) -> dict[str, str]:
    """Return the mask files of a known convention, each with its image's path."""
    try:
        rows = conventional(root, None, choice)
    except ArchiveError:
        return {}  # its layout is broken: names have to do
    return {
        os.path.relpath(mask.path, root): os.path.relpath(row.image, root) for row in rows or () for mask in row.masks
    }


def volume_content(array: NDArray[np.floating]) -> Content:
    """Return what an array holds, a part of it at a time; beyond a thousand values nothing is counted."""
    flat, values = array.ravel(order="K"), set[int]()
    for start in range(0, flat.size, _PART):
        part = flat[start : start + _PART]
        whole = np.rint(part)
        if not np.isfinite(part).all() or (np.abs(whole - part) > _WHOLE).any() or np.abs(whole).max() >= _LARGEST:
            return {"values": min(len(np.unique(part)), _MOST), "whole": False, "marked": True}
        numbers = whole.astype(np.int64)
        values |= present(numbers) | ({0} if (numbers == 0).any() else set())
        if len(values) >= _MOST:
            break
    return {"values": min(len(values), _MOST), "whole": True, "marked": bool(values - {0})}


def is_few(content: str | None) -> bool | None:
    """Tell whether a file's values are those of a mask; None when nobody has looked, or nobody could."""
    known: Content = json.loads(content or "{}")
    return bool(known["whole"]) and known["values"] <= _FEW if known else None


def is_plainly_few(content: str | None) -> bool:
    """Tell whether a file's values are those of a mask without a doubt."""
    known: Content = json.loads(content or "{}")
    return bool(known) and bool(known["whole"]) and known["values"] <= _PLAINLY_FEW


def _candidates(catalogue: Catalogue, readers: Readers) -> Iterator[Entry]:
    kinds = ", ".join(f"'{kind}'" for kind in readers.told_by_name)
    query = (
        f"SELECT id, folder, path, member, content FROM files WHERE kind IN ({kinds}) AND reason IS NULL "
        "AND member = '' ORDER BY +folder, path"
    )
    for folder, files in groupby(catalogue.select(query), key=itemgetter("folder")):
        yield from _of_folder(folder, list(files), readers.study_endings)
    query = (
        "SELECT id, path, patient, description, content FROM files WHERE kind = ? AND reason IS NULL "
        "AND fault IS NULL AND member = '' AND content IS NULL"
    )
    known = catalogue.select("SELECT DISTINCT patient FROM files WHERE kind = ? AND patient <> ''", Kind.PROJECTION)
    patients = {row["patient"] for row in known}
    captures = catalogue.select(query, Kind.PROJECTION)
    yield from (file for file in captures if says_mask(file) or derived_patient(file["patient"]) in patients)
    yield from _middle_slices(catalogue)


def _middle_slices(catalogue: Catalogue) -> Iterator[Entry]:
    """Yield a slice of each series that lies in a folder of masks: the middle one tells whether it holds few values."""
    which = "kind = ? AND reason IS NULL AND fault IS NULL AND member = ''"
    query = f"SELECT folder, series, count(*) AS n, count(content) AS known FROM files WHERE {which} GROUP BY 1, 2"
    middle = f"SELECT id, path FROM files WHERE {which} AND folder = ? AND series IS ? ORDER BY path LIMIT 1 OFFSET ?"
    for part in catalogue.select(query, Kind.SLICE):
        if not part["known"] and is_in_mask_folder(part["folder"]):
            yield from catalogue.select(middle, Kind.SLICE, part["folder"], part["series"], part["n"] // 2)


def _of_folder(folder: str, files: Sequence[Entry], endings: Sequence[str]) -> Iterator[Entry]:
    """Yield the files that their paths call masks, and those that bear the name of another one in further words."""
    alike: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for file in files:
        stem = file_stem(file, endings)
        if mask_path(folder, stem):
            yield from _unread((file,))
        else:
            alike[tuple(words_of(stem))].append(file)
    for together in alike.values():
        if len(together) > 1:
            yield from _unread(together)


def _unread(files: Iterable[Entry]) -> Iterator[Entry]:
    return (file for file in files if file["content"] is None)


def file_stem(file: Entry, endings: Sequence[str]) -> str:
    """Return a file's name without the ending that it bears of these, or without any other."""
    name = re.split(r"[/\\]", file["member"] or file["path"])[-1]
    stem = image_key(name, endings)
    return _OTHER_ENDING.sub("", name) if stem == name else stem


def says_mask(file: Entry) -> bool:
    """Tell whether a DICOM picture's series, or its folder, is called a mask."""
    folders = re.split(r"[/\\]", file["path"])[:-1]
    return any(_SAYS_MASK.search(text or "") for text in (file["description"], *folders))


def derived_patient(patient: str | None) -> str | None:
    """Return the patient of which a numbered one is a part, as CBIS-DDSM numbers findings: P_1 is a part of P."""
    match = _DERIVED.fullmatch(patient or "")
    return match["patient"] if match else None
