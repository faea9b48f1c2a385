"""What one file of an archive is, told by its first bytes and, for DICOM, by the attributes that grouping needs.

Nothing is decoded. The answer holds identifying values (UIDs, the patient's ID): it goes into the working index and
nowhere else. Text of a label leaves only when it stands on a closed list.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import BinaryIO

import nibabel
import nrrd
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.errors import Reason, StudyError
from pipeline.studies.elements import first_elements
from pipeline.studies.readers.base import AS_STORED, chosen, guarded, refused
from pipeline.studies.readers.dicom import SEGMENTATIONS
from pipeline.studies.readers.dicom_enhanced import _CLASSES as ENHANCED
from pipeline.studies.readers.dicom_projection import _CAPTURES as CAPTURES
from pipeline.studies.readers.dicom_projection import _MODALITIES as PROJECTING
from pipeline.studies.readers.dicom_series import _is_image as is_image
from pipeline.studies.readers.nifti import _affine as nifti_affine
from pipeline.studies.readers.nifti import _axes as nifti_axes
from pipeline.studies.readers.nrrd import _check_layout as check_nrrd_layout
from pipeline.studies.readers.nrrd import _geometry as nrrd_geometry

__all__ = ["ATTRIBUTES", "CAPTURES", "Facts", "Kind", "describe", "describe_json"]

Facts = dict[str, str | int | None]


class Kind(StrEnum):
    """What a file is. The values are stable: they stand in the index and in the export."""

    SLICE = "dicom slice"
    FRAMES = "dicom frames"
    PROJECTION = "dicom projection"
    SEGMENTATION = "dicom segmentation"
    STRUCTURES = "rtstruct"
    OBJECT = "dicom object"
    DIRECTORY = "dicomdir"
    NIFTI = "nifti"
    NRRD = "nrrd"
    RASTER = "raster"
    ARCHIVE = "zip or tar"
    OTHER = "other"


_TAGS = {
    0x00080008: "image_type", 0x00080016: "class", 0x00080018: "instance", 0x00080060: "modality",
    0x00100020: "patient", 0x00180050: "thickness", 0x00180081: "echo_time", 0x00189087: "b_value",
    0x00181164: "imager_spacing", 0x00182010: "scanned_spacing",
    0x0020000D: "study", 0x0020000E: "series", 0x00200012: "acquisition",
    0x00200032: "position", 0x00200037: "orientation", 0x00200052: "frame_of_reference",
    0x00200100: "temporal_position", 0x00280002: "samples", 0x00280004: "photometric", 0x00280008: "frames",
    0x00280010: "rows", 0x00280011: "columns", 0x00280030: "spacing", 0x00280100: "bits",
}  # fmt: skip
_SHORTS = {"samples", "rows", "columns", "bits"}
_LAST = max(_TAGS)
_SYNTAX, _LAST_OF_META = 0x00020010, 0x0002FFFF
_SYNTAX_NAME = "transfer_syntax"

ATTRIBUTES = ("kind", "reason", *_TAGS.values(), _SYNTAX_NAME, "refers", "labels")
"""The keys of ``Facts``."""

_HEAD = 64 * 1024  # holds nearly every header up to _LAST
_DEFLATED_HEAD = 4 * 1024**2
_META = 132
_RAW_DEFLATE = -15
_GZIP, _GZIP_MAGIC = 31, b"\x1f\x8b"  # zlib's window bits
_MOST_REFERENCES = 256
_STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"
_DIRECTORY = "1.2.840.10008.1.3.10"
_MASK_TAGS = ["ReferencedSeriesSequence", "SegmentSequence", "ReferencedFrameOfReferenceSequence",
              "StructureSetROISequence"]  # fmt: skip
_JSON_TAGS = frozenset(f"{tag:08X}" for tag in (*_TAGS, *map(tag_for_keyword, _MASK_TAGS)) if tag)

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


def describe(file: BinaryIO, size: int) -> Facts:
    """Return what a file is; ``file`` stands at its beginning and can seek.

    Facts without ``reason`` are an image's or a mask's; with it, the file is none or cannot be read. Whatever a
    library raises becomes a reason.
    """
    try:
        return guarded("the file", lambda: _described(file, size))
    except StudyError as error:
        return {"kind": Kind.OBJECT, "reason": error.reason}


def describe_json(metadata: Mapping[str, object]) -> Facts:
    """Return what an instance is by its metadata in the DICOM JSON model (PS3.18 F), as a DICOMweb server sends it."""
    try:
        return guarded("the metadata", lambda: _of_json(metadata))
    except StudyError as error:
        return {"kind": Kind.OBJECT, "reason": error.reason}


def _of_json(metadata: Mapping[str, object]) -> Facts:
    dataset = Dataset.from_json({tag: metadata[tag] for tag in _JSON_TAGS & metadata.keys()})
    return _judged(_attributes(dataset, Dataset()), lambda: dataset, None)


def _described(file: BinaryIO, size: int) -> Facts:
    head = file.read(_HEAD)
    if not head:
        return {"kind": Kind.OTHER, "reason": Reason.TRUNCATED}
    if head[128:_META] == b"DICM":
        return _dicom(file, head, size)
    kind = _by_magic(head)
    return {"kind": kind, "reason": Reason.NOT_AN_IMAGE if kind is Kind.OTHER else _refusal(kind, head)}


def _refusal(kind: Kind, head: bytes) -> Reason | None:
    """Return why a NIfTI or NRRD file is not read, by its reader's own checks of the header; None when it is."""
    check = {Kind.NIFTI: _check_nifti, Kind.NRRD: _check_nrrd}.get(kind)
    if check is None:
        return None
    try:
        guarded("the file", lambda: check(head))
    except StudyError as error:
        return error.reason
    return None


