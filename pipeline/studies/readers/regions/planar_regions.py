"""Regions that name the DICOM image on which they were drawn, in its pixels: onto that slice, or that picture.

As in PS3.3 C.18.6.1 x is a column and y a row, 0 at the outer edge of the first pixel, whose centre lies at 0.5.
Regions of one finding are united; an excluded one is taken out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.regions.drawn_shapes import Ellipse, circle, ellipse, ellipse_marks, outline_marks
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, refused

__all__ = ["PlanarForm", "PlanarRegion", "marked_regions", "round_region"]

Plane = NDArray[np.bool_]
PlanarForm = Literal["polygons", "ellipses", "left out"]


@dataclass(frozen=True)
class PlanarRegion:
    """One region: the instance it was drawn on, and which of its frames (None: it has one, or all are meant).

    ``content``: points (x, y) of an outline, or an ``Ellipse``; of ``left out`` nothing is drawn. ``finding``: the
    number of the annotation that it is a part of. ``holed``: its pixels are taken out of that finding's.
    """

    instance: str = field(repr=False)
    frame: int | None
    form: PlanarForm
    content: Any
    holed: bool = False
    finding: int = 0


def _ellipse_of_axes(points: Sequence[Sequence[float]]) -> Ellipse:
    """Return the ellipse of four points: the ends of its first axis, then those of its second.

    Raises:
        StudyError: NOT_READABLE for other points.
    """
    ends = np.asarray(points, dtype=np.float64)
    if ends.shape != (4, 2):
        raise refused(Reason.NOT_READABLE, f"an ellipse has {len(points)} points and takes 4")
    first, second = ends[1] - ends[0], ends[3] - ends[2]
    radii = float(np.hypot(*first)) / 2, float(np.hypot(*second)) / 2
    across, down = ends.mean(axis=0)
    return ellipse((float(across), float(down)), radii, float(np.arctan2(first[1], first[0])))


def round_region(kind: str, points: Sequence[Sequence[float]]) -> Ellipse:
    """Return the circle (centre, a point of its rim) or the ellipse of a file's points.

    Raises:
        StudyError: NOT_READABLE for other points.
    """
    if kind == "ellipse":
        return _ellipse_of_axes(points)
    if len(points) != 2:
        raise refused(Reason.NOT_READABLE, f"a circle has {len(points)} points and takes 2")
    (across, down), (rim_across, rim_down) = points
    return circle((across, down), (rim_across, rim_down))


def marked_regions(regions: Sequence[PlanarRegion], image: ImageFile) -> MaskFile:
    """Return the regions as one mask on the image's grid.

    Raises:
        StudyError: excluded; OTHER_IMAGE when all were drawn on other images, MASK_WITHOUT_AREA when they enclose no
            pixel's centre, OTHER_GRID when one leaves its image.
    """
    own = [region for region in regions if _place(region, image) is not None]
    if regions and not own:
        message = f"the mask's {len(regions)} regions were drawn on other images than the study's"
        raise refused(Reason.OTHER_IMAGE, message, excluded=True)
    grid = image.volume.geometry.shape
    marked, lost = np.zeros(grid, dtype=bool), 0
    for finding in sorted({region.finding for region in own}):
        inside, without = _finding([region for region in own if region.finding == finding], image)
        marked |= inside
        lost += without
    if lost and not marked.any():
        message = f"the mask's {len(own)} regions enclose no pixel's centre"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    drawn = sorted({region.form for region in own} - {"left out"})
    facts = {"mask drawn from": " and ".join(drawn)} if drawn else {}
    skipped = sum(region.form == "left out" for region in own)
    facts |= {"points and open lines left out": str(skipped)} if skipped else {}
    facts |= {"regions smaller than a pixel": f"{lost - skipped} of {len(own)}"} if lost > skipped else {}
    elsewhere = len(regions) - len(own)
    facts |= {"regions on other images": f"{elsewhere} of {len(regions)}, left out"} if elsewhere else {}
    return MaskFile(marked, facts)


def _finding(regions: Sequence[PlanarRegion], image: ImageFile) -> tuple[Plane, int]:
    """Return the voxels of one finding's regions without those that are taken out, and how many enclose no centre."""
    grid = image.volume.geometry.shape
    marked, lost = np.zeros(grid, dtype=bool), 0
    for region in sorted(regions, key=lambda region: region.holed):
        plane = marked if len(grid) == 2 else marked[..., _place(region, image) or 0].T  # rows, columns
        inside, without = _drawn(region, plane.shape)
        plane[inside] = not region.holed
        lost += without
    return marked, lost


def _place(region: PlanarRegion, image: ImageFile) -> int | None:
    """Return the slice of the image (0 for a picture) on which a region was drawn; None when it is on none."""
    if len(image.volume.geometry.shape) == 3:
        return image.places.get((region.instance, region.frame or 1))
    frames = (None, region.frame) if image.frame is None else (None, image.frame)
    return 0 if region.instance in image.instances and region.frame in frames else None


def _drawn(region: PlanarRegion, size: tuple[int, ...]) -> tuple[Plane, int]:
    if region.form == "left out":
        return np.zeros(size, dtype=bool), 1
    return ellipse_marks(region.content, size) if region.form == "ellipses" else outline_marks(region.content, size)
