"""What all charts share: axes that hold their values, text that stays in its place, words for those who see none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import HexColor

from reports.numbers import number
from reports.page.fonts import BOLD, REGULAR, width_of
from reports.page.layout import GREY, INK, RULE
from reports.page.text import clean, fitted

__all__ = [
    "SMALL_TEXT",
    "SQUARE",
    "TEXT",
    "TINY",
    "Scale",
    "Span",
    "Square",
    "across",
    "axis",
    "dashed",
    "path",
    "room_of_labels",
    "scaled",
    "square",
    "text",
    "upwards",
    "with_words",
]  # fmt: skip

TEXT, SMALL_TEXT, TINY = 7.0, 6.2, 5.4
"""Sizes of text in points: what is read, what stands at axes, counts above bars."""

SQUARE = 0.88
"""Height of a square of curves with its labels, as a share of its width."""

Span = tuple[float | None, float | None]
Anchor = Literal["start", "middle", "end"]

_CLOSE = 3.0  # points that labels of an axis stay apart


def with_words(drawing: Drawing, words: str) -> Drawing:
    """Return a drawing with the words that stand for it where it cannot be seen."""
    vars(drawing)["alternative_text"] = clean(words)  # a Drawing refuses attributes that it does not know
    return drawing


@dataclass(frozen=True)
class Scale:
    """An axis: values from ``low`` to ``high`` lie from ``start`` to ``end``, in points."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value lies; one beyond the axis lies at its end."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def labelled(self) -> list[tuple[float, str]]:
        """Return the ticks that are labelled, at their places: fewer where labels would touch, or read the same."""
        labels = [number(tick, like=self.ticks) for tick in self.ticks]
        widest = max(width_of(label, SMALL_TEXT) for label in labels) + _CLOSE
        step = 1
        while step < len(labels) and abs(self.at(self.ticks[step]) - self.at(self.ticks[0])) < widest:
            step += 1
        step = len(labels) if len(set(labels)) == 1 else step
        return [(self.at(tick), label) for tick, label in list(zip(self.ticks, labels, strict=True))[::step]]


def axis(values: Sequence[float], span: Span = (None, None)) -> tuple[float, float, list[float]]:
    """Return an axis' low and high end and its ticks; ``span`` is what the metric's values lie within.

    The whole of a closed span where the values take up more than a fifth of it, else round numbers from 0 on (from the
    span's low end, where that is above 0). Ends lie outside of the span by no more than the ticks' roundness.
    """
    floor, ceiling = span
    start = 0.0 if floor is None else max(0.0, floor)
    low, high = min(start, *values), max(start, *values)
    if floor is not None and ceiling is not None and high - low > 0.2 * (ceiling - floor):
        quarter = (ceiling - floor) / 4
        return floor, ceiling, [floor + quarter * place for place in range(5)]
    high = high if high > low else low + 1
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(base * power for base in (1, 2, 2.5, 5, 10) if (high - low) / (base * power) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [step * place for place in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def scaled(values: Sequence[float], span: Span, start: float, end: float) -> Scale:
    """Return the axis that holds values, between two places in points."""
    low, high, ticks = axis(values or [0.0], span)
    return Scale(low, high, start, end, tuple(ticks))


def text(
    drawing: Drawing,
    at: tuple[float, float],
    words: str,
    *,
    size: float = TEXT,
    bold: bool = False,
    anchor: Anchor = "start",
    colour: str = INK,
    room: float | None = None,
) -> None:
    """Write one line of text, shortened to ``room`` points where that is given; nothing where there are no words."""
    font = BOLD if bold else REGULAR
    shown = clean(words) if room is None else fitted(words, room, size, font)
    if shown:
        drawing.add(String(*at, shown, fontName=font, fontSize=size, fillColor=HexColor(colour), textAnchor=anchor))


def dashed(start: tuple[float, float], end: tuple[float, float], dash: Sequence[float], width: float = 0.8) -> Line:
    """Return a grey line, dashed as said; solid without any."""
    return Line(*start, *end, strokeColor=HexColor(GREY), strokeWidth=width, strokeDashArray=list(dash) or None)


def path(points: Sequence[tuple[float, float]], *, colour: str, width: float, dash: Sequence[float] = ()) -> PolyLine:
    """Return a line through points."""
    flat = [coordinate for point in points for coordinate in point]
    return PolyLine(flat, strokeColor=HexColor(colour), strokeWidth=width, strokeDashArray=list(dash) or None)


def across(drawing: Drawing, scale: Scale, bottom: float, top: float, name: str = "") -> None:
    """Draw a horizontal axis with its grid from ``bottom`` to ``top``, its labels below, and its name below them."""
    for tick in scale.ticks:
        drawing.add(Line(scale.at(tick), bottom, scale.at(tick), top, strokeColor=HexColor(RULE), strokeWidth=0.3))
    for place, label in scale.labelled():
        inside = min(place, drawing.width - width_of(label, SMALL_TEXT) / 2)
        text(drawing, (inside, bottom - 8), label, size=SMALL_TEXT, anchor="middle", colour=GREY)
    drawing.add(Line(scale.start, bottom, scale.end, bottom, strokeColor=HexColor(GREY), strokeWidth=0.5))
    middle, room = (scale.start + scale.end) / 2, scale.end - scale.start + 20
    text(drawing, (middle, bottom - 16.5), name, size=SMALL_TEXT, anchor="middle", colour=GREY, room=room)


def room_of_labels(scale: Scale) -> float:
    """Return how far from the left a vertical axis must stand for its labels to have room."""
    return 5 + max(width_of(number(tick, like=scale.ticks), SMALL_TEXT) for tick in scale.ticks)


def upwards(drawing: Drawing, scale: Scale, left: float, right: float, name: str = "") -> None:
    """Draw a vertical axis with its grid from ``left`` to ``right``, labels to its left, and its name above."""
    taken = -math.inf
    for tick in scale.ticks:
        y = scale.at(tick)
        drawing.add(Line(left, y, right, y, strokeColor=HexColor(RULE), strokeWidth=0.3))
        if y - taken >= SMALL_TEXT + 1:
            label = number(tick, like=scale.ticks)
            text(drawing, (left - 3, y - 2.2), label, size=SMALL_TEXT, anchor="end", colour=GREY)
            taken = y
    drawing.add(Line(left, scale.start, left, scale.end, strokeColor=HexColor(GREY), strokeWidth=0.5))
    text(drawing, (2, scale.end + 5), name, size=SMALL_TEXT, colour=GREY, room=max(right, drawing.width - 4) - 2)


@dataclass(frozen=True)
class Square:
    """A square of both axes from 0 to 1."""

    drawing: Drawing
    x: Scale
    y: Scale


def square(width: float, height: float, names: tuple[str, str], below: float = 0.0) -> Square:
    """Return an empty drawing with axes from 0 to 1 that are named (across, upwards), ``below`` points above its foot.

    The square takes the room that is left beside labels and above them.
    """
    drawing = Drawing(width, height)
    left, bottom = 22.0, 20.0 + below
    side = min(width - left - 8, height - bottom - 13)
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    x, y = Scale(0, 1, left, left + side, ticks), Scale(0, 1, bottom, bottom + side, ticks)
    across(drawing, x, bottom, bottom + side, names[0])
    upwards(drawing, y, left, left + side, names[1])
    drawing.add(Rect(left, bottom, side, side, fillColor=None, strokeColor=HexColor(GREY), strokeWidth=0.4))
    return Square(drawing, x, y)
