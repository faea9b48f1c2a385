"""What the DICOM readers share: opening a file without trusting it, its header, its pixels and their meaning."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import hypot
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import VR

from pipeline.errors import Reason
from pipeline.studies.geometry import Affine, GeometryError, lps_to_ras
from pipeline.studies.index.dicom_elements import first_elements
from pipeline.studies.readers.dicom.header import BLANKS, TAGS, TEXTS, Header, Kind, header_of, kind_of, text_of
from pipeline.studies.readers.dicom.lookup_table import table_of
from pipeline.studies.readers.dicom.pixel_format import PixelFormat, Rescale, check_syntax
from pipeline.studies.readers.dicom.pixel_values import excess_of, pixels_of
from pipeline.studies.readers.dicom.pixel_values import stored_values as values_of_pixels
from pipeline.studies.readers.shared.base import check_size, first_bytes, inflated, inflates_within, refused

__all__ = [
    "OpenFile",
    "check_encoding",
    "check_grey",
    "check_kind",
    "check_plane",
    "file_kind",
    "is_dicom",
    "open_file",
    "open_header",
    "open_whole",
    "plane_affine",
    "quick_header",
    "read_header",
    "rescale_told",
    "rescaled",
    "stored_values",
]

_PREAMBLE = 132
_HEAD = 64 * 1024  # holds nearly every header up to _LAST
_DEFLATED_HEAD = 4 * 1024**2
_DEFLATED_FILE_CAP = 8 * 1024**2
_DEFLATED_CAP = 256 * 1024**2
_RAW_DEFLATE = -15  # zlib's window bits for a stream without a header
_DIRECTION_TOLERANCE = 1e-3
_PIXEL_DATA = 0x7FE00010
_LAST = max(TAGS)
_META = {0x00020002: "class", 0x00020003: "instance", 0x00020010: "transfer_syntax"}
_REPRESENTATIONS = {kind.encode(): kind for kind in map(str, VR)}
_TEXTS = frozenset(kind.encode() for kind in TEXTS)
_LAST_OF_META = 0x0002FFFF
_OF_PIXELS = tuple(Tag(keyword) for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"))


@dataclass(frozen=True)
class OpenFile:
    """A DICOM file opened once: its data set, and where its pixels begin (None: in the data set, inflated)."""

    path: Path = field(repr=False)
    dataset: Dataset = field(repr=False)
    pixels_at: int | None


def is_dicom(path: Path) -> bool:
    """Tell by the magic bytes behind the preamble whether the file is DICOM."""
    return first_bytes(path, _PREAMBLE)[128:] == b"DICM"


def read_header(file: BinaryIO, size: int, head: bytes = b"") -> tuple[dict[str, str | None], int]:
    """Return a DICOM file's header, and where it was read to; ``file`` can seek, ``head`` is its beginning if known.

    The first elements are read by our own walk; what that cannot read is left to pydicom.

    Raises:
        StudyError: TOO_LARGE for a deflated header beyond what is inflated.
    """
    if not head:
        file.seek(0)
        head = file.read(_HEAD)
    quick = quick_header(head, size)
    return quick or (_slow_header(file), 0)


def quick_header(head: bytes, size: int) -> tuple[dict[str, str | None], int] | None:
    """Return the header of the beginning of a file of this size and where it ended; None when it may go on behind.

    Also None for big endian, which is rare, and for whatever is not written by the standard.
    """
    try:
        stated, at, _ = first_elements(head, _PREAMBLE, wanted=_META, last=_LAST_OF_META)
        meta = {_META[tag]: value.decode("ascii").strip("\0 ") or None for tag, value in stated.items()}
        syntax = meta.get("transfer_syntax")
        if syntax is None or syntax == ExplicitVRBigEndian:
            return None
        body, at = (inflated(head[at:], _DEFLATED_HEAD, _RAW_DEFLATE), 0) if _is_deflated(syntax) else (head, at)
        kinds: dict[int, bytes] = {}
        implicit = syntax == ImplicitVRLittleEndian
        raw, at, past = first_elements(body, at, wanted=TAGS, last=_LAST, implicit=implicit, kinds=kinds)
    except (ValueError, IndexError, struct.error):
        return None  # the slow way meets it again, or gets round it
    if not raw or not (past or len(head) == size):
        return None
    header = meta
    for tag, value in raw.items():
        kind = kinds.get(tag, b"")
        if kind in _TEXTS:  # the short way of ``text_of`` for nearly all values
            text = value.decode("latin-1").strip(BLANKS)
        elif kind == b"US" and len(value) == 2:
            text = str(value[0] | value[1] << 8)
        else:
            text = text_of(tag, _REPRESENTATIONS.get(kind, ""), value) or ""
        if text:
            header[TAGS[tag]] = text
    return header, at


def _is_deflated(syntax: str) -> bool:
    return syntax == str(DeflatedExplicitVRLittleEndian)


def _slow_header(file: BinaryIO) -> dict[str, str | None]:
    """Return the same by a whole parse; a deflated file would be inflated whole, so it ends here."""
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() + b"\0" in file.read(1024):
        raise refused(Reason.TOO_LARGE, "the deflated header is larger than is inflated, or is damaged")
    file.seek(0)
    dataset = dcmread(file, stop_before_pixels=True, specific_tags=[*TAGS])
    meta = dataset.file_meta
    return header_of(dataset, meta) | {"transfer_syntax": str(meta.get("TransferSyntaxUID") or "") or None}


def _header_at(path: Path) -> dict[str, str | None]:
    with path.open("rb") as file:
        return read_header(file, path.stat().st_size)[0]


def file_kind(path: Path) -> Kind | None:
    """Return what a DICOM file is, or None for a file that is no DICOM."""
    return kind_of(_header_at(path)) if is_dicom(path) else None


def open_file(path: Path, tags: Sequence[BaseTag]) -> OpenFile:
    """Return these of a file's attributes; ``stored_values`` reads on from where they end.

    Raises:
        StudyError: TOO_LARGE for a deflated file that inflates to more than an image should.
    """
    _refuse_bomb(path)
    with path.open("rb") as file:
        dataset = dcmread(file, stop_before_pixels=True, specific_tags=[*tags, *_OF_PIXELS])
        deflated = _is_deflated(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        return OpenFile(path, dataset, None if deflated else file.tell())


def open_header(path: Path) -> Dataset:
    """Return a file's data set up to its pixels.

    Raises:
        StudyError: TOO_LARGE for a deflated file that inflates to more than a header should.
    """
    _refuse_bomb(path)
    return dcmread(path, stop_before_pixels=True)


def open_whole(path: Path) -> tuple[Dataset, dict[str, str | None]]:
    """Return a file's data set with its pixels, still encoded, and its header.

    Raises:
        StudyError: TOO_LARGE for a file larger than any array may be, or that inflates to more than an image should.
    """
    check_size(path.stat().st_size)
    _refuse_bomb(path)
    return dcmread(path), _header_at(path)


def _refuse_bomb(path: Path) -> None:
    """Refuse a deflated file that is or grows large: pydicom inflates it whole before parsing."""
    with path.open("rb") as file:
        head = file.read(1024)
        if DeflatedExplicitVRLittleEndian.encode() not in head:
            return
        size = path.stat().st_size
        if size > _DEFLATED_FILE_CAP:
            message = f"the deflated file has {size / 2**20:.0f} MiB; the cap is {_DEFLATED_FILE_CAP / 2**20:.0f} MiB"
            raise refused(Reason.TOO_LARGE, message)
        _, at, _ = first_elements(head, _PREAMBLE, wanted=(), last=_LAST_OF_META)
        file.seek(at)
        if not inflates_within(file, _DEFLATED_CAP, _RAW_DEFLATE):
            raise refused(Reason.TOO_LARGE, f"the deflated file inflates beyond {_DEFLATED_CAP / 2**20:.0f} MiB")


def check_kind(image_types: Iterable[str | None]) -> None:
    """Refuse an image that is no slice of the patient though its class is one's.

    Raises:
        StudyError: MOSAIC for several slices tiled into one picture, LOCALIZER for a planning view.
    """
    said = {value.strip() for stated in image_types if stated for value in stated.split("\\")}
    if "MOSAIC" in said:
        raise refused(Reason.MOSAIC, "the image is a mosaic of slices: no slice of a series")
    if "LOCALIZER" in said:
        raise refused(Reason.LOCALIZER, "the image is a localizer, drawn for planning; it is no slice of a volume")


def check_grey(layout: PixelFormat) -> None:
    """Refuse colour.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL.
    """
    if not layout.is_grey:
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the image is in colour; one grey value a pixel is read")


def check_encoding(header: Header, layout: PixelFormat, *, from_file: bool) -> None:
    """Refuse what cannot be told apart or decoded: no instance UID, no transfer syntax that is read.

    Raises:
        StudyError: NOT_READABLE, or as ``check_syntax``.
    """
    if not header.get("instance"):
        raise refused(Reason.NOT_READABLE, "the DICOM file states no SOPInstanceUID")
    if from_file:
        check_syntax(header, layout)


def stored_values(opened: OpenFile, header: Header, layout: PixelFormat) -> tuple[NDArray[np.integer], int]:
    """Return the stored values of an opened file, which keeps nothing of them, and how many bytes lie behind them.

    Raises:
        StudyError: as the path of all pixels (``pixel_values``).
    """
    dataset, syntax = opened.dataset, str(header["transfer_syntax"])
    if opened.pixels_at is None:
        pixels = pixels_of(dcmread(opened.path), syntax, layout)
        return values_of_pixels(pixels, layout), excess_of(pixels, layout)
    check_size(opened.path.stat().st_size)
    implicit, little = dataset.original_encoding
    with opened.path.open("rb") as file:
        file.seek(opened.pixels_at)
        pixels = read_dataset(file, bool(implicit), bool(little), stop_when=lambda tag, _, __: tag > _PIXEL_DATA)
    for tag in _OF_PIXELS:
        if tag in dataset:
            pixels[tag] = dataset[tag]
    own = pixels_of(pixels, syntax, layout)
    return values_of_pixels(own, layout), excess_of(own, layout)


def rescaled(dataset: Dataset, rescale: Rescale, stored: NDArray[np.generic], lowest: int) -> NDArray[np.floating]:
    """Return stored values after the modality transform (HU for CT; PS3.3 C.11.1), float32 where that is exact.

    ``lowest`` is the lowest value that a pixel can store.

    Raises:
        StudyError: NOT_READABLE for a table that is none.
    """
    if not rescale.table:
        return rescale.apply(stored)
    return table_of(dataset.ModalityLUTSequence[0], lowest).apply(stored)


def rescale_told(transforms: Iterable[Rescale]) -> str:
    """Say which modality transform the slices went through."""
    met = {str(transform) for transform in transforms}
    return met.pop() if len(met) == 1 else "differs by slice, each applied"


def check_plane(orientation: Sequence[float], spacing: Sequence[float]) -> None:
    """Refuse directions that are not perpendicular unit vectors, and spacings that are not positive.

    Raises:
        GeometryError: as said.
    """
    row, column = orientation[:3], orientation[3:]
    lengths = (
        hypot(*row) - 1,
        hypot(*column) - 1,
        sum(of_row * of_column for of_row, of_column in zip(row, column, strict=True)),
    )
    if max(map(abs, lengths)) > _DIRECTION_TOLERANCE or min(spacing) <= 0:
        raise GeometryError(
            "ImageOrientationPatient must hold perpendicular unit vectors, PixelSpacing positive numbers"
        )


def plane_affine(
    orientation: NDArray[np.float64], spacing: NDArray[np.float64], position: NDArray[np.float64]
) -> Affine:
    """Return the affine (RAS+ mm) of one plane (PS3.3 C.7.6.2.1.1): index (column, row), unit normal third.

    ``orientation`` holds the direction in which the column index grows, then that of the row index;
    ``spacing`` holds the distance between rows, then that between columns.

    Raises:
        GeometryError: when the directions are not perpendicular unit vectors, or a spacing is not positive.
    """
    check_plane(orientation.tolist(), spacing.tolist())
    along_row, along_column = orientation[:3], orientation[3:]
    affine = np.eye(4)
    affine[:3, 0] = along_row * spacing[1]
    affine[:3, 1] = along_column * spacing[0]
    affine[:3, 2] = np.cross(along_row, along_column)
    affine[:3, 3] = position
    return lps_to_ras(affine)
