"""The boxes for signatures on the first page: a row for each meaning, and the form field that a signature fills."""

from collections.abc import Mapping, Sequence
from math import fsum
from types import MappingProxyType

from reportlab.lib.colors import HexColor
from reportlab.platypus import Flowable

from reports.page.fonts import REGULAR
from reports.page.layout import CONTENT, GREY, RULE
from reports.pictures.panel_row import stroke
from reports.tagged.canvas import MarkedCanvas
from reports.tagged.elements import Step

__all__ = ["BOXES", "BOX_HEIGHT", "HEADS", "SIZE", "SignatureBoxes", "columns_of"]

BOXES: Mapping[str, str] = MappingProxyType({
    "authorship": "SignatureAuthorship", "review": "SignatureReview", "approval": "SignatureApproval",
})  # fmt: skip
"""The form field of each meaning that a signature can have, in the order of the page."""

HEADS = ("Name", "Role", "Meaning", "Date and time", "Signature")
_SHARES = (24, 22, 16, 20, 28)
BOX_HEIGHT = 19.0
SIZE = 6.6
_HEAD_HEIGHT = 10.5


def columns_of(width: float = CONTENT) -> Sequence[tuple[float, float]]:
    """Return where each column of a box begins, and how wide it is, in points."""
    each = [width * share / sum(_SHARES) for share in _SHARES]
    return [(fsum(each[:place]), each[place]) for place in range(len(each))]


class SignatureBoxes(Flowable):  # type: ignore[misc]  # ReportLab has no types
    """A row for each meaning, with room for name, role, time and signature: for ink, or for a form field's content."""

    def __init__(self) -> None:
        super().__init__()
        self.width, self.height = CONTENT, _HEAD_HEIGHT + BOX_HEIGHT * len(BOXES)
        self.spaceAfter = 5.0

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def steps(self) -> tuple[Step, ...]:
        """Return its words as one paragraph; each field is an element below it."""
        return (Step("P", self),)

    def draw(self) -> None:
        """Draw the heads, then a row for each meaning, with its field."""
        canvas = self.canv
        canvas.setFont(REGULAR, SIZE)
        canvas.setFillColor(HexColor(GREY))
        for head, (x, _) in zip(HEADS, columns_of(), strict=True):
            canvas.drawString(x, self.height - 7, head)
        y = self.height - _HEAD_HEIGHT
        self._rule(y)
        for meaning, field in BOXES.items():
            y -= BOX_HEIGHT
            canvas.drawString(columns_of()[2][0], y + BOX_HEIGHT / 2 - 2.2, meaning.capitalize())
            self._rule(y)
            if isinstance(canvas, MarkedCanvas):
                left, bottom = canvas.absolutePosition(0, y)
                area = (left, bottom + 0.6, left + self.width, bottom + BOX_HEIGHT - 0.6)
                canvas.signature_field(field, f"Box for a signature: {meaning}", area)

    def _rule(self, y: float) -> None:
        stroke(self.canv, HexColor(RULE), 0.5, ())
        self.canv.line(0, y, self.width, y)
