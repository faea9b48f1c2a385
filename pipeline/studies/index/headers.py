"""What one file of an archive is, told by its first bytes and, for DICOM, by what its reader will ask of its header.

Nothing is decoded. A header is read and judged by the readers' own functions: what they refuse by it is refused here.
The answer holds identifying values (UIDs, the patient's ID): it goes into the working index and nowhere else. Text of a
label leaves only when it stands on a closed list.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import GeometryError
from pipeline.studies.readers import BUILT_IN, Readers
from pipeline.studies.readers.dicom.data_set import quick_header, read_header
from pipeline.studies.readers.dicom.header import TAGS, Header, Kind, header_of, is_cut_image, kind_of, whole
from pipeline.studies.readers.dicom.pixel_format import NATIVE
from pipeline.studies.readers.dicom.references import REFERENCES, items, references_of
from pipeline.studies.readers.images.dicom_enhanced import checked_frames
from pipeline.studies.readers.images.dicom_mosaic import CSA_TAGS, checked_mosaic
from pipeline.studies.readers.images.dicom_projection import checked_flat
from pipeline.studies.readers.images.dicom_series import checked_slice
from pipeline.studies.readers.regions import dicom_report
from pipeline.studies.readers.shared.base import AS_STORED, GZIP_MAGIC, chosen, guarded, inflated, refused
from pipeline.studies.readers.shared.detached import VoxelFiles

__all__ = ["ATTRIBUTES", "Facts", "Kind", "allowed_words", "describe", "describe_json"]

Facts = dict[str, str | int | None]

_TAGS = TAGS
_OF_PIXELS_ONLY = {
    "planar", "aspect", "stored_bits", "high_bit", "signed", "padding", "padding_limit", "window_centre",
    "window_width", "intercept", "slope", "window_function", "modality_table",
}  # fmt: skip
_NUMBERS = ("samples", "rows", "columns", "bits")
_SYNTAX_NAME = "transfer_syntax"

More = Callable[[Sequence[str | int]], Dataset]

ATTRIBUTES = (
    "kind", "reason", "fault", *(name for name in TAGS.values() if name not in _OF_PIXELS_ONLY), _SYNTAX_NAME,
    "refers", "labels", "shape",
)  # fmt: skip
"""The keys of ``Facts`` that the index keeps."""

_HEAD = 64 * 1024
_META = 132
_INNER = 512  # bytes by which a format is told inside of gzip
_MOST_REFERENCES = 20_000
_NAMES = ("SegmentSequence", "StructureSetROISequence")
_MASK_TAGS = [*REFERENCES, *_NAMES]
_FRAME_TAGS = [
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "DimensionIndexSequence", "ConcatenationUID",
    "InConcatenationTotalNumber",
]  # fmt: skip
_JSON_TAGS = frozenset(f"{tag:08X}" for tag in (*TAGS, *map(tag_for_keyword, (*_MASK_TAGS, *_FRAME_TAGS))) if tag)

# words that name a structure or a finding and no person; any other label of a mask stays in its file
_LISTED = (
    "abdomen adrenal aneurysm aorta atelectasis bladder bone bowel brain brainstem breast calcification "
    "cardiomegaly cerebellum colon consolidation cord covid cyst duodenum edema effusion embolism emphysema "
    "esophagus femur fibrosis fracture gallbladder hemorrhage heart hematoma infarct infiltration kidney lesion "
    "liver lung lymph lymphadenopathy mandible mass metastasis muscle nerve nodule node opacity ovary pancreas "
    "parotid pelvis plaque pleura pneumonia pneumothorax polyp portal prostate rectum rib skin skull spinal spine "
    "spleen sternum stenosis stomach stroke thyroid trachea tumor tumour ulcer ureter uterus vein vena cava "
    "ventricle vertebra vessel left right upper lower middle lobe body external enhancing necrotic whole core "
    "canal gtv ctv ptv oar"
)
_WORDS = frozenset(_LISTED.split())


def describe(file: BinaryIO, size: int, readers: Readers = BUILT_IN, name: str = "") -> Facts:
    """Return what a file is; ``file`` stands at its beginning and can seek, ``name`` is its own without folders.

    Facts without ``reason`` are an image's or a mask's; with it, the file is none or cannot be read. An image with
    ``fault`` is one that its reader refuses for that reason. Whatever a library raises becomes a reason.
    """
    head = file.read(_HEAD)
    try:
        return _quick(head, size) or guarded("the file", lambda: _described(file, size, (head, name), readers))
    except StudyError as error:
        return {"kind": Kind.OBJECT, "reason": error.reason}


def _quick(head: bytes, size: int) -> Facts | None:
    """Return what a slice or a picture is, for which no library is asked: there is nothing to silence, nor to catch."""
    quick = quick_header(head, size) if head[128:_META] == b"DICM" else None
    if quick is None or kind_of(quick[0]) not in (Kind.SLICE, Kind.PROJECTION):
        return None
    return _judged(quick[0], None, size - quick[1])


def describe_json(metadata: Mapping[str, object]) -> Facts:
    """Return what an instance is by its metadata in the DICOM JSON model (PS3.18 F), as a DICOMweb server sends it."""
    try:
        return guarded("the metadata", lambda: _of_json(metadata))
    except StudyError as error:
        return {"kind": Kind.OBJECT, "reason": error.reason}


def _of_json(metadata: Mapping[str, object]) -> Facts:
    dataset = Dataset.from_json({tag: metadata[tag] for tag in _JSON_TAGS & metadata.keys()})
    return _judged(header_of(dataset), lambda _: dataset, None)


def _described(file: BinaryIO, size: int, known: tuple[bytes, str], readers: Readers) -> Facts:
    head, name = known
    if not head:
        return {"kind": Kind.OTHER, "reason": Reason.TRUNCATED}
    if head[128:_META] == b"DICM":
        return _dicom(file, size, head)
    reader = _by_magic(head, readers)
    if isinstance(reader, Kind):
        return {"kind": reader, "reason": Reason.NOT_AN_IMAGE if reader is Kind.OTHER else None}
    try:
        detached, shape = guarded("the file", lambda: _checked(reader, file, size, (head, name)))
    except StudyError as error:
        return {"kind": reader.FACTS.kind, "reason": error.reason}
    refers = json.dumps({"voxels": detached.names, "size": detached.size}) if detached else None
    return {"kind": reader.FACTS.kind, "reason": None, "refers": refers, "shape": json.dumps(shape) if shape else None}


def _checked(
    reader: ModuleType, file: BinaryIO, size: int, known: tuple[bytes, str]
) -> tuple[VoxelFiles | None, object]:
    """Check a file as its reader does.

    Returns:
        The files beside it that hold its voxels, if they are not in it; its shape, where its header tells that.

    Raises:
        StudyError: when its reader would refuse it.
    """
    head, name = known
    shape = reader.check_header(head, size) if hasattr(reader, "check_header") else None
    if hasattr(reader, "check_file"):
        file.seek(0)
        shape = reader.check_file(file, size) or shape
    if not reader.FACTS.header_endings:
        return None, shape
    detached: VoxelFiles | None = reader.detached(head, name)
    if detached is not None and not name.lower().endswith(reader.FACTS.header_endings):
        raise refused(Reason.UNSUPPORTED_FORMAT, "the file is a header, and does not bear a header's ending")
    return detached, shape


def _by_magic(head: bytes, readers: Readers) -> ModuleType | Kind:
    """Tell formats other than DICOM by their first bytes; gzip by what is inside."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or head[257:262] == b"ustar":
        return Kind.ARCHIVE
    if head.startswith(GZIP_MAGIC):
        inner = inflated(head, _INNER)
        return Kind.OTHER if inner.startswith(GZIP_MAGIC) else _by_magic(inner, readers)
    return readers.of_beginning(head) or Kind.OTHER


