"""Which panels a case's page has: the slice whole and close, every map at one scale, a volume's other planes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum

from reportlab.lib.units import mm

from pipeline.findings.pictures.panels import CasePanels, View
from reports.numbers import raw
from reports.page.layout import CONTENT
from reports.pictures.panel_row import GAP, OVERHEAD, Panel, PanelRow

__all__ = [
    "BESIDE_EACH_OTHER",
    "LARGEST",
    "SMALLEST",
    "PictureSizes",
    "case_rows",
    "map_view",
    "plane_words",
    "sizes_for",
    "typical_row",
    "window_words",
]

SMALLEST, LARGEST = 70 * mm, 86 * mm
"""How wide the slice and its zoom are, from and to."""

_GUTTERS = 16.0
_SURVEY, _PER_ROW = 26 * mm, 5
_MAPS = tuple(height * mm for height in (60, 52, 46, 42, 38, 34, 30))
"""How high the maps may be, the best first: as high as the page has room for."""

BESIDE_EACH_OTHER = ("main", "own_peak")
"""The roles of the planes that are beside each other in the volume."""

_TALLEST = 1.15  # of the width: a picture is no higher


@dataclass(frozen=True)
class PictureSizes:
    """How wide the slice and its zoom are, and how high a map is, in points."""

    width: float
    maps: float


@dataclass(frozen=True)
class _Row:
    panels: tuple[Panel, ...]
    tallest: float


def plane_words(view: View, unit: str = "mm") -> str:
    """Return which plane a view shows, where it lies, and how far its neighbours are."""
    if view.number is None:
        return "highest values of all slices" if view.role == "maximum" else "the whole picture"
    words = f"{view.plane} slice {view.number} of {view.planes}"
    if view.position_mm is not None:
        words += f" at {raw(round(view.position_mm, 1))} {unit}"
    return f"{words} (slices {raw(view.thickness_mm or 0.0)} {unit} apart)"


def window_words(case: CasePanels) -> str:
    """Return the display window and why it is that."""
    low, high = (raw(value) for value in case.window)
    rule = f", {case.window_rule}" if case.window_rule else ""
    return f"shown from {low} to {high}{f' {case.unit}' if case.unit else ''}{rule}"


def _main(case: CasePanels) -> list[int]:
    return [place for place, view in enumerate(case.views) if view.role == "main"]


def map_view(case: CasePanels, method: str) -> int:
    """Return in which view a map is shown: the last plane through its peak, else that of the first map's peak."""
    across = [place for place, view in enumerate(case.views) if view.role in BESIDE_EACH_OTHER]
    return next((place for place in reversed(across) if method in case.views[place].peaks), _main(case)[-1])


def _map_panel(case: CasePanels, title: str, method: str) -> Panel:
    """Return a map's panel; one in another slice than the row's says in which."""
    place, usual = map_view(case, method), _main(case)[-1]
    position = case.views[place].position_mm
    if place == usual:
        return Panel(title, place, method)
    where = "in the slice above" if position is None else f"at {raw(round(position, 1))} {case.length_unit}"
    return Panel(f"{title}, {where}", place, method)


def _maps(case: CasePanels, titles: Mapping[str, str], tallest: float) -> list[_Row]:
    """Return rows of maps: each in a plane through its peak, and the first map where the lesion is largest."""
    main = _main(case)
    methods = list(case.views[main[-1]].maps)
    panels = [_map_panel(case, titles[name], name) for name in methods]
    if len(main) > 1 and methods:
        panels.insert(0, Panel(f"{titles[methods[0]]}, at the lesion", main[0], methods[0]))
    across = -(-len(panels) // -(-len(panels) // _PER_ROW)) if panels else 1  # as many in each row
    rows = [panels[start : start + across] for start in range(0, len(panels), across)]
    return [_Row(tuple(row), tallest) for row in rows]


def _survey(case: CasePanels) -> list[_Row]:
    """Return the row of a volume's other planes, with the first map."""
    names = {"lesion": "at the lesion", "peak": "at the peak", "maximum": "maximum"}
    panels = [
        Panel(f"{view.plane.capitalize()}, {names[view.role]}", place, next(iter(view.maps), None))
        for place, view in enumerate(case.views)
        if view.role not in BESIDE_EACH_OTHER
    ]
    return [_Row(tuple(panels), _SURVEY)] if panels else []


def case_rows(
    load: Callable[[], CasePanels], titles: Mapping[str, str], sizes: PictureSizes, alt: Callable[[Panel], str]
) -> list[PanelRow]:
    """Return a case's rows of pictures: slice and zoom, maps, a volume's other planes. ``alt`` describes a panel."""
    case, width = load(), sizes.width
    first = _main(case)[0]
    view = case.views[first]
    panels = [Panel("The image, with the experts' outlines", first)]
    if view.zoom is not None:
        marked = any(mask.any() for mask in view.masks.values())
        panels.append(Panel("Zoom on the lesion" if marked else "Zoom on the map's peak", first, zoom=True))
    rows = [_Row(tuple(panels), _TALLEST * width), *_maps(case, titles, sizes.maps), *_survey(case)]
    room = [2 * (width + _GUTTERS) + GAP if len(panels) > 1 else width + _GUTTERS, *[CONTENT] * (len(rows) - 1)]
    return [
        PanelRow(load, row.panels, row.tallest, min(CONTENT, wide), "; ".join(alt(panel) for panel in row.panels))
        for row, wide in zip(rows, room, strict=True)
    ]


def sizes_for(case: CasePanels, titles: Mapping[str, str], room: float) -> PictureSizes:
    """Return the sizes with which all rows take ``room`` points; the smallest where they do not fit.

    The slice and its zoom come first: maps are as high as what the smallest of those leaves.
    """
    view = case.views[_main(case)[0]]
    tall, wide = (pixels * length for pixels, length in zip(view.image.shape, view.pixel_mm, strict=True))
    aspect = min(max(tall / wide, 1.0 if view.zoom is not None else 0.0), _TALLEST)
    survey = fsum(_height(case, row) for row in _survey(case))
    for tallest in _MAPS:
        left = room - survey - OVERHEAD - fsum(_height(case, row) for row in _maps(case, titles, tallest))
        if left >= SMALLEST * aspect:
            return PictureSizes(min(LARGEST, CONTENT / 2 - _GUTTERS - GAP, left / aspect), tallest)
    return PictureSizes(SMALLEST, _MAPS[-1])


def _height(case: CasePanels, row: _Row) -> float:
    return PanelRow(lambda: case, row.panels, row.tallest, CONTENT, "").height


def typical_row(
    load: Callable[[], CasePanels], titles: Mapping[str, str], method: str, width: float, alt: Callable[[Panel], str]
) -> PanelRow | None:
    """Return the two pictures of the first page: what the experts marked, and where the map has its peak."""
    case = load()
    main = _main(case)
    if method not in case.views[main[-1]].maps:
        return None
    panels = (Panel("The experts' outlines", main[0]), Panel(titles[method], map_view(case, method), method))
    return PanelRow(load, panels, 62 * mm, width, "; ".join(alt(panel) for panel in panels))
