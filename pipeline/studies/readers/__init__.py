"""One file a format. Readers sniff magic bytes; the first that accepts a path reads it.

A reader is a module with ``accepts(path)``, and ``read(path)`` for images, or
``read_mask(path, image, label)`` for masks, or both.
"""

from pathlib import Path
from types import ModuleType

from pipeline.errors import Reason
from pipeline.studies.readers import dicom_projection, dicom_seg, dicom_series, nifti, nrrd
from pipeline.studies.readers.base import ImageFile, MaskFile, guarded, refused, series_files

__all__ = ["IMAGE_READERS", "MASK_READERS", "ImageFile", "MaskFile", "read_image", "read_mask"]

IMAGE_READERS: tuple[ModuleType, ...] = (
    nifti,  # four magic bytes, the cheapest to tell
    nrrd,  # likewise
    dicom_projection,  # before the series, which takes any DICOM image
    dicom_series,  # last: it takes folders and whatever DICOM image is left, and refuses by its own reasons
)

MASK_READERS: tuple[ModuleType, ...] = (
    nifti,  # as above
    nrrd,
    dicom_seg,  # reads the meta group to tell a segmentation from other DICOM objects
)


def read_image(path: Path) -> ImageFile:
    """Read an image: one file, or a folder of DICOM slices (a folder of one file is that file).

    Raises:
        StudyError: stage READ, with the reason; no path, UID or header text in its message.
    """
    return guarded("the image", lambda: _read_image(path))


def read_mask(path: Path, image: ImageFile, label: str | None) -> MaskFile:
    """Read one label's mask, on the image's own grid; ``label`` chooses among several in one file.

    Raises:
        StudyError: stage READ; ``excluded`` when the mask does not belong to the image.
    """
    return guarded("the mask", lambda: _read_mask(path, image, label))


def _read_image(path: Path) -> ImageFile:
    _check_there(path, "image")
    files = series_files(path)
    only = files[0] if len(files) == 1 else path
    for reader in IMAGE_READERS:
        if reader.accepts(only):
            found: ImageFile = reader.read(only)
            return found
    raise refused(Reason.UNSUPPORTED_FORMAT, "the image is neither NIfTI nor NRRD nor a DICOM image")


def _read_mask(path: Path, image: ImageFile, label: str | None) -> MaskFile:
    _check_there(path, "mask")
    for reader in MASK_READERS:
        if reader.accepts(path):
            found: MaskFile = reader.read_mask(path, image, label)
            return found
    raise refused(Reason.UNSUPPORTED_FORMAT, "the mask is neither NIfTI nor NRRD nor a DICOM segmentation")


def _check_there(path: Path, what: str) -> None:
    if not path.exists():
        raise refused(Reason.MISSING_FILE, f"the {what}'s file is not there")
    if not path.is_dir() and not path.is_file():
        raise refused(Reason.NOT_READABLE, f"the {what} is no regular file")
    if path.is_file() and path.stat().st_size == 0:
        raise refused(Reason.TRUNCATED, f"the {what}'s file is empty")
