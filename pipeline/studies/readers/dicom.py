"""What the DICOM readers share: opening a file without trusting it, decoding its pixels, their meaning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from pipeline.errors import Reason
from pipeline.studies.geometry import Affine, GeometryError, lps_to_ras
from pipeline.studies.readers.base import check_size, first_bytes, inflates_within, refused

__all__ = [
    "SEGMENTATIONS",
    "OpenFile",
    "check_grey",
    "check_kind",
    "decoded",
    "file_class",
    "is_dicom",
    "meta_group",
    "number",
    "open_file",
    "open_header",
    "open_whole",
    "plane_affine",
    "real_values",
    "rescale_told",
    "stored_range",
    "stored_values",
]

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

_PREAMBLE = 132
_DEFLATED_FILE_CAP = 8 * 1024**2
_DEFLATED_CAP = 256 * 1024**2
_RAW_DEFLATE = -15  # zlib's window bits for a stream without a header
_GROUP_LENGTH = 12  # bytes of the element that states the length of the meta group
_DIRECTION_TOLERANCE = 1e-3
_PIXEL_DATA = 0x7FE00010
# PS3.3 C.7.6.3 and C.11.1, without the pixels themselves
_OF_PIXELS = tuple(
    Tag(keyword)
    for keyword in (
        "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths", "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
    )
)  # fmt: skip
_EXACT = 2.0**22  # whole numbers of 16 bits and these added are exact in float32


@dataclass(frozen=True)
class OpenFile:
    """A DICOM file opened once: its header, and where its pixels begin (None: in the header, inflated)."""

    path: Path = field(repr=False)
    header: Dataset = field(repr=False)
    pixels_at: int | None


def is_dicom(path: Path) -> bool:
    """Tell by the magic bytes behind the preamble whether the file is DICOM."""
    return first_bytes(path, _PREAMBLE)[128:] == b"DICM"


def file_class(path: Path) -> str:
    """Return the SOP class UID that the file's meta group states; empty when it states none."""
    return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", ""))


def meta_group(path: Path) -> Dataset | None:
    """Return the file's meta group, which tells its class and encoding; None for a file that is no DICOM."""
    try:
        return read_file_meta_info(path)
    except InvalidDicomError:
        return None


def open_file(path: Path, meta: Dataset, tags: Sequence[BaseTag]) -> OpenFile:
    """Return these of a file's attributes and those of its pixels.

    ``stored_values`` reads on from where the header ends, so that nothing is parsed twice.

    Raises:
        StudyError: TOO_LARGE for a deflated file that inflates to more than an image should.
    """
    _refuse_bomb(path, meta)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return OpenFile(path, dcmread(path), None)
    with path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True, specific_tags=[*tags, *_OF_PIXELS])
        return OpenFile(path, header, file.tell())


def open_header(path: Path) -> Dataset:
    """Return a file's data set up to its pixels.

    Raises:
        StudyError: TOO_LARGE for a deflated file that inflates to more than a header should.
    """
    _refuse_bomb(path, read_file_meta_info(path))
    return dcmread(path, stop_before_pixels=True)


def open_whole(path: Path) -> Dataset:
    """Return a file's data set with its pixels, still encoded.

    Raises:
        StudyError: TOO_LARGE for a file larger than any array may be, or that inflates to more than an image should.
    """
    check_size(path.stat().st_size)
    _refuse_bomb(path, read_file_meta_info(path))
    return dcmread(path)


def _refuse_bomb(path: Path, meta: Dataset) -> None:
    """Refuse a deflated file that is or grows large: pydicom inflates it whole before parsing."""
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    size = path.stat().st_size
    if size > _DEFLATED_FILE_CAP:
        message = f"the deflated file has {size / 2**20:.0f} MiB; the cap is {_DEFLATED_FILE_CAP / 2**20:.0f} MiB"
        raise refused(Reason.TOO_LARGE, message)
    with path.open("rb") as file:
        file.seek(_PREAMBLE + _GROUP_LENGTH + int(meta.FileMetaInformationGroupLength))
        if not inflates_within(file, _DEFLATED_CAP, _RAW_DEFLATE):
            raise refused(Reason.TOO_LARGE, f"the deflated file inflates beyond {_DEFLATED_CAP / 2**20:.0f} MiB")


def check_kind(header: Dataset, frame_types: Iterable[object] = ()) -> None:
    """Refuse an image that is no slice of the patient though its class is one's.

    Raises:
        StudyError: MOSAIC for several slices tiled into one picture, LOCALIZER for a planning view.
    """
    said = {str(value) for kind in (header.get("ImageType"), *frame_types) for value in kind or ()}
    if "MOSAIC" in said:
        raise refused(Reason.MOSAIC, "the image is a mosaic of slices, which is not read")
    if "LOCALIZER" in said:
        raise refused(Reason.LOCALIZER, "the image is a localizer, drawn for planning; it is no slice of a volume")


