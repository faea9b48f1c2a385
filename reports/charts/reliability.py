"""Whether probabilities hold true: observed shares against probabilities, and how many studies stand behind each."""

from reportlab.graphics.shapes import Circle, Drawing, Line, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import simpleSplit

from pipeline.findings.plotted.classifier import Calibration, ReliabilityBin
from reports.charts.frame import SMALL_TEXT, SQUARE, TINY, Square, dashed, path, square, text, with_words
from reports.numbers import count, number
from reports.numbers import estimate as estimate_text
from reports.page.fonts import REGULAR
from reports.page.layout import ACCENT, GREY
from reports.page.text import clean

__all__ = ["compact", "reliability_chart"]

_BARS = 16.0
_BELOW = _BARS + 28.0
_LINE = 8.5


def reliability_chart(label: str, calibration: Calibration, width: float) -> Drawing:
    """Return the reliability curve with the bins' exact intervals; below it a bar a bin with its number of studies."""
    names = ("Probability", f"Calibration, {label}: observed")
    slope, error = calibration.slope, calibration.error
    lines = [
        f"slope {estimate_text(slope)}" if slope.value is not None else f"no slope: {slope.reason}",
        f"ECE {estimate_text(error)}; if calibrated {number(error.chance, like=(1.0,))}",
    ]
    parts = [part for line in lines for part in simpleSplit(clean(line), REGULAR, SMALL_TEXT, width - 4)]
    more = _LINE * (len(parts) - 2)
    frame = square(width, SQUARE * width + _BELOW + more + 3, names, _BELOW + more)
    drawing = frame.drawing
    drawing.add(dashed((frame.x.start, frame.y.start), (frame.x.end, frame.y.end), (0.8, 1.2)))
    places = [(frame.x.at(cell.predicted), frame.y.at(cell.observed)) for cell in calibration.bins]
    if len(places) > 1:
        drawing.add(path(places, colour=ACCENT, width=0.6, dash=(2.4, 1.6)))
    for cell, (x, y) in zip(calibration.bins, places, strict=True):
        low, high = frame.y.at(cell.observed_low), frame.y.at(cell.observed_high)
        drawing.add(Line(x, low, x, high, strokeColor=HexColor(ACCENT), strokeWidth=0.9))
        drawing.add(Circle(x, y, 2.1, fillColor=HexColor(ACCENT), strokeColor=None))
    _bars(frame, calibration, 20.0 + more)
    for place, line in enumerate(parts):
        text(drawing, (2, 10.5 + more - _LINE * place), line, size=SMALL_TEXT, colour=GREY, room=width - 4)
    said = "; ".join(_in_words(cell) for cell in calibration.bins)
    return with_words(
        drawing,
        f"Calibration of {label}: {said}. {'; '.join(lines)}. On the dotted diagonal answers are perfectly calibrated.",
    )


def _bars(frame: Square, calibration: Calibration, foot: float) -> None:
    """Draw the number of studies in each bin, below the axis' name."""
    most = max(cell.studies for cell in calibration.bins)
    frame.drawing.add(Line(frame.x.start, foot, frame.x.end, foot, strokeColor=HexColor(GREY), strokeWidth=0.4))
    for cell in calibration.bins:
        left, right = frame.x.at(cell.low), frame.x.at(cell.high)
        tall = max(0.6, (_BARS - 7) * cell.studies / most)
        bar = Rect(left + 0.8, foot, right - left - 1.6, tall, fillColor=HexColor("#aab3bd"), strokeColor=None)
        frame.drawing.add(bar)
        text(frame.drawing, ((left + right) / 2, foot + tall + 1.2), compact(cell.studies), size=TINY, anchor="middle")
    text(frame.drawing, (frame.x.start - 3, foot + 3), "n", size=SMALL_TEXT, anchor="end", colour=GREY)


def compact(many: int) -> str:
    """Return a count in at most four characters: 12, 1.2k, 12k, 120k."""
    if many < 1_000:
        return count(many)
    thousands = many / 1_000
    return (
        f"{thousands:.1f}k" if thousands < 9.95 else f"{thousands:.0f}k" if thousands < 999.5 else f"{many / 1e6:.0f}M"
    )


def _in_words(cell: ReliabilityBin) -> str:
    """Return a bin: where it lies, how many studies, what was observed."""
    low, high = (number(edge, like=(1.0,)) for edge in (cell.observed_low, cell.observed_high))
    observed, predicted = (number(value, like=(1.0,)) for value in (cell.observed, cell.predicted))
    return f"probability {predicted}, {count(cell.studies)} studies, observed {observed} [{low}, {high}]"
