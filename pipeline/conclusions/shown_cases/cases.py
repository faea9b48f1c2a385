"""The cases that a report shows: chosen by a stated rule, their panels cut so that a report only has to draw them."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.conclusions.shown_cases.display_window import DisplayWindow
from pipeline.conclusions.shown_cases.page_pixels import with_page_pixels
from pipeline.evidence.planes import PlaneCut, patient_axes, plane_at, projection, through_plane
from pipeline.findings.pictures.panels import CasePanels, View, ViewRole
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask, Volume
from pipeline.vocabulary import CONSENSUS

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


class _Plane(NamedTuple):
    cut: PlaneCut
    caption: str
    role: ViewRole
    maps: tuple[str, ...] | None = None
    """The maps that it holds; None: those of its role."""


def cut_panels(
    image: Volume,
    masks: Sequence[Mask],
    heatmaps: Mapping[str, Heatmap],
    thresholds: Mapping[str, float | None],
    *,
    study: str,
    window: tuple[float, float] | DisplayWindow | None = None,
    unit: str = "",
    survey: bool = False,
) -> CasePanels:
    """Cut one study's panels: a projection whole, a volume in the planes that matter.

    A volume is cut across its coarsest axis, where the masks are largest and, when that is another plane, where the
    first map of each label has its maximum. Planes are turned by whole voxels only: axial ones with anterior on top,
    coronal and sagittal ones with superior on top, the patient's right (or anterior) on the left. A ``survey`` adds the
    plane of every other map's maximum, the planes across the other axes, through the lesion and through the first map's
    peak, and the highest values along each line.
    """
    geometry = image.geometry
    low, high = window[:2] if window else (float(v) for v in np.percentile(image.array, (0.5, 99.5)))
    planes = _planes(geometry, masks, heatmaps)
    if survey and len(geometry.shape) == 3:
        planes += [*_own_peaks(geometry, heatmaps, planes), *_survey(geometry, masks, heatmaps)]
    ranges = {name: (float(heatmap.array.min()), float(heatmap.array.max())) for name, heatmap in heatmaps.items()}
    target = next(iter(heatmaps.values())).target if heatmaps else ""
    return CasePanels(
        study,
        target,
        unit,
        (low, max(high, low + 1e-6)),
        ranges,
        dict(thresholds),
        tuple(_view(image, masks, heatmaps, plane) for plane in planes),
        geometry.unit,
        window.rule if isinstance(window, DisplayWindow) else "",
    )


def _view(image: Volume, masks: Sequence[Mask], heatmaps: Mapping[str, Heatmap], plane: _Plane) -> View:
    """Cut one plane; one that is no main plane holds one map alone."""
    geometry, cut = image.geometry, plane.cut
    names = plane.maps or (tuple(heatmaps) if plane.role == "main" else tuple(heatmaps)[:1])
    shown = {name: heatmaps[name] for name in names}
    peaks = {name: place for name, heatmap in shown.items() if (place := _peak_pixel(heatmap, cut)) is not None}
    outlines = {mask.reader: cut.apply(mask.array) for mask in sorted(masks, key=_standing)}
    picture = cut.apply(image.array)
    sliced = cut.axis is not None and cut.index is not None
    return with_page_pixels(
        View(
            picture,
            cut.pixel_mm,
            cut.letters,
            plane.caption,
            outlines,
            {name: cut.apply(heatmap.array) for name, heatmap in shown.items()},
            cut.apply(next(iter(heatmaps.values())).seen) if heatmaps else np.ones_like(picture, bool),
            role=plane.role,
            plane=cut.name,
            number=None if cut.index is None else cut.index + 1,
            planes=geometry.shape[cut.axis] if sliced and cut.axis is not None else None,
            position_mm=_position(geometry, cut),
            thickness_mm=geometry.spacing[cut.axis] if sliced and cut.axis is not None else None,
            peaks=peaks,
            zoom=_zoom(picture.shape, cut.pixel_mm, list(outlines.values()), list(peaks.values())),
        )
    )


def _position(geometry: Geometry, cut: PlaneCut) -> float | None:
    """Return where a slice lies along the patient's axis that it is across, in mm (RAS), at its middle."""
    if cut.axis is None or cut.index is None or not geometry.oriented:
        return None
    middle = [(size - 1) / 2 for size in geometry.shape]
    middle[cut.axis] = cut.index
    across = int(patient_axes(geometry.affine)[cut.axis, 0])
    return float(geometry.world(np.array([middle]))[0][across])


