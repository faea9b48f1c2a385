"""Paragraphs and tables that say what they are, and stay one thing when a page's end splits them."""

from contextlib import ExitStack
from typing import Any

from reportlab.platypus import Flowable, Frame
from reportlab.platypus import Paragraph as PlainParagraph
from reportlab.platypus import Table as PlainTable

from reports.tagged.canvas import MarkedCanvas
from reports.tagged.elements import Step
from reports.tagged.roles import announced

__all__ = ["MarkedFrame", "MarkedParagraph", "MarkedTable", "adopt"]


class MarkedParagraph(PlainParagraph):  # type: ignore[misc]  # ReportLab has no types
    """A paragraph; its style's ``tag`` says of what kind: H1 to H6, H+ below the last heading, LI in a list, else P."""

    element_key: object = None
    _part: ExitStack | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self.element_key = object()

    @property
    def tag(self) -> str:
        """What the paragraph is."""
        return str(getattr(self.style, "tag", "P"))

    def steps(self) -> tuple[Step, ...]:
        """Return the paragraph's element, and a link's below it where all its words are one."""
        links = {tuple(getattr(fragment, "link", ())) for fragment in self.frags if not hasattr(fragment, "cbDefn")}
        whole = len(links) == 1 and links != {()} and self.tag != "LI"
        return (Step(self.tag, self.element_key), *([Step("Link", "whole")] if whole else []))

    def split(self, availWidth: float, availHeight: float) -> list[Flowable]:  # noqa: N803  # ReportLab's names
        """Return the parts on this page and the next, which stay one element."""
        parts = super().split(availWidth, availHeight)
        for part in parts:
            part.element_key = self.element_key
        return list(parts)

    def draw(self) -> None:
        """Draw the paragraph; a list item's sign is its label, its words are its body."""
        if self.tag != "LI" or not isinstance(self.canv, MarkedCanvas):
            super().draw()
            return
        with ExitStack() as part:
            if self.bulletText:
                part.enter_context(self.canv.inside(Step("Lbl", "label")))
            self._part = part
            super().draw()
        self._part = None

    def beginText(self, x: float, y: float) -> Any:  # noqa: ANN401, N802
        """Begin the paragraph's own words: a list item's label has been drawn by now."""
        if self._part is not None:
            self._part.close()
            self._part.enter_context(self.canv.inside(Step("LBody", "body")))
        return super().beginText(x, y)


