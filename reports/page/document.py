"""The page: header, footer, stamp, contents and bookmarks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, BinaryIO

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import BaseDocTemplate, PageTemplate
from reportlab.platypus.tableofcontents import TableOfContents

from reports.page.fonts import BOLD, REGULAR
from reports.page.layout import COLUMN, CONTENT, GREY, INK, MARGIN, RULE, Flowable, Heading
from reports.page.paper import Paper
from reports.page.pictures import PageCanvas, PictureFile
from reports.page.text import fitted, inline
from reports.pdf_objects.object_file import ObjectFile
from reports.tagged.flowables import MarkedFrame

# streams go in as bytes: the 7-bit form takes a quarter more room and most of the time
rl_config.useA85 = 0

__all__ = ["IN_COLUMNS", "PAGE_HEIGHT", "ReportDocument"]

_TOP, _BOTTOM = 16 * mm, 13 * mm
PAGE_HEIGHT = A4[1] - _TOP - _BOTTOM
IN_COLUMNS = "columns"
"""The name of the page that is set in two columns."""
_STAMP = "#9a1b1b"
_UNKNOWN_PAGE = 8  # as wide as most


class ReportDocument(BaseDocTemplate):  # type: ignore[misc]  # ReportLab has no types
    """The report's document template; build it with ``multiBuild``.

    Each pass writes ``target``, an open file, anew. ``pictures`` is False while the first only counts pages.
    ``picture_file`` and ``carried`` are the canvas's.
    """

    def __init__(
        self,
        target: BinaryIO,
        paper: Paper,
        picture_file: PictureFile | None = None,
        carried: Callable[[ObjectFile], Mapping[str, bytes]] | None = None,
    ) -> None:
        super().__init__(
            target,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=_TOP,
            bottomMargin=_BOTTOM,
            title=fitted(paper.title, 2000, 8),
            lang="en",
            invariant=1,
            initialFontName=REGULAR,
            initialFontSize=8,
        )
        self._paper = paper
        self._pages, self._passes, self._settled = 0, 0, False
        self.pictures = False
        self._canvas = partial(PageCanvas, picture_file=picture_file, carried=carried)
        whole = [_frame("body", MARGIN, CONTENT)]
        halves = [_frame("left", MARGIN, COLUMN), _frame("right", A4[0] - MARGIN - COLUMN, COLUMN)]
        self.addPageTemplates(
            [
                PageTemplate(id="page", frames=whole, onPage=self._decorate),
                PageTemplate(id=IN_COLUMNS, frames=halves, onPage=self._decorate),
            ]
        )

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
        # the number of pages is known for the next pass; it has to be the same, and contents make at least two of them
        self._settled, self._pages = self._pages == self.page, self.page
        super()._endBuild()

    def _allSatisfied(self) -> bool:  # noqa: N802
        return self._settled and bool(super()._allSatisfied())

    def multiBuild(self, story: list[Flowable], **options: Any) -> int:  # noqa: ANN401, N802
        """Draw the pages as often as it takes until all page numbers hold; return how often.

        Contents are as long in the first pass as in the others, with a page for each heading of ``story`` that is not
        known yet: what lies behind them is on its own page from the beginning.
        """
        headings = [part for part in story if isinstance(part, Heading)]
        for contents in [part for part in story if isinstance(part, TableOfContents)]:
            for part in headings:
                contents.addEntry(part.level, inline(part.plain), _UNKNOWN_PAGE, part.key)
        return int(super().multiBuild(story, canvasmaker=self._canvas, **options))

    def _decorate(self, canvas: Any, document: Any) -> None:  # noqa: ANN401
        canvas.saveState()
        canvas.setStrokeColor(HexColor(RULE))
        canvas.setLineWidth(0.4)
        for y in (A4[1] - _TOP + 3 * mm, _BOTTOM - 2.4 * mm):
            canvas.line(MARGIN, y, A4[0] - MARGIN, y)
        canvas.setFont(REGULAR, 6.6)
        canvas.setFillColor(HexColor(GREY))
        with canvas.beside("Header"):
            self._header(canvas)
        with canvas.beside("Footer"):
            self._footer(canvas, document.page)
        canvas.restoreState()

    def _header(self, canvas: Any) -> None:  # noqa: ANN401
        paper, y = self._paper, A4[1] - _TOP + 5.4 * mm
        stamps = paper.stamps
        half = CONTENT / 2 - (22 * mm if stamps else 3 * mm) - 17 * mm * max(len(stamps) - 1, 0)
        canvas.drawString(MARGIN, y, fitted(paper.title, half, 6.6))
        canvas.drawRightString(A4[0] - MARGIN, y, fitted(paper.running, half, 6.6))
        canvas.saveState()
        for number, word in enumerate(stamps):
            _stamp(canvas, word, A4[0] / 2 + (number - (len(stamps) - 1) / 2) * 36 * mm)
        canvas.restoreState()

    def _footer(self, canvas: Any, page: int) -> None:  # noqa: ANN401
        y = _BOTTOM - 5.6 * mm
        canvas.drawString(MARGIN, y, self._paper.foot)
        canvas.setFillColor(HexColor(INK))
        canvas.drawRightString(A4[0] - MARGIN, y, f"Page {page} of {self._pages or page}")


def _frame(name: str, left: float, width: float) -> MarkedFrame:
    return MarkedFrame(left, _BOTTOM, width, PAGE_HEIGHT, 0, 0, 0, 0, id=name)


def _stamp(canvas: Any, word: str, middle: float) -> None:  # noqa: ANN401
    """Print a word in a frame in the header, around ``middle`` (points from the left)."""
    width, height = 34 * mm, 5.4 * mm
    x, y = middle - width / 2, A4[1] - _TOP + 4 * mm
    canvas.setStrokeColor(HexColor(_STAMP))
    canvas.setFillColor(HexColor(_STAMP))
    canvas.setLineWidth(1)
    canvas.roundRect(x, y, width, height, 2)
    canvas.setFont(BOLD, 8.5)
    canvas.drawCentredString(middle, y + 4.4, word)
