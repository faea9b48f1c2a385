"""A case's map in the size of a stamp: one plane with the map over it and the experts' outlines as lines."""

from pipeline.errors import OutputError
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.results import CaseEntry
from reports.charts.confusion import Thumbnail
from reports.page import draw
from reports.registry import Context

__all__ = ["thumbnail_of"]

_PIXELS = 220


def thumbnail_of(context: Context, case: CaseEntry, label: str, method: str) -> Thumbnail | None:
    """Return the first plane of a case with a method's map for a label; None where no file holds such a picture."""
    if case.panels is None:
        return None
    try:
        panels = context.panels(case.panels)
    except OutputError:
        return None  # the case's own page says so
    if panels.target != label or not panels.views or method not in panels.views[0].maps:
        return None
    return _drawn(panels, method)


def _drawn(panels: CasePanels, method: str) -> Thumbnail:
    view = panels.views[0]
    coloured = draw.map_over(
        draw.grey(view.image, panels.window), view.maps[method], draw.Range(*panels.ranges[method]), view.seen
    )
    picture = draw.fit(coloured, view.pixel_mm, ~view.seen)
    picture.thumbnail((_PIXELS, _PIXELS))
    rows, columns = view.image.shape
    outlines = tuple(
        tuple((column / columns, row / rows) for row, column in polygon)
        for mask in view.masks.values()
        for polygon in draw.outline(mask)
    )
    return Thumbnail(panels.study, picture, outlines)
