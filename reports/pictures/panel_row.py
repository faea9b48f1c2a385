"""One row of a case's panels, at one scale: picture, outlines, peak, sides, and what stands below."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

from pipeline.findings.pictures.panels import CasePanels, View
from reports.numbers import raw
from reports.page import draw
from reports.page.fonts import BOLD, REGULAR
from reports.page.layout import GREY, INK, RULE
from reports.page.text import clean, fitted
from reports.pictures.raster import PagePlane, image_raster, map_raster, pixels_for

__all__ = ["GAP", "OVERHEAD", "Panel", "PanelRow", "readers_of", "stroke"]

GAP = 5.0
_GUTTER = 8.0  # room for an orientation letter at each side of a picture
_TITLE, _LETTER, _FOOT = 9.0, 7.0, 14.0
_SIZE = 5.8
OVERHEAD = _TITLE + 2 * _LETTER + _FOOT
"""The height in points of what stands over and below the pictures of a row."""

_REGION = "#ffffff"
Place = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One picture of a row: a view, whole or its ``zoom``; of the image alone, or with a map over it (``method``).

    ``title`` stands above it.
    """

    title: str
    view: int
    method: str | None = None
    zoom: bool = False


def readers_of(case: CasePanels) -> tuple[str, ...]:
    """Return the experts of all views, in the views' order: a reader keeps colour and line through the case."""
    return tuple(dict.fromkeys(reader for view in case.views for reader in view.masks))


class PanelRow(Flowable):  # type: ignore[misc]  # ReportLab has no types
    """Panels side by side at one scale. The arrays are loaded again when it is drawn, so a long report stays small.

    ``load`` returns the case, ``tallest`` and ``width`` are the room in points. Zooms of a row have a scale of their
    own. ``alt`` is the alternative text: what a reader who does not see the pictures is told.
    """

    def __init__(
        self,
        load: Callable[[], CasePanels],
        panels: Sequence[Panel],
        tallest: float,
        width: float,
        alt: str,
    ) -> None:
        super().__init__()
        self.alternative_text = clean(alt)
        self._load, self._panels = load, tuple(panels)
        self._cell = (width - (len(panels) - 1) * GAP) / len(panels)
        case = load()
        extents = [_extent(*_shown(case, panel)) for panel in panels]
        scales: dict[bool, float] = {}
        for panel, (tall, wide) in zip(panels, extents, strict=True):
            fits = min((self._cell - 2 * _GUTTER) / wide, tallest / tall)
            scales[panel.zoom] = min(scales.get(panel.zoom, fits), fits)
        self._scales = [scales[panel.zoom] for panel in panels]
        self._sizes = [(wide * by, tall * by) for by, (tall, wide) in zip(self._scales, extents, strict=True)]
        self._tall = max(height for _, height in self._sizes)
        self.width, self.height = width, self._tall + OVERHEAD

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the panels from left to right."""
        # the first of the document's passes only counts pages; pictures are by far the most of the work
        if not getattr(getattr(self.canv, "_doctemplate", None), "pictures", True):
            return
        case = self._load()
        # what shows the same plane has the same scale, and so the same size
        shown = {(panel.view, panel.zoom): (panel, size) for panel, size in zip(self._panels, self._sizes, strict=True)}
        planes = {key: PagePlane(*_shown(case, panel), pixels_for(max(size))) for key, (panel, size) in shown.items()}
        for place, panel in enumerate(self._panels):
            width, height = self._sizes[place]
            plane = planes[panel.view, panel.zoom]
            left = place * (self._cell + GAP)
            corner = (left + (self._cell - width) / 2, _FOOT + _LETTER + self._tall - height)
            _Drawing(self.canv, case, panel, plane, corner, (width, height), self._scales[place]).draw(
                (left, self._cell)
            )


def _shown(case: CasePanels, panel: Panel) -> tuple[View, tuple[int, int, int, int] | None]:
    """Return the view that a panel shows, and what of it; None: all."""
    view = case.views[panel.view]
    if not panel.zoom:
        return view, None
    return (view, view.zoom) if view.close is None else (view.close, None)


def _extent(view: View, crop: tuple[int, int, int, int] | None) -> tuple[float, float]:
    """Return the height and width of what is shown, in the image's unit of length."""
    rows, columns = view.image.shape if crop is None else (crop[1] - crop[0], crop[3] - crop[2])
    return rows * view.pixel_mm[0], columns * view.pixel_mm[1]


