"""Subgroups of several maps and metrics beside each other: groups down, a small forest for each across."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reportlab.graphics.shapes import Drawing, Line
from reportlab.lib.colors import HexColor

from pipeline.findings.estimates import Estimate
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.results import Results
from reports.charts.forest import DIRECTION, MOST_ROWS, ForestRow, draw_point
from reports.charts.frame import SMALL_TEXT, Scale, across, dashed, scaled, text, with_words
from reports.charts.subgroups import difference_text
from reports.numbers import count, ends, number
from reports.numbers import estimate as estimate_text
from reports.page.fonts import width_of
from reports.page.layout import CONTENT, GREY, INK, RULE
from reports.page.text import clean, fitted, fitted_at_both_ends
from reports.wording import better_of, measured, method, range_of

__all__ = ["PANELS_ACROSS", "SubgroupPanel", "subgroup_panels"]

PANELS_ACROSS: Final = 3
"""Panels that stand beside each other."""

_ROW, _NAME, _GAP = 11.0, 0.2 * CONTENT, 8.0
_TEXT, _COUNT = 17.0, 14.0
_ROOM = 68.0
_MOST_WITH_DIFFERENCES: Final = 22
"""Groups of a plot that names each of them twice: more would leave no room for a heading on its page."""


@dataclass(frozen=True)
class SubgroupPanel:
    """A map's metric: the estimate of the whole cohort, those of its groups, and what separates groups from the rest.

    Raises:
        ValueError: when there is no group.
    """

    whole: Estimate | None
    groups: tuple[Estimate, ...]
    differences: tuple[GroupDifference, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is something to draw."""
        if not self.groups:
            raise ValueError("a panel of subgroups needs a group")

    def of_group(self, group: str | None) -> Estimate | None:
        """Return a group's estimate; None is the whole cohort."""
        if group is None:
            return self.whole
        return next((estimate for estimate in self.groups if estimate.group == group), None)


def subgroup_panels(results: Results, panels: Sequence[SubgroupPanel]) -> list[Drawing]:
    """Return plots of at most ``PANELS_ACROSS`` panels each, all with the same groups, differences in words below."""
    groups = list(dict.fromkeys(estimate.group for panel in panels for estimate in panel.groups))
    rows: list[str | None] = [None, *groups]
    most = _MOST_WITH_DIFFERENCES if any(panel.differences for panel in panels) else MOST_ROWS
    return [
        _plot(results, panels[first : first + PANELS_ACROSS], rows[start : start + most])
        for first in range(0, len(panels), PANELS_ACROSS)
        for start in range(0, len(rows), most)
    ]


def _plot(results: Results, panels: Sequence[SubgroupPanel], groups: Sequence[str | None]) -> Drawing:
    compared = [
        group for group in groups if any(shift.group == group for panel in panels for shift in panel.differences)
    ]
    below = _ROW * (len(compared) + 1) if compared else 0.0
    bottom = 14.0 + below
    top = bottom + _ROW * len(groups)
    drawing = Drawing(CONTENT, top + 25)
    for place, group in enumerate(groups):
        _name(drawing, group, top - _ROW * (place + 1))
    if compared:
        _name(drawing, "Difference to the rest, adjusted p", below - _ROW, heading=True)
    for place, group in enumerate(compared):
        _name(drawing, group, below - _ROW * (place + 2))
    said = [
        _panel(drawing, results, panel, (groups, compared), (*_place(place, len(panels)), bottom, top))
        for place, panel in enumerate(panels)
    ]
    return with_words(drawing, " ".join(said))


def _name(drawing: Drawing, group: str | None, foot: float, *, heading: bool = False) -> None:
    drawing.add(Line(0, foot, CONTENT, foot, strokeColor=HexColor(RULE), strokeWidth=0.3))
    bold = group is None and not heading
    text(
        drawing,
        (0, foot + 3.2),
        _said(group) if heading else _fitting(_said(group)),
        size=SMALL_TEXT,
        bold=bold,
        colour=GREY if heading else INK,
    )


def _said(group: str | None) -> str:
    return "all" if group is None else group.replace("=", ": ")


def _fitting(name: str) -> str:
    """Return a group's name in the room that it has; of a long one the column is cut, and then the value's middle."""
    if width_of(clean(name), SMALL_TEXT) <= _NAME - 4:
        return name
    column, _, value = name.partition(": ")
    column = column.removesuffix(" (masks)")
    value = fitted_at_both_ends(value, 0.6 * _NAME, SMALL_TEXT)
    return f"{fitted(column, _NAME - 4 - width_of(f': {value}', SMALL_TEXT), SMALL_TEXT)}: {value}"


