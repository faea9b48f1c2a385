"""TotalSegmentator's data sets: a folder a subject, with ``ct`` or ``mri`` and a file a structure in ``segmentations``.

A structure is a label by its file's name. One that other subjects have and this one has not is a mask whose file is
missing, not a structure that is absent: its fault is told. A subject without an image is a study that fails.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.studies.listing.by_file_name import UNNAMED_READER
from pipeline.studies.listing.layouts.layout import Folder, Layout, LayoutChoice, stem_of, visible, volumes
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers.images.nifti import FACTS as NIFTI

__all__ = ["TOTAL_SEGMENTATOR"]

_SUBJECT = re.compile(r"s\d{3,6}")
_IMAGES = tuple(f"{name}{ending}" for name in ("ct", "mri") for ending in NIFTI.endings[:2])
_MASKS, _TABLE, _TABLE_CAP = "segmentations", "meta.csv", 16 * 1024**2
_STRATA = {"split": ("train", "val", "test"), "gender": ("m", "f")}


def _is_here(folder: Folder) -> bool:
    subjects = (path for path in folder.folders if _SUBJECT.fullmatch(path.name))
    return any(_image(path) is not None and (path / _MASKS).is_dir() for path in subjects)


def _image(subject: Path) -> Path | None:
    return next((subject / name for name in _IMAGES if (subject / name).is_file()), None)


def _rows(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:  # noqa: ARG001 - one image a subject
    real_root, where = root.resolve(), f"{root}: a file"
    subjects = [path for path in visible(root).folders if _SUBJECT.fullmatch(path.name)]
    images = {path: _image(path) for path in subjects}
    drawn = {path: volumes(inside(real_root, path / _MASKS, where)) for path in subjects}  # of its links, too
    structures = {stem_of(mask): mask.name for masks in drawn.values() for mask in masks}
    usual = next((image.name for image in images.values() if image), _IMAGES[0])
    strata = _strata(root / _TABLE)
    for path in subjects:
        own = {stem_of(mask): mask for mask in drawn[path]}
        masks = tuple(
            MaskSource(UNNAMED_READER, name, own.get(name, path / _MASKS / file))
            for name, file in sorted(structures.items())
            if own
        )
        image = inside(real_root, images[path] or path / usual, where)
        yield StudyRow(path.name, path.name, image, masks, None, strata.get(path.name, {}))


def _strata(table: Path) -> Mapping[str, Mapping[str, str]]:
    """Return what the data set's table says of each subject, as far as it is one of the values that are known.

    Ages, institutes and diagnoses stay where they are: together they may tell who somebody is.
    """
    if not table.is_file() or table.stat().st_size > _TABLE_CAP:
        return {}
    text = table.read_text(encoding="utf-8-sig", errors="replace")
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=";", restval="")
    return {
        (line.get("image_id") or "").strip(): {
            name: value for name, known in _STRATA.items() if (value := (line.get(name) or "").strip()) in known
        }
        for line in lines
    }


TOTAL_SEGMENTATOR = Layout("totalsegmentator", "TotalSegmentator", _is_here, _rows)
