"""The report's look: one family, four sizes, one accent; and the few building blocks that sections use.

The only place that makes paragraphs and tables, so no string reaches one without going through
``reports.page.text``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Spacer, TableStyle
from reportlab.platypus.doctemplate import NullActionFlowable

from reports.page.fonts import BOLD, REGULAR, width_of
from reports.page.text import CUT, clean, coloured, cut, fitted, inline, joined
from reports.tagged.elements import Step
from reports.tagged.flowables import MarkedParagraph as Paragraph
from reports.tagged.flowables import MarkedTable as Table
from reports.tagged.roles import described

__all__ = [
    "ACCENT",
    "BODY",
    "COLUMN",
    "CONTENT",
    "GREY",
    "INK",
    "MARGIN",
    "PALE",
    "RULE",
    "SMALL",
    "Chip",
    "Column",
    "Deferred",
    "Flowable",
    "Heading",
    "Table",
    "bullets",
    "callout",
    "columns",
    "described",
    "facts",
    "gap",
    "heading",
    "note",
    "pair",
    "paragraph",
    "parts_of",
    "room",
    "side_by_side",
    "small",
    "subheading",
    "table",
    "title",
    "together",
]  # fmt: skip

MARGIN = 15 * mm
CONTENT = A4[0] - 2 * MARGIN
GUTTER = 7 * mm
COLUMN = (CONTENT - GUTTER) / 2
"""The width of one of two columns, where a section is set in columns."""

INK = "#1b1f24"
GREY = "#5b6570"
RULE = "#c9cfd6"
PALE = "#f3f5f8"
ACCENT = "#1f3a5f"

BODY = ParagraphStyle(
    "body",
    fontName=REGULAR,
    fontSize=8.2,
    leading=11.6,
    textColor=HexColor(INK),
    bulletFontName=REGULAR,
    spaceAfter=4,
)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=7, leading=8.5, spaceAfter=0)
_NUMBER = ParagraphStyle("number", parent=SMALL, alignment=TA_RIGHT)
_HEAD = ParagraphStyle("head", parent=SMALL, fontName=BOLD, textColor=HexColor(ACCENT))
_NUMBER_HEAD = ParagraphStyle("number-head", parent=_HEAD, alignment=TA_RIGHT)
_NOTE = ParagraphStyle("note", parent=SMALL, textColor=HexColor(GREY), spaceBefore=2, spaceAfter=4)
_BULLET = ParagraphStyle("bullet", parent=BODY, leftIndent=13, bulletIndent=0, spaceAfter=2, tag="LI")
_SMALL_BULLET = ParagraphStyle(
    "small-bullet", parent=SMALL, leftIndent=9, bulletIndent=0, bulletFontSize=7, spaceAfter=0.8, tag="LI"
)
_TITLES = (
    ParagraphStyle("title", parent=BODY, fontName=BOLD, fontSize=15, leading=20, textColor=HexColor(ACCENT), tag="H1"),
    ParagraphStyle(
        "section", parent=BODY, fontName=BOLD, fontSize=11.5, leading=14, spaceBefore=8, spaceAfter=3,
        textColor=HexColor(ACCENT), tag="H2",
    ),
    ParagraphStyle(
        "subsection", parent=BODY, fontName=BOLD, fontSize=9, leading=12, spaceBefore=5, spaceAfter=2,
        textColor=HexColor(ACCENT), tag="H+",
    ),
)  # fmt: skip


_LONGEST_TITLE = 300  # characters
_MOST_LINES = 24  # of a table's cell: a third of a page
_MOST_LINES_OF_HEADS = 8  # they stand on every page of the table
_LONG_WORD = 20  # characters: no word of ours, but a name of data's
_ALWAYS_FITS = 120  # characters, in the narrowest column


class Heading(Paragraph):
    """A heading that the document lists in its contents and bookmarks under ``key``.

    ``level`` is 0 for a section, 1 for a part of one; ``plain`` is the text without markup.
    """

    def __init__(self, text: object, level: int, key: str) -> None:
        self.level, self.key = level, key
        style = _TITLES[level + 1]
        self.plain = fitted(text, 1.6 * CONTENT, style.fontSize, BOLD)
        super().__init__(inline(self.plain), style)

    @property
    def tag(self) -> str:
        """The heading's level below the document's title."""
        return f"H{self.level + 2}"

    def split(self, *_available: float) -> list[Flowable]:
        """Return nothing: a heading moves on whole."""
        return []


def heading(
    text: object, level: int, key: str, content: Sequence[Flowable] = (), *, width: float = CONTENT
) -> list[Flowable]:
    """Return a listed heading that is never left alone at a page's foot, where ``content`` is what follows it."""
    return [CondPageBreak(max(20 * mm, 34 + _opening(content, width))), Heading(text, level, key)]


