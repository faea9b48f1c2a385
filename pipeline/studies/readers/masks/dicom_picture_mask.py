"""A mask that is stored as a DICOM picture, as sets of mammograms ship them (secondary captures of 0 and 255).

It covers its image pixel by pixel: the size has to be the image's. Where it names images, the study's is among them.
Nothing is inverted or rescaled: values are labels.
"""

from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.readers.dicom.data_set import check_encoding, file_kind, open_whole
from pipeline.studies.readers.dicom.header import Kind
from pipeline.studies.readers.dicom.pixel_format import format_of
from pipeline.studies.readers.dicom.pixel_values import pixels_of, stored_values
from pipeline.studies.readers.dicom.references import instances_named
from pipeline.studies.readers.shared.base import AS_STORED, ImageFile, MaskFile, MaskRequest, chosen, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = ["FACTS", "accepts", "read_mask"]

FACTS = ReaderFacts(
    title="DICOM picture, as a label map",
    kind="dicom projection",
    reads="mask",
    mask=MaskNotes("pictures, projections", "as NIfTI", "not 0, or the value"),
)


def accepts(path: Path) -> bool:
    """Tell whether the file is a DICOM picture without a place in the patient."""
    return file_kind(path) is Kind.PROJECTION


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map (rows, columns) of stored values for an image of two axes.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL for colour; UNSUPPORTED_FORMAT for MONOCHROME1, of which nothing tells whether
            0 is the background; excluded: OTHER_IMAGE, OTHER_GRID for another size; as ``where_meant``.
    """
    dataset, header = open_whole(path)
    layout = format_of(header)
    check_encoding(header, layout, from_file=True)
    if layout.samples != 1 or layout.photometric == "PALETTE COLOR":
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the mask is in colour; one grey value a pixel is read")
    if layout.photometric != "MONOCHROME2":
        message = "the mask's PhotometricInterpretation is MONOCHROME1: nothing tells whether 0 is its background"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    chosen(layout.frames, AS_STORED, "frames")
    named = instances_named(dataset)
    if named and image.instances and not named & image.instances:
        message = f"the mask names {len(named)} images, and the study's image is none of them"
        raise refused(Reason.OTHER_IMAGE, message, excluded=True)
    shape = image.volume.geometry.shape
    if (layout.rows, layout.columns) != shape:
        message = f"the mask has {(layout.rows, layout.columns)} pixels, the image {shape}"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    values = stored_values(pixels_of(dataset, str(header["transfer_syntax"]), layout), layout)
    return MaskFile(*where_meant(values, path, wanted))