def _dicom(file: BinaryIO, size: int, head: bytes) -> Facts:
    header, start = read_header(file, size, head)

    def more(names: Sequence[str | int]) -> Dataset:
        file.seek(0)
        return dcmread(file, stop_before_pixels=True, specific_tags=[*map(Tag, names)])

    return _judged(header, more, size - start)


def _judged(header: dict[str, str | None], more: More | None, left: int | None) -> Facts:
    """Return the attributes with the kind that they tell, and the reason where the object is of no use.

    ``more`` returns further attributes of the file, where they may be needed; ``left``: the bytes behind the header, or
    None where they are not at hand.
    """
    kind, reason, fault = kind_of(header), None, None
    facts: Facts = {**header}
    drawn = _of_report(more) if more and header.get("class") in dicom_report.REPORTS else {}
    if drawn:
        kind, facts = Kind.REGIONS, facts | drawn
    elif kind in (Kind.OBJECT, Kind.DIRECTORY):
        reason = Reason.NOT_READABLE if is_cut_image(header) else Reason.NOT_AN_IMAGE
    elif kind in (Kind.SEGMENTATION, Kind.STRUCTURES):
        facts |= _of_mask(more(_MASK_TAGS) if more else Dataset())
    else:
        fault = _fault(kind, header, more, left)
        reason = fault if fault in (Reason.NOT_READABLE, Reason.TRUNCATED) and not header.get("series") else None
    numbers = {name: _small(header, name) for name in _NUMBERS}
    return {**facts, **numbers, "kind": kind, "reason": reason, "fault": fault}


