"""Subgroups in two columns: each one's estimate, and its difference to the rest of the cohort."""

from collections.abc import Mapping, Sequence

from reportlab.graphics.shapes import Drawing, Line
from reportlab.lib.colors import HexColor

from pipeline.findings.estimates import Estimate
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.results import Results
from reports.charts.forest import DIRECTION, MOST_ROWS, ForestRow, draw_point
from reports.charts.frame import SMALLEST, Scale, Span, across, dashed, described, scaled, text
from reports.numbers import count, ends, number
from reports.numbers import estimate as estimate_text
from reports.page.layout import CONTENT, GREY, RULE
from reports.wording import better_of, measured, method, range_of

__all__ = ["difference_text", "subgroup_forest"]

_ROW = 13.0
_NAME, _PATIENTS = 0.22 * CONTENT, 0.29 * CONTENT
_FIRST = (0.32 * CONTENT, 0.58 * CONTENT)
_SECOND = (0.64 * CONTENT, 0.90 * CONTENT)


def subgroup_forest(
    results: Results, whole: Estimate | None, groups: Sequence[Estimate], differences: Sequence[GroupDifference]
) -> list[Drawing]:
    """Return plots of one map and metric: the ``whole`` cohort first, then its ``groups``, each with its difference.

    A difference that stays after the correction for their number has its p beside it in bold.
    """
    of_group = {difference.group: difference for difference in differences}
    return [
        _forest(results, whole, groups[start : start + MOST_ROWS], of_group)
        for start in range(0, len(groups), MOST_ROWS)
    ]


def _forest(
    results: Results, whole: Estimate | None, groups: Sequence[Estimate], of_group: Mapping[str, GroupDifference]
) -> Drawing:
    rows = [*([whole] if whole is not None else []), *groups]
    points = [_point(estimate) for estimate in rows]
    shifts = [of_group[str(group.group)] for group in groups if str(group.group) in of_group]
    top = 24.0 + _ROW * len(rows)
    drawing = Drawing(CONTENT, top + 26)
    first, second = _scales(results, rows[0].metric, points, shifts)
    _heads(drawing, results, rows[0], top)
    across(drawing, first, 24, top)
    across(drawing, second, 24, top)
    drawing.add(dashed((second.at(0), 24), (second.at(0), top), ()))
    if whole is not None and whole.value is not None:
        drawing.add(dashed((first.at(whole.value), 24), (first.at(whole.value), top), (2.4, 1.6)))
    for place, (estimate, point) in enumerate(zip(rows, points, strict=True)):
        y = top - _ROW * place - _ROW / 2
        drawing.add(Line(0, y - _ROW / 2, CONTENT, y - _ROW / 2, strokeColor=HexColor(RULE), strokeWidth=0.3))
        text(drawing, (0, y - 2.4), point.name, bold=estimate is whole, room=_NAME)
        text(drawing, (_PATIENTS, y - 2.4), count(estimate.patients), anchor="end")
        draw_point(drawing, point, first, y)
        if estimate.value is None:
            text(
                drawing,
                (_FIRST[0] + 3, y - 2.2),
                estimate.reason or "",
                size=SMALLEST,
                colour=GREY,
                room=_width(_FIRST) - 6,
            )
        _shift(drawing, of_group.get(str(estimate.group)), second, y)
    said = [
        f"{point.name} {estimate_text(row)}, {count(row.patients)} patients"
        for row, point in zip(rows, points, strict=True)
    ]
    said += [f"{shift.group} minus the rest {difference_text(shift)}" for shift in shifts]
    return described(drawing, f"{_title(results, rows[0])} in subgroups: {'; '.join(said)}.")


def _width(place: tuple[float, float]) -> float:
    return place[1] - place[0]


def _point(estimate: Estimate) -> ForestRow:
    low, high = ends(estimate)
    return ForestRow((estimate.group or "all").replace("=", ": "), estimate.value, low, high)


def _title(results: Results, estimate: Estimate) -> str:
    return f"{measured(results, estimate.metric)} of {method(results, estimate.method)}"


def _scales(
    results: Results, name: str, points: Sequence[ForestRow], shifts: Sequence[GroupDifference]
) -> tuple[Scale, Scale]:
    low, high = range_of(results, name)
    span: Span = (None, None) if low is None or high is None else (low - high, high - low)
    numbers = [edge for shift in shifts for edge in (shift.value, shift.low, shift.high) if edge is not None]
    reach = max((abs(value) for value in numbers), default=0.1)
    return (
        scaled([edge for point in points for edge in point.numbers()], (low, high), *_FIRST),
        scaled([-reach, reach], span, *_SECOND),
    )


def _heads(drawing: Drawing, results: Results, estimate: Estimate, top: float) -> None:
    better = better_of(results, estimate.metric)
    text(drawing, (0, top + 16), _title(results, estimate), size=7.4, bold=True, room=0.7 * CONTENT)
    text(drawing, (CONTENT, top + 16), DIRECTION[better] if better else "", size=SMALLEST, anchor="end", colour=GREY)
    text(drawing, (_PATIENTS, top + 5), "Patients", anchor="end", size=SMALLEST, colour=GREY)
    text(drawing, (_FIRST[0], top + 5), "Estimate", size=SMALLEST, colour=GREY)
    text(drawing, (_SECOND[0], top + 5), "Difference to the rest", size=SMALLEST, colour=GREY)
    text(drawing, (CONTENT, top + 5), "adjusted p", anchor="end", size=SMALLEST, colour=GREY)


def _shift(drawing: Drawing, shift: GroupDifference | None, scale: Scale, y: float) -> None:
    if shift is None:
        return
    draw_point(drawing, ForestRow("", shift.value, shift.low, shift.high), scale, y)
    if shift.p_adjusted is not None:
        stays = shift.p_adjusted <= 1 - shift.confidence
        text(drawing, (CONTENT, y - 2.4), _p(shift.p_adjusted), anchor="end", bold=stays)
    elif shift.value is None:
        text(
            drawing, (_SECOND[0] + 3, y - 2.2), shift.reason or "", size=SMALLEST, colour=GREY, room=_width(_SECOND) - 6
        )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, like=(1.0,))


def difference_text(shift: GroupDifference) -> str:
    """Return a difference with its interval, adjusted p, or the reason why there is none."""
    if shift.value is None or shift.low is None or shift.high is None or shift.p_adjusted is None:
        return f"{number(shift.value)} ({shift.reason})"
    like = (shift.value, shift.low, shift.high)
    low, high = (number(edge, like=like) for edge in (shift.low, shift.high))
    return f"{number(shift.value, like=like)} [{low}, {high}], adjusted p {_p(shift.p_adjusted)}"
