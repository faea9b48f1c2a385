"""A mask that is stored as a DICOM series: a folder of slices that hold labels, as liver and vessel sets ship them.

Its header is often a copy of the image's: a rescale is no part of labels, and a voxel of 0 is outside.
"""

from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.readers.dicom.data_set import file_kind
from pipeline.studies.readers.dicom.header import Kind
from pipeline.studies.readers.images.dicom_series import stored_labels
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, on_grid, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="DICOM series, as a label map",
    kind="dicom slice",
    reads="mask",
    mask=MaskNotes("volumes", "as NIfTI", "not 0, or the value, as stored"),
)


def accepts(path: Path) -> bool:
    """Tell whether the path is a folder, or a slice of a series."""
    return path.is_dir() or file_kind(path) is Kind.SLICE


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map (column, row, slice) of stored values onto the image's grid.

    Raises:
        StudyError: UNSUPPORTED_FORMAT for the image's own slices; as series, ``where_meant`` and ``on_grid``.
    """
    labels = stored_labels(path)
    if labels.instances & image.instances:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the mask's slices are the image's own: an image is no mask of itself")
    marked, facts = where_meant(labels.volume.array, path, wanted)
    on_image, resampled = on_grid(marked, labels.volume.geometry, image.volume.geometry, wanted)
    return MaskFile(on_image, facts | resampled)
