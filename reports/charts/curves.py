"""Several curves on common axes: scores over thresholds, sensitivity over false marks, scores over sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reportlab.graphics.shapes import Circle, Drawing, Polygon
from reportlab.lib.colors import Color, HexColor

from reports.charts.frame import (
    SMALL_TEXT,
    Scale,
    Span,
    across,
    path,
    room_of_labels,
    scaled,
    text,
    upwards,
    with_words,
)
from reports.numbers import number
from reports.page.fonts import width_of
from reports.page.layout import ACCENT, GREY

__all__ = ["CurveAxes", "Series", "curve_chart", "curve_key"]

_DASHES: Final = ((), (4.0, 1.6), (1.2, 1.4), (5.0, 1.4, 1.2, 1.4), (2.4, 1.2), (7.0, 1.6))
_KEY: Final = 92.0
_MOST_IN_WORDS: Final = 6


@dataclass(frozen=True)
class Series:
    """A curve: ``y`` over ``x``, with pointwise ``low`` and ``high`` ends of the same length, or none.

    ``beside`` marks what it is held against, such as a baseline: drawn in grey. ``marked`` draws each point.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    beside: bool = False
    marked: bool = False


@dataclass(frozen=True)
class CurveAxes:
    """Names and spans of both axes; ``title`` stands above, with the vertical axis' name.

    ``holds`` are values that the vertical axis has room for: what is compared with another chart has one scale.
    """

    title: str
    across: str
    upwards: str
    span_across: Span = (None, None)
    span_upwards: Span = (None, None)
    holds: tuple[float, ...] = ()


def curve_chart(series: Sequence[Series], axes: CurveAxes, width: float, height: float, *, key: bool = True) -> Drawing:
    """Return curves on common axes with a ``key`` at the right; bands are drawn for the first curve that has one.

    Curves differ by dashes, so that they are told apart without colour.
    """
    drawing = Drawing(width, height)
    right = width - (_KEY + 6 if key else 9)
    numbers = [float(value) for part in series for value in (*part.y, *part.low, *part.high)]
    numbers += axes.holds
    y = scaled(numbers, axes.span_upwards, 20, height - 14)
    x = scaled([float(value) for part in series for value in part.x], axes.span_across, room_of_labels(y), right)
    across(drawing, x, y.start, y.end, axes.across)
    upwards(drawing, y, x.start, x.end, f"{axes.title}: {axes.upwards}" if axes.title else axes.upwards)
    banded = next((part for part in series if len(part.low)), None)
    if banded is not None:
        _band(drawing, banded, x, y)
    for place, part in enumerate(series):
        colour = GREY if part.beside else ACCENT
        dash = _DASHES[place % len(_DASHES)]
        points = [(x.at(a), y.at(b)) for a, b in zip(part.x, part.y, strict=True)]
        if len(points) > 1:
            drawing.add(path(points, colour=colour, width=0.8 if part.beside else 1.1, dash=dash))
        for point in points if part.marked or len(points) == 1 else ():
            drawing.add(Circle(*point, 1.6, fillColor=HexColor(colour), strokeColor=None))
        if key:
            _key(drawing, part, (right + 8, height - 18 - 11 * place), dash, _KEY - 22)
    said = "; ".join(_in_words(part) for part in series)
    return with_words(
        drawing,
        f"{axes.title}{axes.title and ', '}{axes.upwards} over {axes.across[:1].lower()}{axes.across[1:]}: {said}.",
    )


def _band(drawing: Drawing, part: Series, x: Scale, y: Scale) -> None:
    """Draw the pointwise band of a curve as a pale area behind all."""
    ends = [
        *zip(part.x, part.low, strict=True),
        *reversed(list(zip(part.x, part.high, strict=True))),
    ]
    flat = [place for a, b in ends for place in (x.at(a), y.at(b))]
    drawing.add(Polygon(flat, fillColor=Color(0.12, 0.23, 0.37, 0.12), strokeColor=None))


def curve_key(series: Sequence[Series], width: float) -> Drawing:
    """Return the key of several charts of the same curves, in as many lines as it takes."""
    places: list[tuple[float, int]] = []  # from the left, and the line
    left, line = 0.0, 0
    for part in series:
        wide = min(width, 20 + width_of(part.name, SMALL_TEXT) + 12)
        left, line = (0.0, line + 1) if left and left + wide > width + 12 else (left, line)
        places.append((left, line))
        left += wide
    drawing = Drawing(width, 11 * (line + 1))
    for place, (part, (x, below)) in enumerate(zip(series, places, strict=True)):
        _key(drawing, part, (x, 11 * (line - below) + 3), _DASHES[place % len(_DASHES)], width - 22)
    return with_words(drawing, f"Key: {', '.join(part.name for part in series)}.")


def _key(drawing: Drawing, part: Series, at: tuple[float, float], dash: Sequence[float], room: float) -> None:
    colour = GREY if part.beside else ACCENT
    if len(part.x) > 1:
        drawing.add(path([(at[0], at[1] + 2.2), (at[0] + 16, at[1] + 2.2)], colour=colour, width=1, dash=dash))
    if part.marked or len(part.x) == 1:
        drawing.add(Circle(at[0] + 8, at[1] + 2.2, 1.6, fillColor=HexColor(colour), strokeColor=None))
    text(drawing, (at[0] + 20, at[1]), part.name, size=SMALL_TEXT, room=room)


def _in_words(part: Series) -> str:
    """Return a curve's ends and a few points between: of many the whole stands in results.json."""
    count = len(part.x)
    if not count:
        return f"{part.name} has no point"
    places = sorted({round(place * (count - 1) / (_MOST_IN_WORDS - 1)) for place in range(_MOST_IN_WORDS)})
    points = [f"{number(part.y[place], like=(1.0,))} at {number(part.x[place], like=(1.0,))}" for place in places]
    return f"{part.name} {', '.join(points)}"
