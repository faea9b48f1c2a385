"""A mask as PNG, of one grey or palette value a pixel: 0 outside, one other value inside, or a label's own value."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import Reason
from pipeline.studies.readers.base import ImageFile, MaskFile, Wanted, check_size, first_bytes, refused
from pipeline.studies.readers.sidecars import where_meant

__all__ = ["accepts", "read_mask"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = 24  # bytes, up to width and height
_VALUES = ("1", "L", "P", "I", "I;16")
_WIDEST = 4  # bytes a pixel of the widest of these


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is PNG."""
    return first_bytes(path, len(_SIGNATURE)) == _SIGNATURE


def read_mask(path: Path, image: ImageFile, wanted: Wanted) -> MaskFile:
    """Read a label map (rows, columns) for an image of two axes; a palette's index is the value.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL for colour; excluded: OTHER_GRID for another size.
    """
    start = first_bytes(path, _HEADER)
    check_size(int.from_bytes(start[16:20]) * int.from_bytes(start[20:24]) * _WIDEST)
    with Image.open(path, formats=("PNG",)) as picture:
        if picture.mode not in _VALUES:
            message = "the mask is in colour or has an alpha channel; one value a pixel is read"
            raise refused(Reason.NOT_A_SINGLE_CHANNEL, message)
        values = np.asarray(picture)
    shape = image.volume.geometry.shape
    if values.shape != shape:
        raise refused(Reason.OTHER_GRID, f"the mask has {values.shape} pixels, the image {shape}", excluded=True)
    return MaskFile(where_meant(values, path, wanted))