def check_grey(header: Dataset) -> None:
    """Refuse colour.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL.
    """
    samples = int(header.get("SamplesPerPixel") or 1)
    if samples != 1 or header.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the image is in colour; one grey value a pixel is read")


def stored_values(opened: OpenFile) -> NDArray[np.integer]:
    """Return the stored values of an opened file, which keeps nothing of them.

    Raises:
        StudyError: as ``decoded``.
    """
    header = opened.header
    if opened.pixels_at is None:
        return decoded(header)
    check_size(opened.path.stat().st_size)
    implicit, little = header.original_encoding
    with opened.path.open("rb") as file:
        file.seek(opened.pixels_at)
        pixels = read_dataset(file, bool(implicit), bool(little), stop_when=lambda tag, _, __: tag > _PIXEL_DATA)
    header.update(pixels)
    try:
        return decoded(header)
    finally:
        for tag in pixels.keys():  # noqa: SIM118 - a data set iterates over its elements
            del header[tag]


def decoded(dataset: Dataset, frame: int | None = None) -> NDArray[np.integer]:
    """Return the stored values, (rows, columns) or (frames, rows, columns), of all frames or of one.

    Colour has a last axis of three; YBR is RGB by then. The size is checked beforehand. The array may be read-only.

    Raises:
        StudyError: TOO_LARGE; TRUNCATED for fewer bytes than announced; NOT_READABLE without pixels.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    values = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.get("SamplesPerPixel") or 1)
    check_size(values * max(int(dataset.BitsAllocated), 8) // 8 // (1 if frame is None else frames))
    if "PixelData" not in dataset:
        raise refused(Reason.NOT_READABLE, "the DICOM file holds no pixels")
    subsampled = dataset.get("PhotometricInterpretation") == "YBR_FULL_422"  # two thirds are stored
    needed = (values * int(dataset.BitsAllocated) // (3 if subsampled else 1) * (2 if subsampled else 1) + 7) // 8
    if not UID(dataset.file_meta.TransferSyntaxUID).is_compressed and len(dataset.PixelData) < needed:
        message = f"the pixels take {len(dataset.PixelData)} bytes of the {needed} that the header announces"
        raise refused(Reason.TRUNCATED, message)
    return pixel_array(dataset, index=frame, view_only=True)


def real_values(dataset: Dataset, stored: NDArray[np.generic]) -> NDArray[np.floating]:
    """Return stored values after the modality transform (HU for CT; PS3.3 C.11.1), float32 where that is exact.

    Raises:
        StudyError: NOT_READABLE when the rescale slope is zero or not finite: the image would be constant.
    """
    if "ModalityLUTSequence" in dataset:
        return np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise refused(Reason.NOT_READABLE, f"the rescale slope is {slope:g} and the intercept {intercept:g}")
    exact = slope == 1 and intercept.is_integer() and abs(intercept) < _EXACT and stored.dtype.itemsize <= 2
    values: NDArray[np.floating] = stored.astype(np.float32 if exact else np.float64)
    if not exact:
        values *= slope
    values += intercept
    return values


def rescale_told(transforms: Iterable[Dataset]) -> str:
    """Say which modality transform the slices went through."""
    met = {
        "table"
        if "ModalityLUTSequence" in one
        else f"slope {one.get('RescaleSlope', 1):g}, intercept {one.get('RescaleIntercept', 0):g}"
        for one in transforms
    }
    return met.pop() if len(met) == 1 else "differs by slice, each applied"


def stored_range(dataset: Dataset) -> tuple[int, int]:
    """Return the lowest and the highest value that a pixel can store."""
    bits = int(dataset.BitsStored)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)


def number(dataset: Dataset, keyword: str, count: int) -> NDArray[np.float64] | None:
    """Return ``count`` finite numbers of an attribute, or None when it is absent, empty or something else."""
    value = dataset.get(keyword)
    if value is None or not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        return None
    numbers = np.array([float(part) for part in value])
    return numbers if np.isfinite(numbers).all() else None


def plane_affine(
    orientation: NDArray[np.float64], spacing: NDArray[np.float64], position: NDArray[np.float64]
) -> Affine:
    """Return the affine (RAS+ mm) of one plane (PS3.3 C.7.6.2.1.1): index (column, row), unit normal third.

    ``orientation`` holds the direction in which the column index grows, then that of the row index;
    ``spacing`` holds the distance between rows, then that between columns.

    Raises:
        GeometryError: when the directions are not perpendicular unit vectors, or a spacing is not positive.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column), 1 + along_row @ along_column
    if np.abs(np.array(lengths) - 1).max() > _DIRECTION_TOLERANCE or spacing.min() <= 0:
        raise GeometryError("a plane's directions must be perpendicular unit vectors and its spacings positive")
    affine = np.eye(4)
    affine[:3, 0] = along_row * spacing[1]
    affine[:3, 1] = along_column * spacing[0]
    affine[:3, 2] = np.cross(along_row, along_column)
    affine[:3, 3] = position
    return lps_to_ras(affine)
