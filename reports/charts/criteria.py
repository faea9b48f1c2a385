"""The forest of criteria: estimates, their intervals, and all that they are held against, on one axis a scale."""

from collections.abc import Iterable, Sequence

from reportlab.graphics.shapes import Drawing, Line
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import simpleSplit

from pipeline.findings.estimates import Verdict
from pipeline.findings.results import Results
from pipeline.vocabulary import CLASSIFIER, Better
from reports.charts.forest import (
    DIRECTION,
    MARKS,
    MOST_ROWS,
    ForestRow,
    Mark,
    draw_legend,
    draw_marks,
    draw_point,
    legend_width,
)
from reports.charts.frame import SMALL_TEXT, TEXT, Span, across, dashed, scaled, text, with_words
from reports.numbers import ends, number, plural
from reports.numbers import estimate as estimate_text
from reports.page.fonts import BOLD
from reports.page.layout import CONTENT, GREY, INK, RULE
from reports.page.text import clean
from reports.wording import (
    asked_for,
    better_of,
    in_sentence,
    is_baseline,
    measured,
    method,
    metric,
    on_metrics,
    population,
    range_of,
    subject,
)

__all__ = ["criteria_forest"]

_LEFT, _RIGHT = 0.40 * CONTENT, 0.78 * CONTENT
_ROW = 21.0

Axis = tuple[str, Better | None, Span]
"""The axis' name, which end is the good one, and what its values lie within."""


