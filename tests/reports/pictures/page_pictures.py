"""A finished page's pictures beside what they should show, drawn a second way: from the arrays alone, with Pillow.

Where a picture stands is read from the file; what stands there is read from the page as poppler draws it.
"""

import io
import subprocess
from dataclasses import dataclass

import numpy as np
import pikepdf
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["DIFFERENT", "ExpectedPicture", "differences", "pictures_on"]

DPI = 200
DIFFERENT = 5.5
"""Of 255: how far a picture may be from what is expected of it, on average over its worst of 144 fields."""

_FIELDS = 12
_FRAME = 4  # pixels at a picture's border, where its frame is drawn
_ALPHA = 0.6
_LOWEST = 8.0  # points: what is not as high is a colour bar


@dataclass(frozen=True)
class ExpectedPicture:
    """What a picture should show: the image (H, W) from 0 to 1, outlines, a map from 0 to 1, and what is hatched."""

    image: np.ndarray
    outlines: tuple[tuple[np.ndarray, str], ...] = ()
    values: np.ndarray | None = None
    hatched: np.ndarray | None = None

    def drawn(self, size):
        """Return it as a picture of (width, height) pixels."""
        rgb = np.repeat(np.clip(self.image, 0, 1)[..., None] * 255, 3, axis=2)
        if self.values is not None:
            colours = colormaps["inferno"](np.clip(self.values, 0, 1))[..., :3] * 255
            rgb = (1 - _ALPHA) * rgb + _ALPHA * colours
        if self.hatched is not None:  # of nine lines two are dark and one is light
            rgb[self.hatched] = (6 * rgb[self.hatched] + 2 * 20 + 245) / 9
        picture = Image.fromarray(rgb.round().astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        pen = ImageDraw.Draw(picture)
        for region, colour in self.outlines:
            for ink, width in (("#333333", round(1.5 * DPI / 72)), (colour, round(0.75 * DPI / 72))):
                for line in _edges(region, size):
                    pen.line(line, fill=ink, width=width)
        return picture


def _edges(region, size):
    """Yield the sides of pixels that part a region from what is beside it, on a picture of ``size`` pixels."""
    padded = np.pad(region, 1)
    down, right = size[1] / region.shape[0], size[0] / region.shape[1]
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        yield (column * right, row * down, (column + 1) * right, row * down)
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        yield (column * right, row * down, column * right, (row + 1) * down)


def pictures_on(path, page=0):
    """Return the pictures of a page as poppler draws them, in the order in which they stand in the file."""
    with pikepdf.open(path) as pdf:
        height = float(pdf.pages[page].mediabox[3])
        boxes = list(_boxes(pdf.pages[page]))
    made = subprocess.run(
        ["pdftoppm", "-r", str(DPI), "-f", str(page + 1), "-l", str(page + 1), "-png", path],
        capture_output=True,
        check=True,
    )
    whole = Image.open(io.BytesIO(made.stdout)).convert("RGB")
    scale = DPI / 72
    return [
        whole.crop(tuple(round(scale * side) for side in (x, height - y - tall, x + wide, height - y)))
        for x, y, wide, tall in boxes
        if tall > _LOWEST
    ]


def _boxes(page):
    """Yield (x, y, width, height) in points of each picture that a page names."""
    here, kept = np.eye(3), []
    for operands, operator in pikepdf.parse_content_stream(page):
        if str(operator) == "q":
            kept.append(here)
        elif str(operator) == "Q":
            here = kept.pop()
        elif str(operator) == "cm":
            a, b, c, d, e, f = (float(value) for value in operands)
            here = np.array([[a, b, 0], [c, d, 0], [e, f, 1]]) @ here
        elif str(operator) == "Do":
            yield here[2, 0], here[2, 1], here[0, 0], here[1, 1]


def differences(pictures, expected):
    """Return how far each picture is from what it should show (of 255, its worst field); None for one that is lost."""
    far = [_far(picture, shown.drawn(picture.size)) for picture, shown in zip(pictures, expected, strict=False)]
    return [*far, *[None] * abs(len(expected) - len(pictures))]


def _far(left, right):
    blurred = [np.asarray(picture.filter(ImageFilter.GaussianBlur(3)), float) for picture in (left, right)]
    apart = np.abs(blurred[0] - blurred[1]).mean(axis=2)[_FRAME:-_FRAME, _FRAME:-_FRAME]
    fields = [part.mean() for rows in np.array_split(apart, _FIELDS) for part in np.array_split(rows, _FIELDS, axis=1)]
    return max(fields)
