"""The cases that a report shows: chosen by a stated rule, their panels cut so that a report only has to draw them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from pipeline.findings.panels import CasePanels, View
from pipeline.studies.consensus import CONSENSUS
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask, Volume

__all__ = ["cut_panels", "withheld"]


def withheld(facts: Mapping[str, str], pictures: Literal["not_burned_in", "all"]) -> str | None:
    """Return why an image with these facts must not be shown, or None when it may be.

    Names and dates that are burned into the pixels reach every copy of a picture. DICOM's BurnedInAnnotation
    (0028,0301) is optional: absent, as in most archives and in every other format, it says nothing.
    """
    burned_in = facts.get("BurnedInAnnotation")
    if pictures == "all" or burned_in == "NO":
        return None
    said = "says that annotation is" if burned_in == "YES" else "does not say that no annotation is"
    return f"the pictures are withheld: the image's header {said} burned into the pixels (report.pictures)"


def cut_panels(
    image: Volume,
    masks: Sequence[Mask],
    heatmaps: Mapping[str, Heatmap],
    thresholds: Mapping[str, float | None],
    *,
    study: str,
    window: tuple[float, float] | None = None,
    unit: str = "",
) -> CasePanels:
    """Cut one study's panels: a projection whole, a volume in the planes that matter.

    A volume is cut across its coarsest axis, where the masks are largest and, when that is another plane, where the
    first map of each label has its maximum. Planes are turned by whole voxels only: axial ones with anterior on top,
    coronal and sagittal ones with superior on top, the patient's right (or anterior) on the left.
    """
    geometry = image.geometry
    low, high = window or (float(v) for v in np.percentile(image.array, (0.5, 99.5)))
    views = []
    for cut, caption in _cuts(geometry, masks, heatmaps):
        pick = cut.apply
        views.append(
            View(
                pick(image.array),
                cut.pixel_mm,
                cut.letters,
                caption,
                {mask.reader: pick(mask.array) for mask in sorted(masks, key=_standing)},
                {name: pick(heatmap.array) for name, heatmap in heatmaps.items()},
                pick(next(iter(heatmaps.values())).seen) if heatmaps else np.ones_like(pick(image.array), bool),
            )
        )
    ranges = {name: (float(heatmap.array.min()), float(heatmap.array.max())) for name, heatmap in heatmaps.items()}
    target = next(iter(heatmaps.values())).target if heatmaps else ""
    shown = (low, max(high, low + 1e-6))
    return CasePanels(study, target, unit, shown, ranges, dict(thresholds), tuple(views), geometry.unit)


def _standing(mask: Mask) -> tuple[bool, str]:
    """Order the readers by name, behind their consensus: the first is what a map's region is drawn against."""
    return not mask.reader.startswith(CONSENSUS), mask.reader


@dataclass(frozen=True)
class _Cut:
    """A plane of a grid: ``index`` along ``axis`` (None in 2D), then the axes for (rows, columns), then flips."""

    axis: int | None
    index: int
    order: tuple[int, int]
    flips: tuple[int, ...]
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]

    def apply(self, array: NDArray[np.generic]) -> NDArray:  # type: ignore[type-arg]
        plane = array if self.axis is None else np.take(array, self.index, axis=self.axis)
        if self.order[0] > self.order[1]:
            plane = plane.T
        return np.ascontiguousarray(np.flip(plane, self.flips))


def _cuts(geometry: Geometry, masks: Sequence[Mask], heatmaps: Mapping[str, Heatmap]) -> list[tuple[_Cut, str]]:
    if len(geometry.shape) == 2:
        return [(_projection(geometry), "projection")]
    axis = _through_plane(geometry)
    places = []
    marked = [mask.array for mask in masks if mask.array.any()]
    if marked:
        others = tuple(number for number in range(3) if number != axis)
        area = sum(mask.sum(axis=others) for mask in marked)
        places.append((int(np.argmax(area)), "where the experts' masks are largest"))
    firsts: dict[str, tuple[str, Heatmap]] = {}
    for name, heatmap in heatmaps.items():
        firsts.setdefault(heatmap.target, (name, heatmap))
    for name, heatmap in firsts.values():
        peak = _peak(heatmap, axis)
        if peak is not None:
            places.append((peak, f"where the map ({name}) has its maximum"))
    planes: dict[int, list[str]] = {}
    for index, why in places or [(geometry.shape[axis] // 2, "the middle plane")]:
        planes.setdefault(index, []).append(why)
    size = geometry.shape[axis]
    return [
        (_cut(geometry, axis, index), f"plane {index + 1} of {size}: {' and '.join(why)}")
        for index, why in planes.items()
    ]


def _projection(geometry: Geometry) -> _Cut:
    """Return a picture as it is stored: its rows from the top.

    One whose first axis runs from side to side, as of arrays laid out (x, y), is turned so that it does on the page.
    """
    along = geometry.affine[:3, :2] / geometry.spacing
    sideways = abs(along[0, 0]) > max(abs(along[0, 1]), 0.5)
    rows, columns = (1, 0) if sideways else (0, 1)
    letters = geometry.letters()
    flips: tuple[int, ...] = ()
    if sideways:  # the patient's right on the left; the top is in front, or above
        downwards = along[1 if abs(along[1, rows]) > abs(along[2, rows]) else 2, rows]
        flips = tuple(axis for axis, turned in enumerate((downwards > 0, along[0, columns] > 0)) if turned)
    (top, bottom), (left, right) = (
        letters[axis][::-1] if number in flips else letters[axis] for number, axis in enumerate((rows, columns))
    )
    return _Cut(
        None, 0, (rows, columns), flips, (geometry.spacing[rows], geometry.spacing[columns]), (left, right, top, bottom)
    )


def _peak(heatmap: Heatmap, axis: int) -> int | None:
    """Return the plane of the map's maximum, or None for a map that is the same everywhere: it has none."""
    values = heatmap.array[heatmap.seen]
    if not values.size or values.min() == values.max():
        return None
    place = np.argmax(np.where(heatmap.seen, heatmap.array, -np.inf))
    return int(np.unravel_index(place, heatmap.array.shape)[axis])


def _through_plane(geometry: Geometry) -> int:
    """Return the coarsest axis; when spacings are alike, the one nearest to head-foot."""
    spacing = np.array(geometry.spacing)
    if spacing.max() > 1.01 * np.median(spacing):
        return int(spacing.argmax())
    return int(np.flatnonzero(io_orientation(geometry.affine)[:, 0] == 2)[0])


def _cut(geometry: Geometry, axis: int, index: int) -> _Cut:
    world_axes = io_orientation(geometry.affine)  # for each array axis: (world axis, +1 or -1)
    across = int(world_axes[axis, 0])
    row_world, column_world = {0: (2, 1), 1: (2, 0), 2: (1, 0)}[across]
    place = {int(world): number for number, (world, _) in enumerate(world_axes)}
    rows, columns = place[row_world], place[column_world]
    # rows run from superior (anterior) down, columns from right (anterior) on: all against the RAS+ directions
    flips = tuple(number for number, array_axis in enumerate((rows, columns)) if world_axes[array_axis, 1] > 0)
    ends = {0: ("L", "R"), 1: ("P", "A"), 2: ("I", "S")}
    (bottom, top), (right, left) = ends[row_world], ends[column_world]
    names = (left, right, top, bottom) if geometry.oriented else ("", "", "", "")
    return _Cut(axis, index, (rows, columns), flips, (geometry.spacing[rows], geometry.spacing[columns]), names)
