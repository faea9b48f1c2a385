"""A DICOM picture in one plane without a place in the patient: projection, secondary capture, ultrasound.

Every picture reaches the model in one polarity, bright where it is dense: MONOCHROME1 is stored dense = dark and
is inverted within the range that its pixels can take. Colour becomes luminance. The display transform (VOI LUT,
PS3.3 C.11.2) is applied when the user asks for it. What was done stands in the facts.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_voi_lut

from pipeline.errors import Reason
from pipeline.studies.privacy import allowed_header
from pipeline.studies.readers.base import ImageFile, ReadOptions, chosen, refused, volume_of
from pipeline.studies.readers.colour import LUMINANCE, luminance
from pipeline.studies.readers.dicom import decoded, is_dicom, number, open_header, open_whole, real_values, stored_range
from pipeline.studies.readers.flat import NO_SPACING, Direction, flat_geometry

__all__ = ["accepts", "read"]

_MODALITIES = {"CR", "DR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"}
# ultrasound and secondary capture, single and multi-frame: the only ones that may go without a spacing
_CAPTURES = {f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("3.1", "6.1", "7", "7.1", "7.2", "7.3", "7.4")}
_DECODED_AS_RGB = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"}
# the first is corrected for magnification where the two differ
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_TO_LPS: Mapping[str, Direction] = {
    "L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1),
}  # fmt: skip
_TISSUE, _CENTIMETRE = 1, 3  # an ultrasound region's 2D format and its units (PS3.3 C.8.5.5.1.1 and .15)


def accepts(path: Path) -> bool:
    """Tell whether the file is DICOM, a projection or capture, and states no place in the patient."""
    if not is_dicom(path):
        return False
    header = open_header(path)
    flat = header.get("Modality") in _MODALITIES or header.get("SOPClassUID") in _CAPTURES
    return flat and "Rows" in header and "ImageOrientationPatient" not in header


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read a picture: array (row, column), dense = bright, after the modality transform.

    Raises:
        StudyError: NO_GEOMETRY for a projection without pixel spacing; SEVERAL_VOLUMES for several frames of
            which none is chosen; NOT_A_SINGLE_CHANNEL for colours of another kind; as ``decoded``.
    """
    dataset = open_whole(path)
    if "SharedFunctionalGroupsSequence" in dataset:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the picture is an enhanced projection, which is not read")
    spacing, source = _spacing(dataset)
    frames = int(dataset.get("NumberOfFrames") or 1)
    frame, choice = chosen(frames, options, "frames")
    stored = decoded(dataset, frame if frames > 1 else None)
    values, facts = _coloured(dataset, stored) if stored.ndim > 2 else _grey(dataset, stored, options)
    geometry = flat_geometry(values.shape, spacing, _directions(dataset.get("PatientOrientation")), source)
    facts = {**allowed_header(dataset), **facts, **choice, "pixel spacing": source}
    instances = frozenset({str(dataset.SOPInstanceUID)})
    return ImageFile(volume_of(values, geometry), facts, instances, frame + 1 if frames > 1 else None)


def _coloured(dataset: Dataset, rgb: NDArray[np.generic]) -> tuple[NDArray[np.float64], dict[str, str]]:
    if dataset.PhotometricInterpretation not in _DECODED_AS_RGB or rgb.shape[2:] != (3,):
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the picture's colours are neither grey, palette, RGB nor YBR")
    return luminance(rgb), {"photometric": f"RGB to {LUMINANCE}", "voi lut": "not applied"}


def _grey(
    dataset: Dataset, stored: NDArray[np.generic], options: ReadOptions
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """Return values of one sample a pixel, dense = bright, and what was done to them."""
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        values = luminance(apply_color_lut(stored, dataset)[..., :3])
        return values, {"photometric": f"palette to {LUMINANCE}", "voi lut": "not applied"}
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the picture's colours are neither grey, palette, RGB nor YBR")
    values = np.asarray(real_values(dataset, stored), dtype=np.float64)
    ends = np.asarray(real_values(dataset, np.array(stored_range(dataset), dtype=np.int64)))
    values, ends, told = _displayed(dataset, values, ends) if options.voi == "apply" else (values, ends, "not applied")
    if photometric == "MONOCHROME1":
        values, photometric = ends.sum() - values, "MONOCHROME1 inverted"
    return values, {"photometric": photometric, "voi lut": told}


def _displayed(
    dataset: Dataset, values: NDArray[np.float64], ends: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return values after the first display transform that is stated, the ends of their range, and which it was."""
    tables = dataset.get("VOILUTSequence")
    if tables:
        whole = np.rint(values).astype(np.int64)  # a table has whole numbers as its input
        highest = 2.0 ** int(tables[0].LUTDescriptor[2]) - 1
        shown = np.asarray(apply_voi_lut(whole, dataset), dtype=np.float64)
        return shown, np.array([0.0, highest]), "table applied"
    if dataset.get("WindowWidth") is None or dataset.get("WindowCenter") is None:
        return values, ends, "none stated"
    return np.asarray(apply_voi_lut(values, dataset), dtype=np.float64), ends, "window applied"


def _spacing(dataset: Dataset) -> tuple[NDArray[np.float64], str]:
    """Return the distances (mm) between rows and between columns, and what states them."""
    for keyword in _SPACINGS:
        spacing = number(dataset, keyword, 2)
        if spacing is not None and spacing.min() > 0:
            return spacing, keyword
    if dataset.SOPClassUID not in _CAPTURES:
        raise refused(Reason.NO_GEOMETRY, "the image states neither PixelSpacing nor ImagerPixelSpacing")
    region = _region(dataset)
    if region is not None:
        return region, "ultrasound region"
    aspect = number(dataset, "PixelAspectRatio", 2)
    if aspect is not None and aspect.min() > 0:  # height to width
        return np.array([aspect[0] / aspect[1], 1.0]), f"{NO_SPACING}, by the aspect ratio"
    return np.ones(2), NO_SPACING


def _region(dataset: Dataset) -> NDArray[np.float64] | None:
    """Return the spacing (mm) of an ultrasound picture's only region, when that is a slice of tissue."""
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or ())
    if len(regions) != 1 or regions[0].get("RegionSpatialFormat") != _TISSUE:
        return None
    units = {regions[0].get("PhysicalUnitsXDirection"), regions[0].get("PhysicalUnitsYDirection")}
    steps = np.abs([float(regions[0].get(f"PhysicalDelta{axis}") or 0) for axis in "YX"])
    return 10 * steps if units == {_CENTIMETRE} and steps.min() > 0 else None


def _directions(letters: object) -> tuple[Direction, Direction] | None:
    """Return where a row and a column run to (LPS+), by their first letters; None when that is not said."""
    if not isinstance(letters, (MultiValue, list)) or len(letters) != 2:
        return None
    found = [_TO_LPS.get(str(letter)[:1]) for letter in letters]
    if found[0] is None or found[1] is None or np.dot(found[0], found[1]) != 0:
        return None
    return found[0], found[1]
