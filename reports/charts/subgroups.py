"""Subgroups in two columns: each one's estimate, and its difference to the rest of the cohort."""

from collections.abc import Mapping, Sequence

from reportlab.graphics.shapes import Drawing, Line
from reportlab.lib.colors import HexColor

from pipeline.findings.estimates import Estimate
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.results import Results
from reports.charts.forest import DIRECTION, MOST_ROWS, ForestRow, draw_point
from reports.charts.frame import SMALL_TEXT, TEXT, Scale, Span, across, dashed, scaled, text, with_words
from reports.numbers import count, ends, number
from reports.numbers import estimate as estimate_text
from reports.page.fonts import BOLD, REGULAR, width_of
from reports.page.layout import CONTENT, GREY, RULE
from reports.page.text import clean, fitted
from reports.wording import better_of, measured, method, range_of

__all__ = ["difference_text", "subgroup_forest"]

_ROW = 13.0
_NAME, _PATIENTS = 0.235 * CONTENT, 0.285 * CONTENT
_FIRST_TEXT, _FIRST = 0.305 * CONTENT, (0.455 * CONTENT, 0.61 * CONTENT)
_SECOND_TEXT, _SECOND = 0.635 * CONTENT, (0.79 * CONTENT, 0.93 * CONTENT)


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
        text(drawing, (0, y - 2.4), _fitting(point.name, bold=estimate is whole), bold=estimate is whole)
        text(drawing, (_PATIENTS, y - 2.4), count(estimate.patients), anchor="end")
        draw_point(drawing, point, first, y)
        if estimate.value is not None:
            text(
                drawing, (_FIRST_TEXT, y - 2.2), estimate_text(estimate), size=SMALL_TEXT, room=_FIRST[0] - _FIRST_TEXT
            )
        else:
            why, room = estimate.reason or "", _FIRST[1] - _FIRST_TEXT
            text(drawing, (_FIRST_TEXT, y - 2.2), why, size=SMALL_TEXT, colour=GREY, room=room)
        _shift(drawing, of_group.get(str(estimate.group)), second, y)
    said = [
        f"{point.name} {estimate_text(row)}, {count(row.patients)} patients"
        for row, point in zip(rows, points, strict=True)
    ]
    said += [f"{shift.group} minus the rest {difference_text(shift)}" for shift in shifts]
    return with_words(drawing, f"{_title(results, rows[0])} in subgroups: {'; '.join(said)}.")


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
    text(drawing, (CONTENT, top + 16), DIRECTION[better] if better else "", size=SMALL_TEXT, anchor="end", colour=GREY)
    text(drawing, (_PATIENTS, top + 5), "Patients", anchor="end", size=SMALL_TEXT, colour=GREY)
    text(drawing, (_FIRST_TEXT, top + 5), "Estimate", size=SMALL_TEXT, colour=GREY)
    text(drawing, (_SECOND_TEXT, top + 5), "Difference to the rest", size=SMALL_TEXT, colour=GREY)
    text(drawing, (CONTENT, top + 5), "adjusted p", anchor="end", size=SMALL_TEXT, colour=GREY)


def _shift(drawing: Drawing, shift: GroupDifference | None, scale: Scale, y: float) -> None:
    if shift is None:
        return
    draw_point(drawing, ForestRow("", shift.value, shift.low, shift.high), scale, y)
    words, room = _interval(shift), _SECOND[0] - _SECOND_TEXT - 2
    if shift.value is None:
        words, room = shift.reason or "", CONTENT - _SECOND_TEXT
    text(drawing, (_SECOND_TEXT, y - 2.2), words, size=SMALL_TEXT, room=room)
    if shift.p_adjusted is not None:
        stays = shift.p_adjusted <= 1 - shift.confidence
        text(drawing, (CONTENT, y - 2.2), _p(shift.p_adjusted), size=SMALL_TEXT, anchor="end", bold=stays)


def _fitting(name: str, *, bold: bool) -> str:
    """Return a group's name in the room that it has; of a long one the column is cut, and not the value."""
    font = BOLD if bold else REGULAR
    if width_of(clean(name), TEXT, font) <= _NAME:
        return name
    column, _, value = name.partition(": ")
    value = fitted(value, 0.6 * _NAME, TEXT, font)
    return f"{fitted(column, _NAME - width_of(f': {value}', TEXT, font), TEXT, font)}: {value}"


def _p(value: float) -> str:
    if value < 0.001:
        return "< 0.001"
    return number(value, like=(1.0,)) if value >= 0.095 else number(value)  # 0.004 is not 0.00


def _interval(shift: GroupDifference) -> str:
    """Return a difference with its interval, where it has one."""
    like = tuple(edge for edge in (shift.value, shift.low, shift.high) if edge is not None)
    value = number(shift.value, like=like)
    if shift.low is None or shift.high is None:
        return value
    return f"{value} [{number(shift.low, like=like)}, {number(shift.high, like=like)}]"


def difference_text(shift: GroupDifference) -> str:
    """Return a difference with its interval and adjusted p, or the reason why there is none."""
    if shift.p_adjusted is None:
        return f"{_interval(shift)} ({shift.reason})"
    return f"{_interval(shift)}, adjusted p {_p(shift.p_adjusted)}"
