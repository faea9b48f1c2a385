"""A DICOM picture in one plane without a place in the patient: projection, secondary capture, ultrasound.

Every picture reaches the model in one polarity, bright where it is dense: MONOCHROME1 is stored dense = dark and is
inverted within the range that its pixels can take, and so is a Presentation LUT Shape of INVERSE, which says the same
of what is stored (together they are one inversion, not two). Colour becomes luminance. The display transform (VOI LUT,
PS3.3 C.11.2) is applied when the user asks for it. What was done stands in the facts.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut

from pipeline.errors import Reason, StudyError
from pipeline.studies.pseudonyms import allowed_header
from pipeline.studies.readers.dicom.data_set import check_encoding, file_kind, open_whole, rescaled
from pipeline.studies.readers.dicom.display import displayed
from pipeline.studies.readers.dicom.header import CAPTURES, Header, Kind, numbers
from pipeline.studies.readers.dicom.pixel_format import PixelFormat, format_of, padding_of, rescale_of
from pipeline.studies.readers.dicom.pixel_values import excess_of, pixels_of, stored_values
from pipeline.studies.readers.shared.base import ImageFile, ReadOptions, chosen, refused, volume_of
from pipeline.studies.readers.shared.colour import LUMINANCE, luminance
from pipeline.studies.readers.shared.flat import NO_SPACING, Direction, flat_geometry
from pipeline.studies.readers.shared.reader_facts import ImageNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "checked_flat", "read"]

FACTS = ReaderFacts(
    title="DICOM projection, secondary capture and ultrasound",
    kind="dicom projection",
    reads="image",
    image=ImageNotes(
        "row, column",
        "after the modality transform, dense = bright; colour as luminance",
        "`PixelSpacing`, `ImagerPixelSpacing`, `NominalScannedPixelSpacing`, the only ultrasound region; else pixels",
    ),
)

_DECODED_AS_RGB = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"}
# the first is corrected for magnification where the two differ
_SPACINGS = {
    "spacing": "PixelSpacing", "imager_spacing": "ImagerPixelSpacing", "scanned_spacing": "NominalScannedPixelSpacing"
}  # fmt: skip
_TO_LPS: Mapping[str, Direction] = {
    "L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1),
}  # fmt: skip
_TISSUE, _CENTIMETRE = 1, 3  # an ultrasound region's 2D format and its units (PS3.3 C.8.5.5.1.1 and .15)


def accepts(path: Path) -> bool:
    """Tell whether the file is DICOM, a projection or capture, and states no place in the patient."""
    return file_kind(path) is Kind.PROJECTION


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read a picture: array (row, column), dense = bright, after the modality transform.

    Raises:
        StudyError: NO_GEOMETRY for a projection whose pixel spacing is none; SEVERAL_VOLUMES for several frames of
            which none is chosen; NOT_A_SINGLE_CHANNEL for colours of another kind; as the path of all pixels.
    """
    dataset, header = open_whole(path)
    if "SharedFunctionalGroupsSequence" in dataset:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the picture is an enhanced projection, which is not read")
    layout = checked_flat(header)
    spacing, source = _spacing(dataset, header)
    frame, choice = chosen(layout.frames, options, "frames")
    several = layout.frames > 1
    pixels = pixels_of(dataset, str(header["transfer_syntax"]), layout)
    stored = stored_values(pixels, layout, frame if several else None)
    coloured = layout.samples > 1
    values, facts = _coloured(stored) if coloured else _grey(dataset, header, layout, stored, options)
    geometry = flat_geometry(values.shape, spacing, _directions(dataset.get("PatientOrientation")), source)
    excess = excess_of(pixels, layout)
    facts |= {"bytes behind the pixels": f"{excess}, all 0"} if excess else {}
    facts = {**allowed_header(dataset), **facts, **choice, "pixel spacing": source}
    instances = frozenset({str(header["instance"])})
    return ImageFile(volume_of(values, geometry), facts, instances, frame + 1 if several else None)


def checked_flat(header: Header, *, from_file: bool = True) -> PixelFormat:
    """Return what a picture's header says of its pixels.

    Raises:
        StudyError: for whatever in the header keeps the picture from being read, but the choice of a frame.
    """
    layout = format_of(header)
    known = layout.is_grey or (layout.samples == 1 and layout.photometric == "PALETTE COLOR")
    if not known and (layout.samples != 3 or layout.photometric not in _DECODED_AS_RGB):
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the picture's colours are neither grey, palette, RGB nor YBR")
    check_encoding(header, layout, from_file=from_file)
    stated_spacing(header)
    padding_of(header, layout)
    rescale_of(header)
    return layout


def _coloured(rgb: NDArray[np.generic]) -> tuple[NDArray[np.float64], dict[str, str]]:
    return luminance(rgb), {"photometric": f"RGB to {LUMINANCE}", "voi lut": "not applied"}


