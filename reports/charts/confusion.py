"""The confusion matrix of one label: how many, whether the map hits the lesion, and what a typical map looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from PIL.Image import Image as Picture
from reportlab.graphics.shapes import Drawing, Polygon, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import ImageReader

from pipeline.findings.plotted.classifier import LabelCell
from reports.charts.frame import SMALL_TEXT, text, with_words
from reports.numbers import count, plural
from reports.numbers import estimate as estimate_text
from reports.page.fonts import BOLD, width_of
from reports.page.layout import ACCENT, GREY

__all__ = ["IllustratedDrawing", "Thumbnail", "confusion_chart"]

_SIDE, _HEAD = 62.0, 13.0
_CELL, _LINE = 50.0, 8.5
_LOW = 21.0 + _LINE
"""Heights of a row of cells: with a picture in it, and of words alone, of which one line stands below the number."""
_KINDS: Mapping[tuple[bool, bool], str] = {
    (True, True): "found",
    (True, False): "missed",
    (False, True): "false alarm",
    (False, False): "rightly silent",
}


@dataclass(frozen=True)
class Thumbnail:
    """A study's plane with its map: the picture, and the experts' outlines as polygons of (across, down) shares."""

    study: str
    picture: Picture
    outlines: tuple[tuple[tuple[float, float], ...], ...] = ()


class IllustratedDrawing(Drawing):  # type: ignore[misc]  # ReportLab has no types
    """A drawing that lies over pictures: each a PIL image and where it goes (left, bottom, width, height)."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(width, height)
        self.__dict__["pictures"] = []  # a Drawing refuses attributes that it does not know

    def draw(self) -> None:
        """Draw the pictures, each stored once in the file, and then the lines and the text."""
        for picture, at in self.__dict__["pictures"]:
            self.canv.drawImage(ImageReader(picture), *at)
        super().draw()


def confusion_chart(
    label: str, method: str, cells: Sequence[LabelCell], thumbnails: Mapping[str, Thumbnail], width: float
) -> IllustratedDrawing:
    """Return the four cells, reference down and call across; ``method`` is the title of the map that is told of.

    ``thumbnails`` go by study; a cell whose typical case has none is drawn without.
    """
    rows = [[_cell_of(cells, present, called) for called in (True, False)] for present in (True, False)]
    heights = [
        _CELL
        if any(cell.typical in thumbnails for cell in row)
        else _LOW + _LINE * max(len(_of_the_map(cell, method)) - 1 for cell in row)
        for row in rows
    ]
    tall = fsum(heights)
    drawing = IllustratedDrawing(width, _HEAD + tall + 4)
    half = (width - _SIDE) / 2
    for column, called in enumerate((True, False)):
        words = f"{'called' if called else 'not called'}: {label}"
        text(drawing, (_SIDE + half * (column + 0.5), tall + 8), words, bold=True, anchor="middle", room=half - 6)
    said = []
    for row, present in enumerate((True, False)):
        bottom, height = fsum(heights[row + 1 :]) + 2, heights[row]
        text(drawing, (0, bottom + height / 2 + 3), "reference:", size=SMALL_TEXT, colour=GREY)
        name = label if present else f"no {label}"
        text(drawing, (0, bottom + height / 2 - 6), name, bold=True, room=_SIDE - 6)
        for column, cell in enumerate(rows[row]):
            at = (_SIDE + half * column, bottom, half, height)
            said.append(_draw(drawing, cell, at, method, thumbnails.get(cell.typical or "")))
    with_words(drawing, f"Confusion matrix of {label}: {'; '.join(said)}.")
    return drawing


def _cell_of(cells: Sequence[LabelCell], present: bool, called: bool) -> LabelCell:
    return next(cell for cell in cells if (cell.present, cell.called) == (present, called))


def _draw(
    drawing: IllustratedDrawing,
    cell: LabelCell,
    at: tuple[float, float, float, float],
    method: str,
    thumbnail: Thumbnail | None,
) -> str:
    """Draw a cell into (left, bottom, width, height); return what it says in words."""
    x, y, width, height = at
    right = (cell.present, cell.called) in ((True, True), (False, False))
    frame = Rect(x + 1, y + 1, width - 2, height - 2, fillColor=None, strokeColor=HexColor(ACCENT if right else GREY))
    frame.strokeWidth, frame.strokeDashArray = (0.9, None) if right else (0.7, [2.4, 1.6])
    drawing.add(frame)
    side = height - 6
    from_left = x + 6 if thumbnail is None else x + side + 9
    if thumbnail is not None:
        _picture(drawing, thumbnail, (x + 3, y + 3), side)
    room = x + width - from_left - 3
    kind, n = _KINDS[cell.present, cell.called], count(cell.studies)
    text(drawing, (from_left, y + height - 15), n, size=12, bold=True, room=room)
    beside = width_of(n, 12, BOLD) + 5 if height < _CELL else 0.0  # a low row has them in one line
    first = y + height - (15 if beside else 25)
    text(drawing, (from_left + beside, first), f"{kind}, {plural(cell.patients, 'patient')}", room=room - beside)
    lines = _of_the_map(cell, method)
    for place, line in enumerate(lines):
        text(drawing, (from_left, first - 10 - _LINE * place), line, size=SMALL_TEXT, colour=GREY, room=room)
    shown = f" (shown: {thumbnail.study})" if thumbnail is not None else ""
    counts = f"{plural(cell.studies, 'study', 'studies')} of {plural(cell.patients, 'patient')}"
    return f"{kind} {counts}, {' '.join(lines)}{shown}"


def _of_the_map(cell: LabelCell, method: str) -> list[str]:
    """Return where the map peaks in the studies of a cell, or why nobody can say."""
    if not cell.studies:
        return ["no such study"]
    if cell.hit_rate is None or cell.hit_rate.value is None:
        return ["no lesion to hit" if not cell.present else "no map held against a mask"]
    return [f"hit rate of {method}", estimate_text(cell.hit_rate)]


def _picture(drawing: IllustratedDrawing, thumbnail: Thumbnail, corner: tuple[float, float], side: float) -> None:
    """Draw a thumbnail into a square at its true proportions, outlines as lines above it."""
    wide, tall = thumbnail.picture.size
    scale = side / max(wide, tall)
    width, height = wide * scale, tall * scale
    x, y = corner[0] + (side - width) / 2, corner[1] + (side - height) / 2
    vars(drawing)["pictures"].append((thumbnail.picture, (x, y, width, height)))
    for outline in thumbnail.outlines:
        flat = [part for right, down in outline for part in (x + right * width, y + height - down * height)]
        for colour, thickness in (("#000000", 1.1), ("#ffffff", 0.5)):
            drawing.add(Polygon(flat, fillColor=None, strokeColor=HexColor(colour), strokeWidth=thickness))
