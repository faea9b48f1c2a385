"""The flow of studies as STARD draws it: what came in, what was left out and why, what was there and was answered."""

from collections.abc import Mapping, Sequence

from reportlab.graphics.shapes import Drawing, Line, Polygon, Rect
from reportlab.lib.colors import HexColor

from pipeline.findings.plotted.classifier import AnswerCount
from pipeline.findings.results import Flow
from reports.charts.frame import TEXT, text, with_words
from reports.numbers import count, plural
from reports.page.fonts import BOLD, REGULAR
from reports.page.layout import ACCENT, CONTENT, PALE
from reports.page.text import fitted_at_both_ends
from reports.wording import words

__all__ = ["flow_chart"]

_LINE = 9.5
_NARROWEST = 96.0
"""Points that a box needs for its words."""
_GAP = 14.0
_MOST_COLUMNS, _MOST_LINES, _MOST_REASONS = 4, 5, 12


def flow_chart(
    flow: Flow, answers: Sequence[AnswerCount] = (), nothing: str = "none of the labels", room: float = CONTENT
) -> Drawing:
    """Return n in = n analysed + n excluded + n failed as boxes and arrows, and below them reference by answer.

    ``room`` is the width in points, ``nothing`` what a reference or an answer without a label is called. References
    beyond the most frequent four stand together, and so do answers beyond the most frequent five of each, and reasons
    beyond twelve.
    """
    sides = [_reasons("Excluded", flow.excluded), _reasons("Failed", flow.failed)]
    columns = _columns(answers, nothing)
    upper = sum(_height(lines) for lines in sides) + 12 + 2 * 32 + 8
    rows = _in_rows(columns, room)
    lower = sum(_tallest(row) + _GAP for row in rows)
    drawing = Drawing(room, upper + lower)
    width, spine, side = 0.42 * room, 0.12 * room, 0.26 * room
    total = upper + lower
    _box(drawing, (0, total - 26, width, 26), [f"Found: {count(flow.found)}"])
    _box(drawing, (0, lower, width, 26), [f"Analysed: {count(flow.analysed)}"])
    _arrow(drawing, (spine, total - 26), (spine, lower + 26))
    top = total - 38
    for lines in sides:
        height = _height(lines)
        _box(drawing, (side, top - height, room - side, height), lines)
        _arrow(drawing, (spine, top - height / 2), (side, top - height / 2))
        top -= height + 12
    for row in rows:
        _answers(drawing, row, lower, spine)
        lower -= _tallest(row) + _GAP
        spine = room / 2  # of a further row the line comes down between the boxes of the one above
    parts = [[f"Found: {count(flow.found)}"], *sides, [f"Analysed: {count(flow.analysed)}"], *columns]
    return with_words(drawing, "Flow of studies. " + " ".join(f"{'; '.join(lines)}." for lines in parts))


def _answers(drawing: Drawing, columns: Sequence[Sequence[str]], top: float, spine: float) -> None:
    """Draw a box a reference, side by side, below what stands above them."""
    width = (drawing.width - 8 * (len(columns) - 1)) / len(columns)
    middle = top - _GAP / 2
    centres = [place * (width + 8) + width / 2 for place in range(len(columns))]
    drawing.add(Line(spine, top, spine, middle, strokeColor=HexColor(ACCENT), strokeWidth=0.7))
    drawing.add(
        Line(min(spine, *centres), middle, max(spine, *centres), middle, strokeColor=HexColor(ACCENT), strokeWidth=0.7)
    )
    for lines, centre in zip(columns, centres, strict=True):
        height = _height(lines)
        _arrow(drawing, (centre, middle), (centre, top - _GAP))
        _box(drawing, (centre - width / 2, top - _GAP - height, width, height), lines)


def _in_rows(columns: Sequence[list[str]], room: float) -> list[Sequence[list[str]]]:
    """Return the references' boxes in rows: all side by side, or two and two where their words would have no room."""
    across = len(columns) if room >= _NARROWEST * len(columns) else 2
    return [columns[start : start + across] for start in range(0, len(columns), across or 1)]