def _opening(content: Sequence[Flowable], width: float) -> float:
    """Return the height of what must stand below a heading: its first words, and the first thing that is no words."""
    height = 0.0
    for flowable in content:
        tall = fsum(part.wrap(width, 10_000)[1] + part.getSpaceBefore() for part in parts_of(flowable))
        if isinstance(flowable, Table):  # a long one breaks after some rows
            return float(height + min(tall, _SHORT_ENOUGH, 55 * mm))
        height += tall
        if not isinstance(flowable, CondPageBreak | Paragraph):
            break
        if isinstance(flowable, Paragraph) and flowable.style in (BODY, _BULLET, _SMALL_BULLET):
            break
    return float(min(height, 235 * mm))  # what is higher finds no page that has room for a heading too


def subheading(text: object) -> list[Flowable]:
    """Return a heading inside a section, not listed in the contents and never left alone at a page's foot."""
    return [CondPageBreak(24 * mm), Paragraph(inline(text), _TITLES[2])]


def title(text: object) -> Paragraph:
    """Return the document's title."""
    return Paragraph(inline(cut(clean(text), _LONGEST_TITLE)), _TITLES[0])


def paragraph(*parts: object) -> Paragraph:
    """Return a paragraph of body text; parts are data, or markup from ``reports.page.text``."""
    return Paragraph(joined(*parts), BODY)


def small(*parts: object, colour: str = INK) -> Paragraph:
    """Return a paragraph in the tables' size."""
    return Paragraph(coloured(joined(*parts), colour), SMALL)


def note(*parts: object) -> Paragraph:
    """Return a paragraph in small grey, as under a table."""
    return Paragraph(joined(*parts), _NOTE)


def bullets(items: Iterable[object], *, compact: bool = False) -> list[Flowable]:
    """Return one bulleted paragraph for each item; ``compact`` sets them in the tables' size."""
    style = _SMALL_BULLET if compact else _BULLET
    return [Paragraph(inline(item), style, bulletText="•") for item in items]


def gap(height_mm: float) -> Spacer:
    """Return white space."""
    return Spacer(1, height_mm * mm)


def room(height_mm: float) -> CondPageBreak:
    """Return a break to the next page where less than this is left: what follows may part, but not that early."""
    return CondPageBreak(height_mm * mm)


def together(flowables: Sequence[Flowable]) -> KeepTogether:
    """Return flowables that stay on one page when they fit on one."""
    return KeepTogether(list(flowables))


def parts_of(flowable: Flowable) -> Sequence[Flowable]:
    """Return the flowables that are kept together, or the one that there is: they have a size outside of a page too."""
    return flowable._content if isinstance(flowable, KeepTogether) else [flowable]  # noqa: SLF001  # it has no other name


class Deferred(Flowable):  # type: ignore[misc]  # ReportLab has no types
    """Flowables that are built when their turn comes, once for each pass, and are gone when they are drawn.

    A report of a thousand cases would else hold all of them from the beginning to the end. ``opening`` returns what
    begins a part that is likely to fill its page: the pass that only counts pages does with that and an empty page.
    """

    def __init__(
        self, build: Callable[[], Sequence[Flowable]], opening: Callable[[], Sequence[Flowable]] | None = None
    ) -> None:
        super().__init__()
        self._build, self._opening = build, opening

    def wrap(self, available_width: float, _height: float) -> tuple[float, float]:
        """Return more than any page holds, so that it is split."""
        return available_width, 1e6

    def split(self, *_available: float) -> list[Flowable]:
        """Return what it stands for."""
        counts_only = not getattr(getattr(getattr(self, "canv", None), "_doctemplate", None), "pictures", True)
        if self._opening is not None and counts_only:
            return [NullActionFlowable(), *self._opening(), _RestOfPage()]
        return [NullActionFlowable(), *self._build()]

    def steps(self) -> tuple[Step, ...]:
        """Return nothing: it is never drawn itself."""
        return ()


