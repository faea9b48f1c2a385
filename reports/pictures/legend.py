"""What lines and hatchings mean, for all pictures of a case; and a plane of the model's input, with nothing over it."""

from typing import Any

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

from pipeline.findings.pictures.panels import CasePanels, View
from reports.page import draw
from reports.page.fonts import REGULAR, width_of
from reports.page.layout import CONTENT, GREY, INK, RULE
from reports.page.text import clean, fitted
from reports.pictures.panel_row import readers_of, stroke
from reports.pictures.raster import AGAINST, BOTH, PagePlane, image_raster

__all__ = ["Legend", "PlanePicture"]

_SIZE = 6.2
_PLANE = 64.0


class PlanePicture(Flowable):  # type: ignore[misc]
    """One plane in grey at its true aspect, black and white at the ends of ``window``; nothing lies over it."""

    def __init__(self, view: View, window: tuple[float, float], alt: str) -> None:
        super().__init__()
        self.alternative_text = clean(alt)
        tall, wide = (pixels * length for pixels, length in zip(view.image.shape, view.pixel_mm, strict=True))
        scale = min(CONTENT / wide, _PLANE / tall)
        self.width, self.height = wide * scale, tall * scale
        self._view, self._window = view, window

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the picture and a line around it."""
        self.canv.drawImage(
            ImageReader(image_raster(PagePlane(self._view), self._window)), 0, 0, self.width, self.height
        )
        stroke(self.canv, HexColor(RULE), 0.3, ())
        self.canv.rect(0, 0, self.width, self.height)


class Legend(Flowable):  # type: ignore[misc]
    """What lines and hatchings mean; only of what the case has."""

    def __init__(self, case: CasePanels, width: float = CONTENT) -> None:
        super().__init__()
        self._places: list[tuple[float, float, str, Any, str]] = []
        x, y = 0.0, 0.0
        marks = list(_marks(case))
        self.alternative_text = clean(f"Legend: {', '.join(label for *_, label in marks)}.")
        for kind, look, label in marks:
            words = fitted(label, 170, _SIZE)
            wide = 24 + width_of(words, _SIZE)
            if x + wide > width and x:
                x, y = 0.0, y + 10
            self._places.append((x, y, kind, look, words))
            x += wide + 5
        self.width, self.height = width, y + 11

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw the marks and their meaning, in as many lines as they take."""
        for x, y, kind, look, words in self._places:
            self._mark(kind, look, x, self.height - 8 - y)
            self.canv.setFillColor(HexColor(INK))
            self.canv.setFont(REGULAR, _SIZE)
            self.canv.drawString(x + 20, self.height - 7.6 - y, words)

    def _mark(self, kind: str, look: Any, x: float, y: float) -> None:  # noqa: ANN401
        canvas = self.canv
        if kind == "line":
            for ink, thickness, dash in ((Color(0, 0, 0, 0.75), 2.4, ()), (HexColor(look[0]), 1.2, look[1])):
                stroke(canvas, ink, thickness, dash)
                canvas.line(x, y + 2.4, x + 16, y + 2.4)
            canvas.setDash()
            return
        if kind == "cross":
            for ink, thickness in ((Color(0, 0, 0), 2.2), (Color(1, 1, 1), 0.9)):
                stroke(canvas, ink, thickness, ())
                canvas.line(x + 5, y + 2.4, x + 13, y + 2.4)
                canvas.line(x + 9, y - 1.6, x + 9, y + 6.4)
            return
        canvas.setFillColorRGB(0.59, 0.59, 0.59)
        stroke(canvas, HexColor(GREY), 0.3, ())
        canvas.rect(x + 5, y - 0.6, 11, 6, fill=1)
        if kind == "region":
            stroke(canvas, HexColor("#ffffff"), 1.0, ())
            canvas.rect(x + 7, y + 0.9, 7, 3, fill=0)
            return
        stroke(canvas, HexColor("#ffffff" if kind == "unseen" else "#000000"), 0.7, ())
        for offset in (0.0, 3.5, 7.0):
            if kind == "dots":
                canvas.circle(x + 7.2 + offset, y + 2.4, 0.6, fill=1)
            else:
                canvas.line(x + 5 + offset, y - 0.6, x + 9 + offset, y + 5.4)


def _marks(case: CasePanels) -> list[tuple[str, Any, str]]:
    marks: list[tuple[str, Any, str]] = [
        ("line", draw.READERS[place % len(draw.READERS)], f"{reader}'s outline")
        for place, reader in enumerate(readers_of(case))
    ]
    if any(threshold is not None for threshold in case.thresholds.values()):
        marks.append(("region", None, "map's region"))
        marks += [("lines", None, BOTH)] if readers_of(case) else []
    if any(view.peaks for view in case.views):
        marks.append(("cross", None, "map's peak"))
    if any(low < 0 for low, _ in case.ranges.values()):
        marks.append(("dots", None, AGAINST))
    if any(not view.seen.all() for view in case.views):
        marks.append(("unseen", None, "not seen by the model"))
    return marks