def _check_nifti(head: bytes) -> None:
    start = io.BytesIO(_inflated(head, _GZIP, _HEAD) if head.startswith(_GZIP_MAGIC) else head)
    if start.getvalue()[344:347] == b"ni1" or start.getvalue()[4:7] == b"ni2":
        raise refused(Reason.UNSUPPORTED_FORMAT, "a NIfTI pair (.hdr and .img) is not read")
    header_class = nibabel.Nifti2Header if start.getvalue()[4:7] == b"n+2" else nibabel.Nifti1Header
    header = header_class.from_fileobj(start, check=False)
    shape, volumes = nifti_axes(header.get_data_shape())
    chosen(volumes, AS_STORED, "volumes")
    nifti_affine(header, shape)


def _check_nrrd(head: bytes) -> None:
    header = nrrd.read_header(io.BytesIO(head))
    check_nrrd_layout(header)
    nrrd_geometry(header)


def _by_magic(head: bytes) -> Kind:
    """Tell formats other than DICOM by their first bytes; gzip by what is inside."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or head[257:262] == b"ustar":
        return Kind.ARCHIVE
    if head.startswith(_GZIP_MAGIC):
        inner = _inflated(head, _GZIP, 512)
        return Kind.OTHER if inner.startswith(_GZIP_MAGIC) else _by_magic(inner)
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return Kind.NIFTI
    if head.startswith(b"NRRD000"):
        return Kind.NRRD
    return Kind.RASTER if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) else Kind.OTHER


def _inflated(data: bytes, window_bits: int, count: int) -> bytes:
    try:
        return zlib.decompressobj(window_bits).decompress(data, count)
    except zlib.error:
        return b""


def _dicom(file: BinaryIO, head: bytes, size: int) -> Facts:
    fast = _fast(head, len(head) == size)
    found, start = fast or (_slow(file), 0)
    return _judged(found, lambda: _mask_header(file), size - start)


def _mask_header(file: BinaryIO) -> Dataset:
    file.seek(0)
    return dcmread(file, stop_before_pixels=True, specific_tags=[*_MASK_TAGS])


def _judged(found: Facts, mask_header: Callable[[], Dataset], left: int | None) -> Facts:
    """Return the attributes with the kind that they tell, and the reason where the object is of no use.

    ``left``: the bytes behind the header, or None where they are not at hand.
    """
    kind, reason = _kind(found), None
    if kind in (Kind.OBJECT, Kind.DIRECTORY):
        cut = "Image Storage" in UID(str(found.get("class") or "")).name
        reason = Reason.NOT_READABLE if cut else Reason.NOT_AN_IMAGE
    elif kind in (Kind.SEGMENTATION, Kind.STRUCTURES):
        found = found | _of_mask(mask_header())
    elif not found.get("rows") or not found.get("columns") or not found.get("instance"):
        reason = Reason.NOT_READABLE
    elif left is not None and _is_cut(found, left):
        reason = Reason.TRUNCATED
    return {**found, "kind": kind, "reason": reason}


def _fast(head: bytes, whole: bool) -> tuple[Facts, int] | None:
    """Return the attributes of the file's beginning and where it ended; None when they may lie further on.

    Also None for big endian, which is rare, and for whatever is not written by the standard.
    """
    try:
        meta, at, _ = first_elements(head, _META, wanted={_SYNTAX}, last=_LAST_OF_META)
        syntax = meta[_SYNTAX].decode("ascii").strip("\0 ")
        deflated = syntax == DeflatedExplicitVRLittleEndian
        body, at = (_inflated(head[at:], _RAW_DEFLATE, _DEFLATED_HEAD), 0) if deflated else (head, at)
        implicit = syntax == ImplicitVRLittleEndian
        raw, at, past = first_elements(body, at, wanted=_TAGS, last=_LAST, implicit=implicit)
        found = {_TAGS[tag]: _value(_TAGS[tag], value) for tag, value in raw.items()}
    except Exception:  # noqa: BLE001 - whatever it is, the slow way meets it again or gets round it
        return None
    return ({**found, _SYNTAX_NAME: syntax}, at) if found.get("class") and (past or whole) else None


def _value(name: str, value: bytes) -> str | int | None:
    if not value:
        return None
    if name in _SHORTS:
        number: int = struct.unpack("<H", value)[0]
        return number
    if name == "b_value":  # FD
        return f"{struct.unpack('<d', value)[0]:g}"
    return value.decode("latin-1").strip("\0 ") or None


def _slow(file: BinaryIO) -> Facts:
    """Return the same by a whole parse; a deflated file would be inflated whole, so it ends here.

    Raises:
        StudyError: TOO_LARGE for a deflated header beyond what is inflated.
    """
    file.seek(0)
    head = file.read(1024)
    if DeflatedExplicitVRLittleEndian.encode() + b"\0" in head:
        raise refused(Reason.TOO_LARGE, "the deflated header is larger than is inflated")
    file.seek(0)
    dataset = dcmread(file, stop_before_pixels=True, specific_tags=[*_TAGS])
    return _attributes(dataset, dataset.file_meta)


def _attributes(dataset: Dataset, meta: Dataset) -> Facts:
    found: Facts = {name: _text(dataset, tag) for tag, name in _TAGS.items()}
    found["class"] = found["class"] or str(meta.get("MediaStorageSOPClassUID", "")) or None
    found |= {name: int(str(found[name])) for name in _SHORTS if found[name] is not None}
    return {**found, _SYNTAX_NAME: str(meta.get("TransferSyntaxUID", "")) or None}


def _text(dataset: Dataset, tag: int) -> str | None:
    value = dataset[tag].value if tag in dataset else None
    if value is None or isinstance(value, str):
        return value or None
    return "\\".join(map(str, value)) if isinstance(value, Iterable) else str(value)


def _kind(found: Facts) -> Kind:
    sop_class = str(found.get("class") or "")
    if sop_class == _DIRECTORY:
        return Kind.DIRECTORY
    if sop_class in SEGMENTATIONS:
        return Kind.SEGMENTATION
    if sop_class == _STRUCTURES:
        return Kind.STRUCTURES
    if not is_image(sop_class) or not (found.get("rows") or found.get("photometric")):
        return Kind.OBJECT
    if sop_class in ENHANCED:
        return Kind.FRAMES
    flat = found.get("modality") in PROJECTING or sop_class in CAPTURES
    return Kind.PROJECTION if flat and not found.get("orientation") else Kind.SLICE


def _is_cut(found: Facts, left: int) -> bool:
    """Tell whether the rest of an uncompressed file is shorter than the pixels that its header announces."""
    syntax = UID(str(found.get(_SYNTAX_NAME) or ImplicitVRLittleEndian))
    if not syntax.is_transfer_syntax or syntax.is_compressed or syntax.is_deflated:
        return False
    if found.get("photometric") == "YBR_FULL_422":
        return False  # subsampled
    count = int(found["rows"] or 0) * int(found["columns"] or 0) * int(found.get("frames") or 1)
    return count * int(found.get("samples") or 1) * int(found.get("bits") or 8) // 8 > left


def _of_mask(dataset: Dataset) -> Facts:
    """Return what a mask says it was drawn on, and the labels that may be told."""
    series = [*_items(dataset, "ReferencedSeriesSequence"), *_structure_series(dataset)]
    instances = [
        str(one.get("ReferencedSOPInstanceUID", ""))
        for item in series
        for name in ("ReferencedInstanceSequence", "ContourImageSequence")
        for one in _items(item, name)
    ]
    frames = [str(one.get("FrameOfReferenceUID", "")) for one in _items(dataset, "ReferencedFrameOfReferenceSequence")]
    drawn_on = {
        "series": sorted({str(item.get("SeriesInstanceUID", "")) for item in series} - {""}),
        "instances": sorted({*instances} - {""})[:_MOST_REFERENCES],
    }
    labels = [one.get("SegmentLabel") for one in _items(dataset, "SegmentSequence")]
    labels += [one.get("ROIName") for one in _items(dataset, "StructureSetROISequence")]
    found: Facts = {"refers": json.dumps(drawn_on), "labels": json.dumps([_told(one) for one in labels])}
    return found | ({"frame_of_reference": frames[0]} if frames and frames[0] else {})


def _structure_series(dataset: Dataset) -> Iterator[Dataset]:
    for frame in _items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in _items(frame, "RTReferencedStudySequence"):
            yield from _items(study, "RTReferencedSeriesSequence")


def _items(dataset: Dataset, name: str) -> list[Dataset]:
    return list(dataset.get(name) or ())


def _told(label: object) -> str | None:
    """Return a label whose every word stands on the closed list; else nothing, it may name a person."""
    text = str(label or "").strip().lower()
    words = text.replace("_", " ").replace("-", " ").split()
    return text if words and set(words) <= _WORDS else None
