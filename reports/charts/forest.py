"""Points with their intervals, a row each, on one axis: maps side by side, criteria, subgroups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final, Literal

from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon
from reportlab.lib.colors import HexColor, white

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from pipeline.vocabulary import BETTER, Better
from reports.charts.frame import SMALL_TEXT, Scale, across, dashed, scaled, text, with_words
from reports.numbers import ends, number
from reports.numbers import estimate as estimate_text
from reports.page.fonts import width_of
from reports.page.layout import ACCENT, CONTENT, GREY
from reports.wording import better_of, is_baseline, measured, method, methods_in_order, range_of

__all__ = [
    "DIRECTION", "MARKS", "MOST_ROWS", "ForestRow", "Mark", "draw_legend", "draw_marks", "draw_point", "forest_plot",
    "legend_width",
]  # fmt: skip

MOST_ROWS: Final = 40
"""Rows of a plot at most: more of them make further plots, so that each fits on a page."""

DIRECTION: dict[Better, str] = {"higher": f"{BETTER['higher']} \u2192", "lower": f"\u2190 {BETTER['lower']}"}

Kind = Literal["at_least", "at_most", "chance", "baseline", "readers"]

MARKS: Final[dict[Kind, str]] = {
    "at_least": "asked for: to the right of this",
    "at_most": "asked for: to the left of this",
    "chance": "chance",
    "baseline": "baseline",
    "readers": "experts with each other",
}
"""What stands beside an estimate, in the order of the legend."""


@dataclass(frozen=True)
class Mark:
    """A number that an estimate is held against; ``name`` says whose, where the kind does not."""

    kind: Kind
    value: float
    name: str = ""


@dataclass(frozen=True)
class ForestRow:
    """An estimate with its interval (None: there is none) and what it is held against."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    hollow: bool = False
    marks: tuple[Mark, ...] = ()

    def numbers(self) -> Iterable[float]:
        """Yield every number that the axis must hold."""
        yield from (edge for edge in (self.value, self.low, self.high) if edge is not None)
        yield from (mark.value for mark in self.marks)


def draw_point(drawing: Drawing, row: ForestRow, scale: Scale, y: float) -> None:
    """Draw an estimate: hollow and grey where it is a baseline's; its interval alone where it has no value."""
    colour = HexColor(GREY if row.hollow else ACCENT)
    if row.low is not None and row.high is not None:
        drawing.add(Line(scale.at(row.low), y, scale.at(row.high), y, strokeColor=colour, strokeWidth=1))
        for edge in (row.low, row.high):
            drawing.add(Line(scale.at(edge), y - 1.8, scale.at(edge), y + 1.8, strokeColor=colour, strokeWidth=0.7))
    if row.value is not None:
        fill = white if row.hollow else colour
        drawing.add(Circle(scale.at(row.value), y, 2.3, fillColor=fill, strokeColor=colour, strokeWidth=0.9))


def draw_marks(drawing: Drawing, marks: Iterable[Mark], scale: Scale, y: float, reach: float) -> None:
    """Draw what an estimate is held against, each kind in its own form, ``reach`` points up and down."""
    for mark in marks:
        _draw_mark(drawing, mark.kind, scale.at(mark.value), y, reach)


def _draw_mark(drawing: Drawing, kind: Kind, x: float, y: float, reach: float) -> None:
    ink = HexColor(GREY)
    if kind in ("at_least", "at_most"):
        tip = 4.5 if kind == "at_least" else -4.5
        drawing.add(Line(x, y - reach, x, y + reach, strokeColor=HexColor(ACCENT), strokeWidth=1.4))
        flag = [x, y + reach, x + tip, y + reach - 2, x, y + reach - 4]
        drawing.add(Polygon(flag, fillColor=HexColor(ACCENT), strokeColor=None))
    elif kind == "chance":
        drawing.add(dashed((x, y - reach), (x, y + reach), (0.8, 1.2)))
    elif kind == "readers":
        drawing.add(dashed((x, y - reach), (x, y + reach), (2.4, 1.6), 0.9))
    else:
        diamond = [x, y + 2.4, x + 2.4, y, x, y - 2.4, x - 2.4, y]
        drawing.add(Polygon(diamond, fillColor=white, strokeColor=ink, strokeWidth=0.8))


def legend_width(kinds: Iterable[Kind]) -> float:
    """Return how many points the legend of some kinds of marks takes in one line."""
    return fsum(24 + width_of(MARKS[kind], SMALL_TEXT) for kind in set(kinds))


def draw_legend(drawing: Drawing, kinds: Iterable[Kind], at: tuple[float, float], room: float) -> None:
    """Draw what the marks mean, in one line from the left; as many as have room."""
    from_left, used = at[0], set(kinds)
    for kind, meaning in MARKS.items():
        width = 12 + width_of(meaning, SMALL_TEXT)
        if kind in used and from_left + width <= at[0] + room:
            _draw_mark(drawing, kind, from_left + 3, at[1] + 2.2, 4)
            text(drawing, (from_left + 11, at[1]), meaning, size=SMALL_TEXT, colour=GREY)
            from_left += width + 12


