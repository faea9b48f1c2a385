"""The frames of a segmentation in the two encodings that pydicom does not decode: packed bits in RLE, and deflate.

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
from pydicom.uid import RLELossless

from pipeline.errors import Reason
from pipeline.studies.readers.base import check_size, refused
from pipeline.studies.readers.dicom import decoded

__all__ = ["frames_of"]

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_RAW_DEFLATE = -15  # zlib's window bits for a stream without a header
_RLE_HEADER = 64  # bytes: the number of segments and the places of up to 15


def frames_of(dataset: Dataset) -> NDArray[np.integer]:
    """Return the stored values (frames, rows, columns).

    Raises:
        StudyError: TOO_LARGE; TRUNCATED for fewer frames, or shorter ones, than announced; NOT_READABLE.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == _DEFLATED_FRAMES:
        return _each(dataset, _inflated)
    if syntax == RLELossless and int(dataset.BitsAllocated) == 1:
        return _each(dataset, _run_lengths)
    return decoded(dataset).reshape(-1, int(dataset.Rows), int(dataset.Columns))


def _each(dataset: Dataset, decode: Callable[[bytes, int], bytes]) -> NDArray[np.integer]:
    count, rows, columns = (int(dataset.get(name) or 1) for name in ("NumberOfFrames", "Rows", "Columns"))
    width = max(int(dataset.BitsAllocated) // 8, 1)
    check_size(count * rows * columns * width)
    if int(dataset.BitsAllocated) not in (1, 8, 16):
        raise refused(Reason.NOT_READABLE, f"a mask's pixels take 1, 8 or 16 bits, not {int(dataset.BitsAllocated)}")
    frames = np.zeros((count, rows, columns), dtype=f"<u{width}")
    found = 0
    for frame, encoded in zip(frames, generate_frames(dataset.PixelData, number_of_frames=count), strict=False):
        content = decode(encoded, frame.nbytes)
        frame[:] = _pixels(content, frame, packed=int(dataset.BitsAllocated) == 1)
        found += 1
    if found < count:
        raise refused(Reason.TRUNCATED, f"the mask holds {found} frames of the {count} that it announces")
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
    found = bytearray()
    while place + 1 < len(encoded) and len(found) < limit:
        count = encoded[place]
        if count < 128:
            found += encoded[place + 1 : place + 2 + count]
            place += 2 + count
        elif count > 128:
            found += encoded[place + 1 : place + 2] * (257 - count)
            place += 2
        else:
            place += 1
    return bytes(found)
