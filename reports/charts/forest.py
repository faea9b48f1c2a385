"""Points with their intervals, a row each, on one axis: maps side by side, criteria, subgroups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon
from reportlab.lib.colors import HexColor, white
from reportlab.platypus import Table, TableStyle

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from pipeline.vocabulary import BETTER, Better
from reports.charts.frame import SMALL_TEXT, Scale, across, dashed, scaled, text, with_words
from reports.numbers import ends, number
from reports.numbers import estimate as estimate_text
from reports.page.fonts import REGULAR, width_of
from reports.page.layout import ACCENT, CONTENT, GREY, Flowable
from reports.wording import better_of, is_baseline, measured, method, methods_in_order, range_of

__all__ = [
    "DIRECTION", "MARKS", "MOST_ROWS", "ForestRow", "Mark", "draw_legend", "draw_marks", "draw_point", "forest_plot",
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


def draw_legend(drawing: Drawing, kinds: Iterable[Kind], at: tuple[float, float], room: float) -> None:
    """Draw what the marks mean, in one line from the left; as many as have room."""
    from_left, used = at[0], set(kinds)
    for kind, meaning in MARKS.items():
        width = 12 + width_of(meaning, SMALL_TEXT)
        if kind in used and from_left + width <= at[0] + room:
            _draw_mark(drawing, kind, from_left + 3, at[1] + 2.2, 4)
            text(drawing, (from_left + 11, at[1]), meaning, size=SMALL_TEXT, colour=GREY)
            from_left += width + 12


def forest_plot(results: Results, estimates: Sequence[Estimate]) -> list[Flowable]:
    """Return the estimates as points with their intervals, one small plot a metric, two side by side."""
    metrics = dict.fromkeys(estimate.metric for estimate in estimates)
    plots = [
        _plot(results, name, rows)
        for name in metrics
        for rows in _parts(results, [estimate for estimate in estimates if estimate.metric == name])
    ]
    style = TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), REGULAR, 7),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
        ]
    )
    pairs = [plots[start : start + 2] for start in range(0, len(plots), 2)]
    return [Table([[*pair, *[""] * (2 - len(pair))]], colWidths=[CONTENT / 2] * 2, style=style) for pair in pairs]


def _parts(results: Results, estimates: Sequence[Estimate]) -> list[list[Estimate]]:
    """Return the estimates of one metric in order, no more together than fit on a page."""
    order = methods_in_order(results, (estimate.method for estimate in estimates))
    rows = sorted(estimates, key=lambda estimate: order.index(estimate.method))
    return [rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS)]


def _plot(results: Results, name: str, estimates: Sequence[Estimate]) -> Drawing:
    agreed = [agreement.estimate.value for agreement in results.agreements if agreement.metric == name]
    experts = tuple(Mark("readers", value) for value in agreed if value is not None)
    rows = [_row(results, estimate) for estimate in estimates]
    width, left, bottom = CONTENT / 2 - 12, 92.0, 24.0
    numbers = [edge for row in rows for edge in row.numbers()] + [mark.value for mark in experts]
    scale = scaled(numbers, range_of(results, name), left, width - 8)
    top = bottom + 12 * len(rows)
    drawing = Drawing(width, top + 16)
    better = better_of(results, name)
    text(drawing, (0, top + 6), measured(results, name), size=7.4, bold=True, room=width - 8 - 72)
    text(drawing, (width - 8, top + 6), DIRECTION[better] if better else "", size=SMALL_TEXT, anchor="end", colour=GREY)
    across(drawing, scale, bottom, top)
    draw_marks(drawing, experts, scale, (bottom + top) / 2, (top - bottom) / 2)
    for place, row in enumerate(rows):
        y = top - 12 * place - 6
        text(drawing, (0, y - 2.4), row.name, room=left - 10)
        draw_marks(drawing, row.marks, scale, y, 6)
        draw_point(drawing, row, scale, y)
    kinds = {mark.kind for row in rows for mark in row.marks} | {mark.kind for mark in experts}
    draw_legend(drawing, kinds, (left, 2), width - left)
    said = [f"{row.name} {estimate_text(part)}{_against(row)}" for row, part in zip(rows, estimates, strict=True)]
    ceiling = f" Experts with each other: {', '.join(number(mark.value) for mark in experts)}." if experts else ""
    return with_words(drawing, f"{measured(results, name)}: {'; '.join(said)}.{ceiling}")


def _row(results: Results, estimate: Estimate) -> ForestRow:
    low, high = ends(estimate)
    marks = () if estimate.chance is None else (Mark("chance", estimate.chance),)
    title = method(results, estimate.method).removesuffix(" (baseline)")  # which is hollow
    return ForestRow(title, estimate.value, low, high, is_baseline(estimate.method), marks)


def _against(row: ForestRow) -> str:
    """Return what a row's estimate is held against, in words."""
    said = [f"{mark.name or MARKS[mark.kind].split(':')[0]} {number(mark.value)}" for mark in row.marks]
    return f" ({', '.join(said)})" if said else ""
