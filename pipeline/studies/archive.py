"""An archive as a list of studies, and each study's files as a ``Study``. Files end here.

A study that cannot be used is a ``StudyError`` when it is read, so that every study of the list is accounted
for; an archive that cannot be listed is an ``ArchiveError`` before anything is read.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.discovery import discover
from pipeline.studies.manifest import read_manifest
from pipeline.studies.privacy import Pseudonyms
from pipeline.studies.readers import ImageFile, read_image, read_mask
from pipeline.studies.readers.base import guarded, refused, series_files
from pipeline.studies.rows import MaskSource, StudyRow
from pipeline.studies.study import Study
from pipeline.studies.volume import Mask

__all__ = ["MaskSource", "StudyRow", "list_studies", "read_study", "source_digest"]


def list_studies(path: Path, manifest: Path | None = None, label: str | None = None) -> tuple[StudyRow, ...]:
    """Return an archive's studies: the manifest's in its order, or those discovered, by name.

    Raises:
        ArchiveError: one line that says what is missing or wrong; it names lines and columns, no patient.
    """
    if not path.is_dir():
        raise ArchiveError(f"{path}: the archive is not there or is no folder")
    if manifest is not None and label is not None:
        raise ArchiveError(f"{manifest}: archive.label goes without a manifest, which has its own column 'label'")
    rows = discover(path, label) if manifest is None else read_manifest(path, manifest)
    if not rows:
        raise ArchiveError(f"{manifest or path}: holds no studies")
    return rows


def source_digest(row: StudyRow) -> str:
    """Return the SHA-256 of what a study is read from: contents, readers, labels, reference, strata.

    No path counts. A file that is missing or cannot be read counts as that: its study stays in the cohort and
    fails there.
    """
    masks = [{"reader": one.reader, "label": one.label, "sha256": _contents(one.path)} for one in row.masks]
    parts = {
        "image": _contents(row.image),
        "masks": sorted(masks, key=lambda mask: json.dumps(mask, sort_keys=True)),
        "reference": row.reference,
        "strata": dict(row.strata),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _contents(path: Path) -> list[str]:
    """Return the sorted hashes of a file, or of the files of a folder."""
    try:
        return sorted(map(_sha256, series_files(path)))
    except FileNotFoundError:
        return ["missing"]
    except OSError:
        return ["unreadable"]


def _sha256(path: Path) -> str:
    if not path.is_file() and path.exists():
        return "no regular file"  # opening a pipe would wait for ever
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_study(row: StudyRow, pseudonyms: Pseudonyms) -> Study:
    """Read one study: its image, and every mask on the image's own grid; names become pseudonyms.

    A mask whose source states no label has the study's only reference label. Without one it can only say that
    nothing is marked: its label is empty.

    Raises:
        StudyError: stage READ, with the reason; ``excluded`` when the archive itself rules the study out.
    """
    return guarded("the study", lambda: _read(row, pseudonyms))


def _read(row: StudyRow, pseudonyms: Pseudonyms) -> Study:
    image = read_image(row.image)
    header, masks = dict(image.header), []
    for number, source in enumerate(row.masks, start=1):
        try:
            mask, facts = _read_mask(source, row.reference, image)
        except StudyError as error:
            which = f"mask {number} of {len(row.masks)}: " if len(row.masks) > 1 else ""
            raise refused(error.reason, f"{which}{error}", excluded=error.excluded) from None
        masks.append(mask)
        header |= facts
    _check_positive(row.reference, masks)
    frame = image.volume.geometry.frame_of_reference
    geometry = replace(image.volume.geometry, frame_of_reference=frame and pseudonyms.frame(frame))
    return Study(
        identity=pseudonyms.study(row.patient, row.study),
        patient=pseudonyms.patient(row.patient),
        image=replace(image.volume, geometry=geometry),
        masks=tuple(replace(mask, geometry=geometry) for mask in masks),
        reference=row.reference,
        strata=dict(row.strata),
        header=header,
    )


def _read_mask(
    source: MaskSource, reference: tuple[str, ...] | None, image: ImageFile
) -> tuple[Mask, Mapping[str, str]]:
    label = source.label
    if label is None and reference is not None and len(reference) == 1:
        label = reference[0]
    found = read_mask(source.path, image, label)
    if label is None and found.marked.any():
        said = "is not stated" if reference is None else f"has {len(reference)} labels"
        message = f"the mask is marked, but nothing tells which label it shows: the reference {said}"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    return Mask(found.marked, image.volume.geometry, label or "", source.reader), found.header


def _check_positive(reference: tuple[str, ...] | None, masks: list[Mask]) -> None:
    """Exclude a study that its reference calls positive and in which no reader marked that label."""
    for label in reference or ():
        drawn = [mask for mask in masks if mask.label == label]
        if drawn and not any(mask.array.any() for mask in drawn):
            message = f"the reference says that the label is present; its {len(drawn)} masks are empty"
            raise refused(Reason.MASK_EMPTY_FOR_POSITIVE, message, excluded=True)
