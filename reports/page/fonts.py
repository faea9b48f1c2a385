"""The report's type: DejaVu Sans, as matplotlib ships it, and behind it the fonts that a run names, all embedded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from math import fsum
from pathlib import Path
from typing import Any

import matplotlib
from reportlab import rl_config
from reportlab.lib.fonts import addMapping
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from pipeline.errors import OutputError
from reports.page.scripts import joined_up

__all__ = ["BOLD", "REGULAR", "drawable", "fallback_fonts", "width_of"]

REGULAR = "DejaVuSans"
BOLD = "DejaVuSans-Bold"

# the fonts that are asked, in this order, for what DejaVu lacks, inside ``fallback_fonts``
_FALLBACKS: ContextVar[tuple[TTFont, ...]] = ContextVar("fallback_fonts", default=())


class _Face(TTFont):  # type: ignore[misc]  # ReportLab has no types
    """A face of DejaVu that takes from the fallback fonts what it lacks: in widths and on the page alike."""

    def stringWidth(self, text: str, size: float, encoding: str = "utf8") -> float:  # noqa: N802  # ReportLab's name
        """Return the width of a text in points, as it will be joined on the page."""
        if isinstance(text, str) and text.isascii():
            return float(super().stringWidth(text, size, encoding))
        text = joined_up(text if isinstance(text, str) else text.decode(encoding))
        if not _FALLBACKS.get():
            return float(super().stringWidth(text, size, encoding))
        return fsum(
            super(_Face, self).stringWidth(part, size) if place < 0 else font.stringWidth(part, size)
            for place, font, part in self._parts(text)
        )

    def splitString(self, text: str, doc: Any, encoding: str = "utf-8") -> list[tuple[Any, bytes]]:  # noqa: ANN401, N802
        """Return (subset, codes) of a text; a subset of a fallback font is named with the font's place."""
        if not _FALLBACKS.get() or text.isascii():
            return list(super().splitString(text, doc, encoding))
        pieces: list[tuple[Any, bytes]] = []
        for place, font, part in self._parts(text):
            if place < 0:
                pieces += super().splitString(part, doc, encoding)
            else:
                pieces += [((place, subset), codes) for subset, codes in font.splitString(part, doc, encoding)]
        return pieces

    def getSubsetInternalName(self, subset: Any, doc: Any) -> str:  # noqa: ANN401, N802
        """Return the name by which a page's operators call a subset."""
        if isinstance(subset, tuple):
            return str(_FALLBACKS.get()[subset[0]].getSubsetInternalName(subset[1], doc))
        return str(super().getSubsetInternalName(subset, doc))

    def _parts(self, text: str) -> Iterator[tuple[int, TTFont, str]]:
        """Yield the text's parts, each with the place of the fallback font that shows it; -1 for this face."""
        for place, characters in groupby(text, self._place_of):
            yield place, self if place < 0 else _FALLBACKS.get()[place], "".join(characters)

    def _place_of(self, character: str) -> int:
        if ord(character) in self.face.charToGlyph:
            return -1
        fonts = enumerate(_FALLBACKS.get())
        return next((place for place, font in fonts if ord(character) in font.face.charToGlyph), -1)


def _register() -> frozenset[int]:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    known: list[set[int]] = []
    for name in (REGULAR, BOLD):
        # shaping depends on whether an optional library is installed: the same run must give the same bytes
        font = _Face(name, str(folder / f"{name}.ttf"), shapable=False)
        pdfmetrics.registerFont(font)
        known.append(set(font.face.charToGlyph))
    for bold in (0, 1):
        for italic in (0, 1):  # the family's oblique lacks whole alphabets, so nothing is set in it
            addMapping(REGULAR, bold, italic, BOLD if bold else REGULAR)
    rl_config.canvas_basefontname = rl_config.defaultGraphicsFontName = REGULAR
    return frozenset(set.intersection(*known))


_GLYPHS = _register()


@contextmanager
def fallback_fonts(files: Sequence[Path]) -> Iterator[None]:
    """Ask the fonts in these files, in their order, for the characters that DejaVu lacks.

    Raises:
        OutputError: for a file that is no TrueType font that may be embedded.
    """
    fonts = []
    for place, path in enumerate(files):
        try:
            fonts.append(TTFont(f"Fallback{place}", str(path), shapable=False))
        except (TTFError, OSError, ValueError, LookupError) as error:
            raise OutputError(
                f"{path.name}: cannot be used as a font; give a TrueType font (.ttf with glyf outlines)"
            ) from error
    token = _FALLBACKS.set(tuple(fonts))
    try:
        yield
    finally:
        _FALLBACKS.reset(token)


def drawable(character: str) -> bool:
    """Return whether both faces, or a fallback font, have a glyph for the character."""
    if ord(character) in _GLYPHS:
        return True
    return any(ord(character) in font.face.charToGlyph for font in _FALLBACKS.get())


def width_of(text: str, size: float, font: str = REGULAR) -> float:
    """Return the width of a line of text in points."""
    return float(pdfmetrics.stringWidth(text, font, size))
