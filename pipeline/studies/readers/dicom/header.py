"""One reading of a DICOM header, for the scan and for the readers alike: attributes as text, whatever wrote them.

A header is a mapping of our own names to text. A number is a number in whatever value representation its writer chose;
an attribute without a value is one that is not there. What is no number is refused by the attribute's name, and no
value is quoted: it may be anything.
"""

import struct
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused

__all__ = [
    "BLANKS",
    "CAPTURES",
    "SEGMENTATIONS",
    "STRUCTURE_SET",
    "TAGS",
    "TEXTS",
    "Header",
    "Kind",
    "floats",
    "header_of",
    "keyword",
    "kind_of",
    "numbers",
    "real",
    "text_of",
    "values_of",
    "whole",
]

Header = Mapping[str, str | None]
"""Attributes by our own names (``TAGS``); None or absent where the file states no value."""

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_DIRECTORY = "1.2.840.10008.1.3.10"
# enhanced CT, MR and PET, and what was converted into them; X-ray volumes: angiography, craniofacial, tomosynthesis
_ENHANCED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{kind}"
    for kind in ("2.1", "2.2", "4.1", "4.4", "130", "128.1", "13.1.1", "13.1.2", "13.1.3")
)
# ultrasound (3 and 6 are the classes retired in 1993) and secondary capture, single and multi-frame
CAPTURES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("3", "3.1", "6", "6.1", "7", "7.1", "7.2", "7.3", "7.4")
)
"""SOP classes of ultrasound, the retired ones too, and secondary captures."""

_PROJECTING = frozenset(("CR", "DR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"))
# segmentations and registrations; reports and key objects; presentation states; RT; documents; waveforms;
# parametric maps; spectroscopy; real-world values; surfaces
_NO_IMAGES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{kind}."
    for kind in ("66", "88", "11", "481", "104", "9", "30", "4.2", "67", "68")
)  # fmt: skip

TAGS: Mapping[int, str] = {
    0x00080008: "image_type", 0x00080016: "class", 0x00080018: "instance", 0x00080060: "modality",
    0x0008103E: "description",
    0x00100020: "patient", 0x00180050: "thickness", 0x00180081: "echo_time", 0x00189087: "b_value",
    0x00181164: "imager_spacing", 0x00182010: "scanned_spacing",
    0x0020000D: "study", 0x0020000E: "series", 0x00200012: "acquisition",
    0x00200032: "position", 0x00200037: "orientation", 0x00200052: "frame_of_reference",
    0x00200100: "temporal_position", 0x00280002: "samples", 0x00280004: "photometric", 0x00280006: "planar",
    0x00280008: "frames", 0x00280010: "rows", 0x00280011: "columns", 0x00280030: "spacing", 0x00280034: "aspect",
    0x00280100: "bits", 0x00280101: "stored_bits", 0x00280102: "high_bit", 0x00280103: "signed",
    0x00280120: "padding", 0x00280121: "padding_limit", 0x00281050: "window_centre", 0x00281051: "window_width",
    0x00281052: "intercept", 0x00281053: "slope", 0x00281056: "window_function", 0x00283000: "modality_table",
}  # fmt: skip
"""The attributes that a header holds, by their tags."""

_NAMES = {name: keyword_for_tag(tag) for tag, name in TAGS.items()}
_VRS = {tag: dictionary_VR(tag).split(" ")[0] for tag in TAGS}
_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_UNTOLD = {"UN", "OB", "OW", ""}  # no writer of a number chooses these: read as the dictionary has it
TEXTS = frozenset(("CS", "UI", "DS", "IS", "LO", "SH"))
"""Value representations that are text of one line."""

BLANKS = "\0 \t\r\n"
"""What surrounds a text and is no part of it."""

_NO_NUMBER = "?"  # of bytes that are no such numbers


class Kind(StrEnum):
    """What a file is. The values are stable: they stand in the index and in the export."""

    SLICE = "dicom slice"
    MOSAIC = "dicom mosaic"
    FRAMES = "dicom frames"
    PROJECTION = "dicom projection"
    SEGMENTATION = "dicom segmentation"
    STRUCTURES = "rtstruct"
    REGIONS = "regions"
    OBJECT = "dicom object"
    DIRECTORY = "dicomdir"
    NIFTI = "nifti"
    NRRD = "nrrd"
    RASTER = "raster"
    METAIMAGE = "metaimage"
    MGH = "mgh"
    TIFF = "tiff"
    ARCHIVE = "zip or tar"
    OTHER = "other"


