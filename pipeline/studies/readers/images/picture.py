"""PNG and JPEG: a 2D picture as public sets ship them, without a place in the patient and without a spacing.

What the picture's file says of dots per inch is about printing, so 1 mm a pixel is taken and recorded: distances
in such a study are in pixels.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    ImageFile,
    ReadOptions,
    check_size,
    chosen,
    first_bytes,
    refused,
    volume_of,
)
from pipeline.studies.readers.shared.colour import LUMINANCE, luminance
from pipeline.studies.readers.shared.flat import NO_SPACING, flat_geometry
from pipeline.studies.readers.shared.reader_facts import ImageNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "check_header", "read"]

FACTS = ReaderFacts(
    title="PNG, JPEG",
    kind="raster",
    reads="image",
    endings=(".png", ".jpg", ".jpeg"),
    magic=((0, b"\x89PNG\r\n\x1a\n"), (0, b"\xff\xd8\xff")),
    told_by_name=True,
    may_be_preview=True,
    image=ImageNotes("row, column", "as stored; colour as luminance", "nothing: pixels"),
)

_DEPTH = 24  # byte of a PNG that holds the bits a sample (PNG 3rd edition, 11.2.1)
_BYTES = 8  # a pixel, at most, while it is decoded
_GREY = {"1", "L", "I;16", "I"}
_COLOUR = {"RGB", "P", "RGBA", "LA", "PA"}


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is PNG or JPEG."""
    return FACTS.begins(first_bytes(path, 8))


def check_header(head: bytes, size: int) -> tuple[int, ...] | None:
    """Return the shape that a file's beginning tells, or refuse it by that, without decoding it.

    Raises:
        StudyError: as ``read``, for what stands before the pixels.
    """
    try:
        with _opened(io.BytesIO(head)) as picture:
            _check(picture, head[_DEPTH], turned=picture.format == "JPEG" or "exif" in picture.info)
            return picture.height, picture.width
    except (OSError, SyntaxError, IndexError):
        if size > len(head):
            return None  # the header is longer than what is at hand
    raise refused(Reason.NOT_READABLE, "the picture's header is damaged")


def read(path: Path, options: ReadOptions) -> ImageFile:  # noqa: ARG001 - a picture leaves no choice
    """Read a picture: array (row, column) of stored values; colour becomes luminance.

    Raises:
        StudyError: TOO_LARGE; NO_GEOMETRY for a picture that is to be turned; SEVERAL_VOLUMES for an animation;
            NOT_A_SINGLE_CHANNEL for transparency, CMYK and 16-bit colour.
    """
    with _opened(path) as picture:
        _check(picture, first_bytes(path, _DEPTH + 1)[_DEPTH], turned=True)
        values, photometric = _grey(picture)
    geometry = flat_geometry(values.shape, np.ones(2), None, NO_SPACING)
    facts = {"photometric": photometric, "pixel spacing": NO_SPACING, "voi lut": "none stated"}
    return ImageFile(volume_of(values, geometry), facts)


def _opened(source: Path | io.BytesIO) -> Image.Image:
    try:
        return Image.open(source, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        pass
    raise refused(Reason.TOO_LARGE, "the picture has more pixels than can be decoded")


def _check(picture: Image.Image, depth: int, *, turned: bool) -> None:
    """Refuse what the header rules out; ``turned``: whether EXIF is asked, for which a PNG may be read to its end."""
    check_size(picture.width * picture.height * _BYTES)
    chosen(getattr(picture, "n_frames", 1), AS_STORED, "frames")
    if turned and picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        message = "the picture is stored turned (EXIF orientation): nothing tells whether its masks are"
        raise refused(Reason.NO_GEOMETRY, message)
    if picture.mode not in _GREY and (picture.mode not in _COLOUR or (picture.format == "PNG" and depth > 8)):
        message = f"the picture's colours ({picture.mode}) are neither grey nor 8-bit RGB"
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, message)


def _grey(picture: Image.Image) -> tuple[NDArray[np.generic], str]:
    """Return one value a pixel (row, column), and what the picture stored."""
    if picture.mode in _GREY:
        return np.asarray(picture), "grey"
    whole = np.asarray(picture.convert("RGBA"))
    if (whole[..., 3] != 255).any():
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the picture is transparent in parts: what lies behind is unknown")
    return luminance(whole[..., :3]), f"RGB to {LUMINANCE}"
