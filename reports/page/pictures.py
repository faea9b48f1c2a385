"""Pictures on their way to the page: at the resolution that print needs, each once, on disk until the file is whole."""

import hashlib
import io
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.pdfbase.pdfdoc import PDFDictionary

from reports.page.scripts import shown_in_order
from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.values import reference
from reports.tagged.canvas import MarkedCanvas

__all__ = ["PageCanvas", "PictureFile", "at_print_resolution", "encoded", "picture_file"]

_DPI = 300
_PER_CM2 = 4000  # bytes: a page of which two thirds are pictures then stays below a megabyte
_LEAST = 24_000
_QUALITIES = (95, 90, 85, 80)  # of JPEG, from the first whose loss nobody sees to the last
_COMPRESSION = 4


@dataclass(frozen=True)
class Encoded:
    """A picture as a PDF keeps it: its data, their filter with its parameters, its colour space and size in pixels."""

    data: bytes
    filter: str
    parameters: str
    space: str
    size: tuple[int, int]


def at_print_resolution(picture: Image.Image, width: float, height: float) -> Image.Image:
    """Return a picture that is drawn ``width`` x ``height`` points large with no more pixels than print shows.

    A picture of enlarged pixels keeps them crisp: each is repeated less often. Any other is averaged.
    """
    most = [max(1, math.ceil(length * _DPI / 72)) for length in (width, height)]
    if picture.width <= most[0] and picture.height <= most[1]:
        return picture
    pixels = np.asarray(picture)
    own = [picture.width // _repeated(pixels.swapaxes(0, 1)), picture.height // _repeated(pixels)]
    size = [
        pixels_ * (limit // pixels_) if pixels_ <= limit else limit for pixels_, limit in zip(own, most, strict=True)
    ]
    size = [min(new, old) for new, old in zip(size, picture.size, strict=True)]
    return picture.resize((size[0], size[1]), Image.Resampling.BOX)


def _repeated(pixels: NDArray[np.uint8]) -> int:
    """Return how often each line of pixels (N, ...) stands there in a row: N where all are the same."""
    flat = pixels.reshape(len(pixels), -1)
    changes = np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1
    return int(np.gcd.reduce(np.append(changes, len(pixels))))


def encoded(picture: Image.Image, width: float, height: float) -> Encoded:
    """Return a picture as it is kept: as it is where that is small, else at the resolution that print needs.

    Grey ones lose nothing else; coloured ones that are large even then become JPEG. ``width`` and ``height`` are what
    the picture takes of the page, in points.
    """
    most = max(_LEAST, _PER_CM2 * width * height * (2.54 / 72) ** 2)
    picture = _grey_if_grey(picture)
    smaller = at_print_resolution(picture, width, height)
    for candidate in (picture, smaller):
        # most of the work would be spent on pictures of noise, of which an eighth tells enough
        if _estimate(candidate) <= 1.5 * most and len((kept := _lossless(candidate)).data) <= most:
            return kept
    if picture.mode == "L":
        return _lossless(smaller)
    lossy = (_lossy(smaller, quality) for quality in _QUALITIES)
    return next((each for each in lossy if len(each.data) <= most), None) or _lossy(smaller, _QUALITIES[-1])


def _estimate(picture: Image.Image) -> float:
    """Return about how many bytes a picture takes without loss, from a band across its middle."""
    rows = max(1, picture.height // 8)
    band = picture.crop((0, (picture.height - rows) // 2, picture.width, (picture.height + rows) // 2))
    return len(_lossless(band).data) * picture.height / band.height


def _grey_if_grey(picture: Image.Image) -> Image.Image:
    if picture.mode == "L":
        return picture
    red, green, blue = (band.tobytes() for band in picture.split())
    return picture.getchannel(0) if red == green == blue else picture


def _lossless(picture: Image.Image) -> Encoded:
    target = io.BytesIO()
    picture.save(target, "PNG", compress_level=_COMPRESSION)
    colours = len(picture.getbands())
    parameters = f"/DecodeParms<</Predictor 15/Colors {colours}/BitsPerComponent 8/Columns {picture.width}>>"
    space = "/DeviceGray" if colours == 1 else "/DeviceRGB"
    return Encoded(b"".join(_png_data(target.getvalue())), "/FlateDecode", parameters, space, picture.size)


def _png_data(png: bytes) -> Iterator[bytes]:
    """Yield the compressed pixels of a PNG file: a PDF keeps them the same way."""
    place = 8
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        if kind == b"IDAT":
            yield png[place + 8 : place + 8 + length]
        place += 12 + length


def _lossy(picture: Image.Image, quality: int) -> Encoded:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality, subsampling=0)
    return Encoded(target.getvalue(), "/DCTDecode", "", "/DeviceRGB", picture.size)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a picture's data stand, and what a PDF says of them."""

    start: int
    length: int
    entries: bytes


class PictureFile:
    """Pictures in a file of their own, each once, while pages are drawn as often as it takes to number them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[bytes, int] = {}
        self._kept: list[_Kept] = []

    def add(self, picture: Image.Image, width: float, height: float) -> int:
        """Keep a picture that takes ``width`` x ``height`` points; return its place, the same for the same picture."""
        extent = f"{picture.mode}{picture.size}{width:.1f}x{height:.1f}".encode()
        key = hashlib.sha256(extent + picture.tobytes()).digest()
        if key not in self._places:
            self._places[key] = len(self._kept)
            self._keep(encoded(picture, width, height))
        return self._places[key]

    def _keep(self, picture: Encoded) -> None:
        columns, rows = picture.size
        entries = (
            f"/Type/XObject/Subtype/Image/Width {columns}/Height {rows}/ColorSpace{picture.space}/BitsPerComponent 8"
            f"/Filter{picture.filter}{picture.parameters}"
        )
        self._kept.append(_Kept(self._file.tell(), len(picture.data), entries.encode()))
        self._file.write(picture.data)

    def copy_to(self, objects: ObjectFile, numbers: Mapping[int, int]) -> None:
        """Write pictures to a PDF; ``numbers`` are those of their objects there, by their places here."""
        for place, number in sorted(numbers.items()):
            kept = self._kept[place]
            self._file.seek(kept.start)
            objects.write_stream(number, kept.entries, self._file.read(kept.length))
        self._file.seek(0, io.SEEK_END)


@contextmanager
def picture_file(path: Path) -> Iterator[PictureFile]:
    """Keep pictures in a file at ``path`` until the context ends."""
    with path.open("w+b") as file:
        yield PictureFile(file)


class PageCanvas(MarkedCanvas):
    """A canvas that shows every script in its order, and keeps pictures in a file until the last page is drawn.

    ``carried`` writes what the document holds beside its pages, and returns the catalog's entries for it.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401
        picture_file: PictureFile | None = None,
        carried: Callable[[ObjectFile], Mapping[str, bytes]] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._picture_file, self._carried = picture_file, carried
        self._pictures: dict[int, int] = {}
        self._on_page: set[int] = set()
        super().__init__(*arguments, **options)

    def ordered(self, text: str) -> str:
        """Return a line of text in the order of the page: Hebrew and Arabic run from the right, joined."""
        return shown_in_order(text)

    def drawImage(  # noqa: N802  # ReportLab's name
        self,
        image: Any,  # noqa: ANN401
        x: float,
        y: float,
        width: float | None = None,
        height: float | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Draw a picture; one that ReportLab would have to read from a file, or to mask, it draws itself."""
        pictures = self._picture_file
        picture: Any = getattr(image, "_image", None)
        if (
            pictures is None
            or width is None
            or height is None
            or options
            or getattr(picture, "mode", "") not in ("L", "RGB")
        ):
            return super().drawImage(image, x, y, width, height, **options)
        place = pictures.add(picture, width, height)
        if place not in self._pictures:
            self._pictures[place] = self._doc.objects.reserve()
        self._on_page.add(place)
        self.saveState()
        self.transform(width, 0, 0, height, x, y)
        self._code.append(f"/{_name(place)} Do")
        self.restoreState()
        return image.getSize()

    def _setXObjects(self, thing: Any) -> None:  # noqa: ANN401, N802  # ReportLab's name
        super()._setXObjects(thing)
        if self._on_page:
            own = {_name(place): reference(self._pictures[place]) for place in sorted(self._on_page)}
            others = thing.XObjects.dict if thing.XObjects is not None else {}
            thing.XObjects = PDFDictionary({**others, **own})
            self._on_page = set()

    def catalog_entries(self) -> Mapping[str, bytes]:
        """Write the pictures, and what the document carries."""
        objects = self._doc.objects
        if self._picture_file is not None:
            self._picture_file.copy_to(objects, self._pictures)
        return self._carried(objects) if self._carried is not None else {}


def _name(place: int) -> str:
    return f"Picture{place + 1}"