def _tallest(columns: Sequence[Sequence[str]]) -> float:
    return max(_height(lines) for lines in columns)


def _columns(answers: Sequence[AnswerCount], nothing: str) -> list[list[str]]:
    """Return the lines of a box for each reference, the most frequent first."""
    groups: dict[str, list[AnswerCount]] = {}
    for answer in answers:
        key = "not stated" if answer.reference is None else ", ".join(answer.reference) or nothing
        groups.setdefault(key, []).append(answer)
    ordered = sorted(groups.items(), key=lambda group: (-sum(part.studies for part in group[1]), group[0]))
    most = _MOST_COLUMNS if len(ordered) <= _MOST_COLUMNS else _MOST_COLUMNS - 1
    columns = [_column(f"Reference {name}", parts, nothing) for name, parts in ordered[:most]]
    rest = [part for _, parts in ordered[most:] for part in parts]
    return columns + ([_column("Other references", rest, nothing)] if rest else [])


def _column(title: str, answers: Sequence[AnswerCount], nothing: str) -> list[str]:
    called: dict[str, int] = {}
    for answer in answers:
        name = ", ".join(answer.answered) or nothing
        called[name] = called.get(name, 0) + answer.studies
    ordered = sorted(called.items(), key=lambda pair: (-pair[1], pair[0]))
    most = _MOST_LINES if len(ordered) <= _MOST_LINES else _MOST_LINES - 1
    rest = sum(many for _, many in ordered[most:])
    return [
        f"{title}: {count(sum(called.values()))}",
        *(f"answered {name}: {count(many)}" for name, many in ordered[:most]),
        *([f"{plural(len(ordered) - most, 'other answer')}: {count(rest)}"] if rest else []),
    ]


def _reasons(title: str, reasons: Mapping[str, int]) -> list[str]:
    """Return the lines of a box; reasons beyond the most frequent stand together, as a column holds no more."""
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    most = _MOST_REASONS if len(ordered) <= _MOST_REASONS else _MOST_REASONS - 1
    rest = sum(many for _, many in ordered[most:])
    return [
        f"{title}: {count(sum(reasons.values()))}",
        *(f"{words(why)}: {count(many)}" for why, many in ordered[:most]),
        *([f"{plural(len(ordered) - most, 'other reason')}: {count(rest)}"] if rest else []),
    ]


def _height(lines: Sequence[str]) -> float:
    return _LINE * len(lines) + 10


def _box(drawing: Drawing, at: tuple[float, float, float, float], lines: Sequence[str]) -> None:
    """Draw a box (left, bottom, width, height) with lines, the first in bold; of a long one its number is kept."""
    x, y, width, height = at
    drawing.add(Rect(x, y, width, height, fillColor=HexColor(PALE), strokeColor=HexColor(ACCENT), strokeWidth=0.6))
    first = y + (height + _LINE * len(lines)) / 2 - 7.2
    for place, line in enumerate(lines):
        name, colon, number = line.rpartition(": ")
        size = 7.4 if place == 0 else TEXT
        at_line = (x + width - 9, first - place * _LINE)
        text(drawing, at_line, number, size=size, bold=place == 0, anchor="end")
        room = width - 24 - 4.6 * len(number)
        # names that begin alike are told apart by their ends
        shown = fitted_at_both_ends(name + colon, room, size, BOLD if place == 0 else REGULAR)
        text(drawing, (x + 9, at_line[1]), shown, size=size, bold=place == 0)


def _arrow(drawing: Drawing, start: tuple[float, float], end: tuple[float, float]) -> None:
    colour = HexColor(ACCENT)
    drawing.add(Line(*start, *end, strokeColor=colour, strokeWidth=0.7))
    x, y = end
    head = [x, y, x - 5, y + 2.4, x - 5, y - 2.4] if start[1] == end[1] else [x, y, x - 2.4, y + 5, x + 2.4, y + 5]
    drawing.add(Polygon(head, fillColor=colour, strokeColor=None))
