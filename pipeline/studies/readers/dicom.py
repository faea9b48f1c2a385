"""What the DICOM readers share: opening a file without trusting it, decoding its pixels, their meaning."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from pipeline.errors import Reason
from pipeline.studies.geometry import Affine, GeometryError, lps_to_ras
from pipeline.studies.readers.base import check_size, first_bytes, inflates_within, refused

__all__ = [
    "SEGMENTATIONS",
    "decoded",
    "file_class",
    "grey",
    "is_dicom",
    "number",
    "open_header",
    "open_whole",
    "plane_affine",
    "real_values",
    "stored_range",
]

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

_PREAMBLE = 132
_DEFLATED_FILE_CAP = 8 * 1024**2
_DEFLATED_CAP = 256 * 1024**2
_RAW_DEFLATE = -15  # zlib's window bits for a stream without a header
_GROUP_LENGTH = 12  # bytes of the element that states the length of the meta group
_DIRECTION_TOLERANCE = 1e-3


def is_dicom(path: Path) -> bool:
    """Tell by the magic bytes behind the preamble whether the file is DICOM."""
    return first_bytes(path, _PREAMBLE)[128:] == b"DICM"


def file_class(path: Path) -> str:
    """Return the SOP class UID that the file's meta group states; empty when it states none."""
    return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", ""))


def open_header(path: Path) -> Dataset:
    """Return a file's data set up to its pixels.

    Raises:
        StudyError: TOO_LARGE for a deflated file that inflates to more than a header should.
    """
    _refuse_bomb(path)
    return dcmread(path, stop_before_pixels=True)


def open_whole(path: Path) -> Dataset:
    """Return a file's data set with its pixels, still encoded.

    Raises:
        StudyError: TOO_LARGE for a deflated file that inflates to more than an image should.
    """
    _refuse_bomb(path)
    return dcmread(path)


def _refuse_bomb(path: Path) -> None:
    """Refuse a deflated file that is or grows large: pydicom inflates it whole before parsing."""
    meta = read_file_meta_info(path)
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


def decoded(dataset: Dataset) -> NDArray[np.integer]:
    """Return the stored values, (rows, columns) or (frames, rows, columns); the size is checked beforehand.

    Raises:
        StudyError: TOO_LARGE; TRUNCATED for fewer bytes than announced; NOT_READABLE without pixels.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    values = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.get("SamplesPerPixel") or 1)
    check_size(values * max(int(dataset.BitsAllocated), 8) // 8)
    if "PixelData" not in dataset:
        raise refused(Reason.NOT_READABLE, "the DICOM file holds no pixels")
    needed = (values * int(dataset.BitsAllocated) + 7) // 8
    if not UID(dataset.file_meta.TransferSyntaxUID).is_compressed and len(dataset.PixelData) < needed:
        message = f"the pixels take {len(dataset.PixelData)} bytes of the {needed} that the header announces"
        raise refused(Reason.TRUNCATED, message)
    array: NDArray[np.integer] = dataset.pixel_array
    return array


def grey(dataset: Dataset) -> NDArray[np.generic]:
    """Return the stored values of one grey frame, shape (rows, columns).

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL for colour, UNSUPPORTED_FORMAT for several frames, or as ``decoded``.
    """
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if samples != 1 or dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the image is in colour; one grey value a pixel is read")
    if int(dataset.get("NumberOfFrames") or 1) > 1 or "SharedFunctionalGroupsSequence" in dataset:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the image has several frames in one file, which is not read yet")
    return decoded(dataset)


def real_values(dataset: Dataset, stored: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return stored values after the modality transform (HU for CT).

    Raises:
        StudyError: NOT_READABLE when the rescale slope is zero or not finite: the image would be constant.
    """
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    if "ModalityLUTSequence" not in dataset and (slope == 0 or not np.isfinite([slope, intercept]).all()):
        raise refused(Reason.NOT_READABLE, f"the rescale slope is {slope:g} and the intercept {intercept:g}")
    return np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)


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
