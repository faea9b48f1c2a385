"""The frames of a segmentation, also in the encodings that pydicom does not decode: packed bits in RLE, and deflate.

RLE (PS3.5 annex G) of one-bit pixels is met in two forms: eight pixels a byte, and one. In Deflated Image Frame
Compression (PS3.5 A.4.13) each frame is a raw deflate stream of its own. Packed frames begin with the lowest bit of
a byte of their own.
"""

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, RLELossless

from pipeline.errors import Reason
from pipeline.studies.readers.dicom.pixel_format import PixelFormat
from pipeline.studies.readers.dicom.pixel_values import pixels_of, stored_values
from pipeline.studies.readers.shared.base import check_size, refused

__all__ = ["DEFLATED_FRAMES", "frames_of"]

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
"""The transfer syntax of frames that are deflate streams, which pydicom does not decode."""

_RAW_DEFLATE = -15  # zlib's window bits for a stream without a header
_RLE_HEADER = 64  # bytes: the number of segments and the places of up to 15


def frames_of(dataset: Dataset, syntax: str, layout: PixelFormat) -> NDArray[np.integer]:
    """Return the stored values (frames, rows, columns).

    Raises:
        StudyError: TOO_LARGE; TRUNCATED for fewer frames, or shorter ones, than announced; NOT_READABLE for more, and
            where nothing tells in which of two ways one-bit pixels are packed.
    """
    if "PixelData" not in dataset:
        raise refused(Reason.NOT_READABLE, "the mask holds no PixelData")
    check_size(layout.values * max(layout.allocated, 8) // 8)
    if syntax == DEFLATED_FRAMES:
        return _each(dataset, layout, _inflated)
    if syntax == RLELossless and layout.allocated == 1:
        return _each(dataset, layout, _run_lengths)
    if layout.allocated == 1 and not UID(syntax).is_compressed:
        return _packed(dataset.PixelData, layout)
    return stored_values(pixels_of(dataset, syntax, layout), layout).reshape(-1, layout.rows, layout.columns)


def _packed(content: bytes, layout: PixelFormat) -> NDArray[np.integer]:
    """Return native one-bit pixels, packed without gaps (PS3.5 8.1.1) or with each frame in bytes of its own.

    The length tells which it is. Where it fits both, the bits that are no pixels decide; where those are 0 in both
    ways, and the ways differ in what they show, nothing does.
    """
    size = layout.rows * layout.columns
    gapless, aligned = layout.bytes_, layout.frames * ((size + 7) // 8)
    fits = [length for length in (gapless, aligned) if length <= len(content) <= length + length % 2]
    if not fits:
        message = (
            f"PixelData holds {len(content)} bytes, and NumberOfFrames, Rows and Columns make {gapless} or {aligned}"
        )
        raise refused(Reason.TRUNCATED if len(content) < gapless else Reason.NOT_READABLE, message)
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    shape = (layout.frames, layout.rows, layout.columns)
    ways = []
    if gapless in fits and not bits[layout.values :].any():
        ways.append(bits[: layout.values].reshape(shape))
    framed = bits[: 8 * aligned].reshape(layout.frames, -1) if aligned in fits else None
    if framed is not None and not framed[:, size:].any() and not bits[8 * aligned :].any():
        ways.append(framed[:, :size].reshape(shape))
    if not ways and gapless in fits:  # what follows the pixels is no part of them
        ways.append(bits[: layout.values].reshape(shape))
    if not ways or not np.array_equal(ways[0], ways[-1]):
        message = f"PixelData of {len(content)} bytes fits one-bit frames packed without gaps and in bytes of their own"
        raise refused(Reason.NOT_READABLE, f"{message}: nothing tells which is meant")
    return ways[0]


def _each(dataset: Dataset, layout: PixelFormat, decode: Callable[[bytes, int], bytes]) -> NDArray[np.integer]:
    count, width = layout.frames, max(layout.allocated // 8, 1)
    if layout.allocated not in (1, 8, 16) or layout.shift:
        raise refused(Reason.NOT_READABLE, f"a mask's pixels take 1, 8 or 16 bits, not {layout.allocated}")
    frames = np.zeros((count, layout.rows, layout.columns), dtype=f"<u{width}")
    filled = 0
    for encoded in generate_frames(dataset.PixelData, number_of_frames=count):
        if filled == count:
            raise refused(Reason.NOT_READABLE, f"the mask holds more frames than the {count} that it announces")
        frames[filled] = _pixels(decode(encoded, frames[filled].nbytes), frames[filled], packed=layout.allocated == 1)
        filled += 1
    if filled < count:
        raise refused(Reason.TRUNCATED, f"the mask holds {filled} frames of the {count} that it announces")
    return frames


def _pixels(content: bytes, frame: NDArray[np.integer], *, packed: bool) -> NDArray[np.integer]:
    """Return a frame's pixels from its decoded bytes; one byte of padding may follow."""
    bits = (frame.size + 7) // 8
    if packed and bits <= len(content) <= bits + 1 and len(content) < frame.size:
        flat = np.unpackbits(np.frombuffer(content, np.uint8), count=frame.size, bitorder="little")
    elif len(content) >= frame.nbytes:
        flat = np.frombuffer(content, frame.dtype, count=frame.size)
    else:
        raise refused(Reason.TRUNCATED, f"a frame of the mask holds {len(content)} bytes of {frame.nbytes}")
    return flat.reshape(frame.shape)


def _inflated(encoded: bytes, limit: int) -> bytes:
    return zlib.decompressobj(_RAW_DEFLATE).decompress(encoded, limit)


def _run_lengths(encoded: bytes, limit: int) -> bytes:
    """Return the bytes of an RLE frame of one segment (PackBits), at most ``limit`` and a run more."""
    segments, place = (int(value) for value in np.frombuffer(encoded, "<u4", count=2))
    if segments != 1 or place < _RLE_HEADER:
        raise refused(Reason.NOT_READABLE, f"a frame of one-bit pixels has one RLE segment, not {segments}")
    unpacked = bytearray()
    while place + 1 < len(encoded) and len(unpacked) < limit:
        count = encoded[place]
        if count < 128:
            unpacked += encoded[place + 1 : place + 2 + count]
            place += 2 + count
        elif count > 128:
            unpacked += encoded[place + 1 : place + 2] * (257 - count)
            place += 2
        else:
            place += 1
    return bytes(unpacked)