def _zoom(
    shape: tuple[int, ...],
    pixel_mm: tuple[float, float],
    outlines: Sequence[NDArray[np.bool_]],
    peaks: Sequence[tuple[int, int]],
) -> tuple[int, int, int, int] | None:
    """Return the square (in mm) around what the experts marked, else around the first peak; None without either.

    It is three times as wide as what is marked, at least a sixth of the picture, and lies within the picture.
    """
    marked = [np.argwhere(outline) for outline in outlines if outline.any()]
    if not marked and not peaks:
        return None
    places = np.concatenate(marked) if marked else np.array(peaks[:1])
    low, high = places.min(axis=0), places.max(axis=0) + 1
    size = np.array(pixel_mm)
    side = max(3.0 * float(((high - low) * size).max()), float((np.array(shape) * size).max()) / 6)
    side = min(side, float((np.array(shape) * size).min()))
    pixels = np.maximum(1, np.rint(side / size)).astype(int)
    first = np.clip(np.rint((low + high - pixels) / 2).astype(int), 0, np.maximum(0, np.array(shape) - pixels))
    last = np.minimum(first + pixels, shape)
    return int(first[0]), int(last[0]), int(first[1]), int(last[1])


def _peak_pixel(heatmap: Heatmap, cut: PlaneCut) -> tuple[int, int] | None:
    """Return where a map's peak stands in a plane, None where it lies in another."""
    index = _peak(heatmap)
    if index is None or (cut.axis is not None and cut.index is not None and index[cut.axis] != cut.index):
        return None
    return cut.place(index, heatmap.array.shape)


def _standing(mask: Mask) -> tuple[bool, str]:
    """Order the readers by name, behind their consensus: the first is what a map's region is drawn against."""
    return not mask.reader.startswith(CONSENSUS), mask.reader


def _planes(geometry: Geometry, masks: Sequence[Mask], heatmaps: Mapping[str, Heatmap]) -> list[_Plane]:
    if len(geometry.shape) == 2:
        return [_Plane(projection(geometry), "projection", "main")]
    axis = through_plane(geometry)
    places = []
    largest = _largest(masks, axis)
    if largest is not None:
        places.append((largest, "where the experts' masks are largest"))
    firsts: dict[str, tuple[str, Heatmap]] = {}
    for name, heatmap in heatmaps.items():
        firsts.setdefault(heatmap.target, (name, heatmap))
    for name, heatmap in firsts.values():
        peak = _peak(heatmap)
        if peak is not None:
            places.append((int(peak[axis]), f"where the map ({name}) has its maximum"))
    planes: dict[int, list[str]] = {}
    for index, why in places or [(geometry.shape[axis] // 2, "the middle plane")]:
        planes.setdefault(index, []).append(why)
    size = geometry.shape[axis]
    return [
        _Plane(plane_at(geometry, axis, index), f"plane {index + 1} of {size}: {' and '.join(why)}", "main")
        for index, why in planes.items()
    ]


def _own_peaks(geometry: Geometry, heatmaps: Mapping[str, Heatmap], known: Sequence[_Plane]) -> list[_Plane]:
    """Return a plane for each map whose maximum lies in none of the ``known`` ones, with that map alone."""
    axis = through_plane(geometry)
    peaks = {name: peak for name, heatmap in heatmaps.items() if (peak := _peak(heatmap)) is not None}
    shown = {plane.cut.index for plane in known}
    return [
        _Plane(
            plane_at(geometry, axis, int(peak[axis])), f"where its map ({name}) has its maximum", "own_peak", (name,)
        )
        for name, peak in peaks.items()
        if int(peak[axis]) not in shown
    ]


def _survey(geometry: Geometry, masks: Sequence[Mask], heatmaps: Mapping[str, Heatmap]) -> list[_Plane]:
    """Return the planes across the two other axes, through the lesion and the peak, and what all planes hold."""
    main = through_plane(geometry)
    others = [axis for axis in range(3) if axis != main]
    peak = next((_peak(heatmap) for heatmap in heatmaps.values()), None)
    planes = []
    for axis in others:
        largest = _largest(masks, axis)
        if largest is not None:
            planes.append(_Plane(plane_at(geometry, axis, largest), "through the lesion", "lesion"))
    if peak is not None:
        planes += [_Plane(plane_at(geometry, axis, int(peak[axis])), "through the peak", "peak") for axis in others]
    return [*planes, _Plane(plane_at(geometry, main, None), "highest values of all planes", "maximum")]


def _largest(masks: Sequence[Mask], axis: int) -> int | None:
    """Return the plane across an axis in which the masks are largest; None where nothing is marked."""
    marked = [mask.array for mask in masks if mask.array.any()]
    if not marked:
        return None
    others = tuple(number for number in range(3) if number != axis)
    return int(np.argmax(sum(mask.sum(axis=others) for mask in marked)))


def _peak(heatmap: Heatmap) -> NDArray[np.intp] | None:
    """Return the voxel of a map's maximum, or None for a map that is the same everywhere: it has none.

    Of voxels that are tied for it, the one nearest to their middle, as in the record.
    """
    values = heatmap.array[heatmap.seen]
    if not values.size or values.min() == values.max():
        return None
    tied = np.argwhere(heatmap.seen & (heatmap.array == values.max()))
    return np.asarray(tied[np.argmin(np.square(tied - tied.mean(axis=0)).sum(axis=1))])
