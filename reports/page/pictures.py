"""Pictures on their way to the page: at the resolution that print needs, each once, on disk until the file is whole."""

import hashlib
import io
import math
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pikepdf
from numpy.typing import NDArray
from PIL import Image

from reports.page.scripts import shown_in_order
from reports.tagged.canvas import MarkedCanvas

__all__ = ["PageCanvas", "PictureFile", "at_print_resolution", "encoded", "picture_file", "place_pictures"]

_DPI = 300
_PER_CM2 = 4000  # bytes: a page of which two thirds are pictures then stays below a megabyte
_LEAST = 24_000
_QUALITIES = (95, 90, 85, 80)  # of JPEG, from the first whose loss nobody sees to the last
_COMPRESSION = 4
_TRAILER = 2048  # bytes at a file's end that hold its trailer


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
    parameters = f"<</Predictor 15 /Colors {colours} /BitsPerComponent 8 /Columns {picture.width}>>"
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
    return Encoded(target.getvalue(), "/DCTDecode", "null", "/DeviceRGB", picture.size)


class PictureFile:
    """Pictures in a file of their own, each once: memory holds none while pages are drawn, and none when they join."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: dict[bytes, str] = {}
        self._places: list[int] = []

    def add(self, picture: Image.Image, width: float, height: float) -> str:
        """Keep a picture that takes ``width`` x ``height`` points; return its name, the same for the same picture."""
        extent = f"{picture.mode}{picture.size}{width:.1f}x{height:.1f}".encode()
        key = hashlib.sha256(extent + picture.tobytes()).digest()
        if key not in self._names:
            self._names[key] = f"Picture{len(self._names) + 1}"
            self._write(encoded(picture, width, height))
        return self._names[key]

    def _write(self, picture: Encoded) -> None:
        self._places.append(self._file.tell())
        columns, rows = picture.size
        self._file.write(
            f"<</Type /XObject /Subtype /Image /Width {columns} /Height {rows} "
            f"/ColorSpace {picture.space} /BitsPerComponent 8 /Filter {picture.filter} "
            f"/DecodeParms {picture.parameters} /Length {len(picture.data)}>>\nstream\n".encode()
        )
        self._file.write(picture.data + b"\nendstream\nendobj\n")

    def append_to(self, pages: Path) -> dict[str, int]:
        """Add the pictures to the end of a PDF file with a plain table of objects; return their numbers by name.

        A copy from one open file to another would go through memory, picture by picture, and stay there.
        """
        ends = [*self._places, self._file.tell()][1:]
        with pages.open("r+b") as target:
            size, root, before = _trailer_of(target)
            target.seek(0, io.SEEK_END)
            target.write(b"\n")
            starts = []
            for number, (start, end) in enumerate(zip(self._places, ends, strict=True), size):
                starts.append(target.tell())
                target.write(f"{number} 0 obj\n".encode())
                self._file.seek(start)
                target.write(self._file.read(end - start))
            self._file.seek(0, io.SEEK_END)
            table = target.tell()
            lines = "".join(f"{start:010} 00000 n \n" for start in starts)
            target.write(
                f"xref\n{size} {len(starts)}\n{lines}trailer\n<</Size {size + len(starts)} /Root {root} "
                f"/Prev {before}>>\nstartxref\n{table}\n%%EOF\n".encode()
            )
        return {name: number for number, name in enumerate(self._names.values(), size)}


def _trailer_of(file: BinaryIO) -> tuple[int, str, int]:
    """Return how many objects a PDF file has, the reference of its root, and where its table of objects begins."""
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - _TRAILER))
    last = file.read().rpartition(b"trailer")[2]
    size, root, table = (
        re.search(pattern, last) for pattern in (rb"/Size (\d+)", rb"/Root (\d+ \d+ R)", rb"startxref\s+(\d+)")
    )
    if size is None or root is None or table is None:
        raise ValueError("the file of pages has no trailer with /Size, /Root and startxref; it was not written whole")
    return int(size[1]), root[1].decode(), int(table[1])


@contextmanager
def picture_file(path: Path) -> Iterator[PictureFile]:
    """Keep pictures in a file at ``path`` until the context ends."""
    with path.open("w+b") as file:
        yield PictureFile(file)


class PageCanvas(MarkedCanvas):
    """A canvas that shows every script in its order, keeps pictures in the document's ``picture_file`` and names them.

    ``pictures`` are the names that each page uses, by the page's index.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        self.pictures: dict[int, set[str]] = {}
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
        pictures = getattr(getattr(self, "_doctemplate", None), "picture_file", None)
        picture = getattr(image, "_image", None)
        if (
            pictures is None
            or width is None
            or height is None
            or options
            or getattr(picture, "mode", "") not in ("L", "RGB")
        ):
            return super().drawImage(image, x, y, width, height, **options)
        name = pictures.add(picture, width, height)
        self.pictures.setdefault(self._pageNumber - 1, set()).add(name)
        self.saveState()
        self.transform(width, 0, 0, height, x, y)
        self._code.append(f"/{name} Do")
        self.restoreState()
        return image.getSize()


def place_pictures(pdf: pikepdf.Pdf, numbers: Mapping[str, int], used: Mapping[int, set[str]]) -> None:
    """Give each page of a file the pictures that it names; ``numbers`` are those of their objects in it."""
    for page, names in sorted(used.items()):
        resources = pdf.pages[page].obj.Resources
        if "/XObject" not in resources:
            resources.XObject = pikepdf.Dictionary()
        for name in sorted(names, key=lambda name: (len(name), name)):
            resources.XObject[f"/{name}"] = pdf.get_object(numbers[name], 0)
