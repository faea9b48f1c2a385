"""An archive as a list of studies, and each study's files as a ``Study``. Files end here.

A study that cannot be used is a ``StudyError`` when it is read, so that every study of the list is accounted
for; an archive that cannot be listed is an ``ArchiveError`` before anything is read.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.consensus import with_consensus
from pipeline.studies.conventions import conventional
from pipeline.studies.discovery import discover
from pipeline.studies.gathering import gathered, is_list, list_digests
from pipeline.studies.manifest import read_manifest
from pipeline.studies.privacy import Pseudonyms
from pipeline.studies.readers import AS_STORED, ImageFile, ReadOptions, Wanted, read_image, read_mask
from pipeline.studies.readers.annotations import covers_many, image_key, kept_by_file
from pipeline.studies.readers.base import guarded, refused, series_files
from pipeline.studies.readers.sidecars import sidecar_of
from pipeline.studies.rows import MaskSource, StudyRow
from pipeline.studies.study import Study
from pipeline.studies.volume import Mask

__all__ = ["MaskSource", "StudyRow", "contents", "list_studies", "read_study", "source_digest"]


def list_studies(path: Path, manifest: Path | None = None, label: str | None = None) -> tuple[StudyRow, ...]:
    """Return an archive's studies: the manifest's in its order, or those discovered, by name.

    Raises:
        ArchiveError: one line that says what is missing or wrong; it names lines and columns, no patient.
    """
    if not path.is_dir():
        raise ArchiveError(f"{path}: the archive is not there or is no folder")
    if manifest is not None and label is not None:
        raise ArchiveError(f"{manifest}: archive.label goes without a manifest, which has its own column 'label'")
    rows = _found(path, label) if manifest is None else read_manifest(path, manifest)
    if not rows:
        raise ArchiveError(f"{manifest or path}: holds no studies")
    return rows


def _found(path: Path, label: str | None) -> tuple[StudyRow, ...]:
    """Return the studies that a known convention lays out, or else those that the file names tell of."""
    rows = conventional(path, label)
    return discover(path, label) if rows is None else rows


def contents(path: Path, root: Path | None = None) -> list[str]:
    """Return the sorted hashes of a file, of the files of a folder, or of those that a list names."""
    try:
        if root is not None and is_list(path):
            return list_digests(path, root)
        return [_shared_sha256(path)] if covers_many(path) else sorted(map(_sha256, series_files(path)))
    except FileNotFoundError:
        return ["missing"]
    except (OSError, ArchiveError, StudyError):
        return ["unreadable"]


def source_digest(row: StudyRow, told: Callable[[Path, Path | None], list[str]] = contents) -> str:
    """Return the SHA-256 of what a study is read from: contents, readers, labels, reference, strata.

    No path counts. A file that is missing or cannot be read counts as that: its study stays in the cohort and
    fails there. ``told``: what a path and its archive's root stand for, where that is not what the files hold now.
    """
    masks = [_mask_parts(row, one, told) for one in row.masks]
    parts = {
        "image": told(row.image, row.root),
        "masks": sorted(masks, key=lambda mask: json.dumps(mask, sort_keys=True)),
        "reference": row.reference,
        "strata": dict(row.strata),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _mask_parts(row: StudyRow, mask: MaskSource, told: Callable[[Path, Path | None], list[str]]) -> dict[str, object]:
    """Return what a mask is read from; whatever names its values or its entry counts where it is used."""
    parts: dict[str, object] = {"reader": mask.reader, "label": mask.label, "sha256": told(mask.path, row.root)}
    sidecar = sidecar_of(mask.path) if mask.value is None else None
    parts |= {"sidecar": contents(sidecar)} if sidecar else {}
    parts |= {"value": mask.value} if mask.value is not None else {}
    return parts | ({"key": _key(row, mask)} if covers_many(mask.path) else {})


def _key(row: StudyRow, mask: MaskSource) -> str:
    return image_key(row.image.name) if mask.key is None else mask.key


def _sha256(path: Path) -> str:
    if not path.is_file() and path.exists():
        return "no regular file"  # opening a pipe would wait for ever
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_shared_sha256 = kept_by_file(_sha256)


def read_study(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions = AS_STORED) -> Study:
    """Read one study: its image, and every mask on the image's own grid; names become pseudonyms.

    A mask whose source states no label has the study's only reference label. Without one it can only say that
    nothing is marked: its label is empty.

    Raises:
        StudyError: stage READ, with the reason; ``excluded`` when the archive itself rules the study out.
    """
    return guarded("the study", lambda: _read(row, pseudonyms, options))


def _read(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions) -> Study:
    with gathered(row.image, row.root) as path:
        image = read_image(path, options)
    header, masks = dict(image.header), []
    for number, source in enumerate(row.masks, start=1):
        try:
            mask, facts = _read_mask(source, row, image, options)
        except StudyError as error:
            which = f"mask {number} of {len(row.masks)}: " if len(row.masks) > 1 else ""
            raise refused(error.reason, f"{which}{error}", excluded=error.excluded) from None
        masks.append(mask)
        header |= {f"{name} ({mask.reader}, {mask.label or 'no label'})": fact for name, fact in facts.items()}
    masks = _united(masks)
    _check_positive(row.reference, masks)
    if options.consensus != "none":
        masks = with_consensus(masks, options.consensus)
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


def _united(masks: list[Mask]) -> list[Mask]:
    """Return one mask a reader and label: several files of one expert are one mask."""
    united: dict[tuple[str, str], Mask] = {}
    for mask in masks:
        key = mask.reader, mask.label
        united[key] = replace(mask, array=united[key].array | mask.array) if key in united else mask
    return list(united.values())


def _read_mask(
    source: MaskSource, row: StudyRow, image: ImageFile, options: ReadOptions
) -> tuple[Mask, Mapping[str, str]]:
    label, reference = source.label, row.reference
    known = frozenset(one.value for one in row.masks if one.path == source.path and one.value is not None)
    if label is None and reference is not None and len(reference) == 1:
        label = reference[0]
    wanted = Wanted(
        label, source.value, _key(row, source), source.reader, source.label is None, known, options.contours
    )
    with gathered(source.path, row.root) as path:
        found = read_mask(path, image, wanted)
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
