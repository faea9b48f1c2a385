"""Stacked bars: how a whole divides into regions, a bar a map."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from reportlab.graphics.shapes import Drawing, Line, Rect
from reportlab.lib.colors import HexColor

from reports.charts.frame import SMALL_TEXT, Scale, across, text, with_words
from reports.numbers import number
from reports.page.fonts import width_of
from reports.page.layout import CONTENT, GREY, INK

__all__ = ["share_bars"]

Region = TypeVar("Region", bound=str)

_LEFT, _ROW = 108.0, 14.5
_LOOKS: Final = (
    ("#1f3a5f", 0), ("#6f88a6", 0), ("#c9d3de", 0), ("#ffffff", 0), ("#ffffff", 4), ("#ffffff", -4), ("#5b6570", 3),
    ("#e9edf2", 6), ("#8f9aa6", -6), ("#ffffff", 2),
)  # fmt: skip
"""Fill and hatching of each region, in order: lightness and lines tell them apart without colour."""


def share_bars(rows: Sequence[tuple[str, Mapping[Region, float]]], regions: Mapping[Region, str]) -> Drawing:
    """Return a bar for each row (name, shares by region); ``regions`` are their titles, in the order of the bar.

    Shares of a row add up to 1. A region without a share in any row is not in the key.

    Raises:
        ValueError: a row's shares do not add up to 1, or are of a region without a title.
    """
    for name, shares in rows:
        if shares.keys() - regions.keys() or abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:
            raise ValueError(f"shares of {name!r} are of {list(regions)} and add up to 1, not {dict(shares)}")
    used = [region for region in regions if any(shares.get(region) for _, shares in rows)]
    key = _key_places(used, regions)
    bottom = 20.0 + (key[-1][1] + 11 if key else 0)
    top = bottom + _ROW * len(rows)
    drawing = Drawing(CONTENT, top + 4)
    scale = Scale(0, 1, _LEFT, CONTENT - 8, (0, 0.2, 0.4, 0.6, 0.8, 1))
    across(drawing, scale, bottom, top, "Share of the map's positive evidence")
    looks = {region: _LOOKS[list(regions).index(region) % len(_LOOKS)] for region in used}
    for place, (name, shares) in enumerate(rows):
        y = top - _ROW * (place + 1) + 3
        text(drawing, (0, y + 2), name, room=_LEFT - 8)
        _bar(drawing, shares, looks, scale, y)
    for region, (x, y) in zip(used, key, strict=True):
        _piece(drawing, (x, bottom - 29 - y, 9, 7), looks[region])
        text(drawing, (x + 13, bottom - 27.5 - y), regions[region], size=SMALL_TEXT, colour=GREY)
    said = [
        f"{name}: {', '.join(f'{regions[region]} {_two(shares[region])}' for region in used if shares.get(region))}"
        for name, shares in rows
    ]
    return with_words(drawing, f"Where the map lies. {'; '.join(said)}.")


def _bar(
    drawing: Drawing, shares: Mapping[Region, float], looks: Mapping[Region, tuple[str, int]], scale: Scale, y: float
) -> None:
    """Draw a row's pieces from the left, each with its share where there is room."""
    reached = 0.0
    for region, look in looks.items():
        share = shares.get(region, 0.0)
        if not share:
            continue
        left, right = scale.at(reached), scale.at(reached + share)
        _piece(drawing, (left, y, right - left, _ROW - 6), look)
        words = _two(share)
        if width_of(words, SMALL_TEXT) + 4 <= right - left:
            middle, wide = (left + right) / 2, width_of(words, SMALL_TEXT) + 3
            dark = look[0] in ("#1f3a5f", "#5b6570", "#6f88a6") and not look[1]
            if look[1]:  # on lines a number needs a ground of its own
                ground = Rect(middle - wide / 2, y + 0.7, wide, 7, fillColor=HexColor("#ffffff"), strokeColor=None)
                drawing.add(ground)
            text(drawing, (middle, y + 2), words, size=SMALL_TEXT, anchor="middle", colour="#ffffff" if dark else INK)
        reached += share


def _piece(drawing: Drawing, at: tuple[float, float, float, float], look: tuple[str, int]) -> None:
    """Draw a filled and hatched rectangle (left, bottom, width, height)."""
    x, y, width, height = at
    fill, step = look
    drawing.add(Rect(x, y, width, height, fillColor=HexColor(fill), strokeColor=HexColor(GREY), strokeWidth=0.4))
    place = -height if step else width
    while place < width:
        low, high = max(0.0, place), min(width, place + height)
        ends = (low - place, high - place) if step > 0 else (height - low + place, height - high + place)
        line = Line(x + low, y + ends[0], x + high, y + ends[1], strokeColor=HexColor(GREY), strokeWidth=0.5)
        drawing.add(line)
        place += abs(step)


def _key_places(used: Sequence[Region], regions: Mapping[Region, str]) -> list[tuple[float, float]]:
    """Return where each region stands in the key: from the left, and how far below its first line."""
    places, x, y = [], 0.0, 0.0
    for region in used:
        wide = 13 + width_of(regions[region], SMALL_TEXT) + 12
        if x and x + wide > CONTENT:
            x, y = 0.0, y + 10
        places.append((x, y))
        x += wide
    return places


def _two(share: float) -> str:
    return number(share, like=(1.0,))
