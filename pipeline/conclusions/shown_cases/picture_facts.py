"""What the file of a case's panels says in numbers, for the results: a report prints nothing that they do not hold."""

from typing import NamedTuple

from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.results import PictureFacts, SliceFacts

__all__ = ["CasePicture", "picture_facts"]


class CasePicture(NamedTuple):
    """A case's files of panels and, where it is kept, of its volume; the note; what the first says in numbers."""

    panels: str | None = None
    note: str | None = None
    facts: PictureFacts | None = None
    volume: str | None = None


def picture_facts(panels: CasePanels) -> PictureFacts:
    """Return what is printed beside the pictures of a case."""
    return PictureFacts(
        unit=panels.unit,
        length_unit=panels.length_unit,
        window=panels.window,
        window_rule=panels.window_rule,
        ranges=panels.ranges,
        thresholds=panels.thresholds,
        planes=tuple(
            SliceFacts(
                role=view.role,
                plane=view.plane,
                caption=view.caption,
                number=view.number,
                planes=view.planes,
                position_mm=view.position_mm,
                thickness_mm=view.thickness_mm,
            )
            for view in panels.views
        ),
    )