def _small(header: Header, name: str) -> int | None:
    """Return a whole number for the index, which holds no other."""
    text = header.get(name)
    if not text:
        return None
    try:
        value = whole(header, name)
    except StudyError:
        return None
    return value if abs(value) < 2**31 else None


def _fault(kind: Kind, header: Header, more: More | None, left: int | None) -> Reason | None:
    """Return why an image's reader refuses it by its header, or by the bytes that are left; None when it does not."""
    from_file = left is not None
    try:
        if kind is Kind.SLICE:
            layout, _ = checked_slice(header, from_file=from_file)
        elif kind is Kind.MOSAIC and more is not None:
            layout = guarded("the image", lambda: checked_mosaic(more([*CSA_TAGS]), header, from_file=from_file)).layout
        elif kind is Kind.FRAMES and more is not None:
            layout, _, _ = guarded("the image", lambda: checked_frames(more(_FRAME_TAGS), header, from_file=from_file))
        else:
            layout = checked_flat(header, from_file=from_file)
            chosen(layout.frames, AS_STORED, "frames")
    except GeometryError:
        return Reason.NO_GEOMETRY
    except StudyError as error:
        return error.reason
    is_native = header.get(_SYNTAX_NAME) in NATIVE
    return Reason.TRUNCATED if left is not None and is_native and layout.bytes_ > left else None


def _of_report(more: More) -> Facts:
    """Return what the regions of a report of measurements were drawn on; nothing for a report without regions."""
    dataset = guarded("the report", lambda: more(["ContentSequence"]))
    instances = dicom_report.instances_named_by(dataset)
    if not instances:
        return {}
    labels = [next(filter(None, map(allowed_words, names)), None) for names in dicom_report.names_of(dataset)]
    drawn_on = {"instances": sorted(instances)[:_MOST_REFERENCES]}
    return {"refers": json.dumps(drawn_on), "labels": json.dumps(list(dict.fromkeys(labels)))}


def _of_mask(dataset: Dataset) -> Facts:
    """Return what a mask says it was drawn on, and the labels that may be told."""
    refers = references_of(dataset)
    drawn_on = {"series": sorted(refers.series), "instances": sorted(refers.instances)[:_MOST_REFERENCES]}
    labels = [segment.get("SegmentLabel") for segment in items(dataset, "SegmentSequence")]
    labels += [structure.get("ROIName") for structure in items(dataset, "StructureSetROISequence")]
    facts: Facts = {"refers": json.dumps(drawn_on), "labels": json.dumps([allowed_words(label) for label in labels])}
    return facts | ({"frame_of_reference": "\\".join(sorted(refers.frames))} if refers.frames else {})


def allowed_words(label: object) -> str | None:
    """Return a label whose every word stands on the closed list; else nothing, it may name a person."""
    text = str(label or "").strip().lower()
    words = text.replace("_", " ").replace("-", " ").split()
    return text if words and set(words) <= _WORDS else None
