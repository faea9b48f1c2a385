"""What a DICOM header says of the pixels (PS3.3 C.7.6.3, C.11.1), checked as a whole before anything is decoded.

Nothing here is left to a library's own defaults: an attribute that the values hang on is stated, or the image is
refused by its name.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes, RLELossless

from pipeline.errors import Reason
from pipeline.studies.readers.dicom.header import Header, keyword, numbers, real, whole
from pipeline.studies.readers.shared.base import check_size, refused

__all__ = ["NATIVE", "PixelFormat", "Rescale", "check_syntax", "format_of", "padding_of", "rescale_of"]

_GREY = ("MONOCHROME1", "MONOCHROME2")
_ALLOCATED = (1, 8, 16, 32)
NATIVE = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"))
"""Transfer syntaxes in which the file's bytes are the pixels'."""


def _is_read(syntax: UID) -> bool:
    try:
        get_decoder(syntax)
    except NotImplementedError:
        return False
    return True


_READ = frozenset(str(syntax) for syntax in AllTransferSyntaxes if _is_read(syntax))


@dataclass(frozen=True)
class PixelFormat:
    """How pixels are stored. ``shift``: by how many bits a pixel lies above the lowest bit of its word."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    shift: int
    signed: bool

    @property
    def values(self) -> int:
        """The number of samples of all frames."""
        return self.rows * self.columns * self.samples * self.frames

    @property
    def bytes_(self) -> int:
        """The bytes that native pixels take, one bit a pixel packed without gaps; without padding."""
        whole_length = (self.values * self.allocated + 7) // 8
        return whole_length * 2 // 3 if self.photometric == "YBR_FULL_422" else whole_length

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest value that a pixel can store."""
        return (-(2 ** (self.stored - 1)), 2 ** (self.stored - 1) - 1) if self.signed else (0, 2**self.stored - 1)

    @property
    def is_grey(self) -> bool:
        """Whether there is one grey value a pixel."""
        return self.samples == 1 and self.photometric in _GREY

    @property
    def is_plain(self) -> bool:
        """Whether a word of memory is a pixel's value."""
        return self.stored == self.allocated


def format_of(header: Header) -> PixelFormat:
    """Return how the pixels are stored.

    Raises:
        StudyError: NOT_READABLE by the attribute that is not stated, or contradicts another; TOO_LARGE.
    """
    rows, columns, frames = (whole(header, name, 1 if name == "frames" else None) for name in _SIZES)
    samples, allocated, stored = whole(header, "samples", 1), whole(header, "bits"), whole(header, "stored_bits")
    high, signed, planar = whole(header, "high_bit", stored - 1), whole(header, "signed"), whole(header, "planar", 0)
    photometric = header.get("photometric")
    if not photometric:
        raise refused(Reason.NOT_READABLE, f"the DICOM file states no {keyword('photometric')}")
    if min(rows, columns, frames, samples) < 1:
        message = f"Rows, Columns, NumberOfFrames and SamplesPerPixel are {rows}, {columns}, {frames} and {samples}"
        raise refused(Reason.NOT_READABLE, f"{message}: none may be below 1")
    if allocated not in _ALLOCATED:
        raise refused(Reason.NOT_READABLE, f"BitsAllocated is {allocated}; 1, 8, 16 and 32 are read")
    if not 1 <= stored <= high + 1 <= allocated:
        message = f"BitsAllocated {allocated}, BitsStored {stored} and HighBit {high} contradict each other"
        raise refused(Reason.NOT_READABLE, message)
    if signed not in (0, 1) or planar not in (0, 1):
        message = f"PixelRepresentation is {signed} and PlanarConfiguration {planar}; both are 0 or 1"
        raise refused(Reason.NOT_READABLE, message)
    layout = PixelFormat(
        rows, columns, frames, samples, photometric, planar, allocated, stored, high + 1 - stored, bool(signed)
    )
    check_size(rows * columns * samples * max(allocated, 8) // 8)
    return layout


_SIZES = ("rows", "columns", "frames")


def check_syntax(header: Header, layout: PixelFormat) -> None:
    """Refuse an encoding that is not stated, not known, or in which bits that lie high have no meaning.

    Raises:
        StudyError: NOT_READABLE without a transfer syntax; UNSUPPORTED_FORMAT.
    """
    stated = header.get("transfer_syntax")
    if not stated:
        message = "the DICOM file states no TransferSyntaxUID: nothing tells how its pixels are encoded"
        raise refused(Reason.NOT_READABLE, message)
    if stated not in _READ:
        raise refused(
            Reason.UNSUPPORTED_FORMAT, "the DICOM file's TransferSyntaxUID is of an encoding that is not read"
        )
    if layout.shift and stated not in NATIVE and stated != RLELossless:
        message = (
            f"HighBit is {layout.stored + layout.shift - 1} beside {layout.stored} BitsStored in compressed pixels"
        )
        raise refused(Reason.UNSUPPORTED_FORMAT, f"{message}: nothing tells where a pixel's bits lie")


@dataclass(frozen=True)
class Rescale:
    """The modality transform that a header states by two numbers; ``table`` tells that a table takes their place."""

    slope: float = 1.0
    intercept: float = 0.0
    table: bool = False

    def apply(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Return stored values after slope and intercept, float32 where that is exact."""
        whole_shift = self.intercept.is_integer() and abs(self.intercept) < _EXACT
        exact = self.slope == 1 and whole_shift and stored.dtype.itemsize <= 2
        values: NDArray[np.floating] = stored.astype(np.float32 if exact else np.float64)
        if not exact:
            values *= self.slope
        values += self.intercept
        return values

    def __str__(self) -> str:
        return "table" if self.table else f"slope {self.slope:g}, intercept {self.intercept:g}"


_EXACT = 2.0**22  # whole numbers of 16 bits and these added are exact in float32


def rescale_of(header: Header) -> Rescale:
    """Return the modality transform; what states no value is 1 and 0, as where there is none.

    Raises:
        StudyError: NOT_READABLE for what is no number, or a slope of zero: the image would be constant.
    """
    if header.get("modality_table"):
        return Rescale(table=True)
    slope, intercept = real(header, "slope", 1.0), real(header, "intercept", 0.0)
    if slope == 0:
        raise refused(Reason.NOT_READABLE, f"the RescaleSlope is 0 (intercept {intercept:g}): all values would be one")
    return Rescale(slope, intercept)


def padding_of(header: Header, layout: PixelFormat) -> tuple[int, int] | None:
    """Return the lowest and the highest stored value that is padding (PS3.3 C.7.5.1.1.2), or None.

    Raises:
        StudyError: NOT_READABLE for what is no whole number.
    """
    if not header.get("padding"):
        return None
    ends = [_stored(header, name, layout) for name in ("padding", "padding_limit") if header.get(name)]
    return int(min(ends)), int(max(ends))


def _stored(header: Header, name: str, layout: PixelFormat) -> int:
    """Return a value as a pixel's word holds it: writers choose its sign by chance."""
    stated = numbers(header, name, 1)
    value = whole(header, name) if stated is not None else 0
    span = 1 << layout.allocated
    return value % span - (span if layout.signed and value % span >= span // 2 else 0)
