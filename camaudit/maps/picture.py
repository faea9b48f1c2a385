"""Maps over their image as one picture to look at: the clinic's orientation, true proportions, sides named."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from camaudit.views import Overlay
from pipeline.conclusions.shown_cases.cases import cut_panels
from pipeline.errors import ConfigError
from pipeline.findings.pictures.panels import CasePanels, View
from pipeline.studies.volume import Heatmap, Mask, Volume
from reports.page import draw

__all__ = ["picture_of"]

_MARGIN, _TITLE, _FONT = 18, 22, 13
_COLUMNS = 4
_LARGEST, _SMALL = 620, 300  # pixels along the longer side: of one map, of several
_INK, _PAPER, _CASING = (30, 30, 30), (255, 255, 255), (0, 0, 0)
_EXPERT = "expert"


def picture_of(
    image: Volume | None,
    maps: Mapping[str, Heatmap],
    marked: NDArray[np.bool_] | None = None,
    window: tuple[float, float] | None = None,
) -> Overlay:
    """Draw maps of one grid over their image, in the plane of the first one's peak, each with its title.

    What is ``marked`` is outlined, in the plane where it is largest too. ``window`` is the display window (low, high)
    in the image's values; without it, its 0.5th and 99.5th percentile.

    Raises:
        ConfigError: for a window that is none.
    """
    if window is not None and not (np.shape(window) == (2,) and window[0] < window[1]):
        raise ConfigError(f"window: must be (low, high) in the image's values, low below high, not {window!r:.40}")
    geometry = next(iter(maps.values())).geometry
    under = image or Volume(np.zeros(geometry.shape, np.float32), geometry)
    masks = [] if marked is None else [Mask(marked, geometry, "", _EXPERT)]
    panels = cut_panels(under, masks, maps, {}, study="", window=window)
    longest = _LARGEST if len(maps) * len(panels.views) == 1 else _SMALL
    rows = [[_tile(panels, view, title, longest) for title in maps] for view in panels.views]
    captions = [view.caption for view in panels.views]
    return Overlay(np.asarray(_page(rows, captions)), f"{', '.join(maps)}: {'; '.join(captions)}")


def _tile(panels: CasePanels, view: View, title: str, longest: int) -> Image.Image:
    """Return one map over its image in one view, framed by its title and the letters of the sides."""
    picture = _picture(panels, view, title, longest)
    tile = Image.new("RGB", (max(picture.width, 120) + 2 * _MARGIN, picture.height + 2 * _MARGIN + _TITLE), _PAPER)
    corner = ((tile.width - picture.width) // 2, _TITLE + _MARGIN)
    tile.paste(picture, corner)
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(_FONT)
    pen.text((tile.width / 2, 3), _fitting(title, tile.width, font), fill=_INK, font=font, anchor="ma")
    left, right, top, bottom = view.letters
    middle = corner[1] + picture.height / 2
    for letter, place in (
        (left, (corner[0] - _MARGIN / 2, middle)),
        (right, (corner[0] + picture.width + _MARGIN / 2, middle)),
        (top, (tile.width / 2, corner[1] - _MARGIN / 2)),
        (bottom, (tile.width / 2, corner[1] + picture.height + _MARGIN / 2)),
    ):
        pen.text(place, letter, fill=_INK, font=font, anchor="mm")
    return tile


def _picture(panels: CasePanels, view: View, title: str, longest: int) -> Image.Image:
    """Return one map over its image, in true proportions, what is marked outlined."""
    over = draw.map_over(
        draw.grey(view.image, panels.window), view.maps[title], draw.Range(*panels.ranges[title]), view.seen
    )
    picture = draw.fit(over, view.pixel_mm, ~view.seen)
    scale = min(1, longest / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BOX)
    pen, (rows, columns) = ImageDraw.Draw(picture), view.image.shape
    for mask in view.masks.values():
        for polygon in draw.outline(mask):
            corners = [(column * width / columns, row * height / rows) for row, column in (*polygon, polygon[0])]
            pen.line(corners, fill=_CASING, width=4)
            pen.line(corners, fill=draw.READERS[0][0], width=2)
    return picture


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return a text that fits a width in pixels, cut where it does not."""
    while len(text) > 4 and font.getlength(text) > width - 4:
        text = f"{text[:-4]}..."
    return text


def _page(rows: Sequence[Sequence[Image.Image]], captions: Sequence[str]) -> Image.Image:
    """Return the tiles, each view in rows of at most ``_COLUMNS`` of them with its caption below."""
    tiles = [tile for row in rows for tile in row]
    width, height = (max(sides) for sides in zip(*(tile.size for tile in tiles), strict=True))
    columns = min(len(rows[0]), _COLUMNS)
    lines = -(-len(rows[0]) // columns)
    tall = lines * height + _TITLE
    page = Image.new("RGB", (columns * width, len(rows) * tall), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(_FONT - 2)
    for number, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        for place, tile in enumerate(row):
            page.paste(tile, (place % columns * width, number * tall + place // columns * height))
        words = _fitting(caption, page.width, font)
        pen.text((page.width / 2, (number + 1) * tall - _TITLE / 2), words, fill=_INK, font=font, anchor="mm")
    return page