class MarkedTable(PlainTable):  # type: ignore[misc]
    """A table of data where it has repeated rows or ``row_heads`` columns, which are its headers; else a layout.

    A layout's cells are read in their order, as if there were no table. The head that a later page repeats belongs to
    that page.
    """

    element_key: object = None
    row_keys: tuple[object, ...] = ()
    row_heads: int = 0
    continued: bool = False

    def __init__(self, *arguments: Any, row_heads: int = 0, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self.row_heads = row_heads
        self.element_key = object()
        self.row_keys = tuple(object() for _ in range(self._nrows))

    @property
    def heads(self) -> int:
        """How many rows from the top are the head."""
        return self.repeatRows if isinstance(self.repeatRows, int) else 1 + max(self.repeatRows, default=-1)

    @property
    def of_data(self) -> bool:
        """Whether rows and columns mean something."""
        return bool(self.heads or self.row_heads)

    def steps(self) -> tuple[Step, ...]:
        """Return the table's element; a layout has none of its own."""
        return (Step("Table", self.element_key),) if self.of_data else (Step("Div", self.element_key),)

    def split(self, availWidth: float, availHeight: float) -> list[Flowable]:  # noqa: N803
        """Return the parts on this page and the next, which stay one table; a row that breaks stays one row."""
        parts = super().split(availWidth, availHeight)
        if len(parts) == 2:
            first, rest = parts
            own = rest._nrows - self.heads  # noqa: SLF001  # the head stands there again
            first.row_keys = self.row_keys[: first._nrows]  # noqa: SLF001
            rest.row_keys = self.row_keys[: self.heads] + self.row_keys[len(self.row_keys) - own :]
            for part in parts:
                part.element_key, part.row_heads = self.element_key, self.row_heads
            first.continued, rest.continued = self.continued, True
        return list(parts)

    def draw(self) -> None:
        """Draw the table: rules and grounds belong to the page, what stands in cells to the cells."""
        if not isinstance(self.canv, MarkedCanvas):
            super().draw()
            return
        self._renderCB: _CellByCell | None = _CellByCell(self.canv)
        try:
            with self.canv.beside():
                super().draw()
        finally:
            self._renderCB = None

    def cell_steps(self, row: int, column: int) -> tuple[Step, ...]:
        """Return the element of a cell, below the table's."""
        if not self.of_data:
            return ()
        return Step("TR", self.row_keys[row], kept=True), self._cell(row, column)

    def _cell(self, row: int, column: int) -> Step:
        attributes: dict[str, str | int] = {}
        if self._spanCmds:
            left, top, right, bottom = self._spanRanges[column, row]
            spans = {"ColSpan": right - left + 1, "RowSpan": bottom - top + 1}
            attributes = {name: span for name, span in spans.items() if span > 1}
        if row < self.heads:
            return Step("TH", column, attributes={"Scope": "Column", **attributes}, kept=True)
        if column < self.row_heads:
            return Step("TH", column, attributes={"Scope": "Row", **attributes}, kept=True)
        return Step("TD", column, attributes=attributes, kept=True)

    def _drawCell(self, cellval: Any, *arguments: Any) -> None:  # noqa: ANN401, N802
        if not isinstance(self.canv, MarkedCanvas):
            super()._drawCell(cellval, *arguments)
            return
        content = (cellval,) if isinstance(cellval, Flowable) else cellval
        if isinstance(content, tuple | list):
            super()._drawCell([_Announced(flowable) for flowable in content], *arguments)
        elif content not in (None, ""):
            with self.canv.inside(*([] if self.of_data else [Step("P", object())])):
                super()._drawCell(content, *arguments)


def adopt(flowable: Flowable) -> None:
    """Make a table of ReportLab's own class one that says what it is, wherever it was made."""
    if type(flowable) is PlainTable:
        flowable.__class__ = MarkedTable
        flowable.element_key = object()
        flowable.row_keys = tuple(object() for _ in range(flowable._nrows))  # noqa: SLF001


class _CellByCell:
    """What ReportLab calls while it draws a table, before and after each cell."""

    def __init__(self, canvas: MarkedCanvas) -> None:
        self._canvas = canvas
        self._inside = ExitStack()

    def __call__(self, table: MarkedTable, event: str, *where: Any) -> None:  # noqa: ANN401
        """Enter or leave a cell."""
        if event == "startCell":
            row, column = where[:2]
            if table.continued and row < table.heads:
                self._inside.enter_context(self._canvas.repeated())
            else:
                self._inside.enter_context(self._canvas.inside(*table.cell_steps(row, column)))
        elif event == "endCell":
            self._inside.close()


class _Announced:
    """A flowable in a cell: the same in all things, but announced when it is drawn."""

    def __init__(self, flowable: Flowable) -> None:
        self._flowable = flowable

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._flowable, name)

    def drawOn(self, canvas: MarkedCanvas, x: float, y: float, _sW: float = 0) -> None:  # noqa: N802, N803
        """Draw the flowable inside its element."""
        adopt(self._flowable)
        with announced(canvas, self._flowable):
            self._flowable.drawOn(canvas, x, y, _sW)


class MarkedFrame(Frame):  # type: ignore[misc]
    """A frame that announces what it draws."""

    def add(self, flowable: Flowable, canvas: Any, trySplit: int = 0) -> int:  # noqa: ANN401, N803  # ReportLab's name
        """Draw the flowable at the frame's present place; return 0 where it does not fit."""
        adopt(flowable)
        with announced(canvas, flowable):
            return int(super().add(flowable, canvas, trySplit))
