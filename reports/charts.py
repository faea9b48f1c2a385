"""Vector drawings made of numbers: the flow of studies and the forest plot."""

import math
from collections.abc import Mapping, Sequence

from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon, Rect, String
from reportlab.lib.colors import HexColor, white
from reportlab.platypus import TableStyle

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Flow, Results
from pipeline.vocabulary import BETTER, Better
from reports.alternative_text import flow_in_words, plot_in_words
from reports.numbers import count, ends, limits, number
from reports.page.fonts import BOLD, REGULAR
from reports.page.layout import ACCENT, CONTENT, GREY, INK, PALE, RULE, Flowable, Table, described
from reports.page.text import fitted
from reports.wording import better_of, is_baseline, measured, method, methods_in_order, range_of, words

__all__ = ["axis", "flow_chart", "forest_plot"]

_LINE = 9.5

Span = tuple[float | None, float | None]


def flow_chart(flow: Flow) -> Drawing:
    """Return n in = n analysed + n excluded + n failed as boxes and arrows."""
    sides = [_reasons("Excluded", flow.excluded), _reasons("Failed", flow.failed)]
    heights = [_LINE * len(lines) + 10 for lines in sides]
    total = sum(heights) + 12 + 2 * 40
    drawing = Drawing(CONTENT, total)
    width, spine = 0.42 * CONTENT, 0.21 * CONTENT
    _box(drawing, 0, total - 26, width, [f"Found: {count(flow.found)}"])
    _box(drawing, 0, 0, width, [f"Analysed: {count(flow.analysed)}"])
    _arrow(drawing, (spine, total - 26), (spine, 26))
    top = total - 38
    for lines, height in zip(sides, heights, strict=True):
        _box(drawing, 0.52 * CONTENT, top - height, 0.48 * CONTENT, lines, height)
        _arrow(drawing, (spine, top - height / 2), (0.52 * CONTENT, top - height / 2))
        top -= height + 12
    described(drawing, flow_in_words(flow))
    return drawing


def _reasons(title: str, reasons: Mapping[str, int]) -> list[str]:
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        f"{title}: {count(sum(reasons.values()))}",
        *(f"{words(why)}: {count(many)}" for why, many in ordered),
    ]


def _box(drawing: Drawing, x: float, y: float, width: float, lines: Sequence[str], height: float = 26) -> None:
    drawing.add(Rect(x, y, width, height, fillColor=HexColor(PALE), strokeColor=HexColor(ACCENT), strokeWidth=0.6))
    first = y + (height + _LINE * len(lines)) / 2 - 7.2
    for place, line in enumerate(lines):
        _text(drawing, x + 9, first - place * _LINE, fitted(line, width - 18, 7.4), bold=place == 0)


def _arrow(drawing: Drawing, start: tuple[float, float], end: tuple[float, float]) -> None:
    colour = HexColor(ACCENT)
    drawing.add(Line(*start, *end, strokeColor=colour, strokeWidth=0.7))
    x, y = end
    head = [x, y, x - 5, y + 2.4, x - 5, y - 2.4] if start[1] == end[1] else [x, y, x - 2.4, y + 5, x + 2.4, y + 5]
    drawing.add(Polygon(head, fillColor=colour, strokeColor=None))


def _text(
    drawing: Drawing,
    x: float,
    y: float,
    text: str,
    *,
    bold: bool = False,
    anchor: str = "start",
    grey: bool = False,
) -> None:
    font, colour = BOLD if bold else REGULAR, HexColor(GREY if grey else INK)
    size = 6.2 if grey else 7.4 if bold else 7
    drawing.add(String(x, y, text, fontName=font, fontSize=size, fillColor=colour, textAnchor=anchor))


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


_DIRECTION: Mapping[Better, str] = {
    "higher": f"{BETTER['higher']} \u2192",
    "lower": f"\u2190 {BETTER['lower']}",
}