def _boxed(region: NDArray[np.bool_]) -> tuple[int, int, NDArray[np.bool_]]:
    """Return a region's first row and column, and what of the plane lies between its first and last."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return 0, 0, region[:0, :0]
    return int(rows[0]), int(columns[0]), region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@dataclass(frozen=True)
class _Drawing:
    """One panel on its place: ``corner`` is the picture's lower left, ``scale`` in points a unit of length."""

    canvas: Any
    case: CasePanels
    panel: Panel
    plane: PagePlane
    corner: Place
    size: Place
    scale: float

    @property
    def view(self) -> View:
        return self.plane.view

    def draw(self, cell: Place) -> None:
        (x, y), (width, height) = self.corner, self.size
        canvas, left = self.canvas, cell[0] + _GUTTER / 2
        canvas.setFillColor(HexColor(INK))
        canvas.setFont(BOLD, _SIZE)
        title = fitted(self.panel.title, cell[1] - _GUTTER / 2, _SIZE, BOLD)
        canvas.drawString(left, y + height + _LETTER + 2.5, title)
        canvas.drawImage(ImageReader(self._raster()), x, y, width, height)
        stroke(canvas, HexColor(RULE), 0.3, ())
        canvas.rect(x, y, width, height)
        self._lines(self.plane.crop)
        self._letters()
        self._below()

    def _raster(self) -> Image.Image:
        if self.panel.method is None:
            return image_raster(self.plane, self.case.window)
        method = self.panel.method
        limits, threshold = draw.Range(*self.case.ranges[method]), self.case.thresholds.get(method)
        return map_raster(self.plane, self.case.window, method, limits, threshold)

    def _lines(self, crop: tuple[int, int, int, int] | None) -> None:
        """Draw the experts' outlines, the border of the map's region, and its peak, cut at the picture's edge."""
        canvas, view, method = self.canvas, self.view, self.panel.method
        canvas.saveState()
        frame = canvas.beginPath()
        frame.rect(*self.corner, *self.size)
        canvas.clipPath(frame, stroke=0, fill=0)
        threshold = None if method is None else self.case.thresholds.get(method)
        if method is not None and threshold is not None:
            self._outline((view.maps[method] > threshold) & view.seen, crop, HexColor(_REGION), ())
        readers = readers_of(self.case)
        for reader, mask in view.masks.items():
            colour, dashes = draw.READERS[readers.index(reader) % len(draw.READERS)]
            self._outline(mask, crop, HexColor(colour), dashes)
        if method in view.peaks:
            self._cross(view.peaks[str(method)], crop)
        canvas.restoreState()

    def _at(self, row: Any, column: Any, crop: tuple[int, int, int, int] | None) -> tuple[Any, Any]:  # noqa: ANN401
        """Return where corners of the view's pixels stand on the page: numbers, or arrays of them."""
        top, left = (crop[0], crop[2]) if crop else (0, 0)
        (x, y), (tall, wide) = self.corner, self.view.pixel_mm
        return x + (column - left) * wide * self.scale, y + self.size[1] - (row - top) * tall * self.scale

    def _outline(
        self,
        region: NDArray[np.bool_],
        crop: tuple[int, int, int, int] | None,
        colour: Color,
        dashes: Sequence[float],
    ) -> None:
        """Draw a region's border along the pixels' edges, on a dark casing that shows on any ground."""
        top, left, part = _boxed(region)
        path = self.canvas.beginPath()
        for polygon in draw.outline(part):
            rows, columns = np.array(polygon).T
            x, y = self._at(rows + top, columns + left, crop)
            add_polygon(path, x.tolist(), y.tolist())
        for ink, thickness, dash in ((Color(0, 0, 0, 0.55), 1.5, ()), (colour, 0.75, dashes)):
            stroke(self.canvas, ink, thickness, dash)
            self.canvas.drawPath(path, stroke=1, fill=0)
        self.canvas.setDash()

    def _cross(self, pixel: tuple[int, int], crop: tuple[int, int, int, int] | None) -> None:
        x, y = self._at(pixel[0] + 0.5, pixel[1] + 0.5, crop)
        for ink, thickness in ((Color(0, 0, 0), 2.2), (Color(1, 1, 1), 0.9)):
            stroke(self.canvas, ink, thickness, ())
            self.canvas.line(x - 4, y, x + 4, y)
            self.canvas.line(x, y - 4, x, y + 4)

    def _letters(self) -> None:
        (x, y), (width, height) = self.corner, self.size
        left, right, top, bottom = (fitted(letter, 2 * _GUTTER, _SIZE) for letter in self.view.letters)
        canvas = self.canvas
        canvas.setFillColor(HexColor(GREY))
        canvas.setFont(REGULAR, _SIZE)
        canvas.drawRightString(x - 1.6, y + height / 2 - 2, left)
        canvas.drawString(x + width + 1.6, y + height / 2 - 2, right)
        canvas.drawCentredString(x + width / 2, y + height + 1.8, top)
        canvas.drawCentredString(x + width / 2, y - 5.8, bottom)

    def _below(self) -> None:
        """Draw the colour bar of a map, or the scale of an image."""
        (x, y), width = self.corner, self.size[0]
        canvas, y = self.canvas, y - _LETTER
        canvas.setFillColor(HexColor(GREY))
        canvas.setFont(REGULAR, _SIZE)
        if self.panel.method is not None:
            _colour_bar(canvas, draw.Range(*self.case.ranges[self.panel.method]), x, y - 6.5, width)
            return
        length = draw.scale_bar_mm(width / self.scale)
        stroke(canvas, HexColor(INK), 1.1, ())
        canvas.line(x, y - 4, x + length * self.scale, y - 4)
        canvas.drawString(x + length * self.scale + 3, y - 6, f"{length:g} {self.case.length_unit}")


