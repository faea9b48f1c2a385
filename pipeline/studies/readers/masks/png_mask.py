"""A mask as PNG, of one grey or palette value a pixel: 0 outside, one other value inside, or a label's own value.

Grey that is stored as RGB, or with an alpha channel that hides nothing, is grey. A palette's index is the value; where
nothing says what it stands for and index 0 is not the palette's black, nothing tells what is background, and the mask
is refused.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, check_size, first_bytes, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import sidecar_of, where_meant

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="PNG, as a label map",
    kind="raster",
    reads="mask",
    magic=((0, b"\x89PNG\r\n\x1a\n"),),
    mask=MaskNotes("pictures, projections", "as NIfTI", "not 0, or the value"),
)

_HEADER = 24  # bytes, up to width and height
_VALUES = ("1", "L", "I", "I;16")
_GREY_IN_COLOUR = ("RGB", "RGBA", "LA")
_OPAQUE = 255
_WIDEST = 4  # bytes a pixel of the widest of these


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is PNG."""
    return FACTS.begins(first_bytes(path, 8))


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map (rows, columns) for an image of two axes; a palette's index is the value.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL for colour; excluded: OTHER_GRID for another size.
    """
    start = first_bytes(path, _HEADER)
    check_size(int.from_bytes(start[16:20]) * int.from_bytes(start[20:24]) * _WIDEST)
    with Image.open(path, formats=("PNG",)) as picture:
        named_elsewhere = wanted.value is not None or sidecar_of(path) is not None
        values = _values(picture, named_elsewhere=named_elsewhere)
    shape = image.volume.geometry.shape
    if values.shape != shape:
        raise refused(Reason.OTHER_GRID, f"the mask has {values.shape} pixels, the image {shape}", excluded=True)
    return MaskFile(*where_meant(values, path, wanted))


def _values(picture: Image.Image, *, named_elsewhere: bool) -> NDArray[np.generic]:
    """Return one value a pixel (rows, columns); ``named_elsewhere``: what an index stands for is stated elsewhere."""
    if picture.mode in _VALUES:
        return np.asarray(picture)
    if picture.mode == "P":
        return np.asarray(picture) if named_elsewhere else _indices(picture)
    if picture.mode not in _GREY_IN_COLOUR:
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, f"the mask is stored as {picture.mode}; one value a pixel is read")
    channels = np.asarray(picture)
    colours = channels[..., :3] if picture.mode != "LA" else channels[..., :1]
    if picture.mode != "RGB" and (channels[..., -1] != _OPAQUE).any():
        message = "the mask has an alpha channel that hides a part of it: nothing tells what lies there"
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, message)
    if (colours != colours[..., :1]).any():
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the mask is in colour; one value a pixel is read")
    return colours[..., 0]


def _indices(picture: Image.Image) -> NDArray[np.generic]:
    """Return a palette's indices when its first entry is black: 0 is the background then, as it looks.

    Raises:
        StudyError: UNSUPPORTED_FORMAT when index 0 is used and is no background by its colour.
    """
    values = np.asarray(picture)
    palette = picture.getpalette("RGB") or []
    if (values == 0).any() and any(palette[:3]):
        message = f"the mask's palette shows index 0 as the colour {tuple(palette[:3])}, not as black: nothing tells "
        raise refused(Reason.UNSUPPORTED_FORMAT, f"{message}what is background; store the values as grey")
    return values
