"""ROC and precision-recall curves of one label, with what the classifier called."""

from collections.abc import Sequence

from reportlab.graphics.shapes import Circle, Drawing
from reportlab.lib.colors import HexColor, white
from reportlab.lib.utils import simpleSplit

from pipeline.findings.plotted.classifier import OperatingPoint, PrecisionRecallCurve, RocCurve
from reports.charts.frame import SMALL_TEXT, SQUARE, Square, dashed, path, square, text, with_words
from reports.numbers import number
from reports.page.fonts import REGULAR
from reports.page.layout import ACCENT, GREY
from reports.page.text import clean

__all__ = ["precision_recall_chart", "roc_chart"]

_LINE = 8.5


def roc_chart(label: str, curve: RocCurve, operating: OperatingPoint | None, area: str, width: float) -> Drawing:
    """Return a ROC curve; ``area`` is the AUROC with its interval, as it is printed."""
    said = [f"AUROC {area}"]
    if operating is not None:
        said.append(
            f"\u25cb as called: sensitivity {_two(operating.sensitivity)}, "
            f"1 \u2212 specificity {_two(operating.false_positive_rate)}"
        )
    frame = _frame(width, ("1 \u2212 specificity", f"ROC, {label}: sensitivity"), said)
    corners = zip(curve.false_positive_rate, curve.sensitivity, strict=True)
    frame.drawing.add(dashed((frame.x.start, frame.y.start), (frame.x.end, frame.y.end), (0.8, 1.2)))
    _line(frame, [(frame.x.at(x), frame.y.at(y)) for x, y in corners])
    if operating is not None:
        _operating(frame, operating.false_positive_rate, operating.sensitivity)
    steps = f"{len(curve.sensitivity)} corners from (0, 0) to (1, 1)"
    return with_words(
        frame.drawing, f"ROC curve of {label}, {steps}: {'; '.join(said)}. The dotted diagonal is chance."
    )


def precision_recall_chart(
    label: str, curve: PrecisionRecallCurve, operating: OperatingPoint | None, width: float
) -> Drawing:
    """Return a precision-recall curve as steps: between two thresholds nothing is interpolated."""
    said = [f"average precision {_two(curve.average_precision)}; chance (dotted) {_two(curve.prevalence)}"]
    if operating is not None and operating.precision is not None:
        said.append(f"\u25cb as called: recall {_two(operating.sensitivity)}, precision {_two(operating.precision)}")
    elif operating is not None:
        said.append("nothing was called: there is no precision")
    frame = _frame(width, ("Recall (sensitivity)", f"Precision-recall, {label}: precision"), said)
    level = frame.y.at(curve.prevalence)
    frame.drawing.add(dashed((frame.x.start, level), (frame.x.end, level), (0.8, 1.2)))
    points, recall = [], 0.0
    for following, precision in zip(curve.recall, curve.precision, strict=True):
        points += [(frame.x.at(recall), frame.y.at(precision)), (frame.x.at(following), frame.y.at(precision))]
        recall = following
    _line(frame, points)
    if operating is not None and operating.precision is not None:
        _operating(frame, operating.sensitivity, operating.precision)
    steps = f"{len(curve.recall)} {'step' if len(curve.recall) == 1 else 'steps'}"
    return with_words(frame.drawing, f"Precision-recall curve of {label}, {steps}: {'; '.join(said)}.")


def _frame(width: float, names: tuple[str, str], said: Sequence[str]) -> Square:
    """Return axes with words below the axis' name, those that are too long in several lines."""
    room = width - 4
    lines = [part for line in said for part in simpleSplit(clean(line), REGULAR, SMALL_TEXT, room)]
    below = 4 + _LINE * max(2, len(lines))
    frame = square(width, SQUARE * width + below + 3, names, below)
    for place, line in enumerate(lines):
        text(frame.drawing, (2.0, below - 9 - place * _LINE), line, size=SMALL_TEXT, colour=GREY, room=room)
    return frame


def _line(frame: Square, points: Sequence[tuple[float, float]]) -> None:
    frame.drawing.add(path(points, colour=ACCENT, width=1.1))


def _operating(frame: Square, x: float, y: float) -> None:
    circle = Circle(frame.x.at(x), frame.y.at(y), 2.8, fillColor=white, strokeColor=HexColor(ACCENT), strokeWidth=1.2)
    frame.drawing.add(circle)


def _two(value: float) -> str:
    return number(value, like=(1.0,))
