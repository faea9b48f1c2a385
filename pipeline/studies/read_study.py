"""A study's files as a ``Study``. Files end here.

A study that cannot be used is a ``StudyError`` when it is read, so that every study of the list is accounted for.
Processes that read import this and no more: how archives are listed is told in ``list_studies``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pipeline.errors import Reason, StudyError
from pipeline.studies.consensus import with_consensus
from pipeline.studies.content_digest import contents, entry_key, sha256_of, source_digest
from pipeline.studies.files_read import FilesRead, InstanceNames
from pipeline.studies.geometry import Geometry
from pipeline.studies.listing.study_row import MaskSource, StudyRow
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.readers import (
    AS_STORED,
    BUILT_IN,
    ImageFile,
    MaskRequest,
    Readers,
    ReadOptions,
    read_image,
    read_mask,
)
from pipeline.studies.readers.shared.base import guarded, refused
from pipeline.studies.readers.shared.kept_files import KeptFiles
from pipeline.studies.study import MaskFault, Study
from pipeline.studies.volume import Mask, Volume

__all__ = [
    "CONTENT_FACT",
    "MaskSource",
    "StudyRow",
    "contents",
    "read_study",
    "sha256_of",
    "source_digest",
]

CONTENT_FACT = "files sha256"
"""The fact that tells what a server's files held: the digest that a study of the same files on a disk has."""


Placed = TypeVar("Placed", Volume, Mask)


def read_study(
    row: StudyRow,
    pseudonyms: Pseudonyms,
    options: ReadOptions = AS_STORED,
    kept: KeptFiles | None = None,
    named: InstanceNames | None = None,
    readers: Readers = BUILT_IN,
) -> Study:
    """Read one study: its image, and every mask on the image's own grid; names become pseudonyms.

    A mask whose source states no label has the study's only reference label. Without one it can only say that
    nothing is marked: its label is empty. A mask that cannot be used is one of ``mask_faults``: the image alone
    decides whether the study is read. ``source_sha256`` is taken here, of the bytes that are decoded here.

    ``kept``: what files that cover many studies hold, for whoever reads several. ``named``: the names by which the
    digest counts a server's instances; what they held is a fact then.

    Raises:
        StudyError: stage READ, with the reason and the files' digest where it can be told; ``excluded`` when the
            archive itself rules the study out; CHANGED_DURING_RUN when a file was changed meanwhile.
    """
    files = FilesRead(row, kept or KeptFiles(), named)
    try:
        study = guarded("the study", lambda: _read(row, files, pseudonyms, (options, readers)))
    except StudyError as error:
        fault = error
    else:
        digest = guarded("the study", files.checked_digest)
        facts = {CONTENT_FACT: guarded("the study", files.content_digest)} if named else {}
        return replace(study, source_sha256=digest, header={**study.header, **facts})
    fault.source_sha256 = guarded("the study", files.checked_digest)
    raise fault


def _read(row: StudyRow, files: FilesRead, pseudonyms: Pseudonyms, how: tuple[ReadOptions, Readers]) -> Study:
    options, readers = how
    with files.opened(row.image) as path:
        image = read_image(path, options, readers)
    map_scores = None if row.reference is None else tuple(label for label in row.reference if label != options.negative)
    masks, faults, facts = _read_masks(replace(row, reference=map_scores), files, (image, *how))
    masks, empty = _without_empty(map_scores, masks)
    faults += empty
    if options.consensus != "none":
        masks, faults = with_consensus(masks, faults, options.consensus)
    avoid, avoid_faults, _ = _read_masks(
        replace(row, masks=row.avoid, avoid=row.masks), files, (image, _for_regions(options), readers)
    )
    frame = image.volume.geometry.frame_of_reference
    geometry = image.volume.geometry
    if frame:
        geometry = replace(geometry, frame_of_reference=pseudonyms.frame(frame))
    return Study(
        identity=pseudonyms.study(row.patient, row.study),
        patient=pseudonyms.patient(row.patient),
        image=_placed(image.volume, geometry),
        masks=tuple(_placed(mask, geometry) for mask in masks),
        reference=row.reference,
        strata=dict(row.strata),
        header={**image.header, **facts},
        mask_faults=tuple(faults),
        avoid=tuple(_placed(mask, geometry) for mask in avoid),
        avoid_faults=tuple(avoid_faults),
    )


def _placed(item: Placed, geometry: Geometry) -> Placed:
    """Return an image or a mask on a grid; on its own already it is not gone through once more."""
    return item if item.geometry is geometry else replace(item, geometry=geometry)


def _for_regions(options: ReadOptions) -> ReadOptions:
    """Return how a region to avoid is read: as any mask, but its name is none of the model's labels."""
    return replace(options, labels=None)


def _read_masks(
    row: StudyRow, files: FilesRead, how: tuple[ImageFile, ReadOptions, Readers]
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
            mask, mask_facts = guarded("the mask", partial(_read_mask, source, label, (row, files), how))
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
    source: MaskSource,
    label: str | None,
    study: tuple[StudyRow, FilesRead],
    how: tuple[ImageFile, ReadOptions, Readers],
) -> tuple[Mask, Mapping[str, str]]:
    (row, files), (image, options, readers) = study, how
    if source.refused is not None:
        raise refused(*source.refused)
    if options.labels is not None and label is not None and label not in options.labels:
        raise refused(Reason.UNKNOWN_LABEL, "the mask has a label that the model does not have", excluded=True)
    named = (*row.masks, *row.avoid)  # a label map may show findings and regions to avoid, each by its number
    known = frozenset(mask.value for mask in named if mask.path == source.path and mask.value is not None)
    by_reference = source.label is None
    key = entry_key(row, source)
    wanted = MaskRequest(
        label, source.value, key, source.reader, by_reference, known, options.contours, options.regrid, kept=files.kept
    )
    with files.opened(source.path) as path:
        mask_file = read_mask(path, image, wanted, readers)
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
