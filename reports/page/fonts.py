"""The report's one type family, embedded: DejaVu Sans, as matplotlib ships it."""

from pathlib import Path

import matplotlib
from reportlab import rl_config
from reportlab.lib.fonts import addMapping
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

__all__ = ["BOLD", "REGULAR", "drawable", "width_of"]

REGULAR = "DejaVuSans"
BOLD = "DejaVuSans-Bold"


def _register() -> frozenset[int]:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    known: list[set[int]] = []
    for name in (REGULAR, BOLD):
        # shaping depends on whether an optional library is installed: the same run must give the same bytes
        font = TTFont(name, str(folder / f"{name}.ttf"), shapable=False)
        pdfmetrics.registerFont(font)
        known.append(set(font.face.charToGlyph))
    for bold in (0, 1):
        for italic in (0, 1):  # the family's oblique lacks whole alphabets, so nothing is set in it
            addMapping(REGULAR, bold, italic, BOLD if bold else REGULAR)
    rl_config.canvas_basefontname = rl_config.defaultGraphicsFontName = REGULAR
    return frozenset(set.intersection(*known))


_GLYPHS = _register()


def drawable(character: str) -> bool:
    """Return whether both faces have a glyph for the character."""
    return ord(character) in _GLYPHS


def width_of(text: str, size: float, font: str = REGULAR) -> float:
    """Return the width of a line of text in points."""
    return float(pdfmetrics.stringWidth(text, font, size))
