"""Where a reader marks by hand whether he agrees with a case."""

from reportlab.lib.colors import HexColor
from reportlab.platypus import Flowable

from reports.page.fonts import BOLD, REGULAR, width_of
from reports.page.layout import CONTENT, GREY, INK, RULE
from reports.pictures.panel_row import stroke
from reports.tagged.elements import Step

__all__ = ["ReviewBox"]

_CHOICES = ("agree", "disagree", "reference doubtful")
_SIZE = 7.0


class ReviewBox(Flowable):  # type: ignore[misc]  # ReportLab has no types
    """Boxes to tick, ``lines`` for a comment, and one for name and date."""

    def __init__(self, lines: int = 1) -> None:
        super().__init__()
        self._lines = lines
        self.width, self.height = CONTENT, 14.0 + 13.0 * lines
        self.spaceBefore = 3.0

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def steps(self) -> tuple[Step, ...]:
        """Return its words as one paragraph."""
        return (Step("P", self),)

    def draw(self) -> None:
        """Draw the frame, the choices and the lines."""
        canvas = self.canv
        stroke(canvas, HexColor(RULE), 0.6, ())
        canvas.rect(0, 0, self.width, self.height)
        x, y = 6.0, self.height - 10.5
        canvas.setFillColor(HexColor(INK))
        canvas.setFont(BOLD, _SIZE)
        canvas.drawString(x, y, "Reviewer")
        x += width_of("Reviewer", _SIZE, BOLD) + 12
        canvas.setFont(REGULAR, _SIZE)
        stroke(canvas, HexColor(INK), 0.7, ())
        for words in _CHOICES:
            canvas.rect(x, y - 1, 7, 7)
            canvas.drawString(x + 11, y, words)
            x += 11 + width_of(words, _SIZE) + 16
        self._line("Name, date", x, y, self.width - 6)
        for line in range(self._lines):
            self._line("Comment" if line == 0 else "", 6, y - 13.0 * (line + 1), self.width - 6)

    def _line(self, words: str, x: float, y: float, end: float) -> None:
        canvas = self.canv
        canvas.setFillColor(HexColor(GREY))
        canvas.drawString(x, y, words)
        stroke(canvas, HexColor(RULE), 0.6, ())
        canvas.line(x + (width_of(words, _SIZE) + 5 if words else 0), y - 2, end, y - 2)
        canvas.setFillColor(HexColor(INK))
