"""A criterion over the runs of an audit: estimates with intervals, the bound, and where what was locked changed."""

from collections.abc import Sequence
from itertools import pairwise

from reportlab.graphics.shapes import Circle, Drawing, Line
from reportlab.lib.colors import HexColor, white

from pipeline.findings.plotted.control import MOST_RUNS_TOLD, RunControl
from pipeline.findings.plotted.history import RunPoint
from pipeline.vocabulary import Answer
from reports.charts.frame import (
    SMALL_TEXT,
    TEXT,
    Scale,
    Span,
    dashed,
    path,
    room_of_labels,
    scaled,
    text,
    upwards,
    with_words,
)
from reports.numbers import number, plural, when
from reports.page.fonts import BOLD, width_of
from reports.page.layout import ACCENT, CONTENT, GREY
from reports.page.text import fitted_at_both_ends

__all__ = ["control_chart", "control_words", "words_below"]

_HEIGHT = 104.0
_LINE = 10.0
_KEY = "\u25cf MET   \u25cb INCONCLUSIVE   \u00d7 NOT MET"


def control_chart(points: Sequence[RunPoint], title: str, span: Span) -> Drawing:
    """Return the runs of one criterion from the left, oldest first.

    A run without an estimate leaves a gap. The thick line is the bound of each run; a dashed upright one stands where
    what was locked is not what was locked before.
    """
    drawing = Drawing(CONTENT, _HEIGHT)
    numbers = [
        edge for point in points for edge in (point.value, point.low, point.high, point.bound) if edge is not None
    ]
    y = scaled(numbers, span, 28, _HEIGHT - 16)
    left = max(26.0, room_of_labels(y))
    upwards(drawing, y, left, CONTENT - 4, "")
    name = fitted_at_both_ends(title, CONTENT - 150, TEXT, BOLD)
    text(drawing, (0, _HEIGHT - 8), name, bold=True, room=CONTENT - 150)
    if any(point.answer != "NOT EVALUATED" for point in points):
        text(drawing, (CONTENT - 4, _HEIGHT - 8), _KEY, size=SMALL_TEXT, anchor="end", colour=GREY)
    x = Scale(-0.5, max(len(points) - 0.5, 0.5), left, CONTENT - 4, ())
    _bound(drawing, points, x, y)
    for place, point in enumerate(points):
        at = x.at(place)
        if place and point.lock != points[place - 1].lock:
            between = x.at(place - 0.5)
            drawing.add(dashed((between, y.start), (between, y.end), (2.4, 1.6)))
        _point(drawing, point, at, y)
    _dates(drawing, points, x)
    changes = sum(after.lock != before.lock for before, after in pairwise(points))
    foot = _foot(points, changes)
    text(drawing, (26, 3), foot, size=SMALL_TEXT, colour=GREY, room=CONTENT - 30)
    said = "; ".join(_in_words(point) for point in points)
    return with_words(drawing, f"{title} over {len(points)} runs: {said}. {foot}.")


def control_words(control: RunControl) -> tuple[str, str]:
    """Return what a chart of a growing cohort can see, and where it stands, in a sentence each."""
    change = "fall" if control.side == "at_least" else "rise"
    seen = [
        f"{f'a {change}' if place == 0 else 'one'} by {number(delay.fall)} would be seen after {_runs(delay.runs)}"
        for place, delay in enumerate(control.delays)
        if delay.runs is not None
    ]
    alarms = f"in control: a false alarm every {_runs(control.in_control_runs)}"
    now = control.arrivals[-1].total
    state = "no alarm" if control.alarm is None else f"ALARM since run {control.alarm}"
    return (
        "; ".join([f"At {number(control.reference)}, {alarms}", *seen]) + ".",
        f"New patients a run: {plural(control.per_run, 'patient')}. The sum of what they fall short stands at "
        f"{number(now)} of {number(control.limit)}: {state}.",
    )


