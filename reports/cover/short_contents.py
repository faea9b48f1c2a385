"""The contents as one short list of links; the bookmarks of the file hold the rest."""

from reportlab.platypus.tableofcontents import TableOfContents

from reports.page.layout import small
from reports.page.text import bold, joined, link

__all__ = ["LastPass", "ShortContents"]


class LastPass(TableOfContents):  # type: ignore[misc]  # ReportLab has no types
    """Nothing on the page; makes a document without contents count its pages before it is drawn."""

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Return no size."""
        return 0.0, 0.0

    def split(self, *_available: float) -> list[object]:
        """Return nothing: there is nothing to split."""
        return []

    def drawOn(self, *_place: object, **_frame: object) -> None:  # noqa: N802  # its name
        """Draw nothing."""


class ShortContents(TableOfContents):  # type: ignore[misc]  # ReportLab has no types
    """The sections in a paragraph, each a link with its page."""

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the paragraph's size, made of what the last pass found."""
        entries = [(text, page, key) for level, text, page, key in self._lastEntries if level == 0]
        parts = [joined(link(text, str(key)), f" (p. {page})") for text, page, key in entries]
        self._paragraph = small(bold("Contents. "), joined(*parts, by="  \u00b7  "))
        self.width, self.height = self._paragraph.wrap(width, height)
        return self.width, self.height

    def split(self, *_available: float) -> list[object]:
        """Return nothing: the list moves on whole."""
        return []

    def drawOn(self, canvas: object, x: float, y: float, _sW: float = 0) -> None:  # noqa: N802, N803  # its names
        """Draw the paragraph."""
        self._paragraph.drawOn(canvas, x, y, _sW)