def forest_plot(results: Results, estimates: Sequence[Estimate]) -> list[Drawing]:
    """Return the estimates as points with their intervals: a row each map, a panel each metric, four beside each other.

    All panels of a plot share their rows, so the names stand once.
    """
    metrics = list(dict.fromkeys(estimate.metric for estimate in estimates))
    plots = []
    for start in range(0, len(metrics), _BESIDE):
        beside = metrics[start : start + _BESIDE]
        members = [estimate for estimate in estimates if estimate.metric in beside]
        names = methods_in_order(results, (estimate.method for estimate in members))
        parts = [names[first : first + MOST_ROWS] for first in range(0, len(names), MOST_ROWS)]
        plots += [_plot(results, beside, part, members) for part in parts]
    return plots


_BESIDE = 4
_NAMES, _APART, _WIDEST, _TALL = 92.0, 20.0, 190.0, 11.5
"""Points for the names, between panels, of a panel at most, and of a row."""


def _plot(results: Results, metrics: Sequence[str], names: Sequence[str], estimates: Sequence[Estimate]) -> Drawing:
    """Return one plot of ``metrics``, a row for each map in ``names``."""
    bottom = 21.0
    top = bottom + _TALL * len(names)
    drawing = Drawing(CONTENT, top + 16)
    for place, name in enumerate(names):
        title = method(results, name).removesuffix(" (baseline)")  # which is hollow
        text(drawing, (0, top - _TALL * place - _TALL / 2 - 2.4), title, room=_NAMES - 10)
    width = min(_WIDEST, (CONTENT - _NAMES - 8 - _APART * (len(metrics) - 1)) / len(metrics))
    said, kinds = [], set[Kind]()
    for place, metric_name in enumerate(metrics):
        rows = {part.method: part for part in estimates if part.metric == metric_name and part.method in names}
        left = _NAMES + place * (width + _APART)
        panel = _Panel(drawing, metric_name, names, rows, (left, left + width), (bottom, top))
        said.append(_draw_panel(results, panel, kinds))
    for line, kind in enumerate(sorted(kinds)):  # below the names, where the axes' labels leave room
        draw_legend(drawing, [kind], (0, bottom - 8 - 9.5 * line), _NAMES + 4)
    return with_words(drawing, " ".join(said))


@dataclass(frozen=True)
class _Panel:
    """One metric's panel: its estimates by method, and its ends across and upwards in points of the drawing."""

    drawing: Drawing
    metric: str
    names: Sequence[str]
    estimates: Mapping[str, Estimate]
    across: tuple[float, float]
    upwards: tuple[float, float]


def _draw_panel(results: Results, panel: _Panel, kinds: set[Kind]) -> str:
    """Draw a panel, add the kinds of marks that it has to ``kinds``, and return it in words."""
    agreed = [agreement.estimate.value for agreement in results.agreements if agreement.metric == panel.metric]
    experts = tuple(Mark("readers", value) for value in agreed if value is not None)
    rows = {name: _row(results, estimate) for name, estimate in panel.estimates.items()}
    (left, right), (bottom, top), drawing = panel.across, panel.upwards, panel.drawing
    numbers = [edge for row in rows.values() for edge in row.numbers()] + [mark.value for mark in experts]
    scale = scaled(numbers, range_of(results, panel.metric), left, right)
    better = better_of(results, panel.metric)
    text(drawing, (left, top + 6), measured(results, panel.metric), size=7.4, bold=True, room=right - left + _APART - 4)
    across(drawing, scale, bottom, top, DIRECTION[better] if better else "")
    draw_marks(drawing, experts, scale, (bottom + top) / 2, (top - bottom) / 2)
    for place, name in enumerate(panel.names):
        if name in rows:
            y = top - _TALL * place - _TALL / 2
            draw_marks(drawing, rows[name].marks, scale, y, _TALL / 2)
            draw_point(drawing, rows[name], scale, y)
    kinds |= {mark.kind for row in rows.values() for mark in row.marks} | {mark.kind for mark in experts}
    return _in_words(results, panel, rows, experts)


def _in_words(results: Results, panel: _Panel, rows: Mapping[str, ForestRow], experts: Sequence[Mark]) -> str:
    said = [
        f"{rows[name].name} {estimate_text(panel.estimates[name])}{_against(rows[name])}"
        for name in panel.names
        if name in rows
    ]
    ceiling = f" Experts with each other: {', '.join(number(mark.value) for mark in experts)}." if experts else ""
    return f"{measured(results, panel.metric)}: {'; '.join(said)}.{ceiling}"


def _row(results: Results, estimate: Estimate) -> ForestRow:
    low, high = ends(estimate)
    marks = () if estimate.chance is None else (Mark("chance", estimate.chance),)
    title = method(results, estimate.method).removesuffix(" (baseline)")  # which is hollow
    return ForestRow(title, estimate.value, low, high, is_baseline(estimate.method), marks)


def _against(row: ForestRow) -> str:
    """Return what a row's estimate is held against, in words."""
    said = [f"{mark.name or MARKS[mark.kind].split(':')[0]} {number(mark.value)}" for mark in row.marks]
    return f" ({', '.join(said)})" if said else ""
