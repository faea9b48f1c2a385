"""What the file of a case's panels says in numbers, for the results: a report prints nothing that they do not hold."""

from pipeline.findings.panels import CasePanels
from pipeline.findings.results import PictureFacts, SliceFacts

__all__ = ["picture_facts"]


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
