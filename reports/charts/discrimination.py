"""ROC and precision-recall curves of one label, with what the classifier called."""

from collections.abc import Sequence

from reportlab.graphics.shapes import Circle, Drawing
from reportlab.lib.colors import HexColor, white

from pipeline.findings.plotted.classifier import OperatingPoint, PrecisionRecallCurve, RocCurve
from reports.charts.frame import SMALL_TEXT, Square, dashed, path, square, text, with_words
from reports.numbers import number
from reports.page.layout import ACCENT, GREY

__all__ = ["precision_recall_chart", "roc_chart"]

_BELOW = 21.0
_LINE = 8.5


def roc_chart(label: str, curve: RocCurve, operating: OperatingPoint | None, area: str, width: float) -> Drawing:
    """Return a ROC curve; ``area`` is the AUROC with its interval, as it is printed."""
    names = ("1 \u2212 specificity", f"ROC, {label}: sensitivity")
    frame = square(width, width + _BELOW + 3, names, _BELOW)
    corners = zip(curve.false_positive_rate, curve.sensitivity, strict=True)
    frame.drawing.add(dashed((frame.x.start, frame.y.start), (frame.x.end, frame.y.end), (0.8, 1.2)))
    _line(frame, [(frame.x.at(x), frame.y.at(y)) for x, y in corners])
    said = [f"AUROC {area}"]
    if operating is not None:
        _operating(frame, operating.false_positive_rate, operating.sensitivity)
        said.append(
            f"\u25cb as called: sensitivity {_two(operating.sensitivity)}, "
            f"1 \u2212 specificity {_two(operating.false_positive_rate)}"
        )
    _below(frame, said)
    steps = f"{len(curve.sensitivity)} corners from (0, 0) to (1, 1)"
    return with_words(
        frame.drawing, f"ROC curve of {label}, {steps}: {'; '.join(said)}. The dotted diagonal is chance."
    )


def precision_recall_chart(
    label: str, curve: PrecisionRecallCurve, operating: OperatingPoint | None, width: float
) -> Drawing:
    """Return a precision-recall curve as steps: between two thresholds nothing is interpolated."""
    frame = square(width, width + _BELOW + 3, ("Recall (sensitivity)", f"Precision-recall, {label}: precision"), _BELOW)
    level = frame.y.at(curve.prevalence)
    frame.drawing.add(dashed((frame.x.start, level), (frame.x.end, level), (0.8, 1.2)))
    points, recall = [], 0.0
    for following, precision in zip(curve.recall, curve.precision, strict=True):
        points += [(frame.x.at(recall), frame.y.at(precision)), (frame.x.at(following), frame.y.at(precision))]
        recall = following
    _line(frame, points)
    said = [f"average precision {_two(curve.average_precision)}; chance (dotted) {_two(curve.prevalence)}"]
    if operating is not None and operating.precision is not None:
        _operating(frame, operating.sensitivity, operating.precision)
        said.append(f"\u25cb as called: recall {_two(operating.sensitivity)}, precision {_two(operating.precision)}")
    elif operating is not None:
        said.append("nothing was called: there is no precision")
    _below(frame, said)
    steps = f"{len(curve.recall)} {'step' if len(curve.recall) == 1 else 'steps'}"
    return with_words(frame.drawing, f"Precision-recall curve of {label}, {steps}: {'; '.join(said)}.")


def _line(frame: Square, points: Sequence[tuple[float, float]]) -> None:
    frame.drawing.add(path(points, colour=ACCENT, width=1.1))


def _operating(frame: Square, x: float, y: float) -> None:
    circle = Circle(frame.x.at(x), frame.y.at(y), 2.8, fillColor=white, strokeColor=HexColor(ACCENT), strokeWidth=1.2)
    frame.drawing.add(circle)


def _below(frame: Square, lines: Sequence[str]) -> None:
    """Write lines below the axis' name."""
    for place, line in enumerate(lines):
        at = (2.0, _BELOW - 9 - place * _LINE)
        text(frame.drawing, at, line, size=SMALL_TEXT, colour=GREY, room=frame.drawing.width - 4)


def _two(value: float) -> str:
    return number(value, like=(1.0,))
