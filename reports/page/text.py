"""The choke point: every string of data becomes text of the report here, and nowhere else.

A ``str`` is data: it is cleaned and escaped whenever it enters a paragraph. ``Markup`` is text that already
went through here. An unescaped ``<img src="/etc/passwd">`` in a header would make ReportLab open that file,
and a character without a glyph would vanish from the page, so neither can be left to the sections.
"""

import unicodedata
from xml.sax.saxutils import escape

from reports.page.fonts import REGULAR, drawable, width_of
from reports.page.scripts import unjoinable

__all__ = [
    "CUT",
    "DASH",
    "LONGEST",
    "Markup",
    "bold",
    "clean",
    "coloured",
    "cut",
    "digest",
    "fitted",
    "fitted_at_both_ends",
    "inline",
    "joined",
    "link",
]

DASH = "—"
CUT = "… [cut here; whole in results.json]"
LONGEST = 3000
"""The most characters of one value that a paragraph shows."""

# shown by their number: invisible, reordering, unassigned or private characters could make a text read as
# another
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


class Markup(str):
    """Text in ReportLab's paragraph language, already escaped."""

    __slots__ = ()


def clean(value: object) -> str:
    """Return data as plain text that the font can show, line breaks kept; None is a dash.

    Other white space becomes a space; a character that the fonts lack, that cannot be seen, or whose script would
    be shown wrongly becomes ``[U+4E2D]``.
    """
    if value is None:
        return DASH
    text = unicodedata.normalize("NFC", str(value)).replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\n":
        return character
    if character == "\t" or unicodedata.category(character) in ("Zs", "Zl", "Zp"):
        return " "
    if unicodedata.category(character) in _HIDDEN or unjoinable(character) or not drawable(character):
        return f"[U+{ord(character):04X}]"
    return character


def inline(value: object) -> Markup:
    """Return data, or markup that is passed on as it is, for use inside a paragraph."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(cut(clean(value), LONGEST)).replace("\n", "<br/>"))


def cut(text: str, most: int) -> str:
    """Return a text that is longer than ``most`` characters cut there, with a mark that says so.

    Whole words are in ``results.json``: no sentence of the report's own is that long, and no reader wants pages of one
    name.
    """
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()} {CUT}"


def joined(*parts: object, by: str = "") -> Markup:
    """Return the parts, each cleaned and escaped unless it is markup, as one piece of markup."""
    return Markup(inline(by).join(inline(part) for part in parts))


def bold(value: object) -> Markup:
    """Return data in bold."""
    return Markup(f"<b>{inline(value)}</b>")


def coloured(value: object, colour: str) -> Markup:
    """Return data in a colour, given as ``#rrggbb``."""
    return Markup(f'<font color="{colour}">{inline(value)}</font>')


def link(value: object, key: str) -> Markup:
    """Return data as a link to the bookmark ``key`` of this document."""
    return Markup(f'<a href="#{escape(key, {chr(34): "&quot;"})}">{inline(value)}</a>')


def digest(value: object, length: int | None = None) -> Markup:
    """Return a hash with break opportunities after each 16 characters; ``length`` keeps its start only."""
    text = clean(value)
    if length is not None:
        return inline(text[:length])
    return joined(*(text[start : start + 16] for start in range(0, len(text), 16)), by=" ")


def fitted(value: object, width: float, size: float, font: str = REGULAR) -> str:
    """Return data as one line of plain text, shortened with an ellipsis to ``width`` points."""
    text = " ".join(clean(value).split())
    if width_of(text, size, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits, found without measuring every length
        middle = (low + high + 1) // 2
        if width_of(text[:middle] + "…", size, font) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def fitted_at_both_ends(value: object, width: float, size: float, font: str = REGULAR) -> str:
    """Return data as one line shortened in its middle: of names that begin alike, the ends tell them apart."""
    text = " ".join(clean(value).split())
    if width_of(text, size, font) <= width:
        return text
    start = fitted(text, width / 2, size, font).removesuffix("\u2026")
    end = fitted(text[::-1], width - width_of(f"{start}\u2026", size, font), size, font).removesuffix("\u2026")[::-1]
    return f"{start.rstrip()}\u2026{end.lstrip()}"