def _place(place: int, panels: int) -> tuple[float, float]:
    """Return where a panel begins, and how wide it is: two of them take the room of three."""
    width = (CONTENT - _NAME) / max(2, panels)
    return _NAME + place * width, width


def _panel(
    drawing: Drawing,
    results: Results,
    panel: SubgroupPanel,
    rows: tuple[Sequence[str | None], Sequence[str | None]],
    where: tuple[float, float, float, float],
) -> str:
    """Draw one panel into its place (left, width, foot and head of its axis); return what it says in words."""
    left, width, bottom, top = where
    estimates = [panel.of_group(group) for group in rows[0]]
    scale = _axis(results, panel, (left + _TEXT + _ROOM + 4, left + width - _GAP))
    _heads(drawing, results, panel.groups[0], (left, left + width - _GAP, top))
    across(drawing, scale, bottom, top)
    if panel.whole is not None and panel.whole.value is not None:
        x = scale.at(panel.whole.value)
        drawing.add(dashed((x, bottom), (x, top), (2.4, 1.6)))
    for place, estimate in enumerate(estimates):
        if estimate is not None:
            _row(drawing, estimate, scale, (left, top - _ROW * place - _ROW / 2))
    shifts = {shift.group: shift for shift in panel.differences}
    for place, group in enumerate(rows[1]):
        _difference(drawing, shifts.get(str(group)), (left, bottom - 14 - _ROW * (place + 2) + 3.2), width - _GAP)
    return _in_words(results, panel, estimates, shifts)


def _axis(results: Results, panel: SubgroupPanel, ends_: tuple[float, float]) -> Scale:
    shown = [panel.whole, *panel.groups]
    numbers = [edge for part in shown if part is not None for edge in (part.value, *ends(part)) if edge is not None]
    return scaled(numbers, range_of(results, panel.groups[0].metric), *ends_)


def _heads(drawing: Drawing, results: Results, estimate: Estimate, at: tuple[float, float, float]) -> None:
    left, right, top = at
    better = better_of(results, estimate.metric)
    text(drawing, (left, top + 14), _title(results, estimate), size=7.0, bold=True, room=right - left)
    text(drawing, (left + _COUNT, top + 4), "n", size=SMALL_TEXT, anchor="end", colour=GREY)
    text(drawing, (left + _TEXT, top + 4), "Estimate", size=SMALL_TEXT, colour=GREY)
    text(drawing, (right, top + 4), DIRECTION[better] if better else "", size=SMALL_TEXT, anchor="end", colour=GREY)


def _title(results: Results, estimate: Estimate) -> str:
    return f"{measured(results, estimate.metric)} of {method(results, estimate.method)}"


def _row(drawing: Drawing, estimate: Estimate, scale: Scale, at: tuple[float, float]) -> None:
    left, y = at
    low, high = ends(estimate)
    text(drawing, (left + _COUNT, y - 2.2), count(estimate.patients), size=SMALL_TEXT, anchor="end")
    draw_point(drawing, ForestRow("", estimate.value, low, high), scale, y)
    if estimate.value is not None:
        text(drawing, (left + _TEXT, y - 2.2), estimate_text(estimate), size=SMALL_TEXT, room=_ROOM)
    else:
        room = scale.end - left - _TEXT
        text(drawing, (left + _TEXT, y - 2.2), estimate.reason or "", size=SMALL_TEXT, colour=GREY, room=room)


def _difference(drawing: Drawing, shift: GroupDifference | None, at: tuple[float, float], room: float) -> None:
    if shift is not None:
        stays = shift.p_adjusted is not None and shift.p_adjusted <= 1 - shift.confidence
        words = difference_text(shift).replace("adjusted p", "p")  # what p it is stands above
        if shift.value is not None and shift.p_adjusted is None:  # the reason is long: it stands below the plot
            words = f"{number(shift.value, like=(1.0,))} (no interval)"
        text(drawing, at, words, size=SMALL_TEXT, bold=stays, room=room)


def _in_words(
    results: Results,
    panel: SubgroupPanel,
    estimates: Sequence[Estimate | None],
    shifts: Mapping[str, GroupDifference],
) -> str:
    said = [
        f"{_said(part.group)} {estimate_text(part)}, {count(part.patients)} patients"
        for part in estimates
        if part is not None
    ]
    said += [f"{_said(group)} minus the rest {difference_text(shift)}" for group, shift in shifts.items()]
    return f"{_title(results, panel.groups[0])} in subgroups: {'; '.join(said)}."
