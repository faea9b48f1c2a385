"""TIFF: grey pictures of whole numbers, and stacks of them as a volume where the file states all three spacings.

Dots per inch tell how a picture is printed, not how large the patient is. A spacing counts where ImageJ or OME state
it in a unit of length. No TIFF tells where it lies in the patient: there are no sides.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers.shared.base import (
    ImageFile,
    MaskFile,
    MaskRequest,
    ReadOptions,
    check_size,
    first_bytes,
    refused,
    volume_of,
)
from pipeline.studies.readers.shared.flat import NO_SPACING, check_same_size, flat_geometry
from pipeline.studies.readers.shared.reader_facts import ImageNotes, MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = ["FACTS", "accepts", "check_file", "read", "read_mask"]

_DICOM, _DICOM_HEAD = b"DICM", 132  # behind a preamble of 128 bytes that may be anything

FACTS = ReaderFacts(
    title="TIFF of grey values, also stacks of ImageJ and OME",
    kind="tiff",
    reads="both",
    endings=(".tif", ".tiff"),
    magic=((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0\x08\0")),
    told_by_name=True,
    may_be_preview=True,
    image=ImageNotes(
        "row, column; column, row, page of a stack",
        "as stored, bright where the file says bright",
        "spacings that ImageJ or OME state in a unit of length; else pixels, and no stack",
    ),
    mask=MaskNotes("pictures, stacks", "as NIfTI", "not 0, or the value"),
)

_GREY = ("1", "L", "I;16", "I;16B", "I")
_WIDEST = 8  # bytes a pixel, while it is decoded and as it travels
_WHITE = 65535
_DESCRIPTION, _PHOTOMETRIC, _ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION = 270, 262, 274, 282, 283
_WHITE_IS_ZERO = 0
_MOST_PAGES = 20_000
_LONGEST = 1024**2  # characters of a description that are looked at
_MM = {
    "nm": 1e-6, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "\\u00b5m": 1e-3, "micron": 1e-3, "microns": 1e-3, "mm": 1.0,
    "millimeter": 1.0, "cm": 10.0, "m": 1000.0,
}  # fmt: skip


@dataclass(frozen=True)
class _Stack:
    """What a file's first page says of all: mm between pages, rows and columns; None where that is not told."""

    spacing: tuple[float | None, float | None, float | None]
    pages: int
    source: str
    several: str = ""


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is TIFF; a DICOM file may begin like one, and is DICOM."""
    head = first_bytes(path, _DICOM_HEAD)
    return FACTS.begins(head) and not head.endswith(_DICOM)


def check_file(file: BinaryIO, size: int) -> None:  # noqa: ARG001 - its pages lie anywhere
    """Refuse a file by what it says of its pages, without decoding one.

    Raises:
        StudyError: for whatever keeps the file from being read but its pixels.
    """
    with _opened(file) as picture:
        _check_stack(_checked(picture), picture.n_frames, needs_spacing=True)


def read(path: Path, options: ReadOptions) -> ImageFile:  # noqa: ARG001 - a picture leaves no choice
    """Read a picture (row, column), or the pages of a stack as a volume (column, row, page), as stored.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL for colour or another depth; NO_GEOMETRY for a stack without three spacings,
            or a picture that is to be turned; SEVERAL_VOLUMES for times and channels; TOO_LARGE.
    """
    values, geometry, facts = _load(path)
    return ImageFile(volume_of(values, geometry), facts)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map of just the image's pixels; a stack needs no spacing of its own for it."""
    values, _, facts = _load(path, needs_spacing=False)
    if facts["photometric"] != _PLAIN:
        message = "the mask's photometric interpretation is white is zero: nothing tells which value is background"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    check_same_size(values.shape, image.volume.geometry)
    return MaskFile(*where_meant(values, path, wanted))


def _load(path: Path, *, needs_spacing: bool = True) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    with path.open("rb") as file, _opened(file) as picture:
        stack = _checked(picture)
        _check_stack(stack, picture.n_frames, needs_spacing=needs_spacing)
        check_size(picture.width * picture.height * picture.n_frames * _WIDEST)
        photometric = _photometric(picture)
        pages = np.stack([_page(picture, number) for number in range(picture.n_frames)])
    values, geometry = (pages[0], _flat(pages[0].shape, stack)) if len(pages) == 1 else _volume(pages, stack)
    facts = {"photometric": photometric, "pixel spacing": stack.source, "voi lut": "none stated"}
    return values, geometry, facts


def _opened(file: BinaryIO) -> TiffImageFile:
    """Return the picture of an open file; nothing is decoded yet.

    Raises:
        StudyError: TOO_LARGE; NOT_READABLE for what is no TIFF beyond its first bytes.
    """
    reason = Reason.NOT_READABLE
    why = "the TIFF file's tags are damaged, or state a kind of pixel that is neither grey nor any known colour"
    try:
        picture = Image.open(file, formats=("TIFF",))
    except Image.DecompressionBombError:
        picture, reason, why = None, Reason.TOO_LARGE, "the picture has more pixels than can be decoded"
    except (UnidentifiedImageError, SyntaxError, KeyError, ValueError, TypeError):
        picture = None
    if not isinstance(picture, TiffImageFile):
        raise refused(reason, why)
    return picture


