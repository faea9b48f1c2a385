"""Maps over their image as one picture to look at: the clinic's orientation, true proportions, sides named."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from camaudit.views import Overlay
from pipeline.conclusions.cases import cut_panels
from pipeline.findings.panels import CasePanels
from pipeline.studies.volume import Heatmap, Volume
from reports.page import draw

__all__ = ["picture_of"]

_MARGIN, _TITLE, _FONT = 18, 22, 13
_COLUMNS = 4
_LARGEST, _SMALL = 620, 300  # pixels along the longer side: of one map, of several
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def picture_of(image: Volume | None, maps: Mapping[str, Heatmap], window: tuple[float, float] | None = None) -> Overlay:
    """Draw maps of one grid over their image, in the plane of the first one's peak, each with its title.

    ``window`` is the display window (low, high) in the image's values; without it, its 0.5th and 99.5th percentile.
    """
    geometry = next(iter(maps.values())).geometry
    under = image or Volume(np.zeros(geometry.shape, np.float32), geometry)
    panels = cut_panels(under, [], maps, {}, study="", window=window)
    tiles = [_tile(panels, title, _LARGEST if len(maps) == 1 else _SMALL) for title in maps]
    caption = panels.views[0].caption
    return Overlay(np.asarray(_page(tiles, caption)), f"{', '.join(maps)}: {caption}")


def _tile(panels: CasePanels, title: str, longest: int) -> Image.Image:
    """Return one map over its image, framed by its title and the letters of the sides."""
    view = panels.views[0]
    limits = draw.Range(*panels.ranges[title])
    over = draw.map_over(draw.grey(view.image, panels.window), view.maps[title], limits, view.seen)
    picture = draw.fit(over, view.pixel_mm, ~view.seen)
    scale = min(1, longest / max(picture.size))
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize((size[0], size[1]), Image.Resampling.BOX)
    tile = Image.new("RGB", (max(size[0], 120) + 2 * _MARGIN, size[1] + 2 * _MARGIN + _TITLE), _PAPER)
    corner = ((tile.width - size[0]) // 2, _TITLE + _MARGIN)
    tile.paste(picture, corner)
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(_FONT)
    pen.text((tile.width / 2, 3), _fitting(title, tile.width, font), fill=_INK, font=font, anchor="ma")
    left, right, top, bottom = view.letters
    middle = corner[1] + size[1] / 2
    for letter, place in (
        (left, (corner[0] - _MARGIN / 2, middle)),
        (right, (corner[0] + size[0] + _MARGIN / 2, middle)),
        (top, (tile.width / 2, corner[1] - _MARGIN / 2)),
        (bottom, (tile.width / 2, corner[1] + size[1] + _MARGIN / 2)),
    ):
        pen.text(place, letter, fill=_INK, font=font, anchor="mm")
    return tile


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return a text that fits a width in pixels, cut where it does not."""
    while len(text) > 4 and font.getlength(text) > width - 4:
        text = f"{text[:-4]}..."
    return text


def _page(tiles: list[Image.Image], caption: str) -> Image.Image:
    """Return the tiles in rows of at most ``_COLUMNS``, with the caption below them."""
    columns = min(len(tiles), _COLUMNS)
    rows = -(-len(tiles) // columns)
    width, height = (max(sides) for sides in zip(*(tile.size for tile in tiles), strict=True))
    page = Image.new("RGB", (columns * width, rows * height + _TITLE), _PAPER)
    for number, tile in enumerate(tiles):
        page.paste(tile, (number % columns * width, number // columns * height))
    font = ImageFont.load_default(_FONT - 2)
    words = _fitting(caption, page.width, font)
    ImageDraw.Draw(page).text((page.width / 2, page.height - _TITLE / 2), words, fill=_INK, font=font, anchor="mm")
    return page
