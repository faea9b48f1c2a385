"""The page: header, footer, stamp, contents and bookmarks."""

from typing import Any

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, TableStyle
from reportlab.platypus.tableofcontents import TableOfContents

from reports.page.fonts import BOLD, REGULAR
from reports.page.layout import BODY, CONTENT, GREY, INK, MARGIN, RULE, Flowable, Heading
from reports.page.text import fitted, inline
from reports.registry import Context

# streams go in as bytes: the 7-bit form takes a quarter more room and most of the time
rl_config.useA85 = 0

__all__ = ["PAGE_HEIGHT", "ReportDocument", "contents"]

_TOP, _BOTTOM = 20 * mm, 17 * mm
PAGE_HEIGHT = A4[1] - _TOP - _BOTTOM
_STAMP = "#9a1b1b"


def contents() -> TableOfContents:
    """Return the table of contents, with links."""
    levels = [
        ParagraphStyle("contents-0", parent=BODY, fontSize=8.5, leading=13, spaceAfter=0, spaceBefore=2),
        ParagraphStyle("contents-1", parent=BODY, fontSize=7.2, leading=11, spaceAfter=0, leftIndent=12),
    ]
    plain = TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), REGULAR, 7),  # the default is Helvetica, which is not embedded
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 0.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0.6),
        ]
    )
    return TableOfContents(levelStyles=levels, tableStyle=plain, dotsMinLevel=0)


class ReportDocument(BaseDocTemplate):  # type: ignore[misc]  # ReportLab has no types
    """The report's document template; build it with ``multiBuild``.

    ``pictures`` is False while the first pass only counts pages.
    """

    def __init__(self, target: Any, context: Context) -> None:  # noqa: ANN401
        results = context.results
        super().__init__(
            target,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=_TOP,
            bottomMargin=_BOTTOM,
            title=fitted(results.title, 2000, 8),
            lang="en",
            invariant=1,
            displayDocTitle=1,
            initialFontName=REGULAR,
            initialFontSize=8,
        )
        self._context = context
        self._pages, self._passes = 0, 0
        self.pictures = False
        frame = Frame(MARGIN, _BOTTOM, CONTENT, PAGE_HEIGHT, 0, 0, 0, 0, id="body")
        self.addPageTemplates([PageTemplate(id="page", frames=[frame], onPage=self._decorate)])

    def beforeDocument(self) -> None:  # noqa: N802  # ReportLab's name
        """Count the passes; the first only finds out on which page things are."""
        self.pictures = self._passes > 0
        self._passes += 1

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802
        """List a heading in the contents and the bookmarks."""
        if isinstance(flowable, Heading):
            self.canv.bookmarkPage(flowable.key)
            self.canv.addOutlineEntry(flowable.plain, flowable.key, flowable.level, closed=flowable.level == 0)
            self.notify("TOCEntry", (flowable.level, inline(flowable.plain), self.page, flowable.key))

    def _endBuild(self) -> None:  # noqa: N802
        # the number of pages is known for the next pass; contents make at least two of them
        self._pages = self.page
        super()._endBuild()

    def _decorate(self, canvas: Any, document: Any) -> None:  # noqa: ANN401
        results, right = self._context.results, A4[0] - MARGIN
        state = "EXPLORATORY" if results.lock.exploratory else "AMENDED" if results.lock.amendments else ""
        stamps = [word for word in (state, "ALTERED" if self._context.altered else "") if word]
        canvas.saveState()
        canvas.setStrokeColor(HexColor(RULE))
        canvas.setLineWidth(0.4)
        canvas.line(MARGIN, A4[1] - 17 * mm, right, A4[1] - 17 * mm)
        canvas.line(MARGIN, 14 * mm, right, 14 * mm)
        canvas.setFont(REGULAR, 6.6)
        canvas.setFillColor(HexColor(GREY))
        half = CONTENT / 2 - (22 * mm if stamps else 3 * mm) - 17 * mm * max(len(stamps) - 1, 0)
        canvas.drawString(MARGIN, A4[1] - 14.6 * mm, fitted(results.title, half, 6.6))
        canvas.drawRightString(right, A4[1] - 14.6 * mm, fitted(f"Run {results.run}", half, 6.6))
        canvas.drawString(MARGIN, 10.4 * mm, f"Results SHA-256 {self._context.digest[:12]}")
        canvas.setFillColor(HexColor(INK))
        canvas.drawRightString(right, 10.4 * mm, f"Page {document.page} of {self._pages or document.page}")
        for number, word in enumerate(stamps):
            _stamp(canvas, word, A4[0] / 2 + (number - (len(stamps) - 1) / 2) * 36 * mm)
        canvas.restoreState()


def _stamp(canvas: Any, word: str, middle: float) -> None:  # noqa: ANN401
    """Print a word in a frame in the header, around ``middle`` (points from the left)."""
    width, height = 34 * mm, 5.4 * mm
    x, y = middle - width / 2, A4[1] - 16 * mm
    canvas.setStrokeColor(HexColor(_STAMP))
    canvas.setFillColor(HexColor(_STAMP))
    canvas.setLineWidth(1)
    canvas.roundRect(x, y, width, height, 2)
    canvas.setFont(BOLD, 8.5)
    canvas.drawCentredString(middle, y + 4.4, word)