def _checked(picture: TiffImageFile) -> _Stack:
    """Return what the first page says of all, when they are one stack of grey pages.

    Raises:
        StudyError: NOT_A_SINGLE_CHANNEL; NOT_READABLE for pages of several sizes; NO_GEOMETRY for one to be turned.
    """
    stack, first = _stack(picture), (picture.size, picture.mode, _photometric(picture))
    pages = picture.n_frames
    if pages > _MOST_PAGES:
        raise refused(Reason.TOO_LARGE, f"the file has {pages} pages; the cap is {_MOST_PAGES}")
    for number in range(pages):
        picture.seek(number)
        if picture.tag_v2.get(_ORIENTATION, 1) != 1:
            message = "the picture is stored turned (tag Orientation): nothing tells whether its masks are"
            raise refused(Reason.NO_GEOMETRY, message)
        if picture.mode not in _GREY:
            raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the picture is not of one grey whole number a pixel")
        if (picture.size, picture.mode, _photometric(picture)) != first:
            raise refused(Reason.NOT_READABLE, "the file's pages are of several sizes or depths: they are no stack")
    picture.seek(0)
    return stack


def _page(picture: TiffImageFile, number: int) -> NDArray[np.generic]:
    """Return a page, bright where the file says bright: Pillow turns 8 bits around, and 16 it does not."""
    picture.seek(number)
    values = np.asarray(picture)
    deep = picture.mode.startswith("I;16")
    return np.uint16(_WHITE) - values if deep and _photometric(picture) != _PLAIN else values


_PLAIN = "grey"


def _photometric(picture: TiffImageFile) -> str:
    return "grey, white is zero: inverted" if picture.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else _PLAIN


def _check_stack(stack: _Stack, pages: int, *, needs_spacing: bool) -> None:
    if stack.several:
        raise refused(Reason.SEVERAL_VOLUMES, f"the file states several {stack.several}; one picture or stack is read")
    if stack.pages != pages and stack.pages > 1:
        raise refused(Reason.TRUNCATED, f"the file states {stack.pages} slices and has {pages} pages")
    if needs_spacing and pages > 1 and None in stack.spacing:
        message = f"the file has {pages} pages, and does not state the distances between slices, rows and columns "
        raise refused(Reason.NO_GEOMETRY, f"{message}as ImageJ or OME do; store a volume as NIfTI, NRRD or MetaImage")


def _flat(shape: tuple[int, ...], stack: _Stack) -> Geometry:
    _, row, column = stack.spacing
    known = (row, column) if row and column else (1.0, 1.0)
    return flat_geometry(shape, np.array(known), None, stack.source)


def _volume(pages: NDArray[np.generic], stack: _Stack) -> tuple[NDArray[np.generic], Geometry]:
    """Return (column, row, page) on a grid without sides; without spacings, in steps of 1."""
    steps = [step or 1.0 for step in stack.spacing[::-1]]
    values = pages.transpose(2, 1, 0)
    affine = np.diag([-steps[0], -steps[1], steps[2], 1.0])  # as seen: x to the right, y down
    return values, Geometry(values.shape, affine, oriented=False, scaled=None not in stack.spacing)


# What the file's writer states besides the pixels.


def _stack(picture: TiffImageFile) -> _Stack:
    stated = picture.tag_v2.get(_DESCRIPTION, "")
    text = str(stated[0] if isinstance(stated, tuple) else stated)[:_LONGEST]
    if text.startswith("ImageJ="):
        return _of_imagej(picture, text)
    pixels = re.search(r"<(?:\w+:)?Pixels\s([^>]*)>", text) if "<OME" in text[:4096] or ":OME" in text[:4096] else None
    return _of_ome(pixels[1]) if pixels else _Stack((None, None, None), 1, NO_SPACING)


def _of_imagej(picture: TiffImageFile, text: str) -> _Stack:
    """Return what ImageJ states: the number of slices and their distance in its text, pixels a unit in the tags."""
    fields = dict(line.partition("=")[::2] for line in text.splitlines())
    several = next((name for name in ("channels", "frames") if _number(fields.get(name)) not in (None, 1.0)), "")
    unit = _MM.get(fields.get("unit", "").strip().lower())
    x, y = (_number(picture.tag_v2.get(tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    column, row = unit / x if unit and x else None, unit / y if unit and y else None
    apart = _number(fields.get("spacing"))
    slices = _number(fields.get("slices")) or _number(fields.get("images")) or 1.0
    between = unit * apart if unit and apart else None
    return _Stack((between, row, column), int(slices), "ImageJ" if row and column else NO_SPACING, several)


def _of_ome(attributes: str) -> _Stack:
    """Return what OME's element Pixels states; a size without a unit is in micrometres."""
    fields = dict(re.findall(r'([\w.:]+)\s*=\s*"([^"]*)"', attributes))
    counts = {"channels": fields.get("SizeC"), "times": fields.get("SizeT")}
    several = next((name for name, count in counts.items() if _number(count) not in (None, 1.0)), "")
    steps = [
        size * unit if (size := _number(fields.get(f"PhysicalSize{axis}"))) and unit else None
        for axis in "ZYX"
        for unit in [_MM.get(fields.get(f"PhysicalSize{axis}Unit", "µm").strip())]
    ]
    slices = int(_number(fields.get("SizeZ")) or 1)
    known = steps[1] and steps[2]
    return _Stack((steps[0], steps[1], steps[2]), slices, "OME" if known else NO_SPACING, several)


def _number(stated: object) -> float | None:
    """Return a finite number above 0, or None for anything else."""
    try:
        value = float(stated)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if np.isfinite(value) and value > 0 else None