def forest_plot(results: Results, estimates: Sequence[Estimate]) -> list[Flowable]:
    """Return the estimates as points with their intervals, one small plot a metric, two side by side."""
    metrics = dict.fromkeys(estimate.metric for estimate in estimates)
    plots = [_plot(results, [estimate for estimate in estimates if estimate.metric == name]) for name in metrics]
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


def _plot(results: Results, estimates: Sequence[Estimate]) -> Drawing:
    order = methods_in_order(results, (estimate.method for estimate in estimates))
    rows = sorted(estimates, key=lambda estimate: order.index(estimate.method))
    name = rows[0].metric
    ceiling = [agreement.estimate.value for agreement in results.agreements if agreement.metric == name]
    experts = [value for value in ceiling if value is not None]
    shown = [(*limits(point), point.chance) for point in rows]
    edges = [edge for numbers in shown for edge in numbers if edge is not None]
    low, high, ticks = axis([*edges, *experts], range_of(results, name))
    width, left, bottom = CONTENT / 2 - 12, 92.0, 24.0
    drawing = Drawing(width, bottom + 12 * len(rows) + 16)

    def place(value: float) -> float:
        return float(left + (width - left - 8) * (value - low) / (high - low))

    better = better_of(results, name)
    top = bottom + 12 * len(rows)
    _text(drawing, 0, top + 6, fitted(measured(results, name), left + 60, 7.4, BOLD), bold=True)
    if better:
        _text(drawing, width - 8, top + 6, _DIRECTION[better], anchor="end", grey=True)
    _grid(drawing, [(place(tick), number(tick, like=tuple(ticks))) for tick in ticks], bottom, top)
    for value in experts:
        drawing.add(Line(place(value), bottom, place(value), top, strokeColor=HexColor(GREY), strokeDashArray=[2, 1.6]))
    legend = ["dashed: agreement between experts"] if experts else []
    legend += ["dotted: chance"] if any(point.chance is not None for point in rows) else []
    _text(drawing, left, 2, "; ".join(legend), grey=True)
    for row, point in enumerate(rows):
        y = top - 12 * row - 6
        _text(drawing, 0, y - 2.4, fitted(method(results, point.method), left - 6, 7), grey=False)
        if point.chance is not None:
            _chance(drawing, place(point.chance), y)
        first, last = ends(point)
        _point(drawing, point, y, [None if v is None else place(v) for v in (first, point.value, last)])
    described(drawing, plot_in_words(measured(results, name), rows, lambda point: method(results, point.method)))
    return drawing


def _grid(drawing: Drawing, ticks: Sequence[tuple[float, str]], bottom: float, top: float) -> None:
    for x, label in ticks:
        drawing.add(Line(x, bottom, x, top, strokeColor=HexColor(RULE), strokeWidth=0.3))
        _text(drawing, x, bottom - 8, label, anchor="middle", grey=True)
    drawing.add(Line(ticks[0][0], bottom, ticks[-1][0], bottom, strokeColor=HexColor(GREY), strokeWidth=0.5))


def _chance(drawing: Drawing, x: float, y: float) -> None:
    """Draw a map's level of chance across its row: maps that are defined on other studies have another."""
    drawing.add(Line(x, y - 6, x, y + 6, strokeColor=HexColor(GREY), strokeWidth=0.8, strokeDashArray=[0.8, 1.2]))


def _point(drawing: Drawing, estimates: Estimate, y: float, places: Sequence[float | None]) -> None:
    low, value, high = places
    colour = HexColor(GREY if is_baseline(estimates.method) else ACCENT)
    if low is not None and high is not None:
        drawing.add(Line(low, y, high, y, strokeColor=colour, strokeWidth=1))
    fill = white if is_baseline(estimates.method) else colour
    drawing.add(Circle(value, y, 2.3, fillColor=fill, strokeColor=colour, strokeWidth=0.9))