class _RestOfPage(Flowable):  # type: ignore[misc]
    """White space as high as what is left of the page, but for a point: what takes no room still stands on it."""

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Return what is available."""
        return available_width, max(0.0, available_height - 1)

    def draw(self) -> None:
        """Draw nothing."""


@dataclass(frozen=True)
class Column:
    """A table's column: heading, width in points, and whether it holds numbers (set flush right)."""

    head: str
    width: float
    numbers: bool = False


def columns(*specification: tuple[str, float] | tuple[str, float, bool], width: float = CONTENT) -> list[Column]:
    """Return columns from (heading, share of the width, holds numbers)."""
    # fsum, here and below: sum() rounds otherwise from Python 3.12 on, and a report is the same bytes on all
    total = fsum(column[1] for column in specification)
    return [Column(column[0], width * column[1] / total, len(column) == 3 and column[2]) for column in specification]


def table(
    shape: Sequence[Column],
    rows: Sequence[Sequence[object]],
    *,
    rules: Sequence[int] | None = None,
    compact: bool = False,
) -> Table:
    """Return a table with a repeated head row, thin rules and rows that break where a page ends.

    Cells are data, markup or flowables. ``rules`` are the rows (from 0) with a rule below; None: all of them.
    ``compact`` sets the rows closer.
    """
    shape = _wide_enough(shape, rows)
    styles = [_NUMBER_HEAD if column.numbers else _HEAD for column in shape]
    head = [
        _shortened(Paragraph(inline(column.head), style), column.width, _MOST_LINES_OF_HEADS)
        for column, style in zip(shape, styles, strict=True)
    ]
    body = [
        [_cell(value, column.numbers, column.width) for value, column in zip(row, shape, strict=True)] for row in rows
    ]
    below = range(len(rows)) if rules is None else rules
    lines: list[tuple[Any, ...]] = _unbroken(rules, shape, rows)
    lines += [("LINEBELOW", (0, row + 1), (-1, row + 1), 0.35, HexColor(RULE)) for row in below]
    if compact:
        lines += [(side, (0, 1), (-1, -1), 1.0) for side in ("TOPPADDING", "BOTTOMPADDING")]
    for place in range(1, len(shape)):
        if shape[place - 1].numbers and not shape[place].numbers:  # or the two would seem one
            lines.append(("LEFTPADDING", (place, 0), (place, -1), 9))
    lines += [
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor(ACCENT)),
        ("BOTTOMPADDING", (0, 0), (-1, 0), 4),
    ]
    # a row higher than a page must break inside, or the build stops
    return Table(
        [head, *body],
        colWidths=[column.width for column in shape],
        style=TableStyle([*_PLAIN, *lines]),
        repeatRows=1,
        splitInRow=1,
        spaceBefore=2,
        spaceAfter=6,
    )


def _wide_enough(shape: Sequence[Column], rows: Sequence[Sequence[object]]) -> Sequence[Column]:
    """Return columns in which no number wraps, and no word of a head breaks, as far as the page's width goes.

    The columns of words give the room; where they have none left, heads break, and then numbers between their parts.
    """
    cells = [
        _widest_number(column, [row[place] for row in rows], 7.5 if place + 1 < len(shape) else 0.5)
        for place, column in enumerate(shape)
    ]
    heads = [max(need, _widest_word(column)) for need, column in zip(cells, shape, strict=True)]
    return _widened(shape, heads) or _widened(shape, cells) or shape


def _widest_number(column: Column, cells: Sequence[object], beside: float) -> float:
    """Return the width in points that a column's numbers and badges need; nothing where it holds words alone.

    ``beside`` is the room at a badge's right, which the last column does not have.
    """
    widths = [width_of(cell, 7) + 8.5 for cell in cells if isinstance(cell, str) and column.numbers]
    parts = [part for cell in cells for part in (cell if isinstance(cell, list) else [cell])]
    widths += [part.width + beside for part in parts if isinstance(part, Chip)]
    return max(widths, default=0.0)