def _runs(length: float) -> str:
    more = " or more" if length >= MOST_RUNS_TOLD else ""
    return f"{number(length)} runs{more} on average"


def words_below(control: RunControl) -> Drawing:
    """Return the sentences of a chart as a picture that stands below it."""
    sentences = control_words(control)
    drawing = Drawing(CONTENT, _LINE * len(sentences))
    for place, sentence in enumerate(sentences):
        at = (26, drawing.height - _LINE * (place + 1) + 2)
        text(drawing, at, sentence, size=SMALL_TEXT, colour=GREY, room=CONTENT - 30)
    return with_words(drawing, " ".join(sentences))


def _point(drawing: Drawing, point: RunPoint, x: float, y: Scale) -> None:
    colour = HexColor(ACCENT)
    if point.low is not None and point.high is not None:
        drawing.add(Line(x, y.at(point.low), x, y.at(point.high), strokeColor=colour, strokeWidth=0.8))
    if point.value is None:
        return
    at = y.at(point.value)
    if point.answer == "NOT MET":
        for up in (-2.4, 2.4):
            drawing.add(Line(x - 2.4, at - up, x + 2.4, at + up, strokeColor=colour, strokeWidth=1.2))
    else:
        is_judged = point.answer != "NOT EVALUATED"
        fill = HexColor(GREY) if not is_judged else colour if point.answer == "MET" else white
        edge = colour if is_judged else fill
        drawing.add(Circle(x, at, 2.3, fillColor=fill, strokeColor=edge, strokeWidth=0.9))


def _bound(drawing: Drawing, points: Sequence[RunPoint], x: Scale, y: Scale) -> None:
    """Draw each run's bound as a step."""
    steps: list[tuple[float, float]] = []
    for place, point in enumerate(points):
        if point.bound is not None:
            steps += [(x.at(place - 0.5), y.at(point.bound)), (x.at(place + 0.5), y.at(point.bound))]
    if steps:
        drawing.add(path(steps, colour=GREY, width=1.4))


def _dates(drawing: Drawing, points: Sequence[RunPoint], x: Scale) -> None:
    """Write the runs' dates below, as many as have room."""
    words = [f"{when(point.finished_at):%Y-%m-%d}" for point in points]
    reached = 0.0
    for place, date in enumerate(words):
        wide = width_of(date, SMALL_TEXT)
        left = min(max(x.at(place) - wide / 2, 0.0), CONTENT - wide)
        if left >= reached:
            text(drawing, (left, 17), date, size=SMALL_TEXT, colour=GREY)
            reached = left + wide + 8


def _foot(points: Sequence[RunPoint], changes: int) -> str:
    runs = len(points)
    if all(point.bound is None and point.answer == "NOT EVALUATED" for point in points):
        return "No criterion asks for this figure"
    thick, locks = "Thick line: what is asked for", {point.lock for point in points}
    if locks == {None}:
        return f"{thick}; no criteria were locked"
    if None in locks:
        return f"{thick}; dashed: criteria were locked, changed, or locked no more ({changes} of {runs - 1} times)"
    if not changes:
        return f"{thick}; the locked criteria are the same in all {runs} runs" if runs > 1 else thick
    return f"{thick}; dashed: the locked criteria changed ({changes} of {runs - 1} times)"


def _in_words(point: RunPoint) -> str:
    answer: Answer = point.answer
    if point.value is None:
        return f"{when(point.finished_at):%Y-%m-%d} no estimate, {answer}"
    like = tuple(edge for edge in (point.value, point.low, point.high) if edge is not None)
    interval = (
        f" [{number(point.low, like=like)}, {number(point.high, like=like)}]"
        if point.low is not None and point.high is not None
        else ""
    )
    asked = "" if point.bound is None else f", asked for {number(point.bound)}"
    return f"{when(point.finished_at):%Y-%m-%d} {number(point.value, like=like)}{interval}{asked}, {answer}"
