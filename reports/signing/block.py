"""What a signature shows on the page: a row of the sign-off table as a page of its own, of the size of its box."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from reportlab.lib.colors import HexColor

from pipeline.findings.signed.signatures import Statement
from reports.page.fonts import REGULAR, width_of
from reports.page.layout import GREY, INK, PALE
from reports.page.pictures import PageCanvas
from reports.page.text import fitted
from reports.signing.boxes import SIZE, columns_of

__all__ = ["SignatureBlock", "drawn_block"]

_SHORT = 12  # digits of a hash that are printed
_PADDING = 2.5


@dataclass(frozen=True)
class SignatureBlock:
    """What a block says: the statement, the name in the certificate, and the hash of the unsigned report (hex)."""

    statement: Statement
    certificate: str
    unsigned_sha256: str

    @property
    def cells(self) -> Sequence[str]:
        """The words of each column."""
        statement = self.statement
        time = statement.time.replace("T", " ").replace("+00:00", " UTC")
        signature = f"{self.certificate}; report {self.unsigned_sha256[:_SHORT]}"
        return statement.name, statement.role, statement.meaning.capitalize(), time, signature


def drawn_block(block: SignatureBlock, width: float, height: float) -> bytes:
    """Return a PDF of one page, ``width`` x ``height`` points: name, role, meaning, time, and what was signed.

    The same block gives the same bytes.
    """
    target = io.BytesIO()
    canvas = PageCanvas(target, pagesize=(width, height), invariant=1, initialFontName=REGULAR)
    canvas.setFillColor(HexColor(PALE))
    canvas.rect(0, 0, width, height, stroke=0, fill=1)
    canvas.setFont(REGULAR, SIZE)
    for place, ((x, room), words) in enumerate(zip(columns_of(width), block.cells, strict=True)):
        canvas.setFillColor(HexColor(GREY if place == len(block.cells) - 1 else INK))
        lines = _lines(words, room - 2 * _PADDING)
        top = height / 2 + (1.2 if len(lines) > 1 else -2.3)
        for number, line in enumerate(lines):
            canvas.drawString(x + _PADDING, top - number * (SIZE + 1), line)
    canvas.showPage()
    canvas.save()
    return target.getvalue()


def _lines(words: str, width: float) -> list[str]:
    """Return words in one line, or in two where they do not fit; the rest is cut with a mark."""
    whole = " ".join(words.split())
    if width_of(whole, SIZE) <= width:
        return [fitted(whole, width, SIZE)]
    parts = whole.split(" ")
    fitting = [many for many in range(1, len(parts)) if width_of(" ".join(parts[:many]), SIZE) <= width]
    kept = max(fitting, default=1)
    return [fitted(" ".join(each), width, SIZE) for each in (parts[:kept], parts[kept:]) if each]
