"""A case's pictures on the page: rows of panels in identical geometry, with what it takes to read them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

from pipeline.findings.panels import CasePanels, View
from reports.alternative_text import image_in_words, map_in_words, outlines_in_words, overlap_in_words
from reports.numbers import number
from reports.page import draw
from reports.page.fonts import BOLD, REGULAR, width_of
from reports.page.layout import CONTENT, GREY, INK, RULE
from reports.page.text import clean, fitted
from reports.tagged.roles import describe

__all__ = ["OVERHEAD", "Grid", "Legend", "PictureRow", "PlanePicture", "grid_for", "readers_of"]

_GAP = 2.0
_GUTTER = 8.0  # room for an orientation letter at each side of a picture
_TITLE, _LETTER, _FOOT = 9.5, 7.5, 17.0
_SIZE = 5.8
_CAPTION = 14.0
_PLANE = 120.0
OVERHEAD = _TITLE + 2 * _LETTER + _FOOT


Polygons = Sequence[Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class _Panel:
    """A picture, whose outlines lie over it, and what stands below it: a colour bar, a scale bar or words.

    ``words`` say what it shows to who cannot see it.
    """

    title: str
    picture: Callable[[], Image.Image]
    words: str
    outlined: bool = False
    bar: draw.Range | None = None
    scale: bool = False
    foot: str = ""


def readers_of(case: CasePanels) -> tuple[str, ...]:
    """Return the experts of all views, in the views' order: a reader keeps colour and line through the case."""
    return tuple(dict.fromkeys(reader for view in case.views for reader in view.masks))