def criteria_forest(results: Results) -> list[Drawing]:
    """Return a plot for each scale on which criteria are judged: shares together, other units and differences apart."""
    groups: dict[Axis, list[Verdict]] = {}
    for verdict in on_metrics(results):
        groups.setdefault(_axis_of(results, verdict), []).append(verdict)
    return [
        _forest(results, key, verdicts[start : start + MOST_ROWS // 2])
        for key, verdicts in groups.items()
        for start in range(0, len(verdicts), MOST_ROWS // 2)
    ]


def _axis_of(results: Results, verdict: Verdict) -> Axis:
    better = better_of(results, verdict.metric)
    if _is_share(verdict):
        return "Share of patients", "higher", (0.0, 1.0)
    name = measured(results, verdict.metric)
    low, high = range_of(results, verdict.metric)
    if verdict.against is not None:
        width = None if low is None or high is None else high - low
        span = (None, None) if width is None else (-width, width)
        unit = name.removeprefix(metric(results, verdict.metric))
        return f"Difference{unit}", better, span
    shares = (low, high) == (0.0, 1.0) and name == metric(results, verdict.metric)
    return ("Shares and indices from 0 to 1" if shares else name), better, (low, high)


def _is_share(verdict: Verdict) -> bool:
    """Return whether a verdict's estimate is in how many patients something holds."""
    return verdict.rule.startswith(("within ", "median ")) or verdict.rule.endswith(" of patients")


def _forest(results: Results, key: Axis, verdicts: Sequence[Verdict]) -> Drawing:
    name, better, span = key
    rows = [_row(results, verdict) for verdict in verdicts]
    names = [_lines(row.name) for row in rows]
    kinds = {mark.kind for row in rows for mark in row.marks}
    beside = legend_width(kinds) < _LEFT - 12  # then the legend has room beside the axis' labels
    bottom, tall = 12.0 if beside else 24.0, _ROW + 9 * (max(len(lines) for lines in names) - 1)
    top = bottom + tall * len(rows)
    drawing = Drawing(CONTENT, top + 14)
    scale = scaled([edge for row in rows for edge in row.numbers()], span, _LEFT, _RIGHT - 12)
    text(drawing, (0, top + 4), name, size=7.4, bold=True, room=_LEFT - 8)
    text(
        drawing, (_RIGHT - 12, top + 4), DIRECTION[better] if better else "", size=SMALL_TEXT, anchor="end", colour=GREY
    )
    across(drawing, scale, bottom, top)
    if scale.low < 0 < scale.high:
        drawing.add(dashed((scale.at(0), bottom), (scale.at(0), top), ()))
    for place, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
        y = top - tall * place - tall / 2
        drawing.add(Line(0, y - tall / 2, CONTENT, y - tall / 2, strokeColor=HexColor(RULE), strokeWidth=0.3))
        _write(drawing, [(line, TEXT) for line in names[place]], y + 4.5 * len(names[place]) - 2.5)
        _write(drawing, [(_about(results, verdict), SMALL_TEXT)], y - 4.5 * len(names[place]) - 2.5)
        draw_marks(drawing, row.marks, scale, y, tall / 2 - 2)
        draw_point(drawing, row, scale, y)
        text(drawing, (_RIGHT, y + 2), estimate_text(verdict.estimate), bold=True, room=CONTENT - _RIGHT)
        text(drawing, (_RIGHT, y - 7), verdict.answer, size=SMALL_TEXT, room=CONTENT - _RIGHT)
    draw_legend(drawing, kinds, (0, 3), CONTENT)
    said = "; ".join(_in_words(results, row, verdict) for row, verdict in zip(rows, verdicts, strict=True))
    return with_words(drawing, f"{name}: {said}.")


def _lines(name: str) -> list[str]:
    """Return a name in at most two lines, the second one shortened where it must be."""
    lines = simpleSplit(clean(name), BOLD, TEXT, _LEFT - 8)
    return lines if len(lines) < 3 else [lines[0], " ".join(lines[1:])]


def _write(drawing: Drawing, lines: Sequence[tuple[str, float]], first: float) -> None:
    """Write lines (text, size) at the left from a height downwards; those in the size of text in bold."""
    for place, (line, size) in enumerate(lines):
        bold = size == TEXT
        colour = INK if bold else GREY
        text(drawing, (0, first - 9 * place), line, size=size, bold=bold, colour=colour, room=_LEFT - 8)


def _row(results: Results, verdict: Verdict) -> ForestRow:
    low, high = ends(verdict.estimate)
    return ForestRow(
        subject(results, verdict), verdict.estimate.value, low, high, marks=tuple(_marks(results, verdict))
    )


def _about(results: Results, verdict: Verdict) -> str:
    return f"{asked_for(results, verdict)}; {population(verdict)}, {plural(verdict.estimate.patients, 'patient')}"


def _marks(results: Results, verdict: Verdict) -> Iterable[Mark]:
    """Yield what a verdict's estimate is held against; of a difference or a share of patients its bound alone."""
    if verdict.bound is not None and verdict.side == "within":
        yield from (Mark("at_least", -verdict.bound), Mark("at_most", verdict.bound))
    elif verdict.bound is not None and verdict.side is not None:
        yield Mark("at_least" if verdict.side == "at_least" else "at_most", verdict.bound)
    if verdict.estimate.chance is not None:
        yield Mark("chance", verdict.estimate.chance)
    if verdict.against is not None or verdict.method == CLASSIFIER or _is_share(verdict):
        return
    for estimate in results.estimates:
        same = (estimate.metric, estimate.among, estimate.group) == (
            verdict.metric,
            verdict.among,
            verdict.estimate.group,
        )
        if same and is_baseline(estimate.method) and estimate.value is not None:
            yield Mark("baseline", estimate.value, in_sentence(method(results, estimate.method)))
    for agreement in results.agreements:
        if agreement.metric == verdict.metric and agreement.estimate.value is not None:
            yield Mark("readers", agreement.estimate.value, f"experts {' and '.join(agreement.readers)}")


def _in_words(results: Results, row: ForestRow, verdict: Verdict) -> str:
    beside = [
        f"{mark.name or MARKS[mark.kind]} {number(mark.value)}"
        for mark in row.marks
        if mark.kind not in ("at_least", "at_most")
    ]
    against = f" (beside it {', '.join(beside)})" if beside else ""
    estimate = estimate_text(verdict.estimate)
    return f"{row.name} {estimate}, asked for {asked_for(results, verdict)}: {verdict.answer}{against}"
