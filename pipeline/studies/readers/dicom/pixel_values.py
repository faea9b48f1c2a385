"""DICOM pixels to stored values: the one path that all readers take.

The libraries decode; where a pixel lies in its word, and how many bytes there have to be, is settled here
(PS3.5 8.1.1): bits above and below the pixel are taken away, and the sign is the highest stored bit.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, RLELossless

from pipeline.errors import Reason, StudyError
from pipeline.studies.readers.dicom.pixel_format import PixelFormat
from pipeline.studies.readers.shared.base import check_size, refused

__all__ = ["check_length", "excess_of", "pixels_of", "stored_values"]

_CARRIED = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def pixels_of(dataset: Dataset, syntax: str, layout: PixelFormat) -> Dataset:
    """Return a data set of the pixels and of what the header says of them, in the standard's own types.

    Raises:
        StudyError: NOT_READABLE without pixels.
    """
    if "PixelData" not in dataset:
        raise refused(Reason.NOT_READABLE, "the DICOM file holds no PixelData")
    pixels = Dataset()
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = UID(syntax)
    pixels.Rows, pixels.Columns, pixels.NumberOfFrames = layout.rows, layout.columns, layout.frames
    pixels.SamplesPerPixel, pixels.PhotometricInterpretation = layout.samples, layout.photometric
    if layout.samples > 1:
        pixels.PlanarConfiguration = layout.planar
    pixels.BitsAllocated, pixels.PixelRepresentation = layout.allocated, int(layout.signed)
    words = _holds_words(UID(syntax), layout)  # as a whole then: their bits are taken apart here
    pixels.BitsStored = layout.allocated if words else layout.stored
    pixels.HighBit = pixels.BitsStored - 1
    for name in ("PixelData", *_CARRIED):
        if name in dataset:
            pixels[name] = dataset[name]
    return pixels


def _holds_words(syntax: UID, layout: PixelFormat) -> bool:
    return (not syntax.is_compressed or syntax == RLELossless) and layout.allocated > 1


def stored_values(pixels: Dataset, layout: PixelFormat, frame: int | None = None) -> NDArray[np.integer]:
    """Return the stored values, (rows, columns) or (frames, rows, columns), of all frames or of one.

    Colour has a last axis of three; YBR is RGB by then. The array may be read-only.

    Raises:
        StudyError: TOO_LARGE; TRUNCATED for fewer bytes or frames than announced, NOT_READABLE for more; NOT_READABLE
            for what the decoder fails on.
    """
    syntax = UID(pixels.file_meta.TransferSyntaxUID)
    check_size(layout.values * max(layout.allocated, 8) // 8 // (1 if frame is None else layout.frames))
    if syntax.is_compressed:
        _check_frames(pixels, syntax, layout)
    else:
        check_length(pixels.PixelData, layout)
    values = _decoded(pixels, syntax, frame)
    single = layout.frames == 1 or frame is not None
    expected = (*(() if single else (layout.frames,)), layout.rows, layout.columns)
    if values.shape[: len(expected)] != expected:
        message = f"the pixels are {values.shape} once decoded, and the header announces {expected}"
        raise refused(Reason.NOT_READABLE, message)
    return _bits(values, layout) if _holds_words(syntax, layout) else values


def _decoded(pixels: Dataset, syntax: UID, frame: int | None) -> NDArray[np.integer]:
    try:
        values: NDArray[np.integer] = pixel_array(pixels, index=frame, view_only=True)
    except (StudyError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # noqa: BLE001 - a panic of a Rust decoder derives from BaseException
        pass
    else:
        return values
    raise refused(Reason.NOT_READABLE, f"the PixelData cannot be decoded as {syntax.name}: damaged, or of another kind")


def check_length(content: bytes, layout: PixelFormat) -> None:
    """Refuse native pixels of another length than the header announces; zeros behind them may fill less than a frame.

    Raises:
        StudyError: TRUNCATED for fewer bytes, NOT_READABLE for more.
    """
    needed = layout.bytes_
    if len(content) < needed:
        message = f"the pixels take {len(content)} bytes of the {needed} that the header announces"
        raise refused(Reason.TRUNCATED, message)
    excess = len(content) - needed - needed % 2
    if excess > 0 and (excess >= needed // layout.frames or any(content[needed:])):
        message = f"PixelData holds {len(content)} bytes, and Rows, Columns, NumberOfFrames and BitsAllocated make "
        raise refused(Reason.NOT_READABLE, f"{message}{needed}: nothing tells which of them is wrong")


def excess_of(pixels: Dataset, layout: PixelFormat) -> int:
    """Return how many bytes lie behind native pixels, but for the one that makes their number even."""
    if UID(pixels.file_meta.TransferSyntaxUID).is_compressed:
        return 0
    return max(0, len(pixels.PixelData) - layout.bytes_ - layout.bytes_ % 2)


def _check_frames(pixels: Dataset, syntax: UID, layout: PixelFormat) -> None:
    """Compare the frames that are told apart in encapsulated pixels with those that the header announces."""
    encoded = BytesIO(pixels.PixelData)
    try:
        count = len(parse_basic_offsets(encoded))
        if not count and syntax == RLELossless:  # one fragment a frame
            count, _ = parse_fragments(encoded)
    except Exception:  # noqa: BLE001 - whatever is damaged here, the decoder says
        return
    if count and count != layout.frames:
        message = f"PixelData holds {count} frames, and NumberOfFrames announces {layout.frames}"
        raise refused(Reason.TRUNCATED if count < layout.frames else Reason.NOT_READABLE, message)


def _bits(words: NDArray[np.integer], layout: PixelFormat) -> NDArray[np.integer]:
    """Return the pixels of words: the bits from ``shift`` on, as many as are stored, with their sign."""
    if layout.is_plain:
        return words
    above = layout.allocated - layout.stored - layout.shift
    values: NDArray[np.integer] = np.left_shift(words, above) if above else words
    pixels: NDArray[np.integer] = np.right_shift(values, layout.allocated - layout.stored)
    return pixels
