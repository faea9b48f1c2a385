"""One file a format, and the ordered list of them: the first that accepts a path reads it.

A reader is a module with ``accepts(path)``, which looks at the first bytes, and ``read(path, options)`` for images, or
``read_mask(path, image, request)`` for masks, or both. This list may import every reader; no reader imports it.
"""

from pathlib import Path
from types import ModuleType

from pipeline.errors import Reason
from pipeline.studies.readers.images import dicom_enhanced, dicom_projection, dicom_series, nifti, nrrd, picture
from pipeline.studies.readers.masks import boxes, coco, dicom_picture_mask, dicom_seg, png_mask, polygons, rtstruct
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    ImageFile,
    MaskFile,
    MaskRequest,
    ReadOptions,
    guarded,
    refused,
    series_files,
)

__all__ = [
    "AS_STORED",
    "IMAGE_READERS",
    "MASK_READERS",
    "ImageFile",
    "MaskFile",
    "MaskRequest",
    "ReadOptions",
    "read_image",
    "read_mask",
]

IMAGE_READERS: tuple[ModuleType, ...] = (
    nifti,  # four magic bytes, the cheapest to tell
    nrrd,  # likewise
    picture,  # likewise
    dicom_enhanced,  # told by the meta group alone, before a reader that parses the header
    dicom_projection,  # before the series, which takes any DICOM file
    dicom_series,  # last: it takes folders and whatever DICOM is left, and refuses by its own reasons
)

MASK_READERS: tuple[ModuleType, ...] = (
    nifti,  # as above
    nrrd,
    png_mask,  # likewise
    dicom_seg,  # reads the meta group to tell a segmentation from other DICOM objects
    rtstruct,  # likewise
    dicom_picture_mask,  # likewise
    boxes,  # text has no magic bytes: told by its ending
    coco,  # before the polygons, which take any other JSON
    polygons,
)


def read_image(path: Path, options: ReadOptions = AS_STORED) -> ImageFile:
    """Read an image: one file, or a folder of DICOM slices (a folder of one file is that file).

    Raises:
        StudyError: stage READ, with the reason; no path, UID or header text in its message.
    """
    return guarded("the image", lambda: _read_image(path, options))


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest | str | None = None) -> MaskFile:
    """Read one label's mask, on the image's own grid; ``wanted`` (a label, or more) chooses among several.

    Raises:
        StudyError: stage READ; ``excluded`` when the mask does not belong to the image.
    """
    meant = wanted if isinstance(wanted, MaskRequest) else MaskRequest(wanted)
    return guarded("the mask", lambda: _read_mask(path, image, meant))


def _read_image(path: Path, options: ReadOptions) -> ImageFile:
    _check_there(path, "image")
    files = series_files(path)
    only = files[0] if len(files) == 1 else path
    for reader in IMAGE_READERS:
        if reader.accepts(only):
            image: ImageFile = reader.read(only, options)
            return image
    raise refused(Reason.UNSUPPORTED_FORMAT, "the image is neither NIfTI, NRRD, PNG, JPEG nor DICOM")


def _read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    _check_there(path, "mask")
    for reader in MASK_READERS:
        if reader.accepts(path):
            mask: MaskFile = reader.read_mask(path, image, wanted)
            return mask
    message = "the mask is neither NIfTI, NRRD, PNG, DICOM segmentation, structure set or picture, nor JSON or CSV"
    raise refused(Reason.UNSUPPORTED_FORMAT, message)


def _check_there(path: Path, what: str) -> None:
    if not path.exists():
        raise refused(Reason.MISSING_FILE, f"the {what}'s file is not there")
    if not path.is_dir() and not path.is_file():
        raise refused(Reason.NOT_READABLE, f"the {what} is no regular file")
    if path.is_file() and path.stat().st_size == 0:
        raise refused(Reason.TRUNCATED, f"the {what}'s file is empty")
