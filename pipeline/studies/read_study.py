"""An archive as a list of studies, and each study's files as a ``Study``. Files end here.

A study that cannot be used is a ``StudyError`` when it is read, so that every study of the list is accounted
for; an archive that cannot be listed is an ``ArchiveError`` before anything is read.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.consensus import with_consensus
from pipeline.studies.listing.by_file_name import discover
from pipeline.studies.listing.dataset_layouts import conventional
from pipeline.studies.listing.file_lists import gathered, list_digests
from pipeline.studies.listing.manifest import read_manifest
from pipeline.studies.listing.study_row import MaskSource, StudyRow, is_list
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.readers import AS_STORED, ImageFile, MaskRequest, ReadOptions, read_image, read_mask
from pipeline.studies.readers.masks.annotations import covers_many, image_key
from pipeline.studies.readers.shared.base import guarded, refused, series_files
from pipeline.studies.readers.shared.sidecars import sidecar_of
from pipeline.studies.study import MaskFault, Study
from pipeline.studies.volume import Mask

__all__ = ["MaskSource", "StudyRow", "contents", "list_studies", "read_study", "sha256_of", "source_digest"]


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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content; what is no regular file has none.

    Raises:
        OSError: when it cannot be read.
    """
    if not path.is_file() and path.exists():
        return "no regular file"  # opening a pipe would wait for ever
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents(path: Path, root: Path | None = None, sha256: Callable[[Path], str] = sha256_of) -> list[str]:
    """Return the sorted hashes of a file, of the files of a folder, or of those that a list names."""
    try:
        if root is not None and is_list(path):
            return list_digests(path, root, sha256)
        return sorted(map(sha256, series_files(path)))
    except FileNotFoundError:
        return ["missing"]
    except (OSError, ArchiveError, StudyError):
        return ["unreadable"]