def _widest_word(column: Column) -> float:
    """Return the width in points that the words of a column's head need, but for names that nobody can keep whole."""
    return max((width_of(word, 7, BOLD) + 7.5 for word in column.head.split() if len(word) < _LONG_WORD), default=0.0)


def _widened(shape: Sequence[Column], needed: Sequence[float]) -> Sequence[Column] | None:
    """Return columns as wide as is needed, with the room taken from those that have some; None where none has."""
    missing = fsum(max(0.0, need - column.width) for need, column in zip(needed, shape, strict=True))
    spare = [
        max(0.0, min(column.width - need, column.width if column.numbers else 0.55 * column.width))
        for need, column in zip(needed, shape, strict=True)
    ]
    if not missing:
        return shape
    if missing > fsum(spare):
        return None
    return [
        replace(column, width=max(column.width, need) - missing / fsum(spare) * room)
        for column, need, room in zip(shape, needed, spare, strict=True)
    ]


def _unbroken(
    rules: Sequence[int] | None, shape: Sequence[Column], rows: Sequence[Sequence[object]]
) -> list[tuple[Any, ...]]:
    """Return the style that keeps a short table, the rows of a group, and a head with its first rows on one page."""
    heights = [_rough_height(shape, row) for row in rows]
    if rules is None and len(rows) >= 2 * _AT_AN_END:  # it may break, but leaves no row or two behind
        groups = [(0, _AT_AN_END), (len(rows) - _AT_AN_END, len(rows))]
    elif rules is None or fsum(heights) < _SHORT_ENOUGH:
        groups = [(0, len(rows) if fsum(heights) < _SHORT_ENOUGH else 1)]
    else:
        groups = [(first, last + 1) for first, last in zip([0, *(row + 1 for row in rules)], rules, strict=False)]
    return [
        ("NOSPLIT", (0, first + (first > 0)), (-1, end))
        for first, end in groups
        if fsum(heights[first:end]) < _SHORT_ENOUGH
    ]


_AT_AN_END = 3
"""Rows that a table has on a page at least, where it breaks."""

_SHORT_ENOUGH = 230.0
"""Points below which rows stay together; what is higher must break, or the build stops."""


def _rough_height(shape: Sequence[Column], row: Sequence[object]) -> float:
    """Return about how high a row is, from its words alone; of other content no more than a guess."""
    lines = 1.0
    for column, value in zip(shape, row, strict=True):
        parts = value if isinstance(value, list) else [value]
        lengths = (len(str(part)) * 4.2 if not isinstance(part, Flowable) else column.width for part in parts)
        lines = max(lines, sum(1 + length // max(1.0, column.width - 7) for length in lengths))
    return 9.0 * lines + 4


_PLAIN: list[tuple[Any, ...]] = [
    ("FONT", (0, 0), (-1, -1), REGULAR, 7),  # the default would be Helvetica, which is not embedded
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 7),
    ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 2.0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2.0),
]


def _cell(value: object, numbers: bool, width: float) -> Flowable | list[Flowable]:
    if isinstance(value, Paragraph):
        return _shortened(value, width)
    if isinstance(value, Flowable):
        return value
    if isinstance(value, list):
        cells = [_cell(part, numbers, width) for part in value]
        return [part for cell in cells for part in (cell if isinstance(cell, list) else [cell])]
    return _shortened(Paragraph(inline(value), _NUMBER if numbers else SMALL), width)


def _shortened(made: Paragraph, width: float, lines: int = _MOST_LINES) -> Flowable | list[Flowable]:
    """Return a cell's paragraph, cut with a mark after as many lines as a cell may have."""
    most = lines * made.style.leading
    if sum(len(getattr(fragment, "text", "")) for fragment in made.frags) < _ALWAYS_FITS:
        return made
    if made.wrap(width, 1e6)[1] <= most:
        return made
    return [made.split(width, most)[0], Paragraph(coloured(CUT, GREY), made.style)]


def facts(rows: Iterable[tuple[str, object]], *, label: float = 0.22, width: float = CONTENT) -> Table:
    """Return labelled facts, one a row: label in grey, in its share of the width, value beside it."""
    widths = [width * label, width * (1 - label)]
    cells = [[_cell(coloured(name, GREY), False, widths[0]), _cell(value, False, widths[1])] for name, value in rows]
    style = [*_PLAIN, ("LINEBELOW", (0, 0), (-1, -1), 0.35, HexColor(RULE))]
    style += [(side, (0, 0), (-1, -1), 1.0) for side in ("TOPPADDING", "BOTTOMPADDING")]
    return Table(
        cells,
        colWidths=widths,
        style=TableStyle(style),
        splitInRow=1,
        spaceBefore=2,
        spaceAfter=6,
        row_heads=1,
    )