def add_polygon(path: Any, across: Sequence[float], along: Sequence[float]) -> None:  # noqa: ANN401
    """Add a closed polygon to a path, to a hundredth of a point.

    ReportLab's own ``lineTo`` spends more time on an outline than anything else takes on the page.
    """
    path.moveTo(round(across[0], 2), round(along[0], 2))
    lines = (f"{x:.2f} {y:.2f} l" for x, y in zip(across[1:], along[1:], strict=True))
    path._code_append(f"{' '.join(lines)} h")  # noqa: SLF001


def stroke(canvas: Any, colour: Color, thickness: float, dashes: Sequence[float]) -> None:  # noqa: ANN401
    """Set how lines are drawn."""
    canvas.setStrokeColor(colour)
    canvas.setLineWidth(thickness)
    canvas.setDash(list(dashes)) if dashes else canvas.setDash()


def _colour_bar(canvas: Any, limits: draw.Range, x: float, y: float, width: float) -> None:  # noqa: ANN401
    """Draw a bar 4.5 points high from the range's low to its high value, with the raw values below it."""
    if limits.constant:
        canvas.drawCentredString(x + width / 2, y, f"constant map: {raw(limits.low)} everywhere")
        return
    steps = 96
    values = limits.low + (limits.high - limits.low) * (np.arange(steps) + 0.5) / steps
    bar = Image.fromarray(draw.colours_of(values, limits)[None])  # one mark: a preflight reads each of them
    canvas.drawImage(ImageReader(bar), x, y, width, 4.5)
    stroke(canvas, HexColor(RULE), 0.3, ())
    canvas.rect(x, y, width, 4.5)
    canvas.setFillColor(HexColor(GREY))
    canvas.drawString(x, y - 6.5, raw(limits.low))
    canvas.drawRightString(x + width, y - 6.5, raw(limits.high))
    if limits.signed and 0.2 < -limits.low / (limits.high - limits.low) < 0.8:
        zero = x + width * -limits.low / (limits.high - limits.low)
        canvas.drawCentredString(zero, y - 6.5, "0")
        stroke(canvas, HexColor(INK), 0.5, ())
        canvas.line(zero, y, zero, y + 4.5)
