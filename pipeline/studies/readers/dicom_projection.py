"""A DICOM projection (CR, DX, MG ...): one frame, one plane, bright where it is dense.

MONOCHROME1 images are stored dense = dark; they are inverted within the range that their pixels can take, so
that every projection reaches the model in one polarity. The display transform (VOI LUT) is not applied.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.privacy import allowed_header
from pipeline.studies.readers.base import ImageFile, refused, volume_of
from pipeline.studies.readers.dicom import (
    grey,
    is_dicom,
    number,
    open_header,
    open_whole,
    real_values,
    stored_range,
)

__all__ = ["accepts", "read"]

_MODALITIES = {"CR", "DR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"}
# the first is corrected for magnification where the two differ
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing")
_TO_LPS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


def accepts(path: Path) -> bool:
    """Tell whether the file is DICOM, of a projecting modality, and states no position in the patient."""
    if not is_dicom(path):
        return False
    header = open_header(path)
    return header.get("Modality") in _MODALITIES and "ImageOrientationPatient" not in header


def read(path: Path) -> ImageFile:
    """Read a projection: array (row, column) after the modality transform, dense = bright.

    Raises:
        StudyError: NO_GEOMETRY without pixel spacing, and what ``grey`` refuses.
    """
    dataset = open_whole(path)
    spacing, source = _spacing(dataset)
    stored = grey(dataset)
    values = real_values(dataset, stored)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "MONOCHROME1":
        ends = real_values(dataset, np.array(stored_range(dataset), dtype=np.int64))
        values = ends.sum() - values
        photometric = "MONOCHROME1 inverted"
    geometry = _geometry(dataset, spacing, (int(dataset.Rows), int(dataset.Columns)))
    facts = {"photometric": photometric, "pixel spacing": source, "voi lut": "not applied"}
    instances = frozenset({str(dataset.SOPInstanceUID)})
    return ImageFile(volume_of(values, geometry), {**allowed_header(dataset), **facts}, instances)


def _spacing(dataset: Dataset) -> tuple[NDArray[np.float64], str]:
    """Return the distances (mm) between rows and between columns, and the attribute that states them."""
    for keyword in _SPACINGS:
        spacing = number(dataset, keyword, 2)
        if spacing is not None and spacing.min() > 0:
            return spacing, keyword
    raise refused(Reason.NO_GEOMETRY, "the image states neither PixelSpacing nor ImagerPixelSpacing")


def _geometry(dataset: Dataset, spacing: NDArray[np.float64], shape: tuple[int, int]) -> Geometry:
    directions = _directions(dataset.get("PatientOrientation"))
    along_row, along_column = directions or (_TO_LPS["L"], _TO_LPS["F"])
    affine = np.eye(4)
    affine[:3, 0] = np.array(along_column) * spacing[0]  # the row index grows down a column
    affine[:3, 1] = np.array(along_row) * spacing[1]
    affine[:3, 2] = np.cross(along_column, along_row)
    return Geometry(shape, lps_to_ras(affine), None, oriented=directions is not None)


def _directions(letters: object) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Return where a row and a column run to (LPS+), by their first letters; None when that is not said."""
    if not isinstance(letters, (MultiValue, list)) or len(letters) != 2:
        return None
    found = [_TO_LPS.get(str(letter)[:1]) for letter in letters]
    if found[0] is None or found[1] is None or np.dot(found[0], found[1]) != 0:
        return None
    return found[0], found[1]