@dataclass(frozen=True)
class Grid:
    """How many panels stand in a row, and how high a picture may be, in points."""

    per_row: int
    tallest: float

    @property
    def cell(self) -> float:
        """The width of a panel in points."""
        return float(CONTENT - (self.per_row - 1) * _GAP) / self.per_row

    def rows(self, view: View) -> int:
        """Return how many rows a view takes: image, outlines, and two panels a method."""
        return -(-(2 + 2 * len(view.maps)) // self.per_row)

    def size(self, view: View) -> tuple[float, float]:
        """Return a picture's (width, height) in points, at its true aspect."""
        tall, wide = (pixels * length for pixels, length in zip(view.image.shape, view.pixel_mm, strict=True))
        scale = min((self.cell - 2 * _GUTTER) / wide, self.tallest / tall)
        return wide * scale, tall * scale


def grid_for(case: CasePanels, room: float, limits: tuple[float, float]) -> Grid | None:
    """Return the grid with the largest pictures that fits ``room`` points, or None when none does.

    ``limits`` are the smallest and the largest height of a picture; a wide one may stay below the smallest.
    """
    grids: dict[float, Grid] = {}
    for per_row in (4, 3, 2):  # the same size in fewer rows is better
        rows = sum(Grid(per_row, 0).rows(view) for view in case.views)
        tallest = min(limits[1], (room - _CAPTION * len(case.views)) / rows - OVERHEAD)
        if tallest >= limits[0]:
            grid = Grid(per_row, tallest)
            grids.setdefault(round(sum(grid.size(view)[1] for view in case.views)), grid)
    return grids[max(grids)] if grids else None


def _panels(case: CasePanels, view: View, titles: Mapping[str, str]) -> list[_Panel]:
    """Return all panels of a view; what a picture takes to make is done when it is asked for."""
    grey = draw.grey(view.image, case.window)
    sizes = [f"{reader}: {int(mask.sum())} px" for reader, mask in view.masks.items()]
    raw = partial(_raw, grey, view)
    panels = [
        _Panel("Image", raw, image_in_words(case, view), scale=True),
        _Panel(
            "Experts' outlines",
            raw,
            outlines_in_words(view),
            outlined=True,
            foot=" · ".join(sizes) or "no expert's mask",
        ),
    ]
    for method in view.maps:
        panels += _method_panels(case, view, grey, (method, titles.get(method, method)))
    return panels


def _row_in_words(case: CasePanels, view: View, panels: Sequence[_Panel]) -> str:
    """Return what a row of panels shows, from left to right."""
    plane = "" if panels[0].title == "Image" else f"{image_in_words(case, view)}; over it, "
    return f"{plane}{'; '.join(panel.words for panel in panels)}."


def _raw(grey: draw.Raster, view: View) -> Image.Image:
    return draw.fit(grey, view.pixel_mm).convert("L")


def _method_panels(case: CasePanels, view: View, grey: draw.Raster, names: tuple[str, str]) -> list[_Panel]:
    """Return the two panels of a method, given as (name, title): the map, and its region against the first expert."""
    method, title = names
    values, threshold = view.maps[method], case.thresholds.get(method)
    limits = draw.Range(*case.ranges[method])
    reader = next((name for name in readers_of(case) if name in view.masks), None)

    def coloured() -> Image.Image:
        return draw.fit(draw.map_over(grey, values, limits, view.seen), view.pixel_mm, ~view.seen)

    def compared() -> Image.Image:
        mask = None if reader is None else view.masks[reader]
        categories = draw.overlap(values, threshold, mask, view.seen)
        return draw.fit(draw.overlap_over(grey, categories), view.pixel_mm, ~view.seen)

    region = "map has no region" if threshold is None else f"region: map > {number(threshold)}"
    return [
        _Panel(title, coloured, map_in_words(case, view, method, title), outlined=True, bar=limits),
        _Panel(
            f"{title} against {reader or 'no expert'}",
            compared,
            overlap_in_words(case, view, method, title, reader),
            outlined=True,
            foot=region,
        ),
    ]


class PictureRow(Flowable):  # type: ignore[misc]  # ReportLab has no types
    """One row of a view's panels. The arrays are loaded again when it is drawn, so a long report stays small.

    ``load`` returns the case; ``view`` and ``row`` say which part of it.
    """

    def __init__(
        self, load: Callable[[], CasePanels], view: int, row: int, titles: Mapping[str, str], grid: Grid
    ) -> None:
        super().__init__()
        self._load, self._view, self._row, self._titles, self._grid = load, view, row, titles, grid
        plane = load().views[view]
        self._size = grid.size(plane)
        self._per_mm = self._size[0] / (plane.image.shape[1] * plane.pixel_mm[1])
        self.width, self.height = CONTENT, self._size[1] + OVERHEAD

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the row's panels from left to right."""
        # the first of the document's passes only counts pages; pictures are by far the most of the work
        if not getattr(getattr(self.canv, "_doctemplate", None), "pictures", True):
            return
        case = self._load()
        view = case.views[self._view]
        # the same outlines lie over most panels: their many corners are written once for each row
        outlines = {reader: self._path(draw.outline(mask), view.image.shape) for reader, mask in view.masks.items()}
        first, cell = self._row * self._grid.per_row, self._grid.cell
        panels = _panels(case, view, self._titles)[first : first + self._grid.per_row]
        describe(self.canv, _row_in_words(case, view, panels))
        for place, panel in enumerate(panels):
            left = place * (cell + _GAP)
            x, y = left + (cell - self._size[0]) / 2, _FOOT + _LETTER
            self._panel(panel, left, x, y)
            if panel.outlined:
                self._outlines(outlines, readers_of(case), (x, y))
            self._letters(view.letters, x, y)
            self._below(panel, x, y - _LETTER, case.length_unit)

    def _panel(self, panel: _Panel, left: float, x: float, y: float) -> None:
        width, height = self._size
        canvas = self.canv
        canvas.setFillColor(HexColor(INK))
        canvas.setFont(BOLD, _SIZE)
        title = fitted(panel.title, self._grid.cell - _GUTTER / 2, _SIZE, BOLD)
        canvas.drawString(left + _GUTTER / 2, y + height + _LETTER + 2.5, title)
        canvas.drawImage(ImageReader(panel.picture()), x, y, width, height)
        _stroke(canvas, HexColor(RULE), 0.3, ())
        canvas.rect(x, y, width, height)

    def _path(self, polygons: Polygons, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Return an expert's outline along the pixels' edges, from the picture's lower left corner."""
        (width, height), (rows, columns) = self._size, shape
        path = self.canv.beginPath()
        for polygon in polygons:
            corners = [(c * width / columns, height - r * height / rows) for r, c in polygon]
            path.moveTo(*corners[0])
            for place in corners[1:]:
                path.lineTo(*place)
            path.close()
        return path

    def _outlines(self, outlines: Mapping[str, Any], readers: Sequence[str], corner: tuple[float, float]) -> None:
        """Draw each expert's outline over a picture, on a dark casing that shows on any ground."""
        canvas = self.canv
        canvas.saveState()
        canvas.translate(*corner)
        for reader, path in outlines.items():
            colour, dashes = draw.READERS[readers.index(reader) % len(draw.READERS)]
            for stroke, thickness, dash in ((Color(0, 0, 0, 0.55), 1.5, ()), (HexColor(colour), 0.75, dashes)):
                _stroke(canvas, stroke, thickness, dash)
                canvas.drawPath(path, stroke=1, fill=0)
        canvas.restoreState()

    def _letters(self, letters: tuple[str, str, str, str], x: float, y: float) -> None:
        width, height = self._size
        left, right, top, bottom = (fitted(letter, 2 * _GUTTER, _SIZE) for letter in letters)
        canvas = self.canv
        canvas.setFillColor(HexColor(GREY))
        canvas.setFont(REGULAR, _SIZE)
        canvas.drawRightString(x - 1.6, y + height / 2 - 2, left)
        canvas.drawString(x + width + 1.6, y + height / 2 - 2, right)
        canvas.drawCentredString(x + width / 2, y + height + 1.8, top)
        canvas.drawCentredString(x + width / 2, y - 5.8, bottom)

    def _below(self, panel: _Panel, x: float, y: float, unit: str) -> None:
        width = self._size[0]
        canvas = self.canv
        canvas.setFillColor(HexColor(GREY))
        canvas.setFont(REGULAR, _SIZE)
        if panel.bar is not None:
            _colour_bar(canvas, panel.bar, x, y - 6.5, width)
        elif panel.scale:
            length = draw.scale_bar_mm(width / self._per_mm)
            _stroke(canvas, HexColor(INK), 1.1, ())
            canvas.line(x, y - 4, x + length * self._per_mm, y - 4)
            canvas.drawString(x + length * self._per_mm + 3, y - 6, f"{length:g} {unit}")
        else:
            words = fitted(panel.foot, self._grid.cell - 2, _SIZE)
            canvas.drawCentredString(x + width / 2, y - 6, words)


def _stroke(canvas: Any, colour: Color, thickness: float, dashes: Sequence[float]) -> None:  # noqa: ANN401
    canvas.setStrokeColor(colour)
    canvas.setLineWidth(thickness)
    canvas.setDash(list(dashes)) if dashes else canvas.setDash()


def _colour_bar(canvas: Any, limits: draw.Range, x: float, y: float, width: float) -> None:  # noqa: ANN401
    """Draw a bar 4.5 points high from the range's low to its high value, with the raw values below it."""
    if limits.constant:
        canvas.drawCentredString(x + width / 2, y, f"constant map: {number(limits.low)} everywhere")
        return
    steps = 96
    values = limits.low + (limits.high - limits.low) * (np.arange(steps) + 0.5) / steps
    for step, colour in enumerate(draw.colours_of(values, limits).tolist()):
        canvas.setFillColorRGB(*(part / 255 for part in colour))
        canvas.rect(x + width * step / steps, y, width / steps + 0.15, 4.5, stroke=0, fill=1)
    _stroke(canvas, HexColor(RULE), 0.3, ())
    canvas.rect(x, y, width, 4.5)
    canvas.setFillColor(HexColor(GREY))
    like = (limits.low, limits.high)
    canvas.drawString(x, y - 6.5, number(limits.low, like=like))
    canvas.drawRightString(x + width, y - 6.5, number(limits.high, like=like))
    if limits.signed and 0.2 < -limits.low / (limits.high - limits.low) < 0.8:
        zero = x + width * -limits.low / (limits.high - limits.low)
        canvas.drawCentredString(zero, y - 6.5, "0")
        _stroke(canvas, HexColor(INK), 0.5, ())
        canvas.line(zero, y, zero, y + 4.5)


class PlanePicture(Flowable):  # type: ignore[misc]
    """One plane in grey at its true aspect, black and white at the ends of ``window``; nothing lies over it."""

    def __init__(self, view: View, window: tuple[float, float]) -> None:
        super().__init__()
        tall, wide = (pixels * length for pixels, length in zip(view.image.shape, view.pixel_mm, strict=True))
        scale = min(CONTENT / wide, _PLANE / tall)
        self.width, self.height = wide * scale, tall * scale
        black, white = (number(value, like=window) for value in window)
        self.alternative_text = clean(f"{view.caption}, in grey from {black} to {white}.")
        self._picture = partial(_raw, draw.grey(view.image, window), view)

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the picture and a line around it."""
        self.canv.drawImage(ImageReader(self._picture()), 0, 0, self.width, self.height)
        _stroke(self.canv, HexColor(RULE), 0.3, ())
        self.canv.rect(0, 0, self.width, self.height)


class Legend(Flowable):  # type: ignore[misc]
    """What colours, lines and hatching mean, for all pictures of a case."""

    def __init__(self, case: CasePanels) -> None:
        super().__init__()
        hatched = any(not view.seen.all() for view in case.views)
        marks: list[tuple[str, Any, str]] = [
            ("line", draw.READERS[place % len(draw.READERS)], f"outline by {reader}")
            for place, reader in enumerate(readers_of(case))
        ]
        marks += [("box", colour, words) for words, colour in draw.CATEGORIES.values()]
        marks += [("hatch", None, "not seen by the model")] if hatched else []
        self.alternative_text = f"Legend: {', '.join(fitted(label, 150, _SIZE + 0.4) for *_, label in marks)}."
        self._places: list[tuple[float, float, str, Any, str]] = []
        x, y = 0.0, 0.0
        for kind, look, label in marks:
            words = fitted(label, 150, _SIZE + 0.4)
            width = 24 + width_of(words, _SIZE + 0.4)
            if x + width > CONTENT and x:
                x, y = 0.0, y + 10
            self._places.append((x, y, kind, look, words))
            x += width + 8
        self.width, self.height = CONTENT, y + 11

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the marks and their meaning, in as many lines as they take."""
        for x, y, kind, look, words in self._places:
            self._mark(kind, look, x, self.height - 8 - y)
            self.canv.setFillColor(HexColor(INK))
            self.canv.setFont(REGULAR, _SIZE + 0.4)
            self.canv.drawString(x + 20, self.height - 7.6 - y, words)

    def _mark(self, kind: str, look: Any, x: float, y: float) -> None:  # noqa: ANN401
        canvas = self.canv
        if kind == "line":
            for stroke, thickness, dash in (
                (Color(0, 0, 0, 0.75), 2.4, ()),
                (HexColor(look[0]), 1.2, look[1]),
            ):
                _stroke(canvas, stroke, thickness, dash)
                canvas.line(x, y + 2.4, x + 16, y + 2.4)
            canvas.setDash()
            return
        canvas.setFillColorRGB(*(part / 255 for part in look or (150, 150, 150)))
        _stroke(canvas, HexColor(GREY), 0.3, ())
        canvas.rect(x + 5, y - 0.6, 11, 6, fill=1)
        if kind == "hatch":
            _stroke(canvas, HexColor("#ffffff"), 0.7, ())
            for offset in (0.0, 3.5, 7.0):
                canvas.line(x + 5 + offset, y - 0.6, x + 9 + offset, y + 5.4)