def _grey(
    dataset: Dataset, header: Header, layout: PixelFormat, stored: NDArray[np.integer], options: ReadOptions
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """Return values of one sample a pixel, dense = bright, and what was done to them."""
    if layout.photometric == "PALETTE COLOR":
        return _palette(dataset, stored)
    rescale, lowest = rescale_of(header), layout.ends[0]
    values = np.asarray(rescaled(dataset, rescale, stored, lowest), dtype=np.float64)
    ends = np.asarray(rescaled(dataset, rescale, np.array(layout.ends, dtype=np.int64), lowest), dtype=np.float64)
    voi = "not applied"
    if options.voi == "apply":
        values, ends, voi = displayed(dataset, header, values, ends)
    values, photometric = _dense_is_bright(dataset, layout.photometric, values, ends)
    return values, {"photometric": photometric, "voi lut": voi, **_padding(header, layout, stored)}


def _dense_is_bright(
    dataset: Dataset, photometric: str, values: NDArray[np.float64], ends: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str]:
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    if photometric == "MONOCHROME1":
        contradicted = " against the Presentation LUT Shape IDENTITY" if shape == "IDENTITY" else ""
        return ends.sum() - values, f"MONOCHROME1 inverted{contradicted}"
    if shape == "INVERSE":
        return ends.sum() - values, "MONOCHROME2 inverted by its Presentation LUT Shape"
    return values, photometric


def _padding(header: Header, layout: PixelFormat, stored: NDArray[np.integer]) -> dict[str, str]:
    padding = padding_of(header, layout)
    if padding is None:
        return {}
    share = np.count_nonzero((stored >= padding[0]) & (stored <= padding[1])) / stored.size
    return {"pixel padding": f"{100 * share:.1f} % of the pixels"}


def _palette(dataset: Dataset, stored: NDArray[np.integer]) -> tuple[NDArray[np.float64], dict[str, str]]:
    try:
        colours = apply_color_lut(stored, dataset)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError, NotImplementedError):
        colours = None
    if colours is None:
        message = "the picture's PaletteColorLookupTable descriptors or data are absent, or contradict each other"
        raise refused(Reason.NOT_READABLE, message)
    return luminance(colours[..., :3]), {"photometric": f"palette to {LUMINANCE}", "voi lut": "not applied"}


def stated_spacing(header: Header) -> tuple[NDArray[np.float64], str] | None:
    """Return the distances (mm) between rows and between columns that an attribute states, and which it is.

    None where none states any: distances are in pixels then.

    Raises:
        StudyError: NO_GEOMETRY when a projection states one that is none; of a capture, that is passed over.
    """
    stated = False
    for name, keyword in _SPACINGS.items():
        try:
            spacing = numbers(header, name, 2)
        except StudyError:
            spacing, stated = None, True
        if spacing is not None:
            if spacing.min() > 0:
                return spacing, keyword
            stated = True
    if stated and header.get("class") not in CAPTURES:
        message = (
            "PixelSpacing, ImagerPixelSpacing or NominalScannedPixelSpacing is stated, and is not two numbers above 0"
        )
        raise refused(Reason.NO_GEOMETRY, message)
    return None


def _spacing(dataset: Dataset, header: Header) -> tuple[NDArray[np.float64], str]:
    """Return the distances (mm) between rows and between columns, and what states them."""
    stated = stated_spacing(header)
    if stated is not None:
        return stated
    region = _region(dataset)
    if region is not None:
        return region, "ultrasound region"
    try:
        aspect = numbers(header, "aspect", 2)
    except StudyError:
        aspect = None
    if aspect is not None and aspect.min() > 0:  # height to width
        return np.array([aspect[0] / aspect[1], 1.0]), f"{NO_SPACING}, by the aspect ratio"
    return np.ones(2), NO_SPACING


def _region(dataset: Dataset) -> NDArray[np.float64] | None:
    """Return the spacing (mm) of an ultrasound picture's only region, when that is a slice of tissue."""
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or ())
    if len(regions) != 1 or regions[0].get("RegionSpatialFormat") != _TISSUE:
        return None
    units = {regions[0].get("PhysicalUnitsXDirection"), regions[0].get("PhysicalUnitsYDirection")}
    try:
        steps = np.abs([float(regions[0].get(f"PhysicalDelta{axis}") or 0) for axis in "YX"])
    except (ValueError, TypeError):
        return None
    return 10 * steps if units == {_CENTIMETRE} and steps.min() > 0 else None


def _directions(letters: object) -> tuple[Direction, Direction] | None:
    """Return where a row and a column run to (LPS+), by their first letters; None when that is not said."""
    if not isinstance(letters, (MultiValue, list)) or len(letters) != 2:
        return None
    directions = [_TO_LPS.get(str(letter)[:1]) for letter in letters]
    if directions[0] is None or directions[1] is None or np.dot(directions[0], directions[1]) != 0:
        return None
    return directions[0], directions[1]
