"""LUNA16: ``subset0`` to ``subset9`` of MetaImage files, lungs in ``seg-lungs-LUNA16``, nodules in ``annotations.csv``.

A scan that the table does not list was looked at and has no nodule. The table's spheres are masks of their own
(``readers.masks.spheres``). Of the lung maps, 3 and 4 are the two lungs and 5 is the trachea.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.studies.listing.by_file_name import UNNAMED_READER
from pipeline.studies.listing.layouts.layout import Folder, Layout, LayoutChoice, stem_of, visible, volumes
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers.images.meta_image import FACTS as METAIMAGE
from pipeline.studies.readers.masks.spheres import listed_images

__all__ = ["LUNA"]

_SUBSET = re.compile(r"subset\d+")
_LUNGS = "seg-lungs-LUNA16"
_TABLES = ("annotations.csv", "CSVFILES/annotations.csv")
_PARTS = (("lung", 3), ("lung", 4), ("trachea", 5))


def _is_here(folder: Folder) -> bool:
    return any(_SUBSET.fullmatch(path.name) and _scans(path) for path in folder.folders)


def _scans(folder: Path) -> list[Path]:
    return [path for path in volumes(folder) if METAIMAGE.bears(path)]


def _rows(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:  # noqa: ARG001 - one image a subject
    real_root, where = root.resolve(), f"{root}: a file"
    table = next((root / name for name in _TABLES if (root / name).is_file()), None)
    listed = frozenset() if table is None else listed_images(inside(real_root, table, where))
    lungs = {stem_of(path): path for path in _scans(root / _LUNGS)}
    for subset in (path for path in visible(root).folders if _SUBSET.fullmatch(path.name)):
        for path in _scans(subset):
            name = stem_of(path)
            masks = _lung_masks(inside(real_root, lungs.get(name, root / _LUNGS / path.name), where)) if lungs else ()
            if table is not None and name in listed:
                masks += (MaskSource(UNNAMED_READER, "nodule", table),)
            reference = None if table is None else ("nodule",) if name in listed else ()
            yield StudyRow(name, name, inside(real_root, path, where), masks, reference, {})


def _lung_masks(path: Path) -> tuple[MaskSource, ...]:
    return tuple(MaskSource(UNNAMED_READER, label, path, value) for label, value in _PARTS)


LUNA = Layout("luna16", "LUNA16", _is_here, _rows)