def callout(*content: Flowable, colour: str = ACCENT, width: float = CONTENT) -> Table:
    """Return content on a pale ground with a coloured edge."""
    style = [
        ("FONT", (0, 0), (-1, -1), REGULAR, 7),
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(PALE)),
        ("LINEBEFORE", (0, 0), (0, -1), 2.2, HexColor(colour)),
        ("LEFTPADDING", (0, 0), (-1, -1), 9),
        ("RIGHTPADDING", (0, 0), (-1, -1), 9),
        ("TOPPADDING", (0, 0), (-1, -1), 6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
    ]
    return Table(
        [[list(content)]],
        colWidths=[width],
        style=TableStyle(style),
        splitInRow=1,
        spaceBefore=4,
        spaceAfter=7,
    )


def pair(left: Flowable, right: Sequence[Flowable], share: float = 0.86, *, width: float = CONTENT) -> Flowable:
    """Return a flowable and what stands at its right, without rules; ``share`` is the left one's of the width."""
    if not right:
        return left
    style = TableStyle([("FONT", (0, 0), (-1, -1), REGULAR, 7), ("VALIGN", (0, 0), (-1, -1), "TOP")]
                       + [(side, (0, 0), (-1, -1), 0) for side in _SIDES])  # fmt: skip
    return Table([[left, list(right)]], colWidths=[width * share, width * (1 - share)], style=style, spaceAfter=3)


def side_by_side(left: Sequence[Flowable], right: Sequence[Flowable], *, right_width: float = COLUMN) -> Flowable:
    """Return two columns of flowables beside each other; either may be empty, or longer than a page."""
    style = TableStyle([("FONT", (0, 0), (-1, -1), REGULAR, 7), ("VALIGN", (0, 0), (-1, -1), "TOP")]
                       + [(side, (0, 0), (-1, -1), 0) for side in _SIDES])  # fmt: skip
    widths = [CONTENT - right_width, right_width]
    padded = [("RIGHTPADDING", (0, 0), (0, 0), GUTTER)]
    cells = [[list(left), list(right)]]
    return Table(cells, colWidths=widths, style=TableStyle(padded, parent=style), splitInRow=1, spaceAfter=3)


_SIDES = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")


class Chip(Flowable):  # type: ignore[misc]
    """A verdict or badge. Sign, words, fill and frame differ, so it reads without colour too.

    ``kind`` is good, bad, open or none.
    """

    _LOOK = {  # noqa: RUF012  # never changed
        "good": ("✓", "#1d6b45", "#ffffff", None),
        "bad": ("✕", "#8f1d1d", "#ffffff", None),
        "open": ("?", "#ffffff", "#7a4d00", None),
        "none": ("\u2013", "#ffffff", "#5b6570", (2, 1.5)),
    }

    def __init__(self, words: str, kind: str, size: float = 6.6) -> None:
        super().__init__()
        sign, self._fill, self._ink, self._dash = self._LOOK[kind]
        self._words, self._size = f"{sign} {words}", size
        self.width, self.height = width_of(self._words, size, BOLD) + 9, size + 5

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return its own size, whatever is available."""
        return self.width, self.height

    def steps(self) -> tuple[Step, ...]:
        """Return its element: its words are text like any other."""
        return (Step("P", self),)

    def draw(self) -> None:
        """Draw a rounded box with the sign and the words."""
        canvas = self.canv
        canvas.setFillColor(HexColor(self._fill))
        canvas.setStrokeColor(HexColor(self._ink if self._fill == "#ffffff" else self._fill))
        canvas.setLineWidth(0.9)
        if self._dash:
            canvas.setDash(*self._dash)
        canvas.roundRect(0.5, 0.5, self.width - 1, self.height - 1, 2.2, fill=1, stroke=1)
        canvas.setFillColor(HexColor(self._ink))
        canvas.setFont(BOLD, self._size)
        canvas.drawString(4.5, 3.1, self._words)
