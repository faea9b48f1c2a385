"""What a picture shows, in words made from its data: what is read where it cannot be seen."""

from pipeline.findings.pictures.panels import CasePanels, View
from reports.numbers import number
from reports.page.text import clean

__all__ = ["image_in_words"]


def image_in_words(case: CasePanels, view: View) -> str:
    """Return which plane of which study is shown, and between which values grey runs from black to white."""
    window = " to ".join(number(value, like=case.window) for value in case.window)
    return clean(f"{case.study}, {view.caption}, in grey from {window} {case.unit}".rstrip())