def source_digest(row: StudyRow, digests_of: Callable[[Path, Path | None], list[str]] = contents) -> str:
    """Return the SHA-256 of what a study is read from: contents, readers, labels, reference, strata.

    No path counts. A file that is missing or cannot be read counts as that: its study stays in the cohort and
    fails there. ``digests_of``: what a path and its archive's root stand for, where that is not what the files hold
    now.
    """
    masks = [_mask_parts(row, mask, digests_of) for mask in row.masks]
    parts = {
        "image": digests_of(row.image, row.root),
        "masks": sorted(masks, key=lambda mask: json.dumps(mask, sort_keys=True)),
        "reference": row.reference,
        "strata": dict(row.strata),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _mask_parts(
    row: StudyRow, mask: MaskSource, digests_of: Callable[[Path, Path | None], list[str]]
) -> dict[str, object]:
    """Return what a mask is read from; whatever names its values or its entry counts where it is used."""
    parts: dict[str, object] = {"reader": mask.reader, "label": mask.label, "sha256": digests_of(mask.path, row.root)}
    sidecar = sidecar_of(mask.path) if mask.value is None else None
    parts |= {"sidecar": contents(sidecar)} if sidecar else {}
    parts |= {"value": mask.value} if mask.value is not None else {}
    return parts | ({"key": _key(row, mask)} if covers_many(mask.path) else {})


def _key(row: StudyRow, mask: MaskSource) -> str:
    return image_key(row.image.name) if mask.key is None else mask.key


def read_study(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions = AS_STORED) -> Study:
    """Read one study: its image, and every mask on the image's own grid; names become pseudonyms.

    A mask whose source states no label has the study's only reference label. Without one it can only say that
    nothing is marked: its label is empty. A mask that cannot be used is one of ``mask_faults``: the image alone
    decides whether the study is read.

    Raises:
        StudyError: stage READ, with the reason; ``excluded`` when the archive itself rules the study out.
    """
    return guarded("the study", lambda: _read(row, pseudonyms, options))


def _read(row: StudyRow, pseudonyms: Pseudonyms, options: ReadOptions) -> Study:
    with gathered(row.image, row.root) as path:
        image = read_image(path, options)
    map_scores = None if row.reference is None else tuple(label for label in row.reference if label != options.negative)
    masks, faults, facts = _read_masks(replace(row, reference=map_scores), image, options)
    masks, empty = _without_empty(map_scores, masks)
    faults += empty
    if options.consensus != "none":
        masks, faults = with_consensus(masks, faults, options.consensus)
    frame = image.volume.geometry.frame_of_reference
    geometry = replace(image.volume.geometry, frame_of_reference=frame and pseudonyms.frame(frame))
    return Study(
        identity=pseudonyms.study(row.patient, row.study),
        patient=pseudonyms.patient(row.patient),
        image=replace(image.volume, geometry=geometry),
        masks=tuple(replace(mask, geometry=geometry) for mask in masks),
        reference=row.reference,
        strata=dict(row.strata),
        header={**image.header, **facts},
        mask_faults=tuple(faults),
    )


def _read_masks(
    row: StudyRow, image: ImageFile, options: ReadOptions
) -> tuple[list[Mask], list[MaskFault], dict[str, str]]:
    """Read every mask by itself; return those that can be used, why the others cannot, and facts.

    Raises:
        StudyError: OUT_OF_MEMORY, which a process that has read nothing before may not meet.
    """
    masks: list[tuple[MaskSource, Mask]] = []
    faults: list[MaskFault] = []
    torn: set[tuple[str, str | None]] = set()  # several files are one mask: without a part of it there is none
    facts: dict[str, str] = {}
    for number, source in enumerate(row.masks, start=1):
        label = _label_of(source, row.reference)
        try:
            mask, mask_facts = guarded("the mask", partial(_read_mask, source, label, row, (image, options)))
        except StudyError as error:
            if error.reason is Reason.OUT_OF_MEMORY and source.refused is None:
                raise
            which = f"mask {number} of {len(row.masks)}: " if len(row.masks) > 1 else ""
            faults.append(MaskFault(source.reader, label, error.reason, f"{which}{error}"))
            torn.add((source.reader, source.label))
            continue
        masks.append((source, mask))
        facts |= {f"{name} ({mask.reader}, {mask.label or 'no label'})": fact for name, fact in mask_facts.items()}
    whole = [mask for source, mask in masks if (source.reader, source.label) not in torn]
    return _united(whole), _unknown_together(faults), facts


def _united(masks: list[Mask]) -> list[Mask]:
    """Return one mask a reader and label: several files of one expert are one mask."""
    united: dict[tuple[str, str], Mask] = {}
    for mask in masks:
        key = mask.reader, mask.label
        united[key] = replace(mask, array=united[key].array | mask.array) if key in united else mask
    return list(united.values())


def _label_of(source: MaskSource, reference: tuple[str, ...] | None) -> str | None:
    only = reference[0] if reference is not None and len(reference) == 1 else None
    return only if source.label is None else source.label


def _read_mask(
    source: MaskSource, label: str | None, row: StudyRow, how: tuple[ImageFile, ReadOptions]
) -> tuple[Mask, Mapping[str, str]]:
    image, options = how
    if source.refused is not None:
        raise refused(*source.refused)
    if options.labels is not None and label is not None and label not in options.labels:
        raise refused(Reason.UNKNOWN_LABEL, "the mask has a label that the model does not have", excluded=True)
    known = frozenset(mask.value for mask in row.masks if mask.path == source.path and mask.value is not None)
    by_reference = source.label is None
    key = _key(row, source)
    wanted = MaskRequest(label, source.value, key, source.reader, by_reference, known, options.contours)
    with gathered(source.path, row.root) as path:
        mask_file = read_mask(path, image, wanted)
    if label is None and mask_file.marked.any():
        said = "is not stated" if row.reference is None else f"has {len(row.reference)} labels"
        message = f"the mask is marked, but nothing tells which label it shows: the reference {said}"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    return Mask(mask_file.marked, image.volume.geometry, label or "", source.reader), mask_file.header


def _unknown_together(faults: Iterable[MaskFault]) -> list[MaskFault]:
    """Put each reader's masks of unknown labels together: an archive of organs has a hundred a study.

    Their labels are left out. Nobody has vouched for them: some are the names of files.
    """
    faults = list(faults)
    unknown = Counter(fault.reader for fault in faults if fault.reason is Reason.UNKNOWN_LABEL)
    message = "the label is none of the model's"
    return [fault for fault in faults if fault.reason is not Reason.UNKNOWN_LABEL] + [
        MaskFault(reader, None, Reason.UNKNOWN_LABEL, message, count) for reader, count in unknown.items()
    ]


def _without_empty(reference: tuple[str, ...] | None, masks: list[Mask]) -> tuple[list[Mask], list[MaskFault]]:
    """Set the masks of a label aside that the reference calls present and in which no reader marked it."""
    faults: list[MaskFault] = []
    for label in reference or ():
        drawn = [mask for mask in masks if mask.label == label]
        if drawn and not any(mask.array.any() for mask in drawn):
            message = f"the reference says that the label is present; its {len(drawn)} masks are empty"
            faults += [MaskFault(mask.reader, label, Reason.MASK_EMPTY_FOR_POSITIVE, message) for mask in drawn]
    empty = {fault.label for fault in faults}
    return [mask for mask in masks if mask.label not in empty], faults