def text_of(tag: int, representation: str, value: bytes, *, little: bool = True) -> str | None:
    """Return an element's value as text, several values with backslashes between; None for an empty one."""
    if not value:
        return None
    kind = representation
    if kind in _UNTOLD:
        kind = _VRS[tag]
    if kind in TEXTS:
        return value.decode("latin-1").strip(BLANKS) or None
    if kind == "US" and len(value) == 2:  # nearly all numbers in bytes
        return str(int.from_bytes(value, "little" if little else "big"))
    if kind == "SQ" or representation == "SQ":
        return "sequence"
    letter = _FORMATS.get(kind)
    if letter is None:
        return value.decode("latin-1").strip(BLANKS) or None
    size = struct.calcsize(letter)
    if len(value) % size:
        return _NO_NUMBER
    parts = struct.unpack(f"{'<' if little else '>'}{len(value) // size}{letter}", value)
    return "\\".join(f"{part:.9g}" if letter in "fd" else str(part) for part in parts)


def header_of(dataset: Dataset, meta: Dataset | None = None) -> dict[str, str | None]:
    """Return the attributes of a data set that are on the list; class and instance also from the meta group.

    The values' bytes are read where the data set has not parsed them yet, so that no library judges them first.
    """
    header = {name: _element_text(dataset, tag) for tag, name in TAGS.items() if tag in dataset}
    for name, stated in (("class", "MediaStorageSOPClassUID"), ("instance", "MediaStorageSOPInstanceUID")):
        if meta is not None and not header.get(name):
            header[name] = str(meta.get(stated) or "").strip("\0 ") or None
    return header


def _element_text(dataset: Dataset, tag: int) -> str | None:
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        raw = element.value
        if isinstance(raw, bytes):
            return text_of(tag, element.VR or "", raw, little=element.is_little_endian)
    value = dataset[tag].value
    if value is None or isinstance(value, str):
        return (value or "").strip("\0 ") or None
    if isinstance(value, bytes):
        return text_of(tag, "", value)
    if dataset[tag].VR == "SQ":
        return "sequence" if len(value) else None
    return "\\".join(map(str, value)) or None if isinstance(value, Iterable) else str(value)


def keyword(name: str) -> str:
    """Return the standard's keyword of one of our names, for messages."""
    return _NAMES[name]


def numbers(header: Header, name: str, count: int) -> NDArray[np.float64] | None:
    """Return ``count`` numbers of an attribute; None when it states no value.

    Raises:
        StudyError: NOT_READABLE when it states something else.
    """
    text = header.get(name)
    if not text:
        return None
    return np.array(floats(text, name, count))


def floats(text: str, name: str, count: int) -> list[float]:
    """Return the numbers of an attribute's text.

    Raises:
        StudyError: NOT_READABLE when it does not hold ``count`` of them.
    """
    try:
        parts = [float(part) for part in text.split("\\")]
    except ValueError:
        parts = []
    if len(parts) != count or not all(map(isfinite, parts)):
        raise refused(Reason.NOT_READABLE, f"{keyword(name)} does not hold {count} finite numbers")
    return parts


def real(header: Header, name: str, default: float) -> float:
    """Return the number of an attribute, or the default when it states no value.

    Raises:
        StudyError: NOT_READABLE when it states something else.
    """
    text = header.get(name)
    return floats(text, name, 1)[0] if text else default


def whole(header: Header, name: str, default: int | None = None) -> int:
    """Return the whole number of an attribute, or the default when it states no value.

    Raises:
        StudyError: NOT_READABLE when it states something else, or nothing where there is no default.
    """
    text = header.get(name)
    if not text:
        if default is None:
            raise refused(Reason.NOT_READABLE, f"the DICOM file states no {keyword(name)}")
        return default
    if text.isdecimal():
        return int(text)
    value = floats(text, name, 1)[0]
    if not value.is_integer():
        raise refused(Reason.NOT_READABLE, f"{keyword(name)} does not hold a whole number")
    return int(value)


def kind_of(header: Header) -> Kind:
    """Return what a DICOM file is, by its class, its modality and whether it states a place."""
    sop_class = str(header.get("class") or "")
    if sop_class == _DIRECTORY:
        return Kind.DIRECTORY
    if sop_class in SEGMENTATIONS:
        return Kind.SEGMENTATION
    if sop_class == STRUCTURE_SET:
        return Kind.STRUCTURES
    if not _is_image(sop_class) or not (header.get("rows") or header.get("photometric")):
        return Kind.OBJECT
    if sop_class in _ENHANCED:
        return Kind.FRAMES
    flat = header.get("modality") in _PROJECTING or sop_class in CAPTURES
    if flat and not header.get("orientation"):
        return Kind.PROJECTION
    return Kind.MOSAIC if "MOSAIC" in values_of(header.get("image_type")) else Kind.SLICE


def values_of(text: str | None) -> frozenset[str]:
    """Return the values of an attribute's text, without blanks around them."""
    return frozenset(value.strip() for value in (text or "").split("\\"))


def _is_image(sop_class: str) -> bool:
    """Tell by the class; a file that states none is a slice, so that it is not lost."""
    return not f"{sop_class}.".startswith(_NO_IMAGES)


def is_cut_image(header: Header) -> bool:
    """Tell whether what has no rows is of an image's class, or of none: a header that ends early, or is damaged."""
    sop_class = header.get("class")
    return not sop_class or "Image Storage" in UID(sop_class).name
