"""Studies found by their file names, where there is no manifest.

A study is one of:

- a sub-folder with an image, ``image.<ending>`` or a folder ``image/`` or ``dicom/`` of DICOM slices, and any
  number of masks ``mask.<ending>`` or ``mask_<reader>.<ending>``;
- files beside each other: ``<study>.<ending>`` or ``<study>_image.<ending>``, and any number of masks
  ``<study>_mask.<ending>``, ``<study>_mask_<reader>.<ending>`` or ``<study>.seg.nrrd``.

``seg`` may stand for ``mask``. The endings are those that the readers declare, some of them for masks alone; hidden
files are passed over. A sub-folder's file with such an ending (but a picture, which may be a preview) and another name
refuses the archive: a mask passed over would make its study a negative. A mask without an image, or as
JPEG, is a study all the same: it fails when it is read, and is counted. The patient is the study. Beside ``x_mask``,
``x_mask_1`` and ``x_mask_2`` are no further readers but parts of it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ArchiveError
from pipeline.studies.listing.mask_names import UNNAMED_READER, is_next_part
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers import BUILT_IN, Readers

__all__ = ["UNNAMED_READER", "check_readers", "discover"]

_SLICES = ("image", "dicom")


@dataclass(frozen=True)
class _Names:
    """How the files of a study are called, by the endings that the readers declare."""

    readers: Readers
    mask_inside: re.Pattern[str]
    mask_beside: re.Pattern[str]
    segments_beside: re.Pattern[str]
    image_inside: re.Pattern[str]
    image_beside: re.Pattern[str]
    any_of_a_study: re.Pattern[str]

    def is_unknown(self, path: Path) -> bool:
        """Tell whether a file in a study's folder bears such an ending, and cannot be a preview."""
        return self.any_of_a_study.fullmatch(path.name) is not None and not self.readers.may_be_preview(path)


def _names_by(readers: Readers) -> _Names:
    ending = _any_of(readers.study_endings)
    of_masks = _any_of(ending for facts in readers.facts for ending in facts.mask_endings)
    mask = rf"(?:mask|seg)(?:_(?P<reader>.+?))?{ending}"
    patterns = (
        mask,
        rf"(?P<study>.+)_{mask}",
        rf"(?P<study>.+)(?P<reader>){of_masks}",
        rf"image{_any_of(readers.image_endings)}",
        rf"(?P<study>.+?)(?:_image)?{ending}",
        rf".*{ending}",
    )
    return _Names(readers, *(re.compile(pattern, re.IGNORECASE) for pattern in patterns))


def _any_of(endings: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, endings), key=len, reverse=True))})"


@dataclass
class _Found:
    images: list[Path] = field(default_factory=list)
    masks: list[tuple[str, Path]] = field(default_factory=list)
    unknown: int = 0

    def is_double(self) -> bool:
        readers = {reader for reader, _ in self.masks}
        return len(self.images) > 1 or len(readers) < len(self.masks)


def discover(root: Path, label: str | None, readers: Readers = BUILT_IN) -> tuple[StudyRow, ...]:
    """Return the studies under ``root`` by name; with ``label``, those with a mask have it, the others none.

    Raises:
        ArchiveError: when ``root`` cannot be listed, a path leads out of it, a study has two images or two
            masks of one reader, or a study's folder holds a file that is neither; as ``check_readers``.
    """
    try:
        studies = _studies(root, _names_by(readers))
    except OSError as error:
        raise ArchiveError(f"{root}: cannot be read: {error.strerror}") from error
    doubled = sum(study.is_double() for study in studies.values())
    if doubled:
        raise ArchiveError(f"{root}: {doubled} of {len(studies)} studies have two images, or two masks of one reader")
    unknown = sum(study.unknown for study in studies.values())
    if unknown:
        message = f"{root}: {unknown} files in studies' folders are named neither image nor mask; use a manifest"
        message += ", as camaudit scan --write-manifest makes one"
        raise ArchiveError(message)
    check_readers(root, (reader for study in studies.values() for reader, _ in study.masks))
    real_root = root.resolve()
    return tuple(_row(real_root, root, name, studies[name], label) for name in sorted(studies))


def check_readers(root: Path, readers: Iterable[str]) -> None:
    """Refuse names that a colon makes something else: a reader's label, or a consensus.

    Raises:
        ArchiveError: as said.
    """
    wrong = sum(":" in reader for reader in readers)
    if wrong:
        raise ArchiveError(f"{root}: {wrong} masks state a reader whose name holds a colon; rename them")


def _studies(root: Path, names: _Names) -> dict[str, _Found]:
    studies: dict[str, _Found] = defaultdict(_Found)
    for entry in _visible(root):
        if entry.is_dir():
            _add_folder(studies, entry, names)
        elif match := names.mask_beside.fullmatch(entry.name) or names.segments_beside.fullmatch(entry.name):
            studies[match["study"]].masks.append((match["reader"] or UNNAMED_READER, entry))
        elif match := names.image_beside.fullmatch(entry.name):
            studies[match["study"]].images.append(entry)
    return studies


def _add_folder(studies: dict[str, _Found], folder: Path, names: _Names) -> None:
    images, masks, unknown = [], [], 0
    for entry in _visible(folder):
        if entry.is_dir():
            images += [entry] if entry.name.lower() in _SLICES else []
        elif match := names.mask_inside.fullmatch(entry.name):
            masks.append((match["reader"] or UNNAMED_READER, entry))
        elif names.image_inside.fullmatch(entry.name):
            images.append(entry)
        else:
            unknown += names.is_unknown(entry)
    if images or masks or unknown:
        studies[folder.name].images += images
        studies[folder.name].masks += masks
        studies[folder.name].unknown += unknown


def _visible(folder: Path) -> Iterator[Path]:
    return (entry for entry in sorted(folder.iterdir()) if not entry.name.startswith("."))


def _row(real_root: Path, root: Path, name: str, study: _Found, label: str | None) -> StudyRow:
    image = study.images[0] if study.images else root / name / "image.nii.gz"
    unnamed = any(reader == UNNAMED_READER for reader, _ in study.masks)
    masks = tuple(
        MaskSource(
            UNNAMED_READER if unnamed and is_next_part(reader) else reader,
            label,
            inside(real_root, path, f"{root}: a mask"),
        )
        for reader, path in study.masks
    )
    reference = None if label is None else (label,) if masks else ()
    return StudyRow(name, name, inside(real_root, image, f"{root}: an image"), masks, reference, {})
